// DesiredStates: for each device one document that says what it should run and what waits for it.
//
// The document is made when something about it changes and kept whole, so that a poll is one read
// by key, and one that brings nothing new writes nothing.

#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::rollout {

// May be used from several threads.
class DesiredStates {
 public:
  // `poll`: how long a device may wait before it asks again.
  explicit DesiredStates(base::Duration poll) : poll_(poll) {}

  // Makes the device's document anew; its revision grows if anything in it changed. In the
  // transaction of what may have changed it (a rollout's event, a feedback).
  base::Status Refresh(store::Transaction& transaction, const std::string& device_id) const;
  // Every device's, when the server starts (the poll interval may be another one).
  base::Status RefreshAll(store::Database& database) const;

  base::Duration poll() const { return poll_; }

 private:
  const base::Duration poll_;
};

}  // namespace tinysphere::rollout
