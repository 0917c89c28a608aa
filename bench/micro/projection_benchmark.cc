// What does standardising and projecting a model's 1280 numbers to 256 cost on a frame?
//
// Compared with one running sum an axis.

#include <cmath>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "bench/figure.h"
#include "tinylcm/feature/processor.h"

namespace {

constexpr std::size_t kRaw = 1280;
constexpr std::size_t kDims = 256;

std::vector<float> Noise(base::Random& random, std::size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

}  // namespace

int main() {
  base::Random random(2);
  tinylcm::feature::ProcessorTensors tensors;
  tensors.mean = Noise(random, kRaw);
  tensors.scale.assign(kRaw, 0.5f);
  tensors.projection_mean = Noise(random, kRaw);
  tensors.projection = Noise(random, kDims * kRaw);
  auto processor = tinylcm::feature::Processor::Create(tensors).value();
  const std::vector<float> raw = Noise(random, kRaw);

  // What is right, in double: sums of 1280 terms of size 4 in float are good to some 1e-3.
  std::vector<double> right(kDims, 0.0);
  for (std::size_t axis = 0; axis < kDims; ++axis) {
    for (std::size_t i = 0; i < kRaw; ++i) {
      const double centered =
          (double{raw[i]} - double{tensors.mean[i]}) / 0.5 - double{tensors.projection_mean[i]};
      right[axis] += centered * double{tensors.projection[axis * kRaw + i]};
    }
  }
  std::vector<float> feature(kDims);
  const auto check = [&] {
    for (std::size_t axis = 0; axis < kDims; axis += 51) {
      CHECK(std::abs(double{feature[axis]} - right[axis]) < 0.01);
    }
  };

  std::vector<float> centered(kRaw);
  const bench::BestTimes best = bench::TakeTurns(
      200,
      [&] {
        processor.Apply(raw, feature);
        check();
      },
      20,
      [&] {
        for (std::size_t i = 0; i < kRaw; ++i) {
          centered[i] = (raw[i] - tensors.mean[i]) / tensors.scale[i] - tensors.projection_mean[i];
        }
        for (std::size_t axis = 0; axis < kDims; ++axis) {
          const float* const row = tensors.projection.data() + axis * kRaw;
          float sum = 0.0f;
          for (std::size_t i = 0; i < kRaw; ++i) sum += centered[i] * row[i];
          feature[axis] = sum;
        }
        check();
      });
  bench::Print({.name = "project_1280x256",
                .value = best.subject / 1e3,
                .unit = "us",
                .baseline = best.baseline / 1e3,
                .conditions = "whole Processor::Apply with standardising; baseline: scalar loops"});
  return 0;
}
