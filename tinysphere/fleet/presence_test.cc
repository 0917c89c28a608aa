#include "tinysphere/fleet/presence.h"

#include <gtest/gtest.h>

namespace tinysphere::fleet {
namespace {

using std::chrono::seconds;

constexpr base::Time kNoon{seconds(1'795'176'000)};

TEST(Presence, CallsADeviceOnlineForThreePolls) {
  Presence presence(seconds(10));
  presence.Saw("d-1", kNoon);
  EXPECT_TRUE(presence.IsOnline(presence.LastSeen("d-1", std::nullopt), kNoon + seconds(30)));
  EXPECT_FALSE(presence.IsOnline(presence.LastSeen("d-1", std::nullopt), kNoon + seconds(31)));
  EXPECT_EQ(presence.Online(kNoon + seconds(30)), 1u);
  EXPECT_EQ(presence.Online(kNoon + seconds(31)), 0u);
}

TEST(Presence, CallsADeviceOfflineThatWasNeverHeardOf) {
  const Presence presence(seconds(10));
  EXPECT_EQ(presence.LastSeen("d-1", std::nullopt), std::nullopt);
  EXPECT_FALSE(presence.IsOnline(std::nullopt, kNoon));
}

TEST(Presence, RemembersTheNewestOfMemoryAndDatabase) {
  Presence presence(seconds(10));
  EXPECT_EQ(presence.LastSeen("d-1", kNoon), kNoon);
  presence.Saw("d-1", kNoon + seconds(5));
  EXPECT_EQ(presence.LastSeen("d-1", kNoon), kNoon + seconds(5));
  EXPECT_EQ(presence.LastSeen("d-1", kNoon + seconds(9)), kNoon + seconds(9));
}

TEST(Presence, IsNotMovedBackByAnOlderTime) {
  Presence presence(seconds(10));
  presence.Saw("d-1", kNoon);
  presence.Saw("d-1", kNoon - seconds(60));
  EXPECT_EQ(presence.LastSeen("d-1", std::nullopt), kNoon);
}

}  // namespace
}  // namespace tinysphere::fleet
