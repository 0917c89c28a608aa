#include "tinylcm/adapt/judge.h"

#include <algorithm>
#include <cmath>
#include <limits>

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

// How far `surer` is ahead of `other`, in standard errors of the mean of their paired differences.
// The same labels in the same order, so what is hard about a label cancels.
double ErrorsAhead(const ChallengerScore& surer, const ChallengerScore& other) {
  const std::size_t n = surer.each.size();
  const double ahead = surer.score - other.score;
  if (n < 2 || !(ahead > 0.0)) return 0.0;
  double squares = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    const double off = surer.each[i] - other.each[i] - ahead;
    squares += off * off;
  }
  const double count = static_cast<double>(n);
  const double error = std::sqrt(squares / (count - 1.0) / count);
  return error > 0.0 ? ahead / error : std::numeric_limits<double>::infinity();
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
        votes_(knn.options().classes + rule.opened) {}

  // Asks a challenger for the labels it did not see.
  Result<ChallengerScore> Score(ChallengerKind kind) {
    ChallengerScore score;
    score.kind = kind;
    for (std::uint32_t fold = 0; fold < folds_; ++fold) {
      std::vector<LabelledRow> seen;
      std::vector<LabelledRow> unseen;
      std::vector<std::uint32_t> left_out;
      for (std::size_t i = 0; i < labelled_.size(); ++i) {
        if (fold_of_[i] == fold) {
          unseen.push_back(labelled_[i]);
          left_out.push_back(labelled_[i].row);
        } else {
          seen.push_back(labelled_[i]);
        }
      }
      const Challenger challenger =
          MakeChallenger(kind, features_, anchors_, seen, rule_.challenger, left_out);
      RETURN_IF_ERROR(knn_.SetMemory(challenger.memory, rule_.opened));
      for (const LabelledRow& label : unseen) {
        const classify::Prediction prediction = Ask(label.row, challenger);
        score.correct += prediction.nearest == label.label ? 1 : 0;
        score.each.push_back(
            std::log(static_cast<double>(votes_[label.label]) + rule_.share_floor));
      }
    }
    score.score = Mean(score.each);
    score.distance = Distance(Make(kind));
    return score;
  }

  Challenger Make(ChallengerKind kind) {
    return MakeChallenger(kind, features_, anchors_, labelled_, rule_.challenger);
  }

 private:
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
  std::vector<float> feature_;
  std::vector<float> votes_;
};

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
  }
  return {};
}

Result<Judgement> Decide(classify::KnnClassifier& knn, std::span<const float> features,
                         std::span<const LabelledRow> labelled, const JudgeRule& rule) {
  Trial trial(knn, features, labelled, rule);
  Judgement judgement;
  judgement.labels = static_cast<int>(labelled.size());
  for (const ChallengerKind& kind : AllChallengers()) {
    if (!Fits(kind, knn.dims())) continue;
    ASSIGN_OR_RETURN(ChallengerScore score, trial.Score(kind));
    judgement.scores.push_back(score);
  }
  const ChallengerScore none = judgement.scores.front();
  const int gain = std::max(
      rule.gain_min,
      static_cast<int>(std::lround(rule.gain_share * static_cast<double>(labelled.size()))));
  std::size_t surest = 0;
  for (std::size_t i = 0; i < judgement.scores.size(); ++i) {
    ChallengerScore& score = judgement.scores[i];
    score.is_eligible =
        i == 0 || (labelled.size() >= rule.labels_min && score.correct >= none.correct &&
                   (score.distance <= rule.nearer_ratio * none.distance ||
                    score.correct >= none.correct + gain));
    if (score.is_eligible && score.score > judgement.scores[surest].score) surest = i;
  }
  judgement.winner = surest;
  for (std::size_t i = 0; i < surest; ++i) {
    const ChallengerScore& score = judgement.scores[i];
    if (score.is_eligible && ErrorsAhead(judgement.scores[surest], score) <= rule.tie_errors) {
      judgement.winner = i;
      break;
    }
  }
  judgement.challenger = trial.Make(judgement.scores[judgement.winner].kind);
  return judgement;
}

}  // namespace

Result<Judgement> Judge(classify::KnnClassifier& knn, std::span<const float> features,
                        std::span<const LabelledRow> labelled, const JudgeRule& rule) {
  RETURN_IF_ERROR(CheckInput(knn, features, labelled, rule));
  const classify::Anchors memory_before = knn.memory();
  const std::uint32_t opened_before = knn.classes() - knn.options().classes;
  RETURN_IF_ERROR(knn.SetMemory({}, rule.opened));
  Result<Judgement> judgement = Decide(knn, features, labelled, rule);
  RETURN_IF_ERROR(knn.SetMemory(memory_before, opened_before));
  return judgement;
}

}  // namespace tinylcm::adapt
