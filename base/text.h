// Putting small texts together: StrCat, and numbers, durations and sizes as people write them.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace base {

std::string FormatDouble(double value);  // Shortest text that reads back to the same value.
std::string FormatShort(double value);   // Three significant digits, for people: "0.332", "17.9".

namespace internal {
inline void Append(std::string& out, std::string_view part) { out += part; }
template <typename T>
  requires std::is_arithmetic_v<T>
void Append(std::string& out, T part) {
  if constexpr (std::is_same_v<T, char>) {
    out += part;
  } else if constexpr (std::is_same_v<T, bool>) {
    out += part ? "true" : "false";
  } else if constexpr (std::is_floating_point_v<T>) {
    out += FormatDouble(static_cast<double>(part));
  } else {
    out += std::to_string(part);
  }
}
}  // namespace internal

// StrCat("frame ", 41, ": ", reason)
template <typename... Parts>
std::string StrCat(const Parts&... parts) {
  std::string out;
  (internal::Append(out, parts), ...);
  return out;
}

std::vector<std::string_view> Split(std::string_view text, char separator);
std::string_view Trim(std::string_view text);

// The whole text must be the number; no white space, no NaN or infinity.
Result<double> ParseDouble(std::string_view text);
Result<std::int64_t> ParseInt(std::string_view text);

// "250ms" "30s" "15m" "1h" "30d"; a bare number is refused, for nobody could tell its unit.
Result<std::chrono::milliseconds> ParseDuration(std::string_view text);
std::string FormatDuration(std::chrono::milliseconds duration);

// "64MiB" "10KiB" "1GiB" "4096"; decimal units ("64MB") are accepted as 10^6.
Result<std::uint64_t> ParseByteCount(std::string_view text);

}  // namespace base
