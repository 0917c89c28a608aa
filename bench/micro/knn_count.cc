// Queries for tools that count instructions: knn_count N SCAN asks the 200 x 256 of knn_benchmark N
// times, SCAN f32, i8 or plain (the loops one would write first), and prints a number that depends
// on every answer. 2 N queries less N leave the queries alone.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tinylcm/classify/knn_classifier.h"

namespace {

using namespace tinylcm::classify;

constexpr std::size_t kDims = 256;
constexpr std::size_t kAnchors = 200;

// As good as normal, in a few instructions: all that happens before the queries is logged as well.
std::vector<float> Noise(base::Random& random) {
  std::vector<float> values(kDims);
  for (float& value : values) {
    value = static_cast<float>(random.Uniform() + random.Uniform() + random.Uniform() - 1.5);
  }
  return values;
}

float Dot(const float* a, const float* b) {
  float sum = 0.0f;
  for (std::size_t i = 0; i < kDims; ++i) sum += a[i] * b[i];
  return sum;
}

std::uint32_t PlainNearest(const Anchors& anchors, const std::vector<float>& query,
                           std::vector<std::pair<float, std::uint32_t>>& distances) {
  const float length = std::sqrt(Dot(query.data(), query.data()));
  for (std::uint32_t i = 0; i < anchors.size(); ++i) {
    const float* const row = anchors.vectors.data() + i * kDims;
    distances[i] = {1.0f - Dot(query.data(), row) / length, i};
  }
  std::partial_sort(distances.begin(), distances.begin() + 5, distances.end());
  return distances[0].second;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const long queries = std::atol(argv[1]);
  const std::string_view scan = argv[2];
  base::Random random(1);
  Anchors anchors;
  for (std::size_t i = 0; i < kAnchors; ++i) {
    anchors.Add(Noise(random), static_cast<std::uint16_t>(i % 4));
    float* const row = anchors.vectors.data() + i * kDims;
    const float length = std::sqrt(Dot(row, row));
    for (std::size_t j = 0; j < kDims; ++j) row[j] /= length;
  }
  const std::vector<float> query = Noise(random);
  KnnClassifier knn =
      KnnClassifier::Create(
          {.classes = 4, .k = 5, .scan = scan == "i8" ? Scan::kInt8 : Scan::kFloat}, anchors)
          .value();
  std::vector<std::pair<float, std::uint32_t>> distances(kAnchors);
  unsigned long sum = 0;
  for (long i = 0; i < queries; ++i) {
    sum += scan == "plain" ? PlainNearest(anchors, query, distances)
                           : knn.Classify(query).neighbours[0].anchor;
  }
  std::printf("%lu\n", sum);
  return 0;
}
