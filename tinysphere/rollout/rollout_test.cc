#include "tinysphere/rollout/rollout.h"

#include <gtest/gtest.h>

namespace tinysphere::rollout {
namespace {

constexpr const char* kBundle = "b2";

// A log with a line a second, so that times are plain too.
class RolloutTest : public testing::Test {
 protected:
  void Include(const std::string& device) { Add(EventKind::kIncluded, device); }
  void Tell(const std::string& device) { Add(EventKind::kTold, device); }
  void Report(const std::string& device, const std::string& bundle) {
    Add(EventKind::kReport, device, bundle);
  }
  void Fail(const std::string& device, const std::string& why) {
    Add(EventKind::kFailed, device, "", why);
  }
  void Leave(const std::string& device, const std::string& how) {
    Add(EventKind::kGone, device, "", how);
  }
  void Pause() { Add(EventKind::kPaused); }
  void Resume() { Add(EventKind::kResumed); }
  void Halt() { Add(EventKind::kHalted); }

  Progress Now() const { return Replay(kBundle, log_); }
  DeviceState Of(const std::string& device) const { return Now().devices.at(device).state; }

 private:
  void Add(EventKind kind, const std::string& device = "", const std::string& bundle = "",
           const std::string& detail = "") {
    at_ += std::chrono::seconds(1);
    log_.push_back(
        {.at = at_, .kind = kind, .device_id = device, .bundle = bundle, .detail = detail});
  }

  base::Time at_{};
  std::vector<Event> log_;
};

TEST_F(RolloutTest, BeginsWithEveryDevicePending) {
  Include("d-1");
  Include("d-2");
  EXPECT_EQ(Now().state, RolloutState::kRunning);
  EXPECT_EQ(Now().counts().pending, 2u);
  EXPECT_TRUE(Now().Offers("d-1"));
}

TEST_F(RolloutTest, IsNotDoneBecauseADeviceWasTold) {
  Include("d-1");
  Tell("d-1");
  EXPECT_EQ(Of("d-1"), DeviceState::kTold);
  EXPECT_EQ(Now().state, RolloutState::kRunning);
}

TEST_F(RolloutTest, IsDoneOnlyWhenEveryDeviceReportsTheBundle) {
  Include("d-1");
  Include("d-2");
  Report("d-1", "b2");
  EXPECT_EQ(Now().state, RolloutState::kRunning);
  Report("d-2", "b1");
  EXPECT_EQ(Now().state, RolloutState::kRunning);
  Report("d-2", "b2");
  EXPECT_EQ(Now().state, RolloutState::kDone);
}

TEST_F(RolloutTest, KeepsTheTimeOfTheFirstReport) {
  Include("d-1");       // second 1
  Report("d-1", "b2");  // second 2
  Report("d-1", "b2");  // second 3
  EXPECT_EQ(Now().devices.at("d-1").at, base::Time(std::chrono::seconds(2)));
}

TEST_F(RolloutTest, CountsADeviceThatWentBackAsFailed) {
  Include("d-1");
  Report("d-1", "b2");
  Report("d-1", "b1");
  EXPECT_EQ(Of("d-1"), DeviceState::kFailed);
  EXPECT_FALSE(Now().Offers("d-1"));
}

TEST_F(RolloutTest, IsDoneOnceNobodyIsLeftToWaitFor) {
  Include("d-1");
  Include("d-2");
  Include("d-3");
  Report("d-1", "b2");
  Fail("d-2", "golden inputs differ");
  EXPECT_EQ(Now().state, RolloutState::kRunning);
  Leave("d-3", "revoked");
  EXPECT_EQ(Now().state, RolloutState::kDone);
  EXPECT_EQ(Now().counts().running, 1u);
  EXPECT_EQ(Now().counts().failed, 1u);
  EXPECT_EQ(Of("d-3"), DeviceState::kSkipped);
  EXPECT_EQ(Now().devices.at("d-3").detail, "revoked");
}

TEST_F(RolloutTest, KeepsTheReasonOfAFailure) {
  Include("d-1");
  Tell("d-1");
  Fail("d-1", "golden inputs differ");
  EXPECT_EQ(Of("d-1"), DeviceState::kFailed);
  EXPECT_EQ(Now().devices.at("d-1").detail, "golden inputs differ");
}

TEST_F(RolloutTest, TellsNobodyNewWhilePaused) {
  Include("d-1");
  Include("d-2");
  Tell("d-1");
  Pause();
  EXPECT_EQ(Now().state, RolloutState::kPaused);
  EXPECT_TRUE(Now().Offers("d-1"));
  EXPECT_FALSE(Now().Offers("d-2"));
  Resume();
  EXPECT_TRUE(Now().Offers("d-2"));
}

TEST_F(RolloutTest, LeavesThoseThatDidNotSwapAsTheyAreWhenHalted) {
  Include("d-1");
  Include("d-2");
  Report("d-1", "b2");
  Tell("d-2");
  Halt();
  EXPECT_EQ(Now().state, RolloutState::kHalted);
  EXPECT_EQ(Of("d-1"), DeviceState::kRunning);
  EXPECT_EQ(Of("d-2"), DeviceState::kSkipped);
  EXPECT_FALSE(Now().Offers("d-2"));
  Resume();
  EXPECT_EQ(Now().state, RolloutState::kHalted);
}

TEST_F(RolloutTest, GoesOnWithoutADeviceThatANewerRolloutTookOver) {
  Include("d-1");
  Include("d-2");
  Report("d-1", "b2");
  std::vector<Event> log = {
      {.at = {}, .kind = EventKind::kIncluded, .device_id = "d-1", .bundle = "", .detail = ""},
      {.at = {}, .kind = EventKind::kIncluded, .device_id = "d-2", .bundle = "", .detail = ""},
      {.at = {}, .kind = EventKind::kReport, .device_id = "d-1", .bundle = "b2", .detail = ""},
      {.at = {}, .kind = EventKind::kSuperseded, .device_id = "d-2", .bundle = "", .detail = ""}};
  EXPECT_EQ(Replay(kBundle, log).state, RolloutState::kDone);
}

TEST_F(RolloutTest, IgnoresADeviceThatIsNoPartOfIt) {
  Include("d-1");
  Report("d-9", "b2");
  EXPECT_EQ(Now().counts().total, 1u);
}

TEST_F(RolloutTest, SameLogSameAnswer) {
  Include("d-1");
  Tell("d-1");
  Report("d-1", "b2");
  EXPECT_EQ(Now().counts().running, Now().counts().running);
  EXPECT_EQ(Of("d-1"), Of("d-1"));
}

TEST(RolloutLog, ReadsBackTheNameOfEveryEvent) {
  for (EventKind kind : {EventKind::kIncluded, EventKind::kTold, EventKind::kReport,
                         EventKind::kFailed, EventKind::kPaused, EventKind::kResumed,
                         EventKind::kHalted, EventKind::kSuperseded, EventKind::kGone}) {
    EXPECT_EQ(ParseEventKind(Name(kind)).value(), kind);
  }
  EXPECT_FALSE(ParseEventKind("forgotten").ok());
}

}  // namespace
}  // namespace tinysphere::rollout
