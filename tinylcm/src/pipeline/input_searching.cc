#include "tinylcm/src/pipeline/input_searching.h"

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "tinylcm/adapt/picture_hypotheses.h"

namespace tinylcm::pipeline {

base::Result<InputSearched> SearchInput(Serving& bench, const adapt::Quarantine& quarantine) {
  const model::ModelBundle& bundle = bench.bundle();
  const adapt::PictureSize size{.width = bundle.image_rule.width,
                                .height = bundle.image_rule.height};
  adapt::PictureStatistics statistics(size);
  std::vector<std::vector<std::uint8_t>> pictures;
  std::vector<std::optional<std::uint16_t>> labels;
  const auto& samples = quarantine.samples();
  for (std::size_t i = quarantine.current_begin(); i < samples.size(); ++i) {
    const auto file = quarantine.Picture(samples[i].sample_id);
    if (!file.ok()) continue;
    std::vector<std::uint8_t> picture;
    if (!bench.Decode({.bytes = *file}, picture).ok()) continue;
    statistics.Add(picture);
    pictures.push_back(std::move(picture));
    const auto label = quarantine.labels().find(samples[i].sample_id);
    labels.push_back(label == quarantine.labels().end() ? std::nullopt
                                                        : std::optional(label->second.label));
  }
  ASSIGN_OR_RETURN(
      std::vector<adapt::InputHypothesis> hypotheses,
      adapt::MakeHypotheses(
          {.size = size, .mean = bundle.reference.mean_image, .sd = bundle.reference.sd_image},
          statistics));
  std::vector<float> raw;
  ASSIGN_OR_RETURN(adapt::InputSearch search,
                   adapt::InputSearch::Create(
                       std::move(hypotheses), size, bench.classifier(),
                       [&](std::span<const std::uint8_t> picture, std::span<float> feature) {
                         return bench.Embed(picture, raw, feature);
                       }));
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    RETURN_IF_ERROR(search.Add(pictures[i], labels[i]));
  }
  InputSearched out;
  out.pictures = pictures.size();
  out.result = search.Finish({});
  const adapt::InputSearchResult& result = out.result;
  for (std::size_t i = 0; i < result.scores.size(); ++i) {
    const auto& score = result.scores[i];
    protocol::AdaptationReport::Candidate candidate;
    candidate.stage = "hypothesis";
    candidate.name = score.name;
    if (result.labelled > 0) candidate.score = static_cast<double>(score.correct) / result.labelled;
    candidate.distance_ratio = score.distance / result.scores[0].distance;
    const bool is_best = i == result.best;
    candidate.verdict = is_best && (result.is_adopted || i == 0) ? "served" : "rejected";
    candidate.reason = !is_best            ? "another is nearer to the anchors"
                       : result.is_vetoed  ? "vetoed by labels"
                       : result.is_adopted ? "nearest to the anchors"
                                           : "not near enough to change the input";
    out.candidates.push_back(std::move(candidate));
  }
  return out;
}

}  // namespace tinylcm::pipeline
