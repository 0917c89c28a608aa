#include "tinylcm/drift/detectors/shiryaev_roberts.h"

#include <cmath>

#include "base/check.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

using base::Error;
using base::ErrorCode;
using Side = ShiryaevRoberts::Side;

bool IsFor(Side side, BetKind kind) {
  switch (side) {
    case Side::kUp:
      return kind == BetKind::kRise || kind == BetKind::kSomeRise;
    case Side::kDown:
      return kind == BetKind::kFall || kind == BetKind::kSomeFall;
    case Side::kBoth:
      return true;
  }
  return true;
}

// Those who bet on this side, their weights adding up to 1.
BetWeights WeightsFor(Side side) {
  BetWeights weights = NumberWeights();
  float sum = 0.0f;
  for (std::size_t b = 0; b < kBets; ++b) {
    if (!IsFor(side, kAllBets[b].kind)) weights[b] = 0.0f;
    sum += weights[b];
  }
  for (float& weight : weights) weight /= sum;
  return weights;
}

}  // namespace

base::Result<ShiryaevRoberts> ShiryaevRoberts::Create(const Options& options) {
  // Written as "not good" rather than "bad" so that NaN is refused too.
  if (!(options.limit == 0.0 || (options.limit > 1.0 && options.limit <= kFortuneMax))) {
    return Error{ErrorCode::kInvalidArgument, "shiryaev_roberts: limit must be > 1, at most 1e20"};
  }
  if (!(options.run_length == 0.0 ||
        (options.run_length >= kRunLengthMin && options.run_length <= kRunLengthMax))) {
    return Error{ErrorCode::kInvalidArgument,
                 "shiryaev_roberts: run length must be between 10 and 1e12"};
  }
  if ((options.limit > 0.0) == (options.run_length > 0.0)) {
    return Error{ErrorCode::kInvalidArgument,
                 "shiryaev_roberts: give either limit or a run length"};
  }
  if (!std::isfinite(options.mean)) {
    return Error{ErrorCode::kInvalidArgument, "shiryaev_roberts: mean must be finite"};
  }
  if (!(options.sd > 0.0 && std::isfinite(options.sd))) {
    return Error{ErrorCode::kInvalidArgument, "shiryaev_roberts: sd must be > 0"};
  }
  Options settled = options;
  if (options.limit == 0.0) {
    const Game game = options.side == Side::kBoth ? Game::kNumber : Game::kNumberOneSide;
    settled.limit = LimitForRunLength(
        options.run_length, [game](double limit) { return RunLengthOverLimit(game, limit); });
  }
  return ShiryaevRoberts(settled);
}

ShiryaevRoberts::ShiryaevRoberts(const Options& options)
    : options_(options), table_(&BetTable::Get()), weights_(WeightsFor(options.side)) {}

DriftSignal ShiryaevRoberts::Observe(double value) {
  CHECK(std::isfinite(value));
  // Beyond the last cell of the table all is alike; (value - mean) / sd may even overflow.
  const double z = (value - options_.mean) / options_.sd;
  const auto u = static_cast<float>(z > 0.0 ? 1.0 - NormalProbability(-z) : NormalProbability(z));
  statistic_ = static_cast<double>(Play(Pay(*table_, u, shape_), 1.0f, 1.0f, weights_, stakes_));
  if (statistic_ < options_.limit) return DriftSignal::kSteady;

  // Starts afresh, but what was compared can still be asked for.
  stakes_ = Stakes{};
  shape_ = RecentShape{};
  return DriftSignal::kDrift;
}

void ShiryaevRoberts::Reset() {
  stakes_ = Stakes{};
  shape_ = RecentShape{};
  statistic_ = 0.0;
}

void ShiryaevRoberts::Write(StateWriter& writer) const {
  writer.Section("shiryaev_roberts");
  stakes_.Write(writer);
  shape_.Write(writer);
  writer.Put(statistic_);
}

void ShiryaevRoberts::Read(StateReader& reader) {
  reader.Section("shiryaev_roberts");
  stakes_.Read(reader);
  shape_.Read(reader);
  statistic_ = reader.GetFinite<double>();
  if (statistic_ < 0.0) reader.Refuse("a purse below empty");
}

void ShiryaevRoberts::AddTo(OptionsDigest& digest) const {
  digest.AddText("shiryaev_roberts")
      .Add(options_.limit)
      .Add(options_.mean)
      .Add(options_.sd)
      .Add(options_.side);
}

}  // namespace tinylcm::drift
