#include "tinysphere/http/events.h"

#include <utility>

#include "base/text.h"

namespace tinysphere::http {

std::string EventSubscription::Take() {
  const std::lock_guard lock(mutex_);
  std::string all;
  for (const std::string& text : queue_) all += text;
  queue_.clear();
  return all;
}

bool EventSubscription::is_closed() const {
  const std::lock_guard lock(mutex_);
  return is_closed_;
}

void EventSubscription::Close() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  queue_.clear();
  if (ready_) ready_();
}

// `ready_` is called under the lock, so that it is not running when this returns.
void EventSubscription::OnReady(std::function<void()> ready) {
  const std::lock_guard lock(mutex_);
  ready_ = std::move(ready);
}

void EventSubscription::Push(const std::string& text) {
  const std::lock_guard lock(mutex_);
  if (is_closed_) return;
  if (queue_.size() >= kEventsQueuedMax) {
    is_closed_ = true;
    queue_.clear();
  } else {
    queue_.push_back(text);
  }
  if (ready_) ready_();
}

void EventHub::Publish(std::string_view name, const base::Json& data) {
  const std::string text = base::StrCat("event: ", name, "\ndata: ", data.Write(), "\n\n");
  const std::lock_guard lock(mutex_);
  std::erase_if(subscriptions_, [&](const std::weak_ptr<EventSubscription>& weak) {
    const std::shared_ptr<EventSubscription> subscription = weak.lock();
    if (!subscription || subscription->is_closed()) return true;
    subscription->Push(text);
    return false;
  });
}

std::shared_ptr<EventSubscription> EventHub::Subscribe(std::function<bool()> is_welcome) {
  const std::shared_ptr<EventSubscription> subscription(
      new EventSubscription(std::move(is_welcome)));
  const std::lock_guard lock(mutex_);
  if (is_closed_) {
    subscription->Close();
  } else {
    subscriptions_.push_back(subscription);
  }
  return subscription;
}

void EventHub::CloseUnwelcome() {
  std::vector<std::shared_ptr<EventSubscription>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const std::weak_ptr<EventSubscription>& weak : subscriptions_) {
      if (auto subscription = weak.lock()) all.push_back(std::move(subscription));
    }
  }
  // Without the lock: asking reads the database.
  for (const auto& subscription : all) {
    if (subscription->is_welcome_ && !subscription->is_welcome_()) subscription->Close();
  }
}

void EventHub::CloseAll() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  for (const std::weak_ptr<EventSubscription>& weak : subscriptions_) {
    if (const auto subscription = weak.lock()) subscription->Close();
  }
  subscriptions_.clear();
}

std::size_t EventHub::listeners() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const std::weak_ptr<EventSubscription>& weak : subscriptions_) {
    const auto subscription = weak.lock();
    if (subscription && !subscription->is_closed()) ++count;
  }
  return count;
}

}  // namespace tinysphere::http
