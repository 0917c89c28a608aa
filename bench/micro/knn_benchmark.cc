// What does asking the nearest neighbours cost on a frame, with as many anchors as a small and a
// large bundle have, and how much of it did the kernels save?
//
// Compared with what one would write first: one running sum a distance, a partial sort for the
// five nearest. Both must name the same five.

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "bench/figure.h"
#include "tinylcm/classify/knn_classifier.h"

namespace {

using tinylcm::classify::Anchors;
using tinylcm::classify::KnnClassifier;

constexpr std::size_t kDims = 256;
constexpr std::size_t kNearest = 5;
using Nearest = std::array<std::uint32_t, kNearest>;

std::vector<float> Noise(base::Random& random) {
  std::vector<float> values(kDims);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

float PlainDot(const float* a, const float* b) {
  float sum = 0.0f;
  for (std::size_t i = 0; i < kDims; ++i) sum += a[i] * b[i];
  return sum;
}

// Cosine distances to rows of unit length.
class PlainKnn {
 public:
  explicit PlainKnn(const Anchors& anchors) : rows_(anchors.vectors), distances_(anchors.size()) {
    for (std::size_t i = 0; i < distances_.size(); ++i) {
      float* const row = rows_.data() + i * kDims;
      const float length = std::sqrt(PlainDot(row, row));
      for (std::size_t j = 0; j < kDims; ++j) row[j] /= length;
    }
  }

  Nearest Find(const std::vector<float>& query) {
    const float length = std::sqrt(PlainDot(query.data(), query.data()));
    for (std::uint32_t i = 0; i < distances_.size(); ++i) {
      distances_[i] = {1.0f - PlainDot(query.data(), rows_.data() + i * kDims) / length, i};
    }
    std::partial_sort(distances_.begin(), distances_.begin() + kNearest, distances_.end());
    Nearest nearest{};
    for (std::size_t i = 0; i < kNearest; ++i) nearest[i] = distances_[i].second;
    return nearest;
  }

 private:
  std::vector<float> rows_;
  std::vector<std::pair<float, std::uint32_t>> distances_;
};

void Knn(std::size_t count, const std::string& name) {
  base::Random random(1);
  Anchors anchors;
  for (std::size_t i = 0; i < count; ++i) {
    anchors.Add(Noise(random), static_cast<std::uint16_t>(i % 4));
  }
  const std::vector<float> query = Noise(random);
  KnnClassifier knn = KnnClassifier::Create({.classes = 4, .k = kNearest}, anchors).value();
  PlainKnn plain(anchors);
  const Nearest right = plain.Find(query);
  const bench::BestTimes best = bench::TakeTurns(
      2000,
      [&] {
        const auto prediction = knn.Classify(query);
        for (std::size_t i = 0; i < kNearest; ++i) {
          CHECK(prediction.neighbours[i].anchor == right[i]);
        }
      },
      200, [&] { CHECK(plain.Find(query) == right); });
  bench::Print({.name = name,
                .value = best.subject / 1e3,
                .unit = "us",
                .baseline = best.baseline / 1e3,
                .conditions = "whole Classify, cosine, k 5, 4 classes; baseline: scalar loops"});
}

}  // namespace

int main() {
  Knn(200, "knn_200x256.f32");
  Knn(1000, "knn_1000x256.f32");
  return 0;
}
