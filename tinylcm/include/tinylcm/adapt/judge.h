// The judge: labels decide which challenger serves, and whether one serves at all.
//
// Every challenger is made again and again with a twelfth of the labels left out and asked for the
// labels it did not see. Two numbers come out: how many it got right, and how sure it was of the
// truth (mean log of the true class's share of the votes + .02). That is hard on memory: a label
// left out takes its whole cluster with it, which no sample in service does. So a fifth of a
// memory's score is how sure it is of its own clusters, of samples it does not remember.
//
// A challenger may serve only if it loses no labelled sample and either lies nearer to the anchors,
// or gains labels beyond luck, or remembers: where nothing that only aligns gets half of them
// right, or where people opened a class, which nothing else can answer.
// And never one that forgets what was known, for its trial would end before it began: each is asked
// for the bundle's canary, by the gate that will guard it.
// The surest wins; a tie goes to the least invasive. "None" is always among them.
//
// Labels are judged too: where the surest of all challengers, asked for labels it did not see, is
// sure of something else again and again, the labels contradict each other and none is learned.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/challenger.h"
#include "tinylcm/adapt/gate.h"
#include "tinylcm/classify/anchors.h"
#include "tinylcm/classify/head.h"
#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::adapt {

struct JudgeRule {
  std::uint32_t folds = 12;
  double share_floor = 0.02;   // Inside the logarithm: one sample cannot decide alone.
  double nearer_ratio = 0.98;  // Of none's distance to the anchors.
  double gain_share = 0.1;     // Or this share of the labels gained...
  int gain_min = 2;            // ...and at least so many.
  double hopeless = 0.5;       // Or memory, where no alignment gets this share right.
  double covered_share = 0.2;  // Of a memory's score: how sure it is of its own clusters.
  double none_margin = 0.03;   // As good as none: what is not surer than it by this.
  // Log odds that three labels in ten are wrong rather than one, above which they are not trusted:
  // where the bundle alone explains half of them, where an alignment of it does, and where nothing
  // but memory can (a memory is sure of itself, and labels left out of it contradict each other
  // also when all are right).
  double poison_odds = -0.5;
  double poison_odds_aligned = 1.5;
  double poison_odds_hopeless = 5.0;
  std::uint32_t poison_labels_min = 18;  // Fewer cannot contradict each other.
  double contradicted = 0.05;            // Share of the votes below which a label is contradicted.
  std::uint32_t opened = 0;              // Classes people opened: their labels follow the bundle's.
  std::uint32_t labels_min = 6;          // With fewer nothing is changed.
  std::uint64_t seed = 1;                // Deals the labels into folds.
  CanaryRule canary_rule = {};           // Of the gate that guards the trial.
  ChallengerOptions challenger = {};
};

struct ChallengerScore {
  ChallengerKind kind;
  double score = 0.0;     // On labels it did not see, by their weights.
  int correct = 0;        // Of them.
  double right = 0.0;     // The weights of those.
  double covered = 0.0;   // On samples of its clusters that it does not remember; memory only.
  double expected = 0.0;  // What it is chosen by: `score`, for memory with a share of `covered`.
  double distance = 0.0;  // Mean distance of the quarantine to its nearest anchors.
  bool is_eligible = false;
  std::string why_not;       // In words; empty where it is eligible.
  std::vector<double> each;  // What `score` is the mean of, one a label, in their order.
};

struct Judgement {
  std::vector<ChallengerScore>
      scores;              // In the order of AllChallengers(), then the one met before.
  std::size_t winner = 0;  // "None" where the labels are not trusted.
  int labels = 0;
  Challenger challenger;  // The winner, made from all labels.
  bool is_trusted = true;
  double poison_odds = 0.0;            // Log odds for many wrong labels over few.
  std::vector<std::uint32_t> refused;  // Not trusted: the labels, by index, that were contradicted.
};

// What was known before: samples that nothing was fitted on, as they come, not transformed.
struct KnownBefore {
  const classify::Anchors* canary = nullptr;  // Null or empty: nothing is known.
  double right = 0.0;  // Share right with what serves, where that is more than by the bundle alone.
};

// `features`: the quarantine, rows x dims, in the accepted input space; `labelled` names the rows a
// person labelled. `knn` gives metric and k, its memory is left as it was found. `met_before`, if
// not null: a concept's transform, memory and head, of kind Memory::kConcept, which none of the
// labels taught.
// kInvalidArgument for a row, label or weight out of range.
base::Result<Judgement> Judge(classify::KnnClassifier& knn, std::span<const float> features,
                              std::span<const LabelledRow> labelled, const JudgeRule& rule,
                              const Challenger* met_before = nullptr,
                              const KnownBefore& known = {});

// How many of the canary are right with this memory (for `opened` classes more) and head. The
// memory of `knn` is left as it was found.
base::Result<std::size_t> RightOfCanary(classify::KnnClassifier& knn,
                                        const classify::Anchors& canary,
                                        const classify::Anchors& memory, std::uint32_t opened,
                                        const std::optional<classify::HeadTensors>& head);

}  // namespace tinylcm::adapt
