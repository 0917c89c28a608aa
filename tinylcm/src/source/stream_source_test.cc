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

namespace tinylcm::source {
namespace {

using std::chrono_literals::operator""s;

// Bytes that a test hands over, with an end when it says so.
struct Script {
  std::mutex mutex;
  std::string bytes;
  bool end = false;
  int openings = 0;

  void Say(const std::string& text) {
    const std::lock_guard lock(mutex);
    bytes += text;
  }
  void End() {
    const std::lock_guard lock(mutex);
    end = true;
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
    ++script.openings;
    return std::unique_ptr<ByteStream>(new ScriptStream(script));
  };
}

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
