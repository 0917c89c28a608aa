// The same alarms give the same figures as elsewhere: the 30 cases river publishes for its
// drift.evaluate (its pull request for #1963) and those of CapyMOA's EvaluateDriftDetector. Inputs
// and expected numbers are theirs, the table is ours; the two cases that run a detector over a
// stream are at the end.

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "tinylcm/drift/detectors/detector.h"
#include "tinylcm/evaluation/detection.h"

namespace {

using tinylcm::evaluation::Change;
using tinylcm::evaluation::Detection;
using tinylcm::evaluation::Matching;
using tinylcm::evaluation::Rules;

using Indices = std::vector<std::uint64_t>;
using Changes = std::vector<Change>;
using Field = std::optional<double> Detection::*;

std::vector<Change> Abrupt(const Indices& indices) {
  std::vector<Change> changes;
  for (const std::uint64_t index : indices) changes.push_back(tinylcm::evaluation::At(index));
  return changes;
}

// ---- which alarm belongs to which change (10 cases, two of them refusals) -----------------------

struct Matched {
  const char* says;
  Indices alarms;
  Changes changes;
  Rules rules;
  std::vector<Indices> caught;  // Of each window its first alarm, if any.
  Indices false_alarms;
};

TEST(RiversCases, MatchAnAlarmToAChange) {
  const std::vector<Matched> cases = {
      {"inside the window", {120}, Abrupt({100}), {50}, {{120}}, {}},
      {"behind it", {151}, Abrupt({100}), {50}, {{}}, {151}},
      {"at its end", {150}, Abrupt({100}), {50}, {{150}}, {}},
      {"before the change", {99}, Abrupt({100}), {50}, {{}}, {99}},
      {"before, but early ones count", {95}, Abrupt({100}), {50, 10}, {{95}}, {}},
      {"at the end of a gradual one's", {250}, {{100, 200}}, {50}, {{250}}, {}},
      {"behind it", {251}, {{100, 200}}, {50}, {{}}, {251}},
      {"in two windows: the earlier", {130}, Abrupt({100, 120}), {50}, {{130}, {}}, {}},
  };
  for (const Matched& one : cases) {
    SCOPED_TRACE(one.says);
    const auto matching = Match(one.alarms, one.changes, one.rules);
    ASSERT_TRUE(matching.ok()) << matching.error().message;
    EXPECT_EQ(matching->false_alarms, one.false_alarms);
    ASSERT_EQ(matching->windows.size(), one.caught.size());
    for (std::size_t i = 0; i < one.caught.size(); ++i) {
      ASSERT_EQ(matching->windows[i].alarms, one.caught[i].size());
      if (!one.caught[i].empty()) {
        EXPECT_EQ(matching->windows[i].first, one.caught[i][0]);
      }
    }
  }
}

TEST(RiversCases, RefuseAWindowOfNothingAndAChangeThatRunsBackwards) {
  const auto no_window = Match(Indices{110}, Abrupt({100}), {.horizon = 0});
  ASSERT_FALSE(no_window.ok());
  EXPECT_EQ(no_window.error().message, "the horizon must be at least 1 sample");
  const auto backwards = Match(Indices{110}, Changes{{200, 100}}, {.horizon = 50});
  ASSERT_FALSE(backwards.ok());
  EXPECT_EQ(backwards.error().message, "change 200-100 ends before it begins");
}

// ---- figures (18 cases) -------------------------------------------------------------------------

struct Said {
  const char* says;
  Indices alarms;
  Indices changes;  // Horizon 50, of 1,000 samples.
  Field field;
  std::optional<double> expected;
};

TEST(RiversCases, GiveTheFiguresRiverGives) {
  const std::vector<Said> cases = {
      // Two alarms in one window, one change missed: 2 of 3.
      {"recall, by alarm", {110, 130}, {100, 500}, &Detection::recall, 2.0 / 3.0},
      {"recall, a window once", {110, 130}, {100, 500}, &Detection::episode_recall, 0.5},
      {"half of the changes", {110}, {100, 500}, &Detection::episode_recall, 0.5},
      {"the other half", {110}, {100, 500}, &Detection::missed, 0.5},
      {"alarms that landed", {110, 900}, {100}, &Detection::precision, 0.5},
      {"no alarm, no precision", {}, {100}, &Detection::precision, std::nullopt},
      {"F1", {110, 900}, {100, 500}, &Detection::f1, 0.5},
      {"delay to the first alarm", {110, 130}, {100}, &Detection::delay, 10.0},
      // (10 + 30) / 2; the third change is missed and left out.
      {"delay of the caught", {110, 530}, {100, 500, 900}, &Detection::delay, 20.0},
      {"none caught, no delay", {}, {100}, &Detection::delay, std::nullopt},
      {"delay in horizons", {110}, {100}, &Detection::normalised_delay, 0.2},
      // (100 + 200) / 2.
      {"gaps", {200, 300, 500}, {}, &Detection::mean_time_between_false_alarms, 150.0},
      {"one has none", {200}, {}, &Detection::mean_time_between_false_alarms, std::nullopt},
      // 300 between false alarms, over a delay of 10, half of the changes missed.
      {"mean time ratio", {110, 400, 700}, {100, 900}, &Detection::mean_time_ratio, 15.0},
      {"nor is there one", {110}, {100}, &Detection::mean_time_ratio, std::nullopt},
  };
  for (const Said& one : cases) {
    SCOPED_TRACE(one.says);
    const auto is = Evaluate(one.alarms, Abrupt(one.changes), 1000, {.horizon = 50});
    ASSERT_TRUE(is.ok()) << is.error().message;
    const std::optional<double> value = (*is).*one.field;
    ASSERT_EQ(value.has_value(), one.expected.has_value());
    if (value) {
      EXPECT_DOUBLE_EQ(*value, *one.expected);
    }
  }
  // One false alarm (900) in 1,000 samples, by sample and by thousand.
  const auto rate = Evaluate(Indices{110, 900}, Abrupt({100}), 1000, {.horizon = 50});
  EXPECT_DOUBLE_EQ(rate->false_alarm_rate, 0.001);
  EXPECT_DOUBLE_EQ(1000.0 * rate->false_alarm_rate, 1.0);
  // All at once.
  const auto report = Evaluate(Indices{110, 900}, Abrupt({100, 500}), 1000, {.horizon = 50});
  EXPECT_DOUBLE_EQ(report->episode_recall.value(), 0.5);
  EXPECT_DOUBLE_EQ(report->precision.value(), 0.5);
  EXPECT_DOUBLE_EQ(report->missed.value(), 0.5);
  EXPECT_DOUBLE_EQ(report->delay.value(), 10.0);
  EXPECT_DOUBLE_EQ(report->false_alarm_rate, 0.001);
  EXPECT_EQ(report->alarms, 2u);
}

// ---- a detector over a stream (2 cases) ---------------------------------------------------------

Detection Judge(std::span<const double> stream) {
  auto detector = tinylcm::drift::MakeDetector("cusum", {{"sd", "0.1"}}, 1e5).value();
  const Indices alarms = tinylcm::evaluation::AlarmsOf(stream, [&](double value) {
    return detector->Observe(value) == tinylcm::drift::DriftSignal::kDrift;
  });
  return Evaluate(alarms, Abrupt({1000}), stream.size(), {.horizon = 200}).value();
}

TEST(RiversCases, DriveADetectorOverAStreamThatChanges) {
  base::Random random(12345);  // N(0, .1), from the 1,000th on N(5, .1).
  std::vector<double> stream;
  for (int i = 0; i < 2000; ++i) stream.push_back((i < 1000 ? 0.0 : 5.0) + 0.1 * random.Normal());
  const Detection is = Judge(stream);
  EXPECT_DOUBLE_EQ(is.episode_recall.value(), 1.0);
  EXPECT_GE(is.delay.value(), 0.0);
  EXPECT_LE(is.delay.value(), 200.0);
  EXPECT_EQ(is.length, 2000u);
}

TEST(RiversCases, ReportAMissWhereTheDetectorStaysQuiet) {
  const Detection is = Judge(std::vector<double>(2000, 0.0));
  EXPECT_DOUBLE_EQ(is.episode_recall.value(), 0.0);
  EXPECT_DOUBLE_EQ(is.missed.value(), 1.0);
  EXPECT_EQ(is.alarms, 0u);
}

// ---- CapyMOA ------------------------------------------------------------------------------------

TEST(CapyMoasCases, GiveTheDelaysCapyMoaGives) {
  struct Case {
    const char* says;
    Indices alarms;
    Changes changes;
    Rules rules;
    std::optional<double> delay, normalised;
  };
  const std::vector<Case> cases = {
      // 1200 is just in time (200), 1250 is not, 2100 is 100 late.
      {"of two", {500, 1200, 1250, 2100}, Abrupt({1000, 2000}), {200}, 150.0, 0.75},
      {"a wider horizon", {500, 1200, 1250, 2100}, Abrupt({1000, 2000}), {400}, 150.0, 0.375},
      {"too late", {1150}, Abrupt({1000}), {50}, std::nullopt, std::nullopt},
      {"the same, in time", {1150}, Abrupt({1000}), {200}, 150.0, 0.75},
      {"of a longer horizon", {1150}, Abrupt({1000}), {400}, 150.0, 0.375},
      {"nothing caught", {5}, Abrupt({1000}), {50}, std::nullopt, std::nullopt},
      {"at once", {1000}, Abrupt({1000}), {200}, 0.0, 0.0},
      {"at the deadline", {1200}, Abrupt({1000}), {200}, 200.0, 1.0},
      {"after a gradual one", {1700}, {{1000, 1500}}, {200}, 700.0, 3.5},
      {"early", {950}, Abrupt({1000}), {200, 100}, -50.0, -0.25},
      {"one missed", {1020, 3080}, Abrupt({1000, 2000, 3000}), {100}, 50.0, 0.5},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.says);
    const auto is = Evaluate(one.alarms, one.changes, 4000, one.rules);
    ASSERT_TRUE(is.ok()) << is.error().message;
    EXPECT_EQ(is->delay, one.delay);
    EXPECT_EQ(is->normalised_delay, one.normalised);
  }
}

TEST(CapyMoasCases, CountF1ByAlarm) {
  // Hits 1200 and 2100, false 500 and 1250, none missed: precision 1/2, recall 1, F1 2/3. An alarm
  // behind the last window, which CapyMOA leaves out, is a false one here.
  const auto is =
      Evaluate(Indices{500, 1200, 1250, 2100}, Abrupt({1000, 2000}), 2500, {.horizon = 200});
  EXPECT_DOUBLE_EQ(is->precision.value(), 0.5);
  EXPECT_DOUBLE_EQ(is->recall.value(), 1.0);
  EXPECT_DOUBLE_EQ(is->f1_by_alarm.value(), 2.0 / 3.0);
}

}  // namespace
