// Calibration: from "four of five neighbours agree, and they are near" to "right 93 times in 100".
//
// The score of a prediction is the winner's share of the votes, cut down when the neighbours lie
// farther away than held-out samples did: share * min(1, distance_limit / distance). The table,
// made by isotonic regression on held-out predictions, turns the score into how often such a
// prediction was right. It never falls with the score, so confidence falls with distance.

#pragma once

#include <span>
#include <vector>

#include "base/result.h"

namespace tinylcm::classify {

struct Calibration {
  float distance_limit = 0.0f;          // 0: distance does not count.
  std::vector<float> scores = {};       // Ascending, in [0, 1]; empty: the score is the confidence.
  std::vector<float> confidences = {};  // Not descending, in [0, 1]; as many.

  float Score(float share, float distance) const;
  float Confidence(float share, float distance) const;  // Linear between the table's points.

  friend bool operator==(const Calibration&, const Calibration&) = default;
};

base::Status Validate(const Calibration& calibration);

// One held-out prediction.
struct CalibrationPoint {
  float share = 0.0f;
  float distance = 0.0f;
  bool is_right = false;
};

// Same points, same table, on every machine. kInvalidArgument for fewer than 10 points.
base::Result<Calibration> FitCalibration(std::span<const CalibrationPoint> points);

}  // namespace tinylcm::classify
