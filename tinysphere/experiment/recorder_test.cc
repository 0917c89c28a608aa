#include "tinysphere/experiment/recorder.h"

#include <limits>

#include "tinysphere/experiment/stand_test.h"

namespace tinysphere::experiment {
namespace {

using store::Transaction;

class RecorderTest : public ExperimentTest {
 protected:
  double Metric(const std::string& key, const std::string& name) {
    const auto row = database_
                         ->QueryOne(
                             "SELECT value FROM run_metrics WHERE run_id = $1 AND name = $2 "
                             "ORDER BY step DESC LIMIT 1",
                             {RunIdOf(key), name})
                         .value();
    return row ? row->Double("value") : std::numeric_limits<double>::quiet_NaN();
  }
  std::string Run(const std::string& key, const std::string& column) {
    const auto row = database_->QueryOne("SELECT * FROM runs WHERE run_key = $1", {key}).value();
    return row ? row->Text(column) : "(none)";
  }

  Recorder recorder_;
};

protocol::AdaptationReport Report() {
  protocol::AdaptationReport report;
  report.adaptation_id = "a1";
  report.state = "stable";
  report.challenger = "memory";
  report.candidates.push_back({.stage = "challenger",
                               .name = "memory",
                               .score = 0.9,
                               .distance_ratio = std::nullopt,
                               .verdict = "served",
                               .reason = ""});
  report.labels = {{"s1", "applied"}, {"s2", "unused"}};
  report.label_accuracy_before = 0.5;
  report.label_accuracy_after = 0.9;
  return report;
}

TEST_F(RecorderTest, ABundleThatComesInIsARunThatBecomesAVersion) {
  const std::string bundle = AddVersion("digits", "1.0.0", "model.tflite");
  Write([&](Transaction& t) { return recorder_.Imported(t, bundle, clock_.Now()); });
  EXPECT_EQ(Run("import:" + bundle, "experiment"), "tinysphere/digits-camera");
  EXPECT_EQ(Run("import:" + bundle, "status"), "finished");
  EXPECT_EQ(Metric("import:" + bundle, "bundle_bytes"), 5000.0);
  EXPECT_EQ(Metric("import:" + bundle, "model_bytes"), 2000.0);
  EXPECT_EQ(Count("datasets"), 1);
  const auto entry = database_->QueryOne("SELECT document FROM outbox").value();
  const Told told = ParseTold(entry->Text("document")).value();
  EXPECT_EQ(told.registers, "digits");
  EXPECT_EQ(told.params.at("model"), "model.tflite");
  EXPECT_EQ(ParseTold(ToJson(told).Write()).value().metrics, told.metrics);
}

TEST_F(RecorderTest, WhatIsToldTwiceIsSentOnce) {
  const std::string bundle = AddVersion("digits", "1.0.0");
  for (int i = 0; i < 2; ++i) {
    Write([&](Transaction& t) { return recorder_.Imported(t, bundle, clock_.Now()); });
    Write([&](Transaction& t) {
      return recorder_.Adapted(t, kDevice, bundle, Report(), clock_.Now());
    });
    clock_.Advance(base::Duration(1000));
  }
  EXPECT_EQ(Count("runs"), 2);
  EXPECT_EQ(Count("outbox"), 2);
}

TEST_F(RecorderTest, NothingIsRecordedOfAFactThatDidNotHappen) {
  const std::string bundle = AddVersion("digits", "1.0.0");
  const base::Status written = database_->Write([&](Transaction& t) -> base::Status {
    RETURN_IF_ERROR(recorder_.Imported(t, bundle, clock_.Now()));
    return base::Error{base::ErrorCode::kUnavailable, "the power went"};
  });
  EXPECT_FALSE(written.ok());
  EXPECT_EQ(Count("runs"), 0);
  EXPECT_EQ(Count("outbox"), 0);
}

TEST_F(RecorderTest, AnAdaptationIsMeasuredByTheLabelsThatJudgedIt) {
  const std::string bundle = AddVersion("digits", "1.0.0");
  Write([&](Transaction& t) {
    return recorder_.Adapted(t, kDevice, bundle, Report(), clock_.Now());
  });
  const std::string key = std::string("adaptation:") + kDevice + ":a1";
  EXPECT_EQ(Run(key, "kind"), "adaptation");
  EXPECT_EQ(Metric(key, "accuracy_before"), 0.5);
  EXPECT_EQ(Metric(key, "accuracy"), 0.9);
  EXPECT_EQ(Metric(key, "adaptation_success"), 1.0);
  EXPECT_EQ(Metric(key, "labels_applied"), 1.0);
}

TEST_F(RecorderTest, ARollbackIsARunOfItsOwnKindAndNoSuccess) {
  auto report = Report();
  report.state = "rolled_back";
  Write([&](Transaction& t) { return recorder_.Adapted(t, kDevice, "", report, clock_.Now()); });
  const std::string key = std::string("adaptation:") + kDevice + ":a1";
  EXPECT_EQ(Run(key, "kind"), "rollback");
  EXPECT_EQ(Run(key, "experiment"), "tinysphere/unknown");  // Nobody knows the bundle here.
  EXPECT_EQ(Metric(key, "adaptation_success"), 0.0);
}

TEST_F(RecorderTest, AStepInWhichNothingWasTriedIsNoRun) {
  auto report = Report();
  report.candidates.clear();
  report.labels.clear();
  report.state = "suspect";
  Write([&](Transaction& t) { return recorder_.Adapted(t, kDevice, "", report, clock_.Now()); });
  EXPECT_EQ(Count("runs"), 0);
}

TEST_F(RecorderTest, ByOptionADeviceHasAnExperimentOfItsOwn) {
  const Recorder per_device({.is_per_device = true});
  Recorder recorder = per_device;
  Write([&](Transaction& t) { return recorder.Adapted(t, kDevice, "", Report(), clock_.Now()); });
  EXPECT_EQ(Run(std::string("adaptation:") + kDevice + ":a1", "experiment"),
            std::string("tinysphere/device/") + kDevice);
}

TEST_F(RecorderTest, AJudgementIsAnEvaluationWithSharesOfItsLabels) {
  const std::string bundle = AddVersion("digits", "1.0.0");
  protocol::Judgement judgement;
  judgement.judgement = protocol::JudgementKind::kHarmful;
  judgement.labels = 8;
  judgement.right_before = 6;
  judgement.right_after = 2;
  judgement.difference = -0.5;
  judgement.interval = {{-0.8, -0.1}};
  Write([&](Transaction& t) {
    return recorder_.Evaluated(t, kDevice, bundle, std::string(64, 'e'), 1, judgement,
                               clock_.Now());
  });
  const std::string key = std::string("evaluation:") + kDevice + ":" + std::string(64, 'e') + ":1";
  EXPECT_EQ(Metric(key, "accuracy_before"), 6.0 / 8.0);
  EXPECT_EQ(Metric(key, "accuracy"), 2.0 / 8.0);
  EXPECT_EQ(Metric(key, "adaptation_success"), 0.0);
}

TEST_F(RecorderTest, ADayOfDriftIsAStepOfTheMonthsRun) {
  constexpr base::Duration kDay{24LL * 60 * 60 * 1000};
  const base::Time start = tests::FakeClock::kStart - base::Duration(12LL * 60 * 60 * 1000);
  for (int day = 0; day < 2; ++day) {
    Write([&](Transaction& t) {
      return recorder_.Drifted(t, {.model_family = "digits-camera",
                                   .device_id = "",
                                   .starts_at = start + day * kDay,
                                   .length = kDay,
                                   .devices = 4,
                                   .events = 3,
                                   .drifted_devices = 1 + day,
                                   .accuracy = 0.8,
                                   .accuracy_verified = std::nullopt,
                                   .adaptation_success = 0.5,
                                   .adaptations = 2,
                                   .labels = 0});
    });
  }
  EXPECT_EQ(Count("runs"), 1);
  EXPECT_EQ(Count("run_metrics WHERE name = 'drift_rate'"), 2);
  EXPECT_EQ(Metric("drift:digits-camera:1d:2026-11", "drift_rate"), 2.0 / 4.0);
  EXPECT_EQ(Count("run_metrics WHERE name = 'accuracy_verified'"), 0);
}

TEST_F(RecorderTest, AFigureThatIsNoNumberIsRefused) {
  const Told told{.experiment = "tinysphere/x",
                  .key = "k",
                  .kind = "training",
                  .name = "n",
                  .metrics = {{.name = "m",
                               .value = std::numeric_limits<double>::quiet_NaN(),
                               .step = 0,
                               .at = clock_.Now()}}};
  const base::Status told_status =
      database_->Write([&](Transaction& t) { return recorder_.Tell(t, told, clock_.Now()); });
  ASSERT_FALSE(told_status.ok());
  EXPECT_EQ(told_status.error().message, "run k: the metric m is no finite number");
}

}  // namespace
}  // namespace tinysphere::experiment
