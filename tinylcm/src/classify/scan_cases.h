// Cases on which the two scans of KnnClassifier are compared, for its tests: a seed makes anchors,
// a memory and queries of the kinds that make a bound go wrong.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::classify {

using Vector = std::vector<float>;

// Vectors of the kinds that make a bound go wrong: drawn at random, many about a few centres, the
// same one again, zero, tiny, huge, one number alone, and ones that differ in the last bit.
inline Vector DrawVector(base::Random& random, std::size_t dims,
                         const std::vector<Vector>& before) {
  Vector vector(dims, 0.0f);
  const auto noise = [&](double size) {
    for (float& value : vector) value += static_cast<float>(size * random.Normal());
  };
  switch (random.Below(8)) {
    case 0:
      noise(1.0);
      break;
    case 1:
      if (!before.empty()) vector = before[random.Below(before.size())];
      noise(1e-3);
      break;
    case 2:
      if (!before.empty()) vector = before[random.Below(before.size())];
      break;
    case 3:
      break;  // Zero.
    case 4:
      noise(std::pow(10.0, -5.0 - static_cast<double>(random.Below(40))));
      break;
    case 5:
      noise(std::pow(10.0, static_cast<double>(random.Below(17))));
      break;
    case 6:
      vector[random.Below(dims)] = static_cast<float>(random.Normal());
      break;
    default:
      if (!before.empty()) {
        vector = before[random.Below(before.size())];
        float& value = vector[random.Below(dims)];
        value = std::nextafter(value, 2.0f);
      }
  }
  return vector;
}

inline bool SameBits(const Prediction& a, const Prediction& b) {
  const auto same = [](float x, float y) { return std::memcmp(&x, &y, sizeof x) == 0; };
  if (a.label != b.label || a.nearest != b.nearest || a.neighbour_count != b.neighbour_count ||
      !same(a.share, b.share) || !same(a.confidence, b.confidence) ||
      !same(a.mean_distance, b.mean_distance) || !same(a.anchor_distance, b.anchor_distance)) {
    return false;
  }
  for (std::size_t i = 0; i < a.neighbour_count; ++i) {
    if (a.neighbours[i].anchor != b.neighbours[i].anchor ||
        a.neighbours[i].label != b.neighbours[i].label ||
        !same(a.neighbours[i].distance, b.neighbours[i].distance)) {
      return false;
    }
  }
  return true;
}

struct ScanCase {
  std::uint64_t seed = 0;
  Metric metric = Metric::kCosine;
  std::size_t dims = 0;
  std::uint32_t k = 0;
  std::size_t anchors = 0;
  std::size_t memory = 0;
};

inline ScanCase DrawScanCase(std::uint64_t seed) {
  base::Random random(seed);
  constexpr Metric kMetrics[] = {Metric::kCosine, Metric::kEuclidean, Metric::kManhattan};
  constexpr std::size_t kDims[] = {1, 2, 15, 16, 17, 64, 200, 256};
  ScanCase drawn{.seed = seed};
  drawn.metric = kMetrics[random.Below(std::size(kMetrics))];
  drawn.dims = kDims[random.Below(std::size(kDims))];
  drawn.k = static_cast<std::uint32_t>(1 + random.Below(kNeighboursMax));
  drawn.anchors = 1 + random.Below(130);
  drawn.memory = random.Below(40);
  return drawn;
}

// Where the scans give other answers; empty: nowhere.
inline std::string DisagreementOfScans(const ScanCase& wanted) {
  base::Random random(wanted.seed);
  std::vector<Vector> drawn;
  const auto draw = [&](std::size_t count) {
    Anchors vectors;
    for (std::size_t i = 0; i < count; ++i) {
      drawn.push_back(DrawVector(random, wanted.dims, drawn));
      vectors.Add(drawn.back(), static_cast<std::uint16_t>(random.Below(3)));
    }
    return vectors;
  };
  const Anchors anchors = draw(wanted.anchors);
  const Anchors memory = draw(wanted.memory);
  const auto make = [&](Scan scan) {
    KnnClassifier knn =
        KnnClassifier::Create({.classes = 3, .k = wanted.k, .metric = wanted.metric, .scan = scan},
                              anchors)
            .value();
    CHECK(knn.SetMemory(memory).ok());
    return knn;
  };
  KnnClassifier in_float = make(Scan::kFloat);
  KnnClassifier coarse = make(Scan::kInt8);
  for (int i = 0; i < 20; ++i) {
    const Vector query = DrawVector(random, wanted.dims, drawn);
    const auto left_out = static_cast<std::uint32_t>(random.Below(wanted.anchors));
    if (!SameBits(in_float.Classify(query), coarse.Classify(query)) ||
        !SameBits(in_float.ClassifyWithout(left_out, query),
                  coarse.ClassifyWithout(left_out, query))) {
      return base::StrCat("seed ", wanted.seed, ": ", Name(wanted.metric), ", ", wanted.dims,
                          " dimensions, k ", wanted.k, ", ", wanted.anchors, " anchors, memory of ",
                          wanted.memory, ", query ", i);
    }
  }
  return "";
}

}  // namespace tinylcm::classify
