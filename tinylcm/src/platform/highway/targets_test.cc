// The same bits from every instruction set this machine has, not only from the one it would choose.

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <string>
#include <vector>

#include "base/aligned.h"
#include "base/random.h"
#include "tinylcm/classify/select.h"
#include "tinylcm/feature/processor.h"
#include "tinylcm/src/classify/scan_cases.h"

namespace tinylcm::classify {
namespace {

// What is computed at one place for all.
struct Answers {
  std::vector<float> floats;
  std::vector<std::int64_t> whole;
  std::vector<double> doubles;
  std::string disagreement;

  friend bool operator==(const Answers&, const Answers&) = default;
};

Answers Compute() {
  base::Random random(7);
  const auto noise = [&](std::size_t count) {
    Vector values(count);
    for (float& value : values) value = static_cast<float>(random.Normal());
    return values;
  };
  Answers answers;
  for (const std::size_t stride : {16u, 64u, 256u, 1280u}) {
    const Vector query = noise(stride);
    const Vector rows = noise(21 * stride);
    const std::vector<std::uint32_t> which = {20, 3, 3, 0, 11};
    Vector distances(32, 1e9f);
    for (const Metric metric : {Metric::kCosine, Metric::kEuclidean, Metric::kManhattan}) {
      MeasureRows(metric, query.data(), rows.data(), 21, stride, distances.data());
      answers.floats.insert(answers.floats.end(), distances.begin(), distances.end());
      MeasureChosen(metric, query.data(), rows.data(), stride, which.data(), which.size(),
                    distances.data());
      answers.floats.insert(answers.floats.end(), distances.begin(), distances.end());
      const float limit = LimitOfLeast(distances.data(), distances.size(), 5);
      answers.floats.push_back(limit);
      std::vector<std::uint32_t> places(distances.size() + 16);
      places.resize(NotAbove(distances.data(), distances.size(), limit, places.data()));
      answers.whole.insert(answers.whole.end(), places.begin(), places.end());
    }
    answers.doubles.push_back(SumOfSquares(query.data(), stride));

    const std::size_t bytes = Int8Stride(stride);
    std::vector<std::int8_t> query_bytes(bytes);
    std::vector<std::int8_t> row_bytes(21 * bytes);
    const auto keep = [&](const Coarse& coarse) { answers.floats.push_back(coarse.scale); };
    keep(Coarsen(query.data(), stride, bytes, query_bytes.data()));
    for (std::size_t i = 0; i < 21; ++i) {
      keep(Coarsen(rows.data() + i * stride, stride, bytes, row_bytes.data() + i * bytes));
    }
    answers.whole.insert(answers.whole.end(), row_bytes.begin(), row_bytes.end());
    std::vector<std::int32_t> dots(21);
    DotInt8Rows(query_bytes.data(), row_bytes.data(), 21, bytes, dots.data());
    answers.whole.insert(answers.whole.end(), dots.begin(), dots.end());

    feature::ProcessorTensors tensors;
    tensors.mean = noise(stride - 3);
    tensors.scale.assign(stride - 3, 0.3f);
    tensors.projection_mean = noise(stride - 3);
    tensors.projection = noise(9 * (stride - 3));
    for (const auto& by : {tensors, feature::QuantiseProjection(tensors).value()}) {
      feature::Processor processor = feature::Processor::Create(by).value();
      Vector feature(9);
      processor.Apply(std::span(query).first(stride - 3), feature);
      answers.floats.insert(answers.floats.end(), feature.begin(), feature.end());
    }
  }
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    answers.disagreement += DisagreementOfScans(DrawScanCase(seed));
  }
  return answers;
}

TEST(InstructionSets, GiveTheSameBits) {
  const Answers chosen = Compute();
  EXPECT_EQ(chosen.disagreement, "");
  int tried = 0;
  const std::int64_t supported = hwy::SupportedTargets();
  for (int bit = 0; bit < 63; ++bit) {
    const std::int64_t target = supported & (std::int64_t{1} << bit);
    if (target == 0) continue;
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    EXPECT_TRUE(Compute() == chosen);
    tried += 1;
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  RecordProperty("tried", tried);
  EXPECT_GE(tried, 1);
}

}  // namespace
}  // namespace tinylcm::classify
