#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/legacy/devices.h"
#include "tinysphere/legacy/pages.h"

namespace tinysphere::legacy {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::Method;
using http::Request;
using store::Row;
using store::Rows;
using store::Transaction;

// A line of the timeline, or a message that was posted here (its id is negative).
struct Pages::Notification {
  std::int64_t id = 0;
  std::string message;
  std::string type;  // info warning error success
  std::string source;
  std::string source_id;
  Json details;
  base::Time created_at{};
  std::optional<base::Time> read_at;
};

namespace {

// The newest of the timeline, and the newest that were posted.
constexpr std::int64_t kNotificationsMax = 1000;

const char* TypeOf(std::string_view kind) {
  if (kind == "alert") return "error";
  if (kind == "drift" || kind == "rollback") return "warning";
  if (kind == "enrolled" || kind == "update" || kind == "adaptation") return "success";
  return "info";
}

base::Status Mark(Transaction& transaction, std::int64_t id, std::string_view column,
                  const store::Value& value) {
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO notification_marks (entry_id) VALUES ($1) ON CONFLICT (entry_id) DO NOTHING",
      {id}));
  RETURN_IF_ERROR(transaction.Execute(
      base::StrCat("UPDATE notification_marks SET ", column, " = $2 WHERE entry_id = $1"),
      {id, value}));
  return {};
}

}  // namespace

base::Result<std::vector<Pages::Notification>> Pages::ReadNotifications() {
  return database_.Read([&](Transaction& transaction) -> base::Result<std::vector<Notification>> {
    std::vector<Notification> notifications;
    ASSIGN_OR_RETURN(
        const Rows entries,
        transaction.Query("SELECT t.entry_id, t.device_id, t.at, t.kind, t.text, t.ref, m.read_at "
                          "FROM (SELECT entry_id, device_id, at, kind, text, ref FROM timeline "
                          "ORDER BY entry_id DESC LIMIT $1) t "
                          "LEFT JOIN notification_marks m ON m.entry_id = t.entry_id "
                          "WHERE COALESCE(m.is_deleted, 0) = 0",
                          {kNotificationsMax}));
    for (const Row& row : entries) {
      notifications.push_back({.id = row.Int("entry_id"),
                               .message = row.Text("text"),
                               .type = TypeOf(row.Text("kind")),
                               .source = "device",
                               .source_id = row.Text("device_id"),
                               .details = Json::MakeObject({{"kind", row.Text("kind")},
                                                            {"ref", TextOrNull(row.Text("ref"))}}),
                               .created_at = row.Time("at"),
                               .read_at = row.OptionalTime("read_at")});
    }
    ASSIGN_OR_RETURN(
        const Rows posted,
        transaction.Query("SELECT entry_id, message, notification_type, source, source_id, "
                          "details, created_at, read_at FROM notification_marks WHERE "
                          "entry_id < 0 AND is_deleted = 0 ORDER BY entry_id LIMIT $1",
                          {kNotificationsMax}));
    for (const Row& row : posted) {
      notifications.push_back({.id = row.Int("entry_id"),
                               .message = row.Text("message"),
                               .type = row.Text("notification_type"),
                               .source = row.Text("source"),
                               .source_id = row.Text("source_id"),
                               .details = row.Document("details"),
                               .created_at = row.Time("created_at"),
                               .read_at = row.OptionalTime("read_at")});
    }
    std::sort(notifications.begin(), notifications.end(),
              [](const Notification& a, const Notification& b) {
                return std::pair(a.created_at, a.id) > std::pair(b.created_at, b.id);
              });
    return notifications;
  });
}

namespace {

template <typename Notification>
Json NotificationJson(const Notification& one) {
  return Json::MakeObject({{"id", one.id},
                           {"message", one.message},
                           {"notification_type", one.type},
                           {"source", TextOrNull(one.source)},
                           {"source_id", TextOrNull(one.source_id)},
                           {"details", one.details},
                           {"created_at", base::FormatTime(one.created_at)},
                           {"read", one.read_at.has_value()},
                           {"read_at", TimeOrNull(one.read_at)}});
}

base::Result<std::int64_t> IdOf(const Request& request) {
  const auto id = base::ParseInt(request.Param("notification_id"));
  if (id.ok()) return *id;
  return Error{ErrorCode::kInvalidArgument, "notification_id: no number"};
}

Error NotThere(std::int64_t id) {
  return {ErrorCode::kNotFound, base::StrCat("no notification has the id ", id)};
}

}  // namespace

base::Result<Json> Pages::Notifications(const Request& request) {
  ASSIGN_OR_RETURN(const std::vector<Notification> all, ReadNotifications());
  const bool unread_only = request.Query("unread_only") == "true";
  const auto skip = static_cast<std::size_t>(SkipOf(request));
  const std::size_t limit = request.Limit(50, 1000);
  Json::Array items;
  std::int64_t unread = 0;
  std::size_t seen = 0;
  for (const Notification& one : all) {
    unread += one.read_at ? 0 : 1;
    if (unread_only && one.read_at) continue;
    if (seen++ >= skip && items.size() < limit) items.push_back(NotificationJson(one));
  }
  return Json::MakeObject({{"items", std::move(items)},
                           {"total", static_cast<std::int64_t>(all.size())},
                           {"unread", unread}});
}

base::Result<Json> Pages::NotificationCount(const Request&) {
  ASSIGN_OR_RETURN(const std::vector<Notification> all, ReadNotifications());
  const auto unread =
      std::count_if(all.begin(), all.end(), [](const Notification& one) { return !one.read_at; });
  return Json::MakeObject({{"total", static_cast<std::int64_t>(all.size())},
                           {"unread", static_cast<std::int64_t>(unread)}});
}

base::Result<Json> Pages::NotificationById(const Request& request) {
  ASSIGN_OR_RETURN(const std::int64_t id, IdOf(request));
  ASSIGN_OR_RETURN(const std::vector<Notification> all, ReadNotifications());
  for (const Notification& one : all) {
    if (one.id == id) return NotificationJson(one);
  }
  return NotThere(id);
}

base::Result<Json> Pages::PostNotification(const Request& request) {
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "notification");
  Notification one;
  one.message = OneLine(reader.String("message", {.bytes_max = 512}), 512);
  one.type = reader.OptionalString("notification_type").value_or("info");
  one.source = OneLine(reader.OptionalString("source").value_or(""), 200);
  one.source_id = OneLine(reader.OptionalString("source_id").value_or(""), 200);
  RETURN_IF_ERROR(reader.status());
  if (one.type != "info" && one.type != "warning" && one.type != "error" && one.type != "success") {
    return Error{ErrorCode::kInvalidArgument, "notification_type: info, warning, error or success"};
  }
  if (const Json* details = body.Find("details"); details && !details->is_null()) {
    if (!details->is_object() || details->Write().size() > 16 * 1024) {
      return Error{ErrorCode::kInvalidArgument, "details: an object of at most 16 KiB"};
    }
    one.details = *details;
  }
  one.created_at = clock_.Now();
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const auto least, transaction.QueryOne("SELECT COALESCE(MIN(entry_id), 0) AS "
                                                            "least FROM notification_marks"));
    one.id = std::min<std::int64_t>(least->Int("least"), 0) - 1;
    RETURN_IF_ERROR(transaction.Execute(
        "INSERT INTO notification_marks (entry_id, message, created_at, notification_type, source, "
        "source_id, details) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        {one.id, one.message, one.created_at, one.type, one.source, one.source_id,
         one.details.Write()}));
    return {};
  });
  if (!written.ok()) return written.error();
  return NotificationJson(one);
}

base::Result<Json> Pages::PatchNotification(const Request& request) {
  ASSIGN_OR_RETURN(const std::int64_t id, IdOf(request));
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "notification");
  const bool is_read = reader.OptionalBool("read").value_or(true);
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(NotificationById(request));
  const store::Value read_at = is_read ? store::Value(clock_.Now()) : store::Value();
  RETURN_IF_ERROR(database_.Write(
      [&](Transaction& transaction) { return Mark(transaction, id, "read_at", read_at); }));
  return NotificationById(request);
}

base::Result<Json> Pages::DeleteNotification(const Request& request) {
  ASSIGN_OR_RETURN(const std::int64_t id, IdOf(request));
  RETURN_IF_ERROR(NotificationById(request));
  RETURN_IF_ERROR(database_.Write(
      [&](Transaction& transaction) { return Mark(transaction, id, "is_deleted", 1); }));
  return Json::MakeObject({{"success", true}, {"message", "the notification is shown no more"}});
}

base::Result<Json> Pages::NotificationActions(const Request& request) {
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "actions");
  const std::string action = reader.String("action", {.bytes_max = 32});
  RETURN_IF_ERROR(reader.status());
  if (action != "mark_read" && action != "mark_all_read" && action != "delete") {
    return Error{ErrorCode::kInvalidArgument, "action: mark_read, mark_all_read or delete"};
  }
  std::vector<std::int64_t> chosen;
  if (action != "mark_all_read") {
    for (base::JsonReader id : reader.Array("notification_ids", 1000)) chosen.push_back(id.AsInt());
    RETURN_IF_ERROR(reader.status());
  }
  ASSIGN_OR_RETURN(const std::vector<Notification> all, ReadNotifications());
  std::vector<std::int64_t> ids;
  for (const Notification& one : all) {
    const bool is_chosen = std::find(chosen.begin(), chosen.end(), one.id) != chosen.end();
    if (action == "delete" ? is_chosen : !one.read_at && (is_chosen || action == "mark_all_read")) {
      ids.push_back(one.id);
    }
  }
  const base::Time now = clock_.Now();
  RETURN_IF_ERROR(database_.Write([&](Transaction& transaction) -> base::Status {
    for (const std::int64_t id : ids) {
      const base::Status marked = action == "delete" ? Mark(transaction, id, "is_deleted", 1)
                                                     : Mark(transaction, id, "read_at", now);
      if (!marked.ok()) return marked;
    }
    return {};
  }));
  return Json::MakeObject(
      {{"success", true}, {"count", static_cast<std::int64_t>(ids.size())}, {"action", action}});
}

void Pages::AddNotificationPages(http::Router& router) {
  Get(router, "/api/notifications", &Pages::Notifications);
  Get(router, "/api/notifications/", &Pages::Notifications);
  Get(router, "/api/notifications/count", &Pages::NotificationCount);
  Get(router, "/api/notifications/{notification_id}", &Pages::NotificationById);
  Change(router, Method::kPost, "/api/notifications", &Pages::PostNotification);
  Change(router, Method::kPost, "/api/notifications/", &Pages::PostNotification);
  Change(router, Method::kPost, "/api/notifications/actions", &Pages::NotificationActions);
  Change(router, Method::kPatch, "/api/notifications/{notification_id}", &Pages::PatchNotification);
  Change(router, Method::kDelete, "/api/notifications/{notification_id}",
         &Pages::DeleteNotification);
}

}  // namespace tinysphere::legacy
