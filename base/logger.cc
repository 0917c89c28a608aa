#include "base/logger.h"

#include <array>
#include <cstdio>
#include <string>

#include "base/clock.h"
#include "base/text.h"

namespace base {
namespace {

const char* Name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

class StderrLog final : public Logger {
 public:
  explicit StderrLog(LogLevel least) : least_(least) {}

  void Write(LogLevel level, std::string_view message) override {
    if (level < least_) return;
    std::string line = StrCat(FormatTime(SystemClock().Now()), " ", Name(level), " ", message);
    // One message is one line, whatever a library or a server put into it.
    for (char& c : line) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    }
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), stderr);
  }

 private:
  LogLevel least_;
};

class NullLog final : public Logger {
 public:
  void Write(LogLevel, std::string_view) override {}
};

}  // namespace

Logger& StderrLogger(LogLevel least) {
  static std::array<StderrLog, 4> logs = {StderrLog(LogLevel::kDebug), StderrLog(LogLevel::kInfo),
                                          StderrLog(LogLevel::kWarning),
                                          StderrLog(LogLevel::kError)};
  return logs[static_cast<std::size_t>(least)];
}

Logger& NullLogger() {
  static NullLog log;
  return log;
}

}  // namespace base
