#include "bench/adapt/bars.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <mutex>
#include <optional>

#include "base/text.h"
#include "bench/adapt/baselines.h"

namespace bench::adapt {

namespace {

using base::StrCat;

std::string Conditions(const Stream& stream, const std::vector<Outcome>& outcomes,
                       std::uint32_t labels) {
  using base::FormatShort;
  return StrCat(stream.what, "; ", outcomes.size(), " seeds, ", labels, " labels; before ",
                FormatShort(Of(outcomes, &Outcome::before).mean), ", nothing done ",
                FormatShort(Of(outcomes, &Outcome::nothing).mean), ", blind alignment ",
                FormatShort(Of(outcomes, &Outcome::blind).mean), ", self-training ",
                FormatShort(Of(outcomes, &Outcome::self_trained).mean));
}

// A figure never stands beside a baseline of 0.
double NotZero(double value) { return std::abs(value) < 1e-9 ? 1e-9 : value; }

// Mean, worst and harm of the accuracy `value` as a share of the one before.
struct ShareBar {
  std::string bar;     // "A3"
  std::string figure;  // "a3.camera.light"
  double mean_at_least = -std::numeric_limits<double>::infinity();
  double worst_at_least = -std::numeric_limits<double>::infinity();
};
void AddShare(const Stream& stream, const ShareBar& bar, double Outcome::* value,
              std::uint32_t labels, const std::vector<Outcome>& outcomes, Report& report) {
  const Summary share = ShareOf(outcomes, value);
  const Summary nothing = ShareOf(outcomes, &Outcome::nothing);
  const std::string conditions = Conditions(stream, outcomes, labels);
  report.figures.Add({.name = bar.figure + ".mean",
                      .bar = bar.bar,
                      .value = share.mean,
                      .unit = "share",
                      .better = "higher",
                      .at_least = bar.mean_at_least,
                      .baseline = NotZero(nothing.mean),
                      .conditions = conditions});
  report.figures.Add({.name = bar.figure + ".worst",
                      .bar = bar.bar,
                      .value = share.worst,
                      .unit = "share",
                      .better = "higher",
                      .at_least = bar.worst_at_least,
                      .baseline = NotZero(nothing.worst),
                      .conditions = conditions});
  report.figures.Add({.name = bar.figure + ".harmed",
                      .bar = bar.bar,
                      .value = Harmed(outcomes, value),
                      .unit = "share of runs",
                      .baseline = 1.0,
                      .conditions = "more than a point worse than nothing done"});
}

}  // namespace

const Stream& Find(const std::vector<Stream>& streams, const std::string& name) {
  const auto found = std::find_if(streams.begin(), streams.end(),
                                  [&](const Stream& stream) { return stream.name == name; });
  CHECK(found != streams.end());
  return *found;
}

std::vector<Outcome> RunAll(const Stream& stream, const std::string& bar, std::uint32_t labels,
                            const Settings& settings, Report& report) {
  if (!stream.name.starts_with(settings.stream)) return {};
  std::vector<std::optional<Outcome>> found(settings.seeds());
  std::string failed;
  std::mutex mutex;
  bench::drift::ForEach(settings.seeds(), settings.threads, [&](std::size_t i) {
    auto outcome = Run(stream, settings.first_seed + i, {.labels = labels});
    const std::lock_guard lock(mutex);
    if (!outcome.ok()) {
      failed = outcome.error().message;
      return;
    }
    if (settings.each) {
      std::fprintf(
          stderr,
          "    %s seed %llu: before %.3f nothing %.3f alone %.3f (%s, %llu served) after "
          "%.3f blind %.3f self %.3f recall %.3f %s + %s, %s%s, %.1f s\n%s",
          stream.name.c_str(), static_cast<unsigned long long>(outcome->seed), outcome->before,
          outcome->nothing, outcome->unlabelled, outcome->state_unlabelled.c_str(),
          static_cast<unsigned long long>(outcome->served_unlabelled), outcome->after,
          outcome->blind, outcome->self_trained, outcome->recall, outcome->input.c_str(),
          outcome->challenger.c_str(), outcome->state.c_str(),
          outcome->alarm_was_forced ? ", alarm made" : "", outcome->seconds, outcome->log.c_str());
    }
    found[i] = std::move(*outcome);
  });
  if (!failed.empty()) {
    report.figures.Skip(bar, failed);
    return {};
  }
  std::vector<Outcome> outcomes;
  for (auto& outcome : found) outcomes.push_back(std::move(*outcome));
  report.streams.Add(stream.name, labels, outcomes);
  return outcomes;
}

void NoHarm(const Settings& settings, Report& report) {
  const std::vector<Stream> streams = AllStreams(settings.data);
  std::vector<Outcome> all;
  for (const Stream& stream : streams) {
    if (!stream.is_quiet) continue;
    const std::vector<Outcome> outcomes = RunAll(stream, "A1", settings.labels, settings, report);
    if (outcomes.empty()) continue;
    all.insert(all.end(), outcomes.begin(), outcomes.end());
    const Summary change = ChangeOf(outcomes, &Outcome::after);
    const std::string conditions = Conditions(stream, outcomes, settings.labels);
    report.figures.Add({.name = "a1." + stream.name + ".mean",
                        .bar = "A1",
                        .value = 100.0 * change.mean,
                        .unit = "points",
                        .better = "higher",
                        .at_least = -0.3,
                        .conditions = conditions});
    report.figures.Add({.name = "a1." + stream.name + ".worst",
                        .bar = "A1",
                        .value = 100.0 * change.worst,
                        .unit = "points",
                        .better = "higher",
                        .at_least = -2.0,
                        .conditions = conditions});
  }
  if (all.empty()) return;
  report.figures.Add({.name = "a1.harmed",
                      .bar = "A1",
                      .value = Harmed(all, &Outcome::after),
                      .unit = "share of runs",
                      .at_most = 0.03,
                      .baseline = 1.0,
                      .conditions = StrCat("more than a point worse; ", all.size(),
                                           " runs of all quiet streams")});
}

void InputPutRight(const Settings& settings, Report& report) {
  const std::vector<Stream> streams = AllStreams(settings.data);
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  struct Bar {
    const char* name;
    double mean, worst;
  };
  for (const Bar& bar :
       {Bar{"light", .97, .95}, Bar{"dirt", .97, .95}, Bar{"rotation", .97, .95},
        Bar{"light_dirt", .97, .95}, Bar{"light_rotation", .97, .95}, Bar{"light_two", .97, .95},
        Bar{"rotation_two", .97, .95}, Bar{"light_spells", .97, .95}, Bar{"dirt_gradual", .97, .95},
        Bar{"noise", .94, kNone}, Bar{"defocus", .85, kNone}}) {
    const Stream& stream = Find(streams, StrCat("camera.", bar.name));
    // Labels come afterwards; what they add or take stands in the table of streams.
    const std::vector<Outcome> outcomes = RunAll(stream, "A3", settings.labels, settings, report);
    if (outcomes.empty()) continue;
    AddShare(stream,
             {.bar = "A3",
              .figure = "a3." + stream.name,
              .mean_at_least = bar.mean,
              .worst_at_least = bar.worst},
             &Outcome::unlabelled, 0, outcomes, report);
    AddShare(stream, {.bar = "A3", .figure = "a3." + stream.name + ".labelled"}, &Outcome::after,
             settings.labels, outcomes, report);
  }
}

void RowsBroughtBack(const Settings& settings, Report& report) {
  const std::vector<Stream> streams = AllStreams(settings.data);
  for (const char* name :
       {"block", "six", "stuck", "dead", "block_two", "block_spells", "block_gradual"}) {
    const Stream& stream = Find(streams, StrCat("rows.", name));
    const std::vector<Outcome> outcomes = RunAll(stream, "A3", settings.labels, settings, report);
    if (outcomes.empty()) continue;
    AddShare(stream, {.bar = "A3", .figure = "a3." + stream.name, .mean_at_least = .94},
             &Outcome::after, settings.labels, outcomes, report);
  }
}

void GasBroughtBack(const Settings& settings, Report& report) {
  const std::vector<Stream> streams = AllStreams(settings.data);
  for (const std::uint32_t labels : {24u, 12u}) {
    double sum = 0.0, sum_nothing = 0.0;
    double count = 0.0;
    // As the evidence has it: the mean is over unused rows of batches 1 and 2 and all batches.
    for (const char* name : {"quiet", "batch3", "batch4", "batch5", "batch6", "batch8", "batch9"}) {
      const Stream& stream = Find(streams, StrCat("gas.", name));
      const std::vector<Outcome> outcomes = RunAll(stream, "A4", labels, settings, report);
      if (outcomes.empty()) continue;
      const Summary after = Of(outcomes, &Outcome::after);
      sum += after.mean;
      sum_nothing += Of(outcomes, &Outcome::nothing).mean;
      count += 1.0;
      const double least = labels == 24 ? 0.90 : -std::numeric_limits<double>::infinity();
      const std::string figure = StrCat("a4.", stream.name, ".labels", labels);
      report.figures.Add({.name = figure + ".mean",
                          .bar = "A4",
                          .value = after.mean,
                          .unit = "accuracy",
                          .better = "higher",
                          .at_least = least,
                          .baseline = NotZero(Of(outcomes, &Outcome::nothing).mean),
                          .conditions = Conditions(stream, outcomes, labels)});
      report.figures.Add({.name = figure + ".worst",
                          .bar = "A4",
                          .value = after.worst,
                          .unit = "accuracy",
                          .better = "higher",
                          .baseline = NotZero(Of(outcomes, &Outcome::nothing).worst),
                          .conditions = Conditions(stream, outcomes, labels)});
    }
    if (count < 7.0) continue;
    report.figures.Add({.name = StrCat("a4.gas.labels", labels, ".mean"),
                        .bar = "A4",
                        .value = sum / count,
                        .unit = "accuracy",
                        .better = "higher",
                        .at_least = labels == 24 ? 0.95 : 0.87,
                        .baseline = NotZero(sum_nothing / count),
                        .conditions = "mean of unused rows of batches 1 and 2 and batches 3, 4, 5, "
                                      "6, 8, 9, on the half never asked about"});
  }
}

void UnseenClass(const Settings& settings, Report& report) {
  const std::vector<Stream> streams = AllStreams(settings.data);
  for (const char* name : {"camera.unseen", "rows.unseen"}) {
    const Stream& stream = Find(streams, name);
    std::vector<Outcome> outcomes = RunAll(stream, "A7", settings.labels, settings, report);
    if (outcomes.empty()) continue;
    const Summary recall = Of(outcomes, &Outcome::recall);
    const std::string conditions = StrCat(
        Conditions(stream, outcomes, settings.labels), "; worst ", base::FormatShort(recall.worst),
        stream.name == "camera.unseen"
            ? "; the model was trained on all ten digits, the bundle knows nine"
            : "");
    report.figures.Add({.name = "a7." + stream.name + ".recall",
                        .bar = "A7",
                        .value = recall.mean,
                        .unit = "share",
                        .better = "higher",
                        .at_least = 0.88,
                        .conditions = conditions});
    double kept = 0.0, worst = 10.0;
    for (const Outcome& outcome : outcomes) {
      const double share = outcome.known_after / outcome.known_before;
      kept += share / static_cast<double>(outcomes.size());
      worst = std::min(worst, share);
    }
    report.figures.Add(
        {.name = "a7." + stream.name + ".known",
         .bar = "A7",
         .value = kept,
         .unit = "share",
         .better = "higher",
         .at_least = 0.97,
         .conditions = StrCat("known classes, share of before; worst ", base::FormatShort(worst))});
  }
}

void OtherStreams(const Settings& settings, Report& report) {
  for (const Stream& stream : AllStreams(settings.data)) {
    const bool is_other = stream.name.starts_with("elec2.") || stream.name == "weather.drift" ||
                          stream.name == "rows.swapped";
    if (!is_other) continue;
    const std::vector<Outcome> outcomes = RunAll(stream, "X", settings.labels, settings, report);
    if (outcomes.empty()) continue;
    report.figures.Add({.name = StrCat("x.", stream.name, ".change"),
                        .bar = "X",
                        .value = 100.0 * ChangeOf(outcomes, &Outcome::after).mean,
                        .unit = "points",
                        .better = "higher",
                        .conditions = Conditions(stream, outcomes, settings.labels)});
  }
}

void Calibrate(const Settings& settings) {
  struct Kind {
    const char* name;
    double tinyscene::Drifts::* strength;
  };
  for (const Kind& kind :
       {Kind{"light", &tinyscene::Drifts::light}, Kind{"dirt", &tinyscene::Drifts::dirt},
        Kind{"rotation", &tinyscene::Drifts::rotation}, Kind{"blur", &tinyscene::Drifts::blur},
        Kind{"noise", &tinyscene::Drifts::noise}}) {
    if (!std::string(kind.name).starts_with(settings.stream)) continue;
    double low = 0.0, high = 1.0;
    for (int step = 0; step < 7; ++step) {
      const double strength = step == 0 ? 1.0 : (low + high) / 2.0;
      CameraWorld world;
      world.drifts.*kind.strength = strength;
      double lost = 0.0;
      for (std::uint64_t seed = settings.first_seed; seed <= settings.last_seed; ++seed) {
        const auto deal = DealCamera(world, seed);
        CHECK(deal.ok());
        const auto measured = MeasureBaselines(*deal, false);
        CHECK(measured.ok());
        lost += (measured->before.accuracy() - measured->nothing.accuracy()) /
                static_cast<double>(settings.seeds());
      }
      std::fprintf(stderr, "%s %.3f: %.1f points\n", kind.name, strength, 100.0 * lost);
      if (step == 0 && lost < 0.2) break;
      (lost >= 0.2 ? high : low) = strength;
    }
    std::fprintf(stderr, "%s: 20 points at %.3f\n", kind.name, (low + high) / 2.0);
  }
}

}  // namespace bench::adapt
