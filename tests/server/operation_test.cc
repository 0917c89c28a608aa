// What an operator sees of a running server: its health, its figures, its log.

#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"
#include "tests/server/server_fixture.h"

namespace tests {
namespace {

class OperationTest : public ServerTest {
 protected:
  static bool Has(const Answer& answer, const std::string& line) {
    return ("\n" + answer.body).find("\n" + line) != std::string::npos;
  }
};

TEST_F(OperationTest, HealthIsForEverybodyAndItsDetailsForWhoIsSignedIn) {
  const Answer anybody = Send("GET", server_->url() + "/health", "", {});
  EXPECT_EQ(anybody.status, 200);
  EXPECT_EQ(anybody.json().Find("details"), nullptr) << anybody.body;
  const Answer viewer = MakePerson("viewer").Get("/health");
  EXPECT_EQ(viewer.status, 200);
  EXPECT_TRUE(At(viewer.json(), "ok").as_bool());
  EXPECT_EQ(At(viewer.json(), "details.jobs_set_aside").as_int(), 0);
  EXPECT_FALSE(At(viewer.json(), "details.store_generation").as_string().empty());
  EXPECT_GT(At(viewer.json(), "details.resident_bytes").as_int(), 1 << 20);
}

TEST_F(OperationTest, FiguresCountWhatHappened) {
  const auto device = MakeDevice("cellar");
  ASSERT_EQ(device->Deliver(1, "notes", {TextFile("note.txt", "hello")}), "processed");
  ASSERT_EQ(Send("DELETE", server_->url() + "/no/such/page", "", {}).status, 404);
  const Answer figures = Send("GET", server_->url() + "/metrics", "", {});
  ASSERT_EQ(figures.status, 200) << figures.body;
  EXPECT_EQ(figures.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_TRUE(Has(figures,
                  "tinysphere_http_requests_total{method=\"PUT\","
                  "route=\"/api/v1/packages/{package_id}\",status=\"201\"} 1\n"))
      << figures.body;
  EXPECT_TRUE(Has(figures,
                  "tinysphere_http_requests_total{method=\"DELETE\",route=\"none\","
                  "status=\"404\"} 1\n"))
      << figures.body;
  EXPECT_TRUE(Has(figures, "tinysphere_devices{state=\"active\"} 1\n")) << figures.body;
  EXPECT_TRUE(Has(figures, "tinysphere_devices_online 1\n")) << figures.body;
  EXPECT_TRUE(Has(figures, "tinysphere_database_answers 1\n"));
  EXPECT_TRUE(Has(figures, "tinysphere_objects_answer 1\n"));
  EXPECT_TRUE(Has(figures, "process_resident_memory_bytes "));
  EXPECT_TRUE(Has(figures, "tinysphere_build_info{version="));
}

TEST_F(OperationTest, BehindAProxyFiguresAreForViewersOnly) {
  const std::string url = server_->url() + "/metrics";
  EXPECT_EQ(Send("GET", url, "", {{"X-Forwarded-For", "203.0.113.7"}}).status, 401);
  EXPECT_EQ(MakePerson("viewer").Get("/metrics").status, 200);
  server_->Terminate();
  server_->Start({"--public-url", "https://sphere.example"});
  EXPECT_EQ(Send("GET", server_->url() + "/metrics", "", {}).status, 401);
}

TEST_F(OperationTest, ATraceComesBackWithTheAnswer) {
  const Answer answer =
      Send("GET", server_->url() + "/api/v1/devices", "",
           {{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}});
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.headers.at("tlcm-trace"), "4bf92f3577b34da6a3ce929d0e0e4736");
  const Answer own = Send("GET", server_->url() + "/health", "", {{"traceparent", "nonsense"}});
  EXPECT_EQ(own.headers.at("tlcm-trace").size(), 32u);
}

}  // namespace
}  // namespace tests
