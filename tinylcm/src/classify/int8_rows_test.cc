// The promise of the int8 scan: whatever the vectors, the answer of the search in float, to the
// bit.

#include "tinylcm/classify/int8_rows.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.h"
#include "tinylcm/classify/knn_classifier.h"
#include "tinylcm/classify/select.h"
#include "tinylcm/src/classify/scan_cases.h"

namespace tinylcm::classify {
namespace {

using Vector = std::vector<float>;

TEST(DotInt8Rows, IsExactAtBothEnds) {
  // 127 * 127 * 1024 = 16,516,096 and its opposite, in rows of every number that folds differently.
  const std::size_t stride = 1024;
  for (const std::size_t count : {1u, 4u, 7u, 8u, 9u, 33u}) {
    std::vector<std::int8_t> query(stride, 127);
    std::vector<std::int8_t> rows(count * stride, 127);
    std::fill(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(stride), std::int8_t{-127});
    std::vector<std::int32_t> dots(count, 1);
    DotInt8Rows(query.data(), rows.data(), count, stride, dots.data());
    EXPECT_EQ(dots[0], -16'516'096);
    for (std::size_t i = 1; i < count; ++i) EXPECT_EQ(dots[i], 16'516'096) << i;
  }
}

TEST(DotInt8Rows, IsThePlainLoops) {
  const std::uint64_t seed = 1;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  for (const std::size_t stride : {64u, 256u, 1280u}) {
    const auto draw = [&](std::size_t count) {
      std::vector<std::int8_t> bytes(count);
      for (std::int8_t& byte : bytes) {
        byte = static_cast<std::int8_t>(static_cast<int>(random.Below(255)) - 127);
      }
      return bytes;
    };
    const std::vector<std::int8_t> query = draw(stride);
    const std::vector<std::int8_t> rows = draw(21 * stride);
    std::vector<std::int32_t> fast(21);
    std::vector<std::int32_t> plain(21);
    DotInt8Rows(query.data(), rows.data(), 21, stride, fast.data());
    plain::DotInt8Rows(query.data(), rows.data(), 21, stride, plain.data());
    EXPECT_EQ(fast, plain);
  }
}

TEST(Coarsen, KnowsTheLengthOfWhatItLeavesOut) {
  // 127 is written as 127 x 1; 0.5 lies half-way, so 0 or 1: the rest is 0.5 long, not shorter, and
  // hardly given as longer.
  Vector vector(kLanes, 0.0f);
  vector[0] = 127.0f;
  vector[1] = 0.5f;
  std::vector<std::int8_t> bytes(kInt8Lanes, 9);
  const Coarse coarse = Coarsen(vector.data(), kLanes, kInt8Lanes, bytes.data());
  EXPECT_EQ(coarse.scale, 1.0f);
  EXPECT_EQ(bytes[0], 127);
  EXPECT_EQ(bytes[2], 0);
  EXPECT_EQ(bytes[kLanes], 0);
  EXPECT_GE(coarse.rest, 0.5f);
  EXPECT_LE(coarse.rest, 0.502f);
}

TEST(Int8Rows, BoundsLieAroundTheDistanceAndNear) {
  const std::uint64_t seed = 2;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  const std::size_t dims = 256;
  const std::size_t count = 64;
  for (const Metric metric : {Metric::kCosine, Metric::kEuclidean}) {
    const auto draw = [&] {
      Vector vector(dims);
      for (float& value : vector) value = static_cast<float>(random.Normal());
      if (metric == Metric::kCosine) {
        const double squares = SumOfSquares(vector.data(), dims);
        Scale(vector.data(), static_cast<float>(1.0 / std::sqrt(squares)), dims, vector.data());
      }
      return vector;
    };
    Int8Rows coarse(metric, dims, count);
    Vector rows;
    for (std::size_t i = 0; i < count; ++i) {
      const Vector row = draw();
      ASSERT_TRUE(coarse.Set(i, row.data()));
      rows.insert(rows.end(), row.begin(), row.end());
    }
    const Vector query = draw();
    Vector low(count), high(count), distances(count);
    ASSERT_TRUE(coarse.Bound(query.data(), count, low.data(), high.data()));
    MeasureRows(metric, query.data(), rows.data(), count, dims, distances.data());
    for (std::size_t i = 0; i < count; ++i) {
      const float measured = metric == Metric::kCosine ? distances[i] : distances[i] * distances[i];
      EXPECT_LE(low[i], measured);
      EXPECT_GE(high[i], measured);
      // Rounding to a byte leaves a rest of largest / 127 / sqrt 12 a number, some 0.7 % of the
      // length; two of those either way.
      EXPECT_LE(high[i] - low[i], 0.035f * (metric == Metric::kCosine ? 1.0f : 512.0f));
    }
  }
}

TEST(Int8Rows, SaysWhatItCannotBound) {
  EXPECT_FALSE(Int8Rows::Can(Metric::kManhattan, 16));
  EXPECT_FALSE(Int8Rows::Can(Metric::kCosine, kInt8DimsMax + 1));
  Anchors anchors;
  anchors.Add(Vector{1.0f, 2.0f}, 0);
  const auto scan = [&](Metric metric) {
    return KnnClassifier::Create({.metric = metric, .scan = Scan::kInt8}, anchors).value().scan();
  };
  EXPECT_EQ(scan(Metric::kCosine), Scan::kInt8);
  EXPECT_EQ(scan(Metric::kEuclidean), Scan::kInt8);
  EXPECT_EQ(scan(Metric::kManhattan), Scan::kFloat);
  anchors.Add(Vector{1e20f, 2.0f}, 0);
  EXPECT_EQ(scan(Metric::kCosine), Scan::kInt8);  // Brought to unit length.
  EXPECT_EQ(scan(Metric::kEuclidean), Scan::kFloat);
}

TEST(Int8Scan, AnswersAsTheSearchInFloatBitForBit) {
  for (std::uint64_t seed = 1; seed <= 1500; ++seed) {
    EXPECT_EQ(DisagreementOfScans(DrawScanCase(seed)), "");
  }
}

TEST(Select, LimitsToFewAndNeverToTooFew) {
  const std::uint64_t seed = 3;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  double picked = 0.0;
  for (int run = 0; run < 200; ++run) {
    Vector values(208);
    for (float& value : values) value = static_cast<float>(random.Uniform());
    Vector sorted = values;
    std::ranges::sort(sorted);
    for (const std::size_t k : {1u, 5u, 16u}) {
      const float limit = LimitOfLeast(values.data(), values.size(), k);
      EXPECT_GE(limit, sorted[k - 1]);
      std::vector<std::uint32_t> places(values.size() + 16);
      const std::size_t found = NotAbove(values.data(), values.size(), limit, places.data());
      std::size_t expected = 0;
      for (std::uint32_t i = 0; i < values.size(); ++i) {
        if (values[i] > limit) continue;
        EXPECT_EQ(places[expected], i);
        expected += 1;
      }
      ASSERT_EQ(found, expected);
      EXPECT_GE(found, k);
      if (k == 5) picked += static_cast<double>(found);
    }
  }
  EXPECT_LE(picked / 200, 7.0);  // Of 208, to find five.
}

}  // namespace
}  // namespace tinylcm::classify
