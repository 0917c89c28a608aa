// RequestLog: what became of each request, counted and, where somebody wants to know, in the log.
//
// One line a request at debug; at warning if it took long or was our fault (5xx). The line names
// the route, who asked and the trace, never a query or a field: those may hold secrets.

#pragma once

#include <chrono>
#include <map>
#include <mutex>
#include <utility>

#include "base/logger.h"
#include "tinysphere/http/message.h"
#include "tinysphere/telemetry/telemetry.h"

namespace tinysphere::http {

// May be used from several threads.
class RequestLog {
 public:
  struct Options {
    std::chrono::milliseconds slow{1000};
  };

  // Both must outlive it.
  RequestLog(telemetry::Telemetry& telemetry, base::Logger& logger, const Options& options)
      : telemetry_(telemetry), logger_(logger), options_(options) {}
  RequestLog(telemetry::Telemetry& telemetry, base::Logger& logger)
      : RequestLog(telemetry, logger, Options{}) {}

  // The time is that until the answer was ready; sending it is the client's affair. Add to
  // Router::OnAnswer, as the last one.
  void Note(const Request& request, const Response& response);

 private:
  struct OfRoute {
    telemetry::Histogram* seconds = nullptr;
    telemetry::Counter* bytes = nullptr;
    std::map<int, telemetry::Counter*> by_status;
  };
  struct Handles {
    telemetry::Histogram& seconds;
    telemetry::Counter& bytes;
    telemetry::Counter& requests;
  };
  Handles Of(const Request& request, int status);

  telemetry::Telemetry& telemetry_;
  base::Logger& logger_;
  const Options options_;
  std::mutex mutex_;
  // By the route's path, which the router keeps; null: no route. Grows with the routes only.
  std::map<std::pair<const std::string*, Method>, OfRoute> routes_;
};

}  // namespace tinysphere::http
