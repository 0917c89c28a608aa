#include "tinylcm/drift/factory_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "tinylcm/drift/detectors/monte_carlo.h"
#include "tinylcm/drift/detectors/run_length.h"

namespace tinylcm::drift {
namespace {

// 64 values as they lie of a standard normal law, evenly in probability.
std::vector<float> NormalHeldOut() {
  std::vector<float> values;
  base::Random random(99);
  std::vector<double> many(64'000);
  for (double& value : many) value = random.Normal();
  std::ranges::sort(many);
  for (std::size_t i = 0; i < 64; ++i) values.push_back(static_cast<float>(many[500 + 1000 * i]));
  return values;
}

// Without an error the limit is the one the integral equation gives (run_length.h), which
// Siegmund's formula meets to 2 % of the run length: at k = 0.25, where the run length grows by
// half a unit's exponent a unit of h, to 0.04.
TEST(FactoryWatch, SolvesTheKnownLimitWhereTheOffsetIsKnown) {
  for (const double run_length : {1e3, 1e4, 1e5, 1e6}) {
    const double exact =
        CusumLimit({.k = 0.25, .run_length = run_length, .two_sided = true}).value();
    EXPECT_NEAR(LimitWithUnknownMean(0.25, 0.0, run_length), exact, 0.04) << run_length;
  }
}

// A thousand watches, each off by what so many commissioning samples leave, alarm as often a value
// as was asked for (+-15 %: three standard errors of 1,000 waits, and those the offsets add).
TEST(FactoryWatch, KeepsTheAlarmRateWhenTheOffsetIsEstimated) {
  const double run_length = 3000.0;
  for (const double samples : {300.0, 3000.0}) {
    const double error = 1.0 / std::sqrt(samples);
    const double k = 0.25;
    const double h = LimitWithUnknownMean(k, error, run_length);
    base::Random offsets(17);
    double alarms = 0.0;
    double values = 0.0;
    for (int watch = 0; watch < 1000; ++watch) {
      // Each offset is watched for the same time, whether it alarms often or never.
      const double offset = error * offsets.Normal();
      base::Random random(static_cast<std::uint64_t>(watch));
      double up = 0.0;
      double down = 0.0;
      for (int i = 0; i < 3000; ++i) {
        const double z = random.Normal() + offset;
        up = std::max(0.0, up + z - k);
        down = std::max(0.0, down - z - k);
        values += 1.0;
        if (up <= h && down <= h) continue;
        alarms += 1.0;
        up = down = 0.0;
      }
    }
    EXPECT_NEAR(values / alarms / run_length, 1.0, 0.15) << samples;
  }
}

TEST(FactoryWatch, ScoresAValueAmongTheHeldOut) {
  // Four values have the scores of 1/8, 3/8, 5/8 and 7/8: -1.1503, -0.3186, 0.3186, 1.1503.
  const FactoryWatch watch(2, {{10.0f, 20.0f, 30.0f, 40.0f}});
  EXPECT_NEAR(watch.Score(0, 10.0f), -1.1503f, 1e-4);
  EXPECT_NEAR(watch.Score(0, 25.0f), 0.0f, 1e-4);
  EXPECT_NEAR(watch.Score(0, 35.0f), 0.5f * (0.3186f + 1.1503f), 1e-4);
  // Beyond the last straight on, by standard deviations: sqrt(125) = 11.18.
  EXPECT_NEAR(watch.Score(0, 62.36f), 1.1503f + 2.0f, 1e-3);
  EXPECT_TRUE(std::isnan(watch.Score(1, 10.0f)));  // Nobody knows this class.
}

TEST(FactoryWatch, GivesEqualValuesTheMiddleOfTheirScores) {
  // Of 0 0 0 1 the three have the score of their middle, 3/8 of all.
  const FactoryWatch watch(1, {{0.0f, 0.0f, 0.0f, 1.0f}});
  EXPECT_NEAR(watch.Score(0, 0.0f), -0.3186f, 1e-4);
}

TEST(FactoryWatch, TakesAConstantSignalThatMovesForFarOff) {
  const FactoryWatch watch(1, {{5.0f, 5.0f, 5.0f}});
  EXPECT_NEAR(watch.Score(0, 5.0f), 0.0f, 1e-6);
  EXPECT_EQ(watch.Score(0, 5.1f), 8.0f);
  EXPECT_EQ(watch.Score(0, 4.9f), -8.0f);
}

struct Field {
  std::vector<float> scores;
  std::vector<float> phases;
  std::vector<std::uint16_t> predicted;
  std::vector<SignalMask> has;
};

void Commission(FactoryWatch& watch, base::Random& random, double mean, std::size_t samples,
                double run_length) {
  Field field;
  for (std::size_t i = 0; i < samples; ++i) {
    field.scores.push_back(watch.Score(0, static_cast<float>(mean + random.Normal())));
  }
  field.phases.assign(samples, -1.0f);
  field.predicted.assign(samples, 0);
  field.has.assign(samples, 1);
  const Whitening::Gathered gathered{field.scores, field.phases, field.predicted, field.has, 1};
  watch.whitening().SettleMoments(gathered);
  watch.whitening().SettleCorrelation(gathered, true);
  watch.Settle(run_length, false);
}

// The field differs by 1.5 standard deviations from the factory from the first day on. That is told
// and then is no drift: 20,000 samples without an alarm (one is due in 1e6).
TEST(FactoryWatch, MeasuresWhatTheFieldDiffersByAndLetsItBe) {
  const std::uint64_t seed = 21;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  FactoryWatch watch(1, {NormalHeldOut()});
  Commission(watch, random, 1.5, 300, 1e6);
  EXPECT_TRUE(watch.field_differs());
  EXPECT_NEAR(watch.offset(), 1.5, 0.25);  // Four errors of a mean of 300.
  for (int i = 0; i < 20'000; ++i) {
    watch.Observe(0, static_cast<float>(1.5 + random.Normal()), -1.0f);
    ASSERT_FALSE(watch.alarms()) << i;
  }
}

TEST(FactoryWatch, DoesNotCallAFieldLikeTheFactoryDifferent) {
  base::Random random(22);
  FactoryWatch watch(1, {NormalHeldOut()});
  Commission(watch, random, 0.0, 300, 1e6);
  EXPECT_FALSE(watch.field_differs());
}

// From there on a shift of one standard deviation, which grows the sum by 1 - 0.25 a value, less
// by the offset's error of 4/sqrt(300) = 0.23 at most: the limit is reached within limit / 0.52.
TEST(FactoryWatch, FindsWhatIsAddedToTheOffsetEitherWay) {
  for (const double shift : {1.0, -1.0}) {
    base::Random random(23);
    FactoryWatch watch(1, {NormalHeldOut()});
    Commission(watch, random, 1.5, 300, 1e6);
    int count = 0;
    while (!watch.alarms() && count < 1000) {
      watch.Observe(0, static_cast<float>(1.5 + shift + random.Normal()), -1.0f);
      ++count;
    }
    EXPECT_LT(count, watch.level().limit / 0.52 + 20) << shift;
    EXPECT_EQ(watch.level().rose, shift > 0.0);
    EXPECT_NEAR(watch.level().wound_for, count, 30) << shift;
    watch.Restart();
    EXPECT_FALSE(watch.alarms());
  }
}

// With 36 samples of the first days the allowance is 4 / 6. The change is told whole all the same:
// of equal values, each the same distance from the usual, exactly that distance. Samples without a
// value say nothing of its size, and pass while it lasts.
TEST(FactoryWatch, TellsTheSizeOfAChangeWithWhatItAllowsFor) {
  for (const float value : {1.5f, -1.5f}) {
    base::Random random(24);
    FactoryWatch watch(1, {NormalHeldOut()});
    Commission(watch, random, 0.0, 36, 1e6);
    const Whitening::Moments usual = watch.whitening().moments(0);
    const double shift = (watch.Score(0, value) - usual.mean) / usual.sd;
    ASSERT_EQ(watch.whitening().phi(), 0.0f);
    for (int i = 0; i < 20; ++i) {
      watch.Observe(0, value, -1.0f);
      watch.Skip();
      watch.Skip();
    }
    EXPECT_NEAR(watch.level().shift, shift, 1e-5);
    EXPECT_NEAR(watch.level().statistic, 20.0 * (std::abs(shift) - 4.0 / 6.0), 1e-4);
    EXPECT_EQ(watch.level().wound_for, 60u);
  }
}

TEST(FactoryWatch, RefusesNumbersThatNoWatchLeavesBehind) {
  base::Random random(25);
  FactoryWatch watch(1, {NormalHeldOut()});
  Commission(watch, random, 0.0, 300, 1e6);
  StateWriter writer;
  watch.Write(writer);
  const base::Bytes good = std::move(writer).Seal(1, 7);
  const auto status_of = [&](std::size_t at, auto value) {
    base::Bytes forged = good;
    std::memcpy(forged.data() + at, &value, sizeof(value));
    const std::uint32_t crc = base::Crc32c(base::ByteView(forged).first(forged.size() - 4));
    std::memcpy(forged.data() + forged.size() - 4, &crc, 4);
    StateReader reader = StateReader::Open(forged, 1, 7).value();
    FactoryWatch other(1, {NormalHeldOut()});
    other.Read(reader, 1e6);
    return reader.AtEnd();
  };
  // From the front: mean, spread and samples of the class. From the back: the checksum, two sums of
  // two f64 and two u32 each, the offset's error, the allowance, and of the whitening three bools,
  // two values, when phi is refined, three times products, squares, sum and pairs.
  const std::size_t samples = 28 + 4 + 4;
  const std::size_t up = good.size() - 4 - 2 * 24;
  const std::size_t error = up - 8;
  const std::size_t allowance = error - 4;
  const std::size_t sums = allowance - 3 - 2 * 4 - 8 - 3 * 32;
  EXPECT_TRUE(status_of(samples, std::uint32_t{300}).ok());
  EXPECT_TRUE(status_of(allowance, 0.25f).ok());
  EXPECT_FALSE(status_of(samples, std::uint32_t{7}).ok());
  EXPECT_FALSE(status_of(samples, ~std::uint32_t{0}).ok());
  EXPECT_FALSE(status_of(sums + 8, -1.0).ok());   // Squares.
  EXPECT_FALSE(status_of(sums + 24, -1.0).ok());  // Pairs.
  EXPECT_FALSE(status_of(allowance, -1.0f).ok());
  EXPECT_FALSE(status_of(allowance, 0.1f).ok());
  EXPECT_FALSE(status_of(error, -0.1).ok());
  EXPECT_FALSE(status_of(error, 0.5).ok());  // Of four samples.
  EXPECT_FALSE(status_of(up, -1.0).ok());
  EXPECT_FALSE(status_of(up + 8, -1.0).ok());
  EXPECT_FALSE(status_of(up + 16, std::uint32_t{5'000}).ok());  // Values, of no samples.
}

}  // namespace
}  // namespace tinylcm::drift
