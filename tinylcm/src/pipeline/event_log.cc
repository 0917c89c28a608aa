#include "tinylcm/pipeline/event_log.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace tinylcm::pipeline {
namespace {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;
using base::Status;

constexpr std::string_view kFormat = "tinylcm-events/1";
constexpr std::uint64_t kBytesMax = 4u << 20;

}  // namespace

Json ToJson(const LoggedEvent& logged) {
  Json json = protocol::ToJson(logged.event);
  json.Set("at", base::FormatTime(logged.at));
  json.Set("frame", logged.frame_number);
  return json;
}

Json ToJson(const EventSummary& event) {
  Json channels = Json::MakeArray();
  for (const std::int64_t channel : event.channels) channels.Append(channel);
  return Json::MakeObject(
      {{"event_id", event.event_id},
       {"index", event.index},
       {"frame", event.frame_number ? Json(std::int64_t{*event.frame_number}) : Json()},
       {"kind", event.kind},
       {"text", event.text},
       {"channels", std::move(channels)}});
}

EventLog::EventLog(base::FileSystem& fs, const std::string& folder)
    : fs_(&fs), path_(base::JoinPath(folder, "events.json")) {}

Result<EventLog> EventLog::Open(base::FileSystem& fs, const std::string& folder) {
  EventLog log(fs, folder);
  if (!base::Exists(fs, log.path_)) return log;
  ASSIGN_OR_RETURN(const std::string text, base::ReadTextFile(fs, log.path_, kBytesMax));
  const auto json = Json::Parse(text);
  if (!json.ok()) return Error{ErrorCode::kCorrupt, log.path_ + ": " + json.error().message};
  base::JsonReader reader(*json, log.path_);
  const std::string format = reader.String("format");
  RETURN_IF_ERROR(reader.status());
  if (format != kFormat) {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat(log.path_, ": format ", format, " is not one this version reads")};
  }
  for (base::JsonReader& item : reader.Array("events", kKept)) {
    LoggedEvent logged;
    const auto at = base::ParseTime(item.String("at"));
    if (!at.ok()) item.Refuse("at", "is no time");
    logged.at = at.ok() ? *at : base::Time{};
    if (const auto frame = item.OptionalInt("frame", {.min = 0, .max = UINT32_MAX})) {
      logged.frame_number = static_cast<std::uint32_t>(*frame);
    }
    auto event = protocol::ParseDriftEvent(item.json().Write());
    if (!event.ok()) return event.error().Within(log.path_);
    logged.event = std::move(*event);
    log.events_.push_back(std::move(logged));
  }
  RETURN_IF_ERROR(reader.status());
  return log;
}

Status EventLog::Keep(LoggedEvent logged) {
  // A row of thousands of channels that all moved is no more readable for naming each.
  auto& channels = logged.event.channels;
  if (channels.size() > kChannelsKept) channels.resize(kChannelsKept);
  const auto known = std::ranges::find_if(events_, [&](const LoggedEvent& each) {
    return each.event.event_id == logged.event.event_id;
  });
  if (known != events_.end()) {
    *known = std::move(logged);
  } else {
    if (events_.size() == kKept) events_.erase(events_.begin());
    events_.push_back(std::move(logged));
  }
  Json events = Json::MakeArray();
  for (const LoggedEvent& each : events_) events.Append(ToJson(each));
  const std::string text =
      Json::MakeObject({{"format", kFormat}, {"events", std::move(events)}}).Write();
  return base::WriteFileDurably(*fs_, path_, base::AsBytes(text));
}

const LoggedEvent* EventLog::Find(std::string_view event_id) const {
  const auto found = std::ranges::find_if(
      events_, [&](const LoggedEvent& each) { return each.event.event_id == event_id; });
  return found == events_.end() ? nullptr : &*found;
}

}  // namespace tinylcm::pipeline
