// The program as its callers see it: processes, pipes and files.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <thread>

#include "base/file_system.h"
#include "base/text.h"
#include "tools/tinyscene/platform/posix/truth_file.h"
#include "tools/tinyscene/shot.h"

namespace tinyscene {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

std::string Slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream content;
  content << file.rdbuf();
  return content.str();
}

// Polls until it holds, or a generous time is over.
bool Eventually(const std::function<bool()>& holds) {
  const auto until = steady_clock::now() + seconds(60);
  while (!holds()) {
    if (steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// A running tinyscene whose standard output is a pipe to the test.
class Process {
 public:
  Process(std::vector<std::string> arguments, const std::string& stderr_path) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      const int log = open(stderr_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
      dup2(log, STDERR_FILENO);
      std::vector<char*> argv;
      static char program[] = TINYSCENE_PROGRAM;
      argv.push_back(program);
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      execv(program, argv.data());
      _exit(127);
    }
    close(ends[1]);
    out_ = ends[0];
  }
  ~Process() {
    CloseReader();
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void CloseReader() {
    if (out_ >= 0) close(out_);
    out_ = -1;
  }
  std::string Read(std::size_t count) {
    std::string text(count, '\0');
    std::size_t got = 0;
    while (got < count) {
      const ssize_t n = read(out_, text.data() + got, count - got);
      if (n <= 0) break;
      got += static_cast<std::size_t>(n);
    }
    text.resize(got);
    return text;
  }
  std::string ReadAll() {
    std::string all;
    while (true) {
      const std::string part = Read(1 << 16);
      all += part;
      if (part.size() < 1 << 16) return all;
    }
  }
  void Signal(int number) { kill(pid_, number); }
  // The exit code; -1 if it was killed.
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
};

class TinysceneTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "tinysceneXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::string Log() const { return Slurp(Path("stderr")); }

  Process Start(const std::vector<std::string>& arguments) {
    return Process(arguments, Path("stderr"));
  }
  // Runs to the end, reading everything; expects exit code 0.
  std::string Run(const std::vector<std::string>& arguments) {
    Process process = Start(arguments);
    const std::string out = process.ReadAll();
    EXPECT_EQ(process.Wait(), 0) << Log();
    return out;
  }
  int ExitCode(const std::vector<std::string>& arguments) {
    Process process = Start(arguments);
    process.ReadAll();
    return process.Wait();
  }
  void PutControl(const std::string& text) {
    std::ofstream(Path("control.tmp")) << text;
    std::filesystem::rename(Path("control.tmp"), Path("control"));
  }
  std::vector<Shot> Truth(Kind kind = Kind::kCamera, const std::string& name = "truth.csv") const {
    const Digits digits = Digits::Parse(Slurp("examples/digits/digits.csv")).value();
    const std::string text = Slurp(Path(name));
    const auto shots = ParseTruth(text.substr(0, text.rfind('\n') + 1), kind, digits);
    return shots.ok() ? *shots : std::vector<Shot>();
  }

  std::string folder_;
};

TEST_F(TinysceneTest, GivesTheSameBytesForTheSameSeed) {
  for (const std::string verb : {"camera", "rows"}) {
    const std::string first = Run({verb, "--seed", "5", "--frames", "20", "--out", "-"});
    EXPECT_EQ(Run({verb, "--seed", "5", "--frames", "20", "--out", "-"}), first);
    EXPECT_NE(Run({verb, "--seed", "6", "--frames", "20", "--out", "-"}), first);
  }
}

TEST_F(TinysceneTest, NumbersOnAfterARestartAndDrawsItAllAgainFromTheTruth) {
  const std::vector<std::string> run = {"camera",   "--seed", "5",     "--truth", Path("truth.csv"),
                                        "--frames", "10",     "--out", "-"};
  std::string bytes = Run(run);
  // A writer that died in the middle of a line leaves it unfinished.
  std::ofstream(Path("truth.csv"), std::ios::app) << "10,77";
  bytes += Run(run);
  const std::vector<Shot> truth = Truth();
  ASSERT_EQ(truth.size(), 20u);
  for (std::uint32_t i = 0; i < 20; ++i) EXPECT_EQ(truth[i].number, i);
  EXPECT_EQ(Run({"camera", "--seed", "5", "--from-truth", Path("truth.csv"), "--out", "-"}), bytes);
}

TEST_F(TinysceneTest, AtItsOwnPaceDropsTheOldestAndMarksIt) {
  Process process = Start({"camera", "--seed", "5", "--truth", Path("truth.csv"), "--realtime",
                           "--fps", "200", "--frames", "60", "--out", "-"});
  // Nobody reads until thirty were dropped.
  ASSERT_TRUE(Eventually([&] {
    const std::vector<Shot> truth = Truth();
    return std::ranges::count_if(truth, [](const Shot& s) { return s.dropped; }) >= 30;
  }));
  const std::string bytes = process.ReadAll();
  EXPECT_EQ(process.Wait(), 0) << Log();
  const std::vector<Shot> truth = Truth();
  ASSERT_EQ(truth.size(), 60u);
  EXPECT_FALSE(truth.front().dropped);
  EXPECT_FALSE(truth.back().dropped);
  // What was read is what the truth says was delivered, frame for frame.
  EXPECT_EQ(Run({"camera", "--seed", "5", "--from-truth", Path("truth.csv"), "--out", "-"}), bytes);
}

TEST_F(TinysceneTest, EndsWithoutAnErrorWhenTheReaderGoes) {
  for (const std::string pace : {"--realtime", "--with-dropped"}) {
    Process process = Start({"camera", pace, "--truth", Path(pace), "--out", "-"});
    EXPECT_EQ(process.Read(10'000).size(), 10'000u);
    process.CloseReader();
    EXPECT_EQ(process.Wait(), 0);
    EXPECT_NE(Log().find("the reader has gone"), std::string::npos) << Log();
    EXPECT_FALSE(Truth(Kind::kCamera, pace).empty());
  }
}

TEST_F(TinysceneTest, EndsOnTerminateWithItsTruthComplete) {
  Process process = Start({"rows", "--realtime", "--truth", Path("truth.csv"), "--out", "-"});
  process.Read(2000);
  process.Signal(SIGTERM);
  process.ReadAll();
  EXPECT_EQ(process.Wait(), 0) << Log();
  EXPECT_FALSE(Truth(Kind::kRows).empty());
}

TEST_F(TinysceneTest, FollowsTheControlFileAndKeepsItsSettingsWhenThatIsMalformed) {
  PutControl(R"({"pool": "B", "light": 0.5})");
  Process process = Start({"camera", "--control", Path("control"), "--truth", Path("truth.csv"),
                           "--fps", "500", "--out", "-"});
  std::thread reader([&process] { process.ReadAll(); });
  EXPECT_TRUE(Eventually([&] { return Truth().size() >= 5; }));
  PutControl(R"({"light": 7})");
  EXPECT_TRUE(Eventually([&] { return Log().find("going on as before") != std::string::npos; }))
      << Log();
  const std::size_t at_error = Truth().size();
  EXPECT_TRUE(Eventually([&] { return Truth().size() >= at_error + 5; }));
  for (const Shot& shot : Truth()) {
    EXPECT_EQ(shot.drifts.light, .5);
    EXPECT_EQ(shot.pool, Pool::kB);
  }
  EXPECT_NE(Log().find("light: 7 is not a strength from 0 to 1"), std::string::npos) << Log();
  PutControl(R"({"dirt": 0.25})");
  EXPECT_TRUE(Eventually([&] { return Truth().back().drifts == Drifts{.dirt = .25}; }));
  PutControl(R"({"stop": true})");
  EXPECT_EQ(process.Wait(), 0) << Log();
  reader.join();
}

TEST_F(TinysceneTest, ExportsAFolderAClassFromOnePoolOnly) {
  Run({"export", "camera", "--per-class", "3", "--seed", "2", "--unseen-class", "7", "--out",
       Path("fit")});
  const Digits digits = Digits::Parse(Slurp("examples/digits/digits.csv")).value();
  std::map<std::string, int> count;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(Path("fit"))) {
    if (!entry.is_regular_file()) continue;
    const std::string name = entry.path().stem();
    const auto id = static_cast<std::size_t>(std::stoi(name.substr(name.find('d') + 1)));
    EXPECT_EQ(digits.pool_of(id), Pool::kT);
    EXPECT_EQ(std::to_string(digits.digit(id).label), entry.path().parent_path().filename());
    ++count[entry.path().parent_path().filename()];
  }
  EXPECT_EQ(count.size(), 9u);
  EXPECT_FALSE(count.contains("7"));
  for (const auto& [label, files] : count) EXPECT_EQ(files, 3) << label;

  EXPECT_EQ(ExitCode({"export", "camera", "--per-class", "3", "--out", Path("fit")}), 2);
  EXPECT_NE(Log().find("is there already"), std::string::npos) << Log();
}

TEST_F(TinysceneTest, ExportsRowsWithTheLabelLast) {
  Run({"export", "rows", "--per-class", "4", "--out", Path("fit.csv")});
  const std::string text = Slurp(Path("fit.csv"));
  const std::vector<std::string_view> lines = base::Split(base::Trim(text), '\n');
  ASSERT_EQ(lines.size(), 41u);
  EXPECT_TRUE(lines[0].ends_with(",ch63,label"));
  for (std::size_t i = 1; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].back(), static_cast<char>('0' + (i - 1) % 10));
  }
}

TEST_F(TinysceneTest, SaysInOneLineWhatIsWrongWithItsUse) {
  const std::pair<std::vector<std::string>, std::string> wrong[] = {
      {{"camera"}, "--out"},
      {{"camera", "--out", "-", "--pool", "Z"}, "--pool"},
      {{"camera", "--out", "-", "--light", "2"}, "--light: 2 is not a strength from 0 to 1"},
      {{"camera", "--out", "-", "--aged", "1"}, "--aged"},
      {{"rows", "--out", "-", "--unseen", ".5"}, "--unseen: needs --unseen-class"},
      {{"rows", "--out", "-", "--unseen-class", "12"}, "--unseen-class: 12"},
      {{"rows", "--out", "-", "--from-truth", "/nowhere"}, "--from-truth: "},
      {{"rows", "--out", "/nowhere/at/all"}, "/nowhere/at/all: No such file or directory"},
      {{"rows", "--out", "-", "--digits", "README"}, "--digits: "},
      {{"export", "rows", "--out", "x", "--per-class", "0"}, "--per-class: not in 1..1000000"},
  };
  for (const auto& [arguments, message] : wrong) {
    EXPECT_EQ(ExitCode(arguments), 2) << message;
    EXPECT_NE(Log().find(message), std::string::npos) << Log();
    EXPECT_EQ(std::ranges::count(Log(), '\n'), 1) << Log();
  }
}

TEST_F(TinysceneTest, RefusesTheTruthOfAnotherKind) {
  Run({"rows", "--frames", "2", "--truth", Path("truth.csv"), "--out", "-"});
  EXPECT_EQ(ExitCode({"camera", "--frames", "2", "--truth", Path("truth.csv"), "--out", "-"}), 2);
  EXPECT_NE(Log().find("line 1: expected frame,digit"), std::string::npos) << Log();
}

TEST_F(TinysceneTest, LetsOneWriterAtATruthFileOnly) {
  const auto first = TruthFile::Open(Path("truth.csv"), base::Duration(0)).value();
  const auto second = TruthFile::Open(Path("truth.csv"), base::Duration(20));
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find("another tinyscene writes to it"), std::string::npos);
}

TEST_F(TinysceneTest, ExplainsItself) {
  for (const std::vector<std::string>& verb :
       {std::vector<std::string>{}, {"camera"}, {"rows"}, {"export"}, {"export", "camera"}}) {
    std::vector<std::string> arguments = verb;
    arguments.push_back("--help");
    EXPECT_NE(Run(arguments).find("Usage"), std::string::npos);
  }
}

}  // namespace
}  // namespace tinyscene
