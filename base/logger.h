// Logger: one line a message, for a person, for journald, or as JSON for a machine. Never holds
// secrets.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
const char* Name(LogLevel level);  // "debug"
Result<LogLevel> ParseLogLevel(std::string_view text);

enum class LogFormat { kText, kJson };
Result<LogFormat> ParseLogFormat(std::string_view text);  // "text", "json"

// What a machine looks for: {"status", 201}.
struct LogField {
  std::string_view name;
  std::variant<std::string_view, std::int64_t, double, bool> value;
};
using LogFields = std::initializer_list<LogField>;

// May be used from several threads.
class Logger {
 public:
  virtual ~Logger() = default;
  virtual void Write(LogLevel level, std::string_view message) = 0;
  // "message name=value ..." unless the logger knows better.
  virtual void WriteFields(LogLevel level, std::string_view message, LogFields fields);
  // False where a line of that level would be dropped: spares putting it together.
  virtual bool Wants(LogLevel) const { return true; }

  void Debug(std::string_view message) { Write(LogLevel::kDebug, message); }
  void Info(std::string_view message) { Write(LogLevel::kInfo, message); }
  void Warning(std::string_view message) { Write(LogLevel::kWarning, message); }
  void Error(std::string_view message) { Write(LogLevel::kError, message); }
};

// Writes to stderr what is not below `least`, with the thread's trace (base/trace.h) where there is
// one. As text
//   2026-11-20T12:00:00.000Z warning queue: is full files=3 trace=4bf92f3577b34da6a3ce929d0e0e4736
// as JSON
//   {"time":"2026-11-20T12:00:00.000Z","level":"warning","message":"queue: is full","files":3,
//    "trace":"4bf92f3577b34da6a3ce929d0e0e4736"}
Logger& StderrLogger(LogLevel least = LogLevel::kInfo, LogFormat format = LogFormat::kText);

// The line itself, without its end.
std::string FormatLogLine(LogFormat format, std::string_view time, LogLevel level,
                          std::string_view message, LogFields fields, std::string_view trace);

// Swallows everything; for tests and library users who do not care.
Logger& NullLogger();

}  // namespace base
