#include "tinylcm/src/pipeline/input_searching.h"

#include <cstdint>
#include <optional>
#include <span>

namespace tinylcm::pipeline {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;

namespace {

std::optional<std::uint16_t> LabelOf(const adapt::Quarantine& quarantine, const std::string& id) {
  const auto label = quarantine.labels().find(id);
  if (label == quarantine.labels().end()) return std::nullopt;
  return label->second.label;
}

using Samples = std::span<const adapt::QuarantinedSample>;

// What rows are put right by brings them all the way back, or was not what happened to them: a
// plug-board that was plugged otherwise comes a third nearer by gains and offsets, and is as wrong
// as before. (A picture that was out of focus stays farther off and is better all the same.)
constexpr double kRowsUsualTimesMax = 1.5;

// Mean distance of the bundle's canary to its anchors; 0 without one.
double UsualDistance(Serving& bench) {
  const classify::Anchors& canary = bench.bundle().canary;
  double sum = 0.0;
  for (std::size_t i = 0; i < canary.size(); ++i) {
    sum += static_cast<double>(bench.classifier().Classify(canary.row(i)).anchor_distance);
  }
  return canary.size() == 0 ? 0.0 : sum / static_cast<double>(canary.size());
}

Result<adapt::InputSearchResult> SearchPictures(Serving& bench, const adapt::Quarantine& quarantine,
                                                Samples samples,
                                                const adapt::InputHypothesis& served) {
  const model::ModelBundle& bundle = bench.bundle();
  const adapt::PictureReference reference{
      .size = {.width = bundle.image_rule.width, .height = bundle.image_rule.height},
      .mean = bundle.reference.mean_image,
      .sd = bundle.reference.sd_image,
      .histogram = bundle.reference.histogram};
  if (reference.mean.empty()) return Error{ErrorCode::kUnavailable, "no mean image"};
  const adapt::PictureShelf shelf{
      .count = samples.size(),
      .read = [&](std::size_t i, std::vector<std::uint8_t>& picture) -> Status {
        ASSIGN_OR_RETURN(const base::Bytes file, quarantine.Picture(samples[i].sample_id));
        return bench.Decode({.bytes = file}, picture);
      },
      .label = [&](std::size_t i) { return LabelOf(quarantine, samples[i].sample_id); }};
  std::vector<float> raw;
  return adapt::SearchPictures(
      reference, shelf, bench.classifier(),
      [&](std::span<const std::uint8_t> picture, std::span<float> feature) {
        return bench.Embed(picture, raw, feature);
      },
      served, {});
}

Result<adapt::InputSearchResult> SearchRows(Serving& bench, const adapt::Quarantine& quarantine,
                                            Samples samples, const adapt::InputHypothesis& served) {
  const model::Reference& known = bench.bundle().reference;
  if (known.channel_mean.empty()) return Error{ErrorCode::kUnavailable, "no channel means"};
  std::vector<adapt::SearchedRow> rows;
  for (const adapt::QuarantinedSample& sample : samples) {
    rows.push_back({sample.raw, LabelOf(quarantine, sample.sample_id)});
  }
  adapt::SearchRule rule;
  rule.usual_distance = UsualDistance(bench);
  rule.usual_times_max = kRowsUsualTimesMax;
  std::vector<float> raw;
  return adapt::SearchRows(
      {.mean = known.channel_mean,
       .sd = known.channel_sd,
       .mode_share = known.channel_mode_share,
       .covariance = known.channel_covariance},
      rows, bench.classifier(),
      [&](std::span<const float> row, std::span<float> feature) {
        raw.assign(row.begin(), row.end());
        return bench.Embed({}, raw, feature);
      },
      served, rule);
}

// What there is to say where nothing could be tried.
adapt::InputSearchResult Nothing() {
  adapt::InputSearchResult nothing;
  nothing.scores.push_back({.name = adapt::InputHypothesis{}.name()});
  return nothing;
}

}  // namespace

Result<InputSearched> SearchInput(Serving& bench, const adapt::Quarantine& quarantine,
                                  const adapt::InputHypothesis& served) {
  const Samples samples = Samples(quarantine.samples()).subspan(quarantine.current_begin());
  Result<adapt::InputSearchResult> searched =
      bench.bundle().is_image ? SearchPictures(bench, quarantine, samples, served)
                              : SearchRows(bench, quarantine, samples, served);
  if (!searched.ok() && searched.error().code != ErrorCode::kUnavailable) return searched.error();
  InputSearched out;
  out.result = searched.ok() ? std::move(*searched) : Nothing();
  const adapt::InputSearchResult& result = out.result;
  for (std::size_t i = 0; i < result.scores.size(); ++i) {
    const auto& score = result.scores[i];
    protocol::AdaptationReport::Candidate candidate;
    candidate.stage = "hypothesis";
    candidate.name = score.name;
    if (result.labelled > 0) candidate.score = static_cast<double>(score.correct) / result.labelled;
    const double identity = result.scores[0].distance;
    candidate.distance_ratio = identity > 0.0 ? score.distance / identity : 1.0;
    const bool is_best = i == result.best;
    candidate.verdict = is_best && (result.is_adopted || i == 0) ? "served" : "rejected";
    const bool is_nearer = score.distance < result.scores[result.best].distance;
    candidate.reason = is_nearer            ? "not so much nearer that it is worth the more"
                       : !is_best           ? "another is nearer to the anchors"
                       : result.is_vetoed   ? "vetoed by labels"
                       : result.is_adopted  ? "nearest to the anchors"
                       : result.is_far      ? "nearer, but not where known samples lie"
                       : result.judged == 0 ? "nothing to search by"
                                            : "not near enough to change the input";
    out.candidates.push_back(std::move(candidate));
  }
  return out;
}

}  // namespace tinylcm::pipeline
