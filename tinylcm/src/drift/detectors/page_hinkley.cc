#include "tinylcm/drift/detectors/page_hinkley.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

base::Result<PageHinkley> PageHinkley::Create(const Options& options) {
  if (!(options.delta >= 0.0 && std::isfinite(options.delta))) {
    return Error{ErrorCode::kInvalidArgument, "page_hinkley: delta must be >= 0"};
  }
  if (!(options.threshold > 0.0)) {
    return Error{ErrorCode::kInvalidArgument, "page_hinkley: threshold must be > 0"};
  }
  if (!(options.alpha > 0.0 && options.alpha <= 1.0)) {
    return Error{ErrorCode::kInvalidArgument, "page_hinkley: alpha must be in (0, 1]"};
  }
  return PageHinkley(options);
}

DriftSignal PageHinkley::Observe(double value) {
  CHECK(std::isfinite(value));
  samples_ += 1.0;
  sum_ += value;
  const double deviation = value - sum_ * (1.0 / samples_);
  // One multiplication and one addition wait for the value before.
  up_ = options_.alpha * up_ + (deviation - options_.delta);
  down_ = options_.alpha * down_ + (deviation + options_.delta);
  lowest_ = std::min(lowest_, up_);
  highest_ = std::max(highest_, down_);
  if (samples_ < static_cast<double>(options_.min_instances)) return DriftSignal::kLearning;

  const double risen = up_ - lowest_;
  const double fallen = highest_ - down_;
  statistic_ = options_.mode == Mode::kUp     ? risen
               : options_.mode == Mode::kDown ? fallen
                                              : std::max(risen, fallen);
  if (!(statistic_ > options_.threshold)) return DriftSignal::kSteady;
  Restart();
  return DriftSignal::kDrift;
}

void PageHinkley::Reset() {
  Restart();
  statistic_ = 0.0;
}

void PageHinkley::Restart() {
  samples_ = sum_ = up_ = down_ = 0.0;
  // As river has it: the first value sets the one, and never lowers the other below -1.
  lowest_ = std::numeric_limits<double>::infinity();
  highest_ = -1.0;
}

void PageHinkley::Write(StateWriter& writer) const {
  writer.Section("page_hinkley");
  for (const double number : {samples_, sum_, up_, down_, lowest_, highest_, statistic_}) {
    writer.Put(number);
  }
}

void PageHinkley::Read(StateReader& reader) {
  reader.Section("page_hinkley");
  samples_ = reader.GetFinite<double>();
  for (double* number : {&sum_, &up_, &down_}) *number = reader.GetFinite<double>();
  lowest_ = reader.Get<double>();
  highest_ = reader.GetFinite<double>();
  statistic_ = reader.GetFinite<double>();
  const bool is_fresh = samples_ == 0.0;
  if (!(samples_ >= 0.0) || samples_ != std::floor(samples_) ||
      (is_fresh ? lowest_ != std::numeric_limits<double>::infinity() : !(lowest_ <= up_)) ||
      !(is_fresh || highest_ >= down_)) {
    reader.Refuse("no run leaves such a state behind");
  }
}

void PageHinkley::AddTo(OptionsDigest& digest) const {
  digest.AddText("page_hinkley")
      .Add(options_.min_instances)
      .Add(options_.delta)
      .Add(options_.threshold)
      .Add(options_.alpha)
      .Add(options_.mode);
}

}  // namespace tinylcm::drift
