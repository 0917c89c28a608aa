// StreamSketch: counts what a device saw, for the fleet: protocol/sketches.h says what is counted
// and why it adds up.
//
// The bins of a rank are the bundle's held-out values, so that every device with the bundle counts
// in the same ones; the device's own live reference (reference.h) is finer and stays at home.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/sketches.h"
#include "tinylcm/drift/sample.h"

namespace tinylcm::drift {

// Not thread-safe, but for Blank. Observe allocates nothing; cost: a search a signal and a few
// operations a dimension.
class StreamSketch {
 public:
  struct Options {
    std::string bundle{};
    std::uint32_t classes = 1;
    std::uint32_t dims = 0;  // Of a feature.
    SignalMask signals = 0;  // Which are ranked; class_mix is counted anyway, as the samples.
    // [signal][class]: held-out values, ascending. Of a category there is one bin a number, 0 to
    // `category_bins` - 1, and no values. A class without values has one bin.
    std::array<std::vector<std::vector<float>>, kSignals> held_out{};
    std::uint32_t category_bins = 16;
  };

  // kInvalidArgument: no class, values that do not ascend or are not finite.
  static base::Result<StreamSketch> Create(const Options& options);

  // REQUIRES: sample.predicted < classes, feature.size() is dims or 0, all finite.
  void Observe(const Sample& sample, std::span<const float> feature);

  // What was counted since Create or the last Exchange.
  const protocol::Sketches& sketches() const { return sketches_; }
  // Of its shape, with nothing counted. Allocates; may be called while another thread observes.
  protocol::Sketches Blank() const;
  // Gives what was counted for a blank one and counts on in that. Allocates nothing.
  //
  // REQUIRES: `blank` is Blank()'s.
  void Exchange(protocol::Sketches& blank);

 private:
  struct Ranked {
    Signal signal = Signal::kAnchorDistance;
    std::vector<std::vector<float>> edges{};  // [class]; a value is in the bin of those below it.
  };
  StreamSketch() = default;

  std::vector<Ranked> ranked_{};  // As sketches_.ranks.
  protocol::Sketches sketches_{};
  bool is_empty_ = true;
};

}  // namespace tinylcm::drift
