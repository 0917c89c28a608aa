#include "tinylcm/drift/detectors/bets.h"

#include <algorithm>
#include <cmath>

#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

// Nobody may own more: far beyond any limit, far below where a float ends. A fortune that is cut is
// no longer a fair game but a losing one, so the promise still holds.
constexpr float kFortune = 1e30f;

// P(low < Z <= high) without loss in either tail.
double NormalBetween(double low, double high) {
  return low > 0.0 ? NormalProbability(-low) - NormalProbability(-high)
                   : NormalProbability(high) - NormalProbability(low);
}

// The mean over a cell of the bet's likelihood ratio against a standard normal z, whose cell is
// (low, high]: the probability of the cell under what the bet says, over its width.
double MeanPayment(const Bet& bet, double low, double high, double width) {
  switch (bet.kind) {
    case BetKind::kRise:
    case BetKind::kSomeRise:
      return 1.0 - bet.part + bet.part * NormalBetween(low - bet.size, high - bet.size) / width;
    case BetKind::kFall:
    case BetKind::kSomeFall:
      return 1.0 - bet.part + bet.part * NormalBetween(low + bet.size, high + bet.size) / width;
    case BetKind::kWider:
    case BetKind::kNarrower:
      return 1.0 - bet.part + bet.part * NormalBetween(low / bet.size, high / bet.size) / width;
    case BetKind::kShape:
      return 1.0;
  }
  return 1.0;
}

}  // namespace

// Chosen on streams of their own; see docs/decisions/0009.
const std::array<Bet, kBets> kAllBets = {{
    {BetKind::kRise, 0.25, 1.0, 0.05, 0.0, false},
    {BetKind::kRise, 0.55, 1.0, 0.10, 0.0, false},
    {BetKind::kRise, 1.1, 1.0, 0.10, 0.0, true},
    {BetKind::kRise, 2.4, 1.0, 0.09, 0.0, true},
    {BetKind::kFall, 0.25, 1.0, 0.05, 0.0, false},
    {BetKind::kFall, 0.55, 1.0, 0.10, 0.0, false},
    {BetKind::kFall, 1.1, 1.0, 0.10, 0.0, true},
    {BetKind::kFall, 2.4, 1.0, 0.09, 0.0, true},
    {BetKind::kSomeRise, 3.0, 0.15, 0.06, 0.0, false},
    {BetKind::kSomeFall, 3.0, 0.15, 0.06, 0.0, false},
    {BetKind::kSomeRise, 2.0, 0.30, 0.03, 0.0, false},
    {BetKind::kSomeFall, 2.0, 0.30, 0.03, 0.0, false},
    {BetKind::kWider, 1.6, 1.0, 0.04, 0.0, true},
    {BetKind::kNarrower, 0.6, 1.0, 0.04, 0.0, true},
    {BetKind::kShape, 40.0, 0.5, 0.03, 0.5, true},
    {BetKind::kShape, 300.0, 0.7, 0.03, 0.5, false},
}};

const char* Name(BetKind kind) {
  switch (kind) {
    case BetKind::kRise:
      return "rise";
    case BetKind::kFall:
      return "fall";
    case BetKind::kSomeRise:
      return "some_rise";
    case BetKind::kSomeFall:
      return "some_fall";
    case BetKind::kWider:
      return "wider";
    case BetKind::kNarrower:
      return "narrower";
    case BetKind::kShape:
      return "shape";
  }
  return "shape";
}

const BetTable& BetTable::Get() {
  static const BetTable table;
  return table;
}

std::array<double, 2> BetTable::Bounds(std::size_t cell) {
  const std::size_t step = cell % kSide;
  const auto bound = [](std::size_t at) {
    const double octave = std::ldexp(1.0, static_cast<int>(at / kSteps) - 20);
    return octave * (1.0 + static_cast<double>(at % kSteps) / static_cast<double>(kSteps));
  };
  // The first cell also holds all that lies nearer to the end.
  return {step == 0 ? 0.0 : bound(step), bound(step + 1)};
}

BetTable::BetTable() {
  for (std::size_t cell = 0; cell < kCells; ++cell) {
    const auto [near, far] = Bounds(cell);
    const double near_z = near == 0.0 ? -40.0 : NormalQuantile(near);
    const double far_z = far == 0.5 ? 0.0 : NormalQuantile(far);
    const bool upper = cell >= kSide;
    for (std::size_t b = 0; b < kBets; ++b) {
      const double payment = upper ? MeanPayment(kAllBets[b], -far_z, -near_z, far - near)
                                   : MeanPayment(kAllBets[b], near_z, far_z, far - near);
      rows_[cell][b] = static_cast<float>(payment);
    }
  }
}

RecentShape::RecentShape() {
  for (auto& bins : share) bins.fill(1.0f / static_cast<float>(kBins));
}

Payment Pay(float u) {
  Payment payment;
  const float* row = BetTable::Get().Row(BetTable::Cell(u));
  std::copy(row, row + kBets, payment.begin());
  return payment;
}

Payment Pay(float u, RecentShape& shape) {
  Payment payment = Pay(u);
  constexpr std::size_t kBins = RecentShape::kBins;
  const std::size_t bin =
      std::min(static_cast<std::size_t>(u * static_cast<float>(kBins)), kBins - 1);
  for (std::size_t s = 0; s < kShapeBets; ++s) {
    static const std::array<float, kShapeBets> part = {
        static_cast<float>(kAllBets[kFixedBets].part),
        static_cast<float>(kAllBets[kFixedBets + 1].part)};
    static const std::array<float, kShapeBets> gain = {
        static_cast<float>(1.0 / kAllBets[kFixedBets].size),
        static_cast<float>(1.0 / kAllBets[kFixedBets + 1].size)};
    auto& share = shape.share[s];
    payment[kFixedBets + s] = 1.0f - part[s] + part[s] * static_cast<float>(kBins) * share[bin];
    const float keep = 1.0f - gain[s];
    for (float& value : share) value *= keep;
    share[bin] += gain[s];
  }
  return payment;
}

void Play(const Payment& payment, float lent, float elapsed, Stakes& stakes) {
  for (std::size_t b = 0; b < kBets; ++b) {
    const float before = stakes.capital[b];
    const float aged = (stakes.age[b] + before * elapsed) * payment[b];
    const float owned = (before + lent) * payment[b];
    // An age is cut with its fortune, or it would outgrow it.
    const float cut = owned > kFortune ? kFortune / owned : 1.0f;
    stakes.capital[b] = owned * cut;
    stakes.age[b] = aged * cut;
  }
}

float Weigh(const std::array<float, kBets>& capital, const std::array<float, kBets>& weights) {
  // Four sums side by side: one vector register, the same order everywhere.
  std::array<float, 4> sums{};
  for (std::size_t b = 0; b < kBets; b += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      sums[lane] += capital[b + lane] * weights[b + lane];
    }
  }
  return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

}  // namespace tinylcm::drift
