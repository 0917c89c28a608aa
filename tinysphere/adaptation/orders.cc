#include "tinysphere/adaptation/orders.h"

namespace tinysphere::adaptation {

using protocol::AdaptationOrder;

bool Adapts(const protocol::AdaptationReport& report) {
  const bool has_hypothesis = report.hypothesis && !report.hypothesis->empty() &&
                              *report.hypothesis != "identity" && *report.hypothesis != "none";
  const bool has_challenger =
      report.challenger && !report.challenger->empty() && *report.challenger != "none";
  return has_hypothesis || has_challenger;
}

std::vector<AdaptationOrder> MayBe(const protocol::AdaptationReport& report,
                                   const Standing& standing) {
  if (standing.is_order_under_way || !report.adaptation_sha256) return {};
  if (standing.serves_beside_a_proposal) return {AdaptationOrder::kRollBack};
  if (!standing.is_newest) return {};
  if (report.awaits == "approval") return {AdaptationOrder::kApprove, AdaptationOrder::kReject};
  if (Adapts(report)) return {AdaptationOrder::kRollBack};
  return {};
}

}  // namespace tinysphere::adaptation
