#include "tinylcm/source/stream_source.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/file_system.h"
#include "base/text.h"
#include "tests/support/allocations.h"
#include "tests/support/fake_clock.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {
namespace {

using std::chrono_literals::operator""s;

// Bytes that a test hands over, with an end when it says so.
struct Script {
  std::mutex mutex;
  std::string bytes;
  bool end = false;
  int openings = 0;

  int Openings() {
    const std::lock_guard lock(mutex);
    return openings;
  }

  void Say(const std::string& text) {
    const std::lock_guard lock(mutex);
    bytes += text;
  }
  void End() {
    const std::lock_guard lock(mutex);
    end = true;
  }
  // The reader has been told: what the clock does from now on is no silence of the stream's.
  bool EndWasRead() {
    const std::lock_guard lock(mutex);
    return !end;
  }
};

class ScriptStream final : public ByteStream {
 public:
  explicit ScriptStream(Script& script) : script_(script) {}
  base::Result<std::size_t> Read(std::span<std::uint8_t> out, base::Duration) override {
    {
      const std::lock_guard lock(script_.mutex);
      if (!script_.bytes.empty()) {
        const std::size_t count = std::min(out.size(), script_.bytes.size());
        std::copy_n(script_.bytes.begin(), count, out.begin());
        script_.bytes.erase(0, count);
        return count;
      }
      if (script_.end) {
        script_.end = false;
        ended_ = true;
      }
    }
    std::this_thread::yield();
    return std::size_t{0};
  }
  bool ended() const override { return ended_; }

 private:
  Script& script_;
  bool ended_ = false;
};

StreamOpener Opener(Script& script) {
  return [&script]() -> base::Result<std::unique_ptr<ByteStream>> {
    const std::lock_guard lock(script.mutex);
    ++script.openings;
    return std::unique_ptr<ByteStream>(new ScriptStream(script));
  };
}

// What was logged.
class Lines final : public base::Logger {
 public:
  void Write(base::LogLevel, std::string_view message) override {
    const std::lock_guard lock(mutex_);
    text_ += base::StrCat(message, "\n");
  }
  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

// Asks `condition` again and again, for at most ten seconds.
bool Eventually(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

// The next frame's first number, "-" for a bad frame, "" if there is none any more.
std::string Next(StreamSource& source) {
  const auto deadline = std::chrono::steady_clock::now() + 10s;
  while (!source.ended() && std::chrono::steady_clock::now() < deadline) {
    const auto next = source.Next();
    if (!next.ok()) return "-";
    if (next->has_value()) return base::FormatDouble(static_cast<double>((*next)->row.at(0)));
  }
  return "";
}

std::unique_ptr<Framer> Csv() { return std::make_unique<CsvFramer>(RowOptions{}); }

TEST(StreamSource, DropsTheOldestAndCountsItWhenTheReaderIsSlow) {
  Script script;
  StreamSource source(Opener(script), Csv(), {.ring = 2}, base::SystemClock(), base::NullLogger());
  script.Say("a\n1\n2\n3\n4\n5\n");
  ASSERT_TRUE(Eventually([&] { return source.counters().overflow == 3; }));
  EXPECT_EQ(Next(source), "4");
  EXPECT_EQ(Next(source), "5");
  script.End();
  EXPECT_EQ(Next(source), "");
  EXPECT_TRUE(source.ended());
  EXPECT_EQ(source.counters().frames, 2u);
}

TEST(StreamSource, WaitsForTheReaderWhereNothingMayBeLost) {
  Script script;
  StreamSource source(Opener(script), Csv(), {.ring = 2, .full = StreamSource::Full::kWait},
                      base::SystemClock(), base::NullLogger());
  script.Say("a\n1\n2\nx\n4\n5");
  script.End();
  std::string read;
  for (std::string next; !(next = Next(source)).empty();) read += next + " ";
  EXPECT_EQ(read, "1 2 - 4 5 ");
  EXPECT_EQ(source.counters().frames, 5u);
  EXPECT_EQ(source.counters().skipped, 1u);
  EXPECT_EQ(source.counters().overflow, 0u);
}

TEST(StreamSource, OpensAgainWhenTheSenderEnds) {
  Script script;
  StreamSource source(Opener(script), Csv(), {.reopen = true, .pause_min = base::Duration(1)},
                      base::SystemClock(), base::NullLogger());
  script.Say("a\n1\n");
  EXPECT_EQ(Next(source), "1");
  script.End();
  ASSERT_TRUE(Eventually([&] { return source.counters().restarts == 1; }));
  script.Say("a\n2\n");  // With a new header.
  EXPECT_EQ(Next(source), "2");
  EXPECT_FALSE(source.ended());
}

TEST(StreamSource, StopEndsANextThatWaits) {
  Script script;
  StreamSource source(Opener(script), Csv(), {.wait = base::Duration(60'000)}, base::SystemClock(),
                      base::NullLogger());
  std::thread stopper([&] { source.Stop(); });
  EXPECT_EQ(Next(source), "");
  stopper.join();
  EXPECT_TRUE(source.ended());
}

TEST(StreamSource, ASilentCameraIsEndedAndStartedAgainAfterGrowingPauses) {
  tests::FakeClock clock;
  Lines lines;
  Script script;
  StreamSource source(Opener(script), Csv(),
                      {.reopen = true,
                       .pause_min = base::Duration(1'000),
                       .pause_max = base::Duration(3'000),
                       .stall_timeout = base::Duration(10'000),
                       .name = "\"camera\""},
                      clock, lines);
  script.Say("a\n1\n");
  EXPECT_EQ(Next(source), "1");
  // Silent, each time for ten seconds; then a pause of 1, 2, 3, 3 s.
  const int pauses_s[] = {1, 2, 3, 3};
  std::uint64_t stalls = 0;
  for (const int pause_s : pauses_s) {
    const auto openings = source.counters().restarts + 1;
    ASSERT_TRUE(Eventually([&] { return script.Openings() == static_cast<int>(openings); }));
    // The thread measures from when it opened the stream: a step at a time until it notices.
    ASSERT_TRUE(Eventually([&] {
      if (source.counters().stalls == stalls) clock.Advance(base::Duration(1'000));
      return source.counters().stalls == stalls + 1;
    }));
    ++stalls;
    const std::string said =
        base::StrCat("source: \"camera\": gave nothing for 10s and was ended; starting again in ",
                     pause_s, "s, try ", stalls, "\n");
    ASSERT_TRUE(Eventually([&] { return lines.text().ends_with(said); })) << lines.text();
    ASSERT_TRUE(Eventually([&] {
      if (source.counters().restarts == stalls - 1) clock.Advance(base::Duration(1'000));
      return source.counters().restarts == stalls;
    }));
  }
  // It speaks again, and all is forgotten: the next pause is the shortest.
  script.Say("a\n2\n");
  EXPECT_EQ(Next(source), "2");
  script.End();
  ASSERT_TRUE(Eventually([&] { return lines.text().ends_with("starting again in 1s, try 1\n"); }))
      << lines.text();
  EXPECT_EQ(source.counters().stalls, 4u);
}

TEST(StreamSource, AClockSetBackTenYearsChangesTheTimesOfFramesAndNothingElse) {
  tests::FakeClock clock;
  Script script;
  StreamSource source(
      Opener(script), Csv(),
      {.reopen = true, .pause_min = base::Duration(1'000), .stall_timeout = base::Duration(10'000)},
      clock, base::NullLogger());
  const auto next = [&] {
    std::optional<Frame> frame;
    EXPECT_TRUE(Eventually([&] {
      auto got = source.Next();
      if (got.ok() && got->has_value()) frame = std::move(**got);
      return frame.has_value();
    }));
    return frame.value_or(Frame{});
  };
  script.Say("a\n1\n");
  EXPECT_EQ(next().time, tests::FakeClock::kStart);
  const base::Time earlier = tests::FakeClock::kStart - std::chrono::hours(24 * 3652);
  clock.JumpTo(earlier);
  script.Say("2\n");
  const Frame second = next();
  EXPECT_EQ(second.time, earlier);
  EXPECT_EQ(second.index, 1u);
  EXPECT_EQ(source.counters().stalls, 0u);  // Ten years are no silence ...
  EXPECT_EQ(source.counters().restarts, 0u);
  script.End();
  ASSERT_TRUE(Eventually([&] { return script.EndWasRead(); }));
  // ... and no pause: one second of uptime is.
  ASSERT_TRUE(Eventually([&] {
    clock.Advance(base::Duration(100));
    return source.counters().restarts == 1;
  }));
  script.Say("a\n3\n");
  EXPECT_EQ(next().row.at(0), 3.0f);
}

// The same bytes again and again, without taking memory.
class EndlessStream final : public ByteStream {
 public:
  explicit EndlessStream(const std::string& once, const std::string& again)
      : begin_(once), again_(again) {}
  base::Result<std::size_t> Read(std::span<std::uint8_t> out, base::Duration) override {
    const std::string& from = is_first_ ? begin_ : again_;
    is_first_ = false;
    std::copy(from.begin(), from.end(), out.begin());
    return from.size();
  }
  bool ended() const override { return false; }

 private:
  std::string begin_;
  std::string again_;
  bool is_first_ = true;
};

// What both threads take from the heap for 1,000 frames, once warm.
std::uint64_t AllocationsOf(std::unique_ptr<Framer> framer, const std::string& once,
                            const std::string& again) {
  StreamSource source([&] { return std::unique_ptr<ByteStream>(new EndlessStream(once, again)); },
                      std::move(framer), {.full = StreamSource::Full::kWait}, base::SystemClock(),
                      base::NullLogger());
  std::vector<Frame> held;  // More than are ever on their way at once.
  held.reserve(12);
  std::uint64_t before = 0;
  for (int frame = 0; frame < 1'200;) {
    if (frame == 200) before = testing_support::Allocations();
    auto next = source.Next();
    if (!next.ok() || !next->has_value()) continue;
    if (held.size() < held.capacity()) {
      held.push_back(std::move(**next));
      if (held.size() == held.capacity()) {
        for (Frame& back : held) source.Recycle(std::move(back));
      }
    } else {
      source.Recycle(std::move(**next));
    }
    ++frame;
  }
  return testing_support::Allocations() - before;
}

TEST(StreamSource, TakesNoMemoryOnceWarmWhereItsFramesComeBack) {
  Image image{64, 48, std::vector<std::uint8_t>(64 * 48 * 3, 90)};
  const std::string jpeg(base::AsText(EncodeJpeg(image, 90).value()));
  EXPECT_EQ(AllocationsOf(std::make_unique<MjpegSplitter>(), jpeg, jpeg + jpeg), 0u);
  const std::string rows = "1,2.5,-3e4,walking\n7,\"8\",9,\"standing, still\"\n";
  EXPECT_EQ(AllocationsOf(std::make_unique<CsvFramer>(RowOptions{.label_column = "label"}),
                          "x,y,z,label\n", rows),
            0u);
  const std::string raw(10 * 10 * 3, 'x');
  EXPECT_EQ(AllocationsOf(RawFramer::Create({.width = 10, .height = 10}).value(), raw, raw), 0u);
}

class OpenStreamTest : public ::testing::Test {
 protected:
  OpenStreamTest() {
    char name[] = "/tmp/stream_source_XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~OpenStreamTest() override {
    EXPECT_TRUE(base::RemoveTree(base::SystemFileSystem(), folder_).ok());
  }
  std::unique_ptr<StreamSource> Open(StreamOptions options) {
    options.kind = StreamOptions::Kind::kCsv;
    auto source = OpenStream(options, base::SystemClock(), base::NullLogger());
    EXPECT_TRUE(source.ok()) << source.error().message;
    return source.ok() ? std::move(source).value() : nullptr;
  }
  std::string Path(const std::string& name) { return folder_ + "/" + name; }

  std::string folder_;
};

TEST_F(OpenStreamTest, ReadsAFileWholeHoweverLong) {
  std::ofstream(Path("rows.csv")) << "a\n"
                                  << [] {
                                       std::string rows;
                                       for (int i = 0; i < 20'000; ++i)
                                         rows += base::StrCat(i, "\n");
                                       return rows;
                                     }();
  const auto source = Open({.path = Path("rows.csv")});
  int count = 0;
  while (!Next(*source).empty()) ++count;
  EXPECT_EQ(count, 20'000);
}

TEST_F(OpenStreamTest, NamesTheFileInARowsError) {
  std::ofstream(Path("rows.csv")) << "a\nnan\n";
  const auto source = Open({.path = Path("rows.csv")});
  base::Result<std::optional<Frame>> next = std::optional<Frame>();
  ASSERT_TRUE(Eventually([&] {
    next = source->Next();
    return !next.ok();
  }));
  EXPECT_EQ(next.error().message, Path("rows.csv") + ":2: a: \"nan\" is not a finite number");
}

TEST_F(OpenStreamTest, ReadsAFifoThroughSeveralWriters) {
  ASSERT_EQ(::mkfifo(Path("fifo").c_str(), 0600), 0);
  const auto source = Open({.path = Path("fifo")});
  std::ofstream(Path("fifo")) << "a\n1\n" << std::flush;
  EXPECT_EQ(Next(*source), "1");
  ASSERT_TRUE(Eventually([&] { return source->counters().restarts == 1; }));
  std::ofstream(Path("fifo")) << "a\n2\n" << std::flush;
  EXPECT_EQ(Next(*source), "2");
}

TEST_F(OpenStreamTest, StartsACommandAgainWhenItEnds) {
  const auto source = Open({.command = "printf 'a\\n7\\n'"});
  EXPECT_EQ(Next(*source), "7");
  EXPECT_EQ(Next(*source), "7");
  EXPECT_GE(source->counters().restarts, 1u);
}

TEST_F(OpenStreamTest, EndsTheCommandAndItsChildrenWhenClosed) {
  // The shell, its child and the numbers of both; each would go on for ever.
  auto source =
      Open({.command = base::StrCat("(while :; do read -r line < /dev/zero & wait; done) & ",
                                    "printf 'a,b\\n'$$,$!'\\n'; wait")});
  base::Result<std::optional<Frame>> next = std::optional<Frame>();
  ASSERT_TRUE(Eventually([&] {
    next = source->Next();
    return next.ok() && next->has_value();
  }));
  const auto shell = static_cast<pid_t>((*next)->row.at(0));
  const auto child = static_cast<pid_t>((*next)->row.at(1));
  ASSERT_EQ(::kill(shell, 0), 0);
  source.reset();
  EXPECT_TRUE(Eventually([&] { return ::kill(shell, 0) != 0; }));
  EXPECT_TRUE(Eventually([&] {
    // Gone, or dead and waiting for init to collect it.
    std::ifstream status(base::StrCat("/proc/", child, "/stat"));
    std::string text;
    std::getline(status, text);
    return text.empty() || text.find(") Z ") != std::string::npos;
  }));
}

TEST_F(OpenStreamTest, ReadsRawFramesOfACommand) {
  StreamOptions options{.kind = StreamOptions::Kind::kRaw,
                        .command = "printf 'abcdefghijkl'; sleep 60"};
  options.format = PictureFormat::kGray8;
  options.width = 3;
  options.height = 2;
  const auto source = OpenStream(options, base::SystemClock(), base::NullLogger());
  ASSERT_TRUE(source.ok()) << source.error().message;
  for (const std::string expected : {"abcdef", "ghijkl"}) {
    base::Result<std::optional<Frame>> next = std::optional<Frame>();
    ASSERT_TRUE(Eventually([&] {
      next = (*source)->Next();
      return next.ok() && next->has_value();
    }));
    EXPECT_EQ(base::AsText((*next)->picture), expected);
    EXPECT_EQ((*next)->format, PictureFormat::kGray8);
    EXPECT_EQ((*next)->width, 3);
    EXPECT_EQ((*next)->height, 2);
  }
  options.width = 0;
  EXPECT_EQ(OpenStream(options, base::SystemClock(), base::NullLogger()).error().code,
            base::ErrorCode::kInvalidArgument);
}

TEST_F(OpenStreamTest, AnEmptyFileIsOneErrorThatNamesIt) {
  std::ofstream(Path("empty")).flush();
  for (const auto kind : {StreamOptions::Kind::kMjpeg, StreamOptions::Kind::kRaw,
                          StreamOptions::Kind::kCsv, StreamOptions::Kind::kJsonl}) {
    const auto source = OpenStream({.kind = kind, .path = Path("empty"), .width = 2, .height = 2},
                                   base::SystemClock(), base::NullLogger());
    ASSERT_TRUE(source.ok());
    std::string errors;
    while (!(*source)->ended()) {
      const auto next = (*source)->Next();
      if (!next.ok()) errors += next.error().message + "\n";
    }
    EXPECT_EQ(errors, Path("empty") + ": is empty\n");
    EXPECT_EQ((*source)->counters().skipped, 1u);
  }
}

TEST_F(OpenStreamTest, SaysAtOnceWhatCannotBeOpened) {
  const auto open = [](const StreamOptions& options) {
    return OpenStream(options, base::SystemClock(), base::NullLogger());
  };
  EXPECT_EQ(open({.path = Path("missing")}).error().code, base::ErrorCode::kNotFound);
  EXPECT_EQ(open({.path = folder_}).error().code, base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(open({}).error().code, base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(open({.command = "x", .path = "y"}).error().code, base::ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tinylcm::source
