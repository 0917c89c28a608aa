// metrics.json: how a device does. docs/formats/metrics.md.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace protocol {

inline constexpr std::string_view kMetricsFormat = "tinylcm-metrics/1";
inline constexpr std::string_view kMetricsPath = "metrics.json";

struct DeviceMetrics {
  base::Time at{};
  std::int64_t window_ms = 0;  // What figures marked (w) cover; the others count since the start.
  std::uint64_t frames = 0;    // Classified.
  std::uint64_t frames_window = 0;        // (w)
  std::uint64_t skipped = 0;              // Bad input.
  std::uint64_t dropped = 0;              // Overflow of the camera's ring.
  std::uint64_t log_dropped = 0;          // Not logged because a bounded queue was full.
  std::optional<double> fps;              // (w)
  std::optional<double> confidence_mean;  // (w)
  std::optional<double> distance_mean;    // (w)
  // Of the last 500 answers, without labels: docs/guides/accuracy.md. Null: unknown.
  std::optional<double> accuracy_estimated;
  std::optional<double> accuracy_low;  // 90 %.
  std::optional<double> accuracy_high;
  // (w) Answers by confidence, in kConfidenceBins equal steps from 0 to 1; empty: none.
  static constexpr std::size_t kConfidenceBins = 20;
  std::vector<std::uint64_t> confidence_histogram;
  std::optional<double> latency_ms_p50;  // (w) The whole frame.
  std::optional<double> latency_ms_p95;
  std::optional<double> latency_ms_p99;
  // Bucket i: durations of 1.05^i to 1.05^(i+1) us; two devices' are merged by adding.
  using Sketch = std::vector<std::pair<std::uint32_t, std::uint64_t>>;
  Sketch latency_sketch;  // (w) The whole frame; empty: none.
  struct Stage {
    std::string name;
    double p50_ms = 0.0;
    double p95_ms = 0.0;
    double p99_ms = 0.0;
    Sketch sketch{};
    friend bool operator==(const Stage&, const Stage&) = default;
  };
  std::vector<Stage> stages;  // (w)
  struct ClassCount {
    std::string label;
    std::uint64_t count = 0;
    friend bool operator==(const ClassCount&, const ClassCount&) = default;
  };
  std::vector<ClassCount> class_mix;  // (w) By predicted class.

  std::optional<std::uint64_t> rss_bytes;
  std::optional<std::uint64_t> pss_bytes;  // Shared pages by the share.
  std::optional<double> cpu_percent;       // (w) Of one core.
  std::optional<double> temperature_c;
  std::optional<bool> throttled;  // The processor is slowed down now, by heat or voltage.
  std::optional<bool> throttled_since_boot;  // It was.
  std::optional<bool> undervoltage;          // The supply is too weak now.
  std::optional<std::uint64_t> disk_free_bytes;

  struct Link {
    std::optional<bool> up;                  // Some interface but loopback.
    std::string interface;                   // Of these, the first that is up; or empty.
    std::optional<double> signal_dbm;        // Wireless.
    std::optional<base::Time> last_contact;  // With the server, by this device's clock.
    friend bool operator==(const Link&, const Link&) = default;
  };
  std::optional<Link> link;

  // Where the device is, if it was told or has a receiver; never looked up elsewhere.
  struct Location {
    double latitude = 0.0;  // Degrees, WGS 84.
    double longitude = 0.0;
    std::optional<double> accuracy_m;  // 95 %.
    std::int64_t age_ms = 0;           // Since it was measured; 0 where it was configured.
    std::string source;                // "configured", "gpsd".
    friend bool operator==(const Location&, const Location&) = default;
  };
  std::optional<Location> location;

  std::optional<std::uint64_t> log_bytes;  // What the log takes on the disk.
  std::uint64_t log_evicted_files = 0;

  std::uint64_t queue_packages = 0;
  std::uint64_t queue_bytes = 0;
  std::uint64_t packages_made = 0;  // Since the queue directory was made.
  std::uint64_t packages_evicted = 0;
  std::uint64_t packages_dead = 0;

  std::string drift_state;                // stable suspect adapting probation escalated learning
  std::string mode;                       // autonomous server_assisted monitoring_only
  std::optional<std::string> hypothesis;  // What is applied now.
  std::optional<std::string> challenger;

  std::string model_name;
  std::string model_version;
  std::string model_family;
  std::string bundle;

  friend bool operator==(const DeviceMetrics&, const DeviceMetrics&) = default;
};

base::Json ToJson(const DeviceMetrics& metrics);
base::Result<DeviceMetrics> ParseDeviceMetrics(std::string_view json);

}  // namespace protocol
