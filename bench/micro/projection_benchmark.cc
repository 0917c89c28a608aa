// What does standardising and projecting a model's 1280 numbers to 256 cost on a frame, beside the
// mere reading of the matrix?
//
// The matrix of floats (1.3 MB) has to come from memory as a whole, so the best there is is a sum
// over the same bytes, in the same caches, as wide as the machine reads: that is the baseline, and
// baseline / value is the share of the read bandwidth that is reached. The matrix of bytes is a
// quarter of that; its baseline is the sum over the floats too, since that is what it saves.

#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/figure.h"
#include "tinylcm/feature/processor.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

namespace {

using tinylcm::feature::Processor;
using tinylcm::feature::ProcessorTensors;

constexpr std::size_t kRaw = 1280;
constexpr std::size_t kDims = 256;

std::vector<float> Noise(base::Random& random, std::size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

// One after the other in eight sums, which hide each other's latency.
#ifdef __x86_64__
__attribute__((target("avx512f"))) float ReadWide(const float* values, std::size_t count) {
  __m512 sums[8];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (std::size_t i = 0; i < count; i += 128) {
#pragma GCC unroll 8
    for (std::size_t k = 0; k < 8; ++k) {
      sums[k] = _mm512_add_ps(sums[k], _mm512_load_ps(values + i + 16 * k));
    }
  }
  for (std::size_t k = 1; k < 8; ++k) sums[0] = _mm512_add_ps(sums[0], sums[k]);
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, sums[0]);
  return std::accumulate(lanes, lanes + 16, 0.0f);
}
#endif

float ReadPlain(const float* values, std::size_t count) {
  float sums[8] = {};
  for (std::size_t i = 0; i < count; i += 8) {
    for (std::size_t k = 0; k < 8; ++k) sums[k] += values[i + k];
  }
  return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

}  // namespace

int main() {
  base::Random random(2);
  ProcessorTensors tensors;
  tensors.mean = Noise(random, kRaw);
  tensors.scale.assign(kRaw, 0.5f);
  tensors.projection_mean = Noise(random, kRaw);
  tensors.projection = Noise(random, kDims * kRaw);
  Processor processor = Processor::Create(tensors).value();
  Processor bytes =
      Processor::Create(tinylcm::feature::QuantiseProjection(tensors).value()).value();
  const std::vector<float> raw = Noise(random, kRaw);

  // What is right, in double. Sums of 1280 terms of size 4 in float are good to some 1e-3; with the
  // matrix in bytes every term is off by up to 1 / 60 of 1, and 1280 of size 2.4 add up to 1.
  std::vector<double> right(kDims, 0.0);
  for (std::size_t axis = 0; axis < kDims; ++axis) {
    for (std::size_t i = 0; i < kRaw; ++i) {
      const double centered =
          (double{raw[i]} - double{tensors.mean[i]}) / 0.5 - double{tensors.projection_mean[i]};
      right[axis] += centered * double{tensors.projection[axis * kRaw + i]};
    }
  }
  std::vector<float> feature(kDims);
  const auto apply = [&](Processor& by, double tolerance) {
    by.Apply(raw, feature);
    for (std::size_t axis = 0; axis < kDims; axis += 51) {
      CHECK(std::abs(double{feature[axis]} - right[axis]) < tolerance);
    }
  };

  const base::AlignedVector<float> matrix(tensors.projection.begin(), tensors.projection.end());
  bool is_wide = false;
#ifdef __x86_64__
  is_wide = __builtin_cpu_supports("avx512f") != 0;
#endif
  double sum = 0.0;
  for (const float value : matrix) sum += double{value};
  const auto read = [&] {
#ifdef __x86_64__
    const float found =
        is_wide ? ReadWide(matrix.data(), matrix.size()) : ReadPlain(matrix.data(), matrix.size());
#else
    const float found = ReadPlain(matrix.data(), matrix.size());
#endif
    CHECK(std::abs(double{found} - sum) < 1.0);
  };

  const std::vector<double> best = bench::TakeTurns(
      {{200, [&] { apply(processor, 0.01); }}, {200, [&] { apply(bytes, 6.0); }}, {200, read}});
  const auto percent = static_cast<int>(std::lround(100.0 * best[2] / best[0]));
  const std::string baseline = base::StrCat("baseline: a sum over the same 1.3 MB, ",
                                            is_wide ? "AVX-512" : "plain", " loads");
  bench::Print({.name = "project_1280x256",
                .value = best[0] / 1e3,
                .unit = "us",
                .baseline = best[2] / 1e3,
                .conditions = base::StrCat("whole Processor::Apply with standardising; ", baseline,
                                           "; reached ", percent, " % of the read bandwidth")});
  bench::Print({.name = "project_1280x256_i8",
                .value = best[1] / 1e3,
                .unit = "us",
                .baseline = best[2] / 1e3,
                .conditions = base::StrCat("the same with a matrix of bytes; ", baseline)});
  return 0;
}
