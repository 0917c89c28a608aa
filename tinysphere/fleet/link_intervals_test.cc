#include "tinysphere/fleet/link_intervals.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "base/crypto.h"
#include "tinysphere/platform/sqlite/sqlite_database.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::fleet {
namespace {

using base::Json;
using std::chrono::minutes;
using std::chrono::seconds;

class LinkIntervalsOf : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = (std::filesystem::temp_directory_path() / ("links-" + base::RandomHex(8))).string();
    std::filesystem::create_directories(folder_);
    database_ = sqlite::OpenDatabase({.path = folder_ + "/test.db"}).value();
    ASSERT_TRUE(store::Migrate(*database_, store::Migrations(), start_).ok());
    ASSERT_TRUE(database_
                    ->Execute("INSERT INTO devices (device_id, name, state, enrolled_at, "
                              "fingerprint) VALUES ('d-1', 'cam', 'active', $1, '')",
                              {start_})
                    .ok());
  }
  void TearDown() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Polls every ten seconds from `from` to `until`, both included.
  void Poll(base::Time from, base::Time until) {
    for (base::Time at = from; at <= until; at += kPoll) links_->Saw("d-1", at);
  }
  void Save(base::Time now) { ASSERT_TRUE(links_->Save(*database_, now, true).ok()); }
  // "online 0-600, offline 600-1200, online 1200-": seconds since the start.
  std::string Read(base::Time now) {
    http::Request request;
    const auto json = links_->Read(*database_, request, "d-1", now);
    EXPECT_TRUE(json.ok());
    std::string text;
    for (const Json& piece : json->Find("intervals")->as_array()) {
      if (!text.empty()) text += ", ";
      text += piece.Find("state")->as_string() + " " + Seconds(*piece.Find("from")) + "-" +
              Seconds(*piece.Find("until"));
    }
    return text;
  }
  std::string Seconds(const Json& time) const {
    if (time.is_null()) return "";
    return std::to_string((*base::ParseTime(time.as_string()) - start_).count() / 1000);
  }

  static constexpr base::Duration kPoll = seconds(10);
  const base::Time start_ = *base::ParseTime("2026-11-20T12:00:00.000Z");
  std::string folder_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<LinkIntervals> links_ = std::make_unique<LinkIntervals>(kPoll);
};

TEST_F(LinkIntervalsOf, ADeviceThatPollsAreOneInterval) {
  Poll(start_, start_ + minutes(10));
  EXPECT_EQ(Read(start_ + minutes(10)), "online 0-");
  Save(start_ + minutes(10));
  EXPECT_EQ(Read(start_ + minutes(10)), "online 0-");
}

TEST_F(LinkIntervalsOf, ADeviceThatWasAwayHaveAGap) {
  Poll(start_, start_ + minutes(10));
  Poll(start_ + minutes(20), start_ + minutes(30));
  Save(start_ + minutes(30));
  EXPECT_EQ(Read(start_ + minutes(30)), "online 0-600, offline 600-1200, online 1200-");
  // Three polls later nothing was heard: it is offline since the last word.
  EXPECT_EQ(Read(start_ + minutes(31)),
            "online 0-600, offline 600-1200, online 1200-1800, offline 1800-");
}

TEST_F(LinkIntervalsOf, AWeakSignalArePoorUntilItIsStrongAgain) {
  Poll(start_, start_ + minutes(1));
  links_->Measured("d-1", -85);
  Poll(start_ + seconds(70), start_ + minutes(2));
  links_->Measured("d-1", -78);  // Not strong yet.
  Poll(start_ + seconds(130), start_ + minutes(3));
  links_->Measured("d-1", -60);
  Poll(start_ + seconds(190), start_ + minutes(4));
  Save(start_ + minutes(4));
  EXPECT_EQ(Read(start_ + minutes(4)), "online 0-60, poor 60-180, online 180-");
}

TEST_F(LinkIntervalsOf, ManyLateRequestsArePoor) {
  base::Time at = start_;
  for (int i = 0; i < 10; ++i, at += seconds(25)) links_->Saw("d-1", at);  // 2.5 polls apart.
  // The share after n late ones is 1 - 0.9^n: above a third from the fourth on, at 100 s.
  EXPECT_EQ(Read(at), "online 0-100, poor 100-");
}

TEST_F(LinkIntervalsOf, AServerThatWasAwayAreUnknownMeanwhile) {
  ASSERT_TRUE(links_->Open(*database_, start_).ok());
  Poll(start_, start_ + minutes(10));
  Save(start_ + minutes(10));
  links_ = std::make_unique<LinkIntervals>(kPoll);
  ASSERT_TRUE(links_->Open(*database_, start_ + minutes(20)).ok());
  Poll(start_ + minutes(20) + seconds(5), start_ + minutes(30));
  EXPECT_EQ(Read(start_ + minutes(30)), "online 0-600, unknown 600-1205, online 1205-");
}

TEST_F(LinkIntervalsOf, AServerThatStartedAnewGoOn) {
  ASSERT_TRUE(links_->Open(*database_, start_).ok());
  Poll(start_, start_ + minutes(10));
  Save(start_ + minutes(10));
  links_ = std::make_unique<LinkIntervals>(kPoll);
  ASSERT_TRUE(links_->Open(*database_, start_ + minutes(10) + seconds(5)).ok());
  Poll(start_ + minutes(10) + seconds(10), start_ + minutes(11));
  Save(start_ + minutes(11));
  Poll(start_ + minutes(11) + seconds(10), start_ + minutes(12));
  Save(start_ + minutes(12));
  EXPECT_EQ(Read(start_ + minutes(12)), "online 0-");
  const auto row = database_->QueryOne(
      "SELECT COUNT(*) AS n, MAX(requests) AS requests FROM link_intervals "
      "WHERE device_id = 'd-1'");
  EXPECT_EQ((*row)->Int("n"), 1);
  // Polls at 0, 10, ... 600, then 610 to 660, then 670 to 720.
  EXPECT_EQ((*row)->Int("requests"), 61 + 6 + 6);
}

TEST_F(LinkIntervalsOf, AnUnknownDeviceAreNotFound) {
  http::Request request;
  EXPECT_EQ(links_->Read(*database_, request, "d-2", start_).error().code,
            base::ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tinysphere::fleet
