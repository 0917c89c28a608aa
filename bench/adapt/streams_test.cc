#include "bench/adapt/streams.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "bench/adapt/baselines.h"
#include "bench/adapt/report.h"

namespace bench::adapt {
namespace {

constexpr std::uint64_t kSeed = 1001;

std::map<std::uint16_t, std::size_t> CountLabels(const std::vector<Shown>& shown) {
  std::map<std::uint16_t, std::size_t> counts;
  for (const Shown& one : shown) ++counts[one.label];
  return counts;
}

TEST(StreamsTest, TheSameSeedDealsTheSameRowsAndAnotherDealsOthers) {
  const Deal one = DealRows({.ageing = Ageing::kStuck}, kSeed).value();
  const Deal again = DealRows({.ageing = Ageing::kStuck}, kSeed).value();
  const Deal other = DealRows({.ageing = Ageing::kStuck}, kSeed + 1).value();
  ASSERT_EQ(one.changed.size(), again.changed.size());
  for (std::size_t i = 0; i < one.changed.size(); ++i) {
    ASSERT_EQ(one.changed[i].frame.row, again.changed[i].frame.row) << i;
  }
  EXPECT_NE(one.changed[0].frame.row, other.changed[0].frame.row);
}

TEST(StreamsTest, ScoredRowsAreTheSameRowsBeforeAndAfterTheChange) {
  // A block of channels is x .3 + 1; every other channel of a row stays to the bit.
  const Deal deal = DealRows({.ageing = Ageing::kBlock}, kSeed).value();
  ASSERT_EQ(deal.scored.size(), deal.scored_quiet.size());
  for (std::size_t i = 0; i < deal.scored.size(); ++i) {
    ASSERT_EQ(deal.scored[i].label, deal.scored_quiet[i].label);
    for (std::size_t c = 0; c < 64; ++c) {
      const float quiet = deal.scored_quiet[i].frame.row[c];
      const float changed = deal.scored[i].frame.row[c];
      if (c >= 16 && c < 32) {
        ASSERT_NEAR(changed, quiet * 0.3f + 1.0f, 1e-5) << i << " " << c;
      } else {
        ASSERT_NEAR(changed, quiet, 1e-6) << i << " " << c;
      }
    }
  }
}

TEST(StreamsTest, FourOfFiveSamplesAreOfTwoClassesWhereThatIsAsked) {
  const Deal deal = DealRows({.order = Order::kTwoClasses}, kSeed).value();
  for (const std::vector<Shown>* shown : {&deal.changed, &deal.scored}) {
    std::vector<std::size_t> counts;
    for (const auto& [label, count] : CountLabels(*shown)) counts.push_back(count);
    std::sort(counts.rbegin(), counts.rend());
    const double share =
        static_cast<double>(counts[0] + counts[1]) / static_cast<double>(shown->size());
    // Four fifths, and what the other fifth (of ten classes) brings them: .84.
    EXPECT_NEAR(share, 0.84, 0.05);
  }
  // The same two before and after.
  const auto most = [](const std::vector<Shown>& shown) {
    const auto counts = CountLabels(shown);
    return std::max_element(counts.begin(), counts.end(),
                            [](const auto& a, const auto& b) { return a.second < b.second; })
        ->first;
  };
  const auto scored = CountLabels(deal.scored);
  EXPECT_GT(scored.at(most(deal.changed)), deal.scored.size() / 4);
}

TEST(StreamsTest, SpellsHoldTwoClassesForAHundredSamples) {
  const Deal deal = DealRows({.order = Order::kSpells}, kSeed).value();
  for (std::size_t begin = 0; begin + 100 <= deal.changed.size(); begin += 100) {
    std::set<std::uint16_t> seen;
    for (std::size_t i = begin; i < begin + 100; ++i) seen.insert(deal.changed[i].label);
    EXPECT_EQ(seen.size(), 2u) << begin;
  }
  EXPECT_EQ(CountLabels(deal.scored).size(), 10u) << "what is right is asked of all classes";
}

TEST(StreamsTest, AClassNobodyKnowsIsInNoFitAndAFifthOfWhatComes) {
  const Deal deal = DealRows({.novel = 0.2}, kSeed).value();
  ASSERT_TRUE(deal.novel.has_value());
  EXPECT_EQ(deal.bundle->manifest.labels.size(), 9u);
  EXPECT_EQ(deal.names.size(), 10u);
  EXPECT_EQ(deal.names[*deal.novel], "7");
  EXPECT_EQ(CountLabels(deal.quiet).count(*deal.novel), 0u);
  const auto count = static_cast<double>(CountLabels(deal.changed).at(*deal.novel));
  EXPECT_NEAR(count / static_cast<double>(deal.changed.size()), 0.2, 0.05);
}

TEST(StreamsTest, WhatNeedsDataThatAreNotThereSaysSo) {
  const auto deal = DealGas("", 3, kSeed);
  ASSERT_FALSE(deal.ok());
  EXPECT_NE(deal.error().message.find("TINYMLOPS_DATA"), std::string::npos);
}

TEST(BaselinesTest, DoingNothingCostsWhatTheStreamSays) {
  const Baselines measured =
      MeasureBaselines(DealRows({.ageing = Ageing::kBlock}, kSeed).value(), true).value();
  EXPECT_GT(measured.before.accuracy(), 0.9);
  EXPECT_LT(measured.nothing.accuracy(), 0.5);
  // All classes come alike: aligning blindly is as good as it ever gets.
  EXPECT_GT(measured.blind.accuracy(), measured.nothing.accuracy() + 0.3);
  EXPECT_LT(measured.self_trained.accuracy(), measured.blind.accuracy());
}

TEST(ReportTest, HarmIsMoreThanAPointWorseThanNothing) {
  std::vector<Outcome> outcomes(4);
  for (Outcome& outcome : outcomes) outcome.before = outcome.nothing = 0.9;
  outcomes[0].after = 0.95;
  outcomes[1].after = 0.9;
  outcomes[2].after = 0.895;  // Half a point.
  outcomes[3].after = 0.85;
  EXPECT_DOUBLE_EQ(Harmed(outcomes, &Outcome::after), 0.25);
  EXPECT_NEAR(ChangeOf(outcomes, &Outcome::after).worst, -0.05, 1e-12);
  EXPECT_NEAR(ShareOf(outcomes, &Outcome::after).mean, (0.95 + 0.9 + 0.895 + 0.85) / 4 / 0.9,
              1e-12);
}

}  // namespace
}  // namespace bench::adapt
