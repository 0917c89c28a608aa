// Each ending a child can come to, with a shell that does it.

#include "tinysphere/platform/posix/child_program.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "base/crypto.h"

namespace tinysphere::posix {
namespace {

using adaptation::ProgramLimits;
using base::ErrorCode;

auto RunShell(const std::string& script, const ProgramLimits& limits = {}) {
  return MakeChildProgram("/bin/sh", "", "--sh")->Run({"-c", script}, limits);
}

TEST(ChildProgram, GivesWhatWasSaidAndHowItEnded) {
  const auto end = RunShell("echo said; echo complained >&2; exit 3");
  ASSERT_TRUE(end.ok()) << end.error().message;
  EXPECT_EQ(end->exit_code, 3);
  EXPECT_EQ(end->out, "said\n");
  EXPECT_EQ(end->err, "complained\n");
}

TEST(ChildProgram, TellsASignalFromAnExit) {
  const auto end = RunShell("kill -SEGV $$");
  ASSERT_TRUE(end.ok());
  EXPECT_EQ(end->exit_code, 128 + 11);
}

TEST(ChildProgram, IsEndedWhenItsTimeIsUpWithAllThatItStarted) {
  const std::string mark = testing::TempDir() + "child_" + base::RandomHex(6);
  // The grandchild would write the mark once it is alone.
  const auto end = RunShell(
      "(while kill -0 $$ 2>/dev/null; do :; done; touch " + mark + ") & while :; do :; done",
      {.time_limit = base::Duration(200)});
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().code, ErrorCode::kExhausted);
  EXPECT_NE(end.error().message.find("longer than 200ms"), std::string::npos)
      << end.error().message;
  EXPECT_FALSE(std::filesystem::exists(mark));
}

TEST(ChildProgram, IsEndedWhenItClosedItsOutputAndWentOn) {
  const auto end =
      RunShell("exec >&- 2>&-; while :; do :; done", {.time_limit = base::Duration(200)});
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().code, ErrorCode::kExhausted);
}

TEST(ChildProgram, IsEndedWhenItSaysTooMuch) {
  const auto end = RunShell("while :; do echo 0123456789; done", {.output_bytes_max = 1000});
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().code, ErrorCode::kExhausted);
  EXPECT_NE(end.error().message.find("1000 bytes"), std::string::npos);
}

TEST(ChildProgram, MayComplainMuchWithoutBeingEnded) {
  const auto end =
      RunShell("i=0; while [ $i -lt 20000 ]; do echo 0123456789 >&2; i=$((i+1)); done; echo done");
  ASSERT_TRUE(end.ok()) << end.error().message;
  EXPECT_EQ(end->out, "done\n");
  EXPECT_EQ(end->err.size(), 64u << 10);
}

TEST(ChildProgram, HasNoMoreMemoryThanItWasGiven) {
  // The shell holds the line: 64 MB of it do not fit into 32.
  const auto end = RunShell("x=$(head -c 64000000 /dev/zero | tr '\\0' x); echo ${#x}",
                            {.memory_bytes_max = 32u << 20});
  ASSERT_TRUE(end.ok()) << end.error().message;
  EXPECT_NE(end->out, "64000000\n");
}

TEST(ChildProgram, SeesNothingOfTheServersOwn) {
  ASSERT_EQ(setenv("TINYSPHERE_SECRET", "s3cret", 1), 0);
  const std::string path = testing::TempDir() + "fd_" + base::RandomHex(6);
  std::ofstream(path) << "text";
  // As a library might: without the flag that closes it on exec.
  std::FILE* open_file = std::fopen(path.c_str(), "r");
  ASSERT_NE(open_file, nullptr);
  const auto end = RunShell("echo \"[$TINYSPHERE_SECRET]\"; ls /proc/self/fd | tr '\\n' ' '; cat");
  std::fclose(open_file);
  ASSERT_TRUE(end.ok());
  // Its own three and the one that `ls` reads the folder by; stdin is empty, so cat ends.
  EXPECT_EQ(end->out, "[]\n0 1 2 3 ");
}

TEST(ChildProgram, IsEndedWhenTheServerStops) {
  const auto program = MakeChildProgram("/bin/sh", "", "--sh");
  base::Result<adaptation::ProgramEnd> end = base::Error{ErrorCode::kInternal, "not run"};
  std::thread runs([&] { end = program->Run({"-c", "while :; do :; done"}, {}); });
  program->Stop();
  runs.join();
  ASSERT_FALSE(end.ok());
  EXPECT_EQ(end.error().code, ErrorCode::kUnavailable);
}

TEST(ChildProgram, ThatIsNotThereIsSaidWithTheOptionThatHelps) {
  const auto beside = MakeChildProgram("", "no-such-program", "--tinylcm FILE");
  for (const base::Status& status : {beside->Check(), base::Status(beside->Run({}, {}).error())}) {
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kNotFound);
    EXPECT_NE(status.error().message.find("--tinylcm FILE"), std::string::npos);
    EXPECT_NE(status.error().message.find("/no-such-program"), std::string::npos);
  }
}

}  // namespace
}  // namespace tinysphere::posix
