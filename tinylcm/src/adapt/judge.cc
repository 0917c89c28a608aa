#include "tinylcm/adapt/judge.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "base/random.h"
#include "base/text.h"

namespace tinylcm::adapt {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

// Which fold each label is left out in: dealt out evenly, in an order drawn from the seed.
std::vector<std::uint32_t> DealFolds(std::size_t labels, std::uint32_t folds, std::uint64_t seed) {
  std::vector<std::uint32_t> fold_of(labels);
  for (std::size_t i = 0; i < labels; ++i) fold_of[i] = static_cast<std::uint32_t>(i) % folds;
  base::Random random(seed);
  for (std::size_t i = labels; i > 1; --i) {
    std::swap(fold_of[i - 1], fold_of[static_cast<std::size_t>(random.Below(i))]);
  }
  return fold_of;
}

double Mean(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return values.empty() ? 0.0 : sum / static_cast<double>(values.size());
}

// Means by the labels' weights.
double WeightedMean(std::span<const double> values, std::span<const LabelledRow> labelled) {
  double sum = 0.0;
  double weights = 0.0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum += static_cast<double>(labelled[i].weight) * values[i];
    weights += static_cast<double>(labelled[i].weight);
  }
  return weights > 0.0 ? sum / weights : 0.0;
}

class Trial {
 public:
  Trial(classify::KnnClassifier& knn, std::span<const float> features,
        std::span<const LabelledRow> labelled, const JudgeRule& rule)
      : knn_(knn),
        features_(features),
        labelled_(labelled),
        rule_(rule),
        anchors_(ClassMoments::Of(knn.anchors(), knn.options().classes + rule.opened)),
        folds_(std::min<std::uint32_t>(rule.folds, static_cast<std::uint32_t>(labelled.size()))),
        fold_of_(DealFolds(labelled.size(), std::max(1u, folds_), rule.seed)),
        feature_(knn.dims()),
        votes_(knn.options().classes + rule.opened) {
    for (std::uint32_t fold = 0; fold < folds_; ++fold) {
      Fold& one = folds_dealt_.emplace_back();
      for (std::uint32_t i = 0; i < labelled_.size(); ++i) {
        if (fold_of_[i] == fold) {
          one.unseen.push_back(i);
          one.left_out.push_back(labelled_[i].row);
        } else {
          one.seen.push_back(labelled_[i]);
        }
      }
    }
    folds_dealt_.emplace_back().seen.assign(labelled_.begin(), labelled_.end());
    if (labelled_.empty()) return;
    std::vector<std::uint32_t> centres;
    for (const LabelledRow& label : labelled_) centres.push_back(label.row);
    cluster_of_ = ClusterAround(features_, knn_.dims(), centres).cluster_of;
  }

  // Asks a challenger for the labels it did not see.
  Result<ChallengerScore> Score(ChallengerKind kind) {
    ChallengerScore score;
    score.kind = kind;
    score.each.resize(labelled_.size());
    for (std::uint32_t fold = 0; fold < folds_; ++fold) {
      RETURN_IF_ERROR(AskFor(folds_dealt_[fold].unseen, Make(kind, fold), score));
    }
    return Sum(Make(kind), std::move(score));
  }

  // Nothing was made from the labels: it is asked for all of them.
  Result<ChallengerScore> ScoreAsItIs(const Challenger& challenger) {
    ChallengerScore score;
    score.kind = challenger.kind;
    score.each.resize(labelled_.size());
    std::vector<std::uint32_t> all(labelled_.size());
    std::iota(all.begin(), all.end(), 0u);
    RETURN_IF_ERROR(AskFor(all, challenger, score));
    score.score = score.expected = WeightedMean(score.each, labelled_);
    score.distance = Distance(challenger);
    return score;
  }

  // From all labels.
  Challenger Make(ChallengerKind kind) { return Make(kind, folds_); }

  // What remembers and would not pass the gate that guards its trial is not eligible.
  Status RefuseWhatForgets(std::vector<ChallengerScore>& scores, const KnownBefore& known) {
    const auto count = static_cast<double>(known.canary->size());
    ASSIGN_OR_RETURN(const std::size_t alone,
                     RightOfCanary(knn_, *known.canary, {}, rule_.opened, std::nullopt));
    for (ChallengerScore& score : scores) {
      if (!score.is_eligible || score.kind.memory == Memory::kNone ||
          score.kind.memory == Memory::kConcept) {
        continue;
      }
      const Challenger challenger = Make(score.kind);
      ASSIGN_OR_RETURN(
          const std::size_t right,
          RightOfCanary(knn_, *known.canary, challenger.memory, rule_.opened, challenger.head));
      const Gate gate =
          CanaryHolds({.before = std::max(known.right, static_cast<double>(alone) / count),
                       .after = static_cast<double>(right) / count,
                       .count = static_cast<std::uint32_t>(known.canary->size()),
                       .labels_gain = static_cast<double>(score.correct - scores.front().correct) /
                                      static_cast<double>(labelled_.size())},
                      rule_.canary_rule);
      if (gate.passed) continue;
      score.is_eligible = false;
      score.why_not = "it forgets what was known: " + gate.reason;
    }
    return {};
  }

 private:
  struct Fold {
    std::vector<LabelledRow> seen;
    std::vector<std::uint32_t> unseen;    // Indices of labels,
    std::vector<std::uint32_t> left_out;  // and their rows.
  };

  Challenger Make(ChallengerKind kind, std::uint32_t fold) {
    const Fold& of = folds_dealt_[fold];
    const auto key = std::pair(fold, kind.alignment);
    auto aligned = aligned_.find(key);
    if (aligned == aligned_.end()) {
      aligned =
          aligned_.emplace(key, AlignByLabels(kind.alignment, features_, anchors_, of.seen)).first;
    }
    return MakeChallenger(kind, aligned->second, features_, anchors_, of.seen, rule_.challenger,
                          of.left_out);
  }

  Status AskFor(std::span<const std::uint32_t> unseen, const Challenger& challenger,
                ChallengerScore& score) {
    RETURN_IF_ERROR(knn_.SetMemory(challenger.memory, rule_.opened));
    for (const std::uint32_t i : unseen) {
      const LabelledRow& label = labelled_[i];
      const bool is_right = Ask(label.row, challenger).nearest == label.label;
      score.correct += is_right ? 1 : 0;
      score.right += is_right ? static_cast<double>(label.weight) : 0.0;
      score.each[i] = SureOf(label.label);
    }
    return {};
  }

  Result<ChallengerScore> Sum(const Challenger& challenger, ChallengerScore score) {
    score.score = score.expected = WeightedMean(score.each, labelled_);
    const auto known = distances_.find(score.kind.alignment);
    score.distance = known == distances_.end() ? Distance(challenger) : known->second;
    distances_.emplace(score.kind.alignment, score.distance);
    if (score.kind.memory == Memory::kNone || labelled_.empty()) return score;
    RETURN_IF_ERROR(knn_.SetMemory(challenger.memory, rule_.opened));
    std::vector<bool> is_remembered(cluster_of_.size(), false);
    for (const Provenance& provenance : challenger.provenance) {
      is_remembered[provenance.row] = true;
    }
    std::vector<double> sure;
    for (std::uint32_t row = 0; row < cluster_of_.size(); ++row) {
      if (is_remembered[row]) continue;
      Ask(row, challenger);
      sure.push_back(SureOf(labelled_[cluster_of_[row]].label));
    }
    score.covered = sure.empty() ? score.score : Mean(sure);
    score.expected += rule_.covered_share * (score.covered - score.score);
    return score;
  }

  double SureOf(std::uint16_t label) const {
    return std::log(static_cast<double>(votes_[label]) + rule_.share_floor);
  }

  classify::Prediction Ask(std::uint32_t row, const Challenger& challenger) {
    const std::span<const float> feature = features_.subspan(row * knn_.dims(), knn_.dims());
    std::copy(feature.begin(), feature.end(), feature_.begin());
    challenger.transform.Apply(feature_);
    classify::Prediction prediction = knn_.Classify(feature_, votes_);
    if (challenger.head) AnswerByHead(*challenger.head, knn_, feature_, votes_, prediction);
    return prediction;
  }

  // Mean distance of the quarantine to the anchors.
  double Distance(const Challenger& challenger) {
    const std::size_t rows = features_.size() / knn_.dims();
    double sum = 0.0;
    for (std::size_t row = 0; row < rows; ++row) {
      sum += static_cast<double>(Ask(static_cast<std::uint32_t>(row), challenger).anchor_distance);
    }
    return rows == 0 ? 0.0 : sum / static_cast<double>(rows);
  }

  classify::KnnClassifier& knn_;
  std::span<const float> features_;
  std::span<const LabelledRow> labelled_;
  const JudgeRule& rule_;
  ClassMoments anchors_;
  std::uint32_t folds_;
  std::vector<std::uint32_t> fold_of_;
  std::vector<Fold> folds_dealt_;          // And, last, all labels.
  std::vector<std::uint32_t> cluster_of_;  // Of every row, by index of its label.
  std::map<std::pair<std::uint32_t, Alignment>, FeatureTransform> aligned_;
  std::map<Alignment, double> distances_;
  std::vector<float> feature_;
  std::vector<float> votes_;
};

// How much better three labels in ten being wrong explains what the surest challenger says of
// labels it did not see than one in ten does. A wrong label is any of the other classes.
double PoisonOdds(const ChallengerScore& surest, std::span<const LabelledRow> labelled,
                  double classes, double floor) {
  constexpr double kMany = 0.3;
  constexpr double kFew = 0.1;
  double odds = 0.0;
  for (std::size_t i = 0; i < labelled.size(); ++i) {
    const double share = std::clamp(std::exp(surest.each[i]) - floor, 0.0, 1.0);
    const double other = (1.0 - share) / std::max(1.0, classes - 1.0);
    odds +=
        static_cast<double>(labelled[i].weight) *
        std::log(((1.0 - kMany) * share + kMany * other) / ((1.0 - kFew) * share + kFew * other));
  }
  return odds;
}

Status CheckInput(const classify::KnnClassifier& knn, std::span<const float> features,
                  std::span<const LabelledRow> labelled, const JudgeRule& rule) {
  if (features.size() % knn.dims() != 0) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("judge: ", features.size(), " numbers are no rows of ", knn.dims())};
  }
  for (const LabelledRow& label : labelled) {
    if (label.row >= features.size() / knn.dims() ||
        label.label >= knn.options().classes + rule.opened) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("judge: row ", label.row, ", label ",
                          static_cast<std::uint32_t>(label.label), ": out of range")};
    }
    if (!(label.weight > 0.0f && label.weight <= 1.0f)) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("judge: row ", label.row, ": a weight not above 0 and up to 1")};
    }
  }
  return {};
}

Result<Judgement> Decide(classify::KnnClassifier& knn, std::span<const float> features,
                         std::span<const LabelledRow> labelled, const JudgeRule& rule,
                         const Challenger* met_before, const KnownBefore& known) {
  Trial trial(knn, features, labelled, rule);
  Judgement judgement;
  judgement.labels = static_cast<int>(labelled.size());
  std::vector<ChallengerScore>& scores = judgement.scores;
  for (const ChallengerKind& kind : AllChallengers()) {
    if (!Fits(kind, knn.dims())) continue;
    ASSIGN_OR_RETURN(ChallengerScore score, trial.Score(kind));
    scores.push_back(std::move(score));
  }
  const std::size_t made = scores.size();
  if (met_before != nullptr) {
    ASSIGN_OR_RETURN(ChallengerScore score, trial.ScoreAsItIs(*met_before));
    scores.push_back(std::move(score));
  }

  double weights = 0.0;
  for (const LabelledRow& label : labelled) weights += static_cast<double>(label.weight);
  const ChallengerScore& none = scores.front();
  const double gain =
      std::max(static_cast<double>(rule.gain_min), std::round(rule.gain_share * weights));
  double best_aligned = 0.0;
  std::size_t surest_of_all = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i].kind.memory == Memory::kNone) {
      best_aligned = std::max(best_aligned, scores[i].right);
    }
    if (scores[i].score > scores[surest_of_all].score) surest_of_all = i;
  }
  // Only memory can ever answer what people named anew.
  const bool has_opened =
      std::any_of(labelled.begin(), labelled.end(),
                  [&](const LabelledRow& label) { return label.label >= knn.options().classes; });
  for (std::size_t i = 1; i < scores.size(); ++i) {
    ChallengerScore& score = scores[i];
    const bool is_needed = score.kind.memory != Memory::kNone &&
                           (has_opened || best_aligned <= rule.hopeless * weights);
    if (labelled.size() < rule.labels_min) {
      score.why_not = "too few labels";
    } else if (score.right < none.right) {
      score.why_not = StrCat("the bundle alone has ", none.correct);
    } else if (score.distance > rule.nearer_ratio * none.distance &&
               score.right < none.right + gain && !is_needed) {
      score.why_not = "neither nearer to the anchors nor surely better";
    }
    score.is_eligible = score.why_not.empty();
  }
  scores.front().is_eligible = true;
  if (known.canary != nullptr && known.canary->size() > 0) {
    RETURN_IF_ERROR(trial.RefuseWhatForgets(scores, known));
  }
  std::size_t surest = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i].is_eligible && scores[i].expected > scores[surest].expected) surest = i;
  }
  judgement.winner =
      scores[surest].expected > none.expected + rule.none_margin ? surest : std::size_t{0};

  if (labelled.size() >= rule.poison_labels_min) {
    judgement.poison_odds =
        PoisonOdds(scores[surest_of_all], labelled,
                   static_cast<double>(knn.options().classes + rule.opened), rule.share_floor);
    const double half = rule.hopeless * weights;
    judgement.is_trusted =
        judgement.poison_odds <= (none.right > half     ? rule.poison_odds
                                  : best_aligned > half ? rule.poison_odds_aligned
                                                        : rule.poison_odds_hopeless);
  }
  if (!judgement.is_trusted) {
    judgement.winner = 0;
    for (std::uint32_t i = 0; i < labelled.size(); ++i) {
      const double share = std::exp(scores[surest_of_all].each[i]) - rule.share_floor;
      if (share < rule.contradicted) judgement.refused.push_back(i);
    }
  }
  judgement.challenger =
      judgement.winner < made ? trial.Make(scores[judgement.winner].kind) : *met_before;
  return judgement;
}

}  // namespace

Result<std::size_t> RightOfCanary(classify::KnnClassifier& knn, const classify::Anchors& canary,
                                  const classify::Anchors& memory, std::uint32_t opened,
                                  const std::optional<classify::HeadTensors>& head) {
  const classify::Anchors memory_before = knn.memory();
  const std::uint32_t opened_before = knn.classes() - knn.options().classes;
  RETURN_IF_ERROR(knn.SetMemory(memory, opened));
  std::vector<float> votes(knn.classes());
  std::size_t right = 0;
  for (std::size_t i = 0; i < canary.size(); ++i) {
    classify::Prediction said = knn.Classify(canary.row(i), votes);
    if (head) AnswerByHead(*head, knn, canary.row(i), votes, said);
    right += said.nearest == canary.labels[i] ? 1 : 0;
  }
  RETURN_IF_ERROR(knn.SetMemory(memory_before, opened_before));
  return right;
}

Result<Judgement> Judge(classify::KnnClassifier& knn, std::span<const float> features,
                        std::span<const LabelledRow> labelled, const JudgeRule& rule,
                        const Challenger* met_before, const KnownBefore& known) {
  RETURN_IF_ERROR(CheckInput(knn, features, labelled, rule));
  const classify::Anchors memory_before = knn.memory();
  const std::uint32_t opened_before = knn.classes() - knn.options().classes;
  RETURN_IF_ERROR(knn.SetMemory({}, rule.opened));
  Result<Judgement> judgement = Decide(knn, features, labelled, rule, met_before, known);
  RETURN_IF_ERROR(knn.SetMemory(memory_before, opened_before));
  return judgement;
}

}  // namespace tinylcm::adapt
