#include "tinylcm/datalog/pictures.h"

#include <gtest/gtest.h>

namespace tinylcm::datalog {
namespace {

using std::chrono::hours;

Record Answer(std::uint64_t index, float confidence,
              drift::DriftSignal signal = drift::DriftSignal::kSteady) {
  Record record;
  record.index = index;
  record.confidence = confidence;
  record.signal = signal;
  return record;
}

TEST(ImageSampler, TakesEveryNthTheUnsureAndWhatFollowsAnAlarm) {
  ImageSampler sampler({.every = 10, .on_drift = 2, .below_confidence = 0.5});
  EXPECT_EQ(sampler.Wants(Answer(9, 0.9f)), std::nullopt);
  EXPECT_EQ(sampler.Wants(Answer(10, 0.9f)), ImageReason::kEvery);
  EXPECT_EQ(sampler.Wants(Answer(11, 0.4f)), ImageReason::kLowConfidence);
  EXPECT_EQ(sampler.Wants(Answer(12, 0.9f, drift::DriftSignal::kDrift)), ImageReason::kDrift);
  EXPECT_EQ(sampler.Wants(Answer(13, 0.4f)), ImageReason::kDrift);  // The second of two.
  EXPECT_EQ(sampler.Wants(Answer(14, 0.9f)), std::nullopt);
}

TEST(ImageSampler, TakesNothingUnlessAsked) {
  ImageSampler sampler(ImageOptions{});
  EXPECT_EQ(sampler.Wants(Answer(0, 0.0f, drift::DriftSignal::kDrift)), std::nullopt);
}

TEST(ImageBudget, SpendsADaysCountAndBytesAndNoMore) {
  ImageBudget budget({.every = 1, .per_day = 3, .bytes_per_day = 100});
  EXPECT_TRUE(budget.Take(hours(0), 60));
  EXPECT_FALSE(budget.Take(hours(1), 41)) << "60 + 41 > 100";
  EXPECT_TRUE(budget.Take(hours(2), 20));
  EXPECT_TRUE(budget.Take(hours(3), 10));
  EXPECT_FALSE(budget.Take(hours(4), 1)) << "three a day";
  EXPECT_FALSE(budget.has_room(hours(23)));
  EXPECT_TRUE(budget.has_room(hours(24))) << "the first is a day old";
  EXPECT_TRUE(budget.Take(hours(24), 70));
  EXPECT_FALSE(budget.Take(hours(25), 1));
}

class PictureFile : public testing::Test {
 protected:
  PictureFile() {
    for (std::uint64_t i = 0; i < 3; ++i) {
      AppendPictureEntry(40 + i, ImageReason::kDrift, base::Time{std::chrono::seconds(1000 + i)},
                         base::Bytes(500 + 10 * i, static_cast<std::uint8_t>(i)), file_);
      ends_.push_back(file_.size());
    }
  }
  ReadReport Read(std::string_view file) {
    names_.clear();
    return ReadPictures(base::AsBytes(file), [&](const PictureEntry& entry) {
      const std::size_t i = names_.size();
      EXPECT_EQ(entry.jpeg.size(), 500 + 10 * i);
      EXPECT_EQ(entry.time, base::Time{std::chrono::seconds(1000 + i)});
      names_.push_back(entry.name);
    });
  }
  std::string file_;
  std::vector<std::size_t> ends_;
  std::vector<std::string> names_;
};

TEST_F(PictureFile, IsReadBackInItsOrder) {
  EXPECT_EQ(Read(file_).Describe(), "");
  EXPECT_EQ(names_, (std::vector<std::string>{"000000000040_drift.jpg", "000000000041_drift.jpg",
                                              "000000000042_drift.jpg"}));
}

TEST_F(PictureFile, CutAtAnyByteGivesWhatWasWhole) {
  for (std::size_t cut = 0; cut < file_.size(); ++cut) {
    const ReadReport report = Read(std::string_view(file_).substr(0, cut));
    std::size_t whole = 0;
    while (whole < ends_.size() && ends_[whole] <= cut) ++whole;
    ASSERT_EQ(names_.size(), whole) << "cut at " << cut;
    EXPECT_EQ(report.lost_bytes(), cut - (whole == 0 ? 0 : ends_[whole - 1]));
    EXPECT_FALSE(report.is_corrupt());
  }
}

}  // namespace
}  // namespace tinylcm::datalog
