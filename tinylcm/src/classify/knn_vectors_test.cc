// Against scikit-learn's answers on the prototype's own embeddings. The arrays are not in the
// repository; without TINYMLOPS_DATA the test says so and is skipped.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "base/file_system.h"
#include "base/json.h"
#include "base/text.h"
#include "tests/support/npy.h"
#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::classify {
namespace {

class KnnVectors : public testing::TestWithParam<const char*> {};

TEST_P(KnnVectors, AgreesWithScikitLearn) {
  const char* data = std::getenv("TINYMLOPS_DATA");
  if (data == nullptr) GTEST_SKIP() << "TINYMLOPS_DATA is not set";
  const std::string suffix = GetParam();
  const std::string folder = data;
  const auto state = testing_support::ReadNpy(folder + "/embeddings/knn_state_" + suffix + ".npy");
  const auto queries = testing_support::ReadNpy(folder + "/vectors/knn_queries_" + suffix + ".npy");
  const auto labels = base::ReadTextFile(
      base::SystemFileSystem(), folder + "/embeddings/knn_state_" + suffix + ".csv", 1u << 20);
  const auto text = base::ReadTextFile(
      base::SystemFileSystem(), folder + "/vectors/knn_answers_" + suffix + ".json", 16u << 20);
  ASSERT_TRUE(state.ok() && queries.ok() && labels.ok() && text.ok());
  const auto answers = base::Json::Parse(*text);
  ASSERT_TRUE(answers.ok()) << answers.error().message;

  std::vector<std::string> classes;
  for (const base::Json& name : answers->Find("classes")->as_array()) {
    classes.push_back(name.as_string());
  }
  Anchors anchors;
  const std::size_t dims = state->shape[1];
  std::size_t row = 0;
  for (const std::string_view line : base::Split(base::Trim(*labels), '\n')) {
    const auto cells = base::Split(line, ',');
    const auto found = std::ranges::find(classes, cells[1]);
    if (found == classes.end()) continue;  // The header.
    anchors.Add(std::span(state->values).subspan(row * dims, dims),
                static_cast<std::uint16_t>(found - classes.begin()));
    row += 1;
  }
  ASSERT_EQ(row, state->shape[0]);

  for (const auto& [metric, scan] :
       {std::pair(Metric::kEuclidean, Scan::kFloat), std::pair(Metric::kEuclidean, Scan::kInt8),
        std::pair(Metric::kCosine, Scan::kFloat), std::pair(Metric::kCosine, Scan::kInt8)}) {
    SCOPED_TRACE(Name(scan));
    const base::Json& expected = *answers->Find(Name(metric));
    KnnClassifier knn =
        KnnClassifier::Create({.classes = static_cast<std::uint32_t>(classes.size()),
                               .metric = metric,
                               .distance_weighted = false,
                               .scan = scan},
                              anchors)
            .value();
    ASSERT_EQ(knn.scan(), scan);
    for (std::size_t query = 0; query < queries->shape[0]; ++query) {
      const Prediction prediction =
          knn.Classify(std::span(queries->values).subspan(query * dims, dims));
      const auto& neighbours = expected.Find("neighbours")->as_array()[query].as_array();
      const auto& distances = expected.Find("distances")->as_array()[query].as_array();
      for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(prediction.neighbours[i].anchor, neighbours[i].as_int())
            << Name(metric) << " query " << query;
        EXPECT_NEAR(prediction.neighbours[i].distance, distances[i].as_double(), 1e-4);
      }
      // Votes tied: scikit-learn takes the smallest class name, which is the lower label here.
      EXPECT_EQ(classes[prediction.label],
                expected.Find("prediction")->as_array()[query].as_string())
          << Name(metric) << " query " << query;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(States, KnnVectors, testing::Values("4c", "5c"),
                         [](const auto& suffix) { return std::string(suffix.param); });

}  // namespace
}  // namespace tinylcm::classify
