// The same promises for the machine's disk and for the fake of it, and then what only the fake can
// show: what a crash leaves.

#include "base/file_system.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string>

#include "tests/support/fake_file_system.h"

namespace base {
namespace {

using Mode = FileSystem::Mode;
using tests::FakeFileSystem;

class FileSystemContract : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) {
      fs_ = &fake_;
      root_ = "/root";
      ASSERT_TRUE(fs_->CreateDirectories(root_).ok());
    } else {
      fs_ = &SystemFileSystem();
      const char* folder = std::getenv("TMPDIR");
      root_ = std::string(folder != nullptr ? folder : "/tmp") + "/file_system_test.XXXXXX";
      ASSERT_NE(mkdtemp(root_.data()), nullptr);
    }
  }
  void TearDown() override { EXPECT_TRUE(RemoveTree(*fs_, root_).ok()); }

  std::string At(const std::string& name) const { return JoinPath(root_, name); }
  Status Write(const std::string& name, const std::string& text, Mode mode = Mode::kTruncate) {
    ASSIGN_OR_RETURN(const auto file, fs_->Create(At(name), mode));
    RETURN_IF_ERROR(file->Append(AsBytes(text)));
    RETURN_IF_ERROR(file->Sync());
    return file->Close();
  }
  std::string Read(const std::string& name) {
    return ReadTextFile(*fs_, At(name), 1 << 20).value();
  }

  FakeFileSystem fake_;
  FileSystem* fs_ = nullptr;
  std::string root_;
};

TEST_P(FileSystemContract, ReadsWhatWasWritten) {
  ASSERT_TRUE(Write("a", "hello").ok());
  EXPECT_EQ(Read("a"), "hello");
  ASSERT_TRUE(Write("a", " world", Mode::kAppend).ok());
  EXPECT_EQ(Read("a"), "hello world");
  ASSERT_TRUE(Write("a", "new").ok());
  EXPECT_EQ(Read("a"), "new");
}

TEST_P(FileSystemContract, ReadsFromTheMiddleAndAtTheEnd) {
  ASSERT_TRUE(Write("a", "hello").ok());
  const auto file = fs_->Open(At("a")).value();
  Bytes out(3);
  EXPECT_EQ(file->ReadAt(3, out).value(), 2u);
  EXPECT_EQ(AsText(ByteView(out).first(2)), "lo");
  EXPECT_EQ(file->ReadAt(5, out).value(), 0u);
}

TEST_P(FileSystemContract, TellsWhatWentWrong) {
  EXPECT_EQ(fs_->Open(At("none")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(fs_->Create(At("none/a"), Mode::kTruncate).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(fs_->Remove(At("none")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(fs_->Rename(At("none"), At("b")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(fs_->List(At("none")).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(Write("a", "x").ok());
  EXPECT_EQ(Write("a", "y", Mode::kExclusive).error().code, ErrorCode::kConflict);
  EXPECT_EQ(fs_->CreateDirectories(At("a")).error().code, ErrorCode::kConflict);
  EXPECT_FALSE(fs_->Open(root_).ok());
  ASSERT_TRUE(fs_->CreateDirectories(At("d")).ok());
  ASSERT_TRUE(Write("d/a", "x").ok());
  EXPECT_EQ(fs_->Remove(At("d")).error().code, ErrorCode::kConflict);
}

TEST_P(FileSystemContract, RenamesOverWhatIsThere) {
  ASSERT_TRUE(Write("a", "new").ok());
  ASSERT_TRUE(Write("b", "old").ok());
  ASSERT_TRUE(fs_->Rename(At("a"), At("b")).ok());
  EXPECT_EQ(Read("b"), "new");
  EXPECT_FALSE(Exists(*fs_, At("a")));
}

TEST_P(FileSystemContract, ListsByName) {
  ASSERT_TRUE(Write("b", "22").ok());
  ASSERT_TRUE(Write("a", "1").ok());
  ASSERT_TRUE(fs_->CreateDirectories(At("c/d")).ok());
  const std::vector<FileInfo> entries = fs_->List(root_).value();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0].name, "a");
  EXPECT_EQ(entries[1].name, "b");
  EXPECT_EQ(entries[1].bytes, 2u);
  EXPECT_FALSE(entries[1].is_directory);
  EXPECT_EQ(entries[2].name, "c");
  EXPECT_TRUE(entries[2].is_directory);
}

TEST_P(FileSystemContract, RefusesToReadMoreThanAsked) {
  ASSERT_TRUE(Write("a", "12345").ok());
  EXPECT_EQ(ReadFile(*fs_, At("a"), 4).error().code, ErrorCode::kExhausted);
  EXPECT_TRUE(ReadFile(*fs_, At("a"), 5).ok());
}

TEST_P(FileSystemContract, RemovesATreeThatMayNotBeThere) {
  ASSERT_TRUE(fs_->CreateDirectories(At("t/u")).ok());
  ASSERT_TRUE(Write("t/u/a", "x").ok());
  EXPECT_TRUE(RemoveTree(*fs_, At("t")).ok());
  EXPECT_FALSE(Exists(*fs_, At("t")));
  EXPECT_TRUE(RemoveTree(*fs_, At("t")).ok());
}

TEST_P(FileSystemContract, KeepsWhatIsSyncedWithItsFolder) {
  ASSERT_TRUE(Write("a", "x").ok());
  EXPECT_TRUE(fs_->SyncDirectory(root_).ok());
  EXPECT_GT(fs_->FreeBytes(root_).value(), 0u);
}

TEST_P(FileSystemContract, ReplacesAFileWhole) {
  ASSERT_TRUE(WriteFileDurably(*fs_, At("a"), AsBytes("one")).ok());
  ASSERT_TRUE(WriteFileDurably(*fs_, At("a"), AsBytes("two"), true).ok());
  EXPECT_EQ(Read("a"), "two");
  EXPECT_FALSE(Exists(*fs_, At("a.tmp")));
}

INSTANTIATE_TEST_SUITE_P(Disks, FileSystemContract, testing::Bool(),
                         [](const auto& disk) { return disk.param ? "Fake" : "Posix"; });

TEST(Paths, AreJoinedAndCut) {
  EXPECT_EQ(JoinPath("a", "b"), "a/b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
  EXPECT_EQ(JoinPath("", "b"), "b");
  EXPECT_EQ(FolderOf("a/b"), "a");
  EXPECT_EQ(FolderOf("/a"), "/");
  EXPECT_EQ(FolderOf("b"), ".");
}

TEST(WriteFileDurably, LeavesTheOldOrTheNewWholeWhereverThePowerGoes) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    for (int cut = 0;; ++cut) {
      FakeFileSystem fs;
      ASSERT_TRUE(WriteFileDurably(fs, "a", AsBytes("old content")).ok());
      fs.PowerOffAt(cut);
      const bool done = WriteFileDurably(fs, "a", AsBytes("new")).ok();
      fs.Crash(seed);
      const std::string text = ReadTextFile(fs, "a", 100).value();
      EXPECT_TRUE(text == "new" || (!done && text == "old content")) << seed << " " << cut;
      if (done) break;
    }
  }
}

TEST(FakeFileSystem, ForgetsWhatWasNotSynced) {
  FakeFileSystem fs;
  const auto file = fs.Create("a", Mode::kTruncate, false).value();
  ASSERT_TRUE(file->Append(AsBytes("synced")).ok());
  ASSERT_TRUE(file->Sync().ok());
  ASSERT_TRUE(fs.SyncDirectory(".").ok());
  ASSERT_TRUE(file->Append(AsBytes(" and not")).ok());
  const auto other = fs.Create("b", Mode::kTruncate, false).value();
  ASSERT_TRUE(other->Append(AsBytes("x")).ok());
  ASSERT_TRUE(other->Sync().ok());  // But not its name.
  fs.Crash();
  EXPECT_EQ(ReadTextFile(fs, "a", 100).value(), "synced");
  EXPECT_FALSE(Exists(fs, "b"));
  EXPECT_FALSE(file->Append(AsBytes("x")).ok());
}

TEST(FakeFileSystem, IsFullWhenToldAndWritesWhatFits) {
  FakeFileSystem fs;
  fs.SetCapacity(4);
  const auto file = fs.Create("a", Mode::kTruncate, false).value();
  EXPECT_EQ(file->Append(AsBytes("12345")).error().code, ErrorCode::kExhausted);
  EXPECT_EQ(ReadTextFile(fs, "a", 100).value(), "1234");
}

TEST(FakeFileSystem, FailsAsTold) {
  FakeFileSystem fs;
  fs.SetFault([](FakeFileSystem::Operation operation, const std::string&) -> std::optional<Error> {
    if (operation != FakeFileSystem::Operation::kSync) return std::nullopt;
    return Error{ErrorCode::kUnavailable, "EIO"};
  });
  EXPECT_EQ(WriteFileDurably(fs, "a", AsBytes("x")).error().message, "EIO");
  EXPECT_FALSE(Exists(fs, "a"));
}

}  // namespace
}  // namespace base
