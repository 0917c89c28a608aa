#include "tinylcm/feature/quant_tree.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tinylcm::feature {
namespace {

constexpr std::size_t kDims = 3;

// Skewed, dependent, on very different scales.
std::vector<float> Rows(std::size_t count, std::uint64_t seed) {
  base::Random random(seed);
  std::vector<float> rows;
  for (std::size_t i = 0; i < count; ++i) {
    const double x = random.Normal();
    rows.push_back(static_cast<float>(100.0 * x));
    rows.push_back(static_cast<float>(x * x + 0.1 * random.Normal()));
    rows.push_back(static_cast<float>(0.01 * random.Uniform()));
  }
  return rows;
}

std::vector<std::size_t> Counts(const QuantTreeTensors& tree, const std::vector<float>& rows) {
  std::vector<std::size_t> counts(tree.bins(), 0);
  for (std::size_t at = 0; at < rows.size(); at += kDims) {
    ++counts[BinOf(tree, std::span(rows).subspan(at, kDims))];
  }
  return counts;
}

TEST(QuantTree, EveryBinHoldsItsShareOfWhatItWasMadeOf) {
  const std::vector<float> rows = Rows(1600, 1);
  base::Random random(2);
  const QuantTreeTensors tree = FitQuantTree(rows, kDims, 16, kDims, random);
  ASSERT_EQ(tree.bins(), 16u);
  for (const std::size_t count : Counts(tree, rows)) EXPECT_EQ(count, 100u);
}

TEST(QuantTree, OthersOfTheSameKindFillTheBinsAlikeAndMovedOnesDoNot) {
  base::Random random(2);
  const QuantTreeTensors tree = FitQuantTree(Rows(1600, 1), kDims, 16, kDims, random);
  // Chi-squared of 15 degrees of freedom, of which 37.7 is the .999 quantile; the fitted bins' own
  // chance (as many samples) doubles it.
  const auto statistic = [&](const std::vector<float>& rows) {
    double sum = 0.0;
    for (const std::size_t count : Counts(tree, rows)) {
      sum += (static_cast<double>(count) - 100.0) * (static_cast<double>(count) - 100.0) / 100.0;
    }
    return sum;
  };
  std::vector<float> others = Rows(1600, 7);
  EXPECT_LT(statistic(others), 2.0 * 37.7);
  // Towards the middle: no distance to anything known grows, and yet.
  for (float& value : others) value *= 0.5f;
  EXPECT_GT(statistic(others), 500.0);
}

TEST(QuantTree, SameRowsAndDrawsGiveTheSameTree) {
  const std::vector<float> rows = Rows(200, 3);
  base::Random one(5), two(5);
  EXPECT_EQ(FitQuantTree(rows, kDims, 16, 2, one), FitQuantTree(rows, kDims, 16, 2, two));
}

TEST(QuantTree, LooksOnlyAtTheNumbersThatVaryMost) {
  base::Random random(2);
  for (const std::uint16_t axis : FitQuantTree(Rows(200, 3), kDims, 16, 1, random).axis) {
    EXPECT_EQ(axis, 0u);
  }
}

TEST(QuantTree, OfTooFewRowsThereIsNone) {
  base::Random random(2);
  EXPECT_EQ(FitQuantTree(Rows(31, 3), kDims, 16, kDims, random).bins(), 0u);
}

TEST(QuantTree, EqualRowsMakeASmallTreeAndEveryVectorHasABin) {
  base::Random random(2);
  const std::vector<float> rows(kDims * 64, 1.0f);
  const QuantTreeTensors tree = FitQuantTree(rows, kDims, 16, kDims, random);
  for (const float value : {-1.0f, 1.0f, 3.0f}) {
    EXPECT_LT(BinOf(tree, std::vector<float>(kDims, value)), tree.bins());
  }
}

TEST(QuantTree, ACutBesideTheVectorOrNotFiniteIsRefused) {
  QuantTreeTensors tree{.axis = {0, 2}, .split = {0.0f, 1.0f}, .is_low = {1, 0}};
  EXPECT_TRUE(Validate(tree, 3).ok());
  EXPECT_EQ(Validate(tree, 2).error().message, "quant tree: cut 1 looks at number 2 of 2");
  tree.split[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(Validate(tree, 3).error().message, "quant tree: cut 0 is not finite");
  tree.split.pop_back();
  EXPECT_EQ(Validate(tree, 3).error().message, "quant tree: cuts of different lengths");
}

}  // namespace
}  // namespace tinylcm::feature
