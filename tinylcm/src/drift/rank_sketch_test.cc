#include "tinylcm/drift/rank_sketch.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

#include "base/random.h"

namespace tinylcm::drift {
namespace {

// The weights of all gaps, left to right.
std::vector<std::uint32_t> Weights(const RankSketch& sketch) {
  std::vector<std::uint32_t> weights;
  for (std::uint32_t at = 0; at <= sketch.edges(); ++at) weights.push_back(sketch.weight(at));
  return weights;
}

RankSketch Of(std::initializer_list<float> values) {
  RankSketch sketch;
  for (const float value : values) sketch.Add({value, 7, 0});
  return sketch;
}

TEST(RankSketch, KnowsNothingBeforeTheFirstValue) {
  // One gap, the whole line: the rank is the draw.
  EXPECT_DOUBLE_EQ(RankSketch().Rank({3.0f, 0, 0}, 0.25), 0.25);
}

TEST(RankSketch, PlacesAValueBetweenThoseSeen) {
  const RankSketch sketch = Of({20.0f, 10.0f, 30.0f});
  EXPECT_EQ(Weights(sketch), (std::vector<std::uint32_t>{1, 1, 1, 1}));
  // Four gaps of a quarter each; the draw says where in its own.
  EXPECT_DOUBLE_EQ(sketch.Rank({5.0f, 0, 0}, 0.5), 0.125);
  EXPECT_DOUBLE_EQ(sketch.Rank({15.0f, 0, 0}, 0.5), 0.375);
  EXPECT_DOUBLE_EQ(sketch.Rank({25.0f, 0, 0}, 0.5), 0.625);
  EXPECT_DOUBLE_EQ(sketch.Rank({35.0f, 0, 0}, 0.5), 0.875);
}

TEST(RankSketch, TellsEqualValuesApartByTheirTies) {
  RankSketch sketch;
  sketch.Add({1.0f, 100, 0});
  sketch.Add({1.0f, 300, 0});
  EXPECT_EQ(sketch.Find({1.0f, 50, 0}).at, 0u);
  EXPECT_EQ(sketch.Find({1.0f, 200, 0}).at, 1u);
  EXPECT_EQ(sketch.Find({1.0f, 400, 0}).at, 2u);
  EXPECT_EQ(sketch.Find({0.5f, 400, 0}).at, 0u);
  EXPECT_EQ(sketch.Find({1.5f, 50, 0}).at, 2u);
  // Where the ties are equal too, a coin a post: tails stays left, heads goes right.
  EXPECT_EQ(sketch.Find({1.0f, 100, 0}).at, 0u);
  EXPECT_EQ(sketch.Find({1.0f, 100, 1}).at, 1u);
}

}  // namespace
}  // namespace tinylcm::drift
