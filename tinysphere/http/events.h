// EventHub: what happens, told to every open dashboard (server-sent events).
//
// Each listener has its own queue of at most 256 events. One that falls behind is cut off; its
// browser connects again and fetches afresh, for an event only says what to fetch.

#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace tinysphere::http {

// One listener's queue. May be used from several threads.
class EventSubscription {
 public:
  // What is queued, as it goes over the wire; "" if nothing is.
  std::string Take();
  bool is_closed() const;
  void Close();
  // Called from any thread when Take or is_closed has changed. One listener only; an empty function
  // ends it, and none is running or will run once this returns.
  void OnReady(std::function<void()> ready);

 private:
  friend class EventHub;
  explicit EventSubscription(std::function<bool()> is_welcome)
      : is_welcome_(std::move(is_welcome)) {}
  void Push(const std::string& text);

  mutable std::mutex mutex_;
  std::deque<std::string> queue_;
  bool is_closed_ = false;
  std::function<void()> ready_;
  const std::function<bool()> is_welcome_;
};

// May be used from several threads.
class EventHub {
 public:
  // "event: <name>\ndata: <json>\n\n" to everyone who listens. Names: device, drift_event, package,
  // feedback, rollout, overview.
  void Publish(std::string_view name, const base::Json& data);
  // `is_welcome` says later, on the thread that calls CloseUnwelcome, whether the listener may
  // still listen: a session ends, and a stream must not outlive it. Empty: always.
  std::shared_ptr<EventSubscription> Subscribe(std::function<bool()> is_welcome = {});
  // Asks for every listener, and closes those that are not welcome any more. Call it now and then.
  void CloseUnwelcome();
  void CloseAll();  // When the server stops; later subscriptions are closed at once.
  std::size_t listeners() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::weak_ptr<EventSubscription>> subscriptions_;
  bool is_closed_ = false;
};

inline constexpr std::size_t kEventsQueuedMax = 256;

}  // namespace tinysphere::http
