#include "base/trace.h"

#include <algorithm>
#include <utility>

#include "base/crypto.h"

namespace base {
namespace {

thread_local std::string current_trace;

bool IsLowerHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsZero(std::string_view text) { return text.find_first_not_of('0') == std::string_view::npos; }

}  // namespace

std::optional<std::string> ParseTraceParent(std::string_view field) {
  // version "-" trace-id "-" parent-id "-" trace-flags; a later version may append more.
  constexpr std::size_t kBytes = 2 + 1 + 32 + 1 + 16 + 1 + 2;
  if (field.size() < kBytes) return std::nullopt;
  const std::string_view version = field.substr(0, 2);
  const std::string_view trace = field.substr(3, 32);
  const std::string_view parent = field.substr(36, 16);
  const std::string_view flags = field.substr(53, 2);
  if (field[2] != '-' || field[35] != '-' || field[52] != '-') return std::nullopt;
  if (!IsLowerHex(version) || version == "ff" || !IsLowerHex(flags)) return std::nullopt;
  if (version == "00" ? field.size() != kBytes : field.size() > kBytes && field[kBytes] != '-') {
    return std::nullopt;
  }
  if (!IsLowerHex(trace) || IsZero(trace)) return std::nullopt;
  if (!IsLowerHex(parent) || IsZero(parent)) return std::nullopt;
  return std::string(trace);
}

std::string MakeTraceId() { return RandomHex(16); }

const std::string& CurrentTrace() { return current_trace; }

TraceScope::TraceScope(std::string trace)
    : before_(std::exchange(current_trace, std::move(trace))) {}

TraceScope::~TraceScope() { current_trace = std::move(before_); }

}  // namespace base
