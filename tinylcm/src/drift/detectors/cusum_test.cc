#include "tinylcm/drift/detectors/cusum.h"

#include <gtest/gtest.h>

#include <limits>
#include <optional>

namespace tinylcm::drift {
namespace {

Cusum Make(const Cusum::Options& options) { return Cusum::Create(options).value(); }

// Feeds `value` up to `times` times; returns how many it took to report drift.
std::optional<int> ValuesUntilDrift(Detector& detector, double value, int times) {
  for (int fed = 1; fed <= times; ++fed) {
    if (detector.Observe(value) == DriftSignal::kDrift) return fed;
  }
  return std::nullopt;
}

TEST(Cusum, StaysQuietWhileValuesAreUsual) {
  Cusum cusum = Make({.h = 1.0});
  EXPECT_EQ(ValuesUntilDrift(cusum, 0.4, 100'000), std::nullopt);
  EXPECT_EQ(cusum.statistic(), 0.0);
}

TEST(Cusum, ReportsARiseAtTheValueWorkedOutByHand) {
  // Each 2.0 adds 2.0 - 0.5 = 1.5: 1.5, 3.0, 4.5, and 6.0 > 5.
  Cusum cusum = Make({.k = 0.5, .h = 5.0});
  EXPECT_EQ(ValuesUntilDrift(cusum, 2.0, 100), 4);
  EXPECT_EQ(cusum.statistic(), 6.0);
}

TEST(Cusum, AtTheLimitIsNotYetPastIt) {
  Cusum cusum = Make({.k = 0.5, .h = 4.5});
  EXPECT_EQ(ValuesUntilDrift(cusum, 2.0, 3), std::nullopt);
  EXPECT_EQ(ValuesUntilDrift(cusum, 0.625, 1), 1);
}

TEST(Cusum, TakesValuesAsDeviationsFromWhatIsUsual) {
  // (16 - 10) / 3 = 2.0, as above.
  Cusum cusum = Make({.k = 0.5, .h = 5.0, .mean = 10.0, .sd = 3.0});
  EXPECT_EQ(ValuesUntilDrift(cusum, 16.0, 100), 4);
}

TEST(Cusum, ALowValueUndoesWhatHighOnesDid) {
  Cusum cusum = Make({.k = 0.5, .h = 5.0});
  ValuesUntilDrift(cusum, 2.0, 3);  // 4.5
  cusum.Observe(-9.0);              // Down to the floor, not below.
  EXPECT_EQ(cusum.statistic(), 0.0);
  EXPECT_EQ(ValuesUntilDrift(cusum, 2.0, 100), 4);
}

TEST(Cusum, RemembersWhenTheRiseBegan) {
  Cusum cusum = Make({.k = 0.5, .h = 5.0});
  ValuesUntilDrift(cusum, 0.0, 7);
  ValuesUntilDrift(cusum, 2.0, 3);
  EXPECT_EQ(cusum.state().samples, 10u);
  EXPECT_EQ(cusum.state().samples_at_zero, 7u);
}

TEST(Cusum, WatchesTheSideItIsTold) {
  for (const auto& [side, up, down] :
       {std::tuple{Cusum::Side::kUp, true, false}, std::tuple{Cusum::Side::kDown, false, true},
        std::tuple{Cusum::Side::kBoth, true, true}}) {
    Cusum rising = Make({.h = 5.0, .side = side});
    Cusum falling = Make({.h = 5.0, .side = side});
    EXPECT_EQ(ValuesUntilDrift(rising, 2.0, 100).has_value(), up);
    EXPECT_EQ(ValuesUntilDrift(falling, -2.0, 100).has_value(), down);
  }
}

TEST(Cusum, SolvesItsLimitFromTheRunLength) {
  // spc: xcusum.crit(0.5, 1e4, sided = "one") and "two".
  EXPECT_NEAR(Make({.run_length = 1e4}).limit(), 7.360786, 1e-6);
  EXPECT_NEAR(Make({.run_length = 1e4, .side = Cusum::Side::kBoth}).limit(), 8.053049, 1e-6);
}

TEST(Cusum, RefusesOptionsThatCannotGiveASignal) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Cusum::Options wrong[] = {
      {},                               // Neither a limit nor a run length ...
      {.h = 5.0, .run_length = 100.0},  // ... or both.
      {.k = -0.1, .h = 5.0},
      {.k = nan, .h = 5.0},
      {.h = -1.0},
      {.h = nan},
      {.run_length = 1.0},
      {.run_length = nan},
      {.h = 5.0, .mean = nan},
      {.h = 5.0, .sd = 0.0},
      {.h = 5.0, .sd = nan},
  };
  for (const Cusum::Options& options : wrong) {
    const auto cusum = Cusum::Create(options);
    ASSERT_FALSE(cusum.ok());
    EXPECT_EQ(cusum.error().code, base::ErrorCode::kInvalidArgument);
  }
}

TEST(Cusum, RefusesAStateNoRunLeavesBehind) {
  Cusum cusum = Make({.h = 5.0});
  cusum.Observe(2.0);
  const Cusum::State wrong[] = {{.up = -1.0},
                                {.up = 5.1},
                                {.down = std::numeric_limits<double>::quiet_NaN()},
                                {.statistic = -1.0},
                                {.samples = 3, .samples_at_zero = 4}};
  for (const Cusum::State& state : wrong) EXPECT_FALSE(cusum.Restore(state).ok());
  EXPECT_EQ(cusum.state().up, 1.5);
}

TEST(CusumDeathTest, StopsOnAValueIntakeShouldHaveDropped) {
  Cusum cusum = Make({.h = 5.0});
  EXPECT_DEATH(cusum.Observe(std::numeric_limits<double>::infinity()), "isfinite");
}

}  // namespace
}  // namespace tinylcm::drift
