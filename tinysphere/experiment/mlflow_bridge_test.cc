#include "tinysphere/experiment/mlflow_bridge.h"

#include <algorithm>
#include <set>

#include "protocol/bundle.h"
#include "tests/support/fake_mlflow.h"
#include "tinysphere/experiment/backoff.h"
#include "tinysphere/experiment/experiments.h"
#include "tinysphere/experiment/stand_test.h"
#include "tinysphere/platform/folder/folder_object_store.h"

namespace tinysphere::experiment {
namespace {

using store::Transaction;
using tests::FakeMlflow;
using Fault = FakeMlflow::Fault;

constexpr base::Duration kLong{10 * 60 * 1000};

class MlflowBridgeTest : public ExperimentTest {
 protected:
  MlflowBridgeTest() : mirror_(*database_, events_) {
    objects_ = folder::OpenObjectStore(base::SystemFileSystem(),
                                       {.root = folder_ + "/objects", .sweeps = true})
                   .value();
    Restart();
  }

  // Another process, which knows what the database knows.
  void Restart() {
    bridge_.reset();
    mlflow_.Reopen();
    bridge_ = std::make_unique<MlflowBridge>(
        *database_, *objects_, clock_, base::NullLogger(), mlflow_,
        mlflow::Client::Create(mlflow_, {.url = "http://mlflow.test"}).value(), mirror_,
        BridgeOptions{.look_every = kLong * 1000, .seed = 7});
  }

  // Steps until nothing waits, over every pause; false if that takes more than `most` steps.
  bool Drain(int most = 400) {
    for (int i = 0; i < most; ++i) {
      if (Count("outbox WHERE state = 'waiting'") == 0) return true;
      clock_.Advance(bridge_->Step() + base::Duration(1));
      // An entry's own pause, too.
      if (i % 3 == 2) clock_.Advance(base::Duration(5 * 60 * 1000));
    }
    return false;
  }

  // A signed bundle whose model is a real file, known to the registry.
  std::string AddRealBundle() {
    const base::Bytes model =
        base::ReadFile(base::SystemFileSystem(), "tests/models/int8.tflite", 1u << 20).value();
    protocol::BundleManifest manifest;
    manifest.name = "digits";
    manifest.version = "1.0.0";
    manifest.model_family = "digits-camera";
    manifest.min_agent = "1.0.0";
    manifest.input.width = 8;
    manifest.input.height = 8;
    manifest.input.channels = "rgb";
    manifest.input.resize = "stretch";
    manifest.input.scale = "uint8";
    manifest.labels = {"0", "1"};
    manifest.files = {{.path = "model.tflite",
                       .bytes = model.size(),
                       .sha256 = base::Sha256Hex(model),
                       .media_type = "",
                       .role = std::string(protocol::kRoleFeatureModel)}};
    const std::string text = protocol::WriteBundleManifest(manifest);
    const std::vector<protocol::ArchiveFile> files = {{"model.tflite", model}};
    const auto key = base::Ed25519Key::Generate();
    const base::Bytes archive =
        protocol::WriteSignedArchive(protocol::ArchiveFormat::kTarZst,
                                     protocol::kBundleSignaturePrefix, text, key, files)
            .value();
    const std::string bundle = protocol::BundleIdOf(base::AsBytes(text));
    const std::string at = "bundles/sha256/" + bundle;
    EXPECT_TRUE(objects_->PutBytes(at, archive).ok());
    Write([&](Transaction& t) -> base::Status {
      const base::Time now = clock_.Now();
      RETURN_IF_ERROR(
          t.Execute("INSERT INTO models (name, model_family, created_at) VALUES "
                    "('digits', 'digits-camera', $1)",
                    {now}));
      RETURN_IF_ERROR(
          t.Execute("INSERT INTO bundles (bundle, archive_sha256, bytes, object_key, "
                    "publisher, manifest, created_at) VALUES ($1, $2, $3, $4, 'p', $5, "
                    "$6)",
                    {bundle, base::Sha256Hex(archive), archive.size(), at, text, now}));
      RETURN_IF_ERROR(
          t.Execute("INSERT INTO model_versions (name, version, bundle, "
                    "archive_sha256, stage, created_at, created_by) VALUES ('digits', "
                    "'1.0.0', $1, $2, 'staging', $3, 'ann')",
                    {bundle, base::Sha256Hex(archive), now}));
      return recorder_.Imported(t, bundle, now);
    });
    return bundle;
  }

  // A training with so many figures that they take three calls.
  std::string AddTraining(const std::string& name, int metrics = 1200) {
    Told told{.experiment = "tinysphere/digits-camera",
              .key = "training:" + name,
              .kind = "training",
              .name = "fit " + name};
    told.started_at = clock_.Now();
    told.ended_at = clock_.Now();
    told.params = {{"seed", "7"}, {"long", std::string(7000, 'v')}};
    for (int i = 0; i < metrics; ++i) {
      told.metrics.push_back({.name = "loss",
                              .value = 1.0 / (1.0 + i),
                              .step = i,
                              .at = clock_.Now() + base::Duration(i)});
    }
    told.datasets = {{.name = "digits",
                      .digest = std::string(64, 'd'),
                      .source = "here",
                      .profile = "",
                      .context = "training"}};
    Write([&](Transaction& t) { return recorder_.Tell(t, told, clock_.Now()); });
    return RunIdOf(told.key);
  }

  // Everything is there once: the run, each of its points, one model, one version.
  void ExpectOnce(const std::string& run_id, std::size_t metrics) {
    const FakeMlflow::Run* run = mlflow_.RunTagged("tinysphere.key", run_id);
    ASSERT_NE(run, nullptr);
    EXPECT_EQ(run->metrics.size(), metrics);
    std::set<std::int64_t> steps;
    for (const auto& metric : run->metrics) steps.insert(metric.step);
    EXPECT_EQ(steps.size(), std::max<std::size_t>(1, metrics));
    EXPECT_EQ(run->status, "FINISHED");
    EXPECT_EQ(run->params.at("seed"), "7");
    EXPECT_EQ(run->datasets.size(), 1u);
  }

  FakeMlflow mlflow_;
  http::EventHub events_;
  std::unique_ptr<store::ObjectStore> objects_;
  MlflowMirror mirror_;
  Recorder recorder_;
  std::unique_ptr<MlflowBridge> bridge_;
};

TEST_F(MlflowBridgeTest, ABundleBecomesARunAModelAndAVersionThatHoldsIt) {
  const std::string bundle = AddRealBundle();
  ASSERT_TRUE(Drain());
  const FakeMlflow::Run* run = mlflow_.RunTagged("tinysphere.key", RunIdOf("import:" + bundle));
  ASSERT_NE(run, nullptr);
  EXPECT_EQ(run->status, "FINISHED");
  EXPECT_EQ(run->params.at("model_family"), "digits-camera");
  ASSERT_EQ(mlflow_.models.size(), 1u);
  const FakeMlflow::Model& model = mlflow_.models.begin()->second;
  EXPECT_EQ(model.status, "LOGGED_MODEL_READY");
  EXPECT_EQ(model.type, "tflite");
  const auto& versions = mlflow_.registered.at("digits").versions;
  ASSERT_EQ(versions.size(), 1u);
  EXPECT_EQ(versions.at(1).source, "models:/" + model.id);
  EXPECT_EQ(versions.at(1).tags.at("tinysphere.bundle"), bundle);
  const std::string at = model.experiment_id + "/models/" + model.id + "/artifacts/";
  for (const char* file : {"MLmodel", "model.tflite", "bundle.tar.zst", "requirements.txt",
                           "code/tinysphere_model.py"}) {
    EXPECT_TRUE(mlflow_.artifacts.contains(at + file)) << file;
  }
  EXPECT_NE(mlflow_.artifacts.at(at + "MLmodel").find("loader_module: tinysphere_model"),
            std::string::npos);
}

TEST_F(MlflowBridgeTest, AllThatIsToldArrivesOnce) {
  const std::string run_id = AddTraining("a");
  ASSERT_TRUE(Drain());
  ExpectOnce(run_id, 1200);
  const auto& long_param = mlflow_.RunTagged("tinysphere.key", run_id)->params.at("long");
  EXPECT_TRUE(long_param.ends_with("(7000 characters in TinySphere)"));
  EXPECT_EQ(Count("outbox WHERE state = 'sent'"), 1);
}

TEST_F(MlflowBridgeTest, WhileMlflowIsAwayEverythingWaitsAndThePausesGrowToFiveMinutes) {
  mlflow_.on_call = [](const std::string&) { return Fault::kLostBefore; };
  AddTraining("a", 3);
  base::Duration last{0};
  for (int i = 0; i < 12; ++i) {
    last = bridge_->Step();
    EXPECT_GE(last, kBackoffMin / 2);
    EXPECT_LE(last, kBackoffMax);
    clock_.Advance(last);
  }
  EXPECT_GE(last, kBackoffMax / 2);
  EXPECT_EQ(Count("outbox WHERE state = 'waiting'"), 1);
  const base::Json state = bridge_->StateJson();
  EXPECT_EQ(*state.Find("is_reachable"), base::Json(false));
  EXPECT_TRUE(state.Find("last_error")->is_string());
  mlflow_.on_call = nullptr;
  ASSERT_TRUE(Drain());
  EXPECT_EQ(*bridge_->StateJson().Find("is_reachable"), base::Json(true));
}

// Every call of the whole way, at every place, broken in every manner: nothing is lost, nothing
// doubled. The fake keeps a point that is said twice.
TEST_F(MlflowBridgeTest, WhateverCallBreaksInWhateverMannerNothingIsLostOrDoubled) {
  std::size_t calls = 0;
  {
    AddTraining("count");
    const std::size_t before = mlflow_.calls.size();
    ASSERT_TRUE(Drain());
    calls = mlflow_.calls.size() - before;
  }
  ASSERT_GE(calls, 8u);
  for (const Fault fault :
       {Fault::kLostBefore, Fault::kLostAfter, Fault::kHalf, Fault::k500Before, Fault::k500After,
        Fault::k503, Fault::kBadRequest, Fault::kNoSuchCall}) {
    for (std::size_t broken = 0; broken < calls; ++broken) {
      const std::string name = base::StrCat("fault ", static_cast<int>(fault), " in call ", broken);
      SCOPED_TRACE(name);
      Restart();
      std::size_t count = 0;
      mlflow_.on_call = [&](const std::string&) {
        return count++ == broken ? fault : Fault::kNone;
      };
      const std::string run_id = AddTraining(name);
      ASSERT_TRUE(Drain());
      mlflow_.on_call = nullptr;
      ExpectOnce(run_id, 1200);
    }
  }
}

TEST_F(MlflowBridgeTest, ABundleIsRegisteredOnceWhateverBreaks) {
  const std::string bundle = AddRealBundle();
  constexpr std::uint64_t kSeed = 20261121;
  SCOPED_TRACE(base::StrCat("seed ", kSeed));
  base::Random random(kSeed);
  // Every fifth call breaks, in whatever manner.
  mlflow_.on_call = [&](const std::string&) {
    constexpr Fault kFaults[] = {Fault::kLostBefore, Fault::kLostAfter, Fault::k500Before,
                                 Fault::k500After,   Fault::k503,       Fault::kBadRequest,
                                 Fault::kNoSuchCall};
    return random.Uniform() < 0.2 ? kFaults[random.Below(std::size(kFaults))] : Fault::kNone;
  };
  ASSERT_TRUE(Drain(2000));
  mlflow_.on_call = nullptr;
  EXPECT_NE(mlflow_.RunTagged("tinysphere.key", RunIdOf("import:" + bundle)), nullptr);
  EXPECT_EQ(mlflow_.models.size(), 1u);
  EXPECT_EQ(mlflow_.registered.at("digits").versions.size(), 1u);
}

TEST_F(MlflowBridgeTest, AProcessThatIsKilledInTheMiddleReadsBackWhatArrived) {
  const std::string run_id = AddTraining("a");
  // Half a batch is there when the power goes: nothing is kept of the attempt but that it began.
  mlflow_.on_call = [](const std::string& call) {
    return call == "POST runs/log-batch" ? Fault::kHalf : Fault::kNone;
  };
  (void)bridge_->Step();
  (void)database_->Execute("UPDATE outbox SET progress = '', error = ''").ok();
  mlflow_.on_call = nullptr;
  Restart();
  ASSERT_TRUE(Drain());
  ExpectOnce(run_id, 1200);
}

// How the first making of a run ended without an answer.
enum class Doubt { kLost, kKilled, kSetAside };

class MlflowBridgeDoubt : public MlflowBridgeTest, public testing::WithParamInterface<Doubt> {};

TEST_P(MlflowBridgeDoubt, ARunThatWasMadeAfterWeLookedForItIsTakenAway) {
  const std::string run_id = AddTraining("a", 3);
  bool is_late = false;
  mlflow_.on_call = [&](const std::string& call) {
    if (call != "POST runs/create") return Fault::kNone;
    if (GetParam() == Doubt::kSetAside) return Fault::k500Before;
    return std::exchange(is_late, true) ? Fault::kNone : Fault::kLostBefore;
  };
  if (GetParam() == Doubt::kSetAside) {
    ASSERT_TRUE(Drain(2000));
    Experiments experiments(*database_, *objects_, base::SystemFileSystem(), clock_, events_,
                            recorder_, mirror_);
    ASSERT_TRUE(experiments.Retry("ann").ok());
    ASSERT_EQ(Count("outbox WHERE state = 'waiting'"), 1);
  } else {
    while (!is_late) clock_.Advance(bridge_->Step());
  }
  if (GetParam() == Doubt::kKilled) {
    // Nothing is kept of the attempt but that it began.
    ASSERT_TRUE(database_->Execute("UPDATE outbox SET progress = '', error = ''").ok());
    Restart();
  }
  // It is looked for, and made; and only then the first one's making is done, which took so long.
  bool is_made = false;
  mlflow_.on_call = [&](const std::string& call) {
    if (call == "POST runs/log-batch" && !is_made) {
      is_made = true;
      FakeMlflow::Run twin = mlflow_.runs.begin()->second;
      twin.id = "twin";
      twin.start_time += 1;
      mlflow_.runs["twin"] = twin;
    }
    return Fault::kNone;
  };
  ASSERT_TRUE(Drain());
  EXPECT_TRUE(mlflow_.runs.at("twin").is_deleted);
  ExpectOnce(run_id, 3);
  // Should we forget which one it was, the one that was taken away is not it.
  const std::string kept = mlflow_.RunTagged("tinysphere.key", run_id)->id;
  mlflow_.runs["0"] = mlflow_.runs.at("twin");
  mlflow_.runs["0"].id = "0";
  ASSERT_TRUE(database_->Execute("UPDATE runs SET mlflow_id = ''").ok());
  ASSERT_TRUE(database_->Execute("UPDATE outbox SET state = 'waiting'").ok());
  ASSERT_TRUE(Drain());
  EXPECT_EQ(database_->QueryOne("SELECT mlflow_id FROM runs").value()->Text("mlflow_id"), kept);
}
INSTANTIATE_TEST_SUITE_P(Doubts, MlflowBridgeDoubt,
                         testing::Values(Doubt::kLost, Doubt::kKilled, Doubt::kSetAside));

// A proxy held the dead process's call back until everything was done.
TEST_F(MlflowBridgeTest, ARunThatIsMadeAfterTheEntryWasSentIsTakenAwayLater) {
  const std::string run_id = AddTraining("a", 3);
  bool is_late = false;
  mlflow_.on_call = [&](const std::string& call) {
    return call == "POST runs/create" && !std::exchange(is_late, true) ? Fault::kLostBefore
                                                                       : Fault::kNone;
  };
  ASSERT_TRUE(Drain());
  FakeMlflow::Run twin = mlflow_.runs.begin()->second;
  twin.id = "twin";
  mlflow_.runs["twin"] = twin;
  for (int i = 0; i < 30; ++i) clock_.Advance(bridge_->Step() + base::Duration(1'000));
  EXPECT_TRUE(mlflow_.runs.at("twin").is_deleted);
  ExpectOnce(run_id, 3);
  EXPECT_EQ(Count("outbox WHERE progress <> ''"), 0);  // And that is all.
}

// As after a backup was put back that is older than what MLflow was told.
TEST_F(MlflowBridgeTest, ARunThatIsFoundByItsTagIsReadBackInTheFirstAttempt) {
  const std::string run_id = AddTraining("a");
  ASSERT_TRUE(Drain());
  ASSERT_TRUE(database_->Execute("UPDATE runs SET mlflow_id = ''").ok());
  ASSERT_TRUE(
      database_->Execute("UPDATE outbox SET state = 'waiting', attempts = 0, progress = ''").ok());
  ASSERT_TRUE(Drain());
  ExpectOnce(run_id, 1200);
}

TEST_F(MlflowBridgeTest, AFaultOfOurOwnDatabaseIsNoAnswerOfMlflowsAndIsWaitedFor) {
  const std::string run_id = AddTraining("a", 3);
  ASSERT_TRUE(database_
                  ->Execute("CREATE TRIGGER full BEFORE UPDATE ON experiments BEGIN "
                            "SELECT RAISE(ABORT, 'no room'); END")
                  .ok());
  EXPECT_FALSE(Drain(3 * kAnswersMax));
  EXPECT_EQ(Count("outbox WHERE state = 'waiting' AND attempts > 30"), 1);
  EXPECT_EQ(*bridge_->StateJson().Find("is_reachable"), base::Json(true));
  ASSERT_TRUE(database_->Execute("DROP TRIGGER full").ok());
  ASSERT_TRUE(Drain());
  ExpectOnce(run_id, 3);
}

TEST_F(MlflowBridgeTest, AnObjectThatIsGoneHereIsSaidAndMlflowIsNotToldAnew) {
  const std::string bundle = AddRealBundle();
  ASSERT_TRUE(objects_->Delete("bundles/sha256/" + bundle).ok());
  ASSERT_TRUE(Drain());
  const auto row = database_->QueryOne("SELECT state, error, attempts FROM outbox").value();
  EXPECT_EQ(row->Text("state"), "set_aside");
  EXPECT_TRUE(row->Text("error").starts_with("here: ")) << row->Text("error");
  EXPECT_EQ(row->Int("attempts"), 1);
  EXPECT_EQ(Count("runs WHERE mlflow_id <> ''"), 1);
}

TEST_F(MlflowBridgeTest, WhatIsRefusedIsSetAsideWithItsReasonAndTheNextGoesOn) {
  Told bad{.experiment = "tinysphere/digits-camera",
           .key = "training:bad",
           .kind = "training",
           .name = "bad"};
  bad.registers = "a/b";  // No name for a model there.
  bad.bundle = AddVersion("digits", "2.0.0");
  (void)objects_->PutBytes("bundles/sha256/" + bad.bundle, base::AsBytes("x")).ok();
  Write([&](Transaction& t) { return recorder_.Tell(t, bad, clock_.Now()); });
  const std::string run_id = AddTraining("good", 2);
  ASSERT_TRUE(Drain());
  ExpectOnce(run_id, 2);
  const auto row =
      database_->QueryOne("SELECT error FROM outbox WHERE state = 'set_aside'").value();
  ASSERT_TRUE(row.has_value());
  EXPECT_NE(row->Text("error").find("registered model \"a/b\""), std::string::npos)
      << row->Text("error");
}

TEST_F(MlflowBridgeTest, ACallThatAlwaysAnswers500HoldsUpItsOwnExperimentOnly) {
  Told stuck{.experiment = "tinysphere/stuck",
             .key = "training:stuck",
             .kind = "training",
             .name = "stuck"};
  stuck.params = {{"p", "1"}};
  Write([&](Transaction& t) { return recorder_.Tell(t, stuck, clock_.Now()); });
  const std::string run_id = AddTraining("fine", 2);
  std::string stuck_experiment;
  bool is_stuck = false;
  mlflow_.on_call = [&](const std::string& call) {
    // The first entry's batch breaks, whenever it comes.
    if (call == "POST runs/log-batch") {
      const auto& runs = mlflow_.runs;
      is_stuck = runs.size() == 1;
      return is_stuck ? Fault::k500Before : Fault::kNone;
    }
    return Fault::kNone;
  };
  (void)bridge_->Step();
  for (int i = 0; i < 3; ++i) (void)bridge_->Step();
  ExpectOnce(run_id, 2);
  EXPECT_EQ(Count("outbox WHERE state = 'waiting'"), 1);
}

TEST_F(MlflowBridgeTest, A500ForEverIsSetAsideAtLast) {
  AddTraining("a", 1);
  mlflow_.on_call = [](const std::string& call) {
    return call == "POST runs/log-batch" ? Fault::k500Before : Fault::kNone;
  };
  ASSERT_TRUE(Drain(2000));
  EXPECT_EQ(Count("outbox WHERE state = 'set_aside'"), 1);
  const auto row = database_->QueryOne("SELECT error FROM outbox").value();
  // What MLflow says of its own SQL is nobody's business here.
  EXPECT_EQ(row->Text("error").find("psycopg2"), std::string::npos) << row->Text("error");
}

TEST_F(MlflowBridgeTest, AnMlflowThatLostItsDataIsToldEverythingAgain) {
  const std::string run_id = AddTraining("a", 5);
  ASSERT_TRUE(Drain());
  mlflow_.runs.clear();
  mlflow_.experiments.clear();
  // Something more is said of the same run.
  Told more{.experiment = "tinysphere/digits-camera",
            .key = "training:a",
            .kind = "training",
            .name = "fit a"};
  more.tags = {{"note", "later"}};
  Write([&](Transaction& t) { return recorder_.Tell(t, more, clock_.Now()); });
  ASSERT_TRUE(Drain());
  ExpectOnce(run_id, 5);
  EXPECT_EQ(mlflow_.RunTagged("tinysphere.key", run_id)->tags.at("note"), "later");
}

TEST_F(MlflowBridgeTest, AFleetAliasOnABundleOfOursIsAProposalAndMovingItWithdrawsIt) {
  const std::string bundle = AddRealBundle();
  ASSERT_TRUE(Drain());
  mlflow_.registered["digits"].aliases["fleet-north"] = 1;
  auto client = mlflow::Client::Create(mlflow_, {.url = "http://mlflow.test"}).value();
  ASSERT_TRUE(mirror_.Look(client, clock_.Now()).ok());
  const auto row = database_->QueryOne("SELECT * FROM rollout_proposals").value();
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->Text("fleet_group"), "north");
  EXPECT_EQ(row->Text("bundle"), bundle);
  EXPECT_EQ(row->Text("state"), "open");
  EXPECT_EQ(Count("rollouts"), 0);  // Nothing starts by itself.
  mlflow_.registered["digits"].aliases.clear();
  ASSERT_TRUE(mirror_.Look(client, clock_.Now()).ok());
  EXPECT_EQ(database_->QueryOne("SELECT state FROM rollout_proposals").value()->Text("state"),
            "withdrawn");
}

TEST_F(MlflowBridgeTest, AModelThatIsNoBundleWaitsForOne) {
  mlflow_.experiments["1"] = {.id = "1", .name = "x", .is_deleted = false, .tags = {}};
  FakeMlflow::Model model;
  model.id = "m-1";
  model.experiment_id = "1";
  mlflow_.models["m-1"] = model;
  mlflow_.artifacts["1/models/m-1/artifacts/MLmodel"] =
      "flavors:\n  tflite:\n    data: x\nmodel_id: m-1\n";
  auto& registered = mlflow_.registered["bare"];
  registered.versions[1] = {.description = "", .source = "models:/m-1", .run_id = "", .tags = {}};
  registered.aliases["fleet-all"] = 1;
  auto client = mlflow::Client::Create(mlflow_, {.url = "http://mlflow.test"}).value();
  ASSERT_TRUE(mirror_.Look(client, clock_.Now()).ok());
  http::Request request;
  const base::Json page = mirror_.Versions(request).value();
  ASSERT_EQ(page.Find("items")->as_array().size(), 1u);
  EXPECT_EQ(*page.Find("items")->as_array()[0].Find("state"), base::Json("waiting_for_bundle"));
  EXPECT_EQ(Count("rollout_proposals"), 0);
}

TEST_F(MlflowBridgeTest, AModelThatCouldNotBeReadIsReadAgainButNotAtEveryLook) {
  mlflow_.experiments["1"] = {.id = "1", .name = "x", .is_deleted = false, .tags = {}};
  FakeMlflow::Model model;
  model.id = "m-1";
  model.experiment_id = "1";
  mlflow_.models["m-1"] = model;
  mlflow_.artifacts["1/models/m-1/artifacts/MLmodel"] = "flavors:\n  tflite:\n    data: x\n";
  mlflow_.registered["bare"].versions[1] = {
      .description = "", .source = "models:/m-1", .run_id = "", .tags = {}};
  auto client = mlflow::Client::Create(mlflow_, {.url = "http://mlflow.test"}).value();
  constexpr std::string_view kRead = "GET /model-versions/get-artifact";
  mlflow_.on_call = [&](const std::string& call) {
    return call == kRead ? Fault::k500Before : Fault::kNone;
  };
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(mirror_.Look(client, clock_.Now()).ok());
  // At looks 1, 2, 4, 8 and 16.
  EXPECT_EQ(std::count(mlflow_.calls.begin(), mlflow_.calls.end(), kRead), 5);
  EXPECT_EQ(Count("mlflow_versions WHERE holds = 'unknown'"), 1);
  mlflow_.on_call = nullptr;
  ASSERT_TRUE(mirror_.Look(client, clock_.Now()).ok());  // Look 31.
  EXPECT_EQ(Count("mlflow_versions WHERE holds = 'unknown'"), 1);
  ASSERT_TRUE(mirror_.Look(client, clock_.Now()).ok());
  EXPECT_EQ(Count("mlflow_versions WHERE holds = 'tflite'"), 1);
}

}  // namespace
}  // namespace tinysphere::experiment
