// Logger: one line a message, for a person or for journald. Never holds secrets.

#pragma once

#include <string_view>

namespace base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// May be used from several threads.
class Logger {
 public:
  virtual ~Logger() = default;
  virtual void Write(LogLevel level, std::string_view message) = 0;

  void Debug(std::string_view message) { Write(LogLevel::kDebug, message); }
  void Info(std::string_view message) { Write(LogLevel::kInfo, message); }
  void Warning(std::string_view message) { Write(LogLevel::kWarning, message); }
  void Error(std::string_view message) { Write(LogLevel::kError, message); }
};

// Writes "2026-11-20T12:00:00.000Z warning queue: ..." to stderr; drops what is below `least`.
Logger& StderrLogger(LogLevel least = LogLevel::kInfo);

// Swallows everything; for tests and library users who do not care.
Logger& NullLogger();

}  // namespace base
