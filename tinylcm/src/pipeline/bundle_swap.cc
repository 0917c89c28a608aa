#include "tinylcm/pipeline/bundle_swap.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinylcm/adapt/machine.h"
#include "tinylcm/pipeline/taught.h"
#include "tinylcm/src/pipeline/judging.h"

namespace tinylcm::pipeline {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

// After a swap the old bundle goes on in the shadow; these are what it takes to stay.
constexpr double kAgreementMin = 0.6;
constexpr double kConfidenceShareMin = 0.8;
constexpr double kCanaryLossMax = 0.05;

// "3 channels, windows of 128 rows every 64 at 50 Hz: mean, rms, 0.5-1.5 Hz".
std::string InWords(const protocol::BundleInput& input) {
  const std::string channels = StrCat(input.channel_count, " channels, ");
  if (!input.window) return channels + "row by row";
  const protocol::BundleWindow& window = *input.window;
  std::string features;
  for (const std::string& statistic : window.statistics) features += ", " + statistic;
  for (const auto& [from, to] : window.bands) features += StrCat(", ", from, "-", to, " Hz");
  return StrCat(channels, "windows of ", window.size, " rows every ", window.step, " at ",
                window.sample_rate_hz,
                " Hz: ", features.substr(std::min<std::size_t>(2, features.size())));
}

}  // namespace

Status CheckSwap(const model::ModelBundle& running, const model::ModelBundle& next) {
  if (next.is_image != running.is_image || next.manifest.labels.empty()) {
    return Error{ErrorCode::kUnsupported, "swap: the new bundle is for another kind of input"};
  }
  // Rows reach the shadow and the quarantine as the answering bundle's window made them.
  const protocol::BundleInput& takes = next.manifest.input;
  const protocol::BundleInput& took = running.manifest.input;
  if (!next.is_image && (takes.window != took.window || takes.channel_count != took.channel_count ||
                         next.raw_count() != running.raw_count())) {
    return Error{ErrorCode::kUnsupported, StrCat("swap: the new bundle takes ", InWords(takes),
                                                 "; the running one takes ", InWords(took))};
  }
  return {};
}

Result<adapt::Carried> CarryOver(Serving& bench, const adapt::Adaptation& served,
                                 const adapt::Quarantine& quarantine, std::uint64_t seed) {
  const model::ModelBundle& bundle = bench.bundle();
  adapt::Carried carried;
  carried.adaptation.bundle = bundle.bundle;
  if (!bundle.taught.empty()) {
    ASSIGN_OR_RETURN(carried.adaptation, TaughtBy(bundle));
    if (!served.is_none() && !adapt::ServesTheSame(served, carried.adaptation)) {
      carried.dropped.push_back("the new bundle brings an adaptation of its own");
    }
    return carried;
  }
  if (served.is_none()) return carried;
  if (!bundle.is_adaptable()) {
    carried.dropped.push_back("the new bundle answers by a head, which is not adapted");
    return carried;
  }
  ASSIGN_OR_RETURN(const Embedded embedded,
                   EmbedQuarantine(bench, quarantine, adapt::InputHypothesis{}, Events::kAll));
  adapt::CarryRequest request;
  request.bundle = bundle.bundle;
  request.adaptation = &served;
  request.knn = &bench.classifier();
  request.rows = embedded.ids;
  request.labels = embedded.labels;
  request.judge_rule.seed = seed;
  std::optional<adapt::InputSearch> search;
  std::vector<float> raw;
  if (bundle.is_image) {
    const adapt::PictureSize size{.width = bundle.image_rule.width,
                                  .height = bundle.image_rule.height};
    std::vector<adapt::InputHypothesis> hypotheses{adapt::InputHypothesis{}};
    if (!served.hypothesis.is_identity()) hypotheses.push_back(served.hypothesis);
    ASSIGN_OR_RETURN(adapt::InputSearch made,
                     adapt::InputSearch::Create(
                         std::move(hypotheses), size, bench.classifier(),
                         [&](std::span<const std::uint8_t> picture, std::span<float> feature) {
                           return bench.Embed(picture, raw, feature);
                         }));
    search.emplace(std::move(made));
    for (const std::string& id : embedded.ids) {
      ASSIGN_OR_RETURN(const base::Bytes file, quarantine.Picture(id));
      std::vector<std::uint8_t> picture;
      RETURN_IF_ERROR(bench.Decode({.bytes = file}, picture));
      const auto label = quarantine.labels().find(id);
      RETURN_IF_ERROR(search->Add(picture, label == quarantine.labels().end()
                                               ? std::nullopt
                                               : std::optional(label->second.label)));
    }
    request.search = &*search;
  } else if (!served.hypothesis.is_identity()) {
    ASSIGN_OR_RETURN(
        adapt::InputSearch made,
        adapt::InputSearch::Create({adapt::InputHypothesis{}, served.hypothesis},
                                   bundle.raw_count(), bench.classifier(),
                                   [&](std::span<const float> row, std::span<float> feature) {
                                     raw.assign(row.begin(), row.end());
                                     return bench.Embed({}, raw, feature);
                                   }));
    search.emplace(std::move(made));
    for (const std::string& id : embedded.ids) {
      const auto label = quarantine.labels().find(id);
      RETURN_IF_ERROR(search->Add(
          std::span<const float>(quarantine.Find(id)->raw),
          label == quarantine.labels().end() ? std::nullopt : std::optional(label->second.label)));
    }
    request.search = &*search;
  } else {
    request.features = embedded.features;
  }
  if (embedded.ids.empty()) {
    carried.dropped.push_back("no sample is left to judge the adaptation by");
    return carried;
  }
  return adapt::Carry(request);
}

HealthWatch::Asks AskedOf(const model::ModelBundle& running, const model::ModelBundle& next) {
  // Of what plain bundle a bundle is one taught version; its own identity where it is plain.
  const auto plain = [](const model::ModelBundle& bundle) {
    return bundle.taught.empty() ? bundle.bundle : bundle.manifest.lineage.parent.value_or("");
  };
  const bool is_one_model = plain(running) == plain(next) || plain(next) == running.bundle ||
                            plain(running) == next.bundle;
  return {.agreement = !is_one_model, .confidence = !is_one_model || !next.taught.empty()};
}

double HealthWatch::agreement() const {
  return static_cast<double>(agreed_) / std::max(1u, frames_);
}

std::optional<HealthWatch::Verdict> HealthWatch::Add(bool agrees, double new_confidence,
                                                     double old_confidence) {
  ++frames_;
  if (agrees) ++agreed_;
  confidence_new_ += new_confidence;
  confidence_old_ += old_confidence;
  if (frames_ < wanted_) return std::nullopt;
  if (asks_.agreement && agreement() < kAgreementMin) {
    return Verdict{false,
                   StrCat("agrees with the one before on ", base::FormatShort(100 * agreement()),
                          " % of ", frames_, " frames; ", 100 * kAgreementMin, " % is asked")};
  }
  if (asks_.confidence && confidence_new_ < kConfidenceShareMin * confidence_old_) {
    return Verdict{
        false, StrCat("mean confidence fell from ", base::FormatShort(confidence_old_ / frames_),
                      " to ", base::FormatShort(confidence_new_ / frames_))};
  }
  if (new_canary_ < old_canary_ - kCanaryLossMax) {
    return Verdict{false, StrCat("canary accuracy ", new_canary_, ", ", old_canary_, " before")};
  }
  return Verdict{};
}

}  // namespace tinylcm::pipeline
