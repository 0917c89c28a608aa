// Orders: what a person may have done with an adaptation now, given what its device said last.
//
// Picture a person with three buttons: two are lit while something waits for their word, one while
// something serves. A proposal does not put out the button of what serves. None is lit while an
// order is on its way, or for what has passed.

#pragma once

#include <string>
#include <vector>

#include "protocol/adaptation_report.h"
#include "protocol/feedback.h"

namespace tinysphere::adaptation {

struct Standing {
  bool is_newest = false;           // No later report of the device is here.
  bool is_order_under_way = false;  // Given, and the device has not said that it took it.
  // There is a later report, and it proposes another adaptation while this one serves.
  bool serves_beside_a_proposal = false;
};

// In the order in which they are offered.
std::vector<protocol::AdaptationOrder> MayBe(const protocol::AdaptationReport& report,
                                             const Standing& standing);

// What serves according to the report differs from the bundle alone.
bool Adapts(const protocol::AdaptationReport& report);

}  // namespace tinysphere::adaptation
