#include "tinysphere/http/request_log.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/trace.h"
#include "tinysphere/http/router.h"
#include "tinysphere/platform/prometheus/prometheus_telemetry.h"

namespace tinysphere::http {
namespace {

constexpr const char* kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";

class NobodyAuthenticator final : public Authenticator {
 public:
  base::Result<Identity> Authenticate(const Request&, Access) override {
    return base::Error{base::ErrorCode::kPermissionDenied, "nobody is signed in"};
  }
};

class Lines final : public base::Logger {
 public:
  void Write(base::LogLevel level, std::string_view message) override {
    lines.push_back(std::string(base::Name(level)) + " " + std::string(message));
  }
  std::vector<std::string> lines;
};

class RequestLogTest : public testing::Test {
 protected:
  RequestLogTest() {
    router_.Add({.method = Method::kGet,
                 .path = "/devices/{device_id}",
                 .access = Access::kOpen,
                 .handler = [this](Request&) -> base::Result<Response> {
                   trace_in_handler_ = base::CurrentTrace();
                   return Response::Text(200, "text/plain", "hello");
                 }});
    router_.Add({.method = Method::kGet,
                 .path = "/broken",
                 .access = Access::kOpen,
                 .handler = [](Request&) -> base::Result<Response> {
                   return base::Error{base::ErrorCode::kInternal, "it broke"};
                 }});
    router_.Add(
        {.method = Method::kPost,
         .path = "/body",
         .access = Access::kOpen,
         .body = BodyRule::Memory(100),
         .handler = [](Request&) -> base::Result<Response> { return Response::NoContent(); }});
    router_.OnAnswer(
        [this](const Request& request, Response& response) { log_.Note(request, response); });
  }

  Response Ask(const std::string& target, const std::string& trace_parent = "",
               Method method = Method::kGet, const std::string& body = "") {
    Request request;
    request.method = method;
    EXPECT_TRUE(SetTarget(request, target).ok());
    if (!trace_parent.empty()) request.headers.Add("traceparent", trace_parent);
    if (!body.empty()) request.body = Body(body);
    return router_.Serve(request);
  }
  bool Counted(const std::string& line) {
    return ("\n" + telemetry_->Read()).find("\n" + line + "\n") != std::string::npos;
  }

  std::unique_ptr<telemetry::Telemetry> telemetry_ = prometheus::MakeTelemetry();
  Lines logger_;
  RequestLog log_{*telemetry_, logger_};
  NobodyAuthenticator authenticator_;
  Router router_{authenticator_};
  std::string trace_in_handler_;
};

TEST_F(RequestLogTest, CountsByRouteNotByPath) {
  Ask("/devices/d-1");
  Ask("/devices/d-2");
  Ask("/nothing/here");
  EXPECT_TRUE(
      Counted("tinysphere_http_requests_total{method=\"GET\","
              "route=\"/devices/{device_id}\",status=\"200\"} 2"));
  EXPECT_TRUE(
      Counted("tinysphere_http_requests_total{method=\"GET\",route=\"none\","
              "status=\"404\"} 1"));
  EXPECT_TRUE(
      Counted("tinysphere_http_request_seconds_count{method=\"GET\","
              "route=\"/devices/{device_id}\"} 2"));
}

TEST_F(RequestLogTest, CountsTheBytesOfBodies) {
  Ask("/body", "", Method::kPost, "12345");
  Ask("/body", "", Method::kPost, "678");
  EXPECT_TRUE(Counted("tinysphere_http_body_bytes_total{method=\"POST\",route=\"/body\"} 8"));
}

TEST_F(RequestLogTest, ATraceIsTakenKeptAndGivenBack) {
  const Response response =
      Ask("/devices/d-1", std::string("00-") + kTrace + "-00f067aa0ba902b7-01");
  EXPECT_EQ(response.headers.Get("TLCM-Trace"), kTrace);
  EXPECT_EQ(trace_in_handler_, kTrace);
  EXPECT_EQ(base::CurrentTrace(), "");
}

TEST_F(RequestLogTest, WithoutOneATraceIsMadeAlsoForErrors) {
  const std::string first(Ask("/nothing/here").headers.Get("TLCM-Trace"));
  const std::string second(Ask("/nothing/here").headers.Get("TLCM-Trace"));
  EXPECT_EQ(first.size(), 32u);
  EXPECT_NE(first, second);
}

TEST_F(RequestLogTest, OneLineARequestWithoutItsQuery) {
  Ask("/devices/d-1?secret=1234");
  ASSERT_EQ(logger_.lines.size(), 1u);
  EXPECT_TRUE(logger_.lines[0].starts_with(
      "debug request method=GET path=/devices/d-1 route=/devices/{device_id} status=200 ms="))
      << logger_.lines[0];
  EXPECT_EQ(logger_.lines[0].find("1234"), std::string::npos) << logger_.lines[0];
}

TEST_F(RequestLogTest, OurOwnFaultIsAWarning) {
  EXPECT_EQ(Ask("/broken").status, 500);
  ASSERT_EQ(logger_.lines.size(), 1u);
  EXPECT_TRUE(logger_.lines[0].starts_with("warning request failed method=GET"))
      << logger_.lines[0];
}

}  // namespace
}  // namespace tinysphere::http
