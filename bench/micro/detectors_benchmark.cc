// What does watching for drift cost a sample: one detector, and the whole monitor (ranks by class,
// normal scores, CUSUM, 64 channels for the explanation)?
//
// Compared with the least anyone could do: a running mean of the same numbers. After the timing a
// true drift must still be noticed.

#include <cmath>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "bench/figure.h"
#include "tinylcm/drift/detectors/cusum.h"
#include "tinylcm/drift/drift_monitor.h"

namespace {

using tinylcm::drift::DriftSignal;

constexpr std::size_t kSamples = 1000;  // A call.
constexpr std::size_t kChannels = 64;

void OneDetector() {
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
  bench::Print({.name = "detector_ns.cusum",
                .value = best.subject / kSamples,
                .unit = "ns",
                .baseline = best.baseline / kSamples,
                .conditions = "one side, a value; baseline: a running mean"});
}

void Stack() {
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
  const auto sample_of = [&](std::size_t i, float distance) {
    return tinylcm::drift::OneSignal(i, static_cast<std::uint16_t>(i % 10),
                                     tinylcm::drift::Signal::kAnchorDistance, distance, row_of(i));
  };

  auto monitor = tinylcm::drift::DriftMonitor::Create(
                     {.classes = 10, .channels = kChannels, .false_alarm_every = 1e9})
                     .value();
  std::size_t next = 0;
  const auto feed = [&] {
    for (const std::size_t end = next + kSamples; next < end; ++next) {
      CHECK(monitor.Observe(sample_of(next, distances[next])) != DriftSignal::kDrift);
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
  for (int i = 0; i < 100 && !noticed; ++i, ++next) {
    noticed = monitor.Observe(sample_of(next, 20.0f)) == DriftSignal::kDrift;
  }
  CHECK(noticed);
  bench::Print(
      {.name = "detector_ns.stack",
       .value = best.subject / kSamples,
       .unit = "ns",
       .baseline = best.baseline / kSamples,
       .conditions = "whole DriftMonitor, 10 classes, 64 channels; baseline: running means"});
}

}  // namespace

int main() {
  OneDetector();
  Stack();
  return 0;
}
