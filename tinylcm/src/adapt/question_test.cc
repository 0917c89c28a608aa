#include "tinylcm/adapt/question.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"

namespace tinylcm::adapt {
namespace {

constexpr std::size_t kDims = 8;

// Groups along axes of their own, far enough apart to be clusters.
class Stream {
 public:
  explicit Stream(std::uint64_t seed) : random_(seed) {}
  // `count` rows at `at` on axis `axis`, scattered by `spread`.
  void Add(int count, std::size_t axis, double at, QuestionSample sample, double spread = 0.1) {
    for (int i = 0; i < count; ++i) {
      for (std::size_t j = 0; j < kDims; ++j) {
        features.push_back(static_cast<float>((j == axis ? at : 0.0) + spread * random_.Normal()));
      }
      samples.push_back(sample);
    }
  }
  std::vector<Question> Ask(std::uint32_t labels) const {
    return Questions(features, kDims, samples, {.labels = labels, .seed = 3});
  }
  std::vector<float> features;
  std::vector<QuestionSample> samples;

 private:
  base::Random random_;
};

TEST(Questions, AskFirstWhatIsLargeWrongAndFar) {
  EXPECT_FLOAT_EQ(Novelty(0.0f, 0.2f), 0.0f);
  EXPECT_FLOAT_EQ(Novelty(0.2f, 0.2f), 0.5f);
  EXPECT_FLOAT_EQ(Novelty(0.6f, 0.2f), 0.75f);
  EXPECT_FLOAT_EQ(Novelty(0.6f, 0.0f), 0.5f);  // Nothing usual is known.

  Stream stream(1);
  stream.Add(40, 0, 5.0, {.accuracy = 0.9f, .novelty = 0.5f});  // .40 x .1 x .5  = .020
  stream.Add(30, 1, 5.0, {.accuracy = 0.5f, .novelty = 0.5f});  // .30 x .5 x .5  = .075
  stream.Add(20, 2, 5.0, {.accuracy = 0.5f, .novelty = 0.9f});  // .20 x .5 x .9  = .090
  stream.Add(10, 3, 5.0, {.accuracy = 0.2f, .novelty = 0.5f});  // .10 x .8 x .5  = .040
  const std::vector<Question> asked = stream.Ask(4);
  ASSERT_EQ(asked.size(), 4u);
  const std::vector<std::uint32_t> first_row = {70, 40, 90, 0};
  const std::vector<double> priority = {0.09, 0.075, 0.04, 0.02};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_GE(asked[i].row, first_row[i]) << i;
    EXPECT_LT(asked[i].row, first_row[i] + 40) << i;
    EXPECT_NEAR(asked[i].priority, priority[i], 1e-6) << i;
  }
  EXPECT_EQ(asked[0].reason,
            "stands for 20 % of the samples, about 50 % of them right, far from all that is known");
}

TEST(Questions, CountWhatGaveWay) {
  Stream stream(2);
  stream.Add(10, 0, 5.0, {.accuracy = 0.5f, .novelty = 0.5f, .stands_for = 9.0f});
  stream.Add(10, 1, 5.0, {.accuracy = 0.5f, .novelty = 0.5f});
  const std::vector<Question> asked = stream.Ask(2);
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_NEAR(asked[0].mass, 0.9f, 1e-5);  // 90 of 100, although 10 of 20 are left.
  EXPECT_NEAR(asked[1].mass, 0.1f, 1e-5);
}

// Four classes the classifier knows, each in many shapes, and 15 % of one it does not: few clusters
// would be spent on the shapes, and the new class lies inside one of them.
TEST(Questions, GiveAnUnseenClassAQuestionOfItsOwn) {
  int asked_about = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Stream stream(seed);
    for (std::size_t axis = 0; axis < 4; ++axis) {
      stream.Add(64, axis, 5.0, {.accuracy = 0.9f, .novelty = 0.5f}, 1.0);
    }
    // In the direction of class 3, twice as far, and close together.
    stream.Add(44, 3, 11.0, {.accuracy = 0.7f, .novelty = 0.7f}, 0.5);
    const std::vector<Question> asked = stream.Ask(4);
    ASSERT_EQ(asked.size(), 4u);
    float mass = 0.0f;
    for (const Question& question : asked) mass += question.mass;
    EXPECT_NEAR(mass, 1.0f, 1e-4) << "what is left over is stood for by another";
    if (asked[0].row >= 256) ++asked_about;
  }
  EXPECT_EQ(asked_about, 20);
}

TEST(Questions, LeaveOneCloudWhole) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Stream stream(seed);
    stream.Add(100, 0, 0.0, {.accuracy = 0.5f}, 1.0);
    std::set<std::uint32_t> clusters;
    for (const Question& question : stream.Ask(3)) clusters.insert(question.cluster);
    EXPECT_LE(*clusters.rbegin(), 2u) << "three clusters, none of them split";
  }
}

TEST(Questions, DoNotAskTwice) {
  Stream stream(4);
  stream.Add(30, 0, 5.0, {.accuracy = 0.5f});
  stream.Add(20, 1, 5.0, {.accuracy = 0.5f});
  const std::vector<Question> first = stream.Ask(2);
  ASSERT_EQ(first.size(), 2u);
  for (const Question& question : first) stream.samples[question.row].is_asked = true;
  const std::vector<Question> second = stream.Ask(2);
  ASSERT_EQ(second.size(), 2u);
  for (const Question& question : second) {
    EXPECT_NE(question.row, first[0].row);
    EXPECT_NE(question.row, first[1].row);
  }
  for (QuestionSample& sample : stream.samples) sample.is_asked = true;
  EXPECT_TRUE(stream.Ask(2).empty());
  EXPECT_TRUE(Questions({}, kDims, {}, {}).empty());
}

TEST(Questions, AreTheSameForTheSameSeed) {
  Stream stream(5);
  stream.Add(60, 0, 1.0, {.accuracy = 0.5f}, 1.0);
  const std::vector<Question> once = stream.Ask(12);
  const std::vector<Question> again = stream.Ask(12);
  ASSERT_EQ(once.size(), again.size());
  for (std::size_t i = 0; i < once.size(); ++i) EXPECT_EQ(once[i].row, again[i].row);
}

}  // namespace
}  // namespace tinylcm::adapt
