#include "tinylcm/classify/distance.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "tinylcm/feature/project.h"

namespace tinylcm::classify {
namespace {

std::vector<float> Noise(base::Random& random, std::size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclidean, Metric::kManhattan};

TEST(Distance, GivesTheSameBitsAsThePlainLoops) {
  const std::uint64_t seed = 1;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  for (const std::size_t stride : {16u, 64u, 256u, 1280u}) {
    for (const std::size_t count : {0u, 1u, 3u, 4u, 5u, 8u, 31u}) {
      const std::vector<float> query = Noise(random, stride);
      const std::vector<float> rows = Noise(random, count * stride);
      std::vector<float> fast(count + 1, 7.0f);
      std::vector<float> plain(count + 1, 7.0f);

      DotRows(query.data(), rows.data(), count, stride, fast.data());
      plain::DotRows(query.data(), rows.data(), count, stride, plain.data());
      EXPECT_EQ(fast, plain) << "dot " << count << " x " << stride;

      feature::Project(query.data(), rows.data(), count, stride, fast.data());
      EXPECT_EQ(fast, plain) << "project " << count << " x " << stride;

      for (const Metric metric : kMetrics) {
        MeasureRows(metric, query.data(), rows.data(), count, stride, fast.data());
        plain::MeasureRows(metric, query.data(), rows.data(), count, stride, plain.data());
        EXPECT_EQ(fast, plain) << Name(metric) << " " << count << " x " << stride;

        // Every second row, from the last to the first.
        std::vector<std::uint32_t> which;
        for (std::size_t i = count; i >= 2; i -= 2) {
          which.push_back(static_cast<std::uint32_t>(i - 1));
        }
        std::vector<float> chosen(which.size());
        MeasureChosen(metric, query.data(), rows.data(), stride, which.data(), which.size(),
                      chosen.data());
        for (std::size_t i = 0; i < which.size(); ++i) EXPECT_EQ(chosen[i], plain[which[i]]);
      }
      EXPECT_EQ(SumOfSquares(query.data(), stride), plain::SumOfSquares(query.data(), stride));
    }
  }
}

TEST(Distance, ComputesWhatItSays) {
  // 1..16 against all 2: dot 2 * 136; squared (1-2)^2 + ... + (16-2)^2 = 1 + 0 + 1 + 4 + ... + 196
  // = 1 + 1015; absolute 1 + 0 + 1 + ... + 14 = 106.
  std::vector<float> query(kLanes);
  for (std::size_t i = 0; i < kLanes; ++i) query[i] = static_cast<float>(i + 1);
  const std::vector<float> row(kLanes, 2.0f);
  float out = 0.0f;
  DotRows(query.data(), row.data(), 1, kLanes, &out);
  EXPECT_EQ(out, 272.0f);
  const auto distance = [&](Metric metric) {
    MeasureRows(metric, query.data(), row.data(), 1, kLanes, &out);
    return out;
  };
  EXPECT_EQ(distance(Metric::kEuclidean), std::sqrt(1016.0f));
  EXPECT_EQ(distance(Metric::kManhattan), 106.0f);
  EXPECT_EQ(distance(Metric::kCosine), 0.0f);             // 1 - 272, not below 0.
  EXPECT_EQ(SumOfSquares(query.data(), kLanes), 1496.0);  // 16 * 17 * 33 / 6.
  Scale(query.data(), -0.5f, kLanes, query.data());
  EXPECT_EQ(query[15], -8.0f);
}

TEST(Metric, IsReadByName) {
  for (const Metric metric : kMetrics) {
    ASSERT_TRUE(ParseMetric(Name(metric)).ok());
    EXPECT_EQ(*ParseMetric(Name(metric)), metric);
  }
  EXPECT_EQ(ParseMetric("beeline").error().code, base::ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tinylcm::classify
