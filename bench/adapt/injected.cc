#include "bench/adapt/injected.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "tinylcm/adapt/cluster.h"
#include "tinylcm/adapt/machine.h"
#include "tinylcm/model/engine.h"
#include "tinylcm/pipeline/serving.h"

namespace bench::adapt {

namespace {

namespace adapting = tinylcm::adapt;
namespace pipeline = tinylcm::pipeline;

constexpr std::uint32_t kAsked = 24;

base::Result<std::unique_ptr<pipeline::Serving>> Serve(const Deal& deal,
                                                       const adapting::Adaptation& adaptation) {
  std::unique_ptr<tinylcm::feature::FeatureModel> engine;
  if (deal.bundle->is_image) {
    ASSIGN_OR_RETURN(engine, tinylcm::model::OpenEngine(deal.bundle->feature_model,
                                                        deal.bundle->engine_options()));
  }
  return pipeline::Serving::Create(deal.bundle, std::move(engine), adaptation, {});
}

base::Result<double> Accuracy(pipeline::Serving& serving, const Deal& deal) {
  pipeline::Inference inference;
  std::size_t right = 0;
  for (const Shown& shown : deal.scored) {
    RETURN_IF_ERROR(serving.Infer(shown.frame, inference));
    right += inference.prediction.nearest == shown.label ? 1 : 0;
  }
  return static_cast<double>(right) / static_cast<double>(deal.scored.size());
}

std::uint16_t Another(std::uint16_t label, std::size_t classes, base::Random& random) {
  return static_cast<std::uint16_t>((label + 1 + random.Below(classes - 1)) % classes);
}

}  // namespace

base::Result<Injection> Inject(const Deal& deal, Injected what, double wrong, std::size_t samples,
                               std::uint64_t seed) {
  base::Random random(seed);
  adapting::Adaptation base;
  base.bundle = deal.bundle->bundle;
  ASSIGN_OR_RETURN(const auto champion, Serve(deal, base));

  // What is remembered, and under which label.
  const std::size_t count = std::min<std::size_t>(deal.quarantine, deal.changed.size());
  const std::size_t classes = deal.bundle->manifest.labels.size();
  pipeline::Inference inference;
  std::vector<float> features;
  std::vector<std::uint16_t> said;
  std::size_t dims = 0;
  for (std::size_t i = 0; i < count; ++i) {
    RETURN_IF_ERROR(champion->Infer(deal.changed[i].frame, inference));
    dims = inference.feature.size();
    features.insert(features.end(), inference.feature.begin(), inference.feature.end());
    said.push_back(inference.prediction.nearest);
  }
  adapting::Adaptation poisoned = base;
  poisoned.event_id = "e-1";
  poisoned.challenger.memory =
      what == Injected::kLabels ? adapting::Memory::kPropagated : adapting::Memory::kPseudo;
  const auto remember = [&](std::size_t row, std::uint16_t label, float weight, std::size_t teacher,
                            std::size_t cluster) {
    poisoned.memory.Add(std::span(features).subspan(row * dims, dims), label, weight);
    poisoned.entries.push_back({.sample_id = base::StrCat("e-1-", row),
                                .taught_by = base::StrCat("e-1-", teacher),
                                .feedback_id = "f-1",
                                .origin = what == Injected::kPseudoLabels
                                              ? adapting::LabelOrigin::kPseudo
                                          : row == teacher ? adapting::LabelOrigin::kPerson
                                                           : adapting::LabelOrigin::kPropagated,
                                .cluster = static_cast<std::uint32_t>(cluster)});
  };
  if (what == Injected::kPseudoLabels) {
    for (std::size_t i = 0; i < count; ++i) {
      const bool is_wrong = random.Uniform() < wrong;
      remember(i, is_wrong ? Another(said[i], classes, random) : said[i], 1.0f, i, 0);
    }
  } else {
    const adapting::Clustering clustering =
        adapting::Cluster(features, dims, {.clusters = kAsked, .seed = seed});
    for (std::size_t c = 0; c < clustering.medoids.size(); ++c) {
      const std::size_t medoid = clustering.medoids[c];
      std::uint16_t label = deal.changed[medoid].label;
      if (random.Uniform() < wrong) label = Another(label, classes, random);
      remember(medoid, label, 3.0f, medoid, c);
      std::size_t taken = 0;
      for (std::size_t i = 0; i < count && taken < 8; ++i) {
        if (clustering.cluster_of[i] != c || i == medoid) continue;
        remember(i, label, 1.0f, medoid, c);
        ++taken;
      }
    }
  }

  Injection injection;
  ASSIGN_OR_RETURN(const auto challenger, Serve(deal, poisoned));
  ASSIGN_OR_RETURN(injection.champion, Accuracy(*champion, deal));
  ASSIGN_OR_RETURN(injection.challenger, Accuracy(*challenger, deal));

  const adapting::MachineOptions options;
  const auto alone = std::make_shared<const adapting::Adaptation>(base);
  const base::Bytes before = adapting::Serialise(*alone);
  adapting::MachineState state = adapting::MachineState::Fresh(alone);
  const auto happened = [&](const adapting::MachineEvent& event) {
    state = adapting::Next(options, std::move(state), event).state;
  };
  adapting::Alarm alarm;
  alarm.event_id = "e-1";
  happened(alarm);
  happened(adapting::Collected{
      .index = count, .count = static_cast<std::uint32_t>(count), .is_full = true});
  adapting::Told told;
  told.index = count;
  told.feedback.feedback_id = "f-1";
  adapting::Label label;
  label.sample_id = "e-1-0";
  label.feedback_id = "f-1";
  told.feedback.labels.push_back(label);
  happened(told);
  adapting::Judged judged;
  judged.index = count;
  // The least that gets past the judge: two labels of 24 more than the champion has right.
  judged.figures.labels = kAsked;
  judged.figures.correct_before = kAsked / 2;
  judged.figures.correct = kAsked / 2 + 2;
  judged.composed = std::make_shared<const adapting::Adaptation>(poisoned);
  happened(judged);
  if (state.state != adapting::AdaptState::kProbation) {
    return base::Error{base::ErrorCode::kInternal,
                       base::StrCat("the machine tries nothing, it is ", Name(state.state))};
  }
  adapting::CanaryMeasured canary;
  canary.index = count;
  canary.before = champion->CanaryAccuracy();
  canary.after = challenger->CanaryAccuracy();
  canary.count = static_cast<std::uint32_t>(deal.bundle->canary.size());
  happened(canary);
  pipeline::Inference other;
  for (std::size_t i = 0; i < samples && state.state == adapting::AdaptState::kProbation; ++i) {
    const Shown& shown = deal.changed[(count + i) % deal.changed.size()];
    RETURN_IF_ERROR(champion->Infer(shown.frame, inference));
    RETURN_IF_ERROR(challenger->Infer(shown.frame, other));
    happened(
        adapting::Shadowed{.index = count + i + 1,
                           .sample = {.champion_distance = inference.prediction.anchor_distance,
                                      .champion_confidence = inference.prediction.confidence,
                                      .challenger_distance = other.prediction.anchor_distance,
                                      .challenger_confidence = other.prediction.confidence,
                                      .champion_label = inference.prediction.nearest,
                                      .challenger_label = other.prediction.nearest}});
    if (state.state == adapting::AdaptState::kRolledBack) injection.undone_after = i + 1;
  }
  if (state.state == adapting::AdaptState::kRolledBack && !injection.undone_after) {
    injection.undone_after = 0;  // The canary.
  }
  injection.is_identical = adapting::Serialise(*state.served) == before;
  return injection;
}

}  // namespace bench::adapt
