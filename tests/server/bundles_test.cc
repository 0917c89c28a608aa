// What may be registered, and how it comes to devices.

#include "protocol/desired.h"
#include "protocol/update_report.h"
#include "tests/server/server_fixture.h"

namespace tests {
namespace {

using base::Json;

class Bundles : public ServerTest {
 protected:
  // SetUp's administrator made no enrolment token yet, so no publisher is known before this.
  void KnowPublisher() { (void)MakeToken(); }
  Answer Add(const base::Bytes& archive) {
    return admin_->Send("POST", "/api/v1/bundles", base::AsText(archive));
  }
  std::string Refusal(const base::Bytes& archive) {
    const Answer answer = Add(archive);
    EXPECT_GE(answer.status, 400) << answer.body;
    EXPECT_EQ(At(admin_->Get("/api/v1/models").json(), "items").as_array().size(), 0u);
    return At(answer.json(), "error.message").as_string();
  }
  static protocol::PackageFile Report(const std::string& bundle, const std::string& version,
                                      const std::string& deployment) {
    protocol::UpdateReport report;
    report.deployment_id = deployment;
    report.outcome = deployment.empty() ? protocol::UpdateOutcome::kRunning
                                        : protocol::UpdateOutcome::kInstalled;
    report.bundle = bundle;
    report.name = "digits";
    report.version = version;
    report.model_family = "digits-sensor";
    report.labels = {"0", "1", "2"};
    return TextFile("update_report.json", protocol::ToJson(report).Write());
  }
};

TEST_F(Bundles, NeedAPublisherWhomAnAdministratorNamed) {
  EXPECT_NE(Refusal(MakeBundle("1.0.0", publisher_).archive).find("token create"),
            std::string::npos);
}

TEST_F(Bundles, SignedByThePublisherAreRegisteredOnce) {
  KnowPublisher();
  const TestBundle made = MakeBundle("1.0.0", publisher_);
  const Answer first = Add(made.archive);
  EXPECT_EQ(first.status, 201) << first.body;
  EXPECT_EQ(At(first.json(), "bundle").as_string(), made.bundle);
  EXPECT_EQ(At(first.json(), "stage").as_string(), "staging");
  EXPECT_EQ(At(first.json(), "publisher").as_string(), base::Fingerprint(publisher_.public_key()));
  EXPECT_EQ(Add(made.archive).status, 200);
  EXPECT_EQ(At(admin_->Get("/api/v1/models").json(), "items.0.versions").as_array().size(), 1u);
}

TEST_F(Bundles, ThatAreUnsignedAreRefusedWithTheCommandToRun) {
  KnowPublisher();
  const std::vector<protocol::ArchiveFile> files = {{"manifest.json", base::ToBytes("{}")},
                                                    {"config.json", base::ToBytes("{}")}};
  const auto archive = protocol::WriteArchive(protocol::ArchiveFormat::kTarZst, files);
  ASSERT_TRUE(archive.ok());
  EXPECT_NE(Refusal(*archive).find("tinylcm bundle make"), std::string::npos);
}

TEST_F(Bundles, SignedByAnotherKeyAreRefused) {
  KnowPublisher();
  const base::Ed25519Key other = base::Ed25519Key::Generate();
  const std::string reason = Refusal(MakeBundle("1.0.0", other).archive);
  EXPECT_NE(reason.find("publisher"), std::string::npos) << reason;
  EXPECT_NE(reason.find("tinylcm bundle make"), std::string::npos) << reason;
}

TEST_F(Bundles, WithOneFlippedBitAreRefusedUnlessItMeansNothing) {
  KnowPublisher();
  const TestBundle made = MakeBundle("1.0.0", publisher_);
  // Every 97th byte: the frame's head, the manifest, the signature, the file, the end.
  std::size_t tried = 0;
  std::size_t refused = 0;
  for (std::size_t at = 0; at < made.archive.size(); at += 97, ++tried) {
    base::Bytes damaged = made.archive;
    damaged[at] ^= 0x10;
    const Answer answer = Add(damaged);
    SCOPED_TRACE(testing::Message() << "byte " << at << " of " << made.archive.size());
    if (answer.status >= 400) {
      ++refused;
      EXPECT_FALSE(At(answer.json(), "error.message").as_string().empty());
    } else {
      // A bit of an entry's date, say: what is registered is still what was signed.
      EXPECT_EQ(At(answer.json(), "bundle").as_string(), made.bundle);
    }
  }
  EXPECT_GE(refused + 1, tried);
}

TEST_F(Bundles, KeepTheirVersion) {
  KnowPublisher();
  EXPECT_EQ(Add(MakeBundle("1.0.0", publisher_).archive).status, 201);
  // The same name and version with other content: another reference file, another manifest.
  protocol::BundleManifest manifest;
  manifest.name = "digits";
  manifest.version = "1.0.0";
  manifest.model_family = "digits-sensor";
  manifest.min_agent = "0.1.0";
  manifest.input.kind = protocol::BundleInput::Kind::kRow;
  manifest.input.channel_count = 4;
  manifest.labels = {"0", "1"};
  manifest.licence = "Apache-2.0";
  const base::Bytes config = base::ToBytes("{}");
  manifest.files = {{.path = "config.json",
                     .bytes = config.size(),
                     .sha256 = base::Sha256Hex(config),
                     .media_type = "",
                     .role = std::string(protocol::kRoleConfig)}};
  const std::vector<protocol::ArchiveFile> files = {{"config.json", config}};
  const auto archive = protocol::WriteSignedArchive(
      protocol::ArchiveFormat::kTarZst, protocol::kBundleSignaturePrefix,
      protocol::WriteBundleManifest(manifest), publisher_, files);
  ASSERT_TRUE(archive.ok());
  EXPECT_EQ(Add(*archive).status, 409);
}

TEST_F(Bundles, AreRolledOutAndDoneOnlyByASignedReport) {
  const auto device = MakeDevice("array-1");
  const TestBundle one = MakeBundle("1.0.0", publisher_);
  const TestBundle two = MakeBundle("1.1.0", publisher_);
  ASSERT_EQ(Add(one.archive).status, 201);
  ASSERT_EQ(Add(two.archive).status, 201);
  ASSERT_EQ(device->Deliver(1, "update_report", {Report(one.bundle, "1.0.0", "")}, one.bundle),
            "processed");

  const Answer started = admin_->Post("/api/v1/rollouts",
                                      Json::MakeObject({{"name", "digits"}, {"version", "1.1.0"}}));
  ASSERT_EQ(started.status, 201) << started.body;
  const std::string rollout = At(started.json(), "rollout_id").as_string();
  EXPECT_EQ(At(started.json(), "devices.0.state").as_string(), "pending");
  EXPECT_EQ(At(started.json(), "counts.total").as_int(), 1);

  const Answer asked = device->Send("GET", "/api/v1/devices/" + device->id() + "/desired");
  const auto desired = protocol::ParseDesired(asked.body);
  ASSERT_TRUE(desired.ok()) << asked.body;
  EXPECT_EQ(desired->action, protocol::DesiredAction::kInstall);
  EXPECT_EQ(desired->deployment_id, rollout);
  ASSERT_TRUE(desired->target);
  EXPECT_EQ(desired->target->bundle, two.bundle);
  EXPECT_EQ(At(admin_->Get("/api/v1/rollouts/" + rollout).json(), "devices.0.state").as_string(),
            "told");

  const Answer artifact = device->Send("GET", "/artifacts/" + desired->target->archive_sha256);
  EXPECT_EQ(artifact.status, 200);
  EXPECT_EQ(base::Sha256Hex(base::AsBytes(artifact.body)), desired->target->archive_sha256);
  const Answer part = device->Send("GET", "/artifacts/" + desired->target->archive_sha256, "",
                                   {{"range", "bytes=10-19"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, artifact.body.substr(10, 10));

  ASSERT_EQ(device->Deliver(2, "update_report", {Report(two.bundle, "1.1.0", rollout)}, two.bundle),
            "processed");
  const Json done = admin_->Get("/api/v1/rollouts/" + rollout).json();
  EXPECT_EQ(At(done, "state").as_string(), "done");
  EXPECT_EQ(At(done, "devices.0.state").as_string(), "running");
  const Json shown = admin_->Get("/api/v1/devices/" + device->id()).json();
  EXPECT_EQ(At(shown, "model.version").as_string(), "1.1.0");
  EXPECT_TRUE(At(shown, "in_sync").as_bool());
  const Json models = admin_->Get("/api/v1/models").json();
  EXPECT_EQ(At(models, "items.0.versions.0.version").as_string(), "1.1.0");
  EXPECT_EQ(At(models, "items.0.versions.0.running_on").as_int(), 1);
  EXPECT_EQ(At(models, "items.0.versions.1.running_on").as_int(), 0);

  // A report from before, sent late, says nothing of what runs now.
  ASSERT_EQ(device->Deliver(0, "update_report", {Report(one.bundle, "1.0.0", "")}, one.bundle),
            "processed");
  const Json still = admin_->Get("/api/v1/rollouts/" + rollout).json();
  EXPECT_EQ(At(still, "devices.0.state").as_string(), "running");
  EXPECT_EQ(At(still, "state").as_string(), "done");
}

TEST_F(Bundles, RolloutDoesNotWaitForARevokedDevice) {
  const auto device = MakeDevice("array-1");
  const TestBundle one = MakeBundle("1.0.0", publisher_);
  ASSERT_EQ(Add(one.archive).status, 201);
  ASSERT_EQ(Add(MakeBundle("1.1.0", publisher_).archive).status, 201);
  ASSERT_EQ(device->Deliver(1, "update_report", {Report(one.bundle, "1.0.0", "")}), "processed");
  const Answer started = admin_->Post("/api/v1/rollouts",
                                      Json::MakeObject({{"name", "digits"}, {"version", "1.1.0"}}));
  const std::string path = "/api/v1/rollouts/" + At(started.json(), "rollout_id").as_string();
  EXPECT_EQ(At(admin_->Get(path).json(), "state").as_string(), "running");
  EXPECT_EQ(admin_->Post("/api/v1/devices/" + device->id() + "/revoke", {}).status, 200);
  const Json left = admin_->Get(path).json();
  EXPECT_EQ(At(left, "state").as_string(), "done");
  EXPECT_EQ(At(left, "devices.0.state").as_string(), "skipped");
  EXPECT_EQ(At(left, "devices.0.detail").as_string(), "revoked");
}

TEST_F(Bundles, HaltedRolloutLeavesTheDeviceAsItIs) {
  const auto device = MakeDevice("array-1");
  const TestBundle one = MakeBundle("1.0.0", publisher_);
  ASSERT_EQ(Add(one.archive).status, 201);
  ASSERT_EQ(Add(MakeBundle("1.1.0", publisher_).archive).status, 201);
  ASSERT_EQ(device->Deliver(1, "update_report", {Report(one.bundle, "1.0.0", "")}), "processed");
  const Answer started = admin_->Post("/api/v1/rollouts",
                                      Json::MakeObject({{"name", "digits"}, {"version", "1.1.0"}}));
  const std::string path = "/api/v1/rollouts/" + At(started.json(), "rollout_id").as_string();
  const std::string desired = "/api/v1/devices/" + device->id() + "/desired";

  EXPECT_EQ(At(admin_->Post(path + "/pause", {}).json(), "state").as_string(), "paused");
  EXPECT_TRUE(At(device->Send("GET", desired).json(), "target").is_null());
  EXPECT_EQ(At(admin_->Post(path + "/resume", {}).json(), "state").as_string(), "running");
  EXPECT_EQ(At(device->Send("GET", desired).json(), "target.version").as_string(), "1.1.0");
  EXPECT_EQ(At(admin_->Post(path + "/halt", {}).json(), "state").as_string(), "halted");
  EXPECT_TRUE(At(device->Send("GET", desired).json(), "target").is_null());
  EXPECT_EQ(admin_->Post(path + "/resume", {}).status, 409);
}

}  // namespace
}  // namespace tests
