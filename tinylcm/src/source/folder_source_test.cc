#include "tinylcm/source/folder_source.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <functional>
#include <string>

#include "base/text.h"
#include "tests/support/fake_clock.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {
namespace {

// What a PNG of that width and one row begins with: enough to be taken for a picture.
std::string Png(std::uint8_t width) {
  std::string png("\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0\0\0\0\x01\x08\x02\0\0\0\0\0\0\0", 33);
  png[19] = static_cast<char>(width);
  return png;
}
int WidthOf(const Frame& frame) { return ReadSize(frame.view()).value().width; }

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
  Write("7/b.JPG", Png(2));
  Write("7/a.png", Png(1));
  Write("3/z.jpeg", Png(9));
  Write("7/notes.txt", "no picture");
  Write("empty/notes.txt", "no picture");
  auto source = FolderSource::Open(fs_, base::SystemClock(), folder_);
  ASSERT_TRUE(source.ok());
  EXPECT_EQ((*source)->labels(), (std::vector<std::string>{"3", "7"}));
  std::string read;
  while (!(*source)->ended()) {
    const auto frame = (*source)->Next();
    ASSERT_TRUE(frame.ok());
    read += (*frame)->label + base::StrCat("=", WidthOf(**frame), " ");
  }
  EXPECT_EQ(read, "3=9 7=1 7=2 ");
  EXPECT_EQ((*source)->counters().frames, 3u);
}

TEST_F(FolderSourceTest, AFileThatCannotBeReadIsSkippedAndCounted) {
  Write("a.jpg", Png(1));
  Write("b.jpg", Png(1) + std::string(100, 'x'));
  auto source = FolderSource::Open(fs_, base::SystemClock(), folder_, {.file_bytes_max = 100});
  ASSERT_TRUE(source.ok());
  EXPECT_TRUE((*source)->Next().ok());
  EXPECT_FALSE((*source)->Next().ok());
  EXPECT_TRUE((*source)->ended());
  EXPECT_EQ((*source)->counters().skipped, 1u);
}

TEST_F(FolderSourceTest, AFileThatIsNoPictureIsAnErrorThatNamesIt) {
  Write("a.jpg", "");
  Write("b.png", "hello");
  Write("c.png", Png(3));
  auto source = FolderSource::Open(fs_, base::SystemClock(), folder_);
  ASSERT_TRUE(source.ok());
  EXPECT_EQ((*source)->Next().error().message, folder_ + "/a.jpg: jpeg: empty");
  EXPECT_EQ((*source)->Next().error().message, folder_ + "/b.png: jpeg: not a JPEG");
  EXPECT_EQ(WidthOf(**(*source)->Next()), 3);
  EXPECT_EQ((*source)->counters().skipped, 2u);
}

TEST_F(FolderSourceTest, ASinglePictureIsAFolderOfOne) {
  Write("only.png", Png(5));
  auto source = FolderSource::Open(fs_, base::SystemClock(), folder_ + "/only.png");
  ASSERT_TRUE(source.ok());
  EXPECT_EQ(WidthOf(**(*source)->Next()), 5);
  EXPECT_TRUE((*source)->ended());
  EXPECT_EQ(FolderSource::Open(fs_, base::SystemClock(), folder_ + "/missing.png").error().code,
            base::ErrorCode::kNotFound);
}

TEST_F(FolderSourceTest, AFolderWithoutPicturesIsNotFound) {
  EXPECT_EQ(FolderSource::Open(fs_, base::SystemClock(), folder_).error().code,
            base::ErrorCode::kNotFound);
}

// A watch that tells what the test says.
class ToldWatch final : public FolderWatch {
 public:
  base::Status Take(base::Duration, std::vector<std::string>& names) override {
    names = std::move(news);
    news.clear();
    if (is_gone) return base::Error{base::ErrorCode::kNotFound, "is gone"};
    return {};
  }
  std::vector<std::string> news;
  bool is_gone = false;
};

class WatchedFolderTest : public FolderSourceTest {
 protected:
  void Open(WatchedFolder::Options options = {}) {
    auto watch = std::make_unique<ToldWatch>();
    watch_ = watch.get();
    auto source =
        WatchedFolder::Open(fs_, clock_, base::NullLogger(), folder_, std::move(watch), options);
    ASSERT_TRUE(source.ok());
    source_ = std::move(source).value();
  }
  // The next frame's width, what is wrong with it, or "" if none came.
  std::string Next() {
    const auto next = source_->Next();
    if (!next.ok()) return next.error().message;
    return next->has_value() ? base::StrCat(WidthOf(**next)) : "";
  }

  tests::FakeClock clock_;
  ToldWatch* watch_ = nullptr;
  std::unique_ptr<WatchedFolder> source_;
};

TEST_F(WatchedFolderTest, TakesWhatIsThereByNameAndThenWhatComes) {
  Write("b.png", Png(2));
  Write("a.png", Png(1));
  Open();
  EXPECT_EQ(Next(), "1");
  EXPECT_EQ(Next(), "2");
  EXPECT_EQ(Next(), "");
  EXPECT_FALSE(source_->ended());
  Write("d.png", Png(4));
  Write("c.png", Png(3));
  watch_->news = {"d.png", "c.png"};
  EXPECT_EQ(Next(), "4");  // In the order in which they came.
  EXPECT_EQ(Next(), "3");
  EXPECT_EQ(Next(), "");
  EXPECT_EQ(source_->counters().frames, 4u);
}

TEST_F(WatchedFolderTest, AFileWrittenAgainBeforeItWasReadIsReadOnce) {
  Write("a.png", Png(1));
  Open();
  Write("a.png", Png(7));
  watch_->news = {"a.png"};
  EXPECT_EQ(Next(), "7");
  EXPECT_EQ(Next(), "");
  Write("a.png", Png(8));
  watch_->news = {"a.png"};
  EXPECT_EQ(Next(), "8");
}

TEST_F(WatchedFolderTest, WhatIsNoPictureIsCountedAndWhatIsUnderWayIsLeftAlone) {
  Write("notes.txt", "hello");
  Write("x.jpg", "hello");
  Write(".hidden.png", Png(1));
  Write("y.png.tmp", Png(1));
  Write("z.part", Png(1));
  Open();
  EXPECT_EQ(Next(), folder_ + "/notes.txt: is no .jpg, .jpeg or .png");
  EXPECT_EQ(Next(), folder_ + "/x.jpg: jpeg: not a JPEG");
  EXPECT_EQ(Next(), "");
  EXPECT_EQ(source_->counters().skipped, 2u);
  EXPECT_EQ(source_->counters().frames, 2u);
  watch_->news = {"gone.png"};
  EXPECT_NE(Next().find("gone.png"), std::string::npos);
}

TEST_F(WatchedFolderTest, LeavesOutTheOldestAndCountsItWhereTooManyWait) {
  for (std::uint8_t i = 1; i <= 5; ++i) Write(base::StrCat(int{i}, ".png"), Png(i));
  Open({.waiting_max = 2});
  EXPECT_EQ(Next(), "4");
  EXPECT_EQ(Next(), "5");
  EXPECT_EQ(source_->counters().overflow, 3u);
}

TEST_F(WatchedFolderTest, LooksItselfWhereNobodyTellsItAnyMore) {
  Write("a.png", Png(1));
  Open();
  watch_->is_gone = true;
  EXPECT_EQ(Next(), "1");
  Write("b.png", Png(2));
  std::string next;
  // Seen after a second, taken when another second has found it the same.
  for (int tries = 0; tries < 30 && next.empty(); ++tries) next = Next();
  EXPECT_EQ(next, "2");
}

TEST_F(WatchedFolderTest, HearsOfAFileWhenItIsClosedOrMovedIn) {
  auto source = WatchedFolder::Open(fs_, base::SystemClock(), base::NullLogger(), folder_);
  ASSERT_TRUE(source.ok()) << source.error().message;
  source_ = std::move(source).value();
  // WriteFileDurably writes beside it and moves it in; what is moved away is not heard of.
  Write("a.png", Png(6));
  EXPECT_EQ(Next(), "6");
  {
    auto file = fs_.Create(folder_ + "/b.png", base::FileSystem::Mode::kTruncate);
    ASSERT_TRUE(file.ok());
    const std::string png = Png(9);
    ASSERT_TRUE((*file)->Append(base::AsBytes(png.substr(0, 10))).ok());
    EXPECT_EQ(Next(), "");  // Not yet.
    ASSERT_TRUE((*file)->Append(base::AsBytes(png.substr(10))).ok());
    ASSERT_TRUE((*file)->Close().ok());
  }
  EXPECT_EQ(Next(), "9");
}

TEST_F(FolderSourceTest, APollingWatchWaitsUntilAFileNoLongerGrows) {
  tests::FakeClock clock;
  Write("old.png", Png(1));
  PollingWatch watch(fs_, clock, folder_);
  std::vector<std::string> names;
  const auto look = [&] {  // As often as a source asks in one second.
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(watch.Take(base::Duration(200), names).ok());
  };
  look();
  EXPECT_TRUE(names.empty());  // What was there is not new.
  Write("new.png", Png(1));
  look();
  EXPECT_TRUE(names.empty());
  Write("new.png", Png(1) + "more");  // It grows.
  look();
  EXPECT_TRUE(names.empty());
  clock.JumpTo(tests::FakeClock::kStart - std::chrono::hours(24 * 3652));  // Nobody minds.
  look();
  EXPECT_EQ(names, std::vector<std::string>{"new.png"});
  look();
  EXPECT_EQ(names.size(), 1u);
}

}  // namespace
}  // namespace tinylcm::source
