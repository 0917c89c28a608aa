#include "tinylcm/src/pipeline/judging.h"

#include <optional>
#include <utility>

#include "base/text.h"

namespace tinylcm::pipeline {

using base::Result;
using base::StrCat;

Result<Embedded> EmbedQuarantine(Serving& bench, const adapt::Quarantine& quarantine,
                                 const adapt::InputHypothesis& hypothesis) {
  const model::ModelBundle& bundle = bench.bundle();
  Embedded out;
  std::optional<adapt::PictureTransform> transform;
  std::optional<adapt::RowTransform> row_transform;
  if (!bundle.is_image && !hypothesis.is_identity()) {
    ASSIGN_OR_RETURN(adapt::RowTransform made,
                     adapt::RowTransform::Create(hypothesis, bundle.raw_count()));
    row_transform = std::move(made);
  } else if (!hypothesis.is_identity()) {
    ASSIGN_OR_RETURN(
        adapt::PictureTransform made,
        adapt::PictureTransform::Create(
            hypothesis, {.width = bundle.image_rule.width, .height = bundle.image_rule.height}));
    transform = std::move(made);
  }
  std::vector<float> raw, feature(bundle.feature_count());
  std::vector<std::uint8_t> picture;
  for (const adapt::QuarantinedSample& sample : quarantine.samples()) {
    if (bundle.is_image) {
      const auto file = quarantine.Picture(sample.sample_id);
      if (!file.ok() || !bench.Decode({.bytes = *file}, picture).ok()) continue;
      if (transform) transform->Apply(picture);
    } else {
      if (sample.raw.size() != bundle.raw_count()) continue;
      raw = sample.raw;
      if (row_transform) row_transform->Apply(raw);
    }
    RETURN_IF_ERROR(bench.Embed(picture, raw, feature));
    const auto label = quarantine.labels().find(sample.sample_id);
    if (label != quarantine.labels().end()) {
      out.labelled.push_back({static_cast<std::uint32_t>(out.ids.size()), label->second.label});
      out.labels.push_back(label->second);
    }
    out.ids.push_back(sample.sample_id);
    out.features.insert(out.features.end(), feature.begin(), feature.end());
  }
  return out;
}

Result<Judged> JudgeChallengers(Serving& bench, const adapt::Quarantine& quarantine,
                                const adapt::InputHypothesis& hypothesis,
                                const std::string& event_id, std::uint64_t seed) {
  ASSIGN_OR_RETURN(const Embedded embedded, EmbedQuarantine(bench, quarantine, hypothesis));
  adapt::JudgeRule rule;
  rule.seed = seed;
  Judged out;
  ASSIGN_OR_RETURN(out.judgement,
                   adapt::Judge(bench.classifier(), embedded.features, embedded.labelled, rule));
  const adapt::Judgement& judgement = out.judgement;
  for (std::size_t i = 0; i < judgement.scores.size(); ++i) {
    const adapt::ChallengerScore& score = judgement.scores[i];
    protocol::AdaptationReport::Candidate candidate;
    candidate.stage = "challenger";
    candidate.name = score.kind.name();
    if (judgement.labels > 0) {
      candidate.score = static_cast<double>(score.correct) / judgement.labels;
    }
    candidate.verdict = i == judgement.winner ? "served" : "rejected";
    candidate.reason = StrCat(score.correct, " of ", judgement.labels, " labels right",
                              score.is_eligible ? "" : ", not eligible");
    out.candidates.push_back(std::move(candidate));
  }
  out.composed = adapt::Compose(bench.bundle().bundle, event_id, hypothesis, judgement,
                                embedded.ids, embedded.labels);
  return out;
}

}  // namespace tinylcm::pipeline
