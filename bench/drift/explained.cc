// E1: is what an alarm says about the change right? Where it began, which class, which channels.
//
// Ten classes in any order, log-normal distances, 64 channels. From one sample on the distances of
// one class rise by two standard deviations and five of its channels by two of theirs. Another
// time all classes change, for the change point. Seeds are 70,000,000 and on.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <vector>

#include "base/text.h"
#include "bench/drift/bars.h"
#include "bench/drift/streams.h"
#include "bench/drift/watching.h"
#include "tinylcm/evaluation/interval.h"

namespace bench::drift {

namespace {

using base::StrCat;
using tinylcm::drift::DriftMonitor;
using tinylcm::drift::DriftSignal;
using tinylcm::drift::Sample;

constexpr std::uint32_t kClasses = 10;
constexpr std::uint32_t kChannels = 64;
constexpr std::size_t kMoved = 5;
constexpr std::uint64_t kCalm = 2000;
constexpr std::uint64_t kHorizon = 5000;

struct Run {
  double change_error = 0.0;  // Samples, either way.
  bool in_interval = false;
  bool class_named = false;  // The drifted class leads.
  double precision = 0.0;    // Of the five leading channels, how many moved.
};

// Nothing where there was a false alarm, or none at all.
std::optional<Run> Explain(std::uint64_t seed, bool one_class) {
  Watch watch = {.classes = kClasses, .every = 1e4, .seed = seed};
  const World world = {.law = Law::kLogNormal, .classes = kClasses};
  watch.signals = MaskOf(world);
  DriftMonitor monitor = MakeMonitor(watch, kChannels);
  Stream stream(world, seed);
  base::Random random(seed ^ 0xc4a77e1);
  const auto drifted = static_cast<std::uint16_t>(random.Below(kClasses));
  const std::size_t first = random.Below(kChannels - kMoved);  // Five neighbours move.
  std::vector<float> channels(kChannels);
  std::optional<std::uint64_t> change;
  std::uint64_t watched = 0;
  for (std::uint64_t i = 0; !change || i < *change + kHorizon; ++i) {
    Sample sample = stream.Next();
    const bool moves = change && (!one_class || sample.predicted == drifted);
    float& distance = sample.values[At(tinylcm::drift::Signal::kAnchorDistance)];
    if (moves) distance *= static_cast<float>(std::exp(0.5 * 2.0));
    for (std::size_t j = 0; j < kChannels; ++j) {
      const bool is_moved = moves && j >= first && j < first + kMoved;
      channels[j] = static_cast<float>(random.Normal() + (is_moved ? 2.0 : 0.0));
    }
    sample.channels = channels;
    const DriftSignal signal = monitor.Observe(sample);
    if (signal != DriftSignal::kLearning && !change && ++watched == kCalm) change = i + 1;
    if (signal == DriftSignal::kDrift && (!change || i < *change)) return std::nullopt;
    // When a device packs the event.
    if (monitor.phase() != DriftMonitor::Phase::kOpen || monitor.samples_since_alarm() < 25)
      continue;
    const auto found = monitor.explanation();
    Run run;
    run.change_error =
        std::abs(static_cast<double>(found->change_index) - static_cast<double>(*change));
    run.in_interval = found->change_first <= *change && *change <= found->change_last;
    run.class_named = !found->classes.empty() && found->classes[0].label == drifted;
    const std::size_t told = std::min(kMoved, found->channels.size());
    std::size_t right = 0;
    for (std::size_t j = 0; j < told; ++j) {
      right += found->channels[j].index >= first && found->channels[j].index < first + kMoved;
    }
    run.precision = told == 0 ? 0.0 : static_cast<double>(right) / static_cast<double>(told);
    return run;
  }
  return std::nullopt;
}

std::vector<Run> Runs(const Settings& settings, std::uint64_t seed, bool one_class) {
  std::vector<std::optional<Run>> runs(settings.Runs(400));
  ForEach(runs.size(), settings.threads,
          [&](std::size_t i) { runs[i] = Explain(seed + i, one_class); });
  std::vector<Run> done;
  for (const std::optional<Run>& run : runs) {
    if (run) done.push_back(*run);
  }
  return done;
}

}  // namespace

void Explained(const Settings& settings, Table& table) {
  const std::vector<Run> all = Runs(settings, 70'000'000, false);
  const std::vector<Run> one = Runs(settings, 71'000'000, true);
  const auto errors = [&](const char* name, const std::vector<Run>& runs, const char* what,
                          bool is_bar) {
    std::vector<double> values;
    std::uint64_t inside = 0;
    for (const Run& run : runs) {
      values.push_back(run.change_error);
      inside += run.in_interval ? 1 : 0;
    }
    const Summary is = Summarise(values);
    const auto share = tinylcm::evaluation::ShareInterval(inside, runs.size());
    Measured measured = {
        .name = StrCat("e1.change_point.", name),
        .bar = "E1",
        .value = is.median,
        .low = is.median_low,
        .high = is.median_high,
        .unit = "samples",
        .conditions = StrCat(
            "median distance from the true change, ", what, ", ", runs.size(),
            " runs; in the interval told ",
            std::round(100.0 * static_cast<double>(inside) / static_cast<double>(runs.size())),
            " % (", std::round(100.0 * share.low), " to ", std::round(100.0 * share.high), ")")};
    if (is_bar) measured.at_most = 5.0;
    table.Add(measured);
  };
  errors("all_classes", all, "all classes rise by 2 deviations", true);
  errors("one_class", one, "one class of ten rises by 2 deviations", false);

  std::uint64_t named = 0;
  for (const Run& run : one) named += run.class_named ? 1 : 0;
  const auto share = tinylcm::evaluation::ShareInterval(named, one.size());
  table.Add({.name = "e1.class_named",
             .bar = "E1",
             .value = static_cast<double>(named) / static_cast<double>(one.size()),
             .low = share.low,
             .high = share.high,
             .unit = "of runs",
             .better = "higher",
             .at_least = 0.9,
             .conditions = StrCat("the class that drifted leads the list, ", one.size(), " runs")});
  const auto precision = [&](const char* name, const std::vector<Run>& runs, const char* what,
                             bool is_bar) {
    std::vector<double> values;
    for (const Run& run : runs) values.push_back(run.precision);
    const Summary is = Summarise(values);
    Measured measured = {
        .name = StrCat("e1.top5_precision.", name),
        .bar = "E1",
        .value = is.mean,
        .low = is.mean_low,
        .high = is.mean_high,
        .unit = "share",
        .better = "higher",
        .conditions = StrCat("of the five leading channels of 64, how many moved, ", what, ", ",
                             runs.size(), " runs")};
    if (is_bar) measured.at_least = 0.8;
    table.Add(measured);
  };
  precision("all_classes", all, "by 2 deviations in all classes", true);
  precision("one_class", one, "by 2 deviations in one class of ten", false);
}

}  // namespace bench::drift
