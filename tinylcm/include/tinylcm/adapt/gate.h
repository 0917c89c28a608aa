// Gates: what must hold before a change serves, and while it is on trial. Each says yes or no and
// why, in words a person can read; none of them touches anything.
//
//   evidence     the alarm is one the user asked for                       (before anything)
//   accuracy     at least half of the answers are surely right             (or: ask, and abstain)
//   input        a corrected input lies clearly nearer to what is known    (before it serves)
//   labels       people agree, and lose nothing by the change              (before it serves)
//   canary       what was known is not forgotten                           (once it serves)
//   classes      the answers do not collapse into fewer classes            (on trial)
//   bets         paired with what served before, it is not surely worse    (on trial)
//   end          nor worse in the mean when the trial ends                 (on trial)
//
// The bets are an e-process (Shafer, JRSS A 2021; Ramdas et al., Statistical Science 2023): a
// gambler who starts with 1 and stakes on "the challenger is worse" can expect no more than 1 as
// long as that is not so, at any time he looks; once he owns 100, either it is so or something of
// one chance in a hundred has happened.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tinylcm/adapt/input_search.h"

namespace tinylcm::adapt {

struct Gate {
  bool passed = true;
  std::string reason;
};

// How many of the answers since the alarm are right, without labels: accuracy/estimator's word.
struct AccuracyClaim {
  bool is_known = false;
  double mean = 0.0;
  double low = 0.0;  // 90 % interval.
  double high = 1.0;
  double gap = 0.0;  // Of the ranks of the distances among the held-out ones, 0 to 1.
};

// What the judge found (adapt/judge.h).
struct JudgeFigures {
  int labels = 0;
  int correct = 0;         // Of the labels, left out, under what the judge would serve.
  int correct_before = 0;  // Under the bundle alone in the same input space.
  // False: the labels contradict one another; nothing can be learned from them as they are.
  bool is_trusted = true;
  std::string why;                   // Why not.
  std::vector<std::string> refused;  // Samples whose labels the others contradict.
};

// The alarm's evidence against what was asked for: `log10_e` is that of the e-detector, which
// alarms at the samples between false alarms. Nothing to compare (an alarm rule of the user's own):
// passed.
Gate EvidenceHolds(std::optional<double> log10_e, std::optional<double> target_samples);
// `claim.low` is made to hold in 9 of 10 windows, but after an alarm each window is one of the odd
// ones. A gap of g says that at least g of the answers are of inputs such as the score was not kept
// on (Kolmogorov and Smirnov's distance is no more than the total variation); all of these may be
// wrong, so sure is what is left of `low` without them.
Gate AccuracyHolds(const AccuracyClaim& claim, double at_least);
Gate InputHelps(const InputSearchResult& result);
Gate LabelsAgree(const JudgeFigures& figures);
// What was known before, on samples nothing was fitted on, as it is answered now.
struct CanaryFigures {
  double before = 0.0;  // Accuracy.
  double after = 0.0;
  std::uint32_t count = 0;   // Samples; 0: unknown, as many as prove the loss.
  double labels_gain = 0.0;  // Share of people's labels right now that were not before.
};
struct CanaryRule {
  double loss_max = 0.01;      // Passed as it is...
  double errors = 2.0;         // ... as is what lies within so many standard errors,
  double outweighed_by = 3.0;  // ... and what people's labels gain so many times over;
  double loss_never = 0.1;     // but never more than that.
};
// The canary is of the world as it was: it may veto what labels do not clearly want.
Gate CanaryHolds(const CanaryFigures& canary, const CanaryRule& rule);

// One sample as champion and challenger see it.
struct ProbationSample {
  float champion_distance = 0.0f;  // To the anchors.
  float champion_confidence = 0.0f;
  float challenger_distance = 0.0f;
  float challenger_confidence = 0.0f;
  std::uint16_t champion_label = 0;  // Said or not: always a class.
  std::uint16_t challenger_label = 0;
};

// How much worse off the stream is with the challenger by this sample, in [-1, 1]. A change counts
// only where distance and confidence say the same: a memory that labels chose may lie farther from
// the anchors and still be right, and one that is made of its own answers is sure of itself. Where
// both give the same answer it counts a quarter. Where no distance moved (a memory alone), what
// counts is which answers changed: against one of chance p of being right, it loses 2 p - 1.
double PairedLoss(const ProbationSample& sample);

// Stakes on one side of a paired comparison. A plain value.
struct Bets {
  static constexpr std::array<double, 4> kStakes = {0.1, 0.2, 0.4, 0.8};
  std::array<double, 4> wealth = {1.0, 1.0, 1.0, 1.0};

  void Play(double gain);  // In [-1, 1].
  double Wealth() const;   // Mean; at most 1 can be expected where the mean gain is not above 0.
  friend bool operator==(const Bets&, const Bets&) = default;
};

// A trial. A plain value; its size does not grow with the samples.
struct Trial {
  std::uint32_t count = 0;
  double champion_distance = 0.0;  // Sums.
  double champion_confidence = 0.0;
  double challenger_distance = 0.0;
  double challenger_confidence = 0.0;
  std::uint32_t agreed = 0;
  Bets worse;
  Bets better;
  std::vector<std::uint32_t> champion_classes;  // Answers, a class.
  std::vector<std::uint32_t> challenger_classes;

  void Add(const ProbationSample& sample);
  friend bool operator==(const Trial&, const Trial&) = default;
};

// exp of the entropy of the shares: 1 where all answers are one class, 10 where ten are alike.
double EffectiveClasses(const std::vector<std::uint32_t>& counts);

struct TrialRule {
  double alpha = 0.01;            // Chance of undoing what is not worse.
  double collapse_share = 0.5;    // Of the champion's effective classes.
  std::uint32_t looks_from = 30;  // Samples, for the classes and for an early end.
  double distance_max = 1.05;     // At the end: worse only if farther than this...
  double confidence_loss = 0.02;  // ...and this much less sure than the champion.
  double suspect_wealth = 5.0;    // Or a bet that it is worse has won so much by then.
};
Gate BetsHold(const Trial& trial, const TrialRule& rule);
// Fewer classes are a repair, not a collapse, where the answers lie nearer to the anchors.
Gate ClassesHold(const Trial& trial, const TrialRule& rule);
Gate EndHolds(const Trial& trial, const TrialRule& rule);
// The opposite bet is won: there is no need to wait for the end.
Gate IsProven(const Trial& trial, const TrialRule& rule);

}  // namespace tinylcm::adapt
