#include "agent/log_writer.h"

#include <utility>

#include "base/text.h"

namespace agent {

namespace datalog = tinylcm::datalog;
namespace source = tinylcm::source;

using base::Json;
using base::StrCat;

base::Result<LogWriter> LogWriter::Open(base::FileSystem& fs, const std::string& folder,
                                        const Options& options, BundleOf bundle_of) {
  for (const source::MaskRegion& region : options.masks) {
    RETURN_IF_ERROR(source::CheckMask(region));
  }
  ASSIGN_OR_RETURN(datalog::Datalog log, datalog::Datalog::Open(fs, folder, options.log));
  return LogWriter(options, std::move(log), std::move(bundle_of));
}

void LogWriter::NameBundle(std::uint32_t generation) {
  if (log_.knows_bundle(generation)) return;
  if (const auto named = bundle_of_(generation)) {
    log_.SetBundle({.generation = generation, .bundle = named->bundle, .labels = named->labels});
  }
}

std::uint64_t LogWriter::Take(FrameRings& rings, base::Duration now) {
  std::uint64_t lost = 0;
  rings.records.Take([&](const datalog::Record& record) {
    NameBundle(record.bundle);
    if (!log_.Append(record)) ++lost;
  });
  rings.pictures.Take([&](const LoggedPicture& picture) { TakePicture(picture, now); });
  rings.takes_pictures.store(budget_.has_room(now), std::memory_order_relaxed);
  records_lost_ += lost;
  return lost;
}

void LogWriter::TakePicture(const LoggedPicture& picture, base::Duration now) {
  NameBundle(picture.record.bundle);
  auto jpeg = source::MaskedPicture({picture.bytes, picture.format, picture.width, picture.height},
                                    options_.masks, options_.quality);
  if (!jpeg.ok()) {
    ++bad_pictures_;
    return;
  }
  if (!budget_.has_room(now, jpeg->size())) {
    ++over_budget_;
    return;
  }
  if (!log_.AppendPicture(picture.record, picture.reason, *jpeg)) return;
  CHECK(budget_.Take(now, jpeg->size()));  // Only for what is kept.
  ++pictures_;
  if (!options_.sends_pictures) return;
  const std::string_view bundle = log_.BundleOf(picture.record);
  if (!package_.empty() && package_bundle_ != bundle) package_is_over_ = true;
  if (has_package()) {
    ++not_sent_;
    return;
  }
  if (package_.empty()) {
    package_bundle_ = bundle;
    package_.push_back({"predictions.jsonl", "application/jsonl", {}});
  }
  lines_->Append(picture.record, log_.LabelOf(picture.record), package_lines_);
  package_bytes_ += jpeg->size();
  package_.push_back({StrCat("images/", datalog::PictureName(picture.record.index, picture.reason)),
                      "image/jpeg", std::move(*jpeg)});
}

bool LogWriter::has_package() const {
  return package_.size() > kPackagePictures || package_bytes_ >= kPackageBytes || package_is_over_;
}

std::span<const protocol::PackageFile> LogWriter::Package() {
  if (!package_.empty()) package_.front().bytes = base::ToBytes(package_lines_);
  return package_;
}

void LogWriter::PackageIsSent() {
  package_.clear();
  package_lines_.clear();
  package_bytes_ = 0;
  package_is_over_ = false;
}

Json LogWriter::Describe() const {
  return Json::MakeObject({{"bytes", log_.bytes()},
                           {"files", static_cast<std::uint64_t>(log_.files())},
                           {"evicted_files", log_.evicted_files()},
                           {"dropped_lines", records_lost_},
                           {"pictures", pictures_},
                           {"dropped_pictures", log_.dropped_pictures()},
                           {"over_budget_pictures", over_budget_},
                           {"bad_pictures", bad_pictures_},
                           {"not_sent_pictures", not_sent_},
                           {"last_error", log_.last_error()}});
}

datalog::ImageOptions ImageOptionsOf(const Config& config) {
  const LogImagesConfig& images = config.datalog_images;
  return {.every = images.every,
          .on_drift = images.on_drift,
          .below_confidence = images.below_confidence,
          .per_day = images.per_day,
          .bytes_per_day = images.bytes_per_day};
}

base::Result<LogWriter::Options> LogOptionsOf(const Config& config) {
  LogWriter::Options options;
  const auto format = datalog::ParseFormat(config.datalog_format);
  if (!format.ok()) return format.error().Within("datalog.format");
  options.log.format = *format;
  options.log.bytes_max = config.datalog_bytes;
  options.images = ImageOptionsOf(config);
  for (const MaskConfig& mask : config.datalog_images.masks) {
    options.masks.push_back({mask.x, mask.y, mask.width, mask.height});
  }
  options.quality = static_cast<int>(config.datalog_images.quality);
  options.sends_pictures = config.consent_images;
  return options;
}

}  // namespace agent
