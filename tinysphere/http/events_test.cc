#include "tinysphere/http/events.h"

#include <gtest/gtest.h>

namespace tinysphere::http {
namespace {

const base::Json kData = base::Json::MakeObject({{"id", "d-1"}});

TEST(EventHub, TellsEveryListener) {
  EventHub hub;
  const auto a = hub.Subscribe();
  const auto b = hub.Subscribe();
  hub.Publish("device", kData);
  EXPECT_EQ(a->Take(), "event: device\ndata: {\"id\":\"d-1\"}\n\n");
  EXPECT_EQ(b->Take(), "event: device\ndata: {\"id\":\"d-1\"}\n\n");
  EXPECT_EQ(a->Take(), "");
}

TEST(EventHub, WakesAListenerThatWaits) {
  EventHub hub;
  const auto listener = hub.Subscribe();
  int woken = 0;
  listener->OnReady([&] { ++woken; });
  hub.Publish("device", kData);
  EXPECT_EQ(woken, 1);
  listener->OnReady(nullptr);
  hub.Publish("device", kData);
  EXPECT_EQ(woken, 1);
}

TEST(EventHub, CutsOffWhoFallsBehind) {
  EventHub hub;
  const auto slow = hub.Subscribe();
  for (std::size_t i = 0; i < kEventsQueuedMax; ++i) hub.Publish("device", kData);
  EXPECT_FALSE(slow->is_closed());
  hub.Publish("device", kData);
  EXPECT_TRUE(slow->is_closed());
  EXPECT_EQ(slow->Take(), "");
  EXPECT_EQ(hub.listeners(), 0u);
}

TEST(EventHub, ForgetsWhoWentAway) {
  EventHub hub;
  {
    const auto gone = hub.Subscribe();
  }
  EXPECT_EQ(hub.listeners(), 0u);
  hub.Publish("device", kData);
}

TEST(EventHub, ClosesEveryoneAtTheEnd) {
  EventHub hub;
  const auto listener = hub.Subscribe();
  hub.CloseAll();
  EXPECT_TRUE(listener->is_closed());
  EXPECT_TRUE(hub.Subscribe()->is_closed());
}

TEST(EventHub, ClosesTheListenersThatAreNotWelcomeAnyMore) {
  EventHub hub;
  bool is_signed_in = true;
  const auto listener = hub.Subscribe([&] { return is_signed_in; });
  const auto other = hub.Subscribe();
  hub.CloseUnwelcome();
  EXPECT_FALSE(listener->is_closed());
  is_signed_in = false;
  hub.CloseUnwelcome();
  EXPECT_TRUE(listener->is_closed());
  EXPECT_FALSE(other->is_closed());
}

}  // namespace
}  // namespace tinysphere::http
