#include "tinylcm/drift/detectors/ewma.h"

#include <cmath>

#include "base/check.h"
#include "tinylcm/drift/detectors/run_length.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

base::Result<Ewma> Ewma::Create(const Options& options) {
  if (!(options.lambda >= 0.001 && options.lambda <= 1.0)) {
    return Error{ErrorCode::kInvalidArgument, "ewma: lambda must be between 0.001 and 1"};
  }
  if (!(options.limit >= 0.0 && std::isfinite(options.limit))) {
    return Error{ErrorCode::kInvalidArgument, "ewma: limit must be > 0"};
  }
  if ((options.limit > 0.0) == (options.run_length > 0.0)) {
    return Error{ErrorCode::kInvalidArgument, "ewma: give either limit or a run length"};
  }
  if (!std::isfinite(options.mean)) {
    return Error{ErrorCode::kInvalidArgument, "ewma: mean must be finite"};
  }
  if (!(options.sd > 0.0 && std::isfinite(options.sd))) {
    return Error{ErrorCode::kInvalidArgument, "ewma: sd must be > 0"};
  }
  Options settled = options;
  if (options.limit == 0.0) {
    ASSIGN_OR_RETURN(settled.limit, EwmaLimit({.lambda = options.lambda,
                                               .run_length = options.run_length,
                                               .two_sided = options.side == Side::kBoth}));
  }
  return Ewma(settled);
}

Ewma::Ewma(const Options& options)
    : options_(options),
      is_both_(options.side == Side::kBoth),
      keep_(1.0 - options.lambda),
      part_(options.lambda / options.sd),
      scale_(std::sqrt((2.0 - options.lambda) / options.lambda) *
             (options.side == Side::kDown ? -1.0 : 1.0)) {}

DriftSignal Ewma::Observe(double value) {
  CHECK(std::isfinite(value));
  // One multiplication and one addition wait for the value before.
  const double needle = keep_ * needle_ + part_ * (value - options_.mean);
  needle_ = needle;
  const double height = needle * scale_;
  statistic_ = is_both_ ? std::abs(height) : height;
  if (!(statistic_ > options_.limit)) return DriftSignal::kSteady;
  Restart();
  return DriftSignal::kDrift;
}

void Ewma::Restart() { needle_ = 0.0; }

void Ewma::Write(StateWriter& writer) const {
  writer.Section("ewma");
  writer.Put(needle_);
  writer.Put(statistic_);
}

void Ewma::Read(StateReader& reader) {
  reader.Section("ewma");
  needle_ = reader.GetFinite<double>();
  statistic_ = reader.GetFinite<double>();
  if ((is_both_ ? std::abs(needle_) : needle_) * scale_ > options_.limit) {
    reader.Refuse("a needle past its limit");
  }
}

void Ewma::AddTo(OptionsDigest& digest) const {
  digest.AddText("ewma")
      .Add(options_.lambda)
      .Add(options_.limit)
      .Add(options_.mean)
      .Add(options_.sd)
      .Add(options_.side);
}

}  // namespace tinylcm::drift
