#include "base/logger.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <type_traits>

#include "base/clock.h"
#include "base/text.h"
#include "base/trace.h"

namespace base {
namespace {

std::string AsText(const LogField& field) {
  return std::visit([](const auto& value) { return StrCat(value); }, field.value);
}

// A JSON string (RFC 8259, 7); what is no UTF-8 becomes U+FFFD, so that every line can be read.
void AppendJsonString(std::string& out, std::string_view text) {
  out += '"';
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      if (c == '"' || c == '\\') {
        out += '\\';
        out += static_cast<char>(c);
      } else if (c < 0x20 || c == 0x7f) {
        std::array<char, 8> escape{};
        (void)std::snprintf(escape.data(), escape.size(), "\\u%04x", static_cast<unsigned>(c));
        out += escape.data();
      } else {
        out += static_cast<char>(c);
      }
      ++i;
      continue;
    }
    const std::size_t size = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    bool is_whole = size != 0 && c < 0xf5 && i + size <= text.size();
    for (std::size_t j = 1; is_whole && j < size; ++j) {
      is_whole = (static_cast<unsigned char>(text[i + j]) & 0xc0) == 0x80;
    }
    if (is_whole && size > 2) {
      // Neither a longer way to write it, nor a surrogate, nor beyond U+10FFFF (RFC 3629, 4).
      const auto next = static_cast<unsigned char>(text[i + 1]);
      is_whole = !(c == 0xe0 && next < 0xa0) && !(c == 0xed && next > 0x9f) &&
                 !(c == 0xf0 && next < 0x90) && !(c == 0xf4 && next > 0x8f);
    }
    if (is_whole) {
      out += text.substr(i, size);
      i += size;
    } else {
      out += "\\ufffd";
      ++i;
    }
  }
  out += '"';
}

void AppendJsonField(std::string& out, std::string_view name, const LogField& field) {
  out += ',';
  AppendJsonString(out, name);
  out += ':';
  std::visit(
      [&](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::string_view>) {
          AppendJsonString(out, value);
        } else if constexpr (std::is_same_v<T, double>) {
          out += std::isfinite(value) ? FormatDouble(value) : "null";
        } else {
          out += StrCat(value);
        }
      },
      field.value);
}

class StderrLog final : public Logger {
 public:
  StderrLog(LogLevel least, LogFormat format) : least_(least), format_(format) {}

  void Write(LogLevel level, std::string_view message) override { WriteFields(level, message, {}); }

  void WriteFields(LogLevel level, std::string_view message, LogFields fields) override {
    if (!Wants(level)) return;
    std::string line = FormatLogLine(format_, FormatTime(SystemClock().Now()), level, message,
                                     fields, CurrentTrace());
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), stderr);
  }

  bool Wants(LogLevel level) const override { return level >= least_; }

 private:
  LogLevel least_;
  LogFormat format_;
};

class NullLog final : public Logger {
 public:
  void Write(LogLevel, std::string_view) override {}
  bool Wants(LogLevel) const override { return false; }
};

}  // namespace

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

Result<LogLevel> ParseLogLevel(std::string_view text) {
  for (const LogLevel level :
       {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarning, LogLevel::kError}) {
    if (text == Name(level)) return level;
  }
  return Error{ErrorCode::kInvalidArgument,
               StrCat("log level ", text, ": is none of debug, info, warning, error")};
}

Result<LogFormat> ParseLogFormat(std::string_view text) {
  if (text == "text") return LogFormat::kText;
  if (text == "json") return LogFormat::kJson;
  return Error{ErrorCode::kInvalidArgument, StrCat("log format ", text, ": is none of text, json")};
}

void Logger::WriteFields(LogLevel level, std::string_view message, LogFields fields) {
  if (!Wants(level)) return;
  std::string line(message);
  for (const LogField& field : fields) line += StrCat(" ", field.name, "=", AsText(field));
  Write(level, line);
}

std::string FormatLogLine(LogFormat format, std::string_view time, LogLevel level,
                          std::string_view message, LogFields fields, std::string_view trace) {
  if (format == LogFormat::kJson) {
    std::string line =
        StrCat("{\"time\":\"", time, "\",\"level\":\"", Name(level), "\",\"message\":");
    AppendJsonString(line, message);
    for (const LogField& field : fields) AppendJsonField(line, field.name, field);
    if (!trace.empty()) AppendJsonField(line, "trace", {"trace", trace});
    line += '}';
    return line;
  }
  std::string line = StrCat(time, " ", Name(level), " ", message);
  for (const LogField& field : fields) line += StrCat(" ", field.name, "=", AsText(field));
  if (!trace.empty()) line += StrCat(" trace=", trace);
  // One message is one line, whatever a library or a server put into it.
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

Logger& StderrLogger(LogLevel least, LogFormat format) {
  static std::array<StderrLog, 8> logs = {
      StderrLog(LogLevel::kDebug, LogFormat::kText),
      StderrLog(LogLevel::kInfo, LogFormat::kText),
      StderrLog(LogLevel::kWarning, LogFormat::kText),
      StderrLog(LogLevel::kError, LogFormat::kText),
      StderrLog(LogLevel::kDebug, LogFormat::kJson),
      StderrLog(LogLevel::kInfo, LogFormat::kJson),
      StderrLog(LogLevel::kWarning, LogFormat::kJson),
      StderrLog(LogLevel::kError, LogFormat::kJson),
  };
  return logs[static_cast<std::size_t>(least) + (format == LogFormat::kJson ? 4 : 0)];
}

Logger& NullLogger() {
  static NullLog log;
  return log;
}

}  // namespace base
