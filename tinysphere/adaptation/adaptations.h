// Adaptations: what devices did about drift and with people's labels, as they reported it; the log
// of their state machines; and what a person orders about it.
//
//   package ─▶ report, transitions ─▶ pages        bytes came along ─▶ to be judged (judging.h)
//   person  ─▶ order ─▶ feedback ─▶ device ─▶ the next report says what became of it
//
// Nothing here is believed without the device's signature over the package it came in.

#pragma once

#include <functional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/adaptation_report.h"
#include "protocol/feedback.h"
#include "tinysphere/feedback/feedbacks.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::adaptation {

inline constexpr std::string_view kJudgeJob = "judge";

// Where a report came from.
struct Origin {
  std::string device_id;
  std::string package_id;
  std::string bundle;
  std::uint64_t seq = 0;
  base::Time received_at{};
  // adaptation.bin and champion.bin came along, with the digests that the report says, and lie at
  // BytesKey().
  bool has_bytes = false;
};

// Where the bytes of an adaptation lie in the object store.
std::string BytesKey(const std::string& device_id, const std::string& adaptation_sha256);

// May be used from several threads.
class Adaptations {
 public:
  // All must outlive it.
  Adaptations(store::Database& database, base::Clock& clock, http::EventHub& events,
              store::Queue& queue, feedback::Feedbacks& feedbacks)
      : database_(database), clock_(clock), events_(events), queue_(queue), feedbacks_(feedbacks) {}

  // In the transaction of the package. Idempotent. kInvalidArgument where it names another device's
  // event.
  base::Status Take(store::Transaction& transaction, const Origin& origin,
                    const protocol::AdaptationReport& report);

  // The newest adaptation that answers this event is judged (again): labels came or changed.
  base::Status WantJudgement(store::Transaction& transaction, const std::string& event_id);
  // So is every one whose judgement came of no replay; at start, when there is a program.
  base::Status WantVoidJudgements();
  // Of those on this bundle, in the transaction that registers it; "": on any.
  base::Status WantVoidJudgements(store::Transaction& transaction, const std::string& bundle);

  // Called in the transaction in which a report is taken for the first time. At most one; before
  // the first.
  using Taken = std::function<base::Status(store::Transaction&, const Origin&,
                                           const protocol::AdaptationReport&)>;
  void OnTaken(Taken taken) { taken_ = std::move(taken); }

  base::Result<base::Json> List(const http::Request& request, const std::string& device_id);
  base::Result<base::Json> Transitions(const http::Request& request, const std::string& device_id);
  // What the device did about an event, newest first, the last 20.
  base::Result<base::Json> OfEvent(store::Transaction& transaction, const std::string& event_id);

  // {"feedback_id"}. The same order again, while it is under way, is the same feedback. kConflict
  // where it is not, or no longer, that one's turn; kNotFound for one that nobody reported.
  base::Result<base::Json> Order(const std::string& device_id, const std::string& adaptation_sha256,
                                 protocol::AdaptationOrder order, const std::string& by);
  // The same in the transaction of a judgement; the feedback's id.
  base::Result<std::string> Order(store::Transaction& transaction, const std::string& device_id,
                                  const std::string& adaptation_sha256,
                                  protocol::AdaptationOrder order, const std::string& by);

  void AddRoutes(http::Router& router);

 private:
  base::Status Want(store::Transaction& transaction, const std::string& device_id,
                    const std::string& adaptation_sha256);
  base::Status KeepTransitions(store::Transaction& transaction, const Origin& origin,
                               const protocol::AdaptationReport& report);

  store::Database& database_;
  base::Clock& clock_;
  http::EventHub& events_;
  store::Queue& queue_;
  feedback::Feedbacks& feedbacks_;
  Taken taken_;
};

// What a stored judgement looks like to people; null where there is none. The row has the columns
// judgement and judged_at.
base::Json JudgementJson(const store::Row& row);

}  // namespace tinysphere::adaptation
