// Telemetry: the server's own figures, counted where things happen, read by Prometheus.
//
//   telemetry::Counter& stored = telemetry.MakeCounter(
//       "tinysphere_packages_total", "Packages by type and outcome.", {{"outcome", "stored"}});
//   ...
//   stored.Add();
//
// Handles are asked for once, at the start; counting is then an atomic addition (a histogram's: a
// lock that is held for some twenty nanoseconds). A label takes one of a few known values: never an
// id, never a text that a device sent.
// Names: tinysphere_<noun>_<unit>, counters end in _total (prometheus.io/docs/practices/naming).

#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tinysphere::telemetry {

using Labels = std::map<std::string, std::string>;

// Handles may be used from several threads and live as long as their Telemetry.
class Counter {
 public:
  virtual ~Counter() = default;
  virtual void Add(double amount = 1) = 0;  // REQUIRES: amount >= 0.
};

class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void Set(double value) = 0;
  virtual void Add(double amount) = 0;  // May be negative.
};

class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void Observe(double value) = 0;
};

// Upper bounds of a histogram's buckets, ascending.
using Bounds = std::vector<double>;
// 0.5 ms to 10 s: requests, commits, calls to other services.
Bounds SecondsBounds();
// 1 to 4096 by powers of two: how many things went together.
Bounds CountBounds();

// May be used from several threads.
class Telemetry {
 public:
  virtual ~Telemetry() = default;
  // The same name and labels give the same handle; one name has one kind and one help text.
  virtual Counter& MakeCounter(std::string_view name, std::string_view help,
                               const Labels& labels) = 0;
  virtual Gauge& MakeGauge(std::string_view name, std::string_view help, const Labels& labels) = 0;
  virtual Histogram& MakeHistogram(std::string_view name, std::string_view help,
                                   const Labels& labels, const Bounds& bounds) = 0;
  // Called before each reading, one reading at a time: for gauges that are looked up rather than
  // counted. What it refers to must outlive the last reading.
  virtual void BeforeReading(std::function<void()> look) = 0;
  // Everything in the text format of Prometheus (its "Exposition formats", version 0.0.4).
  virtual std::string Read() = 0;
};

inline constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

// Counts nothing: for tests, and for verbs beside the server.
Telemetry& NullTelemetry();

}  // namespace tinysphere::telemetry
