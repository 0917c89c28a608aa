#include "tinylcm/drift/detectors/mmd_rff.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/random.h"

namespace tinylcm::drift {
namespace {

TEST(MmdRff, RefusesNumbersTooLargeToSquare) {
  const MmdRff detector = MmdRff::Create({.threshold = 10.0}).value();
  EXPECT_TRUE(detector.Accepts(1e15).ok());
  EXPECT_TRUE(detector.Accepts(-1e15).ok());
  for (const double value : {1.1e15, -1e300, std::numeric_limits<double>::max(),
                             std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_FALSE(detector.Accepts(value).ok()) << value;
  }
}

// Values that hardly differ make the farthest one 1e30 standard deviations: one wave's cosine, and
// no more.
TEST(MmdRff, WatchesOnAfterTheFarthestNumber) {
  MmdRff detector = MmdRff::Create({.threshold = 20.0}).value();
  base::Random random(1);
  const auto next = [&](double level) { return 1e-15 * (level + random.Normal()); };
  for (int i = 0; i < 500; ++i) ASSERT_NE(detector.Observe(next(0.0)), DriftSignal::kDrift) << i;
  detector.Observe(1e15);
  for (int i = 0; i < 500; ++i) ASSERT_NE(detector.Observe(next(0.0)), DriftSignal::kDrift) << i;
  int alarms = 0;
  for (int i = 0; i < 100; ++i) alarms += detector.Observe(next(3.0)) == DriftSignal::kDrift;
  EXPECT_EQ(alarms, 1);
}

}  // namespace
}  // namespace tinylcm::drift
