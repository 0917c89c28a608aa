#include "tinylcm/classify/calibration.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string_view>

#include "base/text.h"

namespace tinylcm::classify {
namespace {

using base::Error;
using base::ErrorCode;

// Beyond this share of held-out distances a sample counts as far away.
constexpr double kUsualDistances = 0.95;
// A step of the table rests on at least this many points.
constexpr std::size_t kPointsMin = 10;

}  // namespace

float Calibration::Score(float share, float distance) const {
  if (distance_limit <= 0.0f || distance <= distance_limit) return share;
  return share * (distance_limit / distance);
}

float Calibration::Confidence(float share, float distance) const {
  const float score = Score(share, distance);
  if (scores.empty()) return score;
  // Below the first point the line goes to (0, 0), above the last one it stays level.
  const auto above = std::ranges::upper_bound(scores, score);
  const auto i = static_cast<std::size_t>(above - scores.begin());
  if (i == scores.size()) return confidences.back();
  const float left = i == 0 ? 0.0f : scores[i - 1];
  const float low = i == 0 ? 0.0f : confidences[i - 1];
  const float width = scores[i] - left;
  if (width <= 0.0f) return confidences[i];
  return low + (confidences[i] - low) * ((score - left) / width);
}

base::Status Validate(const Calibration& calibration) {
  const auto refuse = [](std::string_view what) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("calibration: ", what)};
  };
  if (!(calibration.distance_limit >= 0.0f && std::isfinite(calibration.distance_limit))) {
    return refuse("distance_limit must be >= 0");
  }
  if (calibration.scores.size() != calibration.confidences.size()) {
    return refuse("as many confidences as scores");
  }
  for (const std::vector<float>* table : {&calibration.scores, &calibration.confidences}) {
    if (!std::ranges::all_of(*table, [](float at) { return at >= 0.0f && at <= 1.0f; })) {
      return refuse("all must be between 0 and 1");
    }
    if (!std::ranges::is_sorted(*table)) return refuse("must not descend");
  }
  return {};
}

base::Result<Calibration> FitCalibration(std::span<const CalibrationPoint> points) {
  if (points.size() < kPointsMin) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("calibration: ", points.size(), " predictions are too few, ",
                              kPointsMin, " are needed")};
  }
  Calibration calibration;
  std::vector<float> distances;
  for (const CalibrationPoint& point : points) {
    if (!std::isfinite(point.share) || !std::isfinite(point.distance)) {
      return Error{ErrorCode::kInvalidArgument, "calibration: a prediction is not finite"};
    }
    distances.push_back(point.distance);
  }
  std::ranges::sort(distances);
  calibration.distance_limit =
      distances[static_cast<std::size_t>(kUsualDistances * static_cast<double>(points.size() - 1))];

  struct Scored {
    double score;
    bool is_right;
  };
  std::vector<Scored> scored;
  for (const CalibrationPoint& point : points) {
    const float score = std::clamp(calibration.Score(point.share, point.distance), 0.0f, 1.0f);
    scored.push_back({static_cast<double>(score), point.is_right});
  }
  std::ranges::sort(scored, [](const Scored& a, const Scored& b) {
    return a.score != b.score ? a.score < b.score : a.is_right < b.is_right;
  });

  // Steps of at least kPointsMin points, equal scores together; then pool adjacent violators: two
  // neighbouring steps that descend become one, until none does.
  struct Step {
    double points = 0.0;
    double right = 0.0;
    double scores = 0.0;
    // One right and one wrong added: eleven of eleven is not certainty.
    double Confidence() const { return (right + 1.0) / (points + 2.0); }
  };
  std::vector<Step> steps;
  const auto pool = [&steps] {
    while (steps.size() > 1 && steps[steps.size() - 2].Confidence() >= steps.back().Confidence()) {
      Step& into = steps[steps.size() - 2];
      into.points += steps.back().points;
      into.right += steps.back().right;
      into.scores += steps.back().scores;
      steps.pop_back();
    }
  };
  Step open;
  for (std::size_t i = 0; i < scored.size(); ++i) {
    open.points += 1.0;
    open.right += scored[i].is_right ? 1.0 : 0.0;
    open.scores += scored[i].score;
    const bool is_last = i + 1 == scored.size();
    const bool is_whole = is_last || scored[i + 1].score > scored[i].score;
    if (!is_last && !(is_whole && open.points >= static_cast<double>(kPointsMin))) continue;
    if (open.points < static_cast<double>(kPointsMin) && !steps.empty()) {
      // The rest at the end is too small for a step of its own.
      steps.back().points += open.points;
      steps.back().right += open.right;
      steps.back().scores += open.scores;
    } else {
      steps.push_back(open);
    }
    pool();
    open = Step{};
  }
  for (const Step& step : steps) {
    calibration.scores.push_back(static_cast<float>(step.scores / step.points));
    calibration.confidences.push_back(static_cast<float>(step.Confidence()));
  }
  return calibration;
}

}  // namespace tinylcm::classify
