// The small JSON documents: each goes through its text unchanged, and each refuses what is
// malformed by naming the field.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <initializer_list>

#include "base/json.h"
#include "protocol/adaptation_report.h"
#include "protocol/desired.h"
#include "protocol/drift_event.h"
#include "protocol/feedback.h"
#include "protocol/judgement.h"
#include "protocol/learned_model.h"
#include "protocol/metrics.h"
#include "protocol/samples.h"
#include "protocol/update_report.h"
#include "tests/support/fake_clock.h"

namespace protocol {
namespace {

using base::Json;

const std::string kDigest(64, 'a');

DriftEvent AnEvent() {
  DriftEvent event;
  event.event_id = "e1";
  event.sample_index = 18234;
  event.kind = "abrupt";
  event.sigma = 2.4;
  event.target_samples = 1'000'000;
  event.change_point = 18197;
  event.change_point_interval = {18190, 18203};
  event.signals = {{"anchor_distance", 0.71, 2.4}, {"class_mix", 0.29}};
  event.classes = {{"3", 0.55}};
  event.channels = {{17, "ch17", 5.1}};
  event.samples = {"s1", "s2"};
  event.text = "Distances rose.";
  return event;
}

SampleSet ASampleSet() {
  SampleSet set;
  set.event_id = "e1";
  set.labels = {"0", "1"};
  SampleRecord image;
  image.sample_id = "s1";
  image.index = 7;
  image.prediction = "1";
  image.confidence = 0.5;
  image.neighbours = {{12, "1", 0.25}};
  image.reason = "medoid of 40";
  image.cluster_mass = 0.4;
  image.feature_row = 3;
  image.media = "images/s1.jpg";
  SampleRecord row = image;
  row.sample_id = "s2";
  row.cluster_mass.reset();
  row.cluster_accuracy = 0.25;
  row.novelty = 0.9;
  row.media = "rows.csv#5";
  set.samples = {image, row};
  set.reference_row_mean = {0.5, 1.0};
  set.reference_row_sd = {0.1, 0.2};
  return set;
}

DeviceMetrics SomeMetrics() {
  DeviceMetrics metrics;
  metrics.at = tests::FakeClock::kStart;
  metrics.window_ms = 60'000;
  metrics.frames = 1000;
  metrics.fps = 29.5;
  metrics.accuracy_estimated = 0.9;
  metrics.accuracy_low = 0.85;
  metrics.accuracy_high = 0.95;
  metrics.confidence_histogram = {1, 0, 16};
  metrics.latency_sketch = {{141, 16}, {142, 1}};
  metrics.stages = {{"decode", 1.0, 2.0, 3.0, {{141, 17}}}};
  metrics.class_mix = {{"3", 17}};
  metrics.rss_bytes = 8u << 20;
  metrics.pss_bytes = 6u << 20;
  metrics.throttled = true;
  metrics.undervoltage = false;
  metrics.link = DeviceMetrics::Link{true, "wlan0", -61.0, tests::FakeClock::kStart};
  metrics.location = DeviceMetrics::Location{52.5, 13.4, 8.5, 1200, "gpsd"};
  metrics.log_bytes = 4096;
  metrics.log_evicted_files = 2;
  metrics.drift_state = "stable";
  metrics.mode = "autonomous";
  metrics.hypothesis = "gain";
  metrics.model_name = "digits";
  metrics.bundle = kDigest;
  return metrics;
}

UpdateReport AReport() {
  UpdateReport report;
  report.at = tests::FakeClock::kStart;
  report.deployment_id = "r1";
  report.outcome = UpdateOutcome::kInstalled;
  report.bundle = kDigest;
  report.name = "digits";
  report.version = "1.1.0";
  report.model_family = "digits-camera";
  report.labels = {"0", "1"};
  report.swap_gap_ms = 0.4;
  report.golden_ok = true;
  report.hypothesis_kept = "gain";
  report.labels_kept = 20;
  return report;
}

AdaptationReport AnAdaptation() {
  AdaptationReport report;
  report.adaptation_id = "a1";
  report.at = tests::FakeClock::kStart;
  report.state = "probation";
  report.event_id = "e1";
  report.feedback_id = "f1";
  report.challenger = "memory";
  report.candidates = {{"hypothesis", "gain", std::nullopt, 0.6, "kept", "nearest"},
                       {"challenger", "memory", 0.95, std::nullopt, "served", ""}};
  report.labels = {{"s1", "applied"}};
  report.label_accuracy_after = 0.95;
  report.adaptation_sha256 = kDigest;
  report.champion_sha256 = std::string(64, 'b');
  report.awaits = "approval";
  report.orders = {{kDigest, "roll_back", "done"}};
  report.transitions = {{18300, "suspect", "adapting", "24 labels came"}};
  report.text = "Memory serves.";
  return report;
}

LearnedModel AModel() {
  LearnedModel model;
  model.base_bundle = kDigest;
  model.name = "digits";
  model.version = "1.1.0";
  model.model_family = "digits-camera";
  model.event_id = "e1";
  model.canary_after = 0.98;
  model.hypothesis = "identity";
  model.challenger = "mean+labelled";
  model.labels = 24;
  model.vectors = 40;
  model.adaptation_sha256 = std::string(64, 'b');
  model.opened = {"letter"};
  model.taught_by = {"f1"};
  return model;
}

Judgement AJudgement() {
  Judgement judgement;
  judgement.judgement = JudgementKind::kHelped;
  judgement.labels = 24;
  judgement.right_before = 13;
  judgement.right_after = 23;
  judgement.difference = 10.0 / 24.0;
  judgement.interval = {0.21, 0.61};
  judgement.reason = "23 of 24 right with it, 13 without";
  judgement.samples = {{"s1", "3", "8", "3", true}};
  return judgement;
}

ValidationSet AValidationSet() {
  ValidationSet set;
  set.samples = {{"s1", "3", "000001.jpg", {}}, {"s2", "4", "", {0.5, -1.25}}};
  return set;
}

Feedback SomeFeedback() {
  return {"f1",
          kDigest,
          {{"s1", "3", 0.5, 2, false}, {"s2", "letter", 1.0, 1, true}},
          {"s9"},
          {{"e1", EventVerdict::kFalseAlarm}},
          {{kDigest, AdaptationOrder::kRollBack}}};
}

Desired AnInstall() {
  Desired desired;
  desired.revision = 7;
  desired.deployment_id = "r1";
  desired.action = DesiredAction::kInstall;
  desired.target = Desired::Target{"digits", "1.1.0", kDigest, kDigest, 1000};
  desired.config = Json::MakeObject({{"sync", Json::MakeObject({{"samples", 100}})}});
  desired.feedback = {"f1"};
  desired.requests = {{"e1", 24}};
  desired.requeue_dead_since = tests::FakeClock::kStart;
  return desired;
}

TEST(Documents, GoThroughTheirText) {
  EXPECT_EQ(ParseDriftEvent(ToJson(AnEvent()).Write()).value(), AnEvent());
  EXPECT_EQ(ParseSampleSet(ToJson(ASampleSet()).Write()).value(), ASampleSet());
  EXPECT_EQ(ParseDeviceMetrics(ToJson(SomeMetrics()).Write()).value(), SomeMetrics());
  EXPECT_EQ(ParseUpdateReport(ToJson(AReport()).Write()).value(), AReport());
  EXPECT_EQ(ParseAdaptationReport(ToJson(AnAdaptation()).Write()).value(), AnAdaptation());
  EXPECT_EQ(ParseLearnedModel(ToJson(AModel()).Write()).value(), AModel());
  EXPECT_EQ(ParseJudgement(ToJson(AJudgement()).Write()).value(), AJudgement());
  EXPECT_EQ(ParseValidationSet(ToJson(AValidationSet()).Write()).value(), AValidationSet());
  EXPECT_EQ(ParseFeedback(ToJson(SomeFeedback()).Write()).value(), SomeFeedback());
  EXPECT_EQ(ParseDesired(ToJson(AnInstall()).Write()).value(), AnInstall());
}

TEST(Documents, GoThroughWithNothingThatIsOptional) {
  DriftEvent event;
  event.event_id = "e";
  event.kind = "unknown";
  EXPECT_EQ(ParseDriftEvent(ToJson(event).Write()).value(), event);
  EXPECT_EQ(ParseSampleSet(ToJson(SampleSet{}).Write()).value(), SampleSet{});
  EXPECT_EQ(ParseDeviceMetrics(ToJson(DeviceMetrics{}).Write()).value(), DeviceMetrics{});
  EXPECT_EQ(ParseUpdateReport(ToJson(UpdateReport{}).Write()).value(), UpdateReport{});
  EXPECT_EQ(ParseDesired(ToJson(Desired{}).Write()).value(), Desired{});
}

TEST(Documents, MetricsWithAPlaceThatIsNowhereOrASketchThatIsNoneAreRefused) {
  const auto refused = [](const char* key, const Json& value) {
    Json json = ToJson(SomeMetrics());
    json.Set(key, value);
    const auto parsed = ParseDeviceMetrics(json.Write());
    return parsed.ok() ? std::string() : parsed.error().message;
  };
  Json nowhere = *ToJson(SomeMetrics()).Find("location");
  nowhere.Set("latitude", 91.0);
  EXPECT_NE(refused("location", nowhere).find("location.latitude"), std::string::npos);
  EXPECT_NE(refused("latency_sketch", *Json::Parse("[[1, -2]]")).find("latency_sketch"),
            std::string::npos);
  EXPECT_NE(refused("latency_sketch", *Json::Parse("[[1]]")).find("latency_sketch"),
            std::string::npos);
}

// Every member of the document, taken away or given another type in turn, is either optional or an
// error that is no crash; a required one is named.
template <typename Parse>
void ExpectStrict(const Json& good, const Parse& parse) {
  for (const auto& [key, value] : good.as_object()) {
    Json missing = Json::MakeObject();
    for (const auto& [k, v] : good.as_object()) {
      if (k != key) missing.Set(k, v);
    }
    const auto without = parse(missing.Write());
    if (!without.ok()) {
      EXPECT_NE(without.error().message.find(key), std::string::npos) << without.error().message;
    }
    Json other = good;
    other.Set(key, value.is_array() ? Json(7) : Json(Json::Array{}));
    EXPECT_FALSE(parse(other.Write()).ok()) << key;
  }
}

TEST(Documents, RefuseAnotherTypeForEveryMember) {
  ExpectStrict(ToJson(AnEvent()), ParseDriftEvent);
  ExpectStrict(ToJson(ASampleSet()), ParseSampleSet);
  ExpectStrict(ToJson(SomeMetrics()), ParseDeviceMetrics);
  ExpectStrict(ToJson(AReport()), ParseUpdateReport);
  ExpectStrict(ToJson(AnAdaptation()), ParseAdaptationReport);
  ExpectStrict(ToJson(AModel()), ParseLearnedModel);
  ExpectStrict(ToJson(AJudgement()), ParseJudgement);
  ExpectStrict(ToJson(AValidationSet()), ParseValidationSet);
  ExpectStrict(ToJson(SomeFeedback()), ParseFeedback);
  ExpectStrict(ToJson(AnInstall()), ParseDesired);
}

TEST(Documents, SayWhichVersionTheyAre) {
  Json json = ToJson(AnEvent());
  json.Set("format", "tinylcm-drift-event/2");
  EXPECT_EQ(ParseDriftEvent(json.Write()).error().code, base::ErrorCode::kUnsupported);
}

TEST(DriftEventTest, TakesAKindItDoesNotKnowForUnknown) {
  Json json = ToJson(AnEvent());
  json.Set("kind", "eclipse");
  EXPECT_EQ(ParseDriftEvent(json.Write())->kind, "unknown");
}

TEST(SampleSetTest, RefusesAPathOutsideAndASampleTwice) {
  SampleSet set = ASampleSet();
  set.samples[0].media = "images/../../etc/passwd";
  EXPECT_FALSE(ParseSampleSet(ToJson(set).Write()).ok());
  set.samples[0].media = "rows.csv#-1";
  EXPECT_FALSE(ParseSampleSet(ToJson(set).Write()).ok());
  set = ASampleSet();
  set.samples[1].sample_id = set.samples[0].sample_id;
  EXPECT_FALSE(ParseSampleSet(ToJson(set).Write()).ok());
}

TEST(SampleSetTest, RefusesTwoSamplesWithOnePicture) {
  SampleSet set = ASampleSet();
  set.samples[1].media = set.samples[0].media;
  EXPECT_FALSE(ParseSampleSet(ToJson(set).Write()).ok());
}

TEST(RowsCsv, GoesThroughToTheLastBit) {
  const std::vector<std::vector<float>> rows = {{0.1f, -2.5f, 1e-30f}, {1.0f / 3.0f, 0.0f, 7.0f}};
  const std::string csv = WriteRowsCsv({"s1", "s2"}, rows);
  EXPECT_TRUE(csv.starts_with("sample_id,ch0,ch1,ch2\ns1,0.1,")) << csv;
  EXPECT_EQ(ParseRowsCsv(csv).value(), rows);
}

TEST(RowsCsv, RefusesRaggedLinesAndWhatIsNoNumber) {
  for (const char* csv : {"", "x,ch0\n", "sample_id,ch0\ns1\n", "sample_id,ch0\ns1,nan\n",
                          "sample_id,ch0\ns1,1,2\n", "sample_id,ch0\ns1,1e300\n"}) {
    EXPECT_FALSE(ParseRowsCsv(csv).ok()) << csv;
  }
}

TEST(DesiredTest, AnInstallNeedsATarget) {
  Json json = ToJson(AnInstall());
  json.Set("target", Json());
  EXPECT_FALSE(ParseDesired(json.Write()).ok());
}

// A document with a member taken away.
Json Without(const Json& document, std::initializer_list<std::string_view> keys) {
  Json less = Json::MakeObject();
  for (const auto& [key, value] : document.as_object()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) less.Set(key, value);
  }
  return less;
}

TEST(AdaptationReportTest, OfADeviceThatKnowsNoOrdersIsRead) {
  const AdaptationReport read =
      ParseAdaptationReport(Without(ToJson(AnAdaptation()), {"adaptation_sha256", "champion_sha256",
                                                             "awaits", "orders", "transitions"})
                                .Write())
          .value();
  AdaptationReport expected = AnAdaptation();
  expected.adaptation_sha256.reset();
  expected.champion_sha256.reset();
  expected.awaits.reset();
  expected.orders.clear();
  expected.transitions.clear();
  EXPECT_EQ(read, expected);
}

TEST(AdaptationReportTest, NamesAnAdaptationByNothingButASha256) {
  Json json = ToJson(AnAdaptation());
  json.Set("adaptation_sha256", "../../etc/passwd");
  const auto read = ParseAdaptationReport(json.Write());
  ASSERT_FALSE(read.ok());
  EXPECT_NE(read.error().message.find("adaptation_sha256"), std::string::npos);
}

TEST(JudgementTest, WhoseFiguresContradictEachOtherIsRefused) {
  const auto refused = [](const char* key, const Json& value) {
    Json json = ToJson(AJudgement());
    json.Set(key, value);
    return !ParseJudgement(json.Write()).ok();
  };
  EXPECT_TRUE(refused("judgement", "splendid"));
  EXPECT_TRUE(refused("right_after", 25));  // Of 24 labels.
  EXPECT_TRUE(refused("interval", Json(Json::Array{0.6, 0.2})));
  EXPECT_TRUE(refused("interval", Json(Json::Array{0.6})));
  // Helped or harmful is said with figures, or not at all.
  EXPECT_TRUE(refused("interval", Json()));
}

TEST(ValidationSetTest, RefusesAPictureElsewhereAndASampleWithNothingToSee) {
  ValidationSet set = AValidationSet();
  set.samples[0].picture = "../secret.jpg";
  EXPECT_FALSE(ParseValidationSet(ToJson(set).Write()).ok());
  set.samples[0].picture.clear();
  EXPECT_FALSE(ParseValidationSet(ToJson(set).Write()).ok());
}

TEST(FeedbackTest, OfAServerThatKnowsNoOrdersIsRead) {
  Feedback expected = SomeFeedback();
  expected.adaptations.clear();
  for (auto& label : expected.labels) label.opens_class = false;
  Json json = Without(ToJson(SomeFeedback()), {"adaptations"});
  for (auto& [key, value] : json.as_object()) {
    if (key != "labels") continue;
    for (Json& label : value.as_array()) label = Without(label, {"opens_class"});
  }
  EXPECT_EQ(ParseFeedback(json.Write()).value(), expected);
}

TEST(FeedbackTest, AnOrderMustBeOneOfThreeAndNameAnAdaptation) {
  const auto with = [](const std::string& sha256, const char* order) {
    Json json = ToJson(SomeFeedback());
    json.Set(
        "adaptations",
        Json(Json::Array{Json::MakeObject({{"adaptation_sha256", sha256}, {"order", order}})}));
    return ParseFeedback(json.Write()).ok();
  };
  EXPECT_TRUE(with(kDigest, "approve"));
  EXPECT_TRUE(with(kDigest, "reject"));
  EXPECT_TRUE(with(kDigest, "roll_back"));
  EXPECT_FALSE(with(kDigest, "erase"));
  EXPECT_FALSE(with("latest", "approve"));
}

TEST(FeedbackTest, AVerdictMustBeOneOfThree) {
  Json json = ToJson(SomeFeedback());
  json.Set("events",
           Json(Json::Array{Json::MakeObject({{"event_id", "e"}, {"verdict", "perhaps"}})}));
  EXPECT_FALSE(ParseFeedback(json.Write()).ok());
}

}  // namespace
}  // namespace protocol
