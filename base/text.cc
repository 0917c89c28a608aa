#include "base/text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <span>

namespace base {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// Splits "15m" into 15 and the factor of "m".
Result<double> ParseWithUnit(std::string_view text, std::span<const Unit> units,
                             std::string_view what) {
  const std::size_t digits = text.find_first_not_of("0123456789.");
  const std::string_view number = text.substr(0, digits);
  const std::string_view unit =
      digits == std::string_view::npos ? std::string_view() : text.substr(digits);
  const Result<double> value = ParseDouble(number);
  for (const Unit& known : units) {
    if (known.name == unit && value.ok()) return *value * known.factor;
  }
  return Error{ErrorCode::kInvalidArgument, StrCat("'", text, "' is no ", what)};
}

}  // namespace

std::string FormatShort(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

std::string FormatDouble(double value) {
  std::array<char, 32> buffer;
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return std::string(buffer.data(), end);
}

std::vector<std::string_view> Split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

Result<double> ParseDouble(std::string_view text) {
  double value = 0.0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || !std::isfinite(value)) {
    return Error{ErrorCode::kInvalidArgument, StrCat("'", text, "' is no finite number")};
  }
  return value;
}

Result<std::int64_t> ParseInt(std::string_view text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    return Error{ErrorCode::kInvalidArgument, StrCat("'", text, "' is no whole number")};
  }
  return value;
}

Result<std::chrono::milliseconds> ParseDuration(std::string_view text) {
  constexpr std::array<Unit, 5> kUnits = {
      {{"ms", 1.0}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}}};
  ASSIGN_OR_RETURN(const double value,
                   ParseWithUnit(text, kUnits, "duration such as 250ms, 30s, 15m, 1h or 30d"));
  // A thousand years; more is a slip of the pen, and would overflow sums of times.
  if (value > 365'000.0 * 86400e3) {
    return Error{ErrorCode::kInvalidArgument, StrCat("'", text, "' is too long a duration")};
  }
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::llround(value)));
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  struct Whole {
    const char* name;
    std::int64_t factor;
  };
  const std::int64_t value = duration.count();
  for (const Whole& unit :
       {Whole{"d", 86'400'000}, Whole{"h", 3'600'000}, Whole{"m", 60'000}, Whole{"s", 1'000}}) {
    if (value != 0 && value % unit.factor == 0) return StrCat(value / unit.factor, unit.name);
  }
  return StrCat(value, "ms");
}

Result<std::uint64_t> ParseByteCount(std::string_view text) {
  constexpr std::array<Unit, 9> kUnits = {{{"", 1.0},
                                           {"B", 1.0},
                                           {"KiB", 1024.0},
                                           {"MiB", 1048576.0},
                                           {"GiB", 1073741824.0},
                                           {"TiB", 1099511627776.0},
                                           {"KB", 1e3},
                                           {"MB", 1e6},
                                           {"GB", 1e9}}};
  ASSIGN_OR_RETURN(const double value,
                   ParseWithUnit(text, kUnits, "byte count such as 4096, 10KiB, 64MiB or 1GB"));
  if (value > 9e15) {  // Beyond 2^53 a double no longer holds every whole number.
    return Error{ErrorCode::kInvalidArgument, StrCat("'", text, "' is too large a byte count")};
  }
  return static_cast<std::uint64_t>(value);
}

}  // namespace base
