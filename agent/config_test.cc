#include "agent/config.h"

#include <gtest/gtest.h>

#include "agent/alarm_rule.h"
#include "base/text.h"

namespace agent {
namespace {

constexpr const char* kLeast = R"({"name":"pi","data":"/d","bundle":"b","source":{"path":"-"}})";

base::Result<Config> WithDrift(const std::string& drift) {
  return ParseConfig(base::StrCat(R"({"name":"p","data":"/d","bundle":"b","source":{"path":"-"},)",
                                  R"("drift":)", drift, "}"),
                     "c.json");
}

TEST(Config, OneDetectorMayAlarmInsteadOfTheEvidence) {
  const auto config = WithDrift(
      R"({"detector":{"name":"cusum","signal":"margin","options":{"k":0.25,"mode":"down"},"run_length":20000}})");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(FalseAlarmEvery(*config), 20000.0);
  const auto rule = AlarmRuleOf(*config);
  ASSERT_TRUE(rule.ok() && rule->has_value());
  EXPECT_EQ((*rule)->detector, "cusum");
  EXPECT_EQ((*rule)->signal, tinylcm::drift::Signal::kMargin);
  // Its limit is solved for standard normal values: that is what it is fed.
  EXPECT_EQ((*rule)->feed, tinylcm::drift::Feed::kScore);

  // A limit a person sets is one of the distances themselves.
  const auto by_hand = WithDrift(
      R"({"false_alarm_every":5000,"detector":{"name":"page_hinkley","options":{"threshold":9}}})");
  ASSERT_TRUE(by_hand.ok()) << by_hand.error().message;
  EXPECT_EQ(AlarmRuleOf(*by_hand).value()->feed, tinylcm::drift::Feed::kValue);
  EXPECT_EQ(FalseAlarmEvery(*by_hand), 5000.0);

  const auto none = WithDrift("{}");
  ASSERT_TRUE(none.ok());
  EXPECT_FALSE(AlarmRuleOf(*none).value().has_value());
}

TEST(Config, ADetectorThatCannotWatchASignalIsRefused) {
  for (const auto& [detector, why] : {
           std::pair{R"({"name":"crystal_ball"})", "the name of a detector"},
           std::pair{R"({"name":"cusum","signal":"smell"})", "and of a signal"},
           std::pair{R"({"name":"cusum","options":{"lambda":1}})", "no option lambda"},
           std::pair{R"({"name":"cusum","options":{"h":5},"run_length":100})", "run length"},
           std::pair{R"({"name":"ddm"})", "watches errors"},
           std::pair{R"({"name":"js_distribution"})", "class_mix"},
           std::pair{R"({"name":"mmd_rff","options":{"dimensions":2,"threshold":9}})",
                     "dimensions must be 1"},
       }) {
    const auto config = WithDrift(base::StrCat(R"({"detector":)", detector, "}"));
    ASSERT_FALSE(config.ok()) << detector;
    EXPECT_NE(config.error().message.find("drift.detector"), std::string::npos);
    EXPECT_NE(config.error().message.find(why), std::string::npos) << config.error().message;
  }
}

TEST(Config, NeedsNoMoreThanNameDataBundleAndSource) {
  const auto config = ParseConfig(kLeast, "agent.json");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_EQ(config->mode, tinylcm::adapt::Mode::kAutonomous);
  EXPECT_FALSE(config->consent_images);
  EXPECT_EQ(config->sync.interval, base::Duration{3'600'000});
}

TEST(Config, NamesFileAndFieldOfWhatIsWrong) {
  const auto config = ParseConfig(
      R"({"name":"pi","data":"/d","bundle":"b","source":{"path":"-"},"sync":{"interval":"5"}})",
      "agent.json");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().code, base::ErrorCode::kInvalidArgument);
  EXPECT_NE(config.error().message.find("agent.json"), std::string::npos);
  EXPECT_NE(config.error().message.find("sync.interval"), std::string::npos);
}

TEST(Config, TakesWhatTeachesTheMonitorInSamplesOrAsADuration) {
  const auto config = ParseConfig(
      R"({"name":"p","data":"/d","bundle":"b","source":{"path":"-"},"drift":{"commission":"2h","samples_per_second":0.5,"cycle":"1d","hold_back":16}})",
      "a.json");
  ASSERT_TRUE(config.ok()) << config.error().message;
  EXPECT_DOUBLE_EQ(config->commission, 2 * 3600 * 0.5);
  EXPECT_EQ(config->cycle, base::Duration{86'400'000});
  EXPECT_EQ(config->hold_back, 16u);
  const auto refused = [](const std::string& drift) {
    return ParseConfig(R"({"name":"p","data":"/d","bundle":"b","source":{"path":"-"},"drift":)" +
                           drift + "}",
                       "a.json")
        .error()
        .message;
  };
  EXPECT_NE(refused(R"({"commission":"2h"})").find("drift.samples_per_second: missing"),
            std::string::npos);
  EXPECT_NE(refused(R"({"commission":50})").find("drift.commission"), std::string::npos);
  EXPECT_NE(refused(R"({"commission":2e6})").find("at most 1000000"), std::string::npos);
  EXPECT_NE(refused(R"({"cycle":"5s"})").find("drift.cycle: at least 1m"), std::string::npos);
}

TEST(Config, RefusesAMisspeltKeyInsteadOfIgnoringIt) {
  const auto config = ParseConfig(
      R"({"name":"pi","data":"/d","bundle":"b","source":{"path":"-"},"quarantene":{}})", "a.json");
  ASSERT_FALSE(config.ok());
  EXPECT_NE(config.error().message.find("quarantene"), std::string::npos);
}

TEST(Config, WantsExactlyOneOfCommandAndPath) {
  EXPECT_FALSE(ParseConfig(R"({"name":"pi","data":"/d","bundle":"b","source":{}})", "a.json").ok());
  EXPECT_FALSE(
      ParseConfig(R"({"name":"p","data":"/d","bundle":"b","source":{"path":"-","command":"x"}})",
                  "a.json")
          .ok());
}

TEST(Config, TakesFalseAlarmsInSamplesOrAsADuration) {
  const auto samples = ParseConfig(
      R"({"name":"p","data":"/d","bundle":"b","source":{"path":"-"},"drift":{"false_alarm_every":10000}})",
      "a.json");
  ASSERT_TRUE(samples.ok());
  EXPECT_DOUBLE_EQ(samples->false_alarm_every, 10000.0);
  const auto duration = ParseConfig(
      R"({"name":"p","data":"/d","bundle":"b","source":{"path":"-"},"drift":{"false_alarm_every":"1h","samples_per_second":30}})",
      "a.json");
  ASSERT_TRUE(duration.ok());
  EXPECT_DOUBLE_EQ(duration->false_alarm_every, 3600.0 * 30);
  EXPECT_FALSE(
      ParseConfig(
          R"({"name":"p","data":"/d","bundle":"b","source":{"path":"-"},"drift":{"false_alarm_every":"1h"}})",
          "a.json")
          .ok());
}

TEST(Config, NamesTheLineAndTheNearestNameOfAMisspeltKey) {
  const auto config = ParseConfig(
      "{\"name\": \"pi\",\n \"data\": \"/d\", \"bundle\": \"b\",\n"
      " \"source\": {\"path\": \"-\"},\n \"sync\": {\n  \"intervall\": \"1h\"}}",
      "agent.json");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().message,
            "agent.json:5: sync.intervall: no such key; did you mean sync.interval?");
}

TEST(Config, SaysWhatWasExpectedAndWhatWasGiven) {
  const auto config = ParseConfig(
      R"({"name":"pi","data":"/d","bundle":"b","source":{"path":"-"},"mode":"manual"})", "a.json");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.error().message,
            "a.json:1: mode: autonomous, server_assisted or monitoring_only is expected, "
            "\"manual\" is given");
}

TEST(Config, CheckNamesEveryProblemAtOnce) {
  const CheckedConfig checked = CheckConfig(
      R"({"name":"","data":"/d","source":{"path":"-","kind":"film"},"seed":-1})", "a.json");
  // An empty name, no film, no negative seed, and the bundle is missing.
  EXPECT_EQ(checked.problems.size(), 4u);
}

TEST(Config, WantsTheSizeOfRawPictures) {
  const std::string start =
      R"({"name":"pi","data":"/d","bundle":"b","source":{"command":"x","format":"rgb24")";
  EXPECT_FALSE(ParseConfig(start + "}}", "a.json").ok());
  EXPECT_TRUE(ParseConfig(start + R"(,"width":640,"height":480}})", "a.json").ok());
}

TEST(Config, WhatIsUnderstoodReadsBackToTheSame) {
  const auto config = ParseConfig(
      R"({"name":"pi","data":"/d","bundle":"b","source":{"path":"-","kind":"rows"},
          "sync":{"interval":"90s","quota":"3MiB","format":"zip"},
          "drift":{"false_alarm_every":"30d","samples_per_second":15},
          "datalog":{"images":{"masks":[{"x":0,"y":0.5,"width":1,"height":0.25}]}},
          "location":{"latitude":52.5,"longitude":13.4}})",
      "a.json");
  ASSERT_TRUE(config.ok()) << config.error().message;
  const auto again = ParseConfig(Effective(*config).Write(), "b.json");
  ASSERT_TRUE(again.ok()) << again.error().message;
  EXPECT_EQ(Effective(*again), Effective(*config));
  EXPECT_DOUBLE_EQ(again->false_alarm_every, 30.0 * 86400 * 15);
}

TEST(Config, KnowsWhetherADetectorHasALimitForTheRunLengthAskedFor) {
  const auto message = [](const std::string& drift) {
    const auto read = ParseConfig(
        R"({"name":"p","data":"/d","bundle":"b","source":{"path":"-"},"drift":)" + drift + "}",
        "c.json");
    return read.ok() ? std::string() : read.error().message;
  };
  EXPECT_EQ(message(R"({"detector":{"name":"js_distribution","signal":"class_mix"}})"),
            "c.json:1: drift.detector: js_distribution: no limit is known for a run length of "
            "1000000 with these options: ask for one of at most 300000, or give threshold by hand");
  EXPECT_EQ(message(R"({"false_alarm_every":1e5,"detector":{"name":"js_distribution",
                        "signal":"class_mix"}})"),
            "");
  EXPECT_EQ(message(R"({"detector":{"name":"mmd_rff","signal":"margin",
                        "options":{"dimensions":3}}})"),
            "c.json:1: drift.detector: mmd_rff: dimensions must be 1");
  EXPECT_EQ(message(R"({"false_alarm_every":1e30})"),
            "c.json:1: drift.false_alarm_every: at most 1e12 samples are expected");
}

}  // namespace
}  // namespace agent
