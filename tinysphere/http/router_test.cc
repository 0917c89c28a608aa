#include "tinysphere/http/router.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"

namespace tinysphere::http {
namespace {

using base::Error;
using base::ErrorCode;

// Believes the header "Who": "device", "viewer", "operator", "admin"; anything else is nobody.
class TrustingAuthenticator final : public Authenticator {
 public:
  base::Result<Identity> Authenticate(const Request& request, Access) override {
    const std::string who(request.headers.Get("Who"));
    Identity identity;
    identity.id = who;
    if (who == "device") {
      identity.kind = Identity::Kind::kDevice;
      return identity;
    }
    const auto role = ParseRole(who);
    if (!role.ok()) return Error{ErrorCode::kPermissionDenied, "nobody is signed in"};
    identity.kind = Identity::Kind::kPerson;
    identity.role = *role;
    return identity;
  }
};

class RouterTest : public testing::Test {
 protected:
  void Add(Method method, const std::string& path, Access access = Access::kOpen,
           BodyRule body = BodyRule::None()) {
    const std::string name = base::StrCat(Name(method), " ", path);
    router_.Add({.method = method,
                 .path = path,
                 .access = access,
                 .body = body,
                 .handler = [name](Request& request) -> base::Result<Response> {
                   std::string told = name;
                   for (const auto& [key, value] : request.params) {
                     told += base::StrCat(" ", key, "=", value);
                   }
                   return Response::Text(200, "text/plain", told);
                 }});
  }
  Response Ask(Method method, const std::string& target, const std::string& who = "",
               const std::string& body = "", const std::string& digest = "") {
    Request request;
    request.method = method;
    EXPECT_TRUE(SetTarget(request, target).ok());
    if (!who.empty()) request.headers.Add("Who", who);
    if (!digest.empty()) request.headers.Add("Content-Digest", digest);
    if (!body.empty()) request.body = Body(body);
    return router_.Serve(request);
  }
  static std::string TextOf(const Response& response) {
    return std::get<std::string>(response.body);
  }

  TrustingAuthenticator authenticator_;
  Router router_{authenticator_};
};

TEST_F(RouterTest, FindsTheRouteAndItsParameters) {
  Add(Method::kGet, "/devices/{device_id}/feedback/{feedback_id}");
  EXPECT_EQ(TextOf(Ask(Method::kGet, "/devices/d-1/feedback/f%202")),
            "GET /devices/{device_id}/feedback/{feedback_id} device_id=d-1 feedback_id=f 2");
}

TEST_F(RouterTest, PrefersAWordToAParameterWhateverTheOrder) {
  Add(Method::kPost, "/packages/{package_id}");
  Add(Method::kPost, "/packages/offer");
  EXPECT_EQ(TextOf(Ask(Method::kPost, "/packages/offer")), "POST /packages/offer");
  EXPECT_EQ(TextOf(Ask(Method::kPost, "/packages/p")), "POST /packages/{package_id} package_id=p");
}

TEST_F(RouterTest, LetsALastParameterTakeTheRest) {
  Add(Method::kGet, "/tuf/{path...}");
  EXPECT_EQ(TextOf(Ask(Method::kGet, "/tuf/a/b.json")), "GET /tuf/{path...} path=a/b.json");
}

TEST_F(RouterTest, AnswersHeadLikeGetUnlessItHasARouteOfItsOwn) {
  Add(Method::kGet, "/a");
  Add(Method::kGet, "/uploads/{id}");
  Add(Method::kHead, "/uploads/{id}");
  EXPECT_EQ(TextOf(Ask(Method::kHead, "/a")), "GET /a");
  EXPECT_EQ(TextOf(Ask(Method::kHead, "/uploads/1")), "HEAD /uploads/{id} id=1");
  EXPECT_EQ(TextOf(Ask(Method::kGet, "/uploads/1")), "GET /uploads/{id} id=1");
}

TEST_F(RouterTest, TellsUnknownPathsFromWrongMethods) {
  Add(Method::kPut, "/packages/{id}");
  EXPECT_EQ(Ask(Method::kGet, "/nothing").status, 404);
  EXPECT_EQ(Ask(Method::kPut, "/packages/").status, 404);
  const Response wrong = Ask(Method::kDelete, "/packages/1");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.Get("Allow"), "PUT");
}

TEST_F(RouterTest, GivesGetsNobodyTakesToTheFallback) {
  router_.AddFallback([](Request&) -> base::Result<Response> {
    return Response::Text(200, "text/html", "dashboard");
  });
  EXPECT_EQ(TextOf(Ask(Method::kGet, "/devices")), "dashboard");
  EXPECT_EQ(Ask(Method::kPost, "/devices").status, 404);
}

TEST_F(RouterTest, LetsInWhoMay) {
  const std::pair<Access, std::vector<std::string>> allowed[] = {
      {Access::kOpen, {"", "device", "viewer", "operator", "admin"}},
      {Access::kDevice, {"device"}},
      {Access::kViewer, {"viewer", "operator", "admin"}},
      {Access::kOperator, {"operator", "admin"}},
      {Access::kAdmin, {"admin"}},
      {Access::kDeviceOrViewer, {"device", "viewer", "operator", "admin"}}};
  int route = 0;
  for (const auto& [access, who_may] : allowed) {
    const std::string path = base::StrCat("/", route++);
    Add(Method::kGet, path, access);
    for (const std::string who : {"", "device", "viewer", "operator", "admin"}) {
      const bool may = std::find(who_may.begin(), who_may.end(), who) != who_may.end();
      const int expected = may ? 200 : who.empty() ? 401 : 403;
      EXPECT_EQ(Ask(Method::kGet, path, who).status, expected) << path << " " << who;
    }
  }
}

TEST_F(RouterTest, AsksTheGuardForEachDevice) {
  Add(Method::kGet, "/desired", Access::kDevice);
  Add(Method::kGet, "/people", Access::kViewer);
  router_.AddDeviceGuard([](const Request&) -> base::Result<std::optional<Response>> {
    return std::optional(Response::Text(410, "application/json", "decommissioned"));
  });
  EXPECT_EQ(Ask(Method::kGet, "/desired", "device").status, 410);
  EXPECT_EQ(Ask(Method::kGet, "/people", "viewer").status, 200);
}

TEST_F(RouterTest, RefusesABodyOverTheLimit) {
  Add(Method::kPost, "/a", Access::kOpen, BodyRule::Memory(4));
  EXPECT_EQ(Ask(Method::kPost, "/a", "", "1234").status, 200);
  EXPECT_EQ(Ask(Method::kPost, "/a", "", "12345").status, 413);
}

TEST_F(RouterTest, LetsARouteSayItselfThatABodyIsTooLarge) {
  router_.Add({.method = Method::kPut,
               .path = "/a",
               .access = Access::kOpen,
               .body = BodyRule::Memory(1),
               .handler = [](Request&) -> base::Result<Response> { return Response::NoContent(); },
               .too_large = [](Request&) -> base::Result<Response> {
                 return Response::Text(413, "application/json", "signed");
               }});
  EXPECT_EQ(TextOf(Ask(Method::kPut, "/a", "", "12")), "signed");
}

TEST_F(RouterTest, ComparesTheBodyWithItsDigest) {
  Add(Method::kPost, "/a", Access::kOpen, BodyRule::Memory(100));
  // SHA-256("hello"), as `printf hello | openssl dgst -sha256 -binary | base64` prints it.
  const std::string digest = "sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:";
  EXPECT_EQ(Ask(Method::kPost, "/a", "", "hello", digest).status, 200);
  EXPECT_EQ(Ask(Method::kPost, "/a", "", "hellO", digest).status, 400);
  EXPECT_EQ(Ask(Method::kPost, "/a", "", "hello", "sha-256=:AAAA:").status, 400);
  EXPECT_EQ(Ask(Method::kPost, "/a", "", "hello", "md5=:AAAA:, " + digest).status, 200);
}

TEST_F(RouterTest, TurnsErrorsIntoAnswers) {
  router_.Add({.method = Method::kGet,
               .path = "/a",
               .access = Access::kOpen,
               .handler = [](Request&) -> base::Result<Response> {
                 return Error{ErrorCode::kConflict, "stands there already"};
               }});
  EXPECT_EQ(Ask(Method::kGet, "/a").status, 409);
}

TEST_F(RouterTest, RunsHooksOnEveryAnswer) {
  router_.OnAnswer(
      [](const Request&, Response& response) { response.headers.Set("TLCM-Nonce", "fresh"); });
  const Response response = Ask(Method::kGet, "/nothing");
  EXPECT_EQ(response.headers.Get("TLCM-Nonce"), "fresh");
  EXPECT_EQ(response.headers.Get("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(response.headers.Get("Cache-Control"), "no-store");
}

using RouterDeathTest = RouterTest;

TEST_F(RouterDeathTest, StopsOnTwoRoutesForOnePath) {
  Add(Method::kGet, "/a/{x}");
  EXPECT_DEATH(Add(Method::kGet, "/a/{y}"), "IsSamePath");
}

}  // namespace
}  // namespace tinysphere::http
