#include "tinylcm/feature/processor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

#include "base/random.h"
#include "tests/support/allocations.h"
#include "tests/support/npy.h"
#include "tinylcm/feature/project.h"

namespace tinylcm::feature {
namespace {

using Vector = std::vector<float>;

Vector Apply(const ProcessorTensors& tensors, const Vector& raw) {
  Processor processor = Processor::Create(tensors).value();
  Vector feature(processor.feature_count());
  processor.Apply(raw, feature);
  return feature;
}

TEST(Processor, Standardises) {
  EXPECT_EQ(Apply({.mean = {1.0f, 10.0f}, .scale = {2.0f, 5.0f}}, {5.0f, 0.0f}),
            (Vector{2.0f, -2.0f}));
}

TEST(Processor, ProjectsWhatIsStandardised) {
  // (5 - 1) / 2 = 2 and (0 - 10) / 5 = -2, less {1, 0}: {1, -2}. On {1, 1}: -1; on {3, 0}: 3; on
  // {0, -1}: 2.
  const ProcessorTensors tensors{.mean = {1.0f, 10.0f},
                                 .scale = {2.0f, 5.0f},
                                 .projection_mean = {1.0f, 0.0f},
                                 .projection = {1.0f, 1.0f, 3.0f, 0.0f, 0.0f, -1.0f}};
  EXPECT_EQ(Apply(tensors, {5.0f, 0.0f}), (Vector{-1.0f, 3.0f, 2.0f}));
}

TEST(Processor, TheIdentityChangesNothing) {
  Processor identity = Processor::Identity(3);
  Vector feature(3);
  identity.Apply(Vector{1.5f, -2.0f, 0.0f}, feature);
  EXPECT_EQ(feature, (Vector{1.5f, -2.0f, 0.0f}));
}

TEST(Processor, ProjectsWithBytes) {
  // As above, the axes {1, 1}, {3, 0} and {0, -1} as {127, 127}, {127, 0} and {0, -127} with scales
  // of largest / 127: exact but for the input {1, -2}, rounded to steps of 2 / 8191.
  const ProcessorTensors tensors{.mean = {1.0f, 10.0f},
                                 .scale = {2.0f, 5.0f},
                                 .projection_mean = {1.0f, 0.0f},
                                 .projection = {1.0f, 1.0f, 3.0f, 0.0f, 0.0f, -1.0f}};
  const auto quantised = QuantiseProjection(tensors);
  ASSERT_TRUE(quantised.ok());
  EXPECT_EQ(quantised->projection_i8, (std::vector<std::int8_t>{127, 127, 127, 0, 0, -127}));
  EXPECT_EQ(quantised->feature_count(), 3u);
  const Vector feature = Apply(*quantised, {5.0f, 0.0f});
  EXPECT_NEAR(feature[0], -1.0f, 2.0f / 8191);
  EXPECT_NEAR(feature[1], 3.0f, 6.0f / 8191);
  EXPECT_NEAR(feature[2], 2.0f, 1e-6f);  // The largest is met.
  EXPECT_EQ(Apply(*quantised, {3.0f, 10.0f}), (Vector{0.0f, 0.0f, 0.0f}));
  EXPECT_FALSE(QuantiseProjection({.mean = {1.0f}, .scale = {1.0f}}).ok());
}

// Rounding to whole numbers and their sums leave nothing to the machine.
TEST(Processor, ProjectsWithBytesToTheSameBitsAsPlainLoops) {
  const std::uint64_t seed = 5;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  for (const std::size_t count : {3u, 64u, 100u, 1280u, 4000u}) {
    const std::size_t dims = 13;
    ProcessorTensors tensors;
    const auto noise = [&](std::size_t numbers) {
      Vector values(numbers);
      for (float& value : values) value = static_cast<float>(random.Normal());
      return values;
    };
    tensors.mean = noise(count);
    tensors.scale.assign(count, 0.7f);
    tensors.projection = noise(dims * count);
    const ProcessorTensors quantised = QuantiseProjection(tensors).value();
    const Vector raw = noise(count);

    Vector centered(count);
    float largest = 0.0f;
    for (std::size_t i = 0; i < count; ++i) {
      centered[i] = (raw[i] - tensors.mean[i]) / tensors.scale[i];
      largest = std::max(largest, std::abs(centered[i]));
    }
    const auto most = static_cast<float>(WholeMax(Int8Stride(count)));
    Vector expected;
    for (std::size_t axis = 0; axis < dims; ++axis) {
      std::int64_t sum = 0;
      for (std::size_t i = 0; i < count; ++i) {
        const auto whole =
            static_cast<std::int64_t>(std::nearbyint(centered[i] * (most / largest)));
        sum += whole * quantised.projection_i8[axis * count + i];
      }
      expected.push_back(static_cast<float>(sum) * (largest / most) *
                         quantised.projection_scale[axis]);
    }
    EXPECT_EQ(Apply(quantised, raw), expected) << count;
  }
}

TEST(Processor, RefusesBytesThatDoNotFitTogether) {
  const ProcessorTensors good{.mean = {0.0f, 0.0f},
                              .scale = {1.0f, 1.0f},
                              .projection_mean = {},
                              .projection = {},
                              .projection_i8 = {1, -127},
                              .projection_scale = {1.0f}};
  EXPECT_TRUE(Processor::Create(good).ok());
  std::vector<ProcessorTensors> wrong(6, good);
  wrong[0].projection = {1.0f, 2.0f};
  wrong[1].projection_i8.pop_back();
  wrong[2].projection_i8[0] = -128;
  wrong[3].projection_scale.clear();
  wrong[4].projection_scale[0] = 0.0f;
  wrong[5].projection_scale[0] = std::numeric_limits<float>::infinity();
  for (const ProcessorTensors& tensors : wrong) {
    EXPECT_EQ(Processor::Create(tensors).error().code, base::ErrorCode::kInvalidArgument);
  }
}

TEST(Processor, RefusesTensorsThatDoNotFitTogether) {
  const ProcessorTensors good{.mean = {0.0f, 0.0f},
                              .scale = {1.0f, 1.0f},
                              .projection_mean = {},
                              .projection = {1.0f, 2.0f}};
  EXPECT_TRUE(Processor::Create(good).ok());
  std::vector<ProcessorTensors> wrong(7, good);
  wrong[0].mean.clear();
  wrong[1].scale.pop_back();
  wrong[2].scale[0] = 0.0f;
  wrong[3].mean[0] = std::numeric_limits<float>::quiet_NaN();
  wrong[4].projection.pop_back();
  wrong[5].projection_mean = {1.0f};
  wrong[6].projection.clear();
  wrong[6].projection_mean = {1.0f, 1.0f};
  for (const ProcessorTensors& tensors : wrong) {
    const auto processor = Processor::Create(tensors);
    ASSERT_FALSE(processor.ok());
    EXPECT_EQ(processor.error().code, base::ErrorCode::kInvalidArgument);
  }
}

TEST(Processor, AllocatesNothingPerCall) {
  Processor processor = Processor::Create({.mean = {0.0f, 0.0f},
                                           .scale = {1.0f, 1.0f},
                                           .projection_mean = {},
                                           .projection = {1.0f, 2.0f}})
                            .value();
  const Vector raw = {1.0f, 2.0f};
  Vector feature(1);
  const std::uint64_t before = testing_support::Allocations();
  for (int i = 0; i < 100; ++i) processor.Apply(raw, feature);
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

TEST(FitStandardise, FindsMeanAndDeviation) {
  // Columns {1, 3} and {-4, 4}: means 2 and 0, deviations 1 and 4.
  const auto tensors = FitStandardise(Vector{1.0f, -4.0f, 3.0f, 4.0f}, 2);
  ASSERT_TRUE(tensors.ok());
  EXPECT_EQ(tensors->mean, (Vector{2.0f, 0.0f}));
  EXPECT_EQ(tensors->scale, (Vector{1.0f, 4.0f}));
}

TEST(FitStandardise, OnlyCentresAConstantChannel) {
  const auto tensors = FitStandardise(Vector{1.0f, 7.0f, 3.0f, 7.0f}, 2);
  ASSERT_TRUE(tensors.ok());
  EXPECT_EQ(tensors->mean[1], 7.0f);
  EXPECT_EQ(tensors->scale[1], 1.0f);
}

TEST(FitPca, FindsTheAxisAlongWhichPointsLie) {
  // (t, 2t) and its mirror image at a tenth across: the main axis is (1, 2) / sqrt 5, the next one
  // (2, -1) / sqrt 5 with its largest component positive.
  Vector rows;
  for (int i = -50; i <= 50; ++i) {
    const float t = 0.02f * static_cast<float>(i);
    const float across = i % 2 == 0 ? 0.1f : -0.1f;
    rows.insert(rows.end(), {t + 2.0f * across, 2.0f * t - across});
  }
  const auto fitted = FitPca({.mean = {0.0f, 0.0f}, .scale = {1.0f, 1.0f}}, rows, 2);
  ASSERT_TRUE(fitted.ok());
  ASSERT_EQ(fitted->projection.size(), 4u);
  const float root = std::sqrt(5.0f);
  EXPECT_NEAR(fitted->projection[0], 1.0f / root, 1e-3f);
  EXPECT_NEAR(fitted->projection[1], 2.0f / root, 1e-3f);
  EXPECT_NEAR(fitted->projection[2], 2.0f / root, 1e-3f);
  EXPECT_NEAR(fitted->projection[3], -1.0f / root, 1e-3f);
}

TEST(FitPca, GivesUncorrelatedFeaturesInFallingOrderAndKeepsDistances) {
  const std::uint64_t seed = 1;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  const std::size_t count = 12;
  const std::size_t row_count = 200;
  Vector mix(count * count);
  for (float& value : mix) value = static_cast<float>(random.Normal());
  Vector rows;
  for (std::size_t row = 0; row < row_count; ++row) {
    Vector source(count);
    for (float& value : source) value = static_cast<float>(random.Normal());
    for (std::size_t i = 0; i < count; ++i) {
      float value = 3.0f;
      for (std::size_t j = 0; j < count; ++j) value += mix[i * count + j] * source[j];
      rows.push_back(value);
    }
  }
  const auto scaled = FitStandardise(rows, count);
  ASSERT_TRUE(scaled.ok());
  const auto fitted = FitPca(*scaled, rows, count);
  ASSERT_TRUE(fitted.ok());
  EXPECT_EQ(*FitPca(*scaled, rows, count), *fitted);  // Same rows, same bits.

  Processor processor = Processor::Create(*fitted).value();
  std::vector<std::vector<double>> products(count, std::vector<double>(count, 0.0));
  Vector feature(count);
  double raw_squares = 0.0;
  double feature_squares = 0.0;
  Vector standardised(count);
  for (std::size_t row = 0; row < row_count; ++row) {
    const auto raw = std::span(rows).subspan(row * count, count);
    processor.Apply(raw, feature);
    processor.Standardise(raw, standardised);
    for (std::size_t i = 0; i < count; ++i) {
      raw_squares += static_cast<double>(standardised[i] * standardised[i]);
      feature_squares += static_cast<double>(feature[i] * feature[i]);
      for (std::size_t j = 0; j < count; ++j) {
        products[i][j] += static_cast<double>(feature[i] * feature[j]) / row_count;
      }
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) {
      EXPECT_LE(products[i][i], products[i - 1][i - 1] + 1e-6);
    }
    for (std::size_t j = 0; j < i; ++j) EXPECT_NEAR(products[i][j], 0.0, 1e-4) << i << " " << j;
  }
  EXPECT_NEAR(feature_squares, raw_squares, 1e-4 * raw_squares);  // A rotation, whole.
}

TEST(Fit, RefusesRowsThatCannotBeFitted) {
  EXPECT_FALSE(FitStandardise({}, 2).ok());
  EXPECT_FALSE(FitStandardise(Vector{1.0f, 2.0f, 3.0f}, 2).ok());
  EXPECT_FALSE(FitStandardise(Vector{1.0f, std::numeric_limits<float>::infinity()}, 2).ok());
  const ProcessorTensors two{.mean = {0.0f, 0.0f}, .scale = {1.0f, 1.0f}};
  const Vector rows = {1.0f, 2.0f, 3.0f, 4.0f};
  EXPECT_FALSE(FitPca(two, rows, 0).ok());
  EXPECT_FALSE(FitPca(two, rows, 3).ok());  // More axes than channels,
  EXPECT_FALSE(FitPca(two, rows, 2).ok());  // and than two rows can tell.
  EXPECT_TRUE(FitPca(two, rows, 1).ok());
}

// scikit-learn's StandardScaler and PCA of the prototype. Not in the repository.
TEST(Processor, AgreesWithScikitLearnOnThePrototypesFeatures) {
  const char* data = std::getenv("TINYMLOPS_DATA");
  if (data == nullptr) GTEST_SKIP() << "TINYMLOPS_DATA is not set";
  for (const std::string suffix : {"4c", "5c"}) {
    const std::string folder = std::string(data) + "/embeddings/processor_" + suffix + "/";
    const std::string vectors = std::string(data) + "/vectors/processor_";
    const auto read = [](const std::string& path) {
      auto array = testing_support::ReadNpy(path);
      EXPECT_TRUE(array.ok()) << array.error().message;
      return std::move(array).value();
    };
    Processor processor =
        Processor::Create({.mean = read(folder + "scaler_mean.npy").values,
                           .scale = read(folder + "scaler_scale.npy").values,
                           .projection_mean = read(folder + "pca_mean.npy").values,
                           .projection = read(folder + "pca_components.npy").values})
            .value();
    const auto inputs = read(vectors + "inputs_" + suffix + ".npy");
    const auto outputs = read(vectors + "outputs_" + suffix + ".npy");
    ASSERT_EQ(inputs.shape[1], processor.raw_count());
    ASSERT_EQ(outputs.shape[1], processor.feature_count());
    Vector feature(processor.feature_count());
    double farthest = 0.0;
    for (std::size_t row = 0; row < inputs.shape[0]; ++row) {
      processor.Apply(std::span(inputs.values).subspan(row * inputs.shape[1], inputs.shape[1]),
                      feature);
      for (std::size_t i = 0; i < feature.size(); ++i) {
        farthest = std::max(
            farthest,
            std::abs(static_cast<double>(feature[i] - outputs.values[row * feature.size() + i])));
      }
    }
    EXPECT_LE(farthest, 1e-5) << suffix;
  }
}

}  // namespace
}  // namespace tinylcm::feature
