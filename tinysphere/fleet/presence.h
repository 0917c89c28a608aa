// Presence: when each device was last heard of, kept in memory and written down now and then.
//
// A poll that finds nothing new must not cost a write. So the newest times live here, and a batch
// goes to the database every few seconds; a crash forgets those seconds and nothing else.

#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::fleet {

// May be used from several threads.
class Presence {
 public:
  // `poll`: how often devices are asked to look in.
  explicit Presence(base::Duration poll) : poll_(poll) {}

  void Saw(const std::string& device_id, base::Time at);
  // Told of every device that is heard of. At most one; before the first request.
  void OnSaw(std::function<void(const std::string&, base::Time)> saw) { saw_ = std::move(saw); }
  // The newest of what is remembered and what the database had.
  std::optional<base::Time> LastSeen(const std::string& device_id,
                                     std::optional<base::Time> stored) const;
  // Heard of within three polls.
  bool IsOnline(std::optional<base::Time> last_seen, base::Time now) const;
  std::size_t Online(base::Time now) const;
  // Who was heard of then or later is online at `now`.
  base::Time OnlineSince(base::Time now) const { return now - 3 * poll_; }
  // Writes down what is new. A failed write is tried again with the next batch.
  base::Status Save(store::Database& database);

  base::Duration poll() const { return poll_; }

 private:
  const base::Duration poll_;
  std::function<void(const std::string&, base::Time)> saw_;
  mutable std::mutex mutex_;
  std::map<std::string, base::Time> seen_;
  std::set<std::string> unsaved_;
};

}  // namespace tinysphere::fleet
