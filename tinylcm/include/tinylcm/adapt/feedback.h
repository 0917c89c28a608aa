// A person's word, as the adaptation machine hears it.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/sample.h"

namespace tinylcm::adapt {

// A person's verdict on a whole event.
enum class EventVerdict { kReal, kFalseAlarm, kExpected };
base::Result<EventVerdict> ParseEventVerdict(std::string_view name);  // "real", "false_alarm", ...

// What a person wants done with an adaptation; which one is named by its digest (DigestOf).
enum class Order { kApprove, kReject, kRollBack };
const char* Name(Order order);  // "approve", "reject", "roll_back"

struct AdaptationOrder {
  std::string adaptation_sha256;
  Order order = Order::kApprove;
  friend bool operator==(const AdaptationOrder&, const AdaptationOrder&) = default;
};

struct Feedback {
  std::string feedback_id;
  std::vector<Label> labels;
  std::vector<std::string> retract;  // Sample ids.
  std::optional<EventVerdict> verdict;
  std::vector<AdaptationOrder> orders = {};
};

// What became of one label: goes into the `adaptation` package.
struct LabelFate {
  std::string sample_id;
  std::string feedback_id;
  // "learned", "judged" (it helped to choose), "refused" (it contradicts the others), "replaced",
  // "retracted", "monitoring_only", "opened_class", or why it was not taken in: "unknown_sample",
  // "evicted_sample", "unknown_label", "other_bundle".
  std::string fate;
  friend bool operator==(const LabelFate&, const LabelFate&) = default;
};

struct OrderFate {
  AdaptationOrder order;
  std::string outcome;  // "done", "unknown_adaptation" (it neither serves nor waits), "unused".
  friend bool operator==(const OrderFate&, const OrderFate&) = default;
};

}  // namespace tinylcm::adapt
