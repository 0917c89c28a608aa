#include "tinylcm/drift/detectors/hddm.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

namespace {

base::Status InUnit(const char* name, double value) {
  if (value >= 0.0 && value <= 1.0) return {};
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat(name, ": a number from 0 to 1 is expected (1: an error)")};
}

base::Status CheckConfidence(const char* name, double drift, double warning, double below) {
  const auto good = [below](double confidence) { return confidence > 0.0 && confidence < below; };
  if (!good(drift) || !good(warning)) {
    return Error{
        ErrorCode::kInvalidArgument,
        base::StrCat(name, ": drift_confidence and warning_confidence must be > 0 and < ", below)};
  }
  return {};
}

}  // namespace

base::Result<HddmA> HddmA::Create(const Options& options) {
  RETURN_IF_ERROR(
      CheckConfidence("hddm_a", options.drift_confidence, options.warning_confidence, 2.0));
  return HddmA(options);
}

HddmA::HddmA(const Options& options)
    : options_(options),
      // Below a confidence of 1 as published; a laxer one (of a short run length) allows nothing.
      half_log_bound_(std::max(0.0, std::log(1.0 / options.drift_confidence)) / 2.0),
      log_drift_(std::log(2.0 / options.drift_confidence)),
      log_warning_(std::log(2.0 / options.warning_confidence)) {}

base::Status HddmA::Accepts(double value) const { return InUnit("hddm_a", value); }

DriftSignal HddmA::Observe(double value) {
  CHECK(value >= 0.0 && value <= 1.0);
  all_.count += 1.0;
  const double share = 1.0 / all_.count;
  all_.mean += share * (value - all_.mean);
  all_.bound = std::sqrt(share * half_log_bound_);
  if (lowest_.count == 0.0 || lowest_.mean + lowest_.bound >= all_.mean + all_.bound) {
    lowest_ = all_;
  }
  // The squared distance that is allowed is (nz - nx) / (nx nz) ln(2 / confidence) / 2: compared
  // without a root or a division.
  moved_ = 0.0;
  allowed_ = 1.0;
  const double rise = all_.mean - lowest_.mean;
  if (lowest_.count != all_.count && rise >= 0.0) {
    moved_ = 2.0 * rise * rise * lowest_.count * all_.count;
    allowed_ = all_.count - lowest_.count;
  }
  if (options_.two_sided_test) {
    if (highest_.count == 0.0 || highest_.mean - highest_.bound <= all_.mean - all_.bound) {
      highest_ = all_;
    }
    const double fall = highest_.mean - all_.mean;
    if (highest_.count != all_.count && fall >= 0.0) {
      const double moved = 2.0 * fall * fall * highest_.count * all_.count;
      const double allowed = all_.count - highest_.count;
      if (moved * allowed_ > moved_ * allowed) {
        moved_ = moved;
        allowed_ = allowed;
      }
    }
  }
  const bool is_warning = moved_ > 0.0 && moved_ >= allowed_ * log_warning_;
  if (moved_ > 0.0 && moved_ >= allowed_ * log_drift_) {
    Restart();
    return DriftSignal::kDrift;
  }
  if (options_.restart != 0 && all_.count >= static_cast<double>(options_.restart)) Restart();
  return is_warning ? DriftSignal::kWarning : DriftSignal::kSteady;
}

void HddmA::Restart() { all_ = lowest_ = highest_ = {}; }

void HddmA::Reset() {
  Restart();
  moved_ = 0.0;
  allowed_ = 1.0;
}

void HddmA::Write(StateWriter& writer) const {
  writer.Section("hddm_a");
  for (const Mean* part : {&all_, &lowest_, &highest_}) {
    writer.Put(part->count);
    writer.Put(part->mean);
    writer.Put(part->bound);
  }
  writer.Put(moved_);
  writer.Put(allowed_);
}

void HddmA::Read(StateReader& reader) {
  reader.Section("hddm_a");
  for (Mean* part : {&all_, &lowest_, &highest_}) {
    part->count = reader.GetFinite<double>();
    part->mean = reader.GetFinite<double>();
    part->bound = reader.GetFinite<double>();
    if (part->count < 0.0 || part->count > all_.count || part->count != std::floor(part->count) ||
        !(part->mean >= -1e-9 && part->mean <= 1.0 + 1e-9) || part->bound < 0.0) {
      reader.Refuse("a mean that no run leaves behind");
    }
  }
  moved_ = reader.GetFinite<double>();
  allowed_ = reader.GetFinite<double>();
  if (moved_ < 0.0 || !(allowed_ > 0.0)) reader.Refuse("a distance that is none");
}

void HddmA::AddTo(OptionsDigest& digest) const {
  digest.AddText("hddm_a")
      .Add(options_.drift_confidence)
      .Add(options_.warning_confidence)
      .Add(options_.two_sided_test)
      .Add(options_.restart);
}

base::Result<HddmW> HddmW::Create(const Options& options) {
  RETURN_IF_ERROR(
      CheckConfidence("hddm_w", options.drift_confidence, options.warning_confidence, 1.0));
  if (!(options.lambda_val > 0.0 && options.lambda_val < 1.0)) {
    return Error{ErrorCode::kInvalidArgument, "hddm_w: lambda_val must be between 0 and 1"};
  }
  return HddmW(options);
}

HddmW::HddmW(const Options& options)
    : options_(options),
      log_drift_(std::log(1.0 / options.drift_confidence)),
      log_warning_(std::log(1.0 / options.warning_confidence)) {}

base::Status HddmW::Accepts(double value) const { return InUnit("hddm_w", value); }

void HddmW::Add(Part& part, double value) const {
  const double weight = options_.lambda_val;
  part.mean = part.is_begun ? weight * value + (1.0 - weight) * part.mean : value;
  part.is_begun = true;
  part.weights = weight * weight + (1.0 - weight) * (1.0 - weight) * part.weights;
}

double HddmW::Risen(const Part& earlier, const Part& later) {
  if (!earlier.is_begun || !later.is_begun) return 0.0;
  const double rise = later.mean - earlier.mean;
  if (rise <= 0.0) return 0.0;
  return rise * rise / ((earlier.weights + later.weights) / 2.0);
}

DriftSignal HddmW::Observe(double value) {
  CHECK(value >= 0.0 && value <= 1.0);
  Add(all_, value);
  const double bound = std::sqrt(all_.weights * log_drift_ / 2.0);
  if (all_.mean + bound < rise_cut_) {
    rise_cut_ = all_.mean + bound;
    before_rise_ = all_;
    after_rise_ = {};
  } else {
    Add(after_rise_, value);
  }
  double moved = Risen(before_rise_, after_rise_);
  if (options_.two_sided_test) {
    if (all_.mean - bound > fall_cut_) {
      fall_cut_ = all_.mean - bound;
      before_fall_ = all_;
      after_fall_ = {};
    } else {
      Add(after_fall_, value);
    }
    moved = std::max(moved, Risen(after_fall_, before_fall_));
  }
  statistic_ = moved / log_drift_;
  if (moved > log_drift_) {
    Restart();
    return DriftSignal::kDrift;
  }
  return moved > log_warning_ ? DriftSignal::kWarning : DriftSignal::kSteady;
}

void HddmW::Restart() {
  all_ = before_rise_ = after_rise_ = before_fall_ = after_fall_ = {};
  rise_cut_ = std::numeric_limits<double>::infinity();
  fall_cut_ = -std::numeric_limits<double>::infinity();
}

void HddmW::Reset() {
  Restart();
  statistic_ = 0.0;
}

void HddmW::Write(StateWriter& writer) const {
  writer.Section("hddm_w");
  for (const Part* part : {&all_, &before_rise_, &after_rise_, &before_fall_, &after_fall_}) {
    writer.Put(part->mean);
    writer.Put(part->weights);
    writer.Put(part->is_begun);
  }
  for (const double number : {rise_cut_, fall_cut_, statistic_}) writer.Put(number);
}

void HddmW::Read(StateReader& reader) {
  reader.Section("hddm_w");
  for (Part* part : {&all_, &before_rise_, &after_rise_, &before_fall_, &after_fall_}) {
    part->mean = reader.GetFinite<double>();
    part->weights = reader.GetFinite<double>();
    part->is_begun = reader.Get<bool>();
    if (!(part->mean >= -1e-9 && part->mean <= 1.0 + 1e-9) ||
        !(part->weights > 0.0 && part->weights <= 1.0)) {
      reader.Refuse("a mean that no run leaves behind");
    }
  }
  rise_cut_ = reader.Get<double>();
  fall_cut_ = reader.Get<double>();
  if (std::isnan(rise_cut_) || std::isnan(fall_cut_)) reader.Refuse("a cut that is no number");
  statistic_ = reader.GetFinite<double>();
}

void HddmW::AddTo(OptionsDigest& digest) const {
  digest.AddText("hddm_w")
      .Add(options_.drift_confidence)
      .Add(options_.warning_confidence)
      .Add(options_.lambda_val)
      .Add(options_.two_sided_test);
}

}  // namespace tinylcm::drift
