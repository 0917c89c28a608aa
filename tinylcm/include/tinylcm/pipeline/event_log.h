// EventLog: the newest drift events of a device as they are explained by now, for `tinylcm report`.
//
// A page on the wall: it holds the last 32 events, the newest explanation of each, and is written
// anew when one of them changes, some three times an event. It is for people; nothing is decided
// from it, so a page that cannot be read is begun anew. Format: docs/formats/device_state.md.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/drift_event.h"

namespace tinylcm::pipeline {

struct LoggedEvent {
  base::Time at{};                            // Of the alarm, by the device's clock.
  std::optional<std::uint32_t> frame_number;  // Where the source numbers its frames.
  protocol::DriftEvent event;
};
// The event's own fields, and `at` and `frame`.
base::Json ToJson(const LoggedEvent& logged);

// One line of what happened, for status and logs.
struct EventSummary {
  std::string event_id;
  std::uint64_t index = 0;
  std::optional<std::uint32_t> frame_number;
  std::string kind;
  std::string text;
  std::vector<std::int64_t> channels;
};
base::Json ToJson(const EventSummary& event);

// Not thread-safe.
class EventLog {
 public:
  static constexpr std::size_t kKept = 32;
  static constexpr std::size_t kChannelsKept = 256;  // Of an event, those that moved most.

  // `fs` must outlive it. Reads what an earlier life left; an Error is of a file that cannot be
  // read: kCorrupt, kUnsupported, or what the disk says.
  static base::Result<EventLog> Open(base::FileSystem& fs, const std::string& folder);
  // One that begins empty and replaces what lies there at the first Keep.
  EventLog(base::FileSystem& fs, const std::string& folder);

  // Keeps an event as it is now, in place of what was known of it. Durable.
  base::Status Keep(LoggedEvent logged);

  const std::vector<LoggedEvent>& events() const { return events_; }  // Oldest first.
  const LoggedEvent* Find(std::string_view event_id) const;
  const std::string& path() const { return path_; }

 private:
  base::FileSystem* fs_;
  std::string path_;
  std::vector<LoggedEvent> events_;
};

}  // namespace tinylcm::pipeline
