// The bars that ask what the device does, not how well it answers: A2, A5, A6.

#include <algorithm>
#include <cstdio>
#include <functional>
#include <mutex>
#include <optional>

#include "base/text.h"
#include "bench/adapt/bars.h"
#include "bench/adapt/baselines.h"
#include "bench/adapt/device.h"
#include "bench/adapt/experiment.h"
#include "bench/adapt/injected.h"

namespace bench::adapt {

namespace {

using base::StrCat;

// One experiment a seed; nothing where the data are missing, which is reported.
template <typename T>
std::vector<T> EachSeed(const Stream& stream, const std::string& bar, const Settings& settings,
                        Report& report,
                        const std::function<base::Result<T>(const Stream&, std::uint64_t)>& run) {
  if (!stream.name.starts_with(settings.stream)) return {};
  std::vector<std::optional<T>> found(settings.seeds());
  std::string failed;
  std::mutex mutex;
  bench::drift::ForEach(settings.seeds(), settings.threads, [&](std::size_t i) {
    base::Result<T> one = run(stream, settings.first_seed + i);
    const std::lock_guard lock(mutex);
    if (!one.ok()) {
      failed = one.error().message;
      return;
    }
    if (settings.each) {
      std::fprintf(stderr, "    %s seed %llu: %s\n", stream.name.c_str(),
                   static_cast<unsigned long long>(settings.first_seed + i), one->Text().c_str());
    }
    found[i] = std::move(*one);
  });
  if (!failed.empty()) {
    report.figures.Skip(bar, failed);
    return {};
  }
  std::vector<T> all;
  for (auto& one : found) all.push_back(std::move(*one));
  return all;
}

template <typename T>
std::size_t Count(const std::vector<T>& runs, const std::function<bool(const T&)>& is) {
  return static_cast<std::size_t>(std::count_if(runs.begin(), runs.end(), is));
}

double Part(std::size_t some, std::size_t of) {
  return of == 0 ? 0.0 : static_cast<double>(some) / static_cast<double>(of);
}

base::Result<std::unique_ptr<Device>> Begin(const Deal& deal, std::uint64_t seed) {
  Device::Options options;
  options.quarantine = deal.quarantine;
  options.seed = seed;
  ASSIGN_OR_RETURN(auto device, Device::Start(deal.bundle, deal.names, options));
  RETURN_IF_ERROR(GetUsed(*device, deal));
  return device;
}

// ---- A2 ----------------------------------------------------------------------------------------

struct Unaided {
  double nothing = 0.0;
  double alone = 0.0;
  std::string state;
  std::string input;
  std::string challenger;
  double unknown = 0.0;  // Share of answers held back in the end.
  std::string Text() const {
    return StrCat("nothing ", base::FormatShort(nothing), ", alone ", base::FormatShort(alone),
                  ", ", state, ", ", input, " + ", challenger, ", unknown ",
                  base::FormatShort(unknown));
  }
  bool is_corrected() const { return input != "identity"; }
  // Changed without a label, and no input hypothesis was what changed it, or it did not help.
  bool is_silent() const {
    return challenger != "none" || (is_corrected() && alone < nothing + 0.01);
  }
};

base::Result<Unaided> LeaveAlone(const Stream& stream, std::uint64_t seed) {
  ASSIGN_OR_RETURN(const Deal deal, stream.deal(seed));
  ASSIGN_OR_RETURN(const Baselines baselines, MeasureBaselines(deal, false));
  ASSIGN_OR_RETURN(const auto device, Begin(deal, seed));
  ASSIGN_OR_RETURN(const Collected collected,
                   Collect(*device, deal, deal.force_after, deal.quarantine + 270));
  for (std::size_t i = 0; i < 30; ++i) {
    RETURN_IF_ERROR(device->Show(deal.changed[(collected.shown + i) % deal.changed.size()]));
  }
  Unaided unaided;
  unaided.nothing = baselines.nothing.accuracy();
  unaided.state = device->state();
  const auto status = device->status();
  unaided.input = status.hypothesis;
  unaided.challenger = status.challenger;
  ASSIGN_OR_RETURN(const Score score, device->Ask(deal.scored, deal.novel));
  unaided.alone = score.accuracy();
  unaided.unknown = Part(score.unknown, score.samples);
  return unaided;
}

// ---- A5 ----------------------------------------------------------------------------------------

constexpr std::size_t kFoundWithin = 200;

struct Poisoned {
  double before_labels = 0.0;  // Accuracy under what served when the labels came.
  double after = 0.0;
  bool was_served = false;    // Something made of the labels went into service.
  bool is_as_before = false;  // What serves in the end is what served before, to the byte.
  bool names_wrong = false;   // Every wrong label was refused by name.
  bool was_bad = false;       // What served cost more than a point.
  std::size_t refused_right = 0;
  std::size_t found_after = 0;  // Samples until it served as before.
  std::size_t wrong = 0;
  std::size_t labels = 0;
  std::string state;
  std::string challenger;
  std::string Text() const {
    return StrCat("before ", base::FormatShort(before_labels), ", after ", base::FormatShort(after),
                  ", ", wrong, " of ", labels, " wrong, ", was_served ? "served" : "not served",
                  is_as_before ? ", as before" : "",
                  is_as_before && was_served ? StrCat(" after ", found_after) : "",
                  names_wrong ? ", wrong ones named" : "", ", ", refused_right,
                  " right ones refused, ", state, ", ", challenger);
  }
  bool is_harmful() const { return after < before_labels - 0.01; }
};

base::Result<Poisoned> Poison(const Stream& stream, std::uint64_t seed, double wrong) {
  ASSIGN_OR_RETURN(const Deal deal, stream.deal(seed));
  ASSIGN_OR_RETURN(const auto device, Begin(deal, seed));
  ASSIGN_OR_RETURN(const Collected collected,
                   Collect(*device, deal, deal.force_after, deal.quarantine + 270));
  Poisoned poisoned;
  ASSIGN_OR_RETURN(const Score before, device->Ask(deal.scored, deal.novel));
  poisoned.before_labels = before.accuracy();
  ASSIGN_OR_RETURN(const std::string digest, device->ServedDigest());
  const protocol::Feedback feedback = device->Answers(wrong);
  poisoned.labels = feedback.labels.size();
  poisoned.wrong = device->wrong().size();
  if (poisoned.labels == 0) {
    return base::Error{base::ErrorCode::kNotFound,
                       StrCat(stream.name, " seed ", seed, ": no labels were asked for")};
  }
  RETURN_IF_ERROR(device->Tell(feedback));
  ASSIGN_OR_RETURN(std::string now, device->ServedDigest());
  poisoned.is_as_before = now == digest;
  std::uint64_t revision = ~std::uint64_t{0};
  for (std::size_t i = 1; i <= kFoundWithin; ++i) {
    RETURN_IF_ERROR(device->Show(deal.changed[(collected.shown + i) % deal.changed.size()]));
    if (device->status().revision == revision) continue;
    revision = device->status().revision;
    ASSIGN_OR_RETURN(now, device->ServedDigest());
    const bool was_as_before = poisoned.is_as_before;
    poisoned.is_as_before = now == digest;
    if (poisoned.is_as_before && !was_as_before) poisoned.found_after = i;
    if (poisoned.is_as_before || poisoned.was_served) continue;
    poisoned.was_served = true;
    ASSIGN_OR_RETURN(const Score served, device->Ask(deal.scored, deal.novel));
    poisoned.was_bad = served.accuracy() < poisoned.before_labels - 0.01;
  }
  ASSIGN_OR_RETURN(now, device->ServedDigest());
  poisoned.is_as_before = now == digest;
  const auto is_refused = [&](const std::string& id) { return device->OutcomeOf(id) == "refused"; };
  const std::vector<std::string>& lies = device->wrong();
  poisoned.names_wrong = !lies.empty() && std::all_of(lies.begin(), lies.end(), is_refused);
  for (const auto& label : feedback.labels) {
    const bool is_lie = std::find(lies.begin(), lies.end(), label.sample_id) != lies.end();
    poisoned.refused_right += !is_lie && is_refused(label.sample_id) ? 1 : 0;
  }
  ASSIGN_OR_RETURN(const Score after, device->Ask(deal.scored, deal.novel));
  poisoned.after = after.accuracy();
  poisoned.state = device->state();
  poisoned.challenger = device->status().challenger;
  return poisoned;
}

// Past the judge, for the trial to find out.
struct Forced {
  Injection injection;
  std::string Text() const {
    return StrCat("champion ", base::FormatShort(injection.champion), ", injected ",
                  base::FormatShort(injection.challenger),
                  injection.undone_after ? StrCat(", undone after ", *injection.undone_after)
                                         : std::string(", not undone"),
                  injection.is_identical ? ", identical" : "");
  }
};

// How many of the runs cost more than a point, and how many of those were undone.
struct Bad {
  std::size_t runs = 0;
  std::size_t undone = 0;
};

Bad InjectedFound(const Settings& settings, Report& report, const std::vector<Stream>& streams) {
  Bad bad;
  struct Kind {
    const char* name;
    const char* what;
    Injected injected;
  };
  for (const Kind& kind :
       {Kind{"pseudo", "pseudo-labels of all that was collected, 30 % wrong",
             Injected::kPseudoLabels},
        Kind{"labels", "24 labels and their neighbours, 30 % wrong", Injected::kLabels}}) {
    std::size_t harmful = 0, undone = 0, all = 0;
    std::vector<double> after;
    for (const char* name :
         {"rows.quiet", "rows.six", "rows.stuck", "camera.quiet", "gas.quiet", "gas.batch3"}) {
      const Stream& stream = Find(streams, name);
      const auto runs =
          EachSeed<Forced>(stream, "A5", settings, report,
                           [&](const Stream& of, std::uint64_t seed) -> base::Result<Forced> {
                             ASSIGN_OR_RETURN(const Deal deal, of.deal(seed));
                             ASSIGN_OR_RETURN(const Injection injection,
                                              Inject(deal, kind.injected, 0.3, kFoundWithin, seed));
                             return Forced{injection};
                           });
      all += runs.size();
      for (const Forced& run : runs) {
        if (!run.injection.is_harmful()) continue;
        ++harmful;
        if (!run.injection.undone_after || !run.injection.is_identical) continue;
        ++undone;
        after.push_back(static_cast<double>(*run.injection.undone_after));
      }
    }
    bad.runs += harmful;
    bad.undone += undone;
    if (harmful == 0) continue;
    report.figures.Add(
        {.name = StrCat("a5.injected.", kind.name, ".bad_undone"),
         .bar = "A5",
         .value = Part(undone, harmful),
         .unit = "share of runs",
         .better = "higher",
         .at_least = 0.95,
         .conditions = StrCat(
             "a memory put past the judge: ", kind.what, "; ", harmful, " of ", all,
             " runs cost more than a point; undone to the byte within ", kFoundWithin,
             " samples by the canary or the trial",
             after.empty() ? ""
                           : StrCat(", median after ", bench::drift::Summarise(after).median,
                                    " samples, at most ", bench::drift::Summarise(after).max))});
  }
  return bad;
}

// ---- A6 ----------------------------------------------------------------------------------------

// Of the accuracy before, at which a stream counts as recovered.
constexpr double kRecovered = 0.94;
constexpr std::size_t kRecoveryMost = 900;
constexpr std::size_t kProbed = 200;

struct Meetings {
  std::size_t first = 0;   // Samples from the change until it had recovered.
  std::size_t second = 0;  // When the same change came again.
  std::size_t labels_second = 0;
  double after_first = 0.0;
  double after_second = 0.0;
  double before = 0.0;
  bool was_needed = true;      // It had lost something.
  bool was_recovered = false;  // The first time.
  std::string log;
  bool was_calm = false;  // In between it answered as before the change.
  std::string Text() const {
    return StrCat("first ", first, was_recovered ? "" : " (never)", ", second ", second,
                  ", labels the second time ", labels_second, ", accuracy ",
                  base::FormatShort(before), " -> ", base::FormatShort(after_first), " -> ",
                  base::FormatShort(after_second), was_calm ? "" : ", not calm in between", "\n",
                  log);
  }
};

struct Recovery {
  std::size_t samples = kRecoveryMost;
  std::size_t labels = 0;
  double accuracy = 0.0;
  bool is_there = false;
};

// Shows `stream` until what serves answers `probe` well enough and is at rest; answers what is
// asked.
base::Result<Recovery> Recover(Device& device, std::span<const Shown> stream,
                               std::span<const Shown> probe, double enough) {
  Recovery recovery;
  const std::uint64_t alarms = device.alarms();
  probe = probe.first(std::min(kProbed, probe.size()));
  const auto measure = [&](std::size_t shown) -> base::Status {
    ASSIGN_OR_RETURN(const Score score, device.AskAside(probe));
    recovery.accuracy = score.accuracy();
    const bool is_enough = recovery.accuracy >= enough;
    if (is_enough && !recovery.is_there) recovery.samples = shown;
    if (!is_enough) recovery.samples = kRecoveryMost;
    recovery.is_there = is_enough;
    return {};
  };
  std::uint64_t revision = device.status().revision;
  RETURN_IF_ERROR(measure(0));
  std::size_t shown = 0;
  for (; shown < kRecoveryMost; ++shown) {
    if (device.has_asked()) {
      const protocol::Feedback feedback = device.Answers();
      if (!recovery.is_there) recovery.labels += feedback.labels.size();
      RETURN_IF_ERROR(device.Tell(feedback));
    }
    RETURN_IF_ERROR(device.Show(stream[shown % stream.size()],
                                shown == 20 && device.alarms() == alarms && !recovery.is_there));
    if (device.status().revision != revision) {
      revision = device.status().revision;
      RETURN_IF_ERROR(measure(shown + 1));
    }
    if (recovery.is_there && device.is_at_rest() && shown > 150 && !device.has_asked()) break;
  }
  // What is usual now is learned before anything else happens.
  for (std::size_t i = 0; i < 400; ++i) {
    if (device.has_asked()) RETURN_IF_ERROR(device.Tell(device.Answers()));
    RETURN_IF_ERROR(device.Show(stream[(shown + i) % stream.size()]));
  }
  ASSIGN_OR_RETURN(const Score score, device.AskAside(probe));
  recovery.accuracy = score.accuracy();
  return recovery;
}

base::Result<Meetings> MeetTwice(const Stream& stream, std::uint64_t seed) {
  ASSIGN_OR_RETURN(const Deal deal, stream.deal(seed));
  ASSIGN_OR_RETURN(const auto device, Begin(deal, seed));
  Meetings meetings;
  ASSIGN_OR_RETURN(const Score before, device->AskAside(deal.scored_quiet));
  meetings.before = before.accuracy();
  const double enough = kRecovered * meetings.before;
  ASSIGN_OR_RETURN(const Baselines baselines, MeasureBaselines(deal, false));
  meetings.was_needed = baselines.nothing.accuracy() < enough;
  if (!meetings.was_needed) return meetings;
  ASSIGN_OR_RETURN(const Recovery first, Recover(*device, deal.changed, deal.scored, enough));
  meetings.first = first.samples;
  meetings.was_recovered = first.is_there;
  meetings.after_first = first.accuracy;
  ASSIGN_OR_RETURN(const Recovery calm, Recover(*device, deal.quiet, deal.scored_quiet, enough));
  meetings.was_calm = calm.is_there;
  ASSIGN_OR_RETURN(const Recovery second, Recover(*device, deal.changed, deal.scored, enough));
  meetings.second = second.samples;
  meetings.labels_second = second.labels;
  meetings.after_second = second.accuracy;
  for (const auto& step : device->status().transitions) {
    meetings.log += StrCat("      ", step.index, " ", tinylcm::adapt::Name(step.from), " -> ",
                           tinylcm::adapt::Name(step.to), ": ", step.why, "\n");
  }
  return meetings;
}

}  // namespace

void Escalates(const Settings& settings, Report& report) {
  const std::vector<Stream> streams = AllStreams(settings.data);
  std::size_t runs = 0, escalated = 0, silent = 0, all = 0;
  for (const char* name : {"rows.block", "rows.swapped", "rows.block_two", "camera.wrecked",
                           "gas.batch6", "gas.batch8", "gas.batch9"}) {
    const Stream& stream = Find(streams, name);
    const auto found = EachSeed<Unaided>(stream, "A2", settings, report, LeaveAlone);
    if (found.empty()) continue;
    std::vector<Unaided> poor;
    for (const Unaided& one : found) {
      if (one.nothing < 0.5) poor.push_back(one);
    }
    const std::size_t helpless =
        Count<Unaided>(poor, [](const Unaided& one) { return !one.is_corrected(); });
    const std::size_t asked = Count<Unaided>(
        poor, [](const Unaided& one) { return !one.is_corrected() && one.state == "escalated"; });
    const std::size_t quiet =
        Count<Unaided>(poor, [](const Unaided& one) { return one.is_silent(); });
    runs += helpless;
    escalated += asked;
    silent += quiet;
    all += poor.size();
    if (poor.empty()) continue;
    double nothing = 0.0, unknown = 0.0;
    for (const Unaided& one : poor) {
      nothing += one.nothing / static_cast<double>(poor.size());
      unknown += one.unknown / static_cast<double>(poor.size());
    }
    report.figures.Add(
        {.name = StrCat("a2.", name, ".escalated"),
         .bar = "A2",
         .value = helpless == 0 ? 1.0 : Part(asked, helpless),
         .unit = "share of runs",
         .better = "higher",
         .at_least = 0.95,
         .conditions = StrCat(stream.what, "; ", poor.size(), " runs below .5 (mean ",
                              base::FormatShort(nothing), "), ", poor.size() - helpless,
                              " with an input put right, ", quiet, " changed silently, ",
                              base::FormatShort(100.0 * unknown), " % of answers held back")});
  }
  if (all == 0) return;
  report.figures.Add({.name = "a2.escalated",
                      .bar = "A2",
                      .value = runs == 0 ? 1.0 : Part(escalated, runs),
                      .unit = "share of runs",
                      .better = "higher",
                      .at_least = 0.95,
                      .conditions = StrCat(runs, " runs below .5 where no input was put right")});
  report.figures.Add({.name = "a2.silent",
                      .bar = "A2",
                      .value = static_cast<double>(silent),
                      .unit = "runs",
                      .at_most = 0.0,
                      .conditions = StrCat("of ", all,
                                           " runs below .5, changed without a label "
                                           "and not for the better")});
}

void PoisonFound(const Settings& settings, Report& report) {
  const std::vector<Stream> streams = AllStreams(settings.data);
  std::size_t all = 0, undone_all = 0, harmed_all = 0;
  Bad bad;
  for (const char* name : {"rows.block", "rows.six", "rows.stuck", "camera.dirt", "gas.batch3",
                           "gas.batch6", "gas.batch8"}) {
    const Stream& stream = Find(streams, name);
    const auto runs = EachSeed<Poisoned>(
        stream, "A5", settings, report,
        [](const Stream& of, std::uint64_t seed) { return Poison(of, seed, 0.3); });
    if (runs.empty()) continue;
    const auto honest = EachSeed<Poisoned>(
        stream, "A5", settings, report,
        [](const Stream& of, std::uint64_t seed) { return Poison(of, seed, 0.0); });
    const std::size_t as_before =
        Count<Poisoned>(runs, [](const Poisoned& one) { return one.is_as_before; });
    const std::size_t named =
        Count<Poisoned>(runs, [](const Poisoned& one) { return one.names_wrong; });
    const std::size_t harmed =
        Count<Poisoned>(runs, [](const Poisoned& one) { return one.is_harmful(); });
    const std::size_t served =
        Count<Poisoned>(runs, [](const Poisoned& one) { return one.was_served; });
    const std::size_t was_bad =
        Count<Poisoned>(runs, [](const Poisoned& one) { return one.was_bad; });
    bad.runs += was_bad;
    bad.undone +=
        Count<Poisoned>(runs, [](const Poisoned& one) { return one.was_bad && one.is_as_before; });
    std::size_t latest = 0;
    for (const Poisoned& one : runs) latest = std::max(latest, one.found_after);
    all += runs.size();
    undone_all += as_before;
    harmed_all += harmed;
    report.figures.Add(
        {.name = StrCat("a5.", name, ".undone"),
         .bar = "A5",
         .value = Part(as_before, runs.size()),
         .unit = "share of runs",
         .better = "higher",
         .at_least = 0.95,
         .conditions = StrCat(stream.what, "; 30 % of the labels wrong; ", runs.size(),
                              " runs: ", as_before, " as before to the byte ", kFoundWithin,
                              " samples later, ", served, " had served something of them (",
                              was_bad, " for the worse; latest undone after ", latest,
                              " samples), all wrong ones "
                              "refused by name in ",
                              named, ", ", harmed,
                              " more than a point worse in the "
                              "end")});
    if (honest.empty()) continue;
    report.figures.Add(
        {.name = StrCat("a5.", name, ".honest_refused"),
         .bar = "A5",
         .value = Part(Count<Poisoned>(honest,
                                       [](const Poisoned& one) {
                                         return one.is_as_before && !one.was_served &&
                                                one.state == "escalated";
                                       }),
                       honest.size()),
         .unit = "share of runs",
         .conditions = "the same with no label wrong: nothing was learned and it escalated"});
  }
  const Bad injected = InjectedFound(settings, report, streams);
  bad.runs += injected.runs;
  bad.undone += injected.undone;
  if (bad.runs > 0) {
    report.figures.Add(
        {.name = "a5.bad_undone",
         .bar = "A5",
         .value = Part(bad.undone, bad.runs),
         .unit = "share of runs",
         .better = "higher",
         .at_least = 0.95,
         .conditions =
             StrCat(bad.runs, " runs in which what served cost more than a point (", injected.runs,
                    " of them put past the judge); undone to the byte "
                    "within ",
                    kFoundWithin, " samples")});
  }
  if (all == 0) return;
  report.figures.Add({.name = "a5.undone",
                      .bar = "A5",
                      .value = Part(undone_all, all),
                      .unit = "share of runs",
                      .better = "higher",
                      .at_least = 0.95,
                      .conditions = StrCat(all,
                                           " runs of all streams with 30 % of the labels "
                                           "wrong, whatever they led to")});
  report.figures.Add({.name = "a5.harmed",
                      .bar = "A5",
                      .value = Part(harmed_all, all),
                      .unit = "share of runs",
                      .conditions = "more than a point worse than before the labels"});
}

void ConceptsMetAgain(const Settings& settings, Report& report) {
  const std::vector<Stream> streams = AllStreams(settings.data);
  for (const char* name : {"camera.light", "camera.dirt", "rows.block", "rows.stuck"}) {
    const Stream& stream = Find(streams, name);
    const auto runs = EachSeed<Meetings>(stream, "A6", settings, report, MeetTwice);
    if (runs.empty()) continue;
    double first = 0.0, second = 0.0, labels = 0.0, accuracy = 0.0, least = 1e9;
    std::size_t needed = 0, counted = 0, third = 0, alike = 0, calm = 0;
    for (const Meetings& one : runs) {
      needed += one.was_needed ? 1 : 0;
      if (!one.was_recovered) continue;
      ++counted;
      first += static_cast<double>(one.first);
      second += static_cast<double>(one.second);
      labels += static_cast<double>(one.labels_second);
      accuracy += one.after_second / one.before;
      least = std::min(least, one.after_second / one.before);
      third += 3 * one.second <= one.first ? 1 : 0;
      alike += one.after_second >= one.after_first - 0.03 ? 1 : 0;
      calm += one.was_calm ? 1 : 0;
    }
    if (counted == 0) {
      report.figures.Skip("A6", StrCat(name, ": no run recovered the first time"));
      continue;
    }
    const auto count = static_cast<double>(counted);
    report.figures.Add(
        {.name = StrCat("a6.", name, ".ratio"),
         .bar = "A6",
         .value = second / first,
         .unit = "share",
         .at_most = 1.0 / 3.0,
         .conditions =
             StrCat(stream.what, "; samples until ", kRecovered, " of before: first ",
                    base::FormatShort(first / count), ", second ",
                    base::FormatShort(second / count), "; ", counted, " of ", runs.size(),
                    " runs recovered the first time, ", calm, " came back to quiet in between; ",
                    base::FormatShort(labels / count), " labels the second time")});
    report.figures.Add({.name = StrCat("a6.", name, ".within_a_third"),
                        .bar = "A6",
                        .value = Part(third, counted),
                        .unit = "share of runs",
                        .better = "higher",
                        .conditions = "at most a third of the samples of the first meeting"});
    report.figures.Add({.name = StrCat("a6.", name, ".right_concept"),
                        .bar = "A6",
                        .value = Part(alike, counted),
                        .unit = "share of runs",
                        .better = "higher",
                        .at_least = 0.95,
                        .conditions = StrCat("serves within 3 points of the first time; share of "
                                             "before ",
                                             base::FormatShort(accuracy / count), ", worst ",
                                             base::FormatShort(least))});
  }
}

}  // namespace bench::adapt
