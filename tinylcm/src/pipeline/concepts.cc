#include "tinylcm/pipeline/concepts.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "base/text.h"
#include "tinylcm/adapt/machine.h"

namespace tinylcm::pipeline {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::uint64_t kBytesMax = 256u << 20;  // Eight flat fields of a large picture.
constexpr std::string_view kPrefix = "concepts-";
constexpr double kFartherMax = 1.5;  // Than when it was learned.

bool IsConceptsFile(std::string_view name) {
  return name.starts_with(kPrefix) && name.ends_with(".bin");
}

// Mean distance of the answers to the current event's samples but for those that `taught` it, which
// lie at no distance; nullopt where none could be answered.
std::optional<double> DistanceUnder(Serving& serving, const adapt::Quarantine& quarantine,
                                    const std::vector<adapt::MemoryEntry>& taught = {}) {
  std::set<std::string_view> is_known;
  for (const adapt::MemoryEntry& entry : taught) is_known.insert(entry.sample_id);
  Inference inference;
  std::vector<std::uint8_t> picture;
  double sum = 0.0;
  std::size_t count = 0;
  const auto& samples = quarantine.samples();
  for (std::size_t i = quarantine.current_begin(); i < samples.size(); ++i) {
    if (is_known.contains(samples[i].sample_id)) continue;
    if (serving.bundle().is_image) {
      const auto file = quarantine.Picture(samples[i].sample_id);
      if (!file.ok() || !serving.Decode({.bytes = *file}, picture).ok()) continue;
      inference.picture = picture;
    } else {
      inference.raw = samples[i].raw;
    }
    if (!serving.InferDecoded(inference).ok()) continue;
    sum += static_cast<double>(inference.prediction.mean_distance);
    ++count;
  }
  if (count == 0) return std::nullopt;
  return sum / static_cast<double>(count);
}

}  // namespace

Concepts::Concepts(base::FileSystem& fs, base::Logger& logger, std::string folder,
                   std::shared_ptr<const model::ModelBundle> bundle, std::uint64_t seed)
    : fs_(&fs),
      logger_(&logger),
      folder_(std::move(folder)),
      bundle_(std::move(bundle)),
      seed_(seed),
      cache_(bundle_->bundle) {}

std::string Concepts::Path() const {
  return base::JoinPath(folder_, StrCat(kPrefix, bundle_->bundle.substr(0, 16), ".bin"));
}

Concepts Concepts::Open(base::FileSystem& fs, base::Logger& logger, const std::string& folder,
                        std::shared_ptr<const model::ModelBundle> bundle, std::uint64_t seed) {
  Concepts concepts(fs, logger, folder, std::move(bundle), seed);
  const auto own = adapt::ConceptSketch::OfBundle(
      concepts.bundle_->anchors, concepts.bundle_->canary, concepts.bundle_->config.metric, seed);
  if (own.ok()) concepts.own_ = *own;  // Without a canary the way back is found like any other.
  const std::string path = concepts.Path();
  const auto bytes = base::ReadFile(fs, path, kBytesMax);
  if (!bytes.ok()) {
    if (bytes.error().code != ErrorCode::kNotFound) {
      logger.Error("concepts are not known this time: " + bytes.error().message);
    }
    return concepts;
  }
  auto parsed = adapt::ConceptCache::Parse(concepts.bundle_->bundle, *bytes);
  if (parsed.ok()) {
    concepts.cache_ = *std::move(parsed);
  } else {
    logger.Error(StrCat(path, " is set aside: ", parsed.error().message));
    static_cast<void>(fs.Rename(path, path + ".damaged").ok());
  }
  return concepts;
}

std::vector<float> Concepts::Features(const adapt::Quarantine& quarantine) const {
  std::vector<float> features;
  const auto& samples = quarantine.samples();
  for (std::size_t i = quarantine.current_begin(); i < samples.size(); ++i) {
    if (samples[i].feature.size() != bundle_->feature_count()) continue;  // Another bundle's.
    features.insert(features.end(), samples[i].feature.begin(), samples[i].feature.end());
  }
  return features;
}

Result<Concepts::Met> Concepts::Recognise(const adapt::Quarantine& quarantine,
                                          const AdaptationPtr& served, const AdaptationPtr& base,
                                          const Maker& make) const {
  CHECK(served != nullptr && base != nullptr);
  const std::vector<float> features = Features(quarantine);
  const adapt::ConceptCache::Answer answer =
      cache_.Recognise(own_ ? &*own_ : nullptr, features, bundle_->feature_count());
  Met met{.adaptation = nullptr, .sure = answer.recognition.sure, .why = answer.recognition.why};
  if (!answer.is_own && answer.found == nullptr) return met;
  AdaptationPtr known = base;
  if (answer.found != nullptr) {
    // What it answered then, for the event that is open now.
    adapt::Adaptation again = *answer.found->adaptation;
    again.event_id = quarantine.event_id();
    known = std::make_shared<const adapt::Adaptation>(std::move(again));
  }
  if (adapt::ServesTheSame(*known, *served)) {
    met.why = answer.is_own ? "as when nothing was wrong, and the bundle alone serves"
                            : "met before, and what was learned then serves already";
    return met;
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<Serving> now, make(*served));
  ASSIGN_OR_RETURN(const std::unique_ptr<Serving> then, make(*known));
  const std::optional<double> distance_now = DistanceUnder(*now, quarantine);
  const std::optional<double> distance_then = DistanceUnder(*then, quarantine);
  const std::string whose = answer.is_own ? "as when nothing was wrong"
                                          : StrCat("met before, in ", answer.found->event_id);
  if (!distance_now || !distance_then) {
    met.why = whose + ", but no sample could be tried";
    return met;
  }
  const std::string figures = StrCat(
      "answers lie at ", base::FormatShort(100.0 * *distance_then / std::max(*distance_now, 1e-12)),
      " % of the distance");
  if (*distance_then > *distance_now) {
    met.why = StrCat(whose, ", but in the shadow ", figures);
    return met;
  }
  if (answer.found != nullptr && *distance_then > kFartherMax * answer.found->distance_after) {
    met.why =
        StrCat(whose, ", but in the shadow they lie ",
               base::FormatShort(*distance_then / std::max(answer.found->distance_after, 1e-12)),
               " times as far as then");
    return met;
  }
  met.adaptation = std::move(known);
  met.why = StrCat(whose, ": ", figures, ", ", base::FormatShort(100.0 * met.sure), " % sure");
  return met;
}

void Concepts::Learn(const adapt::Quarantine& quarantine, const AdaptationPtr& served,
                     const AdaptationPtr& base, std::optional<double> distance, const Maker& make) {
  CHECK(served != nullptr && base != nullptr);
  if (adapt::ServesTheSame(*served, *base) || served->bundle != bundle_->bundle) return;
  const std::vector<float> features = Features(quarantine);
  auto sketch =
      adapt::ConceptSketch::Of(features, bundle_->feature_count(), bundle_->config.metric, seed_);
  if (!sketch.ok()) return;  // Too few samples to know it again by.
  if (!distance) {
    const auto serving = make(*served);
    if (serving.ok()) distance = DistanceUnder(**serving, quarantine, served->entries);
  }
  if (!distance) {
    logger_->Warning("concept of " + quarantine.event_id() +
                     " is not learned: no sample could be answered");
    return;
  }
  cache_.Learn(quarantine.event_id(), *std::move(sketch), *distance, served);
  Save();
}

void Concepts::Forget(const adapt::Adaptation& undone) {
  std::vector<std::string> same;
  for (const adapt::KnownConcept& known : cache_.concepts()) {
    if (adapt::ServesTheSame(*known.adaptation, undone)) same.push_back(known.adaptation_sha256);
  }
  for (const std::string& sha256 : same) cache_.ForgetAdaptation(sha256);
  if (!same.empty()) Save();
}

void Concepts::ForgetLabels(std::span<const std::string> sample_ids) {
  std::size_t dropped = 0;
  for (const std::string& id : sample_ids) dropped += cache_.ForgetLabel(id);
  if (dropped > 0) Save();
}

void Concepts::Save() {
  const Status written = base::WriteFileDurably(*fs_, Path(), cache_.Save());
  if (!written.ok()) logger_->Error("concepts not saved: " + written.error().message);
  const auto files = fs_->List(folder_);
  if (!files.ok()) return;
  std::vector<base::FileInfo> others;
  for (const base::FileInfo& file : *files) {
    if (IsConceptsFile(file.name) && base::JoinPath(folder_, file.name) != Path()) {
      others.push_back(file);
    }
  }
  std::stable_sort(
      others.begin(), others.end(),
      [](const base::FileInfo& a, const base::FileInfo& b) { return a.modified > b.modified; });
  for (std::size_t i = kBundlesKept - 1; i < others.size(); ++i) {
    static_cast<void>(fs_->Remove(base::JoinPath(folder_, others[i].name)).ok());
  }
}

}  // namespace tinylcm::pipeline
