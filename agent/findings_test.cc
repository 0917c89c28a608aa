#include "agent/findings.h"

#include <gtest/gtest.h>

namespace agent {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::uint64_t kMebibyte = 1u << 20;

base::Time At(const char* text) { return base::ParseTime(text).value(); }

TEST(Findings, AClockFromBeforeTheProgramWasMadeIsSaid) {
  EXPECT_EQ(JudgeClock(At("2026-11-20T12:00:00.000Z")).health, Health::kOk);
  const Finding finding = JudgeClock(At("1970-01-01T00:01:00.000Z"));
  EXPECT_EQ(finding.health, Health::kWarning);
  EXPECT_NE(finding.what.find("1970"), std::string::npos);
  EXPECT_FALSE(finding.advice.empty());
}

TEST(Findings, TheClockIsHeldAgainstTheServers) {
  const base::Time kDate = At("2026-11-20T12:00:00.000Z");
  EXPECT_EQ(JudgeClockAgainstServer(At("2026-11-20T12:01:30.000Z"), kDate).health, Health::kOk);
  const Finding behind = JudgeClockAgainstServer(At("2016-11-20T12:00:00.000Z"), kDate);
  EXPECT_EQ(behind.health, Health::kWarning);
  EXPECT_NE(behind.what.find("behind the server's"), std::string::npos) << behind.what;
  EXPECT_NE(
      JudgeClockAgainstServer(At("2026-11-20T13:00:00.000Z"), kDate).what.find("3600 s ahead"),
      std::string::npos);
  EXPECT_EQ(JudgeClockAgainstServer(At("2026-11-20T12:00:00.000Z"), std::nullopt).health,
            Health::kWarning);
}

TEST(Findings, AnHttpDateIsReadAsRfc9110WritesIt) {
  EXPECT_EQ(ParseHttpDate("Sun, 06 Nov 1994 08:49:37 GMT").value(), At("1994-11-06T08:49:37.000Z"));
  for (const char* text : {"", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994",
                           "Sun, 06 Nvo 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"}) {
    EXPECT_FALSE(ParseHttpDate(text).ok()) << text;
  }
}

TEST(Findings, AMissingTimeServiceIsAWarningAndAnUnknownOneIsNot) {
  EXPECT_EQ(JudgeTimeService(true).health, Health::kOk);
  EXPECT_EQ(JudgeTimeService(false).health, Health::kWarning);
  EXPECT_EQ(JudgeTimeService(std::nullopt).health, Health::kOk);
}

TEST(Findings, AFolderThatCannotBeWrittenIsWrong) {
  EXPECT_EQ(JudgeFolder("/data", {}).health, Health::kOk);
  const Finding finding = JudgeFolder("/data", Error{ErrorCode::kExhausted, "no space left"});
  EXPECT_EQ(finding.health, Health::kWrong);
  EXPECT_EQ(finding.what, "/data: no space left");
}

TEST(Findings, FreeSpaceIsHeldAgainstWhatQueueAndLogMayTake) {
  EXPECT_EQ(JudgeFreeSpace("/d", 1024 * kMebibyte, 320 * kMebibyte).health, Health::kOk);
  EXPECT_EQ(JudgeFreeSpace("/d", 300 * kMebibyte, 320 * kMebibyte).health, Health::kWarning);
  EXPECT_EQ(JudgeFreeSpace("/d", 63 * kMebibyte, 10 * kMebibyte).health, Health::kWrong);
}

TEST(Findings, TooLittleMemoryIsWrong) {
  EXPECT_EQ(JudgeMemory(100 * kMebibyte, 40 * kMebibyte).health, Health::kOk);
  EXPECT_EQ(JudgeMemory(30 * kMebibyte, 40 * kMebibyte).health, Health::kWrong);
  EXPECT_EQ(JudgeMemory(std::nullopt, 40 * kMebibyte).health, Health::kOk);
}

TEST(Findings, ASlowedDownProcessorIsSaidWithItsReason) {
  EXPECT_EQ(JudgeHeat({}).health, Health::kOk);
  EXPECT_EQ(JudgeHeat({.temperature_c = 55.0, .throttled = false}).health, Health::kOk);
  EXPECT_EQ(JudgeHeat({.temperature_c = 81.0, .throttled = false}).health, Health::kWarning);
  EXPECT_EQ(JudgeHeat({.throttled = false, .throttled_since_boot = true}).health, Health::kWarning);
  EXPECT_EQ(JudgeHeat({.throttled = true}).health, Health::kWrong);
  EXPECT_EQ(JudgeHeat({.throttled = true, .undervoltage = true}).check, "power");
}

TEST(Findings, ARuntimeIsWrongOnlyWhereTheBundleNeedsIt) {
  const base::Result<std::string> none = Error{ErrorCode::kUnavailable, "not in /usr/lib"};
  EXPECT_EQ(JudgeRuntime("litert", std::string("/usr/lib/libLiteRt.so"), true).health, Health::kOk);
  EXPECT_EQ(JudgeRuntime("litert", none, false).health, Health::kOk);
  const Finding finding = JudgeRuntime("onnxruntime", none, true);
  EXPECT_EQ(finding.health, Health::kWrong);
  EXPECT_NE(finding.what.find("not in /usr/lib"), std::string::npos);
  EXPECT_NE(finding.advice.find("fetch-onnxruntime.sh"), std::string::npos);
}

TEST(Findings, TheProgramOfACommandIsItsFirstPlainWord) {
  EXPECT_EQ(ProgramOf("rpicam-vid -t 0 --codec mjpeg -o -"), "rpicam-vid");
  EXPECT_EQ(ProgramOf("  LIBCAMERA_LOG_LEVELS=3 rpicam-vid -t 0"), "rpicam-vid");
  EXPECT_EQ(ProgramOf("ffmpeg -i /dev/video0 -f mjpeg - | tee x"), "ffmpeg");
  EXPECT_EQ(ProgramOf("ffmpeg -i 'a b' -f mjpeg -"), "ffmpeg");
  EXPECT_EQ(ProgramOf("$CAMERA -o -"), "");
  EXPECT_EQ(ProgramOf(""), "");
}

TEST(Findings, AMissingProgramIsWrong) {
  EXPECT_EQ(JudgeCommand("rpicam-vid", "/usr/bin/rpicam-vid").health, Health::kOk);
  EXPECT_EQ(JudgeCommand("rpicam-vid", std::nullopt).health, Health::kWrong);
  EXPECT_EQ(JudgeCommand("", std::nullopt).health, Health::kOk);
}

TEST(MachineFacts, AProgramIsFoundOnTheSearchPathOrByItsPath) {
  EXPECT_TRUE(FindProgram("sh").has_value());
  EXPECT_TRUE(FindProgram("/bin/sh").has_value());
  EXPECT_FALSE(FindProgram("no-such-program-anywhere").has_value());
  EXPECT_FALSE(FindProgram("/etc/passwd").has_value()) << "not a program";
}

}  // namespace
}  // namespace agent
