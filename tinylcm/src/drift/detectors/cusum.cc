#include "tinylcm/drift/detectors/cusum.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "tinylcm/drift/detectors/run_length.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

base::Result<Cusum> Cusum::Create(const Options& options) {
  // Written as "not good" rather than "bad" so that NaN is refused too.
  if (!(options.k >= 0.0 && std::isfinite(options.k))) {
    return Error{ErrorCode::kInvalidArgument, "cusum: k must be >= 0"};
  }
  if (!(options.h >= 0.0 && std::isfinite(options.h))) {
    return Error{ErrorCode::kInvalidArgument, "cusum: h must be > 0"};
  }
  if (!(options.run_length >= 0.0)) {
    return Error{ErrorCode::kInvalidArgument, "cusum: run_length must be >= 2"};
  }
  if ((options.h > 0.0) == (options.run_length > 0.0)) {
    return Error{ErrorCode::kInvalidArgument, "cusum: give either h or a run length"};
  }
  if (!std::isfinite(options.mean)) {
    return Error{ErrorCode::kInvalidArgument, "cusum: mean must be finite"};
  }
  if (!(options.sd > 0.0 && std::isfinite(options.sd))) {
    return Error{ErrorCode::kInvalidArgument, "cusum: sd must be > 0"};
  }
  Options settled = options;
  if (options.h == 0.0) {
    ASSIGN_OR_RETURN(settled.h, CusumLimit({.k = options.k,
                                            .run_length = options.run_length,
                                            .two_sided = options.side == Side::kBoth}));
  }
  return Cusum(settled);
}

DriftSignal Cusum::Observe(double value) {
  CHECK(std::isfinite(value));
  const double z = (value - options_.mean) / options_.sd;
  if (options_.side != Side::kDown) state_.up = std::max(0.0, state_.up + (z - options_.k));
  if (options_.side != Side::kUp) state_.down = std::max(0.0, state_.down + (-z - options_.k));

  state_.samples += 1;
  state_.statistic = std::max(state_.up, state_.down);
  if (state_.statistic == 0.0) state_.samples_at_zero = state_.samples;
  if (state_.statistic <= options_.h) return DriftSignal::kSteady;

  // Starts afresh, but what was compared can still be asked for.
  state_ = State{.statistic = state_.statistic};
  return DriftSignal::kDrift;
}

base::Status Cusum::Restore(const State& state) {
  const auto possible = [this](double height) { return height >= 0.0 && height <= options_.h; };
  if (!possible(state.up) || !possible(state.down) || !(state.statistic >= 0.0) ||
      !std::isfinite(state.statistic) || state.samples_at_zero > state.samples) {
    return Error{ErrorCode::kInvalidArgument, "cusum: no run leaves such a state behind"};
  }
  state_ = state;
  return {};
}

void Cusum::Write(StateWriter& writer) const {
  writer.Section("cusum");
  for (const double number : {state_.up, state_.down, state_.statistic}) writer.Put(number);
  writer.Put(state_.samples);
  writer.Put(state_.samples_at_zero);
}

void Cusum::Read(StateReader& reader) {
  reader.Section("cusum");
  State read;
  for (double* number : {&read.up, &read.down, &read.statistic}) {
    *number = reader.GetFinite<double>();
  }
  read.samples = reader.Get<std::uint64_t>();
  read.samples_at_zero = reader.Get<std::uint64_t>();
  if (const base::Status status = Restore(read); !status.ok()) {
    reader.Refuse(status.error().message);
  }
}

void Cusum::AddTo(OptionsDigest& digest) const {
  digest.AddText("cusum")
      .Add(options_.k)
      .Add(options_.h)
      .Add(options_.mean)
      .Add(options_.sd)
      .Add(options_.side);
}

}  // namespace tinylcm::drift
