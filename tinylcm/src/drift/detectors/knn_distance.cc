#include "tinylcm/drift/detectors/knn_distance.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/drift/detectors/run_length.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

double SelfStartingScore(double value, double count, double mean, double squares) {
  const double freedom = count - 1.0;
  const double away = value - mean;
  if (!(squares > 0.0)) return away > 0.0 ? 8.0 : away < 0.0 ? -8.0 : 0.0;
  const double t2 = away * away / (squares / freedom * (count + 1.0) / count);
  const double a = freedom - 0.5;
  const double b = 48.0 * a * a;
  const double z2 = a * std::log1p(t2 / freedom);
  const double z = std::sqrt(z2);
  const double score = z + z * (z2 + 3.0) / b -
                       z * (((4.0 * z2 + 33.0) * z2 + 240.0) * z2 + 855.0) /
                           (10.0 * b * (b + 0.8 * z2 * z2 + 100.0));
  return away < 0.0 ? -score : score;
}

base::Result<KnnDistance> KnnDistance::Create(const Options& options) {
  const auto refuse = [](std::string_view why) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("knn_distance: ", why)};
  };
  const bool is_by_hand = options.delta || options.lambda_threshold;
  if (is_by_hand && options.run_length > 0.0) {
    return refuse("give either delta and lambda_threshold or a run length");
  }
  if (options.delta && !(*options.delta >= 0.0 && std::isfinite(*options.delta))) {
    return refuse("delta must be >= 0");
  }
  if (options.lambda_threshold && !(*options.lambda_threshold > 0.0)) {
    return refuse("lambda_threshold must be > 0");
  }
  if (!options.reference_mean && options.warm_up_samples < 4) {
    return refuse("warm_up_samples must be 4 or more where no reference mean is given");
  }
  if (options.warm_up_samples > 1'000'000'000) return refuse("warm_up_samples must be <= 1e9");
  if (options.reference_mean && !std::isfinite(*options.reference_mean)) {
    return refuse("initial_reference_mean must be finite");
  }
  if (!(options.reference_sd >= 0.0 && std::isfinite(options.reference_sd))) {
    return refuse("initial_reference_std must be > 0");
  }
  if (is_by_hand) {
    // The prototype's own, where only one of the two is given.
    Options settled = options;
    settled.delta = options.delta.value_or(0.1);
    const double lambda = options.lambda_threshold.value_or(5.0);
    settled.lambda_threshold = lambda;
    return KnnDistance(settled, lambda);
  }
  if (!(options.k > 0.0 && options.k <= 5.0)) return refuse("k must be > 0 and at most 5");
  if (options.reference_mean && !(options.reference_sd > 0.0)) {
    return refuse("with a run length initial_reference_mean needs initial_reference_std");
  }
  // The values that only teach are part of the run.
  const double taught = options.reference_mean ? 0.0 : static_cast<double>(options.warm_up_samples);
  if (!(options.run_length >= taught + 10.0)) {
    return refuse(
        base::StrCat("run length must be >= ", taught + 10.0, ", ten more than warm_up_samples"));
  }
  ASSIGN_OR_RETURN(const double limit,
                   CusumLimit({.k = options.k, .run_length = options.run_length - taught}));
  return KnnDistance(options, limit);
}

DriftSignal KnnDistance::Observe(double value) {
  CHECK(std::isfinite(value));
  const bool is_by_hand = options_.delta.has_value();
  const bool is_fixed = options_.reference_mean.has_value();
  double step = 0.0;
  if (is_fixed) {
    step = is_by_hand ? value - mean_ - *options_.delta
                      : (value - mean_) / options_.reference_sd - options_.k;
  } else {
    const bool is_learning = count_ < static_cast<double>(options_.warm_up_samples);
    if (!is_learning) {
      step = is_by_hand ? value - mean_ - *options_.delta
                        : SelfStartingScore(value, count_, mean_, squares_) - options_.k;
    }
    if (is_learning || !is_by_hand) {
      count_ += 1.0;
      const double away = value - mean_;
      mean_ += (1.0 / count_) * away;
      squares_ += away * (value - mean_);
    }
    if (is_learning) {
      statistic_ = 0.0;
      return DriftSignal::kLearning;
    }
  }
  height_ = std::max(0.0, height_ + step);
  statistic_ = height_;
  if (!(height_ > limit_)) return DriftSignal::kSteady;
  Restart();
  return DriftSignal::kDrift;
}

void KnnDistance::Reset() {
  Restart();
  statistic_ = 0.0;
}

void KnnDistance::Restart() {
  count_ = squares_ = height_ = 0.0;
  mean_ = options_.reference_mean.value_or(0.0);
}

void KnnDistance::Write(StateWriter& writer) const {
  writer.Section("knn_distance");
  for (const double number : {count_, mean_, squares_, height_, statistic_}) writer.Put(number);
}

void KnnDistance::Read(StateReader& reader) {
  reader.Section("knn_distance");
  for (double* number : {&count_, &mean_, &squares_, &height_, &statistic_}) {
    *number = reader.GetFinite<double>();
  }
  if (count_ < 0.0 || count_ != std::floor(count_) || squares_ < 0.0 || height_ < 0.0 ||
      height_ > limit_) {
    reader.Refuse("no run leaves such a state behind");
  }
}

void KnnDistance::AddTo(OptionsDigest& digest) const {
  digest.AddText("knn_distance")
      .Add(limit_)
      .Add(options_.delta.value_or(-1.0))
      .Add(options_.k)
      .Add(options_.warm_up_samples)
      .Add(options_.reference_mean.has_value())
      .Add(options_.reference_mean.value_or(0.0))
      .Add(options_.reference_sd);
}

}  // namespace tinylcm::drift
