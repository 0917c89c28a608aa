#include "tinylcm/src/pipeline/judging.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

#include "base/text.h"

namespace tinylcm::pipeline {

using base::Result;
using base::StrCat;

Result<Embedded> EmbedQuarantine(Serving& bench, const adapt::Quarantine& quarantine,
                                 const adapt::InputHypothesis& hypothesis, Events events) {
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
  const std::span<const adapt::QuarantinedSample> samples = quarantine.samples();
  const std::size_t begin = events == Events::kAll ? 0 : quarantine.current_begin();
  for (const adapt::QuarantinedSample& sample : samples.subspan(begin)) {
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
      out.labelled.push_back(
          {static_cast<std::uint32_t>(out.ids.size()), label->second.label, label->second.weight});
      out.labels.push_back(label->second);
    }
    out.ids.push_back(sample.sample_id);
    out.features.insert(out.features.end(), feature.begin(), feature.end());
  }
  return out;
}

namespace {

// Whether what serves can be judged by these labels as it is: it was made for the same input, they
// did not teach it, and it numbers its classes as they do. An empty one says nothing.
bool IsOfItsOwn(const adapt::Adaptation& served, const adapt::InputHypothesis& hypothesis,
                const std::vector<std::string>& opened, const std::vector<adapt::Label>& labels) {
  if (served.challenger.is_none() || served.hypothesis != hypothesis) return false;
  if (served.opened.size() > opened.size() ||
      !std::equal(served.opened.begin(), served.opened.end(), opened.begin())) {
    return false;
  }
  // A head has an output a class.
  if (served.head && served.opened.size() != opened.size()) return false;
  return std::ranges::none_of(labels, [&](const adapt::Label& label) {
    return std::ranges::any_of(served.labels, [&](const adapt::Label& taught) {
      return taught.sample_id == label.sample_id;
    });
  });
}

// The bundle's canary, and how much of it is right with what serves.
Result<adapt::KnownBefore> KnownTo(Serving& bench, const adapt::Adaptation& served) {
  const classify::Anchors& canary = bench.bundle().canary;
  if (canary.size() == 0) return adapt::KnownBefore{};
  ASSIGN_OR_RETURN(
      const std::size_t right,
      adapt::RightOfCanary(bench.classifier(), canary, served.memory,
                           static_cast<std::uint32_t>(served.opened.size()), served.head));
  return adapt::KnownBefore{
      .canary = &canary, .right = static_cast<double>(right) / static_cast<double>(canary.size())};
}

}  // namespace

Result<Judged> JudgeChallengers(Serving& bench, const adapt::Quarantine& quarantine,
                                const adapt::InputHypothesis& hypothesis,
                                const std::string& event_id, std::uint64_t seed,
                                const adapt::Adaptation& served) {
  ASSIGN_OR_RETURN(const Embedded embedded,
                   EmbedQuarantine(bench, quarantine, hypothesis, Events::kCurrent));
  adapt::JudgeRule rule;
  rule.seed = seed;
  rule.opened = static_cast<std::uint32_t>(quarantine.opened().size());
  std::optional<adapt::Challenger> met_before;
  if (IsOfItsOwn(served, hypothesis, quarantine.opened(), embedded.labels)) {
    met_before = adapt::Challenger{.kind = {adapt::Alignment::kNone, adapt::Memory::kConcept},
                                   .transform = served.transform,
                                   .memory = served.memory,
                                   .provenance = {},
                                   .head = served.head};
  }
  ASSIGN_OR_RETURN(const adapt::KnownBefore known, KnownTo(bench, served));
  Judged out;
  ASSIGN_OR_RETURN(out.judgement,
                   adapt::Judge(bench.classifier(), embedded.features, embedded.labelled, rule,
                                met_before ? &*met_before : nullptr, known));
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
                              score.is_eligible ? "" : ", not eligible: ", score.why_not);
    out.candidates.push_back(std::move(candidate));
  }
  const adapt::ChallengerScore& winner = judgement.scores[judgement.winner];
  out.figures.labels = judgement.labels;
  out.figures.correct = winner.correct;
  out.figures.correct_before = judgement.scores[0].correct;
  out.figures.is_trusted = judgement.is_trusted;
  for (const std::uint32_t i : judgement.refused) {
    out.figures.refused.push_back(embedded.labels[i].sample_id);
  }
  if (!judgement.is_trusted) {
    out.figures.why = StrCat("the labels contradict one another: ", judgement.refused.size(),
                             " of ", judgement.labels, " are not what the others make of them");
  }
  out.composed = adapt::Compose(bench.bundle().bundle, event_id, hypothesis, judgement,
                                embedded.ids, embedded.labels, quarantine.opened(), &served);
  return out;
}

}  // namespace tinylcm::pipeline
