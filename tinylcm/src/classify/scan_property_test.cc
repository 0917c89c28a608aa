// Properties of the search, on random cases that RapidCheck shrinks when one does not hold.

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "tinylcm/src/classify/scan_cases.h"

namespace tinylcm::classify {
namespace {

rc::Gen<Metric> AnyMetric() {
  return rc::gen::element(Metric::kCosine, Metric::kEuclidean, Metric::kManhattan);
}

TEST(Int8Scan, AnswersAsTheSearchInFloatBitForBit) {
  EXPECT_TRUE(rc::check("the int8 scan answers as the one in float", [] {
    ScanCase wanted;
    wanted.seed = *rc::gen::arbitrary<std::uint64_t>();
    wanted.metric = *AnyMetric();
    wanted.dims = *rc::gen::inRange<std::size_t>(1, 300);
    wanted.k = *rc::gen::inRange<std::uint32_t>(1, kNeighboursMax + 1);
    wanted.anchors = *rc::gen::inRange<std::size_t>(1, 130);
    wanted.memory = *rc::gen::inRange<std::size_t>(0, 40);
    const std::string disagreement = DisagreementOfScans(wanted);
    RC_LOG() << disagreement;
    RC_ASSERT(disagreement.empty());
  }));
}

// And the search in float is the obvious one: measure all, sort by distance and index.
TEST(KnnClassifier, FindsTheFirstOfAllSorted) {
  EXPECT_TRUE(rc::check("the search finds the first of all sorted", [] {
    const auto seed = *rc::gen::arbitrary<std::uint64_t>();
    const auto metric = *AnyMetric();
    const auto count = static_cast<std::size_t>(*rc::gen::inRange(1, 130));
    const auto k = static_cast<std::uint32_t>(*rc::gen::inRange(1, 17));
    const std::size_t dims = kLanes;
    base::Random random(seed);
    std::vector<Vector> drawn;
    Anchors anchors;
    for (std::size_t i = 0; i < count; ++i) {
      drawn.push_back(DrawVector(random, dims, drawn));
      anchors.Add(drawn.back(), 0);
    }
    KnnClassifier knn =
        KnnClassifier::Create({.classes = 1, .k = k, .metric = metric}, anchors).value();
    const auto unit = [&](Vector vector) {
      const double squares = plain::SumOfSquares(vector.data(), dims);
      const float factor = squares > 1e-76 ? static_cast<float>(1.0 / std::sqrt(squares)) : 0.0f;
      if (metric == Metric::kCosine) {
        for (float& value : vector) value *= factor;
      }
      return vector;
    };
    const Vector query = unit(DrawVector(random, dims, drawn));
    std::vector<std::pair<float, std::uint32_t>> all;
    for (std::uint32_t i = 0; i < count; ++i) {
      float distance = 0.0f;
      plain::MeasureRows(metric, unit(query).data(), unit(drawn[i]).data(), 1, dims, &distance);
      all.emplace_back(distance, i);
    }
    std::ranges::sort(all);
    const Prediction prediction = knn.Classify(query);
    RC_ASSERT(prediction.neighbour_count == std::min<std::size_t>(k, count));
    for (std::size_t i = 0; i < prediction.neighbour_count; ++i) {
      RC_ASSERT(prediction.neighbours[i].anchor == all[i].second);
      RC_ASSERT(prediction.neighbours[i].distance == all[i].first);
    }
  }));
}

}  // namespace
}  // namespace tinylcm::classify
