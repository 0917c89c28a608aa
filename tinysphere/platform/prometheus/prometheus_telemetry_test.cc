#include "tinysphere/platform/prometheus/prometheus_telemetry.h"

#include <gtest/gtest.h>

#include <thread>

namespace tinysphere::prometheus {
namespace {

bool Has(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(PrometheusTelemetry, WritesTheTextFormat) {
  const auto telemetry = MakeTelemetry();
  telemetry->MakeCounter("tinysphere_things_total", "Things.", {{"outcome", "stored"}}).Add(2);
  telemetry->MakeGauge("tinysphere_devices", "Devices.", {}).Set(-1.5);
  auto& seconds = telemetry->MakeHistogram("tinysphere_wait_seconds", "Waits.", {}, {0.1, 1});
  for (const double value : {0.05, 0.5, 5.0}) seconds.Observe(value);
  const std::string text = telemetry->Read();
  EXPECT_TRUE(Has(text, "# HELP tinysphere_things_total Things.")) << text;
  EXPECT_TRUE(Has(text, "# TYPE tinysphere_things_total counter")) << text;
  EXPECT_TRUE(Has(text, "tinysphere_things_total{outcome=\"stored\"} 2")) << text;
  EXPECT_TRUE(Has(text, "tinysphere_devices -1.5")) << text;
  // Cumulative: one below 0.1, two below 1, three in all, 5.55 together.
  EXPECT_TRUE(Has(text, "tinysphere_wait_seconds_bucket{le=\"0.1\"} 1")) << text;
  EXPECT_TRUE(Has(text, "tinysphere_wait_seconds_bucket{le=\"1\"} 2")) << text;
  EXPECT_TRUE(Has(text, "tinysphere_wait_seconds_bucket{le=\"+Inf\"} 3")) << text;
  EXPECT_TRUE(Has(text, "tinysphere_wait_seconds_count 3")) << text;
  EXPECT_TRUE(Has(text, "tinysphere_wait_seconds_sum 5.55")) << text;
}

TEST(PrometheusTelemetry, OneNameAndLabelsAreOneHandle) {
  const auto telemetry = MakeTelemetry();
  auto& first = telemetry->MakeCounter("tinysphere_things_total", "Things.", {{"a", "1"}});
  EXPECT_EQ(&first, &telemetry->MakeCounter("tinysphere_things_total", "Things.", {{"a", "1"}}));
  EXPECT_NE(&first, &telemetry->MakeCounter("tinysphere_things_total", "Things.", {{"a", "2"}}));
}

TEST(PrometheusTelemetry, CountsFromSeveralThreadsAddUp) {
  const auto telemetry = MakeTelemetry();
  auto& counter = telemetry->MakeCounter("tinysphere_things_total", "Things.", {});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 10'000; ++j) counter.Add();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(Has(telemetry->Read(), "tinysphere_things_total 40000")) << telemetry->Read();
}

TEST(PrometheusTelemetry, LooksBeforeEachReading) {
  const auto telemetry = MakeTelemetry();
  auto& gauge = telemetry->MakeGauge("tinysphere_devices", "Devices.", {});
  int looks = 0;
  telemetry->BeforeReading([&] { gauge.Set(++looks); });
  EXPECT_TRUE(Has(telemetry->Read(), "tinysphere_devices 1"));
  EXPECT_TRUE(Has(telemetry->Read(), "tinysphere_devices 2"));
}

TEST(NullTelemetry, CountsNothing) {
  telemetry::Telemetry& telemetry = telemetry::NullTelemetry();
  telemetry.MakeCounter("tinysphere_things_total", "Things.", {}).Add();
  EXPECT_EQ(telemetry.Read(), "");
}

}  // namespace
}  // namespace tinysphere::prometheus
