#include "tinysphere/store/listeners.h"

#include <utility>

namespace tinysphere::store {

class Listeners::One final : public Listening {
 public:
  One(Listeners& listeners, std::int64_t entry) : listeners_(listeners), entry_(entry) {}
  ~One() override {
    const std::lock_guard lock(listeners_.mutex_);
    listeners_.entries_.erase(entry_);
  }
  One(const One&) = delete;
  One& operator=(const One&) = delete;

 private:
  Listeners& listeners_;
  std::int64_t entry_;
};

std::unique_ptr<Listening> Listeners::Add(std::string_view channel, Database::Heard heard) {
  const std::lock_guard lock(mutex_);
  const std::int64_t entry = next_++;
  entries_.emplace(entry, Entry{.channel = std::string(channel), .heard = std::move(heard)});
  return std::make_unique<One>(*this, entry);
}

void Listeners::Tell(std::string_view channel, const std::string& message) {
  const std::lock_guard lock(mutex_);
  for (const auto& [number, entry] : entries_) {
    if (entry.channel == channel) entry.heard(message);
  }
}

void Listeners::TellAll() {
  const std::lock_guard lock(mutex_);
  for (const auto& [number, entry] : entries_) entry.heard("");
}

}  // namespace tinysphere::store
