#include "tinysphere/adaptation/orders.h"

#include <gtest/gtest.h>

namespace tinysphere::adaptation {
namespace {

using protocol::AdaptationOrder;
using Orders = std::vector<AdaptationOrder>;

protocol::AdaptationReport Serving() {
  protocol::AdaptationReport report;
  report.adaptation_sha256 = std::string(64, 'a');
  report.hypothesis = "identity";
  report.challenger = "mean+labelled";
  return report;
}

TEST(Orders, WhatServesMayBeRolledBack) {
  EXPECT_EQ(MayBe(Serving(), {.is_newest = true}), Orders{AdaptationOrder::kRollBack});
}

TEST(Orders, WhatWaitsMayBeApprovedOrRejectedButNotRolledBack) {
  protocol::AdaptationReport report = Serving();
  report.awaits = "approval";
  EXPECT_EQ(MayBe(report, {.is_newest = true}),
            (Orders{AdaptationOrder::kApprove, AdaptationOrder::kReject}));
}

TEST(Orders, NothingIsOrderedOfWhatHasPassed) {
  EXPECT_EQ(MayBe(Serving(), {.is_newest = false}), Orders{});
}

TEST(Orders, WhatServesMayBeRolledBackAlsoWhileAnotherIsProposed) {
  EXPECT_EQ(MayBe(Serving(), {.serves_beside_a_proposal = true}),
            Orders{AdaptationOrder::kRollBack});
  // It was proposed itself, approved since: its own last word may be that it waits.
  protocol::AdaptationReport report = Serving();
  report.awaits = "approval";
  EXPECT_EQ(MayBe(report, {.serves_beside_a_proposal = true}), Orders{AdaptationOrder::kRollBack});
  EXPECT_EQ(MayBe(report, {.is_order_under_way = true, .serves_beside_a_proposal = true}),
            Orders{});
}

TEST(Orders, NothingIsOrderedTwiceAtATime) {
  EXPECT_EQ(MayBe(Serving(), {.is_newest = true, .is_order_under_way = true}), Orders{});
}

TEST(Orders, ThereIsNothingToRollBackWhereTheBundleServesAlone) {
  protocol::AdaptationReport report = Serving();
  report.challenger = "none";
  EXPECT_EQ(MayBe(report, {.is_newest = true}), Orders{});
  report.hypothesis = "rotate(-20)";
  EXPECT_EQ(MayBe(report, {.is_newest = true}), Orders{AdaptationOrder::kRollBack});
}

TEST(Orders, AnOlderDeviceThatNamesNoAdaptationTakesNone) {
  protocol::AdaptationReport report = Serving();
  report.adaptation_sha256.reset();
  EXPECT_EQ(MayBe(report, {.is_newest = true}), Orders{});
}

}  // namespace
}  // namespace tinysphere::adaptation
