// The judge: labels decide which challenger serves, and whether one serves at all.
//
// Every challenger is made again and again with a twelfth of the labels left out and asked for the
// labels it did not see. Two numbers come out: how many it got right, and how sure it was of the
// truth (mean log of the true class's share of the votes + .02). It may serve only if it loses no
// labelled sample and either lies nearer to the anchors or gains labels beyond luck; among those
// the surest wins, and a tie goes to the least invasive. "None" is always among them.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/challenger.h"
#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::adapt {

struct JudgeRule {
  std::uint32_t folds = 12;
  double share_floor = 0.02;     // Inside the logarithm: one sample cannot decide alone.
  double nearer_ratio = 0.98;    // Of none's distance to the anchors.
  double gain_share = 0.1;       // Or this share of the labels gained...
  int gain_min = 2;              // ...and at least so many.
  double tie_errors = 1.0;       // Standard errors within which two are as good as each other.
  std::uint32_t opened = 0;      // Classes people opened: their labels follow the bundle's.
  std::uint32_t labels_min = 6;  // With fewer nothing is changed.
  std::uint64_t seed = 1;        // Deals the labels into folds.
  ChallengerOptions challenger = {};
};

struct ChallengerScore {
  ChallengerKind kind;
  double score = 0.0;
  int correct = 0;
  double distance = 0.0;  // Mean distance of the quarantine to its nearest anchors.
  bool is_eligible = false;
  std::vector<double> each;  // What `score` is the mean of, one a label.
};

struct Judgement {
  std::vector<ChallengerScore> scores;  // In the order of AllChallengers().
  std::size_t winner = 0;
  int labels = 0;
  Challenger challenger;  // The winner, made from all labels.
};

// `features`: the quarantine, rows x dims, in the accepted input space; `labelled` names the rows a
// person labelled. `knn` gives metric and k, its memory is left as it was found.
// kInvalidArgument for a row or label out of range.
base::Result<Judgement> Judge(classify::KnnClassifier& knn, std::span<const float> features,
                              std::span<const LabelledRow> labelled, const JudgeRule& rule);

}  // namespace tinylcm::adapt
