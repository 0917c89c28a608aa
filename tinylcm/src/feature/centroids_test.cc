#include "tinylcm/feature/centroids.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "tests/support/allocations.h"

namespace tinylcm::feature {
namespace {

// Two classes whose clouds are long along the first number (sd 10) and flat along the others (sd
// 1).
struct Cloud {
  std::vector<float> rows;
  std::vector<std::uint16_t> labels;
};

Cloud Draw(std::size_t count, std::size_t dims, std::uint64_t seed) {
  base::Random random(seed);
  Cloud cloud;
  for (std::size_t i = 0; i < count; ++i) {
    const auto label = static_cast<std::uint16_t>(i % 2);
    cloud.labels.push_back(label);
    for (std::size_t j = 0; j < dims; ++j) {
      const double middle = label == 1 && j == 1 ? 50.0 : 0.0;
      cloud.rows.push_back(static_cast<float>(middle + (j == 0 ? 10.0 : 1.0) * random.Normal()));
    }
  }
  return cloud;
}

TEST(Centroids, DistanceIsInTheCloudsOwnWidths) {
  const Cloud cloud = Draw(4000, 4, 1);
  for (const std::size_t rank : {4u, 1u}) {  // All axes; the longest alone, one width for the rest.
    const CentroidTensors tensors = FitCentroids(cloud.rows, 4, cloud.labels, 2, rank);
    ASSERT_TRUE(Validate(tensors, 2, 4).ok());
    Centroids centroids(tensors);
    // Shrinking adds .03 of the mean variance, (100 + 1 + 1 + 1) / 4, to .97 of each: widths
    // squared are 97.8 and 1.74.
    EXPECT_NEAR(centroids.Distance(std::vector<float>{20, 0, 0, 0}, 0), 400.0 / 97.8, 0.3) << rank;
    EXPECT_NEAR(centroids.Distance(std::vector<float>{0, 0, 0, 3}, 0), 9.0 / 1.74, 0.5) << rank;
    EXPECT_NEAR(centroids.Distance(std::vector<float>{0, 53, 0, 0}, 1), 9.0 / 1.74, 0.5) << rank;
    EXPECT_LT(centroids.Distance(std::vector<float>{0, 50, 0, 0}, 1), 0.05) << rank;
  }
}

TEST(Centroids, TheMeanDistanceOfTheCloudItselfIsAboutItsDimensions) {
  constexpr std::size_t kDims = 70;
  const Cloud cloud = Draw(2000, kDims, 2);
  Centroids centroids(FitCentroids(cloud.rows, kDims, cloud.labels, 2, 32));
  double sum = 0.0;
  for (std::size_t i = 0; i < 2000; ++i) {
    sum += centroids.Distance(std::span(cloud.rows).subspan(i * kDims, kDims), cloud.labels[i]);
  }
  // Mean variance (100 + 69) / 70 = 2.41; the rest is divided by .97 * 1 + .03 * 2.41 = 1.04.
  EXPECT_NEAR(sum / 2000.0, 69.0 / 1.04 + 1.0, 2.0);
}

TEST(Centroids, AClassWithoutASampleIsNotKnown) {
  const Cloud cloud = Draw(50, 4, 1);
  const Centroids centroids(FitCentroids(cloud.rows, 4, cloud.labels, 3, 4));
  EXPECT_TRUE(centroids.knows(1));
  EXPECT_FALSE(centroids.knows(2));
  EXPECT_FALSE(centroids.knows(99));
}

TEST(Centroids, OfTooFewRowsOrEqualOnesThereAreNone) {
  const Cloud cloud = Draw(3, 4, 1);
  EXPECT_TRUE(FitCentroids(cloud.rows, 4, cloud.labels, 2, 4).centroids.empty());
  const std::vector<std::uint16_t> labels(20, 0);
  EXPECT_TRUE(FitCentroids(std::vector<float>(80, 1.0f), 4, labels, 1, 4).centroids.empty());
}

TEST(Centroids, DistanceTakesNothingFromTheHeap) {
  const Cloud cloud = Draw(200, 40, 1);
  Centroids centroids(FitCentroids(cloud.rows, 40, cloud.labels, 2, 32));
  const auto before = testing_support::Allocations();
  float sum = 0.0f;
  for (int i = 0; i < 100; ++i) sum += centroids.Distance(std::span(cloud.rows).first(40), 0);
  EXPECT_EQ(testing_support::Allocations(), before);
  EXPECT_GT(sum, 0.0f);
}

TEST(Centroids, WhatDoesNotFitTogetherIsRefused) {
  const Cloud cloud = Draw(50, 4, 1);
  CentroidTensors tensors = FitCentroids(cloud.rows, 4, cloud.labels, 2, 4);
  EXPECT_EQ(Validate(tensors, 3, 4).error().message, "centroids: 8 numbers, expected 3 x 4");
  tensors.axes[3] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(Validate(tensors, 2, 4).error().message, "centroids: a number is not finite");
  tensors.axes.pop_back();
  EXPECT_EQ(Validate(tensors, 2, 4).error().message, "centroids: axes of another size");
}

TEST(Ways, AStepTowardsTheChangeCountsInTheCloudsOwnWidths) {
  const Cloud cloud = Draw(4000, 4, 1);
  // The change moves class 0 by 3 along the last number (sd 1) and class 1 by 30 along the first
  // (sd 10).
  std::vector<std::vector<float>> changed = {cloud.rows};
  for (std::size_t i = 0; i < cloud.labels.size(); ++i) {
    if (cloud.labels[i] == 0) changed[0][i * 4 + 3] += 3.0f;
    if (cloud.labels[i] == 1) changed[0][i * 4] += 30.0f;
  }
  const WayTensors tensors = FitWays(cloud.rows, 4, cloud.labels, 2, changed);
  ASSERT_TRUE(Validate(tensors, 2, 4).ok());
  Ways ways(tensors, 2);
  // From 1.5 widths before half-way to as many behind it.
  EXPECT_NEAR(ways.Along(std::vector<float>{0, 0, 0, 0}, 0), -1.5f, 0.1f);
  EXPECT_NEAR(ways.Along(std::vector<float>{0, 0, 0, 3}, 0), 1.5f, 0.1f);
  EXPECT_NEAR(ways.Along(std::vector<float>{0, 50, 0, 0}, 1), -1.5f, 0.1f);
  EXPECT_NEAR(ways.Along(std::vector<float>{30, 50, 0, 0}, 1), 1.5f, 0.1f);
  // Off the way it goes nowhere.
  EXPECT_NEAR(ways.Along(std::vector<float>{0, 3, 0, 0}, 0), -1.5f, 0.3f);
}

TEST(Ways, OfSeveralChangesTheNearestCounts) {
  const Cloud cloud = Draw(1000, 3, 4);
  std::vector<std::vector<float>> changed = {cloud.rows, cloud.rows};
  for (std::size_t i = 0; i < cloud.labels.size(); ++i) {
    changed[0][i * 3 + 2] += 4.0f;
    changed[1][i * 3 + 2] -= 4.0f;
  }
  Ways ways(FitWays(cloud.rows, 3, cloud.labels, 2, changed), 2);
  for (const float moved : {4.0f, -4.0f}) {
    EXPECT_GT(ways.Along(std::vector<float>{0, 0, moved}, 0), 1.5f) << moved;
  }
  EXPECT_LT(ways.Along(std::vector<float>{0, 0, 0}, 0), -1.5f);
}

TEST(Ways, WithoutAChangeThereAreNoneAndOthersThanTheClassesAreRefused) {
  const Cloud cloud = Draw(50, 3, 4);
  EXPECT_TRUE(FitWays(cloud.rows, 3, cloud.labels, 2, {}).ways.empty());
  const std::vector<std::vector<float>> changed = {cloud.rows};
  const WayTensors tensors = FitWays(cloud.rows, 3, cloud.labels, 2, changed);
  EXPECT_EQ(Validate(tensors, 2, 4).error().message,
            "ways: 6 numbers for 2 ways of 2 classes in 4 dimensions");
}

}  // namespace
}  // namespace tinylcm::feature
