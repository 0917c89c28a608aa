#include "tinylcm/monitor/monitor.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <filesystem>
#include <fstream>

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

TEST(LatencySketch, TakesWhatIsNoNumber) {
  LatencySketch sketch;
  sketch.Add(std::nan(""));
  sketch.Add(HUGE_VAL);
  EXPECT_EQ(sketch.count(), 2u);
}

TEST(LatencySketch, WhatWasSavedOnOneDeviceMergesOnAnotherMachine) {
  LatencySketch here, there, both;
  for (int us = 10; us < 500; us += 3) {
    (us % 2 == 0 ? here : there).Add(us);
    both.Add(us);
  }
  LatencySketch merged = LatencySketch::Restore(here.Save()).value();
  merged.Merge(LatencySketch::Restore(there.Save()).value());
  EXPECT_EQ(merged.Save(), both.Save());
  EXPECT_EQ(merged.count(), both.count());
  EXPECT_DOUBLE_EQ(merged.Percentile(0.95), both.Percentile(0.95));
}

TEST(LatencySketch, RefusesABucketThatThereIsNotOneTwiceAndMoreThanCanBeCounted) {
  EXPECT_FALSE(LatencySketch::Restore({{380, 1}}).ok());
  EXPECT_FALSE(LatencySketch::Restore({{7, 1}, {7, 1}}).ok());
  EXPECT_FALSE(LatencySketch::Restore({{7, UINT64_MAX}}).ok());
  EXPECT_FALSE(LatencySketch::Restore({{7, INT64_MAX}, {8, 1}}).ok());
}

TEST(Monitor, CountsAnswersByConfidenceTheEndsIncluded) {
  Monitor monitor({"cat"}, milliseconds(0));
  for (const float confidence : {0.0f, 0.04f, 0.06f, 1.0f, 1.5f, -1.0f, std::nanf("")}) {
    monitor.Answered({.confidence = confidence});
  }
  const auto metrics = monitor.TakeWindow(base::Time{}, milliseconds(1000), {});
  // Twenty steps of .05: 0, .04, -1 and what is no number are in the first; 1 and more in the last.
  ASSERT_EQ(metrics.confidence_histogram.size(), 20u);
  EXPECT_EQ(metrics.confidence_histogram[0], 4u);
  EXPECT_EQ(metrics.confidence_histogram[1], 1u);
  EXPECT_EQ(metrics.confidence_histogram[19], 2u);
}

TEST(Monitor, LookingBeginsNoNewWindowAndTotalsGoOnOverWindowsAndBundles) {
  Monitor monitor({"cat", "dog"}, milliseconds(0));
  monitor.Answered({.label = 0, .total_us = 1'000'000});
  EXPECT_EQ(monitor.Look(base::Time{}, milliseconds(10), {}).metrics.frames_window, 1u);
  static_cast<void>(monitor.TakeWindow(base::Time{}, milliseconds(20), {}));
  monitor.Answered({.label = 0, .total_us = 2'000'000});
  monitor.SetLabels({"dog", "bird"});
  monitor.Answered({.label = 0, .total_us = 3'000'000});
  const MetricsSnapshot snapshot = monitor.Look(base::Time{}, milliseconds(30), {});
  EXPECT_EQ(snapshot.metrics.frames_window, 2u);
  EXPECT_EQ(snapshot.metrics.frames, 3u);
  using Counts = std::vector<protocol::DeviceMetrics::ClassCount>;
  EXPECT_EQ(snapshot.answers, (Counts{{"cat", 2}, {"dog", 1}}));
  EXPECT_DOUBLE_EQ(snapshot.stages[0].seconds, 6.0);  // 1 + 2 + 3
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

TEST(ProcessFigures, OfThisProcess) {
  const ProcessFigures figures = ReadProcessFigures();
  EXPECT_GT(figures.rss_bytes, 1'000'000u);
  EXPECT_GE(figures.cpu_seconds, 0.0);
}

// A machine drawn in a folder.
class AMachine : public testing::Test {
 protected:
  AMachine() {
    char name[] = "/tmp/a-machine-XXXXXX";
    root_ = ::mkdtemp(name);
  }
  ~AMachine() override { std::filesystem::remove_all(root_); }
  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path whole = root_ + path;
    std::filesystem::create_directories(whole.parent_path());
    std::ofstream(whole) << text;
  }
  std::string root_;
};

TEST_F(AMachine, ThatSaysNothingIsNotGuessedAt) {
  const ProcessFigures figures = ReadProcessFigures(root_);
  EXPECT_EQ(figures.rss_bytes, 0u);
  EXPECT_FALSE(figures.pss_bytes || figures.temperature_c || figures.throttled ||
               figures.throttled_since_boot || figures.undervoltage || figures.link);
}

TEST_F(AMachine, ARaspberryPiThatIsHotAndWeaklySupplied) {
  Write("/sys/class/thermal/thermal_zone0/temp", "61700\n");
  Write("/sys/class/thermal/thermal_zone1/temp", "82100\n");
  Write("/sys/class/thermal/thermal_zone2/temp", "-274000\n");
  // Throttled now and under-voltage now, and both since boot: bits 0, 2, 16 and 18.
  Write("/sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n");
  Write("/proc/self/smaps_rollup",
        "00-ff ---p 00000000 00:00 0 [rollup]\nRss: 90 kB\nPss: 12 kB\n");
  const ProcessFigures figures = ReadProcessFigures(root_);
  EXPECT_DOUBLE_EQ(*figures.temperature_c, 82.1);
  EXPECT_TRUE(*figures.throttled);
  EXPECT_TRUE(*figures.throttled_since_boot);
  EXPECT_TRUE(*figures.undervoltage);
  EXPECT_EQ(*figures.pss_bytes, 12u * 1024);
}

TEST_F(AMachine, ARaspberryPiThatWasOnlyHotOnce) {
  Write("/sys/devices/platform/soc/soc:firmware/get_throttled", "80000\n");  // Bit 19.
  const ProcessFigures figures = ReadProcessFigures(root_);
  EXPECT_FALSE(*figures.throttled);
  EXPECT_TRUE(*figures.throttled_since_boot);
  EXPECT_FALSE(*figures.undervoltage);
}

TEST_F(AMachine, ALinkIsUpIfAnyInterfaceIsAndWirelessSaysHowStrong) {
  Write("/sys/class/net/lo/operstate", "unknown\n");
  Write("/sys/class/net/eth0/operstate", "down\n");
  Write("/sys/class/net/tun0/operstate", "unknown\n");
  EXPECT_FALSE(*ReadProcessFigures(root_).link->up);
  Write("/sys/class/net/wlan0/operstate", "up\n");
  Write("/proc/net/wireless",
        "Inter-| sta-|   Quality        |   Discarded packets\n"
        " face | tus | link level noise |  nwid  crypt\n"
        " wlan0: 0000   54.  -56.  -256        0      0\n");
  const auto link = *ReadProcessFigures(root_).link;
  EXPECT_TRUE(*link.up);
  EXPECT_EQ(link.interface, "wlan0");
  EXPECT_DOUBLE_EQ(*link.signal_dbm, -56.0);
}

}  // namespace
}  // namespace tinylcm::monitor
