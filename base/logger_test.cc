#include "base/logger.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "base/json.h"

namespace base {
namespace {

constexpr const char* kTime = "2026-11-20T12:00:00.000Z";

TEST(Logger, TextIsOneLineForAPerson) {
  EXPECT_EQ(
      FormatLogLine(LogFormat::kText, kTime, LogLevel::kWarning, "queue:\nis full",
                    {{"files", std::int64_t{3}}, {"kind", "unpack"}, {"is_last", true}}, "4bf9"),
      "2026-11-20T12:00:00.000Z warning queue: is full files=3 kind=unpack is_last=true "
      "trace=4bf9");
}

TEST(Logger, JsonIsOneDocumentWithTypedFields) {
  const std::string line = FormatLogLine(
      LogFormat::kJson, kTime, LogLevel::kError, "a \"quoted\"\nline",
      {{"status", std::int64_t{201}}, {"seconds", 0.25}, {"route", "/a/{b}"}}, "4bf9");
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto json = Json::Parse(line);
  ASSERT_TRUE(json.ok()) << line;
  EXPECT_EQ(json->Find("time")->as_string(), kTime);
  EXPECT_EQ(json->Find("level")->as_string(), "error");
  EXPECT_EQ(json->Find("message")->as_string(), "a \"quoted\"\nline");
  EXPECT_EQ(json->Find("status")->as_int(), 201);
  EXPECT_EQ(json->Find("seconds")->as_double(), 0.25);
  EXPECT_EQ(json->Find("route")->as_string(), "/a/{b}");
  EXPECT_EQ(json->Find("trace")->as_string(), "4bf9");
}

// What devices and proxies send reaches the log: whatever it is, the line stays JSON.
TEST(Logger, JsonHoldsForEveryByte) {
  for (int high = 0; high < 256; ++high) {
    for (int low = 0; low < 256; ++low) {
      const std::string message = {static_cast<char>(high), static_cast<char>(low)};
      const std::string line =
          FormatLogLine(LogFormat::kJson, kTime, LogLevel::kInfo, message, {}, "");
      ASSERT_TRUE(Json::Parse(line).ok()) << high << " " << low << ": " << line;
    }
  }
}

TEST(Logger, WellFormedTextStaysAndTheRestIsMarked) {
  const auto message = [](std::string_view text) {
    const std::string line = FormatLogLine(LogFormat::kJson, kTime, LogLevel::kInfo, text, {}, "");
    const auto json = Json::Parse(line);
    return json.ok() ? json->Find("message")->as_string() : "no JSON: " + line;
  };
  EXPECT_EQ(message("K\xc3\xbchlraum \xe2\x82\xac \xf0\x9f\x98\x80"),
            "K\xc3\xbchlraum \xe2\x82\xac \xf0\x9f\x98\x80");
  // A surrogate, an overlong slash, and what lies beyond U+10FFFF: three or four bytes, each one
  // marked.
  const std::string mark = "\xef\xbf\xbd";
  EXPECT_EQ(message("\xed\xa0\x80"), mark + mark + mark);
  EXPECT_EQ(message("\xe0\x80\xaf"), mark + mark + mark);
  EXPECT_EQ(message("\xf4\x90\x80\x80"), mark + mark + mark + mark);
}

TEST(Logger, JsonHasNoNumberThatIsNone) {
  const std::string line =
      FormatLogLine(LogFormat::kJson, kTime, LogLevel::kInfo, "m",
                    {{"seconds", std::numeric_limits<double>::quiet_NaN()}}, "");
  const auto json = Json::Parse(line);
  ASSERT_TRUE(json.ok()) << line;
  EXPECT_TRUE(json->Find("seconds")->is_null());
}

TEST(Logger, ALoggerOfTextsTakesFieldsToo) {
  class Lines final : public Logger {
   public:
    void Write(LogLevel, std::string_view message) override { lines.emplace_back(message); }
    std::vector<std::string> lines;
  } logger;
  logger.WriteFields(LogLevel::kInfo, "http", {{"status", std::int64_t{404}}});
  EXPECT_EQ(logger.lines, std::vector<std::string>{"http status=404"});
}

TEST(Logger, NamesOfLevelsReadBack) {
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    EXPECT_EQ(ParseLogLevel(Name(level)).value(), level);
  }
  EXPECT_FALSE(ParseLogLevel("loud").ok());
  EXPECT_FALSE(ParseLogFormat("xml").ok());
}

}  // namespace
}  // namespace base
