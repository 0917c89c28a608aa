#include "tinylcm/source/folder_source.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>

#include "base/text.h"

namespace tinylcm::source {
namespace {

class FolderSourceTest : public ::testing::Test {
 protected:
  FolderSourceTest() {
    char name[] = "/tmp/folder_source_XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~FolderSourceTest() override { EXPECT_TRUE(base::RemoveTree(fs_, folder_).ok()); }

  void Write(const std::string& name, const std::string& content) {
    const std::string path = base::JoinPath(folder_, name);
    ASSERT_TRUE(fs_.CreateDirectories(std::string(base::FolderOf(path))).ok());
    ASSERT_TRUE(base::WriteFileDurably(fs_, path, base::AsBytes(content)).ok());
  }

  base::FileSystem& fs_ = base::SystemFileSystem();
  std::string folder_;
};

TEST_F(FolderSourceTest, ReadsPicturesByNameAndTakesTheFolderForTheLabel) {
  Write("7/b.JPG", "2");
  Write("7/a.png", "1");
  Write("3/z.jpeg", "0");
  Write("7/notes.txt", "no picture");
  Write("empty/notes.txt", "no picture");
  auto source = FolderSource::Open(fs_, base::SystemClock(), folder_);
  ASSERT_TRUE(source.ok());
  EXPECT_EQ((*source)->labels(), (std::vector<std::string>{"3", "7"}));
  std::string read;
  while (!(*source)->ended()) {
    const auto frame = (*source)->Next();
    ASSERT_TRUE(frame.ok());
    read += (*frame)->label + base::StrCat("=", base::AsText((*frame)->picture), " ");
  }
  EXPECT_EQ(read, "3=0 7=1 7=2 ");
  EXPECT_EQ((*source)->counters().frames, 3u);
}

TEST_F(FolderSourceTest, AFileThatCannotBeReadIsSkippedAndCounted) {
  Write("a.jpg", "1");
  Write("b.jpg", std::string(100, 'x'));
  auto source = FolderSource::Open(fs_, base::SystemClock(), folder_, {.file_bytes_max = 10});
  ASSERT_TRUE(source.ok());
  EXPECT_TRUE((*source)->Next().ok());
  EXPECT_FALSE((*source)->Next().ok());
  EXPECT_TRUE((*source)->ended());
  EXPECT_EQ((*source)->counters().skipped, 1u);
}

TEST_F(FolderSourceTest, AFolderWithoutPicturesIsNotFound) {
  EXPECT_EQ(FolderSource::Open(fs_, base::SystemClock(), folder_).error().code,
            base::ErrorCode::kNotFound);
}

}  // namespace
}  // namespace tinylcm::source
