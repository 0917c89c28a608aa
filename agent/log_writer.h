// LogWriter: the main thread's half of the log. It takes what the frame thread left in its rings,
// looks up names, masks and encodes pictures, and writes both once a second.
//
//   rings.records  ─▶ label's name, digits ─▶ Datalog
//   rings.pictures ─▶ masks, JPEG, the day's budget ─▶ Datalog, and, with consent, a package

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "agent/config.h"
#include "agent/frame_loop.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/package.h"
#include "tinylcm/datalog/datalog.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/source/mask.h"

namespace agent {

// Not thread-safe.
class LogWriter {
 public:
  struct Options {
    tinylcm::datalog::Datalog::Options log{};
    tinylcm::datalog::ImageOptions images{};
    std::vector<tinylcm::source::MaskRegion> masks{};
    int quality = 85;
    bool sends_pictures = false;  // Local consent, and somebody to send them to.
  };
  // Who answered: FramePath::BundleOf.
  using BundleOf =
      std::function<std::shared_ptr<const tinylcm::pipeline::NamedBundle>(std::uint32_t)>;

  // Beyond either a package of pictures is made; what comes before it was taken is not sent.
  static constexpr std::size_t kPackagePictures = 32;
  static constexpr std::size_t kPackageBytes = 4u << 20;

  // `fs` must outlive it.
  static base::Result<LogWriter> Open(base::FileSystem& fs, const std::string& folder,
                                      const Options& options, BundleOf bundle_of);

  // Empties the rings into memory; some 50 ms apart, so that they never fill. Returns how many
  // answers could not be kept because the disk has not taken the ones before.
  std::uint64_t Take(FrameRings& rings, base::Duration now);
  // Writes what was taken; about once a second. A full disk is an Error and costs nothing yet.
  base::Status Flush() { return log_.Flush(); }
  base::Status Close() { return log_.Close(); }

  bool has_package() const;  // As large as one may be, or another bundle answers now.
  // `predictions.jsonl` and images/*.jpg, all of package_bundle()'s answers; empty where there is
  // nothing to send. Stays as it is until PackageIsSent(); valid until then or the next Take().
  std::span<const protocol::PackageFile> Package();
  const std::string& package_bundle() const { return package_bundle_; }
  void PackageIsSent();

  const tinylcm::datalog::Datalog& log() const { return log_; }
  // For status: bytes, files, what was evicted or lost and why.
  base::Json Describe() const;

 private:
  LogWriter(const Options& options, tinylcm::datalog::Datalog log, BundleOf bundle_of)
      : options_(options),
        log_(std::move(log)),
        bundle_of_(std::move(bundle_of)),
        budget_(options.images),
        lines_(tinylcm::datalog::MakeEncoder(tinylcm::datalog::Format::kJsonl)) {}

  void NameBundle(std::uint32_t generation);
  void TakePicture(const LoggedPicture& picture, base::Duration now);

  Options options_;
  tinylcm::datalog::Datalog log_;
  BundleOf bundle_of_;
  tinylcm::datalog::ImageBudget budget_;
  std::unique_ptr<tinylcm::datalog::Encoder> lines_;
  std::uint64_t pictures_ = 0;      // Kept since the start.
  std::uint64_t over_budget_ = 0;   // Sampled, but the day's budget was spent.
  std::uint64_t bad_pictures_ = 0;  // Could not be decoded or encoded.
  std::uint64_t not_sent_ = 0;      // No room in the package that waits.
  std::uint64_t records_lost_ = 0;
  std::vector<protocol::PackageFile> package_;  // First its lines, filled in when it is asked for.
  std::string package_lines_;
  std::string package_bundle_;
  bool package_is_over_ = false;  // A picture of another bundle came.
  std::size_t package_bytes_ = 0;
};

// What the configuration asks for. kInvalidArgument names the key.
tinylcm::datalog::ImageOptions ImageOptionsOf(const Config& config);
base::Result<LogWriter::Options> LogOptionsOf(const Config& config);

}  // namespace agent
