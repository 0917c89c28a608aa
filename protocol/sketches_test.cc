#include "protocol/sketches.h"

#include <gtest/gtest.h>

namespace protocol {
namespace {

// Two classes; one signal, of which class 0 has three bins and class 1 one; features of two
// numbers.
Sketches Small() {
  return {.bundle = "b1",
          .first_index = 10,
          .last_index = 20,
          .samples = {3, 1},
          .ranks = {{"margin", {{1, 0, 2}, {1}}}},
          .dims = 2,
          .feature_mean = {1.0f, 2.0f, 3.0f, 4.0f},
          .feature_m2 = {0.5f, 0.0f, 0.0f, 0.0f}};
}

TEST(Sketches, AreReadAsTheyWereWritten) {
  const auto read = ParseSketches(WriteSketches(Small()));
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, Small());
}

TEST(Sketches, AddUpCountByCountAndMomentByMoment) {
  Sketches into = Small();
  Sketches other = Small();
  other.first_index = 5;
  other.last_index = 12;
  other.samples = {1, 0};
  other.ranks[0].counts = {{0, 1, 0}, {0}};
  other.feature_mean = {5.0f, 2.0f, 0.0f, 0.0f};
  other.feature_m2 = {0.0f, 0.0f, 0.0f, 0.0f};
  ASSERT_TRUE(Merge(other, into).ok());
  EXPECT_EQ(into.samples, (std::vector<std::int64_t>{4, 1}));
  EXPECT_EQ(into.ranks[0].counts, (std::vector<std::vector<std::int64_t>>{{1, 1, 2}, {1}}));
  EXPECT_EQ(into.first_index, 5u);
  EXPECT_EQ(into.last_index, 20u);
  // Three of mean 1 and one of 5: mean 2; squares .5 + (5 - 1)^2 * 3 * 1 / 4.
  EXPECT_FLOAT_EQ(into.feature_mean[0], 2.0f);
  EXPECT_FLOAT_EQ(into.feature_m2[0], 12.5f);
  EXPECT_FLOAT_EQ(into.feature_mean[2], 3.0f);  // The other had none of class 1.
}

TEST(Sketches, OfAnotherBundleOrShapeAreNotAdded) {
  Sketches into = Small();
  Sketches other = Small();
  other.bundle = "b2";
  EXPECT_EQ(Merge(other, into).error().message, "sketches: of bundle b2, not of b1");
  other = Small();
  other.ranks[0].counts[0].push_back(0);
  EXPECT_EQ(Merge(other, into).error().message,
            "sketches: other classes, signals, bins or features");
  EXPECT_EQ(into, Small());
}

TEST(Sketches, ThatCountMoreThanThereWasAreRefused) {
  Sketches wrong = Small();
  wrong.ranks[0].counts[1] = {2};
  EXPECT_EQ(ParseSketches(WriteSketches(wrong)).error().message,
            "sketches: ranks.margin: class 1 counts 2 of 1 samples");
  wrong = Small();
  wrong.samples[0] = -3;
  EXPECT_EQ(ParseSketches(WriteSketches(wrong)).error().message, "sketches: samples: not a count");
  wrong = Small();
  wrong.feature_m2[0] = -1.0f;
  EXPECT_EQ(ParseSketches(WriteSketches(wrong)).error().message,
            "sketches: feature_m2: not a sum of squares");
}

TEST(Sketches, OfAnotherFormatOrTornAreRefused) {
  base::Bytes file = WriteSketches(Small());
  EXPECT_FALSE(ParseSketches(base::ByteView(file).first(file.size() - 1)).ok());
  const std::string text(base::AsText(file));
  const std::size_t at = text.find("tinylcm-sketches/1");
  ASSERT_NE(at, std::string::npos);
  file[at + 17] = '2';
  EXPECT_EQ(ParseSketches(file).error().code, base::ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace protocol
