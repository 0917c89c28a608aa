#include "tinylcm/adapt/question.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/adapt/cluster.h"

namespace tinylcm::adapt {
namespace {

// Twice and one and a quarter of the usual distance.
constexpr float kFar = 2.0f / 3.0f;
constexpr float kFarther = 1.25f / 2.25f;
// What is left of a cluster's priority once one of its samples was asked about.
constexpr double kAskedBefore = 0.1;

int Percent(float share) { return static_cast<int>(std::lround(100.0f * share)); }

std::string InWords(const Question& question) {
  const char* where = question.novelty >= kFar       ? "far from all that is known"
                      : question.novelty >= kFarther ? "farther from the known than usual"
                                                     : "as near to the known as usual";
  return base::StrCat("stands for ", Percent(question.mass), " % of the samples, about ",
                      Percent(question.accuracy), " % of them right, ", where);
}

double SquaredDistance(std::span<const float> features, std::size_t dims, std::size_t a,
                       std::size_t b) {
  double sum = 0.0;
  for (std::size_t j = 0; j < dims; ++j) {
    const double difference =
        static_cast<double>(features[a * dims + j]) - static_cast<double>(features[b * dims + j]);
    sum += difference * difference;
  }
  return sum;
}

}  // namespace

std::vector<Question> Questions(std::span<const float> features, std::size_t dims,
                                std::span<const QuestionSample> samples,
                                const QuestionOptions& options) {
  CHECK(dims > 0 && features.size() == samples.size() * dims);
  std::uint32_t asked = 0;
  for (const QuestionSample& sample : samples) asked += sample.is_asked ? 1 : 0;
  if (samples.empty() || options.labels == 0 || asked == samples.size()) return {};

  // As many clusters as there will be answers; each that was asked about before takes one.
  const Clustering clustering = SplitGroups(
      Cluster(features, dims, {.clusters = options.labels + asked, .seed = options.seed}), features,
      dims, {.seed = options.seed});
  const std::size_t clusters = clustering.medoids.size();
  std::vector<double> weight(clusters, 0.0), accuracy(clusters, 0.0), novelty(clusters, 0.0);
  std::vector<bool> is_covered(clusters, false);
  double total = 0.0;
  for (std::size_t row = 0; row < samples.size(); ++row) {
    const std::uint32_t c = clustering.cluster_of[row];
    const double stands_for = static_cast<double>(samples[row].stands_for);
    weight[c] += stands_for;
    total += stands_for;
    accuracy[c] += stands_for * static_cast<double>(samples[row].accuracy);
    novelty[c] += stands_for * static_cast<double>(samples[row].novelty);
    if (samples[row].is_asked) is_covered[c] = true;
  }
  std::vector<Question> questions;
  for (std::uint32_t c = 0; c < clusters; ++c) {
    Question question;
    question.cluster = c;
    question.mass = static_cast<float>(weight[c] / total);
    question.accuracy = static_cast<float>(accuracy[c] / weight[c]);
    question.novelty = static_cast<float>(novelty[c] / weight[c]);
    question.priority = static_cast<double>(question.mass) *
                        static_cast<double>(std::max(options.wrong_min, 1.0f - question.accuracy)) *
                        static_cast<double>(std::max(options.novelty_min, question.novelty)) *
                        (is_covered[c] ? kAskedBefore : 1.0);
    // The medoid; where that was asked before, the next nearest to it.
    const std::uint32_t medoid = clustering.medoids[c];
    std::optional<std::uint32_t> row;
    double nearest = std::numeric_limits<double>::infinity();
    for (std::uint32_t i = 0; i < samples.size(); ++i) {
      if (clustering.cluster_of[i] != c || samples[i].is_asked) continue;
      const double distance = i == medoid ? -1.0 : SquaredDistance(features, dims, i, medoid);
      if (distance < nearest) {
        nearest = distance;
        row = i;
      }
    }
    if (!row) continue;
    question.row = *row;
    questions.push_back(std::move(question));
  }
  std::stable_sort(questions.begin(), questions.end(),
                   [](const Question& a, const Question& b) { return a.priority > b.priority; });
  // What is not asked about is stood for by the nearest that is.
  while (questions.size() > options.labels) {
    const Question& last = questions.back();
    std::size_t heir = 0;
    double nearest = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < options.labels; ++i) {
      const double distance = SquaredDistance(features, dims, last.row, questions[i].row);
      if (distance < nearest) {
        nearest = distance;
        heir = i;
      }
    }
    questions[heir].mass += last.mass;
    questions.pop_back();
  }
  for (Question& question : questions) question.reason = InWords(question);
  return questions;
}

}  // namespace tinylcm::adapt
