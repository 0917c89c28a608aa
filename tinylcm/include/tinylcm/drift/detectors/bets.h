// Bets: how evidence that a number is no longer what it was is gathered, whatever it turns into.
//
// Picture a fair wheel with the numbers from 0 to 1 and sixteen gamblers. One always bets that it
// comes out a little high, one that it comes out low, one that a tenth of the throws are far too
// high, one that it avoids the ends, two simply bet on whatever came up of late. While the wheel is
// fair nobody can expect to win, for each stake is multiplied by a number whose mean is 1. Once it
// is bent, the gambler who bet on that bend grows rich, by a constant factor a throw. Each throw
// every one of them is lent one more coin (Shiryaev-Roberts), so that one who lost everything long
// ago is there when the bend comes. All they own together, less the coins lent, is a fair game too:
// the mean time until it passes A is at least A, under any dependence between the wheels.
//
// The wheel is the rank u of a sample among those known (uniform while nothing has changed). The
// bets are fixed functions of u, steps on a fixed grid, fine at both ends: the height of a step is
// the mean of the likelihood ratio over it, so that the mean of the whole is 1 to rounding. One row
// of the table holds what all bets make of one u.
//
// Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection"
// (2024); Roberts, "A comparison of some control chart procedures", Technometrics 8 (1966).

#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

// What a bet says about the numbers.
enum class BetKind : std::uint8_t {
  kRise,      // All rose.
  kFall,      // All fell.
  kSomeRise,  // Some rose far.
  kSomeFall,  // Some fell far.
  kWider,     // They spread more.
  kNarrower,  // They spread less.
  kShape,     // Some values are more frequent than they were: what of late came up.
};
inline constexpr std::size_t kBetKinds = 7;
const char* Name(BetKind kind);  // "rise", "some_fall", ...

struct Bet {
  BetKind kind = BetKind::kRise;
  // Rise and fall: shift in standard deviations; wider and narrower: the standard deviation;
  // shape: how many of the last values it goes by.
  double size = 0.0;
  double part = 1.0;  // Of the values that changed; shape: of the stake that is bet.
  // What the bet counts for a number and for a category (whose order means nothing). The weights
  // of a column add up to 1.
  double number_weight = 0.0;
  double category_weight = 0.0;
  // True where it finds a change within some ten samples or not at all.
  bool fast = false;
};

inline constexpr std::size_t kBets = 16;
inline constexpr std::size_t kFixedBets = 14;  // The first ones; the rest learn what they bet on.
inline constexpr std::size_t kShapeBets = kBets - kFixedBets;
// Chosen on streams of their own; see docs/decisions/0009.
inline constexpr std::array<Bet, kBets> kAllBets = {{
    {BetKind::kRise, 0.25, 1.0, 0.03, 0.0, false},
    {BetKind::kRise, 0.55, 1.0, 0.05, 0.0, false},
    {BetKind::kRise, 1.1, 1.0, 0.10, 0.0, true},
    {BetKind::kRise, 2.4, 1.0, 0.07, 0.0, true},
    {BetKind::kFall, 0.25, 1.0, 0.03, 0.0, false},
    {BetKind::kFall, 0.55, 1.0, 0.05, 0.0, false},
    {BetKind::kFall, 1.1, 1.0, 0.10, 0.0, true},
    {BetKind::kFall, 2.4, 1.0, 0.07, 0.0, true},
    {BetKind::kSomeRise, 1.8, 0.10, 0.12, 0.0, false},
    {BetKind::kSomeFall, 1.8, 0.10, 0.12, 0.0, false},
    {BetKind::kSomeRise, 2.8, 0.25, 0.06, 0.0, true},
    {BetKind::kSomeFall, 2.8, 0.25, 0.06, 0.0, true},
    {BetKind::kWider, 1.6, 1.0, 0.03, 0.0, true},
    {BetKind::kNarrower, 0.6, 1.0, 0.03, 0.0, true},
    {BetKind::kShape, 40.0, 0.5, 0.04, 0.5, true},
    {BetKind::kShape, 150.0, 0.7, 0.04, 0.5, false},
}};

// What the fixed bets pay, by cell of the grid. Immutable; 20 KB, one a program.
class BetTable {
 public:
  static constexpr std::size_t kOctaves = 19;  // Halvings of the distance to the end, to 2^-20.
  static constexpr std::size_t kSteps = 8;     // Cells a halving.
  static constexpr std::size_t kSide = kOctaves * kSteps;
  static constexpr std::size_t kCells = 2 * kSide;

  static const BetTable& Get();

  // The cell u lies in. REQUIRES: 0 <= u <= 1.
  static std::size_t Cell(float u) {
    // Without a branch: which half u lies in is as hard to foretell as it gets.
    const float other = 1.0f - u;  // Exact where u >= 0.5.
    const float end = other < u ? other : u;
    // Exponent and three bits of the mantissa, as they lie in the number.
    constexpr std::uint32_t kFirst = (127u - 20u) * kSteps;
    const std::uint32_t lies = std::bit_cast<std::uint32_t>(end) >> 20;
    const std::uint32_t step = lies < kFirst ? 0 : lies - kFirst;
    return (step < kSide ? step : kSide - 1) + kSide * static_cast<std::size_t>(u >= 0.5f);
  }
  // Where the cell's lower and upper bound lie, as distance from its end (0 below 0.5, else 1).
  static std::array<double, 2> Bounds(std::size_t cell);

  // What each fixed bet pays; 1 where the bet is no fixed one.
  const float* Row(std::size_t cell) const { return rows_[cell].data(); }

 private:
  BetTable();
  struct alignas(64) Line : std::array<float, kBets> {};
  std::array<Line, kCells> rows_;
};

// What all who bet on one stream of numbers own. Plain data.
struct alignas(64) Stakes {
  std::array<float, kBets> capital{};
  // Capital times the mean number of samples since its coins were lent: when what is large now
  // began to grow.
  std::array<float, kBets> age{};

  void Write(StateWriter& writer) const;
  void Read(StateReader& reader);  // Refuses what no game leaves behind.
};

// What came up of late: the share of each sixteenth of (0, 1), of the last values; what the shape
// bets go by. Plain data.
struct alignas(64) RecentShape {
  static constexpr std::size_t kBins = 16;
  std::array<std::array<float, kBins>, kShapeBets> share;
  RecentShape();

  void Write(StateWriter& writer) const;
  void Read(StateReader& reader);
};

// What all bets pay on one u.
struct alignas(64) Payment : std::array<float, kBets> {};
// Shape bets pay by `shape` as it was before u came; then it takes u in.
Payment Pay(const BetTable& table, float u, RecentShape& shape);

// What each bet counts: the weights of kAllBets as numbers of the machine.
struct alignas(64) BetWeights : std::array<float, kBets> {};
BetWeights NumberWeights();
BetWeights CategoryWeights();

// One throw: `lent` coins for everyone, then all stakes are multiplied. `elapsed`: samples since
// the last throw, for the ages.
// Gives what they own then, each counted by its weight.
float Play(const Payment& payment, float lent, float elapsed, const BetWeights& weights,
           Stakes& stakes);

// What is played until the capital, weighed, reaches a limit.
enum class Game : std::uint8_t {
  kNumber,           // One number, all bets.
  kNumberOneSide,    // One number, the bets on a rise or on a fall alone.
  kNumberInClasses,  // One number, over all samples and within each predicted class.
  kCategory,         // The same for a category.
  kCategoryInClasses,
};

// The mean number of samples until a limit is reached, over that limit: by how much the last throw
// carries the capital past it. Above 1; tabulated by bench/drift/solve_limits.cc.
double RunLengthOverLimit(Game game, double limit);

inline constexpr double kRunLengthMin = 10.0;
inline constexpr double kRunLengthMax = 1e12;
inline constexpr double kFortuneMax = 1e20;  // No limit lies above.

// The limit with limit * over(limit) = run_length, for a slowly changing `over` >= 1.
template <typename Over>
double LimitForRunLength(double run_length, const Over& over) {
  double limit = run_length;
  for (int i = 0; i < 60; ++i) limit = run_length / over(limit);
  return limit;
}

}  // namespace tinylcm::drift
