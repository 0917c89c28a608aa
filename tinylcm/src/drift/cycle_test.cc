#include "tinylcm/drift/cycle.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <utility>

#include "base/random.h"

namespace tinylcm::drift {
namespace {

constexpr double kTurn = 2.0 * std::numbers::pi;

// A turn of `samples` values around `mean(phase)`, with standard deviation 1.
template <typename Mean>
void Turn(Cycle& cycle, base::Random& random, int samples, const Mean& mean) {
  for (int i = 0; i < samples; ++i) {
    const double phase = static_cast<double>(i) / samples;
    cycle.Observe(static_cast<float>(phase), static_cast<float>(mean(phase) + random.Normal()));
  }
  cycle.Settle();
}

TEST(Cycle, LeavesAValueAsItIsBeforeTheFirstTurn) { EXPECT_EQ(Cycle().Remove(0.3f, 1.5f), 1.5f); }

// 4,800 values make 200 an hour: a mean without smoothing is off by 0.07; what is left of the wave
// after smoothing (two numbers from 4,800 values) by some 0.03, and by interpolation at most 0.02.
TEST(Cycle, TakesAWaveOff) {
  base::Random random(1);
  Cycle cycle;
  const auto wave = [](double phase) { return 2.0 * std::sin(kTurn * phase); };
  Turn(cycle, random, 4800, wave);
  for (int i = 0; i < 96; ++i) {
    const double phase = i / 96.0;
    const auto value = static_cast<float>(wave(phase));
    EXPECT_NEAR(cycle.Remove(static_cast<float>(phase), value), 0.0, 0.12) << phase;
  }
}

// What chance makes is not taken off: of a turn without a wave, with ten values an hour (standard
// error 0.32), hardly anything is believed.
TEST(Cycle, BelievesNoWaveThatChanceMakesAsWell) {
  double squares = 0.0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    base::Random random(seed);
    Cycle cycle;
    Turn(cycle, random, 240, [](double) { return 0.0; });
    for (std::size_t bin = 0; bin < Cycle::kBins; ++bin) {
      squares += std::pow(cycle.mean(bin), 2.0) / (50.0 * Cycle::kBins);
    }
  }
  EXPECT_LT(std::sqrt(squares), 0.5 * std::sqrt(0.1));
}

// At night the signal spreads three times as far.
TEST(Cycle, LearnsTheSpreadOfAnHour) {
  base::Random random(3);
  Cycle cycle;
  const auto spread = [](double phase) { return phase < 0.5 ? 3.0 : 1.0; };
  for (int i = 0; i < 9600; ++i) {
    const double phase = i / 9600.0;
    cycle.Observe(static_cast<float>(phase), static_cast<float>(spread(phase) * random.Normal()));
  }
  cycle.Settle();
  EXPECT_NEAR(cycle.deviation(6) / cycle.deviation(18), 3.0, 0.5);
}

TEST(Cycle, ForgetsATurnThatWasNoGoodOne) {
  base::Random random(4);
  Cycle once;
  Turn(once, random, 2400, [](double phase) { return std::sin(kTurn * phase); });
  Cycle twice = once;
  for (int i = 0; i < 1000; ++i) twice.Observe(0.5f, 100.0f);
  twice.Discard();
  twice.Settle();
  for (std::size_t bin = 0; bin < Cycle::kBins; ++bin) EXPECT_EQ(twice.mean(bin), once.mean(bin));
}

TEST(Cycle, GoesOnFromAWrittenState) {
  base::Random random(5);
  Cycle cycle;
  Turn(cycle, random, 2400, [](double phase) { return std::sin(kTurn * phase); });
  for (int i = 0; i < 100; ++i) cycle.Observe(0.25f, 1.0f);
  StateWriter writer;
  cycle.Write(writer);
  const base::Bytes block = std::move(writer).Seal(1, 2);
  auto reader = StateReader::Open(block, 1, 2);
  Cycle restored;
  restored.Read(reader.value());
  ASSERT_TRUE(reader.value().AtEnd().ok());
  for (Cycle* one : {&cycle, &restored}) {
    one->Observe(0.5f, 3.0f);
    one->Settle();
  }
  for (std::size_t bin = 0; bin < Cycle::kBins; ++bin) {
    EXPECT_EQ(restored.mean(bin), cycle.mean(bin));
    EXPECT_EQ(restored.deviation(bin), cycle.deviation(bin));
  }
}

}  // namespace
}  // namespace tinylcm::drift
