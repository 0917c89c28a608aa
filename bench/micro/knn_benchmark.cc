// What does asking the nearest neighbours cost on a frame, with as many anchors as a small and a
// large bundle have, in float and by bytes first; and is it worth having kernels of one's own?
//
//   knn_benchmark [PYTHON SCRIPT]   with both, knn_sklearn.py is asked the same
//
// Compared with faiss (IndexFlatIP, a search for five: no normalising, no vote), with scikit-learn
// and with what one would write first: one running sum a distance, a partial sort for the five
// nearest. All must name the same five.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/figure.h"
#include "tinylcm/classify/knn_classifier.h"

#ifdef TINY_FAISS
#include <faiss/IndexFlat.h>
#include <omp.h>
#endif

namespace {

using tinylcm::classify::Anchors;
using tinylcm::classify::KnnClassifier;
using tinylcm::classify::Scan;

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

void ToUnitLength(float* row) {
  const float length = std::sqrt(PlainDot(row, row));
  for (std::size_t j = 0; j < kDims; ++j) row[j] /= length;
}

std::vector<float> UnitRows(const Anchors& anchors) {
  std::vector<float> rows = anchors.vectors;
  for (std::size_t i = 0; i < anchors.size(); ++i) ToUnitLength(rows.data() + i * kDims);
  return rows;
}

// Cosine distances to rows of unit length.
class PlainKnn {
 public:
  explicit PlainKnn(const Anchors& anchors)
      : rows_(UnitRows(anchors)), distances_(anchors.size()) {}

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

#ifdef TINY_FAISS
class Faiss {
 public:
  Faiss(const Anchors& anchors, std::vector<float> query)
      : index_(kDims), query_(std::move(query)) {
    omp_set_num_threads(1);  // Only this thread's time is counted.
    index_.add(static_cast<faiss::Index::idx_t>(anchors.size()), UnitRows(anchors).data());
    ToUnitLength(query_.data());
  }

  Nearest Find() {
    std::array<float, kNearest> likeness{};
    std::array<faiss::Index::idx_t, kNearest> places{};
    index_.search(1, query_.data(), kNearest, likeness.data(), places.data());
    Nearest nearest{};
    for (std::size_t i = 0; i < kNearest; ++i) nearest[i] = static_cast<std::uint32_t>(places[i]);
    return nearest;
  }

 private:
  faiss::IndexFlatIP index_;
  std::vector<float> query_;
};
#endif

// What knn_sklearn.py says of the same rows and query; CHECKs its answer.
struct Others {
  double scikit_learn_us = 0.0;
  double faiss_wheel_us = 0.0;
};
Others AskPython(const std::string& command, const Anchors& anchors,
                 const std::vector<float>& query, const Nearest& right) {
  char path[] = "/tmp/knn_benchmark_XXXXXX";
  const int file = mkstemp(path);
  CHECK(file >= 0);
  std::FILE* out = fdopen(file, "wb");
  CHECK(out != nullptr);
  const std::vector<float> rows = UnitRows(anchors);
  CHECK(std::fwrite(rows.data(), sizeof(float), rows.size(), out) == rows.size());
  CHECK(std::fwrite(query.data(), sizeof(float), query.size(), out) == query.size());
  CHECK(std::fclose(out) == 0);
  std::FILE* in =
      popen(base::StrCat(command, " ", path, " ", anchors.size(), " ", kDims).c_str(), "r");
  CHECK(in != nullptr);
  Others others;
  Nearest found{};
  const int read =
      std::fscanf(in, "%lf %lf %u %u %u %u %u", &others.scikit_learn_us, &others.faiss_wheel_us,
                  &found[0], &found[1], &found[2], &found[3], &found[4]);
  pclose(in);
  unlink(path);
  CHECK(read == 7);
  CHECK(found == right);
  return others;
}

void Knn(std::size_t count, const std::string& name, const std::optional<std::string>& python) {
  base::Random random(1);
  Anchors anchors;
  for (std::size_t i = 0; i < count; ++i) {
    anchors.Add(Noise(random), static_cast<std::uint16_t>(i % 4));
  }
  const std::vector<float> query = Noise(random);
  KnnClassifier in_float = KnnClassifier::Create({.classes = 4, .k = kNearest}, anchors).value();
  KnnClassifier coarse =
      KnnClassifier::Create({.classes = 4, .k = kNearest, .scan = Scan::kInt8}, anchors).value();
  CHECK(coarse.scan() == Scan::kInt8);
  PlainKnn plain(anchors);
  const Nearest right = plain.Find(query);
  const auto classify = [&](KnnClassifier& knn) {
    const auto prediction = knn.Classify(query);
    for (std::size_t i = 0; i < kNearest; ++i) CHECK(prediction.neighbours[i].anchor == right[i]);
  };
  std::vector<bench::Turn> turns = {{2000, [&] { classify(in_float); }},
                                    {2000, [&] { classify(coarse); }},
                                    {200, [&] { CHECK(plain.Find(query) == right); }}};
#ifdef TINY_FAISS
  Faiss faiss(anchors, query);
  turns.push_back({2000, [&] { CHECK(faiss.Find() == right); }});
#endif
  const std::vector<double> best = bench::TakeTurns(turns);

  std::string conditions = "whole Classify, cosine, k 5, 4 classes; ";
#ifdef TINY_FAISS
  conditions +=
      base::StrCat("baseline: faiss IndexFlatIP ", FAISS_VERSION_MAJOR, ".", FAISS_VERSION_MINOR,
                   ".", FAISS_VERSION_PATCH, " (Debian's), search only; scalar loops ");
#else
  conditions += "faiss is not installed; baseline: scalar loops ";
#endif
  const auto us = [](double nanoseconds) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4g us", nanoseconds / 1e3);
    return std::string(text);
  };
  conditions += us(best[2]);
  if (python) {
    const Others others = AskPython(*python, anchors, query, right);
    conditions += base::StrCat("; from Python, its call included: scikit-learn brute ",
                               us(1e3 * others.scikit_learn_us), ", faiss-cpu wheel ",
                               us(1e3 * others.faiss_wheel_us));
  } else {
    conditions += "; scikit-learn not asked";
  }
  for (const auto& [suffix, value] : {std::pair(".f32", best[0]), std::pair(".i8", best[1])}) {
    bench::Print({.name = name + suffix,
                  .value = value / 1e3,
                  .unit = "us",
                  .baseline = best.back() / 1e3,
                  .conditions = conditions});
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::optional<std::string> python;
  if (argc == 3) python = std::string(argv[1]) + " " + argv[2];
  Knn(200, "knn_200x256", python);
  Knn(1000, "knn_1000x256", python);
  return 0;
}
