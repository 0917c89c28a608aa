#include "tinylcm/monitor/monitor.h"

#include <gtest/gtest.h>

#include "tinylcm/monitor/latency_sketch.h"

namespace tinylcm::monitor {
namespace {

using std::chrono::milliseconds;

TEST(LatencySketch, PercentilesAreRightToTwoAndAHalfPercent) {
  LatencySketch sketch;
  for (int us = 1; us <= 10'000; ++us) sketch.Add(us);
  EXPECT_NEAR(sketch.Percentile(0.5), 5'000, 0.026 * 5'000);
  EXPECT_NEAR(sketch.Percentile(0.99), 9'900, 0.026 * 9'900);
}

TEST(LatencySketch, MergingIsAsIfAllHadBeenAddedToOne) {
  LatencySketch one, other, both;
  for (int us = 10; us < 500; us += 7) {
    (us % 2 == 0 ? one : other).Add(us);
    both.Add(us);
  }
  one.Merge(other);
  EXPECT_EQ(one.count(), both.count());
  for (const double share : {0.0, 0.5, 0.95, 1.0}) {
    EXPECT_DOUBLE_EQ(one.Percentile(share), both.Percentile(share)) << share;
  }
}

TEST(LatencySketch, TakesWhatLiesOutsideItsRange) {
  LatencySketch sketch;
  sketch.Add(0.0);
  sketch.Add(1e12);
  EXPECT_EQ(sketch.count(), 2u);
  EXPECT_LE(sketch.Percentile(0.0), 1.05);
}

TEST(Monitor, RollsAWindowUpAndBeginsTheNext) {
  Monitor monitor({"cat", "dog"}, milliseconds(0));
  monitor.Answered({.label = 0, .confidence = 0.5f, .distance = 1.0f, .total_us = 1000});
  monitor.Answered({.label = 0xffff, .confidence = 1.0f, .distance = 2.0f, .total_us = 1000});
  monitor.Skipped();
  const auto first =
      monitor.TakeWindow(base::Time{}, milliseconds(500), {.rss_bytes = 7, .cpu_seconds = 0.25});
  EXPECT_EQ(first.frames, 2u);
  EXPECT_EQ(first.skipped, 1u);
  EXPECT_DOUBLE_EQ(*first.fps, 4.0);               // 2 frames in half a second
  EXPECT_DOUBLE_EQ(*first.confidence_mean, 0.75);  // (.5 + 1) / 2
  EXPECT_DOUBLE_EQ(*first.distance_mean, 1.5);     // (1 + 2) / 2
  EXPECT_DOUBLE_EQ(*first.cpu_percent, 50.0);      // .25 s of .5 s
  ASSERT_EQ(first.class_mix.size(), 2u);
  EXPECT_EQ(first.class_mix[1].label, "unknown");

  const auto second = monitor.TakeWindow(base::Time{}, milliseconds(1500), {.cpu_seconds = 0.25});
  EXPECT_EQ(second.frames, 2u);  // Since the start.
  EXPECT_EQ(second.frames_window, 0u);
  EXPECT_FALSE(second.confidence_mean.has_value());
  EXPECT_DOUBLE_EQ(*second.cpu_percent, 0.0);
}

TEST(Monitor, ReadsItsOwnProcess) {
  const ProcessFigures figures = ReadProcessFigures();
  EXPECT_GT(figures.rss_bytes, 1'000'000u);
  EXPECT_GE(figures.cpu_seconds, 0.0);
}

}  // namespace
}  // namespace tinylcm::monitor
