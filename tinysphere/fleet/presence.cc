#include "tinysphere/fleet/presence.h"

#include <algorithm>

namespace tinysphere::fleet {

void Presence::Saw(const std::string& device_id, base::Time at) {
  if (saw_) saw_(device_id, at);
  const std::lock_guard lock(mutex_);
  base::Time& seen = seen_[device_id];
  if (at <= seen) return;
  seen = at;
  unsaved_.insert(device_id);
}

std::optional<base::Time> Presence::LastSeen(const std::string& device_id,
                                             std::optional<base::Time> stored) const {
  const std::lock_guard lock(mutex_);
  const auto found = seen_.find(device_id);
  if (found == seen_.end()) return stored;
  return stored ? std::max(*stored, found->second) : found->second;
}

bool Presence::IsOnline(std::optional<base::Time> last_seen, base::Time now) const {
  return last_seen && now - *last_seen <= 3 * poll_;
}

std::size_t Presence::Online(base::Time now) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      seen_.begin(), seen_.end(), [&](const auto& entry) { return IsOnline(entry.second, now); }));
}

base::Status Presence::Save(store::Database& database) {
  std::vector<std::pair<std::string, base::Time>> batch;
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& device : unsaved_) batch.emplace_back(device, seen_.at(device));
    unsaved_.clear();
  }
  if (batch.empty()) return {};
  const base::Status saved = database.Write([&](store::Transaction& transaction) -> base::Status {
    for (const auto& [device, at] : batch) {
      const auto changed = transaction.Execute(
          "UPDATE devices SET last_seen = $2 WHERE device_id = $1 AND "
          "(last_seen IS NULL OR last_seen < $2)",
          {device, at});
      if (!changed.ok()) return changed.error();
    }
    return {};
  });
  if (!saved.ok()) {
    const std::lock_guard lock(mutex_);
    for (const auto& [device, at] : batch) unsaved_.insert(device);
  }
  return saved;
}

}  // namespace tinysphere::fleet
