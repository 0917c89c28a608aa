#include "tinysphere/http/request_log.h"

#include "base/text.h"

namespace tinysphere::http {

namespace {

std::string_view RouteOf(const Request& request) {
  return request.route ? std::string_view(*request.route) : std::string_view("none");
}

std::string_view WhoOf(const Identity& identity) {
  return identity.kind == Identity::Kind::kNobody ? std::string_view("nobody") : identity.id;
}

}  // namespace

RequestLog::Handles RequestLog::Of(const Request& request, int status) {
  const std::lock_guard lock(mutex_);
  OfRoute& route = routes_[{request.route, request.method}];
  const telemetry::Labels labels = {{"method", Name(request.method)},
                                    {"route", std::string(RouteOf(request))}};
  if (!route.seconds) {
    route.seconds = &telemetry_.MakeHistogram("tinysphere_http_request_seconds",
                                              "From the header's end until the answer was ready.",
                                              labels, telemetry::SecondsBounds());
    route.bytes = &telemetry_.MakeCounter("tinysphere_http_body_bytes_total",
                                          "Bytes of request bodies that were taken in.", labels);
  }
  telemetry::Counter*& requests = route.by_status[status];
  if (!requests) {
    telemetry::Labels with_status = labels;
    with_status.emplace("status", base::StrCat(status));
    requests = &telemetry_.MakeCounter("tinysphere_http_requests_total",
                                       "Requests that were answered.", with_status);
  }
  return {*route.seconds, *route.bytes, *requests};
}

void RequestLog::Note(const Request& request, const Response& response) {
  // One that was refused before it was a request has no beginning.
  const std::chrono::duration<double> took = request.trace.empty()
                                                 ? std::chrono::duration<double>(0)
                                                 : std::chrono::steady_clock::now() - request.begun;
  const Handles handles = Of(request, response.status);
  handles.requests.Add();
  handles.seconds.Observe(took.count());
  const std::uint64_t bytes = request.body.bytes();
  if (bytes > 0) handles.bytes.Add(static_cast<double>(bytes));

  const bool is_ours = response.status >= 500;
  const bool is_slow = took >= options_.slow;
  const base::LogLevel level =
      is_ours || is_slow ? base::LogLevel::kWarning : base::LogLevel::kDebug;
  if (!logger_.Wants(level)) return;
  logger_.WriteFields(level,
                      is_ours   ? "request failed"
                      : is_slow ? "request was slow"
                                : "request",
                      {{"method", std::string_view(Name(request.method))},
                       {"path", request.path},
                       {"route", RouteOf(request)},
                       {"status", std::int64_t{response.status}},
                       {"ms", took.count() * 1000},
                       {"bytes", static_cast<std::int64_t>(bytes)},
                       {"who", WhoOf(request.identity)},
                       {"peer", request.peer.address}});
}

}  // namespace tinysphere::http
