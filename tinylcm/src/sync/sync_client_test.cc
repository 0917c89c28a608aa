// The client against a server that may be away, lie, or not be the server at all.

#include "tinylcm/sync/sync_client.h"

#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"
#include "tinylcm/src/sync/fake_server_test.h"
#include "tinylcm/sync/enrol.h"

namespace tinylcm::sync {
namespace {

using base::Bytes;
using base::Duration;
using base::ErrorCode;
using protocol::StatementKind;
using Way = FakeServer::Way;

class SyncClientTest : public testing::Test {
 protected:
  SyncClientTest() {
    server_.devices[device_id_] = key_.public_key();
    Open();
  }
  void Open() {
    client_.reset();
    maker_.reset();
    queue_ = PackageQueue::Open(fs_, clock_, base::NullLogger(),
                                {.folder = "queue", .device_id = device_id_})
                 .value();
    maker_.emplace(
        *queue_, clock_, key_,
        PackageMaker::Options{.agent_version = "0.1.0", .boot = "b", .config_sha256 = ""});
    client_ = SyncClient::Open(fs_, clock_, base::NullLogger(), server_, *queue_, *maker_, key_,
                               {server_.key.public_key(), server_.publisher.public_key()}, "sync",
                               options_)
                  .value();
  }
  std::string Make(std::string_view type = "metrics", std::size_t bytes = 50) {
    Bytes content(bytes);
    base::Random random(made_++);
    for (std::uint8_t& byte : content) byte = static_cast<std::uint8_t>(random.Next());
    const std::vector<protocol::PackageFile> files = {
        {"data.bin", "application/octet-stream", content}};
    return maker_->Send(type, "", files).value().id();
  }
  SyncResult Sync() { return client_->SyncOnce(clock_.Uptime()); }
  // As the agent's loop: until nothing waits or `rounds` are over.
  SyncResult SyncFor(int rounds) {
    SyncResult last;
    for (int i = 0; i < rounds; ++i) {
      client_->RequestSend();
      last = Sync();
      clock_.SleepUntil(std::max(last.next, clock_.Uptime() + Duration(1)));
    }
    return last;
  }
  void SyncUntilNothingWaits() {
    for (int round = 0; round < 500 && Waiting() > 0; ++round) SyncFor(1);
    EXPECT_EQ(Waiting(), 0u);
  }
  std::uint64_t Waiting() { return queue_->counts().waiting; }
  std::uint64_t Dead() { return queue_->counts().dead; }

  tests::FakeClock clock_;
  tests::FakeFileSystem fs_;
  FakeServer server_{clock_};
  base::Ed25519Key key_ = base::Ed25519Key::FromSeed(Bytes(32, 21)).value();
  std::string device_id_ = protocol::DeviceIdOf(key_.public_key());
  SyncClient::Options options_{.seed = 5};
  std::unique_ptr<PackageQueue> queue_;
  std::optional<PackageMaker> maker_;
  std::unique_ptr<SyncClient> client_;
  std::uint64_t made_ = 0;
};

TEST_F(SyncClientTest, SendsWhatWaitsAndKeepsTheReceiptAsAMove) {
  const std::string id = Make();
  const SyncResult result = Sync();
  EXPECT_EQ(result.sent, 1u);
  EXPECT_TRUE(result.reached);
  EXPECT_TRUE(server_.stored.contains(id));
  EXPECT_EQ(Waiting(), 0u);
  EXPECT_EQ(queue_->counts().acked, 1u);
  // The first request had no nonce: one 401, one more round trip, and no more of them.
  EXPECT_EQ(server_.Seen("PUT"), 2);
  Make();
  client_->RequestSend();
  Sync();
  EXPECT_EQ(server_.Seen("PUT"), 3);
}

TEST_F(SyncClientTest, TheServerCanReadWhatItGot) {
  const std::string id = Make("drift_event");
  Sync();
  protocol::MemorySource source(server_.stored.at(id));
  protocol::MemorySink sink;
  const auto read = protocol::ReadPackage(
      source, {},
      [&](const protocol::PackageManifest&) -> base::Result<base::Ed25519PublicKey> {
        return key_.public_key();
      },
      sink);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->manifest.name.id(), id);
  EXPECT_EQ(read->manifest.type, "drift_event");
  EXPECT_TRUE(read->manifest.clock_trusted);
}

TEST_F(SyncClientTest, LosesNothingAndStoresNothingTwiceOverABadLink) {
  base::Random random(7);
  server_.way = [&](const HttpRequest&) {
    const std::uint64_t dice = random.Below(10);
    return dice < 3 ? Way::kLost : dice < 6 ? Way::kAnswerLost : Way::kOpen;
  };
  std::set<std::string> made;
  for (int i = 0; i < 20; ++i) made.insert(Make());
  SyncUntilNothingWaits();
  EXPECT_EQ(server_.stored.size(), made.size());
  EXPECT_EQ(server_.stored_count, 20);
  EXPECT_GT(server_.duplicate_count, 0);  // Lost answers were asked for again.
}

TEST_F(SyncClientTest, TakesAnUnsignedAnswerForNoneWhateverItsStatus) {
  for (const int status :
       {200, 201, 204, 302, 400, 401, 403, 404, 409, 410, 413, 415, 422, 500, 503}) {
    const std::string id = Make();
    server_.way = [](const HttpRequest&) { return Way::kPortal; };
    server_.portal = {status, {}, "<html>Welcome to the hotel</html>"};
    SyncFor(3);
    EXPECT_EQ(Waiting(), 1u) << status;
    EXPECT_EQ(Dead(), 0u) << status;
    EXPECT_FALSE(client_->status().decommissioned) << status;
    server_.way = [](const HttpRequest&) { return Way::kOpen; };
    SyncUntilNothingWaits();
    EXPECT_TRUE(server_.stored.contains(id)) << status;
  }
}

TEST_F(SyncClientTest, BelievesNoStatementByAnotherKeyForAnotherPackageShaOrDevice) {
  using Forge = std::function<protocol::Statement(protocol::Statement)>;
  const auto resigned = [&](protocol::Statement statement) {
    return protocol::SignStatement(std::move(statement), server_.key);
  };
  const std::vector<Forge> forgeries = {
      [](protocol::Statement s) {
        return protocol::SignStatement(std::move(s), base::Ed25519Key::Generate());
      },
      [&](protocol::Statement s) {
        s.subject = protocol::PackageName{device_id_, "0123456789abcdef", 9}.id();
        return resigned(s);
      },
      [&](protocol::Statement s) {
        s.sha256 = std::string(64, '0');
        return resigned(s);
      },
      [&](protocol::Statement s) {
        s.device_id = "d-00000000000000000000000000000000";
        return resigned(s);
      },
      [&](protocol::Statement s) {
        s.kind = StatementKind::kEnrolled;
        return resigned(s);
      },
      [](protocol::Statement s) {
        s.kind = StatementKind::kRefused;  // Not signed anew.
        return s;
      }};
  Make();
  for (std::size_t i = 0; i < forgeries.size(); ++i) {
    server_.tamper = [&](const HttpRequest& request, HttpAnswer& answer) {
      if (request.method != "PUT" && request.method != "PATCH" && request.method != "POST") return;
      const auto statement = protocol::ParseStatement(answer.body);
      if (statement.ok()) answer.body = protocol::ToJson(forgeries[i](*statement)).Write();
    };
    SyncFor(3);
    EXPECT_EQ(Waiting(), 1u) << i;
    EXPECT_EQ(Dead(), 0u) << i;
  }
  server_.tamper = nullptr;
  SyncUntilNothingWaits();
  EXPECT_EQ(server_.stored_count, 1);
}

TEST_F(SyncClientTest, PutsARefusedPackageToTheDeadAndReportsIt) {
  const std::string id = Make();
  server_.refuse = protocol::StatementError{"invalid_argument", "manifest: no", "seq"};
  EXPECT_EQ(Sync().refused, 1u);
  ASSERT_EQ(Dead(), 1u);
  EXPECT_EQ(queue_->In(QueueFolder::kDead)[0].reason, "manifest: no");
  server_.refuse.reset();
  SyncFor(2);
  EXPECT_EQ(server_.stored.size(), 1u);  // The report about it.
  EXPECT_FALSE(server_.stored.contains(id));
}

TEST_F(SyncClientTest, DoesNotReportARefusedReport) {
  Make("operational_logs");
  server_.refuse = protocol::StatementError{"unsupported", "no logs", {}};
  SyncFor(5);
  EXPECT_EQ(Dead(), 1u);
  EXPECT_EQ(Waiting(), 0u);
}

TEST_F(SyncClientTest, SendsTheDeadAgainWhenTheServerAsksForItOnce) {
  const std::string id = Make();
  server_.refuse = protocol::StatementError{"internal", "a bug of ours", {}};
  SyncFor(2);
  server_.desired.revision = 1;
  server_.desired.requeue_dead_since = clock_.Now() - std::chrono::hours(1);
  SyncFor(3);
  const std::uint64_t dead = Dead();
  EXPECT_GE(dead, 1u);  // Sent again, refused again, and left there.
  const int asked = server_.Seen("PUT /api/v1/packages/" + id);
  SyncFor(5);
  EXPECT_EQ(server_.Seen("PUT /api/v1/packages/" + id), asked);
  server_.refuse.reset();
  server_.desired.revision = 2;
  server_.desired.requeue_dead_since = clock_.Now() - std::chrono::minutes(30);
  SyncFor(4);
  EXPECT_TRUE(server_.stored.contains(id));
  EXPECT_EQ(Dead(), 0u);
}

TEST_F(SyncClientTest, MakesANewEpochAfterAConflictAndLosesNothing) {
  // The card was restored from an old image: the server knows other packages under the next names.
  const std::string epoch = queue_->epoch();
  for (std::uint64_t seq : {1, 2}) {
    server_.stored[protocol::PackageName{device_id_, epoch, seq}.id()] = Bytes(10);
  }
  Make("drift_event");
  Make("drift_event");
  Make("drift_event");
  SyncFor(5);
  EXPECT_NE(queue_->epoch(), epoch);
  EXPECT_EQ(Waiting(), 0u);
  EXPECT_EQ(Dead(), 0u);
  // The two of before, seq 3 under its first name, two made anew and one report of the fork.
  EXPECT_EQ(server_.stored.size(), 6u);
  std::set<std::string> epochs;
  for (const auto& [id, archive] : server_.stored) {
    epochs.insert(protocol::ParsePackageId(id)->epoch);
    if (archive.size() == 10) continue;
    protocol::MemorySource source(archive);
    protocol::MemorySink sink;
    EXPECT_TRUE(protocol::ReadPackage(
                    source, {},
                    [&](const protocol::PackageManifest&) {
                      return base::Result<base::Ed25519PublicKey>(key_.public_key());
                    },
                    sink)
                    .ok());
  }
  EXPECT_EQ(epochs.size(), 2u);
}

TEST_F(SyncClientTest, KeepsItsQueueWhileHeldAndGoesOnOnceAccepted) {
  Make();
  server_.revoked.insert(device_id_);
  const SyncResult result = Sync();
  EXPECT_TRUE(result.held);
  EXPECT_TRUE(client_->status().held);
  EXPECT_GT(result.next, clock_.Uptime());
  EXPECT_EQ(Waiting(), 1u);
  server_.revoked.clear();
  SyncFor(3);
  EXPECT_EQ(Waiting(), 0u);
  EXPECT_FALSE(client_->status().held);
}

TEST_F(SyncClientTest, StopsForGoodWhenDecommissionedAndRemembersIt) {
  Make();
  server_.decommissioned = true;
  SyncFor(1);
  EXPECT_TRUE(client_->status().decommissioned);
  const std::size_t seen = server_.seen.size();
  SyncFor(3);
  Open();
  EXPECT_TRUE(client_->status().decommissioned);
  SyncFor(3);
  EXPECT_EQ(server_.seen.size(), seen);
  EXPECT_EQ(Waiting(), 1u);
}

TEST_F(SyncClientTest, DoesNotBelieveADecommissioningThatIsPlayedBack) {
  // A genuine one, recorded on its way and kept from us, then played in answer to a later request,
  // which has another nonce.
  std::string recorded;
  server_.decommissioned = true;
  server_.tamper = [&](const HttpRequest&, HttpAnswer& answer) {
    if (answer.status != 410) return;
    recorded = answer.body;
    answer.status = 500;
    answer.body.clear();
  };
  Make();
  SyncFor(1);
  ASSERT_FALSE(recorded.empty());
  server_.decommissioned = false;
  server_.tamper = nullptr;
  server_.way = [](const HttpRequest&) { return Way::kPortal; };
  server_.portal = {410, {}, recorded};
  SyncFor(5);
  EXPECT_FALSE(client_->status().decommissioned);
  server_.way = [](const HttpRequest&) { return Way::kOpen; };
  SyncUntilNothingWaits();
  EXPECT_EQ(server_.stored_count, 1);
}

TEST_F(SyncClientTest, SendsLargePackagesInPartsAndGoesOnWhereItStopped) {
  options_.resumable_from = 1000;
  options_.part_bytes = 1000;
  Open();
  const std::string id = Make("samples", 5000);
  server_.lose_part_after = 2500;
  Sync();
  EXPECT_EQ(Waiting(), 1u);
  const int before = server_.Seen("PATCH");
  clock_.Advance(std::chrono::hours(1));
  SyncFor(1);
  EXPECT_EQ(Waiting(), 0u);
  EXPECT_TRUE(server_.stored.contains(id));
  // 5,000 random bytes do not shrink: five parts and a bit in all; the first two and a half were
  // not sent again.
  EXPECT_LE(server_.Seen("PATCH") - before, 4);
  EXPECT_EQ(server_.Seen("PUT"), 0);
}

TEST_F(SyncClientTest, SendsWholeWhereTheServerKnowsNoParts) {
  options_.resumable_from = 1000;
  Open();
  server_.resumable = false;
  Make("samples", 5000);
  SyncFor(1);
  EXPECT_EQ(Waiting(), 0u);
}

TEST_F(SyncClientTest, TriesInPartsAfterOneFailedTry) {
  Make();
  server_.way = [](const HttpRequest&) { return Way::kLost; };
  SyncFor(1);
  server_.way = [](const HttpRequest&) { return Way::kOpen; };
  SyncFor(2);
  EXPECT_EQ(Waiting(), 0u);
  EXPECT_GE(server_.Seen("PATCH"), 1);
}

TEST_F(SyncClientTest, SetsADamagedEntryAsideAndSendsTheOthers) {
  Make();
  const std::string second = Make();
  const QueuedPackage first = queue_->Waiting()[0];
  fs_.FlipBit("queue/queue/" + first.file, first.bytes, 3);
  SyncFor(2);
  EXPECT_EQ(Waiting(), 0u);
  EXPECT_EQ(Dead(), 1u);
  EXPECT_TRUE(server_.stored.contains(second));
  EXPECT_EQ(server_.stored.size(), 2u);  // And the report about it.
}

TEST_F(SyncClientTest, OnePackageTheServerStumblesOverHoldsUpNoOther) {
  const std::string bad = Make();
  Make();
  Make();
  server_.way = [&](const HttpRequest& request) {
    return request.path.find(bad) != std::string::npos ? Way::kPortal : Way::kOpen;
  };
  server_.portal = {500, {}, "oops"};
  SyncFor(1);
  EXPECT_EQ(Waiting(), 1u);
  EXPECT_EQ(server_.stored.size(), 2u);
}

TEST_F(SyncClientTest, WaitsLongerAfterEachFailureAndHonoursRetryAfter) {
  Make();
  server_.way = [](const HttpRequest&) { return Way::kLost; };
  Duration longest{0};
  for (int i = 0; i < 30; ++i) {
    const Duration now = clock_.Uptime();
    const Duration wait = Sync().next - now;
    EXPECT_GE(wait, std::chrono::seconds(5));
    EXPECT_LE(wait, std::chrono::hours(1));
    longest = std::max(longest, wait);
    clock_.SleepUntil(now + wait);
  }
  EXPECT_GT(longest, std::chrono::minutes(10));
  server_.way = [](const HttpRequest&) { return Way::kPortal; };
  server_.portal = {503, {{"retry-after", "7200"}}, ""};
  const Duration now = clock_.Uptime();
  EXPECT_GE(Sync().next - now, std::chrono::hours(2));
}

TEST_F(SyncClientTest, DoesNothingBeforeItsTimeHasCome) {
  server_.way = [](const HttpRequest&) { return Way::kLost; };
  Sync();
  const std::size_t seen = server_.seen.size();
  client_->RequestSend();
  Sync();
  EXPECT_EQ(server_.seen.size(), seen);
}

TEST_F(SyncClientTest, TakesANewPaceFromTheNextRoundOn) {
  EXPECT_GT(Sync().next - clock_.Uptime(), std::chrono::seconds(10));
  client_->SetPace(std::chrono::seconds(5), std::chrono::seconds(5));
  const Duration now = clock_.Uptime();
  EXPECT_LE(Sync().next - now, std::chrono::seconds(5));
}

TEST_F(SyncClientTest, GivesANewDesiredDocumentOnce) {
  server_.desired.revision = 3;
  server_.desired.deployment_id = "r1";
  const SyncResult first = SyncFor(1);
  ASSERT_TRUE(first.desired.has_value());
  EXPECT_EQ(*first.desired, server_.desired);
  EXPECT_FALSE(SyncFor(1).desired.has_value());  // 304.
  server_.desired.revision = 4;
  EXPECT_EQ(SyncFor(1).desired->revision, 4);
}

TEST_F(SyncClientTest, IgnoresAnOlderRevisionUnlessTheStoreIsAnother) {
  server_.desired.revision = 5;
  SyncFor(1);
  Open();  // The floor survives a restart.
  server_.desired.revision = 4;
  EXPECT_FALSE(SyncFor(1).desired.has_value());
  server_.generation = "g2";
  server_.desired.revision = 3;
  EXPECT_EQ(SyncFor(1).desired->revision, 3);
}

TEST_F(SyncClientTest, BelievesNoUnsignedOrTamperedDesiredDocument) {
  server_.desired.revision = 1;
  server_.tamper = [](const HttpRequest& request, HttpAnswer& answer) {
    if (request.path.ends_with("/desired"))
      std::erase_if(answer.headers,
                    [](const auto& header) { return header.first == "tlcm-statement"; });
  };
  EXPECT_FALSE(SyncFor(2).desired.has_value());
  server_.tamper = [](const HttpRequest& request, HttpAnswer& answer) {
    if (request.path.ends_with("/desired")) answer.body += " ";
  };
  EXPECT_FALSE(SyncFor(2).desired.has_value());
  server_.tamper = nullptr;
  EXPECT_TRUE(SyncFor(1).desired.has_value());
}

TEST_F(SyncClientTest, GivesFeedbackUntilItIsTaken) {
  protocol::Feedback feedback;
  feedback.feedback_id = "f1";
  feedback.labels = {{"s1", "3", 1.0, 1}};
  server_.feedback["f1"] = feedback;
  server_.desired.revision = 1;
  server_.desired.feedback = {"f1"};
  ASSERT_EQ(SyncFor(1).feedback.size(), 1u);
  EXPECT_EQ(SyncFor(1).feedback.at(0), feedback);
  client_->FeedbackTaken("f1");
  EXPECT_TRUE(SyncFor(1).feedback.empty());
  EXPECT_EQ(server_.Seen("GET /api/v1/devices/" + device_id_ + "/feedback/f1"), 1);
  Open();  // After a restart it is given again; the one who applies it knows its id.
  EXPECT_EQ(SyncFor(1).feedback.size(), 1u);
}

TEST_F(SyncClientTest, GivesFeedbackInTheOrderOfTheServerAndNotOfItsIds) {
  for (const char* id : {"f9", "f1"}) {
    server_.feedback[id].feedback_id = id;
    server_.feedback[id].labels = {{"s1", id, 1.0, 1}};
  }
  server_.desired.revision = 1;
  server_.desired.feedback = {"f9", "f1"};  // The second corrects the first.
  const SyncResult both = SyncFor(1);
  ASSERT_EQ(both.feedback.size(), 2u);
  EXPECT_EQ(both.feedback[0].feedback_id, "f9");
  EXPECT_EQ(both.feedback[1].feedback_id, "f1");
  client_->FeedbackTaken("f9");
  const SyncResult rest = SyncFor(1);
  ASSERT_EQ(rest.feedback.size(), 1u);
  EXPECT_EQ(rest.feedback[0].feedback_id, "f1");
}

TEST_F(SyncClientTest, GivesNoFeedbackBeforeAnEarlierOneThatHasNotCome) {
  server_.feedback["f1"].feedback_id = "f1";
  server_.desired.revision = 1;
  server_.desired.feedback = {"f1"};
  ASSERT_EQ(SyncFor(1).feedback.size(), 1u);  // Fetched, not taken yet.
  server_.feedback["f9"].feedback_id = "f9";
  server_.desired.revision = 2;
  server_.desired.feedback = {"f9", "f1"};
  server_.tamper = [](const HttpRequest& request, HttpAnswer& answer) {
    if (request.path.ends_with("/feedback/f9")) answer = HttpAnswer{503, {}, ""};
  };
  EXPECT_TRUE(SyncFor(2).feedback.empty());
  server_.tamper = nullptr;
  const SyncResult both = SyncFor(2);
  ASSERT_EQ(both.feedback.size(), 2u);
  EXPECT_EQ(both.feedback[0].feedback_id, "f9");
  EXPECT_EQ(both.feedback[1].feedback_id, "f1");
}

TEST_F(SyncClientTest, OffersWhatWasAcknowledgedToAServerThatWasRestored) {
  const std::string first = Make();
  const std::string second = Make();
  SyncFor(1);
  ASSERT_EQ(server_.stored.size(), 2u);
  server_.stored.erase(second);  // The backup was older.
  server_.generation = "g2";
  server_.desired.revision = 1;
  SyncFor(3);
  EXPECT_TRUE(server_.stored.contains(second));
  EXPECT_EQ(server_.stored.size(), 2u);
  EXPECT_EQ(server_.duplicate_count, 0);  // Only what was unknown was sent again.
  EXPECT_EQ(server_.Seen("POST /api/v1/packages/offer"), 1);
  SyncFor(3);
  EXPECT_EQ(server_.Seen("POST /api/v1/packages/offer"), 1);
}

class DownloadTest : public SyncClientTest {
 protected:
  DownloadTest() {
    server_.artifact = Bytes(10'000);
    for (std::size_t i = 0; i < server_.artifact.size(); ++i) {
      server_.artifact[i] = static_cast<std::uint8_t>(i * 7);
    }
    target_.archive_sha256 = base::Sha256Hex(server_.artifact);
    target_.bytes = server_.artifact.size();
    server_.way = [this](const HttpRequest&) {
      return portal_is_there_ ? FakeServer::Way::kPortal : FakeServer::Way::kOpen;
    };
  }
  // Something in between answers instead of the server: nothing that ends a deployment.
  void AnsweredByAPortal(const HttpAnswer& answer) {
    server_.portal = answer;
    portal_is_there_ = true;
    EXPECT_EQ(Download(), ErrorCode::kUnavailable) << "HTTP " << answer.status;
    EXPECT_FALSE(base::Exists(fs_, "bundle"));
    portal_is_there_ = false;
  }
  std::optional<ErrorCode> Download() {
    const base::Status done = client_->Download(target_, "bundle");
    if (done.ok()) return {};
    return done.error().code;
  }
  void IsThereInTheEnd(int tries) {
    for (int i = 1; i < tries; ++i) {
      EXPECT_EQ(Download(), ErrorCode::kUnavailable) << "try " << i;
    }
    ASSERT_EQ(Download(), std::nullopt);
    EXPECT_EQ(base::ReadFile(fs_, "bundle", 20'000).value(), server_.artifact);
    EXPECT_FALSE(base::Exists(fs_, "bundle.part"));
  }
  std::uint64_t PartBytes() { return fs_.Stat("bundle.part").value().bytes; }

  protocol::Desired::Target target_;
  bool portal_is_there_ = false;
};

TEST_F(DownloadTest, GoesOnWhereItWasCut) {
  server_.artifact_cut = 4000;
  EXPECT_EQ(Download(), ErrorCode::kUnavailable);
  EXPECT_EQ(PartBytes(), 4000u);
  server_.artifact_cut = UINT64_MAX;
  IsThereInTheEnd(1);
}

TEST_F(DownloadTest, SucceedsInTheEndWhateverSomethingInBetweenAnswers) {
  const std::string page = "<html>Please log in</html>";
  AnsweredByAPortal({200, {}, std::string(20'000, 'x')});  // Longer than promised,
  EXPECT_FALSE(base::Exists(fs_, "bundle.part"));
  AnsweredByAPortal({200, {}, std::string(10'000, 'x')});  // ... as long,
  EXPECT_FALSE(base::Exists(fs_, "bundle.part"));
  for (const int status : {301, 400, 401, 403, 404, 410, 413, 451, 500, 502}) {
    AnsweredByAPortal({status, {}, page});
  }
  AnsweredByAPortal({200, {}, page});  // ... and shorter, as if the first bytes had come.
  EXPECT_EQ(PartBytes(), page.size());
  // The true server's 206 goes on behind the page; only the whole shows that it is not the bundle.
  EXPECT_EQ(Download(), ErrorCode::kUnavailable);
  EXPECT_FALSE(base::Exists(fs_, "bundle.part"));
  IsThereInTheEnd(1);
}

TEST_F(DownloadTest, KeepsWhatItHasFromAPageThatStatesItsOwnLength) {
  server_.artifact_cut = 4000;
  EXPECT_EQ(Download(), ErrorCode::kUnavailable);
  server_.artifact_cut = UINT64_MAX;
  AnsweredByAPortal({200, {{"content-length", "300"}}, std::string(300, 'x')});
  AnsweredByAPortal({206, {{"content-range", "bytes 0-299/300"}}, std::string(300, 'x')});
  AnsweredByAPortal({206, {{"content-range", "bytes 4000-4299/4300"}}, std::string(300, 'x')});
  EXPECT_EQ(PartBytes(), 4000u);
  IsThereInTheEnd(1);
}

TEST_F(DownloadTest, BeginsAnewWhereThePartIsOfSomethingElse) {
  fs_.Write("bundle.part", Bytes(2000, 9));
  IsThereInTheEnd(2);
  fs_.Write("bundle.part", Bytes(10'000, 9));
  IsThereInTheEnd(2);
  fs_.Write("bundle.part", Bytes(10'001, 9));
  IsThereInTheEnd(1);
}

TEST_F(DownloadTest, IsNeverOverWhileTheServerHasSomethingElse) {
  target_.bytes = 4000;
  EXPECT_EQ(Download(), ErrorCode::kUnavailable);
  target_.bytes = 12'000;
  EXPECT_EQ(Download(), ErrorCode::kUnavailable);  // 10,000 of 12,000; then nothing comes any more.
  EXPECT_EQ(Download(), ErrorCode::kUnavailable);
  target_.bytes = 10'000;
  target_.archive_sha256 = std::string(64, '0');
  EXPECT_EQ(Download(), ErrorCode::kUnavailable);
  EXPECT_FALSE(base::Exists(fs_, "bundle"));
}

TEST_F(DownloadTest, EndsWithWhatTheDiskSays) {
  fs_.SetCapacity(2000);
  EXPECT_EQ(Download(), ErrorCode::kExhausted);
  fs_.SetCapacity(100'000);
  IsThereInTheEnd(1);
}

class EnrolTest : public testing::Test {
 protected:
  EnrolOptions Options() {
    EnrolOptions options = FromToken({server_.secret, base::Fingerprint(server_.key.public_key()),
                                      base::Fingerprint(server_.publisher.public_key()), ""});
    options.name = "pi-garden-3";
    options.agent_version = "0.1.0";
    return options;
  }
  tests::FakeClock clock_;
  tests::FakeFileSystem fs_;
  FakeServer server_{clock_};
  base::Ed25519Key key_ = base::Ed25519Key::FromSeed(Bytes(32, 31)).value();
};

TEST_F(EnrolTest, LearnsTheKeysAndIsAccepted) {
  const Enrolment enrolment = Enrol(server_, key_, Options()).value();
  EXPECT_EQ(enrolment.device_id, protocol::DeviceIdOf(key_.public_key()));
  EXPECT_EQ(enrolment.trust.server_key, server_.key.public_key());
  EXPECT_EQ(enrolment.trust.publisher_key, server_.publisher.public_key());
  EXPECT_FALSE(enrolment.is_pending);
  EXPECT_TRUE(enrolment.Takes("tar.zst"));
  EXPECT_TRUE(enrolment.Takes("tar.gz"));
  EXPECT_FALSE(enrolment.Takes("zip"));
  // Again: the same answer.
  EXPECT_TRUE(Enrol(server_, key_, Options()).ok());
}

TEST_F(EnrolTest, IsPendingWithoutAToken) {
  EnrolOptions options = Options();
  options.secret.reset();
  EXPECT_TRUE(Enrol(server_, key_, options)->is_pending);
}

TEST_F(EnrolTest, SendsNoSecretToAnotherServer) {
  EnrolOptions options = Options();
  options.server_fingerprint = base::Fingerprint(base::Ed25519Key::Generate().public_key());
  EXPECT_EQ(Enrol(server_, key_, options).error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(server_.Seen("POST"), 0);
}

TEST_F(EnrolTest, SaysWhyItIsNotAccepted) {
  EnrolOptions options = Options();
  options.secret = "wrong";
  const auto enrolment = Enrol(server_, key_, options);
  ASSERT_FALSE(enrolment.ok());
  EXPECT_EQ(enrolment.error().code, ErrorCode::kPermissionDenied);
  EXPECT_NE(enrolment.error().message.find("token is not good"), std::string::npos);
}

TEST_F(EnrolTest, TakesAPortalForNoAnswer) {
  server_.way = [](const HttpRequest&) { return Way::kPortal; };
  server_.portal = {200, {}, "<html></html>"};
  EXPECT_EQ(Enrol(server_, key_, Options()).error().code, ErrorCode::kUnavailable);
}

TEST_F(EnrolTest, IsKeptInAFile) {
  Enrolment enrolment = Enrol(server_, key_, Options()).value();
  enrolment.server = "https://localhost:8443";
  ASSERT_TRUE(WriteEnrolment(fs_, "enrolment.json", enrolment).ok());
  const Enrolment read = ReadEnrolment(fs_, "enrolment.json").value();
  EXPECT_EQ(read.server, enrolment.server);
  EXPECT_EQ(read.trust.publisher_key, enrolment.trust.publisher_key);
  EXPECT_EQ(read.formats, enrolment.formats);
}

TEST_F(EnrolTest, MakesADeviceKeyOnceAndNeverWritesOverOne) {
  const auto first = LoadOrMakeDeviceKey(fs_, "keys/device.key").value().public_key();
  EXPECT_EQ(LoadOrMakeDeviceKey(fs_, "keys/device.key").value().public_key(), first);
  fs_.Write("keys/device.key", base::AsBytes("torn"));
  EXPECT_FALSE(LoadOrMakeDeviceKey(fs_, "keys/device.key").ok());
  EXPECT_EQ(base::ReadTextFile(fs_, "keys/device.key", 100).value(), "torn");
}

TEST(BackoffTest, GrowsFromTheLeastToTheMost) {
  Backoff backoff({.least = std::chrono::seconds(5), .most = std::chrono::hours(1)}, 1);
  EXPECT_EQ(backoff.Next(), std::chrono::seconds(5));  // The first ceiling is the least.
  for (int i = 1; i < 100; ++i) {
    const Duration ceiling =
        std::min<Duration>(std::chrono::hours(1), std::chrono::seconds(5 << std::min(i, 20)));
    const Duration wait = backoff.Next();
    EXPECT_GE(wait, std::chrono::seconds(5)) << i;
    EXPECT_LE(wait, ceiling) << i;
  }
  backoff.Reset();
  EXPECT_EQ(backoff.Next(std::chrono::minutes(7)), std::chrono::minutes(7));
}

TEST(IsLoopbackTest, IsThisMachineOnly) {
  for (const char* host : {"localhost", "localhost:8080", "127.0.0.1", "127.1.2.3:1", "[::1]:80"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host :
       {"localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "[::2]", "example.com", ""}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

}  // namespace
}  // namespace tinylcm::sync
