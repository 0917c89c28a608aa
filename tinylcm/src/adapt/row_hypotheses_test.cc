#include "tinylcm/adapt/row_hypotheses.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/random.h"
#include "tinylcm/adapt/row_transform.h"

namespace tinylcm::adapt {
namespace {

using Row = std::vector<float>;

// Four channels: two drawn by lot; the third is their sum with a little noise; the fourth rests at
// 0 and stirs once in twenty rows.
//   mean (10, 0, 10, .05)   variance (4, 1, 5.01, .0475)   cov(2, 0) = 4, cov(2, 1) = 1
class RowHypothesesTest : public testing::Test {
 protected:
  Row Draw() {
    const double a = 10.0 + 2.0 * random_.Normal();
    const double b = random_.Normal();
    const double sum = a + b + 0.1 * random_.Normal();
    return {static_cast<float>(a), static_cast<float>(b), static_cast<float>(sum),
            random_.Uniform() < 0.05 ? 1.0f : 0.0f};
  }
  template <typename Drift>
  RowStatistics Watch(int rows, Drift drift) {
    RowStatistics stream(4);
    for (int i = 0; i < rows; ++i) {
      Row row = Draw();
      drift(i, row);
      stream.Add(row);
    }
    return stream;
  }
  std::vector<std::string> Names(const RowStatistics& stream) const {
    std::vector<std::string> names;
    const auto hypotheses = MakeRowHypotheses(reference_, stream).value();
    for (const InputHypothesis& hypothesis : hypotheses) names.push_back(hypothesis.name());
    return names;
  }

  using Channels = std::vector<std::uint16_t>;
  static constexpr std::uint64_t kSeed = 17;
  base::Random random_{kSeed};
  const std::vector<float> mean_ = {10.0f, 0.0f, 10.0f, 0.05f};
  const std::vector<float> sd_ = {2.0f, 1.0f, 2.238f, 0.218f};
  const std::vector<float> mode_ = {0.0f, 0.0f, 0.0f, 0.95f};
  const std::vector<float> covariance_ = {4, 0, 4, 0, 0, 1, 1, 0, 4, 1, 5.01f, 0, 0, 0, 0, 0.0475f};
  const RowReference reference_{
      .mean = mean_, .sd = sd_, .mode_share = mode_, .covariance = covariance_};
};

TEST_F(RowHypothesesTest, HaveNothingToSayOfAQuietStream) {
  for (int run = 0; run < 50; ++run) {
    const RowStatistics stream = Watch(100, [](int, Row&) {});
    EXPECT_EQ(Names(stream), std::vector<std::string>{"identity"}) << "run " << run;
  }
}

TEST_F(RowHypothesesTest, FindDeadStuckAndFaintChannels) {
  EXPECT_EQ(SilentChannels(reference_, Watch(100, [](int, Row& row) { row[1] = 3.0f; })).value(),
            Channels{1});
  // Stuck at what it read last, and read anew once in ten rows.
  float held = 0.0f;
  EXPECT_EQ(SilentChannels(reference_, Watch(100,
                                             [&](int i, Row& row) {
                                               if (i % 10 == 0) held = row[2];
                                               row[2] = held;
                                             }))
                .value(),
            Channels{2});
  // Only the converter's noise is left of it.
  EXPECT_EQ(SilentChannels(reference_,
                           Watch(100, [](int, Row& row) { row[0] = 4.0f + 0.01f * (row[0] - 10); }))
                .value(),
            Channels{0});
}

TEST_F(RowHypothesesTest, LetAChannelRestThatRestsMostOfTheTime) {
  // .95^99 = .006 is no miracle; .95^499 = 8e-12 is.
  const auto resting = [](int, Row& row) { row[3] = 0.0f; };
  EXPECT_EQ(SilentChannels(reference_, Watch(100, resting)).value(), Channels{});
  EXPECT_EQ(SilentChannels(reference_, Watch(500, resting)).value(), Channels{3});
  // Who does not know how it rests takes it for dead.
  RowReference unknown = reference_;
  unknown.mode_share = {};
  EXPECT_EQ(SilentChannels(unknown, Watch(100, resting)).value(), Channels{3});
}

TEST_F(RowHypothesesTest, TellASilentChannelByTheOthers) {
  const Channels silent = {2};
  RowTransform by_others =
      RowTransform::Create(InputHypothesis::Of(MakeRepair(reference_, silent, true)), 4).value();
  RowTransform by_mean =
      RowTransform::Create(InputHypothesis::Of(MakeRepair(reference_, silent, false)), 4).value();
  double told = 0.0;
  double usual = 0.0;
  for (int i = 0; i < 1000; ++i) {
    const Row row = Draw();
    Row dead = row;
    dead[2] = 0.0f;
    Row guess = dead;
    by_others.Apply(guess);
    told += std::pow(static_cast<double>(guess[2] - row[2]), 2) / 1000.0;
    EXPECT_EQ(guess[0], row[0]);
    by_mean.Apply(dead);
    EXPECT_EQ(dead[2], 10.0f);
    usual += std::pow(static_cast<double>(dead[2] - row[2]), 2) / 1000.0;
  }
  // The mean errs by the channel's variance, 5.01. Told, .01 of noise is left and what the ridge
  // takes: a tenth of the way of either, (.0909)^2 * (4 + 1) = .041.
  EXPECT_NEAR(usual, 5.01, 0.7) << "seed " << kSeed;
  EXPECT_NEAR(told, 0.051, 0.012) << "seed " << kSeed;
}

TEST_F(RowHypothesesTest, BringAMovedChannelBackAndLeaveTheOthers) {
  const RowStatistics stream = Watch(300, [](int, Row& row) { row[0] = 0.3f * row[0] + 1.0f; });
  const auto hypotheses = MakeRowHypotheses(reference_, stream).value();
  ASSERT_EQ(Names(stream), (std::vector<std::string>{"identity", "row_gain"}));
  const InputStep& gain = hypotheses[1].steps[0];
  // x = (y - 1) / .3; a deviation from 300 rows errs by 4 %.
  EXPECT_NEAR(gain.weights[0], 1.0 / 0.3, 0.4) << "seed " << kSeed;
  EXPECT_NEAR(gain.weights[0] * (0.3 * 10.0 + 1.0) + gain.base[0], 10.0, 0.5);
  for (const std::size_t other : {1u, 2u, 3u}) {
    EXPECT_EQ(gain.weights[other], 1.0f);
    EXPECT_EQ(gain.base[other], 0.0f);
  }
}

TEST_F(RowHypothesesTest, LeaveAStreamAloneInWhichMostChannelsMoved) {
  const RowStatistics half = Watch(300, [](int, Row& row) { row[0] = row[1] = 30.0f + row[0]; });
  EXPECT_EQ(Names(half), (std::vector<std::string>{"identity", "row_gain"}));
  const RowStatistics most = Watch(300, [](int, Row& row) {
    for (const std::size_t channel : {0u, 1u, 2u}) row[channel] += 30.0f;
  });
  EXPECT_EQ(Names(most), std::vector<std::string>{"identity"});
}

TEST_F(RowHypothesesTest, GiveBackOnlyWhatStandsOutFromWhatAllChannelsDid) {
  // Another mix of classes moves two channels by a deviation each; the third lost its gain.
  const RowStatistics stream = Watch(300, [](int, Row& row) {
    row[0] += 2.0f;
    row[2] += 2.2f;
    row[1] = 0.1f * row[1] + 8.0f;
  });
  ASSERT_EQ(Names(stream), (std::vector<std::string>{"identity", "row_gain"}));
  const InputStep gain = MakeRowHypotheses(reference_, stream).value()[1].steps[0];
  EXPECT_EQ(gain.weights[0], 1.0f);
  EXPECT_EQ(gain.weights[2], 1.0f);
  EXPECT_EQ(gain.base[0], 0.0f);
  EXPECT_NEAR(gain.weights[1], 10.0, 1.2) << "seed " << kSeed;
}

TEST_F(RowHypothesesTest, TryBothTogether) {
  const RowStatistics stream = Watch(300, [](int, Row& row) {
    row[0] = 0.3f * row[0] + 1.0f;
    row[2] = 7.0f;
  });
  EXPECT_EQ(Names(stream),
            (std::vector<std::string>{"identity", "repair(mean)", "repair", "row_gain",
                                      "row_gain + repair(mean)", "row_gain + repair"}));
}

TEST_F(RowHypothesesTest, RefuseAReferenceOfAnotherSizeAndTooFewRows) {
  RowReference small = reference_;
  small.mean = small.mean.first(3);
  const RowStatistics stream = Watch(30, [](int, Row&) {});
  EXPECT_EQ(MakeRowHypotheses(small, stream).error().code, base::ErrorCode::kInvalidArgument);
  EXPECT_TRUE(MakeRowHypotheses(reference_, stream).ok());
  EXPECT_FALSE(MakeRowHypotheses(reference_, Watch(29, [](int, Row&) {})).ok());
}

}  // namespace
}  // namespace tinylcm::adapt
