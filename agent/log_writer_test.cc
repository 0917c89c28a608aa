#include "agent/log_writer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/source/image.h"

namespace agent {
namespace {

namespace datalog = tinylcm::datalog;
namespace source = tinylcm::source;
using std::chrono::hours;
using std::chrono::seconds;

// The log's half of the main thread, fed as the frame thread feeds it.
class LogWriterTest : public testing::Test {
 protected:
  LogWriter Open(const LogWriter::Options& options = {}) {
    return LogWriter::Open(
               fs_, "/log", options,
               [](std::uint32_t generation) {
                 return std::make_shared<const tinylcm::pipeline::NamedBundle>(
                     tinylcm::pipeline::NamedBundle{.bundle = generation == 0 ? "b" : "c",
                                                    .labels = {"cat", "dog"}});
               })
        .value();
  }
  void GiveAnswer(std::uint64_t index) {
    datalog::Record* const slot = rings_.records.Slot();
    ASSERT_NE(slot, nullptr);
    *slot = datalog::Record{};
    slot->index = index;
    slot->label = 1;
    slot->time = clock_.Now();
    rings_.records.Give();
  }
  // White, 32 x 32.
  void GivePicture(std::uint64_t index, std::uint32_t bundle = 0) {
    LoggedPicture* const slot = rings_.pictures.Slot();
    ASSERT_NE(slot, nullptr);
    slot->record.index = index;
    slot->record.label = 1;
    slot->record.bundle = bundle;
    slot->reason = datalog::ImageReason::kDrift;
    slot->bytes.assign(3u * 32 * 32, 255);
    slot->format = source::PictureFormat::kRgb24;
    slot->width = slot->height = 32;
    rings_.pictures.Give();
  }
  std::vector<datalog::Entry> Entries() {
    std::vector<datalog::Entry> entries;
    ForEachFile([&](const datalog::LogFile& file, base::ByteView bytes) {
      if (!file.format) return;
      static_cast<void>(
          datalog::ReadLog(*file.format, bytes, [&](const auto& e) { entries.push_back(e); }).ok());
    });
    return entries;
  }
  std::vector<source::Image> Pictures() {
    std::vector<source::Image> pictures;
    ForEachFile([&](const datalog::LogFile& file, base::ByteView bytes) {
      if (file.format) return;
      datalog::ReadPictures(bytes, [&](const datalog::PictureEntry& entry) {
        EXPECT_TRUE(source::DecodeJpeg(entry.jpeg, pictures.emplace_back()).ok());
      });
    });
    return pictures;
  }
  template <typename Each>
  void ForEachFile(Each each) {
    const auto files = datalog::ListLog(fs_, "/log").value();
    for (const datalog::LogFile& file : files) {
      each(file, base::ReadFile(fs_, file.path, 1u << 24).value());
    }
  }

  tests::FakeFileSystem fs_;
  tests::FakeClock clock_;
  FrameRings rings_;
};

TEST_F(LogWriterTest, AnswersAreNamedByTheBundleThatGaveThem) {
  LogWriter log = Open();
  for (std::uint64_t i = 0; i < 3; ++i) GiveAnswer(i);
  EXPECT_EQ(log.Take(rings_, seconds(0)), 0u);
  ASSERT_TRUE(log.Flush().ok());
  const auto entries = Entries();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[2].label, "dog");
  EXPECT_EQ(entries[2].record.index, 2u);
}

TEST_F(LogWriterTest, ARecordAfterTheClockWasSetBackTenYearsIsKeptInItsOrder) {
  LogWriter log = Open();
  GiveAnswer(0);
  clock_.JumpTo(clock_.Now() - hours(24 * 3653));
  GiveAnswer(1);
  log.Take(rings_, seconds(1));
  ASSERT_TRUE(log.Flush().ok());
  const auto entries = Entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[1].record.index, 1u);
  EXPECT_LT(entries[1].record.time, entries[0].record.time);
}

TEST_F(LogWriterTest, APictureIsMaskedBeforeItIsKeptAndBeforeItIsSent) {
  LogWriter log = Open({.images = {.on_drift = 1},
                        .masks = {{.x = 0.0, .y = 0.0, .width = 0.5, .height = 1.0}},
                        .sends_pictures = true});
  GivePicture(7);
  log.Take(rings_, seconds(0));
  ASSERT_TRUE(log.Flush().ok());
  auto pictures = Pictures();
  const auto files = log.Package();
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path, "predictions.jsonl");
  EXPECT_NE(base::AsText(files[0].bytes).find("\"index\":7"), std::string::npos);
  EXPECT_EQ(files[1].path, "images/000000000007_drift.jpg");
  ASSERT_TRUE(source::DecodeJpeg(files[1].bytes, pictures.emplace_back()).ok());
  ASSERT_EQ(pictures.size(), 2u);
  for (const source::Image& picture : pictures) {
    EXPECT_LT(*picture.At(5, 16), 8);
    EXPECT_GT(*picture.At(26, 16), 247);
  }
  log.PackageIsSent();
  EXPECT_TRUE(log.Package().empty()) << "sent once";
}

TEST_F(LogWriterTest, WithoutConsentNothingIsReadyToLeave) {
  LogWriter log = Open({.images = {.on_drift = 1}});
  GivePicture(7);
  log.Take(rings_, seconds(0));
  ASSERT_TRUE(log.Flush().ok());
  EXPECT_EQ(Pictures().size(), 1u);
  EXPECT_FALSE(log.has_package());
  EXPECT_TRUE(log.Package().empty());
}

TEST_F(LogWriterTest, ADaysBudgetIsKeptToWhateverTheWallClockDoes) {
  LogWriter log = Open({.images = {.every = 1, .per_day = 2}});
  for (std::uint64_t i = 0; i < 3; ++i) GivePicture(i);
  log.Take(rings_, hours(0));
  EXPECT_FALSE(rings_.takes_pictures) << "the frame thread copies no more";
  clock_.JumpTo(clock_.Now() - hours(24 * 3653));
  GivePicture(3);
  log.Take(rings_, hours(23));
  ASSERT_TRUE(log.Flush().ok());
  EXPECT_EQ(Pictures().size(), 2u);
  EXPECT_EQ(log.Describe().Find("over_budget_pictures")->as_int(), 2);
  log.Take(rings_, hours(24));
  EXPECT_TRUE(rings_.takes_pictures);
}

TEST_F(LogWriterTest, APackageOfPicturesHasABoundAndTheLogGoesOnBeyondIt) {
  LogWriter log = Open({.images = {.every = 1, .per_day = 1000}, .sends_pictures = true});
  for (std::uint64_t i = 0; i < LogWriter::kPackagePictures + 5; ++i) {
    GivePicture(i);
    log.Take(rings_, seconds(0));
  }
  EXPECT_TRUE(log.has_package());
  EXPECT_EQ(log.Package().size(), LogWriter::kPackagePictures + 1);
  EXPECT_EQ(log.Describe().Find("not_sent_pictures")->as_int(), 5);
  ASSERT_TRUE(log.Flush().ok());
  EXPECT_EQ(Pictures().size(), LogWriter::kPackagePictures + 5);
}

TEST_F(LogWriterTest, APackageThatCouldNotBeSentIsThereStillAndGrows) {
  LogWriter log = Open({.images = {.every = 1}, .sends_pictures = true});
  GivePicture(0);
  log.Take(rings_, seconds(0));
  EXPECT_EQ(log.Package().size(), 2u);  // And nobody took it.
  GivePicture(1);
  log.Take(rings_, seconds(1));
  const auto files = log.Package();
  ASSERT_EQ(files.size(), 3u);
  const std::string_view lines = base::AsText(files[0].bytes);
  EXPECT_EQ(std::ranges::count(lines, '\n'), 2);
}

TEST_F(LogWriterTest, APackageHoldsTheAnswersOfOneBundle) {
  LogWriter log = Open({.images = {.every = 1}, .sends_pictures = true});
  GivePicture(0, 0);
  GivePicture(1, 1);
  log.Take(rings_, seconds(0));
  EXPECT_TRUE(log.has_package()) << "the bundle was changed";
  EXPECT_EQ(log.Package().size(), 2u);
  EXPECT_EQ(log.package_bundle(), "b");
  log.PackageIsSent();
  EXPECT_FALSE(log.has_package());
  GivePicture(2, 1);
  log.Take(rings_, seconds(1));
  EXPECT_EQ(log.Package().size(), 2u);
  EXPECT_EQ(log.package_bundle(), "c");
}

TEST_F(LogWriterTest, APictureThatFindsNoRoomCostsNothingOfTheDay) {
  LogWriter log = Open({.log = {.picture_bytes_max = 1500}, .images = {.every = 1, .per_day = 2}});
  GivePicture(0);  // A block and the JPEG: two do not fit in what waits for the disk.
  GivePicture(1);
  GivePicture(2);
  log.Take(rings_, seconds(0));
  EXPECT_EQ(log.Describe().Find("dropped_pictures")->as_int(), 2);
  EXPECT_EQ(log.Describe().Find("over_budget_pictures")->as_int(), 0);
  ASSERT_TRUE(log.Flush().ok());
  GivePicture(3);
  log.Take(rings_, seconds(1));
  ASSERT_TRUE(log.Flush().ok());
  EXPECT_EQ(Pictures().size(), 2u) << "the day's two";
}

TEST_F(LogWriterTest, APictureThatIsNoneIsCounted) {
  LogWriter log = Open({.images = {.every = 1}});
  LoggedPicture* const slot = rings_.pictures.Slot();
  slot->bytes = {1, 2, 3};
  rings_.pictures.Give();
  log.Take(rings_, seconds(0));
  EXPECT_EQ(log.Describe().Find("bad_pictures")->as_int(), 1);
}

TEST_F(LogWriterTest, AFullDiskIsSaidAndWhatFindsNoRoomIsCounted) {
  LogWriter log = Open({.log = {.buffer_bytes_max = 300}});
  fs_.SetCapacity(0);
  for (std::uint64_t i = 0; i < 10; ++i) GiveAnswer(i);
  const std::uint64_t lost = log.Take(rings_, seconds(0));
  EXPECT_GT(lost, 0u);
  EXPECT_FALSE(log.Flush().ok());
  EXPECT_NE(log.Describe().Find("last_error")->as_string(), "");
  EXPECT_EQ(log.Describe().Find("dropped_lines")->as_int(), static_cast<std::int64_t>(lost));
  fs_.SetCapacity(1u << 20);
  ASSERT_TRUE(log.Flush().ok());
  EXPECT_EQ(Entries().size(), 10 - lost);
  EXPECT_EQ(log.Describe().Find("last_error")->as_string(), "");
}

TEST_F(LogWriterTest, AMaskOutsideThePictureIsRefused) {
  const auto log =
      LogWriter::Open(fs_, "/log", {.masks = {{.x = 0.9, .y = 0.0, .width = 0.5, .height = 1.0}}},
                      [](std::uint32_t) { return nullptr; });
  EXPECT_FALSE(log.ok());
}

}  // namespace
}  // namespace agent
