#include "tinylcm/drift/detectors/bets.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

double Width(std::size_t cell) {
  const auto [near, far] = BetTable::Bounds(cell);
  return far - near;
}

// The middle of a cell, as a rank.
float Middle(std::size_t cell) {
  const auto [near, far] = BetTable::Bounds(cell);
  const double middle = (near + far) / 2.0;
  return static_cast<float>(cell < BetTable::kSide ? middle : 1.0 - middle);
}

TEST(BetTable, CellsLieSideBySideFromZeroToOne) {
  double sum = 0.0;
  for (std::size_t cell = 0; cell < BetTable::kCells; ++cell) {
    sum += Width(cell);
    EXPECT_EQ(BetTable::Cell(Middle(cell)), cell);
  }
  EXPECT_NEAR(sum, 1.0, 1e-12);
  EXPECT_EQ(BetTable::Cell(0.0f), 0u);
  EXPECT_EQ(BetTable::Cell(1.0f), BetTable::kSide);
  EXPECT_EQ(BetTable::Cell(0.5f), BetTable::kCells - 1);
  EXPECT_EQ(BetTable::Cell(std::nextafter(0.5f, 0.0f)), BetTable::kSide - 1);
}

TEST(BetTable, NoFixedBetCanExpectToWinWhileRanksAreUniform) {
  for (std::size_t b = 0; b < kFixedBets; ++b) {
    double mean = 0.0;
    for (std::size_t cell = 0; cell < BetTable::kCells; ++cell) {
      mean += Width(cell) * static_cast<double>(BetTable::Get().Row(cell)[b]);
    }
    // Floats are rounded to 6e-8 of themselves.
    EXPECT_NEAR(mean, 1.0, 1e-6) << Name(kAllBets[b].kind) << " " << kAllBets[b].size;
  }
}

TEST(BetTable, ABetPaysHowMuchLikelierItMakesTheRank) {
  for (const double z : {-2.5, -1.0, -0.2, 0.3, 1.4, 2.8}) {
    const float* row =
        BetTable::Get().Row(BetTable::Cell(static_cast<float>(NormalProbability(z))));
    for (std::size_t b = 0; b < kFixedBets; ++b) {
      const Bet& bet = kAllBets[b];
      const double l =
          bet.kind == BetKind::kFall || bet.kind == BetKind::kSomeFall ? -bet.size : bet.size;
      const bool scales = bet.kind == BetKind::kWider || bet.kind == BetKind::kNarrower;
      // Densities of N(l, 1) and of N(0, l^2) over that of N(0, 1).
      const double ratio = scales ? std::exp(z * z / 2.0 * (1.0 - 1.0 / (l * l))) / l
                                  : std::exp(l * z - l * l / 2.0);
      // A cell is an eighth of a halving of the tail: at most .09 wide in z.
      EXPECT_NEAR(std::log(static_cast<double>(row[b])),
                  std::log(1.0 - bet.part + bet.part * ratio), 0.09 * (bet.size + 1.0))
          << Name(bet.kind) << " " << bet.size << " at z " << z;
    }
  }
}

TEST(Bets, WeightsAddUpToOne) {
  double number = 0.0;
  double category = 0.0;
  for (const Bet& bet : kAllBets) {
    number += bet.number_weight;
    category += bet.category_weight;
  }
  EXPECT_NEAR(number, 1.0, 1e-12);
  EXPECT_NEAR(category, 1.0, 1e-12);
}

TEST(Bets, ShapeBetsAreFairWhateverCameBefore) {
  RecentShape shape;
  base::Random random(5);
  // Squares of uniform numbers: much more often low.
  for (int i = 0; i < 100; ++i) {
    const double u = random.Uniform();
    Pay(BetTable::Get(), static_cast<float>(u * u), shape);
  }
  for (std::size_t s = 0; s < kShapeBets; ++s) {
    double mean = 0.0;
    float highest = 0.0f;
    for (std::size_t bin = 0; bin < RecentShape::kBins; ++bin) {
      RecentShape copy = shape;
      const float u = (static_cast<float>(bin) + 0.5f) / static_cast<float>(RecentShape::kBins);
      const float pays = Pay(BetTable::Get(), u, copy)[kFixedBets + s];
      mean += static_cast<double>(pays) / RecentShape::kBins;
      highest = std::max(highest, pays);
    }
    EXPECT_NEAR(mean, 1.0, 1e-5);
    EXPECT_GT(highest, 1.5f);  // P(u^2 < 1/16) = 1/4, four times the usual.
  }
}

TEST(Bets, AShapeBetPaysByWhatCameBeforeAndThenLearns) {
  RecentShape shape;
  const Bet& bet = kAllBets[kFixedBets];
  ASSERT_EQ(bet.kind, BetKind::kShape);
  // All sixteenths alike at first: 1. Then the one that came has 1/16 (1 - 1/n) + 1/n.
  EXPECT_NEAR(Pay(BetTable::Get(), 0.3f, shape)[kFixedBets], 1.0f, 1e-6f);
  const double share = (1.0 - 1.0 / bet.size) / 16.0 + 1.0 / bet.size;
  EXPECT_NEAR(Pay(BetTable::Get(), 0.3f, shape)[kFixedBets],
              1.0 - bet.part + bet.part * 16.0 * share, 1e-5);
}

TEST(Bets, CapitalAndAgeAreThoseWorkedOutByHand) {
  Stakes stakes;
  BetWeights weights{};
  weights[0] = 1.0f;
  Payment payment;
  payment.fill(2.0f);
  // (0 + 1) 2 = 2, lent just now. (2 + 1) 2 = 6, of which 4 are one sample old. Three samples later
  // (6 + 1) 0.5 = 3.5, of which 2 were lent 4 samples ago, 1 three samples ago, 0.5 now: 11.
  EXPECT_EQ(Play(payment, 1.0f, 1.0f, weights, stakes), 2.0f);
  EXPECT_EQ(stakes.age[0], 0.0f);
  EXPECT_EQ(Play(payment, 1.0f, 1.0f, weights, stakes), 6.0f);
  EXPECT_EQ(stakes.age[0], 4.0f);
  payment.fill(0.5f);
  EXPECT_EQ(Play(payment, 1.0f, 3.0f, weights, stakes), 3.5f);
  EXPECT_EQ(stakes.age[0], 11.0f);
}

TEST(Bets, NobodyOwnsMoreThanANumberCanHold) {
  Stakes stakes;
  RecentShape shape;
  const BetWeights weights = NumberWeights();
  for (int i = 0; i < 100'000; ++i) {
    Play(Pay(BetTable::Get(), 1.0f, shape), 1.0f, 1.0f, weights, stakes);
  }
  for (std::size_t b = 0; b < kBets; ++b) {
    EXPECT_TRUE(std::isfinite(stakes.capital[b]));
    EXPECT_TRUE(std::isfinite(stakes.age[b]));
    EXPECT_GT(stakes.capital[b], 0.0f);  // Nor nothing: the coin of the day.
  }
}

TEST(Bets, TheLimitIsTheRunLengthOverTheOvershoot) {
  for (const double run_length : {10.0, 1e3, 3e5, 1e12}) {
    const auto over = [](double limit) { return RunLengthOverLimit(Game::kNumber, limit); };
    const double limit = LimitForRunLength(run_length, over);
    EXPECT_NEAR(limit * over(limit), run_length, 1e-9 * run_length);
    EXPECT_LT(limit, run_length);
  }
}

TEST(Stakes, RefuseWhatNoGameLeavesBehind) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float wrong : {-1.0f, nan, 1e31f}) {
    Stakes stakes;
    stakes.capital[3] = wrong;
    StateWriter writer;
    stakes.Write(writer);
    const base::Bytes block = std::move(writer).Seal(1, 2);
    auto reader = StateReader::Open(block, 1, 2);
    ASSERT_TRUE(reader.ok());
    Stakes restored;
    restored.Read(*reader);
    EXPECT_FALSE(reader->AtEnd().ok()) << wrong;
  }
}

}  // namespace
}  // namespace tinylcm::drift
