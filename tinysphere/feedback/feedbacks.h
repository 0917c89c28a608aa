// Feedbacks: what people said about a device's samples and adaptations, packed for that device.
//
// A feedback is made once and never changed; a correction is a new one. It waits in the device's
// desired state until an adaptation package, signed by the device, says that it has been applied.

#pragma once

#include <optional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "protocol/adaptation_report.h"
#include "protocol/feedback.h"
#include "tinysphere/access/statements.h"
#include "tinysphere/feedback/change.h"
#include "tinysphere/http/router.h"
#include "tinysphere/rollout/desired_states.h"
#include "tinysphere/store/database.h"

namespace tinysphere::feedback {

// What people say about one event now, all of it.
struct Said {
  std::string device_id;
  std::string event_id;
  std::string bundle;  // That ran when the samples were taken.
  Labels labels;
  std::optional<protocol::EventVerdict> event_verdict;
};

// What a person wants done with an adaptation of a device.
struct Ordered {
  std::string device_id;
  std::string event_id;  // That it answers; may be empty.
  std::string bundle;
  std::string adaptation_sha256;
  protocol::AdaptationOrder order = protocol::AdaptationOrder::kApprove;
};

// May be used from several threads.
class Feedbacks {
 public:
  // All must outlive it.
  Feedbacks(store::Database& database, base::Clock& clock, const rollout::DesiredStates& desired,
            const access::StatementSigner& signer)
      : database_(database), clock_(clock), desired_(desired), signer_(signer) {}

  // Packs what the device has not been told yet. nullopt if that is nothing.
  base::Result<std::optional<protocol::Feedback>> Make(store::Transaction& transaction,
                                                       const Said& said);

  // Packs a person's order; the feedback's id.
  base::Result<std::string> Order(store::Transaction& transaction, const Ordered& ordered);

  // A device says what became of the labels: the feedback it names has been applied.
  base::Status TakeOutcome(store::Transaction& transaction, const std::string& device_id,
                           const protocol::AdaptationReport& report);

  // GET /api/v1/devices/{device_id}/feedback/{feedback_id}
  base::Result<http::Response> Document(const http::Request& request);

  void AddRoutes(http::Router& router);

 private:
  // Writes the letter down for the device and names it in its desired state.
  base::Status Post(store::Transaction& transaction, const std::string& device_id,
                    const std::string& event_id, const protocol::Feedback& letter);

  store::Database& database_;
  base::Clock& clock_;
  const rollout::DesiredStates& desired_;
  const access::StatementSigner& signer_;
};

}  // namespace tinysphere::feedback
