// Trace: the thread that ties log lines together, from a request to the job that came of it.
//
// A trace id is 32 hex digits, as in W3C Trace Context (https://www.w3.org/TR/trace-context/, 3.2).
// The one that a thread works under is kept by the thread; the logger writes it beside each line.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace base {

// The trace id of a `traceparent` field ("00-<32 hex>-<16 hex>-<2 hex>", lower case); nullopt if it
// is malformed or all zero, and then the standard wants a new one.
std::optional<std::string> ParseTraceParent(std::string_view field);

std::string MakeTraceId();

// What the calling thread works under; "" if nothing.
const std::string& CurrentTrace();

// The calling thread works under `trace` until the scope ends. Scopes nest.
class TraceScope {
 public:
  explicit TraceScope(std::string trace);
  ~TraceScope();
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  std::string before_;
};

}  // namespace base
