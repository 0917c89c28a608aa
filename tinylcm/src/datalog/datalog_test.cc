#include "tinylcm/datalog/datalog.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"

namespace tinylcm::datalog {
namespace {

Record Answer(std::uint64_t index) {
  Record record;
  record.index = index;
  record.time = tests::FakeClock::kStart;
  return record;
}

class DatalogTest : public testing::Test {
 protected:
  Datalog Open(const Datalog::Options& options = {}) {
    Datalog log = Datalog::Open(fs_, "/log", options).value();
    log.SetBundle({.generation = 0, .bundle = "b", .labels = {"cat"}});
    return log;
  }
  // The indices of all lines, over all files, that can be read; torn and corrupt places in `lost_`.
  std::vector<std::uint64_t> Read() {
    std::vector<std::uint64_t> indices;
    lost_ = 0;
    pictures_.clear();
    const auto files = ListLog(fs_, "/log").value();
    for (const LogFile& file : files) {
      const auto bytes = base::ReadFile(fs_, file.path, 1u << 24).value();
      const auto report =
          file.format ? ReadLog(*file.format, bytes,
                                [&](const Entry& entry) { indices.push_back(entry.record.index); })
                      : ReadPictures(bytes, [&](const PictureEntry& entry) {
                          pictures_.push_back(entry.name);
                        });
      lost_ += report->damaged.size();
    }
    return indices;
  }
  void Clear() {
    fs_.SetCapacity(1u << 20);
    ASSERT_TRUE(base::RemoveTree(fs_, "/log").ok());
  }
  std::vector<std::string> Files() {
    std::vector<std::string> names;
    const auto files = fs_.List("/log").value();
    for (const auto& file : files) names.push_back(file.name);
    return names;
  }
  void Log(Datalog& log, std::uint64_t index) {
    ASSERT_TRUE(log.Append(Answer(index)));
    ASSERT_TRUE(log.Flush().ok());
  }

  tests::FakeFileSystem fs_;
  std::size_t lost_ = 0;
  std::vector<std::string> pictures_;  // As last read, their names.
};

using Indices = std::vector<std::uint64_t>;
using Names = std::vector<std::string>;

TEST_F(DatalogTest, LinesAreInTheFileAfterAFlushInTheirOrder) {
  Datalog log = Open();
  EXPECT_TRUE(log.Append(Answer(1)));
  EXPECT_TRUE(log.Append(Answer(2)));
  EXPECT_EQ(Read(), Indices{});
  ASSERT_TRUE(log.Flush().ok());
  EXPECT_EQ(Read(), (Indices{1, 2}));
  EXPECT_EQ(Files(), Names{"00000001.jsonl"});
}

TEST_F(DatalogTest, ARestartBeginsANewFileInAnotherFormatToo) {
  {
    Datalog log = Open();
    Log(log, 1);
    ASSERT_TRUE(log.Close().ok());
  }
  for (const Format format : {Format::kCsv, Format::kBinary}) {
    Datalog log = Open({.format = format});
    Log(log, 2);
    ASSERT_TRUE(log.Close().ok());
  }
  EXPECT_EQ(Files(), (Names{"00000001.jsonl", "00000002.csv", "00000003.tlog"}));
  EXPECT_EQ(Read(), (Indices{1, 2, 2}));
}

TEST_F(DatalogTest, TheNumberOfAFileGoesOnWhateverTheClockSays) {
  tests::FakeClock clock;
  const auto log_one = [&](std::uint64_t index) {
    Datalog log = Open();
    Record record = Answer(index);
    record.time = clock.Now();
    ASSERT_TRUE(log.Append(record));
    ASSERT_TRUE(log.Close().ok());
  };
  log_one(1);
  clock.JumpTo(clock.Now() - std::chrono::hours(24 * 3653));  // Ten years back.
  log_one(2);
  EXPECT_EQ(Files(), (Names{"00000001.jsonl", "00000002.jsonl"}));
  EXPECT_EQ(Read(), (Indices{1, 2})) << "in the order in which they were answered";
}

// A picture's entry is a block for its head and the JPEG rounded up to blocks: 1,024 bytes here.
constexpr std::uint64_t kPictureBytes = 1024;

TEST_F(DatalogTest, TheOldestFileOfLinesGoesWhenTheBudgetIsSpent) {
  std::string line;
  MakeEncoder(Format::kJsonl)->Append(Answer(1), "cat", line);
  // A file each: the next is begun beyond a quarter of the budget, and one line is more than that.
  Datalog log = Open({.bytes_max = 2 * line.size() + 1, .file_bytes_max = 1});
  for (std::uint64_t i = 1; i <= 4; ++i) Log(log, i);
  EXPECT_EQ(Files(), (Names{"00000003.jsonl", "00000004.jsonl"}));
  EXPECT_EQ(log.evicted_files(), 2u);
  EXPECT_EQ(log.bytes(), 2 * line.size());
}

TEST_F(DatalogTest, PicturesGoFirstWhileTheyTakeMoreThanHalf) {
  Datalog log = Open({.bytes_max = 4 * kPictureBytes, .file_bytes_max = 1});
  Log(log, 0);
  for (std::uint64_t i = 1; i <= 4; ++i) {
    ASSERT_TRUE(log.AppendPicture(Answer(i), ImageReason::kEvery, base::Bytes(100, 7)));
    ASSERT_TRUE(log.Flush().ok());
  }
  // Four pictures and a line are too much; the oldest picture went, the older line stayed.
  EXPECT_EQ(Files(), (Names{"00000001.jsonl", "00000003.tar", "00000004.tar", "00000005.tar"}));
  EXPECT_EQ(log.evicted_files(), 1u);
}

TEST_F(DatalogTest, LinesGoFirstWherePicturesTakeLessThanHalf) {
  Datalog log = Open({.bytes_max = 4 * kPictureBytes, .file_bytes_max = 1});
  ASSERT_TRUE(log.AppendPicture(Answer(0), ImageReason::kEvery, base::Bytes(100, 7)));
  std::uint64_t index = 1;
  while (log.evicted_files() == 0) Log(log, index++);
  EXPECT_EQ(Files().front(), "00000002.tar") << "the line's file had number 1";
}

TEST_F(DatalogTest, AFullDiskKeepsLinesUntilTheBufferIsFullThenCountsWhatItDropsAndGoesOn) {
  Datalog log = Open({.buffer_bytes_max = 200});
  fs_.SetCapacity(0);
  EXPECT_TRUE(log.Append(Answer(1)));
  EXPECT_FALSE(log.Flush().ok());
  EXPECT_NE(log.last_error(), "");
  EXPECT_TRUE(log.Append(Answer(2)));
  EXPECT_FALSE(log.Append(Answer(3)));
  EXPECT_EQ(log.dropped_lines(), 1u);
  fs_.SetCapacity(1u << 20);
  ASSERT_TRUE(log.Flush().ok());
  EXPECT_EQ(log.last_error(), "");
  Log(log, 4);
  EXPECT_EQ(Read(), (Indices{1, 2, 4}));
}

TEST_F(DatalogTest, ADiskThatFillsUpAtAnyByteTearsNothingInAnyFormat) {
  for (const Format format : {Format::kJsonl, Format::kCsv, Format::kBinary}) {
    for (std::uint64_t capacity = 0; capacity < 700; ++capacity) {
      Clear();
      Datalog log = Open({.format = format});
      fs_.SetCapacity(capacity);
      for (std::uint64_t i = 0; i < 3; ++i) {
        ASSERT_TRUE(log.Append(Answer(i)));
        static_cast<void>(log.Flush().ok());
      }
      fs_.SetCapacity(1u << 20);
      Log(log, 3);
      ASSERT_EQ(Read(), (Indices{0, 1, 2, 3})) << Name(format) << " at " << capacity;
      ASSERT_EQ(lost_, 0u) << Name(format) << " at " << capacity;
      ASSERT_EQ(Files().size(), 1u) << "no litter of half-begun files";
    }
  }
}

TEST_F(DatalogTest, ALineTheDiskTookHalfOfIsWholeInOneFileAlsoWhereTheNextIsDue) {
  for (const Format format : {Format::kJsonl, Format::kCsv, Format::kBinary}) {
    for (std::uint64_t capacity = 0; capacity < 700; ++capacity) {
      Clear();
      Datalog log = Open({.format = format, .file_bytes_max = 1});
      fs_.SetCapacity(capacity);
      for (std::uint64_t i = 0; i < 3; ++i) {
        ASSERT_TRUE(log.Append(Answer(i)));
        static_cast<void>(log.Flush().ok());
      }
      fs_.SetCapacity(1u << 20);
      Log(log, 3);
      Log(log, 4);
      ASSERT_EQ(Read(), (Indices{0, 1, 2, 3, 4})) << Name(format) << " at " << capacity;
      ASSERT_EQ(lost_, 0u) << Name(format) << " at " << capacity;
    }
  }
}

TEST_F(DatalogTest, APictureTheDiskTookHalfOfIsWholeInOneFileAlsoWhereTheNextIsDue) {
  for (std::uint64_t capacity = 0; capacity <= 3 * kPictureBytes; capacity += 64) {
    Clear();
    Datalog log = Open({.file_bytes_max = kPictureBytes});
    fs_.SetCapacity(capacity);
    for (std::uint64_t i = 0; i < 5; ++i) {
      if (i == 3) fs_.SetCapacity(1u << 20);
      ASSERT_TRUE(log.AppendPicture(Answer(i), ImageReason::kEvery, base::Bytes(100, 7)));
      static_cast<void>(log.Flush().ok());
    }
    Read();
    Names expected;
    for (std::uint64_t i = 0; i < 5; ++i) expected.push_back(PictureName(i, ImageReason::kEvery));
    ASSERT_EQ(pictures_, expected) << "at " << capacity;
    ASSERT_EQ(lost_, 0u) << "at " << capacity;
    ASSERT_EQ(log.dropped_pictures(), 0u);
  }
}

TEST_F(DatalogTest, TheRestOfAPictureIsDroppedWithTheFileItBeganIn) {
  Datalog log = Open();
  fs_.SetCapacity(kPictureBytes / 2 + 10);
  for (std::uint64_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(log.AppendPicture(Answer(i), ImageReason::kEvery, base::Bytes(100, 7)));
  }
  EXPECT_FALSE(log.Flush().ok());  // Half of picture 0.
  ASSERT_TRUE(fs_.Remove("/log/00000001.tar").ok());
  fs_.SetCapacity(0);
  EXPECT_FALSE(log.Flush().ok());
  EXPECT_EQ(log.dropped_pictures(), 1u);
  fs_.SetCapacity(1u << 20);
  ASSERT_TRUE(log.Flush().ok());
  Read();
  EXPECT_EQ(pictures_, Names{PictureName(1, ImageReason::kEvery)});
  EXPECT_EQ(lost_, 0u);
}

TEST_F(DatalogTest, APictureThatFindsNoRoomIsCountedAndTheLinesGoOn) {
  Datalog log = Open({.picture_bytes_max = 150});
  EXPECT_TRUE(log.AppendPicture(Answer(0), ImageReason::kDrift, base::Bytes(100, 7)));
  EXPECT_FALSE(log.AppendPicture(Answer(1), ImageReason::kDrift, base::Bytes(100, 7)));
  EXPECT_EQ(log.dropped_pictures(), 1u);
  Log(log, 1);
  EXPECT_EQ(Files(), (Names{"00000001.jsonl", "00000002.tar"}));
}

TEST_F(DatalogTest, AThousandFramesTakeLessThanHalfAMegabyteInOneFile) {
  for (const Format format : {Format::kJsonl, Format::kCsv, Format::kBinary}) {
    Clear();
    Datalog log = Open({.format = format});
    for (std::uint64_t i = 0; i < 1000; ++i) {
      Record record = Answer(i);
      record.frame_number = static_cast<std::uint32_t>(i);
      // Numbers that need every digit they can.
      record.confidence = 0.98765432f;
      record.distance = 0.12345678f;
      record.total_us = 12345.678f;
      record.decode_us = record.model_us = record.classify_us = 1234.5678f;
      ASSERT_TRUE(log.Append(record));
    }
    ASSERT_TRUE(log.Close().ok());
    EXPECT_LE(log.bytes(), 500'000u) << Name(format);
    EXPECT_EQ(Files().size(), 1u);
    RecordProperty(std::string("bytes_a_line_") + Name(format),
                   static_cast<int>(log.bytes() / 1000));
  }
}

}  // namespace
}  // namespace tinylcm::datalog
