#include "tinysphere/experiment/experiments.h"

#include "protocol/archive.h"
#include "tinysphere/experiment/drift_aggregates.h"
#include "tinysphere/experiment/stand_test.h"
#include "tinysphere/platform/folder/folder_object_store.h"
#include "tinysphere/store/database_queue.h"

namespace tinysphere::experiment {
namespace {

using base::ErrorCode;
using base::Json;
using store::Transaction;

class ExperimentsTest : public ExperimentTest {
 protected:
  ExperimentsTest()
      : mirror_(*database_, events_),
        objects_(folder::OpenObjectStore(base::SystemFileSystem(),
                                         {.root = folder_ + "/objects", .sweeps = true})
                     .value()),
        queue_(*database_, clock_),
        experiments_(*database_, *objects_, base::SystemFileSystem(), clock_, events_, recorder_,
                     mirror_) {}

  std::string TrainingJson() const {
    return R"({"format": "tinylcm-training/1", "name": "digits", "version": "1.0.0",
               "model_family": "digits-camera", "bundle": ")" +
           std::string(64, 'a') +
           R"(", "params": {"seed": "1"}, "metrics": {"accuracy": 0.9, "ece": null},
               "dataset": {"name": "digits", "sha256": ")" +
           std::string(64, 'd') + R"(", "source": "photos", "files": 3}})";
  }
  // The archive of these entries as a spooled upload.
  base::Result<Experiments::Taken> Take(const std::vector<protocol::ArchiveFile>& entries) {
    const base::Bytes archive =
        protocol::WriteArchive(protocol::ArchiveFormat::kTarZst, entries).value();
    const std::string path = folder_ + "/upload";
    EXPECT_TRUE(base::WriteFileDurably(base::SystemFileSystem(), path, archive).ok());
    return experiments_.TakeTraining(path, base::Sha256Hex(archive), archive.size(), "token:ci");
  }

  http::EventHub events_;
  MlflowMirror mirror_;
  std::unique_ptr<store::ObjectStore> objects_;
  store::DatabaseQueue queue_;
  Recorder recorder_;
  Experiments experiments_;
};

TEST_F(ExperimentsTest, ATrainingIsARunAndSentTwiceItIsOne) {
  const std::vector<protocol::ArchiveFile> entries = {
      {"training.json", base::ToBytes(TrainingJson())},
      {"bundle/manifest.json", base::ToBytes("{}")}};
  const auto first = Take(entries);
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_TRUE(first->is_new);
  const auto second = Take(entries);
  ASSERT_TRUE(second.ok()) << second.error().message;
  EXPECT_FALSE(second->is_new);
  EXPECT_EQ(Count("runs"), 1);
  EXPECT_EQ(Count("outbox"), 1);
  EXPECT_EQ(first->run.Find("metrics")->as_array().size(), 1u);  // Null is no figure.
  EXPECT_EQ(*first->run.Find("mlflow")->Find("state"), Json("waiting"));
  const Json& artifact = first->run.Find("artifacts")->as_array().at(0);
  EXPECT_EQ(*artifact.Find("path"), Json("training.tar.zst"));
}

TEST_F(ExperimentsTest, AnArchiveThatIsNoTrainingIsRefusedWithTheReason) {
  const auto other = Take({{"other.json", base::ToBytes("{}")}});
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().message, "training: the first entry is not training.json");
  const auto wrong = Take({{"training.json", base::ToBytes(R"({"format": "x"})")}});
  ASSERT_FALSE(wrong.ok());
  EXPECT_EQ(wrong.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(Count("runs"), 0);
}

TEST_F(ExperimentsTest, RunsAreListedNewestFirstAndByWhatIsAskedFor) {
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(base::Duration(1000));
    Told told{.experiment = "tinysphere/digits-camera",
              .key = base::StrCat("k", i),
              .kind = i == 1 ? "rollout" : "training",
              .name = base::StrCat("n", i)};
    told.started_at = clock_.Now();
    Write([&](Transaction& t) { return recorder_.Tell(t, told, clock_.Now()); });
  }
  http::Request request;
  request.query["limit"] = "2";
  const Json first = experiments_.Runs(request).value();
  ASSERT_EQ(first.Find("items")->as_array().size(), 2u);
  EXPECT_EQ(*first.Find("items")->as_array()[0].Find("name"), Json("n2"));
  request.query["cursor"] = first.Find("next")->as_string();
  const Json second = experiments_.Runs(request).value();
  ASSERT_EQ(second.Find("items")->as_array().size(), 1u);
  EXPECT_EQ(*second.Find("items")->as_array()[0].Find("name"), Json("n0"));
  http::Request rollouts;
  rollouts.query["kind"] = "rollout";
  EXPECT_EQ(experiments_.Runs(rollouts).value().Find("items")->as_array().size(), 1u);
  http::Request all;
  const Json experiments = experiments_.List(all).value();
  EXPECT_EQ(*experiments.Find("items")->as_array().at(0).Find("runs"), Json(3));
}

TEST_F(ExperimentsTest, WithoutAnMlflowTheStateSaysSoAndCountsWhatWaits) {
  Told told{.experiment = "tinysphere/x", .key = "k", .kind = "training", .name = "n"};
  Write([&](Transaction& t) { return recorder_.Tell(t, told, clock_.Now()); });
  const Json state = experiments_.Mlflow().value();
  EXPECT_EQ(*state.Find("is_configured"), Json(false));
  EXPECT_EQ(*state.Find("waiting"), Json(1));
  EXPECT_TRUE(state.Find("oldest_waiting_at")->is_string());
}

TEST_F(ExperimentsTest, WhatWasSetAsideGoesOnceMore) {
  Told told{.experiment = "tinysphere/x", .key = "k", .kind = "training", .name = "n"};
  Write([&](Transaction& t) { return recorder_.Tell(t, told, clock_.Now()); });
  ASSERT_TRUE(database_->Execute("UPDATE outbox SET state = 'set_aside', error = 'why'").ok());
  EXPECT_EQ(*experiments_.Mlflow().value().Find("set_aside"), Json(1));
  EXPECT_EQ(*experiments_.Retry("ann").value().Find("retried"), Json(1));
  EXPECT_EQ(Count("outbox WHERE state = 'waiting'"), 1);
  EXPECT_EQ(Count("audit WHERE action = 'mlflow.retry'"), 1);
}

TEST_F(ExperimentsTest, BundlesFromBeforeRunsWereRecordedAreRecordedOnce) {
  AddVersion("digits", "1.0.0");
  ASSERT_TRUE(experiments_.RecordEarlierBundles().ok());
  ASSERT_TRUE(experiments_.RecordEarlierBundles().ok());
  EXPECT_EQ(Count("runs WHERE kind = 'import'"), 1);
  EXPECT_EQ(Count("outbox"), 1);
}

TEST_F(ExperimentsTest, AnEarlierBundleThatCannotBeReadHoldsNobodyUp) {
  AddVersion("digits", "1.0.0");
  ASSERT_TRUE(database_->Execute("UPDATE bundles SET manifest = '{'").ok());
  AddVersion("letters", "1.0.0");
  EXPECT_TRUE(experiments_.RecordEarlierBundles().ok());
  EXPECT_EQ(Count("runs WHERE kind = 'import'"), 1);
}

// Two devices of a family: one drifted and estimates .6, the other estimates .8. Of three labels
// two are what the model had answered. Of two adaptations one stood.
TEST_F(ExperimentsTest, ADayIsAggregatedOnceItIsOverAndAsksForTheNext) {
  constexpr base::Duration kHour{60LL * 60 * 1000};
  const base::Time noon = clock_.Now();  // kStart is 12:00.
  DriftAggregates aggregates(*database_, queue_, clock_, recorder_, {});
  ASSERT_TRUE(aggregates.Open().ok());
  const auto add_device = [&](const std::string& id, double accuracy) {
    Write([&](Transaction& t) -> base::Status {
      RETURN_IF_ERROR(t.Execute(
          "INSERT INTO devices (device_id, name, state, enrolled_at, last_seen, fingerprint, "
          "model_family, metrics) VALUES ($1, $1, 'active', $2, $2, '', 'digits-camera', $3)",
          {id, noon, base::StrCat(R"({"accuracy_estimated": )", accuracy, "}")}));
      return {};
    });
  };
  add_device("d-1", 0.6);
  add_device("d-2", 0.8);
  Write([&](Transaction& t) -> base::Status {
    RETURN_IF_ERROR(t.Execute(
        "INSERT INTO drift_events (device_id, event_id, package_id, kind, sample_index, document, "
        "received_at, state) VALUES ('d-1', 'e1', 'p1', 'x', 1, '{}', $1, 'open')",
        {noon}));
    for (int i = 0; i < 3; ++i) {
      const std::string sample = base::StrCat("s", i);
      RETURN_IF_ERROR(t.Execute(
          "INSERT INTO drift_samples (device_id, sample_id, event_id, sample_index, prediction, "
          "confidence, reason, neighbours, media) VALUES ('d-1', $1, 'e1', 1, 'a', 0.5, '', '[]', "
          "'')",
          {sample}));
      RETURN_IF_ERROR(t.Execute(
          "INSERT INTO verdicts (device_id, event_id, sample_id, label, given_by, at, feedback_id) "
          "VALUES ('d-1', 'e1', $1, $2, 'ann', $3, 'f')",
          {sample, i == 0 ? "b" : "a", noon}));
    }
    protocol::AdaptationReport report;
    report.labels = {{"s0", "applied"}};
    report.challenger = "memory";
    report.adaptation_id = "a1";
    report.state = "stable";
    RETURN_IF_ERROR(recorder_.Adapted(t, "d-1", "", report, noon));
    report.adaptation_id = "a2";
    report.state = "rolled_back";
    return recorder_.Adapted(t, "d-1", "", report, noon);
  });
  const auto claim = [&] {
    return queue_.Claim(std::string(kAggregateJob), clock_.Now(), base::Duration(60'000)).value();
  };
  EXPECT_FALSE(claim().has_value());  // The day is not over.
  clock_.Advance(13 * kHour);
  const auto job = claim();
  ASSERT_TRUE(job.has_value());
  const base::Status done = aggregates.Aggregate(*job);
  ASSERT_TRUE(done.ok()) << done.error().message;
  const auto figure = [&](const std::string& name) {
    return database_
        ->QueryOne(
            "SELECT value FROM run_metrics m JOIN runs r ON r.run_id = m.run_id WHERE "
            "r.kind = 'drift' AND m.name = $1",
            {name})
        .value()
        ->Double("value");
  };
  EXPECT_DOUBLE_EQ(figure("devices"), 2.0);
  EXPECT_DOUBLE_EQ(figure("drift_rate"), 1.0 / 2.0);
  EXPECT_DOUBLE_EQ(figure("accuracy"), (0.6 + 0.8) / 2.0);
  EXPECT_DOUBLE_EQ(figure("accuracy_verified"), 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(figure("adaptation_success"), 1.0 / 2.0);
  EXPECT_FALSE(claim().has_value());
  clock_.Advance(24 * kHour);
  EXPECT_TRUE(claim().has_value());
}

}  // namespace
}  // namespace tinysphere::experiment
