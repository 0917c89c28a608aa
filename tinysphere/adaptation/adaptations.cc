#include "tinysphere/adaptation/adaptations.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/adaptation/orders.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/http/page.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::adaptation {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::FieldOrNull;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

constexpr std::int64_t kTransitionsKept = 2000;  // A device; the oldest go first.
constexpr std::int64_t kShownWithEvent = 20;

// A report, how it was judged, the newest order about it, and whether the device said more since.
constexpr std::string_view kSelectReport =
    "SELECT r.device_id, COALESCE(d.name, r.device_id) AS device_name, r.adaptation_id, r.seq, "
    "r.received_at, r.document, r.bundle, r.event_id, r.adaptation_sha256, a.judgement, "
    "a.judged_at, o.order_name, o.given_by, o.at AS ordered_at, o.feedback_id AS order_feedback, "
    "o.outcome AS order_outcome, f.state AS order_state, "
    "(SELECT MAX(n.seq) FROM adaptation_reports n WHERE n.device_id = r.device_id) AS newest_seq, "
    "(SELECT MAX(n.seq) FROM adaptation_reports n WHERE n.device_id = r.device_id AND "
    "n.adaptation_sha256 = r.adaptation_sha256) AS newest_of_it, "
    "(SELECT n.document FROM adaptation_reports n WHERE n.device_id = r.device_id "
    "ORDER BY n.seq DESC LIMIT 1) AS newest_document "
    "FROM adaptation_reports r LEFT JOIN devices d ON d.device_id = r.device_id "
    "LEFT JOIN adapted a ON a.device_id = r.device_id AND "
    "a.adaptation_sha256 = r.adaptation_sha256 AND r.adaptation_sha256 <> '' "
    "LEFT JOIN adaptation_orders o ON o.order_id = (SELECT MAX(p.order_id) FROM "
    "adaptation_orders p WHERE p.device_id = r.device_id AND "
    "p.adaptation_sha256 = r.adaptation_sha256 AND r.adaptation_sha256 <> '') "
    "LEFT JOIN feedback f ON f.feedback_id = o.feedback_id ";

Json TextOrNull(std::string text) { return text.empty() ? Json() : Json(std::move(text)); }

// The newest that was said of it, and the device's newest word proposes another in its place.
bool ServesBesideAProposal(const Row& row) {
  const std::string sha256 = row.Text("adaptation_sha256");
  if (sha256.empty() || row.Int("seq") != row.Int("newest_of_it")) return false;
  const Json newest = row.Document("newest_document");
  return FieldOrNull(newest, "awaits") == Json("approval") &&
         FieldOrNull(newest, "champion_sha256") == Json(sha256);
}

// What was stored was a report when it came; what this build cannot read any more allows nothing.
std::vector<protocol::AdaptationOrder> OrdersOf(const Row& row) {
  const auto report = protocol::ParseAdaptationReport(row.Text("document"));
  if (!report.ok()) return {};
  const bool is_under_way = !row.IsNull("order_name") && row.Text("order_state") != "applied";
  const bool is_newest = row.Int("seq") == row.Int("newest_seq");
  return MayBe(*report, {.is_newest = is_newest,
                         .is_order_under_way = is_under_way,
                         .serves_beside_a_proposal = !is_newest && ServesBesideAProposal(row)});
}

Json OrderJson(const Row& row) {
  if (row.IsNull("order_name")) return {};
  return Json::MakeObject({{"order", row.Text("order_name")},
                           {"by", row.Text("given_by")},
                           {"at", base::FormatTime(row.Time("ordered_at"))},
                           {"feedback_id", row.Text("order_feedback")},
                           {"state", row.Text("order_state")},
                           {"outcome", TextOrNull(row.Text("order_outcome"))}});
}

Json ReportJson(const Row& row) {
  const Json document = row.Document("document");
  Json shown = Json::MakeObject({{"adaptation_id", row.Text("adaptation_id")},
                                 {"device_id", row.Text("device_id")},
                                 {"device_name", row.Text("device_name")},
                                 {"received_at", base::FormatTime(row.Time("received_at"))}});
  for (const char* key :
       {"sample_index", "state", "event_id", "feedback_id", "hypothesis", "challenger",
        "candidates", "labels", "label_accuracy_before", "label_accuracy_after", "canary_before",
        "canary_after", "adaptation_sha256", "champion_sha256", "transitions", "text"}) {
    shown.Set(key, FieldOrNull(document, key));
  }
  const Json awaits = FieldOrNull(document, "awaits");
  const bool is_known = awaits == Json("labels") || awaits == Json("approval");
  shown.Set("awaits", is_known ? awaits : Json());
  shown.Set("is_newest", row.Int("seq") == row.Int("newest_seq"));
  Json::Array may_be;
  for (const protocol::AdaptationOrder order : OrdersOf(row)) may_be.emplace_back(Name(order));
  shown.Set("may_be", std::move(may_be));
  shown.Set("judgement", JudgementJson(row));
  shown.Set("order", OrderJson(row));
  return shown;
}

}  // namespace

std::string BytesKey(const std::string& device_id, const std::string& adaptation_sha256) {
  return base::StrCat(store::kAdaptationsBucket, "/", device_id, "/", adaptation_sha256);
}

Json JudgementJson(const Row& row) {
  const Json stored = row.Document("judgement");
  if (!stored.is_object()) return {};
  Json judgement = Json::MakeObject();
  for (const char* key :
       {"judgement", "labels", "right_before", "right_after", "difference", "interval", "reason"}) {
    judgement.Set(key, FieldOrNull(stored, key));
  }
  judgement.Set("at", base::FormatTime(row.Time("judged_at")));
  return judgement;
}

base::Status Adaptations::KeepTransitions(Transaction& transaction, const Origin& origin,
                                          const protocol::AdaptationReport& report) {
  if (report.transitions.empty()) return {};
  for (const auto& step : report.transitions) {
    // A device that was killed may say the same step twice.
    RETURN_IF_ERROR(transaction.Execute(
        "INSERT INTO transitions (device_id, sample_index, from_state, to_state, why, "
        "reported_at) VALUES ($1, $2, $3, $4, $5, $6) "
        "ON CONFLICT (device_id, sample_index, from_state, to_state) DO NOTHING",
        {origin.device_id, step.index, step.from, step.to, step.why, origin.received_at}));
  }
  RETURN_IF_ERROR(transaction.Execute(
      "DELETE FROM transitions WHERE device_id = $1 AND transition_id <= (SELECT transition_id "
      "FROM transitions WHERE device_id = $1 ORDER BY transition_id DESC LIMIT 1 OFFSET $2)",
      {origin.device_id, kTransitionsKept}));
  return {};
}

base::Status Adaptations::Take(Transaction& transaction, const Origin& origin,
                               const protocol::AdaptationReport& report) {
  const std::string sha256 = report.adaptation_sha256.value_or("");
  const std::string event_id = report.event_id.value_or("");
  ASSIGN_OR_RETURN(
      const auto event,
      transaction.QueryOne("SELECT device_id FROM drift_events WHERE event_id = $1", {event_id}));
  if (event && event->Text("device_id") != origin.device_id) {
    return Error{ErrorCode::kInvalidArgument,
                 "adaptation: the event " + event_id + " is another device's"};
  }
  ASSIGN_OR_RETURN(
      const std::int64_t added,
      transaction.Execute(
          "INSERT INTO adaptation_reports (device_id, adaptation_id, seq, package_id, event_id, "
          "adaptation_sha256, bundle, document, received_at) "
          "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
          "ON CONFLICT (device_id, adaptation_id) DO NOTHING",
          {origin.device_id, report.adaptation_id, origin.seq, origin.package_id, event_id, sha256,
           origin.bundle, protocol::ToJson(report).Write(), origin.received_at}));
  if (added == 0) return {};
  if (taken_) RETURN_IF_ERROR(taken_(transaction, origin, report));
  RETURN_IF_ERROR(KeepTransitions(transaction, origin, report));
  RETURN_IF_ERROR(
      transaction.Execute("UPDATE devices SET awaits = $3, awaits_seq = $2 "
                          "WHERE device_id = $1 AND awaits_seq <= $2",
                          {origin.device_id, origin.seq, report.awaits.value_or("")}));
  for (const auto& label : report.labels) {
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE drift_samples SET outcome = $3, outcome_seq = $4 WHERE device_id = $1 AND "
        "sample_id = $2 AND outcome_seq <= $4",
        {origin.device_id, label.sample_id, label.outcome, origin.seq}));
  }
  for (const auto& order : report.orders) {
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE adaptation_orders SET outcome = $4 WHERE device_id = $1 AND "
        "adaptation_sha256 = $2 AND order_name = $3 AND outcome = ''",
        {origin.device_id, order.adaptation_sha256, order.order, order.outcome}));
  }
  if (sha256.empty() || !origin.has_bytes) return {};
  ASSIGN_OR_RETURN(
      const std::int64_t is_new,
      transaction.Execute(
          "INSERT INTO adapted (device_id, adaptation_sha256, champion_sha256, event_id, bundle, "
          "received_at) VALUES ($1, $2, $3, $4, $5, $6) "
          "ON CONFLICT (device_id, adaptation_sha256) DO NOTHING",
          {origin.device_id, sha256, report.champion_sha256.value_or(""), event_id, origin.bundle,
           origin.received_at}));
  if (is_new == 0) return {};
  return Want(transaction, origin.device_id, sha256);
}

base::Status Adaptations::Want(Transaction& transaction, const std::string& device_id,
                               const std::string& adaptation_sha256) {
  RETURN_IF_ERROR(
      transaction.Execute("UPDATE adapted SET wanted = wanted + 1 WHERE device_id = $1 AND "
                          "adaptation_sha256 = $2",
                          {device_id, adaptation_sha256}));
  ASSIGN_OR_RETURN(const auto row,
                   transaction.QueryOne("SELECT wanted FROM adapted WHERE device_id = $1 AND "
                                        "adaptation_sha256 = $2",
                                        {device_id, adaptation_sha256}));
  if (!row) return {};
  const std::int64_t number = row->Int("wanted");
  return queue_.Enqueue(transaction,
                        {.kind = std::string(kJudgeJob),
                         .key = base::StrCat(device_id, ":", adaptation_sha256, ":", number),
                         .payload = Json::MakeObject({{"device_id", device_id},
                                                      {"adaptation_sha256", adaptation_sha256},
                                                      {"number", number}})
                                        .Write(),
                         .due = {}});
}

base::Status Adaptations::WantJudgement(Transaction& transaction, const std::string& event_id) {
  if (event_id.empty()) return {};
  ASSIGN_OR_RETURN(
      const auto newest,
      transaction.QueryOne("SELECT a.device_id, a.adaptation_sha256 FROM adaptation_reports r "
                           "JOIN adapted a ON a.device_id = r.device_id AND "
                           "a.adaptation_sha256 = r.adaptation_sha256 "
                           "JOIN drift_events e ON e.event_id = r.event_id AND "
                           "e.device_id = r.device_id WHERE r.event_id = $1 "
                           "ORDER BY r.seq DESC LIMIT 1",
                           {event_id}));
  if (!newest) return {};
  return Want(transaction, newest->Text("device_id"), newest->Text("adaptation_sha256"));
}

base::Status Adaptations::WantVoidJudgements() {
  return database_.Write(
      [&](Transaction& transaction) { return WantVoidJudgements(transaction, ""); });
}

base::Status Adaptations::WantVoidJudgements(Transaction& transaction, const std::string& bundle) {
  ASSIGN_OR_RETURN(const Rows rows,
                   transaction.Query("SELECT device_id, adaptation_sha256 FROM adapted "
                                     "WHERE is_void = 1 AND ($1 = '' OR bundle = $1) "
                                     "ORDER BY received_at DESC LIMIT 1000",
                                     {bundle}));
  for (const Row& row : rows) {
    RETURN_IF_ERROR(Want(transaction, row.Text("device_id"), row.Text("adaptation_sha256")));
  }
  return {};
}

base::Result<Json> Adaptations::List(const http::Request& request, const std::string& device_id) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  const std::int64_t before = cursor ? cursor->number : std::numeric_limits<std::int64_t>::max();
  ASSIGN_OR_RETURN(Rows rows,
                   database_.Query(std::string(kSelectReport) +
                                       "WHERE r.device_id = $1 AND (r.seq, r.adaptation_id) < "
                                       "($2, $3) ORDER BY r.seq DESC, "
                                       "r.adaptation_id DESC LIMIT $4",
                                   {device_id, before, cursor ? cursor->text : "", limit + 1}));
  return http::MakePage(std::move(rows), limit, ReportJson, [](const Row& row) {
    return http::Cursor{.number = row.Int("seq"), .text = row.Text("adaptation_id")};
  });
}

base::Result<Json> Adaptations::OfEvent(Transaction& transaction, const std::string& event_id) {
  ASSIGN_OR_RETURN(const Rows rows,
                   transaction.Query(std::string(kSelectReport) +
                                         "JOIN drift_events e ON e.event_id = r.event_id AND "
                                         "e.device_id = r.device_id WHERE r.event_id = $1 "
                                         "ORDER BY r.seq DESC, r.adaptation_id DESC LIMIT $2",
                                     {event_id, kShownWithEvent}));
  Json::Array items;
  for (const Row& row : rows) items.push_back(ReportJson(row));
  return Json(std::move(items));
}

base::Result<Json> Adaptations::Transitions(const http::Request& request,
                                            const std::string& device_id) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  const std::int64_t before = cursor ? cursor->number : std::numeric_limits<std::int64_t>::max();
  std::int64_t before_id = 0;
  if (cursor) {
    ASSIGN_OR_RETURN(before_id, base::ParseInt(cursor->text));
  }
  ASSIGN_OR_RETURN(
      Rows rows,
      database_.Query("SELECT transition_id, sample_index, from_state, to_state, why, reported_at "
                      "FROM transitions WHERE device_id = $1 AND "
                      "(sample_index, transition_id) < ($2, $3) "
                      "ORDER BY sample_index DESC, transition_id DESC LIMIT $4",
                      {device_id, before, before_id, limit + 1}));
  return http::MakePage(
      std::move(rows), limit,
      [](const Row& row) {
        return Json::MakeObject({{"index", row.Int("sample_index")},
                                 {"from", row.Text("from_state")},
                                 {"to", row.Text("to_state")},
                                 {"why", row.Text("why")},
                                 {"reported_at", base::FormatTime(row.Time("reported_at"))}});
      },
      [](const Row& row) {
        return http::Cursor{.number = row.Int("sample_index"),
                            .text = base::StrCat(row.Int("transition_id"))};
      });
}

base::Result<std::string> Adaptations::Order(Transaction& transaction, const std::string& device_id,
                                             const std::string& adaptation_sha256,
                                             protocol::AdaptationOrder order,
                                             const std::string& by) {
  ASSIGN_OR_RETURN(const auto row,
                   transaction.QueryOne(std::string(kSelectReport) +
                                            "WHERE r.device_id = $1 AND r.adaptation_sha256 = $2 "
                                            "ORDER BY r.seq DESC LIMIT 1",
                                        {device_id, adaptation_sha256}));
  if (!row) {
    return Error{ErrorCode::kNotFound,
                 base::StrCat(device_id, " has reported no adaptation ", adaptation_sha256)};
  }
  const bool is_under_way = !row->IsNull("order_name") && row->Text("order_state") != "applied";
  if (is_under_way && row->Text("order_name") == protocol::Name(order)) {
    return row->Text("order_feedback");
  }
  const std::vector<protocol::AdaptationOrder> may_be = OrdersOf(*row);
  if (std::find(may_be.begin(), may_be.end(), order) == may_be.end()) {
    const char* why = is_under_way ? "another order about it is under way"
                      : row->Int("seq") != row->Int("newest_seq")
                          ? "the device has said something else since"
                          : "it neither waits for that nor serves";
    return Error{ErrorCode::kConflict, base::StrCat("adaptation ", adaptation_sha256.substr(0, 8),
                                                    ": cannot ", protocol::Name(order), ": ", why)};
  }
  ASSIGN_OR_RETURN(const std::string feedback_id,
                   feedbacks_.Order(transaction, {.device_id = device_id,
                                                  .event_id = row->Text("event_id"),
                                                  .bundle = row->Text("bundle"),
                                                  .adaptation_sha256 = adaptation_sha256,
                                                  .order = order}));
  const base::Time now = clock_.Now();
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO adaptation_orders (device_id, adaptation_sha256, order_name, given_by, at, "
      "feedback_id) VALUES ($1, $2, $3, $4, $5, $6)",
      {device_id, adaptation_sha256, protocol::Name(order), by, now, feedback_id}));
  RETURN_IF_ERROR(fleet::Note(
      transaction, {.at = now,
                    .device_id = device_id,
                    .kind = order == protocol::AdaptationOrder::kRollBack ? "rollback" : "labels",
                    .text = base::StrCat(by, " ordered: ", protocol::Name(order), " adaptation ",
                                         adaptation_sha256.substr(0, 8)),
                    .ref = row->Text("event_id")}));
  RETURN_IF_ERROR(access::WriteAudit(
      transaction, {.at = now,
                    .who = by,
                    .action = base::StrCat("adaptation.", protocol::Name(order)),
                    .subject = device_id,
                    .detail = base::StrCat(adaptation_sha256, " ", feedback_id)}));
  return feedback_id;
}

base::Result<Json> Adaptations::Order(const std::string& device_id,
                                      const std::string& adaptation_sha256,
                                      protocol::AdaptationOrder order, const std::string& by) {
  std::string event_id;
  ASSIGN_OR_RETURN(
      const std::string feedback_id,
      database_.Write([&](Transaction& transaction) -> base::Result<std::string> {
        ASSIGN_OR_RETURN(const auto known,
                         transaction.QueryOne("SELECT device_id FROM devices WHERE device_id = $1",
                                              {device_id}));
        if (!known) return Error{ErrorCode::kNotFound, "no device is called " + device_id};
        ASSIGN_OR_RETURN(const auto row,
                         transaction.QueryOne("SELECT event_id FROM adaptation_reports WHERE "
                                              "device_id = $1 AND adaptation_sha256 = $2 LIMIT 1",
                                              {device_id, adaptation_sha256}));
        if (row) event_id = row->Text("event_id");
        return Order(transaction, device_id, adaptation_sha256, order, by);
      }));
  events_.Publish("feedback", Json::MakeObject({{"id", feedback_id}}));
  events_.Publish("device", Json::MakeObject({{"id", device_id}}));
  if (!event_id.empty()) events_.Publish("drift_event", Json::MakeObject({{"id", event_id}}));
  return Json::MakeObject({{"feedback_id", feedback_id}});
}

}  // namespace tinysphere::adaptation
