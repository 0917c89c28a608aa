// SharedLook: what many want to know and only one at a time goes to see.
//
// Looking may take minutes (a store that takes calls and answers none). Whoever asks meanwhile is
// told what was seen last, as long as that is not too old, so that a question anybody may ask holds
// up one thread and no more.

#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>

#include "base/clock.h"

namespace tinysphere::operation {

// What was seen of the stores.
struct Seen {
  bool database = false;
  bool objects = false;
  double database_seconds = 0;
  double objects_seconds = 0;
};

// May be used from several threads.
class SharedLook {
 public:
  SharedLook(base::Clock& clock, std::function<Seen()> look)
      : clock_(clock), look_(std::move(look)) {}

  // What was seen within the last five seconds, or else looks. While another thread looks: what was
  // seen within the last thirty, or else that nothing answers; before the first look has ended it
  // waits up to a second for it.
  Seen Get();

 private:
  base::Clock& clock_;
  const std::function<Seen()> look_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_looking_ = false;
  std::optional<Seen> seen_;
  base::Duration seen_at_{};  // Uptime at the end of the look.
};

}  // namespace tinysphere::operation
