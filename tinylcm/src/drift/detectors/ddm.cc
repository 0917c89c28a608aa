#include "tinylcm/drift/detectors/ddm.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

namespace {

base::Status IsBit(const char* name, double value) {
  if (value == 0.0 || value == 1.0) return {};
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat(name, ": 0 or 1 is expected (1: an error)")};
}

}  // namespace

base::Result<Ddm> Ddm::Create(const Options& options) {
  if (!(options.warning_threshold >= 0.0 && options.drift_threshold > 0.0 &&
        options.warning_threshold <= options.drift_threshold)) {
    return Error{ErrorCode::kInvalidArgument,
                 "ddm: drift_threshold must be > 0, warning_threshold between 0 and it"};
  }
  return Ddm(options);
}

base::Status Ddm::Accepts(double value) const { return IsBit("ddm", value); }

DriftSignal Ddm::Observe(double value) {
  CHECK(value == 0.0 || value == 1.0);
  samples_ += 1.0;
  const double share = 1.0 / samples_;
  rate_ += share * (value - rate_);
  above_ = 0.0;
  bool is_drift = false;
  bool is_warning = false;
  if (samples_ > static_cast<double>(options_.warm_start)) {
    // A rate of all ones may round to a hair above 1.
    const double deviation = std::sqrt(std::max(0.0, rate_ * (1.0 - rate_) * share));
    const double now = rate_ + deviation;
    if (now <= best_) {
      best_rate_ = rate_;
      best_deviation_ = deviation;
      best_ = now;
    }
    is_drift = now > best_rate_ + options_.drift_threshold * best_deviation_;
    is_warning = now > best_rate_ + options_.warning_threshold * best_deviation_;
    above_ = now - best_rate_;
    above_what_ = best_deviation_;
  }
  if (is_drift) {
    Restart();
    return DriftSignal::kDrift;
  }
  if (options_.restart != 0 && samples_ >= static_cast<double>(options_.restart)) Restart();
  return is_warning ? DriftSignal::kWarning : DriftSignal::kSteady;
}

void Ddm::Restart() {
  samples_ = rate_ = best_rate_ = best_deviation_ = 0.0;
  best_ = std::numeric_limits<double>::infinity();
}

double Ddm::statistic() const {
  if (above_what_ > 0.0) return above_ / above_what_;
  // Without an error at the best time any error is beyond all deviations.
  return above_ > 0.0 ? std::numeric_limits<double>::max() : 0.0;
}

void Ddm::Reset() {
  Restart();
  above_ = above_what_ = 0.0;
}

void Ddm::Write(StateWriter& writer) const {
  writer.Section("ddm");
  for (const double number :
       {samples_, rate_, best_rate_, best_deviation_, best_, above_, above_what_}) {
    writer.Put(number);
  }
}

void Ddm::Read(StateReader& reader) {
  reader.Section("ddm");
  for (double* number : {&samples_, &rate_, &best_rate_, &best_deviation_}) {
    *number = reader.GetFinite<double>();
  }
  best_ = reader.Get<double>();
  above_ = reader.GetFinite<double>();
  above_what_ = reader.GetFinite<double>();
  if (samples_ < 0.0 || samples_ != std::floor(samples_) || rate_ < -1e-9 || rate_ > 1.0 + 1e-9 ||
      best_deviation_ < 0.0 || !(best_ >= 0.0)) {
    reader.Refuse("no run leaves such a state behind");
  }
}

void Ddm::AddTo(OptionsDigest& digest) const {
  digest.AddText("ddm")
      .Add(options_.warm_start)
      .Add(options_.warning_threshold)
      .Add(options_.drift_threshold)
      .Add(options_.restart);
}

base::Result<Eddm> Eddm::Create(const Options& options) {
  if (!(options.beta > 0.0 && options.alpha >= options.beta && std::isfinite(options.alpha))) {
    return Error{ErrorCode::kInvalidArgument, "eddm: beta must be > 0 and alpha >= beta"};
  }
  return Eddm(options);
}

base::Status Eddm::Accepts(double value) const { return IsBit("eddm", value); }

DriftSignal Eddm::Observe(double value) {
  CHECK(value == 0.0 || value == 1.0);
  ++samples_;
  statistic_ = 0.0;
  bool is_drift = false;
  if (value == 1.0) {
    ++errors_;
    const double distance = static_cast<double>(samples_ - last_error_);
    const double count = static_cast<double>(errors_);
    const double old_mean = mean_;
    mean_ += (1.0 / count) * (distance - mean_);
    squares_ += (distance - old_mean) * (distance - mean_);
    if (samples_ > options_.warm_start) {
      const double variance = errors_ > 1 ? squares_ / (count - 1.0) : 0.0;
      const double reach = mean_ + 2.0 * std::sqrt(variance);
      if (reach > best_) {
        best_ = reach;
      } else if (errors_ > options_.warm_start) {
        const double level = reach / best_;
        statistic_ = 1.0 - level;
        is_drift = level < options_.beta;
        is_warning_ = level < options_.alpha;
      }
    }
    last_error_ = samples_;
  }
  if (is_drift) {
    Restart();
    return DriftSignal::kDrift;
  }
  const bool is_warning = is_warning_;
  if (options_.restart != 0 && samples_ >= options_.restart) Restart();
  return is_warning ? DriftSignal::kWarning : DriftSignal::kSteady;
}

void Eddm::Restart() {
  samples_ = errors_ = last_error_ = 0;
  mean_ = squares_ = 0.0;
  best_ = -1.0;
  is_warning_ = false;
}

void Eddm::Reset() {
  Restart();
  statistic_ = 0.0;
}

void Eddm::Write(StateWriter& writer) const {
  writer.Section("eddm");
  for (const std::uint64_t number : {samples_, errors_, last_error_}) writer.Put(number);
  for (const double number : {mean_, squares_, best_, statistic_}) writer.Put(number);
  writer.Put(is_warning_);
}

void Eddm::Read(StateReader& reader) {
  reader.Section("eddm");
  samples_ = reader.Get<std::uint64_t>();
  errors_ = reader.GetUpTo(samples_);
  last_error_ = reader.GetUpTo(samples_);
  for (double* number : {&mean_, &squares_, &best_, &statistic_}) {
    *number = reader.GetFinite<double>();
  }
  is_warning_ = reader.Get<bool>();
  if (mean_ < 0.0 || squares_ < 0.0 || best_ < -1.0) {
    reader.Refuse("no run leaves such a state behind");
  }
}

void Eddm::AddTo(OptionsDigest& digest) const {
  digest.AddText("eddm")
      .Add(options_.warm_start)
      .Add(options_.alpha)
      .Add(options_.beta)
      .Add(options_.restart);
}

}  // namespace tinylcm::drift
