#include "base/clock.h"

#include <array>
#include <cstdio>

#include "base/text.h"

namespace base {
namespace {

// Takes exactly `count` digits off the front of `text`; -1 if they are not there.
int TakeDigits(std::string_view& text, std::size_t count) {
  if (text.size() < count) return -1;
  int value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(count);
  return value;
}

bool Take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string FormatTime(Time time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  std::array<char, 64> buffer;
  const int length = std::snprintf(
      buffer.data(), buffer.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ",
      static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
      static_cast<unsigned>(date.day()), static_cast<int>(clock.hours().count()),
      static_cast<int>(clock.minutes().count()), static_cast<int>(clock.seconds().count()),
      static_cast<int>(clock.subseconds().count()));
  return std::string(buffer.data(), static_cast<std::size_t>(length));
}

Result<Time> ParseTime(std::string_view text) {
  const Error error{ErrorCode::kInvalidArgument,
                    StrCat("'", text, "' is no time such as 2026-11-20T12:00:00.000Z")};
  std::string_view rest = text;
  const int year = TakeDigits(rest, 4);
  const bool dash = Take(rest, '-');
  const int month = TakeDigits(rest, 2);
  const bool second_dash = Take(rest, '-');
  const int day = TakeDigits(rest, 2);
  const bool t = Take(rest, 'T');
  const int hour = TakeDigits(rest, 2);
  const bool colon = Take(rest, ':');
  const int minute = TakeDigits(rest, 2);
  const bool second_colon = Take(rest, ':');
  const int second = TakeDigits(rest, 2);
  if (year < 0 || month < 0 || day < 0 || hour < 0 || minute < 0 || second < 0 || !dash ||
      !second_dash || !t || !colon || !second_colon) {
    return error;
  }
  int milliseconds = 0;
  if (Take(rest, '.')) {
    int scale = 100;
    std::size_t digits = 0;
    for (int digit = TakeDigits(rest, 1); digit >= 0; digit = TakeDigits(rest, 1)) {
      milliseconds += digit * scale;  // Beyond milliseconds scale is 0: cut off, not rounded.
      scale /= 10;
      ++digits;
    }
    if (digits == 0 || digits > 9) return error;
  }
  int offset_minutes = 0;
  if (!Take(rest, 'Z')) {
    const bool minus = Take(rest, '-');
    if (!minus && !Take(rest, '+')) return error;
    const int offset_hour = TakeDigits(rest, 2);
    const bool offset_colon = Take(rest, ':');
    const int offset_minute = TakeDigits(rest, 2);
    if (offset_hour < 0 || offset_hour > 23 || !offset_colon || offset_minute < 0 ||
        offset_minute > 59) {
      return error;
    }
    offset_minutes = (offset_hour * 60 + offset_minute) * (minus ? -1 : 1);
  }
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  // Second 60 (a leap second) is taken as the first of the next minute, as POSIX time does.
  if (!rest.empty() || !date.ok() || hour > 23 || minute > 59 || second > 60) return error;
  return Time(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
         std::chrono::minutes(minute - offset_minutes) + std::chrono::seconds(second) +
         std::chrono::milliseconds(milliseconds);
}

}  // namespace base
