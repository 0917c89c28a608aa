// P1: what does watching for drift cost a value: one detector, and the whole monitor (ranks by
// class, evidence, 64 channels for the explanation)?
//
// Beside river's same detector, run from Python in the same minute, or, where it has none, the
// least anyone could do: a running mean of the same numbers. Processor time, the best of slices
// that take turns. After the timing a true change must still be noticed.

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/drift/bars.h"
#include "bench/drift/river.h"
#include "bench/drift/watching.h"
#include "bench/figure.h"
#include "tinylcm/drift/detectors/cusum.h"
#include "tinylcm/drift/drift_monitor.h"

namespace bench::drift {

namespace {

using base::StrCat;
using tinylcm::drift::DriftSignal;
using tinylcm::drift::OneSignal;
using tinylcm::drift::Signal;

constexpr std::size_t kSamples = 1000;  // A call.
constexpr std::size_t kChannels = 64;

struct Cost {
  const char* name;
  double ns;
  double running_mean;
  double at_most;
  const char* what;
};

void Add(const Cost& cost, const std::map<std::string, double>& river, Table& table) {
  const auto found = river.find(cost.name);
  const bool has_river = found != river.end();
  table.Add({.name = StrCat("detector_ns.", cost.name),
             .bar = "P1",
             .value = cost.ns,
             .unit = "ns",
             .at_most = cost.at_most,
             .baseline = has_river ? found->second : cost.running_mean,
             .conditions = StrCat(cost.what, "; baseline: ",
                                  has_river ? "river 0.26.1 from Python" : "a running mean")});
}

void OneDetector(const std::map<std::string, double>& river, Table& table) {
  base::Random random(3);
  std::vector<double> values(kSamples);
  for (double& value : values) value = random.Normal();
  auto cusum = tinylcm::drift::Cusum::Create({.run_length = 1e9}).value();
  double mean = 0.0;
  double count = 0.0;
  const bench::BestTimes best = bench::TakeTurns(
      20,
      [&] {
        for (const double value : values) CHECK(cusum.Observe(value) == DriftSignal::kSteady);
      },
      20,
      [&] {
        for (const double value : values) mean += (value - mean) / ++count;
      });
  CHECK(std::abs(mean) < 0.1);
  bool noticed = false;
  for (int i = 0; i < 20 && !noticed; ++i) noticed = cusum.Observe(3.0) == DriftSignal::kDrift;
  CHECK(noticed);
  Add({.name = "cusum",
       .ns = best.subject / kSamples,
       .running_mean = best.baseline / kSamples,
       .at_most = 5.0,
       .what = "one side"},
      river, table);
}

void Stack(Table& table) {
  base::Random random(4);
  // Drawn before, for drawing is not what is asked about; longer than all that is fed, for the
  // same numbers again and again are no field.
  constexpr int kCalls = 5;
  constexpr std::size_t kFed = kSamples * (10 + kCalls * bench::kSlices);
  std::vector<float> distances(kFed);
  for (float& distance : distances) distance = std::exp(static_cast<float>(random.Normal()));
  constexpr std::size_t kRows = 256;
  std::vector<float> rows(kRows * kChannels);
  for (float& value : rows) value = static_cast<float>(random.Normal());
  const auto row_of = [&](std::size_t i) {
    return std::span<const float>(rows).subspan(i % kRows * kChannels, kChannels);
  };

  auto monitor = MakeMonitor({.classes = 10, .signals = Bit(Signal::kAnchorDistance), .every = 1e9},
                             kChannels);
  std::size_t next = 0;
  const auto observe = [&](float distance) {
    const DriftSignal signal =
        monitor.Observe(OneSignal(next, static_cast<std::uint16_t>(next % 10),
                                  Signal::kAnchorDistance, distance, row_of(next)));
    ++next;
    return signal;
  };
  const auto feed = [&] {
    for (const std::size_t end = next + kSamples; next < end;) {
      CHECK(observe(distances[next]) != DriftSignal::kDrift);
    }
  };
  for (int i = 0; i < 10; ++i) feed();  // Commissioned, and the reference full.
  std::vector<float> means(kChannels, 0.0f);
  float count = 0.0f;
  const bench::BestTimes best = bench::TakeTurns(kCalls, feed, kCalls, [&] {
    for (std::size_t i = 0; i < kSamples; ++i) {
      const std::span<const float> row = row_of(i);
      count += 1.0f;
      for (std::size_t j = 0; j < kChannels; ++j) means[j] += (row[j] - means[j]) / count;
    }
  });
  for (const float mean : means) CHECK(std::abs(mean) < 1.0f);
  bool noticed = false;
  for (int i = 0; i < 100 && !noticed; ++i) noticed = observe(20.0f) == DriftSignal::kDrift;
  CHECK(noticed);
  table.Add({.name = "detector_ns.stack",
             .bar = "P1",
             .value = best.subject / kSamples,
             .unit = "ns",
             .at_most = 1000.0,
             .baseline = best.baseline / kSamples,
             .conditions = "whole DriftMonitor, one signal, 10 classes, 64 channels; baseline: "
                           "running means"});
}

}  // namespace

void Nanoseconds(const Settings& settings, Table& table) {
  const std::map<std::string, double> river = RiverNanoseconds(settings);
  if (river.empty()) table.Skip("P1", "river's nanoseconds: river is not there (bench/python.sh)");
  OneDetector(river, table);
  Stack(table);
}

}  // namespace bench::drift
