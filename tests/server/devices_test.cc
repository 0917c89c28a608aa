// Who may speak to the server, and who is turned away.

#include "protocol/desired.h"
#include "protocol/enrolment.h"
#include "tests/server/server_fixture.h"

namespace tests {
namespace {

using protocol::StatementKind;

class Devices : public ServerTest {
 protected:
  std::string Secret(const std::string& token) {
    return protocol::ParseEnrolmentToken(token).value().secret;
  }
};

TEST_F(Devices, ServerProvesWhoItIsOverTheCallersChallenge) {
  const auto token = protocol::ParseEnrolmentToken(MakeToken());
  ASSERT_TRUE(token.ok());
  EXPECT_FALSE(token->tls_pin.empty());
  const Answer answer = Send("GET", server_->url() + "/api/v1/identity?challenge=c0ffee", "", {});
  const auto identity = protocol::ParseIdentity(answer.body);
  ASSERT_TRUE(identity.ok()) << answer.body;
  EXPECT_TRUE(protocol::VerifyIdentity(*identity, "c0ffee", token->server_fingerprint,
                                       token->publisher_fingerprint)
                  .ok());
  EXPECT_FALSE(protocol::VerifyIdentity(*identity, "other", token->server_fingerprint,
                                        token->publisher_fingerprint)
                   .ok());
}

TEST_F(Devices, AreActiveAtOnceWithATokenAndGetTheSameAnswerAgain) {
  const std::string secret = Secret(MakeToken());
  Device device(*server_, server_key());
  for (int time = 0; time < 2; ++time) {
    const Answer answer = device.Enrol(secret, "pi-garden-3");
    EXPECT_EQ(answer.status, 200) << answer.body;
    ASSERT_TRUE(answer.statement());
    EXPECT_EQ(answer.statement()->kind, StatementKind::kEnrolled);
    EXPECT_EQ(answer.statement()->subject, base::Fingerprint(device.key().public_key()));
    EXPECT_TRUE(protocol::VerifyStatement(*answer.statement(), server_key()).ok());
  }
  const auto devices = admin_->Get("/api/v1/devices").json();
  EXPECT_EQ(At(devices, "items").as_array().size(), 1u);
  EXPECT_EQ(At(devices, "items.0.name").as_string(), "pi-garden-3");
  EXPECT_EQ(At(devices, "items.0.state").as_string(), "active");
  EXPECT_TRUE(At(devices, "items.0.online").as_bool());
}

TEST_F(Devices, CannotUseATokenThatAnotherHasUsed) {
  const std::string secret = Secret(MakeToken());
  Device first(*server_, server_key());
  Device second(*server_, server_key());
  EXPECT_EQ(first.Enrol(secret, "first").status, 200);
  const Answer answer = second.Enrol(secret, "second");
  EXPECT_EQ(answer.status, 403);
  ASSERT_TRUE(answer.statement());
  EXPECT_EQ(answer.statement()->kind, StatementKind::kHeld);
  EXPECT_EQ(answer.statement()->subject.empty(), false);
}

TEST_F(Devices, WaitWithoutATokenUntilAPersonAcceptsThem) {
  Device device(*server_, server_key());
  const Answer answer = device.Enrol(std::nullopt, "stranger");
  EXPECT_EQ(answer.status, 202) << answer.body;
  ASSERT_TRUE(answer.statement());
  EXPECT_EQ(answer.statement()->kind, StatementKind::kPending);

  const std::string desired = "/api/v1/devices/" + device.id() + "/desired";
  const Answer held = device.Send("GET", desired);
  EXPECT_EQ(held.status, 403);
  ASSERT_TRUE(held.statement());
  EXPECT_EQ(held.statement()->kind, StatementKind::kHeld);

  EXPECT_EQ(admin_->Post("/api/v1/devices/" + device.id() + "/accept", {}).status, 200);
  EXPECT_EQ(device.Send("GET", desired).status, 200);
}

TEST_F(Devices, AreActiveAtOnceIfTheirFingerprintWasWrittenDownBefore) {
  Device device(*server_, server_key());
  base::Json body = base::Json::MakeObject();
  base::Json list = base::Json::MakeArray();
  list.Append(base::Json::MakeObject(
      {{"fingerprint", base::Fingerprint(device.key().public_key())}, {"name", "known"}}));
  body.Set("devices", list);
  EXPECT_EQ(At(admin_->Post("/api/v1/devices/preauthorise", body).json(), "added").as_int(), 1);
  EXPECT_EQ(device.Enrol(std::nullopt, "known").status, 200);
}

TEST_F(Devices, AreHeldOnceRevokedAndStopOnceDecommissioned) {
  const auto revoked = MakeDevice("revoked");
  const auto retired = MakeDevice("retired");
  EXPECT_EQ(admin_->Post("/api/v1/devices/" + revoked->id() + "/revoke", {}).status, 200);
  EXPECT_EQ(admin_->Post("/api/v1/devices/" + retired->id() + "/decommission", {}).status, 200);

  const Answer held = revoked->Put(1, revoked->MakePackage(1, "metrics", {}));
  ASSERT_TRUE(held.statement()) << held.status << held.body;
  EXPECT_EQ(held.statement()->kind, StatementKind::kHeld);
  const Answer gone = retired->Put(1, retired->MakePackage(1, "metrics", {}));
  EXPECT_EQ(gone.status, 410);
  ASSERT_TRUE(gone.statement());
  EXPECT_EQ(gone.statement()->kind, StatementKind::kDecommissioned);
  EXPECT_FALSE(gone.statement()->subject.empty());
}

TEST_F(Devices, GetNoStatementForAWrongSignature) {
  const auto device = MakeDevice("cam");
  const base::Bytes archive = device->MakePackage(1, "metrics", {});
  const std::string path = "/api/v1/packages/" + device->PackageId(1);
  HeaderLines lines = device->Sign("PUT", path, base::AsText(archive), {});
  // Another byte of the base64 signature: "sig=:AAAA...:".
  std::string& signature = lines.back().second;
  const std::size_t at = signature.find(':') + 5;
  signature[at] = signature[at] == 'A' ? 'B' : 'A';
  const Answer answer = Send("PUT", server_->url() + path, base::AsText(archive), lines);
  EXPECT_EQ(answer.status, 401);
  EXPECT_FALSE(answer.statement());
  EXPECT_EQ(At(admin_->Get("/api/v1/packages/summary").json(), "stored").as_int(), 0);
}

TEST_F(Devices, SeeNothingOfEachOther) {
  const auto one = MakeDevice("one");
  const auto two = MakeDevice("two");
  EXPECT_EQ(one->Put(1, one->MakePackage(1, "metrics", {})).status, 201);
  EXPECT_EQ(two->Send("GET", "/api/v1/packages/" + one->PackageId(1) + "/status").status, 404);
  EXPECT_EQ(two->Send("GET", "/api/v1/devices/" + one->id() + "/desired").status, 403);
  EXPECT_EQ(two->Send("GET", "/api/v1/devices").status, 401);
}

TEST_F(Devices, ArePolledForNothingWithA304) {
  const auto device = MakeDevice("cam");
  const std::string path = "/api/v1/devices/" + device->id() + "/desired";
  const Answer first = device->Send("GET", path);
  ASSERT_EQ(first.status, 200) << first.body;
  const auto statement = protocol::ParseStatementHeader(first.headers.at("tlcm-statement"));
  ASSERT_TRUE(statement.ok());
  EXPECT_TRUE(protocol::VerifyStatement(*statement, server_key()).ok());
  EXPECT_EQ(statement->sha256, base::Sha256Hex(base::AsBytes(first.body)));
  EXPECT_EQ(first.headers.at("tlcm-desired-etag"), first.headers.at("etag"));
  EXPECT_EQ(first.headers.at("tlcm-poll-after"), "1");
  const Answer second =
      device->Send("GET", path, "", {{"if-none-match", first.headers.at("etag")}});
  EXPECT_EQ(second.status, 304);
  EXPECT_EQ(second.body, "");
}

TEST_F(Devices, AreToldTheModeAPersonAsksForUntilTheWishIsTakenBack) {
  const Person viewer = MakePerson("viewer");
  const Person operates = MakePerson("operator");
  const auto device = MakeDevice("cam");
  const std::string path = "/api/v1/devices/" + device->id();
  const auto desired = [&] {
    const Answer answer = device->Send("GET", path + "/desired");
    EXPECT_EQ(answer.status, 200) << answer.body;
    return protocol::ParseDesired(answer.body).value();
  };
  const auto ask = [&](const Person& person, base::Json mode) {
    return person.Post(path + "/mode", base::Json::MakeObject({{"mode", std::move(mode)}}));
  };
  EXPECT_FALSE(desired().mode.has_value());
  const std::int64_t before = desired().revision;
  EXPECT_EQ(ask(viewer, "monitoring_only").status, 403);

  const Answer asked = ask(operates, "monitoring_only");
  EXPECT_EQ(asked.status, 200) << asked.body;
  EXPECT_EQ(At(asked.json(), "desired_mode").as_string(), "monitoring_only");
  EXPECT_TRUE(At(asked.json(), "mode").is_null()) << "it has not said what it is in";
  EXPECT_EQ(desired().mode, "monitoring_only");
  EXPECT_EQ(desired().revision, before + 1);
  EXPECT_EQ(ask(operates, "monitoring_only").status, 200);
  EXPECT_EQ(desired().revision, before + 1) << "asked twice is asked once";

  const Answer wrong = ask(operates, "careless");
  EXPECT_EQ(wrong.status, 400);
  EXPECT_NE(wrong.body.find("monitoring_only"), std::string::npos) << wrong.body;
  EXPECT_EQ(operates.Post(path + "/mode", base::Json::MakeObject()).status, 400);
  EXPECT_EQ(operates
                .Post("/api/v1/devices/d-00000000000000000000000000000000/mode",
                      base::Json::MakeObject({{"mode", "autonomous"}}))
                .status,
            404);

  EXPECT_EQ(ask(operates, nullptr).status, 200);
  EXPECT_FALSE(desired().mode.has_value());
  EXPECT_EQ(desired().revision, before + 2);
}

TEST_F(Devices, RolesHold) {
  const Person viewer = MakePerson("viewer");
  const Person operates = MakePerson("operator");
  const auto device = MakeDevice("cam");
  EXPECT_EQ(viewer.Get("/api/v1/devices").status, 200);
  const base::Json name = base::Json::MakeObject({{"name", "cam-2"}});
  EXPECT_EQ(viewer.Post("/api/v1/devices/" + device->id() + "/name", name).status, 403);
  EXPECT_EQ(operates.Post("/api/v1/devices/" + device->id() + "/name", name).status, 200);
  EXPECT_EQ(operates.Post("/api/v1/devices/" + device->id() + "/revoke", {}).status, 403);
  EXPECT_EQ(operates.Get("/api/v1/users").status, 403);
  EXPECT_EQ(Send("GET", server_->url() + "/api/v1/devices", "", {}).status, 401);
}

}  // namespace
}  // namespace tests
