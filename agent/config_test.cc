#include "agent/config.h"

#include <gtest/gtest.h>

namespace agent {
namespace {

constexpr const char* kLeast = R"({"name":"pi","data":"/d","bundle":"b","source":{"path":"-"}})";

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

}  // namespace
}  // namespace agent
