// Concepts: the streams a device has met, kept on its disk, and whether one of them is there again
// (adapt/concept.h says by what).
//
// What is recognised is tried in the shadow first: on the quarantined samples its adaptation must
// bring answers no farther from what is known than what serves does, and no farther than half again
// as far as when it was learned. Then the machine serves it, on trial like everything else.
//
// Disk: FOLDER/concepts-<bundle>.bin, a bundle each, written whole by rename when one is learned or
// forgotten; docs/formats/device_state.md. What cannot be read is set aside and learned anew.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/logger.h"
#include "base/result.h"
#include "tinylcm/adapt/concept.h"
#include "tinylcm/adapt/quarantine.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/pipeline/serving.h"

namespace tinylcm::pipeline {

// Not thread-safe.
class Concepts {
 public:
  using AdaptationPtr = std::shared_ptr<const adapt::Adaptation>;

  // Of files for bundles that ran before, so many are kept.
  static constexpr std::size_t kBundlesKept = 3;

  // `fs` and `logger` must outlive it.
  static Concepts Open(base::FileSystem& fs, base::Logger& logger, const std::string& folder,
                       std::shared_ptr<const model::ModelBundle> bundle, std::uint64_t seed);

  // Makes what serves an adaptation, as MakeServing does, warm.
  using Maker = std::function<base::Result<std::unique_ptr<Serving>>(const adapt::Adaptation&)>;

  struct Met {
    AdaptationPtr adaptation;  // Null: nothing known is there again, or it serves already.
    double sure = 0.0;
    std::string why;
  };
  // Holds the current event's samples against what is known. `base`: what the bundle by itself
  // serves. An Error where a shadow could not be made.
  base::Result<Met> Recognise(const adapt::Quarantine& quarantine, const AdaptationPtr& served,
                              const AdaptationPtr& base, const Maker& make) const;

  // What serves was committed for the quarantine's event. `distance`: the mean distance of answers
  // on trial; where none was measured (a restart in between) it is that of the event's samples
  // which did not teach it, by `make`. What cannot be measured or written is learned again next
  // time, and the log says so.
  void Learn(const adapt::Quarantine& quarantine, const AdaptationPtr& served,
             const AdaptationPtr& base, std::optional<double> distance, const Maker& make);
  // It was undone: on trial, or by a person. Whatever answers the same must not come again.
  void Forget(const adapt::Adaptation& undone);
  // Labels were taken back: neither must what was learned from them.
  void ForgetLabels(std::span<const std::string> sample_ids);

  std::size_t count() const { return cache_.concepts().size(); }
  const adapt::ConceptCache& cache() const { return cache_; }

 private:
  Concepts(base::FileSystem& fs, base::Logger& logger, std::string folder,
           std::shared_ptr<const model::ModelBundle> bundle, std::uint64_t seed);
  std::string Path() const;
  void Save();
  // Of the current event, as the bundle alone sees them.
  std::vector<float> Features(const adapt::Quarantine& quarantine) const;

  base::FileSystem* fs_;
  base::Logger* logger_;
  std::string folder_;
  std::shared_ptr<const model::ModelBundle> bundle_;
  std::uint64_t seed_;
  adapt::ConceptCache cache_;
  std::optional<adapt::ConceptSketch> own_;  // How the stream was when nothing was wrong.
};

}  // namespace tinylcm::pipeline
