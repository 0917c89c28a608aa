#include "tinysphere/feedback/feedbacks.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "protocol/statement.h"
#include "tinysphere/fleet/timeline.h"

namespace tinysphere::feedback {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Row;
using store::Transaction;

namespace {

// All that went out about one event so far, as the device holds it once it has read everything.
struct Told {
  Labels labels;
  std::optional<protocol::EventVerdict> event_verdict;
};

base::Result<Told> ReadTold(Transaction& transaction, const std::string& event_id) {
  ASSIGN_OR_RETURN(const store::Rows rows,
                   transaction.Query("SELECT document FROM feedback WHERE event_id = $1 "
                                     "ORDER BY created_at, feedback_id",
                                     {event_id}));
  Told told;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(const protocol::Feedback letter,
                     protocol::ParseFeedback(row.Text("document")));
    Change change{.labels = {}, .retract = letter.retract};
    for (const auto& label : letter.labels) {
      change.labels[label.sample_id] = {.label = label.label,
                                        .weight = label.weight,
                                        .reviewers = label.reviewers,
                                        .opens_class = label.opens_class};
    }
    told.labels = Apply(std::move(told.labels), change);
    for (const auto& event : letter.events) told.event_verdict = event.verdict;
  }
  return told;
}

}  // namespace

base::Result<std::optional<protocol::Feedback>> Feedbacks::Make(Transaction& transaction,
                                                                const Said& said) {
  ASSIGN_OR_RETURN(const Told told, ReadTold(transaction, said.event_id));
  const Change change = Compare(told.labels, said.labels);
  const bool is_other_verdict = said.event_verdict && said.event_verdict != told.event_verdict;
  if (change.empty() && !is_other_verdict) return std::optional<protocol::Feedback>();

  protocol::Feedback letter;
  letter.feedback_id = "f-" + base::RandomHex(8);
  letter.bundle = said.bundle;
  letter.retract = change.retract;
  for (const auto& [sample_id, label] : change.labels) {
    letter.labels.push_back({.sample_id = sample_id,
                             .label = label.label,
                             .weight = label.weight,
                             .reviewers = label.reviewers,
                             .opens_class = label.opens_class});
  }
  if (said.event_verdict) {
    letter.events.push_back({.event_id = said.event_id, .verdict = *said.event_verdict});
  }
  RETURN_IF_ERROR(Post(transaction, said.device_id, said.event_id, letter));
  return std::optional(std::move(letter));
}

base::Result<std::string> Feedbacks::Order(Transaction& transaction, const Ordered& ordered) {
  protocol::Feedback letter;
  letter.feedback_id = "f-" + base::RandomHex(8);
  letter.bundle = ordered.bundle;
  letter.adaptations.push_back(
      {.adaptation_sha256 = ordered.adaptation_sha256, .order = ordered.order});
  RETURN_IF_ERROR(Post(transaction, ordered.device_id, ordered.event_id, letter));
  return letter.feedback_id;
}

base::Status Feedbacks::Post(Transaction& transaction, const std::string& device_id,
                             const std::string& event_id, const protocol::Feedback& letter) {
  const std::string document = protocol::ToJson(letter).Write();
  // Two feedbacks to one device keep their order although clocks only tell milliseconds.
  ASSIGN_OR_RETURN(const auto newest,
                   transaction.QueryOne("SELECT COALESCE(MAX(created_at), 0) AS at FROM feedback "
                                        "WHERE device_id = $1",
                                        {device_id}));
  const base::Time now = std::max(clock_.Now(), newest->Time("at") + base::Duration(1));
  const auto added = transaction.Execute(
      "INSERT INTO feedback (feedback_id, device_id, event_id, document, sha256, state, "
      "created_at) VALUES ($1, $2, $3, $4, $5, 'pending', $6)",
      {letter.feedback_id, device_id, event_id, document, base::Sha256Hex(base::AsBytes(document)),
       now});
  if (!added.ok()) return added.error();
  return desired_.Refresh(transaction, device_id);
}

base::Status Feedbacks::TakeOutcome(Transaction& transaction, const std::string& device_id,
                                    const protocol::AdaptationReport& report) {
  if (!report.feedback_id) return {};
  std::map<std::string, std::int64_t> outcomes;
  Json::Array labels;
  for (const auto& label : report.labels) {
    outcomes[label.outcome] += 1;
    labels.push_back(
        Json::MakeObject({{"sample_id", label.sample_id}, {"outcome", label.outcome}}));
  }
  const Json outcome =
      Json::MakeObject({{"adaptation_id", report.adaptation_id}, {"labels", std::move(labels)}});
  // A device can acknowledge its own feedback only; a name that is not its own changes nothing.
  ASSIGN_OR_RETURN(
      const std::int64_t changed,
      transaction.Execute("UPDATE feedback SET state = 'applied', applied_at = $3, outcome = $4, "
                          "delivered_at = COALESCE(delivered_at, $3) "
                          "WHERE feedback_id = $1 AND device_id = $2 AND state <> 'applied'",
                          {*report.feedback_id, device_id, clock_.Now(), outcome.Write()}));
  if (changed == 0) return {};
  RETURN_IF_ERROR(desired_.Refresh(transaction, device_id));
  std::string counts;
  for (const auto& [name, count] : outcomes) {
    counts += base::StrCat(counts.empty() ? "" : ", ", count, " ", name);
  }
  return fleet::Note(transaction,
                     {.at = clock_.Now(),
                      .device_id = device_id,
                      .kind = "feedback",
                      .text = counts.empty() ? std::string("feedback applied")
                                             : base::StrCat("feedback applied: ", counts),
                      .ref = *report.feedback_id});
}

base::Result<http::Response> Feedbacks::Document(const http::Request& request) {
  const std::string& device_id = request.identity.id;
  const std::string& feedback_id = request.Param("feedback_id");
  if (request.Param("device_id") != device_id) {
    return Error{ErrorCode::kPermissionDenied, "a device may ask for its own feedback only"};
  }
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne("SELECT document, sha256, state FROM feedback "
                                      "WHERE feedback_id = $1 AND device_id = $2",
                                      {feedback_id, device_id}));
  if (!row) return Error{ErrorCode::kNotFound, "no feedback is called " + feedback_id};
  if (row->Text("state") == "pending") {
    const auto delivered = database_.Execute(
        "UPDATE feedback SET state = 'delivered', delivered_at = $2 "
        "WHERE feedback_id = $1 AND state = 'pending'",
        {feedback_id, clock_.Now()});
    if (!delivered.ok()) return delivered.error();
  }
  http::Response response;
  response.headers.Set("Content-Type", "application/json");
  response.headers.Set("Cache-Control", "no-store");
  response.headers.Set(protocol::kHeaderStatement,
                       signer_.SignForHeader({.kind = "feedback",
                                              .device_id = device_id,
                                              .subject = feedback_id,
                                              .sha256 = row->Text("sha256"),
                                              .code = ""}));
  response.body = row->Text("document");
  return response;
}

void Feedbacks::AddRoutes(http::Router& router) {
  router.Add({.method = http::Method::kGet,
              .path = "/api/v1/devices/{device_id}/feedback/{feedback_id}",
              .access = http::Access::kDevice,
              .body = http::BodyRule::None(),
              .handler = [this](http::Request& request) { return Document(request); },
              .too_large = nullptr});
}

}  // namespace tinysphere::feedback
