#include "tinylcm/drift/rank_sketch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/support/allocations.h"

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

RankSketch::Key Draw(base::Random& random, double value) {
  const std::uint64_t bits = random.Next();
  return {static_cast<float>(value), static_cast<std::uint16_t>(bits),
          static_cast<std::uint8_t>(bits >> 16)};
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

// 24 posts stand at 1 to 24; the 25th value, 100, needs room. The cheapest pair of neighbours is
// the one with the largest q(1-q): all weigh the same, so it is in the middle, gaps 12 and 13 of 0
// to 24 (from 12/25 to 14/25; 11 and 12 are as near to a half, from 11/25 to 13/25, and come
// first).
TEST(RankSketch, MakesRoomInTheMiddle) {
  RankSketch sketch;
  for (int i = 1; i <= 24; ++i) sketch.Add({static_cast<float>(i), 7, 0});
  EXPECT_EQ(sketch.edges(), 24u);
  sketch.Add({100.0f, 7, 0});
  EXPECT_EQ(sketch.edges(), 24u);
  EXPECT_EQ(sketch.total(), 26u);
  std::vector<std::uint32_t> expected(25, 1);
  expected[11] = 2;
  EXPECT_EQ(Weights(sketch), expected);
  // Post 12, which stood between the two, is gone: who lands on either side of where it was only
  // adds to the weight.
  sketch.Add({11.5f, 7, 0});
  sketch.Add({12.5f, 7, 0});
  expected[11] = 4;
  EXPECT_EQ(Weights(sketch), expected);
}

// Above all of n the rank is at least n/(n+1), below all at most 1/(n+1), however many there were.
TEST(RankSketch, KeepsItsResolutionAtBothEnds) {
  base::Random random(11);
  RankSketch sketch;
  for (std::uint32_t n = 1; n <= 100'000; ++n) {
    sketch.Add(Draw(random, random.Normal()));
    if (n % 1000 != 0) continue;
    EXPECT_GE(sketch.Rank({100.0f, 0, 0}, 1e-9), 1.0 - 1.0 / (n + 1.0)) << n;
    EXPECT_LE(sketch.Rank({-100.0f, 0, 0}, 1.0 - 1e-9), 1.0 / (n + 1.0)) << n;
  }
}

// In between no gap grows so wide that a rank in it says little: a hundred thousand values, and the
// widest holds less than a third of them.
TEST(RankSketch, KeepsNoGapTooWide) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    base::Random random(seed);
    RankSketch sketch;
    for (int i = 0; i < 100'000; ++i) sketch.Add(Draw(random, random.Normal()));
    EXPECT_LT(std::ranges::max(Weights(sketch)), 33'333u) << "seed " << seed;
  }
}

// Ranks are uniform on (0, 1) and independent, from the first value on, whatever the law.
// Chi-squared over twenty bins, and the correlation with the rank before, each at odds of 1 in
// 10,000 (chi-squared with 19 degrees of freedom: 50.8; a normal score: 3.9).
TEST(RankSketch, GivesUniformAndIndependentRanksWhateverTheLaw) {
  const std::vector<std::pair<std::string, std::function<double(base::Random&)>>> laws = {
      {"normal", [](base::Random& random) { return random.Normal(); }},
      {"log-normal", [](base::Random& random) { return std::exp(random.Normal()); }},
      {"Student 3",
       [](base::Random& random) {
         double squares = 0.0;
         for (int i = 0; i < 3; ++i) squares += std::pow(random.Normal(), 2.0);
         return random.Normal() / std::sqrt(squares / 3.0);
       }},
      {"six levels",
       [](base::Random& random) {
         return std::clamp(std::floor(random.Normal() + 3.0), 0.0, 5.0);
       }},
      {"constant", [](base::Random&) { return 4.0; }},
      {"two values", [](base::Random& random) { return random.Uniform() < 0.1 ? 1.0 : 0.0; }},
  };
  const std::uint64_t seed = 5;
  SCOPED_TRACE(seed);
  for (const auto& [name, law] : laws) {
    base::Random random(seed);
    std::vector<double> bins(20, 0.0);
    double products = 0.0;
    double before = 0.5;
    // Many short lives and a long one, so that the first values count as much as the late ones.
    double count = 0.0;
    for (int life = 0; life < 301; ++life) {
      RankSketch sketch;
      for (int i = 0; i < (life == 300 ? 100'000 : 300); ++i) {
        const RankSketch::Key key = Draw(random, law(random));
        const double rank = sketch.Rank(key, random.Uniform());
        sketch.Add(key);
        bins[static_cast<std::size_t>(rank * 20.0)] += 1.0;
        products += 12.0 * (rank - 0.5) * (before - 0.5);
        before = rank;
        count += 1.0;
      }
    }
    double chi = 0.0;
    for (const double bin : bins) chi += std::pow(bin - count / 20.0, 2.0) / (count / 20.0);
    EXPECT_LT(chi, 50.8) << name;
    EXPECT_LT(std::abs(products / std::sqrt(count)), 3.9) << name;
  }
}

// Who is held counts as one of the gap, but splits nothing, and leaves no trace when let go.
TEST(RankSketch, CountsThoseHeldAndLetsThemGo) {
  base::Random random(2);
  RankSketch sketch;
  for (int i = 0; i < 1000; ++i) sketch.Add(Draw(random, random.Normal()));
  const RankSketch before = sketch;
  const RankSketch::Key middle{0.0f, 1, 0};
  const RankSketch::Gap gap = sketch.Find(middle);
  ASSERT_GT(gap.weight, 1u);
  sketch.Hold(gap);
  // (below + half of (weight + 1)) of 1001 + 1.
  EXPECT_DOUBLE_EQ(sketch.Rank(middle, 0.5), (gap.below + 0.5 * (gap.weight + 1.0)) / 1002.0);
  EXPECT_EQ(sketch.held(), 1u);
  sketch.Release();
  EXPECT_EQ(sketch, before);
}

// First held and then settled is the same as added.
TEST(RankSketch, TakesInThoseHeldAsIfAdded) {
  base::Random random(3);
  RankSketch added;
  for (int i = 0; i < 1000; ++i) added.Add(Draw(random, random.Normal()));
  RankSketch settled = added;
  for (int i = 0; i < 1000; ++i) {
    const RankSketch::Key key = Draw(random, random.Normal());
    added.Add(key);
    settled.Hold(settled.Find(key));
    settled.Settle(key);
    ASSERT_EQ(settled, added) << i;
  }
}

// When one of several held in a gap of weight 1 settles, its gap splits, and each of the others is
// in one of the two.
TEST(RankSketch, IsToldOnWhichSideOfANewPostTheHeldAre) {
  RankSketch sketch = Of({0.0f, 10.0f});
  for (const float value : {2.0f, 5.0f, 7.0f, 8.0f}) sketch.Hold(sketch.Find({value, 7, 0}));
  const std::uint32_t post = sketch.Settle({5.0f, 7, 0});
  ASSERT_EQ(post, 1u);
  sketch.SetHeld(post, 1);  // The 2; the 7 and the 8 are to the right.
  EXPECT_EQ(sketch.Find({3.0f, 7, 0}).held, 1u);
  EXPECT_EQ(sketch.Find({6.0f, 7, 0}).held, 2u);
  EXPECT_EQ(sketch.Find({11.0f, 7, 0}).held, 0u);
}

// Halving keeps the shares, up to rounding, and the ends at weight 1.
TEST(RankSketch, HalvesItsWeightsAndKeepsItsRanks) {
  base::Random random(4);
  RankSketch sketch;
  for (int i = 0; i < 1'000'000; ++i) sketch.Add(Draw(random, random.Normal()));
  RankSketch halved = sketch;
  halved.Halve();
  EXPECT_NEAR(halved.total(), sketch.total() / 2, 25);  // Half a unit a gap, and both ends.
  EXPECT_EQ(halved.weight(0), 1u);
  EXPECT_EQ(halved.weight(halved.edges()), 1u);
  for (const float value : {-3.0f, -1.0f, 0.0f, 1.0f, 3.0f}) {
    EXPECT_NEAR(halved.Rank({value, 0, 0}, 0.5), sketch.Rank({value, 0, 0}, 0.5), 5e-5);
  }
}

TEST(RankSketch, GoesOnFromAWrittenState) {
  base::Random random(6);
  for (const int count : {0, 1, 23, 24, 25, 5000, 3'000'000}) {
    RankSketch sketch;
    for (int i = 0; i < count; ++i) sketch.Add(Draw(random, random.Normal()));
    StateWriter writer;
    sketch.Write(writer);
    const base::Bytes block = std::move(writer).Seal(1, 2);
    // At most a byte, 24 posts of 6 and 25 weights of 5; in fact weights are short.
    EXPECT_LE(block.size(), 32u + 1u + 24u * 6u + 25u * 3u) << count;
    auto reader = StateReader::Open(block, 1, 2);
    RankSketch restored;
    restored.Read(reader.value());
    ASSERT_TRUE(reader.value().AtEnd().ok());
    EXPECT_EQ(restored, sketch) << count;
  }
}

TEST(RankSketch, RefusesWhatNoValuesLeaveBehind) {
  struct Case {
    std::string name;
    std::vector<float> values;
    std::vector<std::uint16_t> ties;
    std::vector<std::uint8_t> weights;
  };
  for (const Case& wrong : std::vector<Case>{
           {"falling posts", {2.0f, 1.0f}, {0, 0}, {1, 1, 1}},
           {"falling ties", {1.0f, 1.0f}, {5, 4}, {1, 1, 1}},
           {"not a number", {std::nanf(""), 1.0f}, {0, 0}, {1, 1, 1}},
           {"an end that is wide", {1.0f, 2.0f}, {0, 0}, {2, 1, 1}},
           {"a gap without weight", {1.0f, 2.0f}, {0, 0}, {1, 0, 1}},
           {"a weight without end", {1.0f}, {0}, {1, 0xff, 0xff, 0xff, 0xff, 0xff}},
       }) {
    StateWriter writer;
    writer.Put(static_cast<std::uint8_t>(wrong.values.size()));
    writer.PutSpan(wrong.values);
    writer.PutSpan(wrong.ties);
    writer.PutSpan(wrong.weights);
    const base::Bytes block = std::move(writer).Seal(1, 2);
    auto reader = StateReader::Open(block, 1, 2);
    RankSketch sketch;
    sketch.Read(reader.value());
    EXPECT_FALSE(reader.value().ok()) << wrong.name;
    EXPECT_EQ(sketch, RankSketch()) << wrong.name;
  }
}

TEST(RankSketch, AllocatesNothing) {
  base::Random random(7);
  const std::uint64_t before = testing_support::Allocations();
  RankSketch sketch;
  for (int i = 0; i < 10'000; ++i) sketch.Add(Draw(random, random.Normal()));
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

}  // namespace
}  // namespace tinylcm::drift
