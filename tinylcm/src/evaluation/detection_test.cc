#include "tinylcm/evaluation/detection.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace {

using tinylcm::evaluation::At;
using tinylcm::evaluation::Change;
using tinylcm::evaluation::Compare;
using tinylcm::evaluation::Detection;
using tinylcm::evaluation::Evaluate;
using tinylcm::evaluation::Judged;

using Indices = std::vector<std::uint64_t>;
using Changes = std::vector<Change>;

TEST(Evaluate, ChargesAMissAtTheHorizon) {
  // Caught after 10; missed: 100; a gradual one missed: its 50 samples and 100.
  const Detection is =
      Evaluate(Indices{1010}, Changes{At(1000), At(2000), {3000, 3050}}, 4000, {.horizon = 100})
          .value();
  EXPECT_DOUBLE_EQ(is.delay.value(), 10.0);
  EXPECT_DOUBLE_EQ(is.charged_delay.value(), (10.0 + 100.0 + 150.0) / 3.0);
}

TEST(Evaluate, MeasuresTheRunLengthOutsideTheWindows) {
  // 1,000 samples, less the 101 from 500 to 600; two alarms in the other 899.
  const Detection is =
      Evaluate(Indices{100, 510, 900}, Changes{At(500)}, 1000, {.horizon = 100}).value();
  EXPECT_EQ(is.quiet, 899u);
  EXPECT_DOUBLE_EQ(is.run_length.value(), 449.5);
  // Two events: the exact Poisson interval is .2422 to 7.2247.
  EXPECT_NEAR(is.run_length_low.value(), 899.0 / 7.2247, 0.01);
  EXPECT_NEAR(is.run_length_high.value(), 899.0 / 0.2422, 0.5);
}

TEST(Evaluate, KnowsOnlyALowerEndOfTheRunLengthWithoutAFalseAlarm) {
  const Detection is = Evaluate({}, {}, 10'000, {}).value();
  EXPECT_FALSE(is.run_length.has_value());
  EXPECT_NEAR(is.run_length_low.value(), 10'000.0 / 3.6889, 0.1);
  EXPECT_FALSE(is.run_length_high.has_value());
}

TEST(Evaluate, CountsASampleInTwoWindowsOnce) {
  // 100 to 150 and 120 to 170: 71 samples. The window of 990 ends with the stream: 10 more.
  const Detection is =
      Evaluate({}, Changes{At(100), At(120), At(990)}, 1000, {.horizon = 50}).value();
  EXPECT_EQ(is.quiet, 1000u - 71u - 10u);
}

TEST(Evaluate, HasNoRecallWithoutAChange) {
  const Detection is = Evaluate(Indices{5}, {}, 10, {}).value();
  EXPECT_FALSE(is.recall.has_value());
  EXPECT_FALSE(is.episode_recall.has_value());
  EXPECT_FALSE(is.f1.has_value());
  EXPECT_FALSE(is.charged_delay.has_value());
  EXPECT_DOUBLE_EQ(is.precision.value(), 0.0);
}

TEST(Evaluate, GivesAnInfiniteRatioToADelayOfNothing) {
  const Detection is =
      Evaluate(Indices{100, 500, 700}, Changes{At(100)}, 1000, {.horizon = 50}).value();
  EXPECT_TRUE(std::isinf(is.mean_time_ratio.value()));
}

TEST(Evaluate, RefusesWhatLiesOutsideTheStreamOrOutOfOrder) {
  const auto message = [](const Indices& alarms, const Changes& changes, std::uint64_t length) {
    const auto is = Evaluate(alarms, changes, length, {});
    return is.ok() ? std::string("accepted") : is.error().message;
  };
  EXPECT_EQ(message({10}, {}, 10), "alarm 10 lies behind the last sample, 9");
  EXPECT_EQ(message({}, {At(10)}, 10), "change 10 lies behind the last sample, 9");
  EXPECT_EQ(message({5, 4}, {}, 10), "alarm 4 comes after alarm 5: they must be in order");
  EXPECT_EQ(message({}, {At(5), At(5)}, 10), "change 5 is given twice");
  EXPECT_EQ(message({}, {At(6), At(5)}, 10),
            "change 5 comes after change 6: they must be in order");
  EXPECT_EQ(message({}, {}, 0), "a stream of no samples: nothing can be said");
}

TEST(Evaluate, BearsAHorizonBeyondAnyStream) {
  const Detection is = Evaluate(Indices{9}, Changes{At(3)}, 10,
                                {.horizon = std::uint64_t{1} << 62, .early = 1'000'000})
                           .value();
  EXPECT_EQ(is.caught, 1u);
  EXPECT_EQ(is.quiet, 0u);
}

TEST(Dummies, StandBesideEveryResult) {
  // 1,000 samples, a change at 500; one alarm at 510 and a false one: every 500th is as frequent.
  const std::vector<Judged> judged =
      Compare(Indices{100, 510}, Changes{At(500)}, 1000, {.horizon = 100}).value();
  ASSERT_EQ(judged.size(), 4u);
  EXPECT_EQ(judged[0].name, "detector");
  EXPECT_EQ(judged[1].name, "never");
  EXPECT_EQ(judged[1].detection.alarms, 0u);
  EXPECT_DOUBLE_EQ(judged[1].detection.charged_delay.value(), 100.0);
  EXPECT_EQ(judged[2].name, "always");
  EXPECT_EQ(judged[2].detection.alarms, 1000u);
  EXPECT_DOUBLE_EQ(judged[2].detection.charged_delay.value(), 0.0);
  EXPECT_EQ(judged[3].name, "every_500");
  EXPECT_EQ(judged[3].detection.alarms, 2u);  // 499 and 999: both too early or too late.
  EXPECT_EQ(judged[3].detection.caught, 0u);
}

TEST(Dummies, AlarmOnceAHorizonBesideADetectorThatNeverDid) {
  const std::vector<Judged> judged = Compare({}, Changes{At(500)}, 1000, {.horizon = 100}).value();
  EXPECT_EQ(judged[3].name, "every_100");
}

TEST(Evaluate, FindsALongWindowBehindShortOnesThatAreOver) {
  // 100 to 310 is still open when 150 to 160 is over, and the earlier of two that are open.
  const Detection is =
      Evaluate(Indices{155, 300, 311}, Changes{{100, 300}, At(150), At(290)}, 1000, {.horizon = 10})
          .value();
  EXPECT_EQ(is.hits, 2u);
  EXPECT_EQ(is.caught, 1u);
  EXPECT_EQ(is.false_alarms, 1u);
}

TEST(Dummies, NeedNoMemoryForTheirAlarms) {
  // Listed, these would be 1.6 GB.
  const std::vector<Judged> judged = Compare({}, {}, 200'000'000, {}).value();
  EXPECT_EQ(judged[2].detection.false_alarms, 200'000'000u);
  EXPECT_DOUBLE_EQ(judged[2].detection.mean_time_between_false_alarms.value(), 1.0);
}

TEST(Dummies, CanBeGivenTheirPeriod) {
  const std::vector<Judged> judged =
      Compare({}, Changes{At(500)}, 1000, {.horizon = 100}, 250).value();
  EXPECT_EQ(judged[3].name, "every_250");
  EXPECT_EQ(judged[3].detection.alarms, 4u);
}

}  // namespace
