#include "tinysphere/access/gate.h"

#include "base/text.h"
#include "protocol/http_signature.h"
#include "protocol/identifiers.h"
#include "protocol/nonce.h"
#include "tests/support/fake_file_system.h"
#include "tinysphere/access/stand_test.h"

namespace tinysphere::access {
namespace {

using base::ErrorCode;
using http::Access;
using http::Method;
using http::Request;
using http::Response;
using std::chrono::minutes;

class GateTest : public AccessTest {
 protected:
  GateTest()
      : keys_(LoadOrMakeServerKeys(disk_, "/data/keys").value()),
        people_(*database_, *hasher_, clock_),
        gate_(*database_, people_, keys_, clock_),
        router_(gate_) {
    Enrol(key_);
    router_.OnAnswer([this](const Request& request, Response& response) {
      gate_.RenewNonce(request, response);
    });
    router_.Add({.method = Method::kPut,
                 .path = "/count/{id}",
                 .access = Access::kDevice,
                 .body = http::BodyRule::Memory(1000),
                 .handler = [this](Request& request) -> base::Result<Response> {
                   // What a handler of device requests does: the second time changes nothing.
                   const auto done = database_->Execute(
                       "INSERT INTO settings (name, value) VALUES ($1, $2) "
                       "ON CONFLICT (name) DO NOTHING",
                       {request.Param("id"), request.body.text()});
                   if (!done.ok()) return done.error();
                   return Response::Text(200, "text/plain", "stored " + request.body.text());
                 }});
    router_.Add({.method = Method::kPost,
                 .path = "/people",
                 .access = Access::kOperator,
                 .handler = [](Request& request) -> base::Result<Response> {
                   return Response::Text(200, "text/plain", request.identity.id);
                 }});
  }

  void Enrol(const base::Ed25519Key& key) {
    const auto& raw = key.public_key();
    ASSERT_TRUE(database_
                    ->Execute("INSERT INTO device_keys (device_id, key_count, public_key, "
                              "created_at) VALUES ($1, 1, $2, 0)",
                              {protocol::DeviceIdOf(raw), base::Bytes(raw.begin(), raw.end())})
                    .ok());
  }
  std::string FreshNonce() {
    return protocol::NonceIssuer(keys_.nonce_key)
        .Issue(protocol::DeviceIdOf(key_.public_key()), clock_.Now());
  }

  // A signed request; `body` is what was signed.
  Request Signed(const base::Ed25519Key& key, const std::string& body, const std::string& nonce,
                 const std::string& path = "/count/a") {
    Request request;
    request.method = Method::kPut;
    EXPECT_TRUE(http::SetTarget(request, path).ok());
    request.headers.Add("Content-Length", std::to_string(body.size()));
    request.headers.Add("Content-Digest",
                        protocol::WriteContentDigest(base::Sha256Of(base::AsBytes(body))));
    request.headers.Add("TLCM-Audience", audience_.empty() ? keys_.fingerprint() : audience_);
    request.headers.Add("TLCM-Nonce", nonce);
    protocol::HttpRequestHead head;
    head.method = "PUT";
    head.path = request.raw_path;
    head.query = request.raw_query;
    for (const auto& [name, value] : request.headers.fields()) {
      std::string lower = name;
      for (char& c : lower) c = static_cast<char>(std::tolower(c));
      head.headers.emplace_back(lower, value);
    }
    const auto signature = protocol::SignRequest(head, protocol::DeviceIdOf(key.public_key()), key);
    request.headers.Add("Signature-Input", signature.signature_input);
    request.headers.Add("Signature", signature.signature);
    request.body = http::Body(body);
    return request;
  }
  static Request Copy(const Request& request) {
    Request copy;
    copy.method = request.method;
    EXPECT_TRUE(
        http::SetTarget(copy, request.raw_path + (request.has_query ? "?" : "") + request.raw_query)
            .ok());
    copy.headers = request.headers;
    copy.body = http::Body(request.body.text());
    return copy;
  }
  static std::string TextOf(const Response& response) {
    return std::get<std::string>(response.body);
  }
  std::int64_t Effects() {
    return database_->QueryOne("SELECT COUNT(*) AS n FROM settings").value()->Int("n");
  }

  tests::FakeFileSystem disk_;
  ServerKeys keys_;
  People people_;
  Gate gate_;
  http::Router router_;
  base::Ed25519Key key_ = base::Ed25519Key::Generate();
  std::string audience_;
};

TEST_F(GateTest, LetsADeviceInByItsSignature) {
  Request request = Signed(key_, "evidence", FreshNonce());
  const Response response = router_.Serve(request);
  EXPECT_EQ(response.status, 200) << TextOf(response);
  EXPECT_EQ(request.identity.id, protocol::DeviceIdOf(key_.public_key()));
  EXPECT_TRUE(response.headers.Has("TLCM-Nonce"));
}

TEST_F(GateTest, AnswersAReplayWithinTenMinutesTheSameAndWithoutASecondEffect) {
  Request request = Signed(key_, "evidence", FreshNonce());
  Request replay = Copy(request);
  Request late_replay = Copy(request);
  const Response first = router_.Serve(request);
  clock_.Advance(minutes(9));
  const Response again = router_.Serve(replay);
  EXPECT_EQ(again.status, first.status);
  EXPECT_EQ(TextOf(again), TextOf(first));
  EXPECT_EQ(Effects(), 1);
  clock_.Advance(minutes(2));
  EXPECT_EQ(router_.Serve(late_replay).status, 401);
  EXPECT_EQ(Effects(), 1);
}

TEST_F(GateTest, RenewsTheNonceInA401SoThatOneRoundTripIsEnough) {
  Request first_contact = Signed(key_, "evidence", "");
  const Response refused = router_.Serve(first_contact);
  ASSERT_EQ(refused.status, 401);
  Request second = Signed(key_, "evidence", std::string(refused.headers.Get("TLCM-Nonce")));
  EXPECT_EQ(router_.Serve(second).status, 200);
}

TEST_F(GateTest, Refuses401) {
  const base::Ed25519Key stranger = base::Ed25519Key::Generate();
  {
    SCOPED_TRACE("a key nobody enrolled");
    Request request = Signed(stranger, "x", FreshNonce());
    EXPECT_EQ(router_.Serve(request).status, 401);
  }
  {
    SCOPED_TRACE("somebody else's signature under this device's name");
    Request request = Signed(key_, "x", FreshNonce());
    const Request other = Signed(stranger, "x", FreshNonce());
    request.headers.Set("Signature", std::string(other.headers.Get("Signature")));
    EXPECT_EQ(router_.Serve(request).status, 401);
  }
  {
    SCOPED_TRACE("no signature");
    Request request = Signed(key_, "x", FreshNonce());
    request.headers.Set("Signature", "");
    EXPECT_EQ(router_.Serve(request).status, 401);
  }
  {
    SCOPED_TRACE("another path than the one signed");
    Request request = Signed(key_, "x", FreshNonce());
    ASSERT_TRUE(http::SetTarget(request, "/count/b").ok());
    EXPECT_EQ(router_.Serve(request).status, 401);
  }
  {
    SCOPED_TRACE("a query that was not signed");
    Request request = Signed(key_, "x", FreshNonce());
    ASSERT_TRUE(http::SetTarget(request, "/count/a?more=1").ok());
    EXPECT_EQ(router_.Serve(request).status, 401);
  }
  {
    SCOPED_TRACE("another digest than the one signed");
    Request request = Signed(key_, "x", FreshNonce());
    request.headers.Set("Content-Digest",
                        protocol::WriteContentDigest(base::Sha256Of(base::AsBytes("y"))));
    EXPECT_EQ(router_.Serve(request).status, 401);
  }
  {
    SCOPED_TRACE("a body without a digest");
    Request request = Signed(key_, "x", FreshNonce());
    std::erase_if(
        const_cast<std::vector<std::pair<std::string, std::string>>&>(request.headers.fields()),
        [](const auto& field) { return field.first == "Content-Digest"; });
    EXPECT_EQ(router_.Serve(request).status, 401);
  }
  {
    SCOPED_TRACE("made for another server");
    audience_ = base::Fingerprint(stranger.public_key());
    Request request = Signed(key_, "x", FreshNonce());
    EXPECT_EQ(router_.Serve(request).status, 401);
    audience_.clear();
  }
  {
    SCOPED_TRACE("another device's nonce");
    const std::string nonce = protocol::NonceIssuer(keys_.nonce_key)
                                  .Issue(protocol::DeviceIdOf(stranger.public_key()), clock_.Now());
    Request request = Signed(key_, "x", nonce);
    EXPECT_EQ(router_.Serve(request).status, 401);
  }
  EXPECT_EQ(Effects(), 0);
}

TEST_F(GateTest, AnswersABodyThatIsNotTheSignedOneWithoutAStatement) {
  Request request = Signed(key_, "evidence", FreshNonce());
  request.body = http::Body("evidencE");
  const Response response = router_.Serve(request);
  EXPECT_EQ(response.status, 400);
  EXPECT_FALSE(response.headers.Has("TLCM-Statement"));
  EXPECT_EQ(Effects(), 0);
}

TEST_F(GateTest, LetsPeopleInByCookieWithTheHeaderNoOtherSiteCanSend) {
  ASSERT_TRUE(people_.CreateUser("ann", "correct horse", http::Role::kOperator, "test").ok());
  base::Duration wait{};
  const std::string cookie = people_.SignIn("ann", "correct horse", "::1", wait)->cookie;
  Request request;
  request.method = Method::kPost;
  ASSERT_TRUE(http::SetTarget(request, "/people").ok());
  request.headers.Add("Cookie", base::StrCat(kSessionCookie, "=", cookie));
  EXPECT_EQ(router_.Serve(request).status, 401);
  request.headers.Add("X-Requested-With", "tinysphere");
  EXPECT_EQ(router_.Serve(request).status, 200);
}

TEST_F(GateTest, LetsPeopleInByTokenAndKeepsToItsRole) {
  for (const auto& [role, status] :
       {std::pair(http::Role::kViewer, 403), std::pair(http::Role::kOperator, 200)}) {
    const std::string secret =
        people_.CreateApiToken(http::Name(role), role, base::Duration(0), "test").value();
    Request request;
    request.method = Method::kPost;
    ASSERT_TRUE(http::SetTarget(request, "/people").ok());
    request.headers.Add("Authorization", "Bearer " + secret);
    EXPECT_EQ(router_.Serve(request).status, status);
    request.headers.Set("Authorization", "Bearer " + secret + "x");
    EXPECT_EQ(router_.Serve(request).status, 401);
  }
}

TEST_F(GateTest, LetsADeviceEnrolWithTheKeyItShows) {
  const base::Ed25519Key newcomer = base::Ed25519Key::Generate();
  const std::string device_id = protocol::DeviceIdOf(newcomer.public_key());
  const std::string nonce = protocol::NonceIssuer(keys_.nonce_key).Issue(device_id, clock_.Now());
  const Request request = Signed(newcomer, "{}", nonce);
  EXPECT_EQ(VerifyEnrolment(request, newcomer.public_key(), keys_, clock_.Now()).value(),
            device_id);
  EXPECT_FALSE(VerifyEnrolment(request, key_.public_key(), keys_, clock_.Now()).ok());
  EXPECT_FALSE(
      VerifyEnrolment(request, newcomer.public_key(), keys_, clock_.Now() + minutes(11)).ok());
}

}  // namespace
}  // namespace tinysphere::access
