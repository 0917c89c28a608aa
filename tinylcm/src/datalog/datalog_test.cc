#include "tinylcm/datalog/datalog.h"

#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"

namespace tinylcm::datalog {
namespace {

class DatalogTest : public testing::Test {
 protected:
  Datalog Open(const Datalog::Options& options = {}) {
    return Datalog::Open(fs_, "/log", options).value();
  }
  std::string Read(const std::string& name) {
    return *base::ReadTextFile(fs_, "/log/" + name, 1u << 20);
  }
  std::size_t Files() { return fs_.List("/log")->size(); }

  tests::FakeFileSystem fs_;
};

TEST_F(DatalogTest, LinesAreInTheFileAfterAFlushInTheirOrder) {
  Datalog log = Open();
  EXPECT_TRUE(log.Append("{\"a\":1}"));
  EXPECT_TRUE(log.Append("{\"a\":2}"));
  ASSERT_TRUE(log.Flush().ok());
  EXPECT_EQ(Read("00000001.jsonl"), "{\"a\":1}\n{\"a\":2}\n");
}

TEST_F(DatalogTest, ARestartBeginsANewFileAndLeavesTheOldOne) {
  {
    Datalog log = Open();
    log.Append("{}");
    ASSERT_TRUE(log.Close().ok());
  }
  Datalog log = Open();
  log.Append("{\"later\":true}");
  ASSERT_TRUE(log.Flush().ok());
  EXPECT_EQ(Read("00000001.jsonl"), "{}\n");
  EXPECT_EQ(Read("00000002.jsonl"), "{\"later\":true}\n");
}

TEST_F(DatalogTest, TheOldestFileGoesWhenTheBudgetIsSpent) {
  Datalog log = Open({.bytes_max = 25, .file_bytes_max = 10});
  for (int i = 0; i < 4; ++i) {
    log.Append("123456789");  // Ten bytes with the line feed: a file each, two fit into 25.
    ASSERT_TRUE(log.Flush().ok());
  }
  EXPECT_EQ(Files(), 2u);
  EXPECT_EQ(log.evicted_files(), 2u);
  EXPECT_EQ(Read("00000004.jsonl"), "123456789\n");
}

TEST_F(DatalogTest, AFullDiskKeepsLinesUntilTheBufferIsFullThenCountsWhatItDrops) {
  Datalog log = Open({.buffer_bytes_max = 25});
  fs_.SetCapacity(0);
  EXPECT_TRUE(log.Append("123456789"));
  EXPECT_FALSE(log.Flush().ok());
  EXPECT_TRUE(log.Append("123456789"));
  EXPECT_FALSE(log.Append("123456789"));
  EXPECT_EQ(log.dropped_lines(), 1u);
  fs_.SetCapacity(1u << 20);
  ASSERT_TRUE(log.Flush().ok());
  EXPECT_EQ(log.bytes(), 20u);
}

TEST_F(DatalogTest, ALineTheDiskTookHalfOfIsFinishedInTheSameFile) {
  Datalog log = Open();
  ASSERT_TRUE(log.Append("{\"a\":1}"));
  ASSERT_TRUE(log.Flush().ok());
  fs_.SetCapacity(12);  // The first line is 8 bytes with its line feed: half of the second fits.
  ASSERT_TRUE(log.Append("{\"a\":2}"));
  for (int second = 0; second < 3; ++second) EXPECT_FALSE(log.Flush().ok());
  EXPECT_EQ(Files(), 1u);
  fs_.SetCapacity(1u << 20);
  ASSERT_TRUE(log.Append("{\"a\":3}"));
  ASSERT_TRUE(log.Flush().ok());
  EXPECT_EQ(Read("00000001.jsonl"), "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
  EXPECT_EQ(Files(), 1u);
  EXPECT_EQ(log.bytes(), 24u);
}

}  // namespace
}  // namespace tinylcm::datalog
