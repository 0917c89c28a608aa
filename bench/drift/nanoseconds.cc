// P1: what does watching for drift cost a value: one detector, and the whole monitor (ranks by
// class, evidence, 64 channels for the explanation)?
//
// Beside river's same detector, run from Python in the same minute, or, where it has none, the
// least anyone could do: a running mean of the same numbers. Processor time, the best of slices
// that take turns. After the timing a true change must still be noticed.

#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/drift/bars.h"
#include "bench/drift/river.h"
#include "bench/drift/watching.h"
#include "bench/figure.h"
#include "tinylcm/drift/detectors/detector.h"
#include "tinylcm/drift/drift_monitor.h"

namespace bench::drift {

namespace {

using base::StrCat;
using tinylcm::drift::DriftSignal;
using tinylcm::drift::MakeDetector;
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
             .at_most = cost.at_most > 0.0 ? cost.at_most : std::numeric_limits<double>::infinity(),
             .baseline = has_river ? found->second : cost.running_mean,
             .conditions = StrCat(cost.what, "; baseline: ",
                                  has_river ? "river 0.26.1 from Python" : "a running mean")});
}

// One detector as `tinylcm detect` and an alarm rule drive it: through the interface, a virtual
// call a value.
struct Contender {
  const char* name;
  double at_most;  // Nanoseconds; 0: no bar.
  // Limits that nothing passes, so that it is never started afresh.
  tinylcm::drift::DetectorOptions never;
  enum { kNormal, kErrors, kClasses } feed = kNormal;
};

const Contender kZoo[] = {
    {"page_hinkley", 5.0, {{"threshold", "1e9"}}},
    {"cusum", 5.0, {{"h", "100"}}},
    {"ewma", 5.0, {{"limit", "30"}}},
    {"adwin", 15.0, {{"delta", "1e-30"}}},
    {"kswin", 250.0, {{"alpha", "1e-12"}}},
    {"hddm_a",
     15.0,
     {{"drift_confidence", "1e-30"}, {"warning_confidence", "1e-30"}},
     Contender::kErrors},
    {"hddm_w",
     15.0,
     {{"drift_confidence", "1e-30"}, {"warning_confidence", "1e-30"}},
     Contender::kErrors},
    {"ddm", 0.0, {{"drift_threshold", "1e9"}, {"warning_threshold", "1e9"}}, Contender::kErrors},
    {"eddm", 0.0, {{"beta", "1e-9"}}, Contender::kErrors},
    {"knn_distance", 0.0, {{"delta", "0.5"}, {"lambda_threshold", "1e9"}}},
    {"js_distribution", 0.0, {{"threshold", "1"}}, Contender::kClasses},
    {"quanttree_ewma", 0.0, {{"threshold", "1e9"}}},
    {"mmd_rff", 0.0, {{"threshold", "1e9"}}},
    {"shiryaev_roberts", 0.0, {{"limit", "1e12"}}},
};

// Changed: the mean 3 sigma higher, four times the errors, three of ten classes.
std::vector<double> Values(const Contender& contender, base::Random& random, bool is_changed) {
  std::vector<double> values(kSamples);
  for (double& value : values) {
    switch (contender.feed) {
      case Contender::kNormal:
        value = random.Normal() + (is_changed ? 3.0 : 0.0);
        break;
      case Contender::kErrors:
        value = random.Uniform() < (is_changed ? 0.8 : 0.2) ? 1.0 : 0.0;
        break;
      case Contender::kClasses:
        value = static_cast<double>(random.Below(is_changed ? 3 : 10));
        break;
    }
  }
  return values;
}

void Zoo(const std::map<std::string, double>& river, Table& table) {
  for (const Contender& contender : kZoo) {
    base::Random random(3);
    const std::vector<double> values = Values(contender, random, false);
    const std::unique_ptr<tinylcm::drift::Detector> detector =
        MakeDetector(contender.name, contender.never, std::nullopt).value();
    for (const double value : values) detector->Observe(value);  // What learns first has learned.
    const int calls = std::string_view(contender.name) == "mmd_rff" ? 2 : 20;
    double mean = 0.0;
    double count = 0.0;
    std::uint64_t alarms = 0;
    const bench::BestTimes best = bench::TakeTurns(
        calls,
        [&] {
          for (const double value : values) {
            alarms += detector->Observe(value) == DriftSignal::kDrift;
          }
        },
        20,
        [&] {
          for (const double value : values) mean += (value - mean) / ++count;
        });
    CHECK(alarms == 0 && std::isfinite(mean));
    // The same detector as it comes notices a large change within a thousand values.
    const auto usual = MakeDetector(contender.name, {}, std::nullopt).value();
    bool is_noticed = false;
    for (const double value : values) usual->Observe(value);
    for (const double value : Values(contender, random, true)) {
      is_noticed = is_noticed || usual->Observe(value) == DriftSignal::kDrift;
    }
    CHECK(is_noticed);
    Add({.name = contender.name,
         .ns = best.subject / kSamples,
         .running_mean = best.baseline / kSamples,
         .at_most = contender.at_most,
         .what = "a virtual call a value"},
        river, table);
  }
}

void Stack(Table& table) {
  base::Random random(4);
  // Drawn before, for drawing is not what is asked about; longer than all that is fed, for the
  // same numbers again and again are no field.
  constexpr int kCalls = 5;
  constexpr std::size_t kFed = kSamples * (10 + kCalls * bench::kSlices);
  struct Drawn {
    std::uint16_t predicted = 0;
    float bin = 0.0f;
    std::array<float, 4> numbers{};
  };
  std::vector<Drawn> drawn(kFed);
  for (Drawn& one : drawn) {
    one.predicted = static_cast<std::uint16_t>(random.Below(10));
    one.bin = static_cast<float>(random.Below(16));
    for (float& number : one.numbers) number = std::exp(static_cast<float>(random.Normal()));
  }
  constexpr std::size_t kRows = 256;
  std::vector<float> rows(kRows * kChannels);
  for (float& value : rows) value = static_cast<float>(random.Normal());
  const auto row_of = [&](std::size_t i) {
    return std::span<const float>(rows).subspan(i % kRows * kChannels, kChannels);
  };

  constexpr Signal kNumbers[] = {Signal::kAnchorDistance, Signal::kMargin, Signal::kEntropy,
                                 Signal::kCentroidDistance};
  tinylcm::drift::SignalMask signals = Bit(Signal::kQuantTree) | Bit(Signal::kClassMix);
  for (const Signal signal : kNumbers) signals |= Bit(signal);
  auto monitor = MakeMonitor({.classes = 10, .signals = signals, .every = 1e9}, kChannels);
  std::size_t next = 0;
  tinylcm::drift::Sample sample;
  const auto observe = [&](float times) {
    const Drawn& one = drawn[next % kFed];
    sample.index = next;
    sample.predicted = one.predicted;
    sample.channels = row_of(next++);
    for (std::size_t i = 0; i < 4; ++i) sample.Set(kNumbers[i], times * one.numbers[i]);
    sample.Set(Signal::kQuantTree, one.bin);
    sample.Set(Signal::kClassMix, one.predicted);
    return monitor.Observe(sample);
  };
  const auto feed = [&] {
    for (const std::size_t end = next + kSamples; next < end;) {
      CHECK(observe(1.0f) != DriftSignal::kDrift);
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
             .conditions = "whole DriftMonitor, six signals, 10 classes, 64 channels; baseline: "
                           "running means of the channels"});
}

}  // namespace

void Nanoseconds(const Settings& settings, Table& table) {
  const std::map<std::string, double> river = RiverNanoseconds(settings);
  if (river.empty()) table.Skip("P1", "river's nanoseconds: river is not there (bench/python.sh)");
  Zoo(river, table);
  Stack(table);
}

}  // namespace bench::drift
