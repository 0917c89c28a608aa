#include "tinylcm/pipeline/event_log.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"

namespace tinylcm::pipeline {
namespace {

constexpr char kFolder[] = "/device";

LoggedEvent Event(const std::string& id, std::size_t channels = 1) {
  LoggedEvent logged;
  logged.at = tests::FakeClock::kStart;
  logged.frame_number = 7;
  logged.event.event_id = id;
  logged.event.sample_index = 412;
  logged.event.kind = "gradual";
  logged.event.sigma = 1.5;
  logged.event.change_point = 380;
  logged.event.change_point_interval = {370, 391};
  logged.event.signals = {{"anchor_distance", 0.75, 1.5}, {"class_mix", 0.25}};
  logged.event.classes = {{"a", 1.0}};
  for (std::size_t i = 0; i < channels; ++i) {
    logged.event.channels.push_back({static_cast<std::int64_t>(i), base::StrCat("ch", i), 2.0});
  }
  logged.event.text = "Distances rose.";
  return logged;
}

class EventLogTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(fs_.CreateDirectories(kFolder).ok()); }
  tests::FakeFileSystem fs_;
};

TEST_F(EventLogTest, HasWhatWasKeptAfterARestart) {
  EventLog log = EventLog::Open(fs_, kFolder).value();
  EXPECT_TRUE(log.events().empty());
  ASSERT_TRUE(log.Keep(Event("e1")).ok());
  ASSERT_TRUE(log.Keep(Event("e2")).ok());
  const EventLog again = EventLog::Open(fs_, kFolder).value();
  ASSERT_EQ(again.events().size(), 2u);
  EXPECT_EQ(again.events()[0].event, Event("e1").event);
  EXPECT_EQ(again.events()[0].at, tests::FakeClock::kStart);
  EXPECT_EQ(again.events()[0].frame_number, 7u);
  ASSERT_NE(again.Find("e2"), nullptr);
  EXPECT_EQ(again.Find("e3"), nullptr);
}

TEST_F(EventLogTest, TakesTheNewestExplanationOfAnEvent) {
  EventLog log(fs_, kFolder);
  ASSERT_TRUE(log.Keep(Event("e1")).ok());
  ASSERT_TRUE(log.Keep(Event("e2")).ok());
  LoggedEvent sharper = Event("e1");
  sharper.event.sigma = 2.5;
  ASSERT_TRUE(log.Keep(sharper).ok());
  ASSERT_EQ(log.events().size(), 2u);
  EXPECT_EQ(log.events()[0].event.sigma, 2.5);
}

TEST_F(EventLogTest, KeepsTheLastThirtyTwoAndOfEachTheChannelsThatMovedMost) {
  EventLog log(fs_, kFolder);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(log.Keep(Event(base::StrCat("e", i), 1000)).ok());
  const EventLog again = EventLog::Open(fs_, kFolder).value();
  ASSERT_EQ(again.events().size(), EventLog::kKept);
  EXPECT_EQ(again.events().front().event.event_id, "e8");
  EXPECT_EQ(again.events().back().event.event_id, "e39");
  EXPECT_EQ(again.events().back().event.channels.size(), EventLog::kChannelsKept);
}

TEST_F(EventLogTest, NamesAFileThatCannotBeRead) {
  const auto refused = [this](std::string_view text) {
    EXPECT_TRUE(
        base::WriteFileDurably(fs_, base::JoinPath(kFolder, "events.json"), base::AsBytes(text))
            .ok());
    const auto opened = EventLog::Open(fs_, kFolder);
    EXPECT_FALSE(opened.ok()) << text;
    EXPECT_NE(opened.error().message.find("events.json"), std::string::npos)
        << opened.error().message;
    return opened.error().code;
  };
  EXPECT_EQ(refused("{\"format\": \"tinylcm-eve"), base::ErrorCode::kCorrupt);
  EXPECT_EQ(refused("{\"format\": \"tinylcm-events/9\", \"events\": []}"),
            base::ErrorCode::kUnsupported);
  EXPECT_EQ(refused("{\"format\": \"tinylcm-events/1\", \"events\": [{\"at\": 5}]}"),
            base::ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tinylcm::pipeline
