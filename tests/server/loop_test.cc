// From a drift event to a person's labels and back to the device.

#include "protocol/adaptation_report.h"
#include "protocol/drift_event.h"
#include "protocol/feedback.h"
#include "protocol/metrics.h"
#include "protocol/samples.h"
#include "tests/server/server_fixture.h"

namespace tests {
namespace {

using base::Json;

constexpr const char* kJpeg = "\xff\xd8\xff\xe0 a picture \xff\xd9";

class Loop : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    device_ = MakeDevice("array-1");
    bundle_ = MakeBundle("1.0.0", publisher_);
    ASSERT_EQ(admin_->Send("POST", "/api/v1/bundles", base::AsText(bundle_.archive)).status, 201);
  }

  // One sample with a picture, one with a row.
  void SendEvent() {
    protocol::DriftEvent event;
    event.event_id = "ev-1";
    event.sample_index = 18234;
    event.kind = "abrupt";
    event.sigma = 2.4;
    event.change_point = 18197;
    event.channels = {{.index = 2, .name = "ch2", .shift_sigma = 5.1}};
    event.samples = {"s-1", "s-2"};
    event.text = "Distances rose.";
    protocol::SampleSet set;
    set.event_id = "ev-1";
    set.labels = {"0", "1", "2"};
    set.samples.push_back({.sample_id = "s-1",
                           .index = 18230,
                           .prediction = "1",
                           .confidence = 0.5,
                           .neighbours = {{.anchor = 3, .label = "1", .distance = 0.25}},
                           .reason = "far",
                           .cluster_mass = 0.75,
                           .feature_row = std::nullopt,
                           .media = "images/s-1.jpg"});
    set.samples.push_back({.sample_id = "s-2",
                           .index = 18231,
                           .prediction = "2",
                           .confidence = 0.25,
                           .neighbours = {},
                           .reason = "medoid",
                           .cluster_mass = 0.25,
                           .feature_row = std::nullopt,
                           .media = "rows.csv#0"});
    const std::vector<protocol::PackageFile> files = {
        TextFile("drift_event.json", protocol::ToJson(event).Write()),
        TextFile("samples.json", protocol::ToJson(set).Write()),
        {.path = "rows.csv",
         .media_type = "text/csv",
         .bytes = base::ToBytes(protocol::WriteRowsCsv({"s-2"}, {{0.5F, 0.25F, 9.0F, 2.0F}}))},
        {.path = "images/s-1.jpg", .media_type = "image/jpeg", .bytes = base::ToBytes(kJpeg)}};
    ASSERT_EQ(device_->Deliver(1, "drift_event", files, bundle_.bundle), "processed");
  }

  std::string Label(const std::string& sample, const std::string& label) {
    Json labels = Json::MakeArray();
    labels.Append(Json::MakeObject({{"sample_id", sample}, {"label", label}}));
    const Answer answer =
        admin_->Post("/api/v1/drift-events/ev-1/verdicts",
                     Json::MakeObject({{"labels", labels}, {"event_verdict", "real"}}));
    EXPECT_EQ(answer.status, 200) << answer.body;
    const Json id = At(answer.json(), "feedback_id");
    return id.is_string() ? id.as_string() : "";
  }

  std::vector<std::string> Waiting() {
    std::vector<std::string> ids;
    const Json desired =
        device_->Send("GET", "/api/v1/devices/" + device_->id() + "/desired").json();
    const Json waiting = At(desired, "feedback");
    for (const Json& id : waiting.as_array()) ids.push_back(id.as_string());
    return ids;
  }

  protocol::Feedback Fetch(const std::string& feedback_id) {
    const Answer answer =
        device_->Send("GET", "/api/v1/devices/" + device_->id() + "/feedback/" + feedback_id);
    EXPECT_EQ(answer.status, 200) << answer.body;
    const auto statement = protocol::ParseStatementHeader(answer.headers.at("tlcm-statement"));
    EXPECT_TRUE(statement.ok() && protocol::VerifyStatement(*statement, server_key()).ok());
    EXPECT_EQ(statement->subject, feedback_id);
    EXPECT_EQ(statement->sha256, base::Sha256Hex(base::AsBytes(answer.body)));
    auto feedback = protocol::ParseFeedback(answer.body);
    EXPECT_TRUE(feedback.ok()) << answer.body;
    return feedback.ok() ? *feedback : protocol::Feedback{};
  }

  std::unique_ptr<Device> device_;
  TestBundle bundle_;
};

TEST_F(Loop, ShowsAnEventWithItsSamplesPicturesAndRows) {
  SendEvent();
  const Json list = admin_->Get("/api/v1/drift-events?state=open").json();
  ASSERT_EQ(At(list, "items").as_array().size(), 1u);
  EXPECT_EQ(At(list, "items.0.device_name").as_string(), "array-1");
  EXPECT_EQ(At(list, "items.0.samples_total").as_int(), 2);

  const Json event = admin_->Get("/api/v1/drift-events/ev-1").json();
  EXPECT_EQ(At(event, "kind").as_string(), "abrupt");
  EXPECT_EQ(At(event, "severity.sigma").as_double(), 2.4);
  EXPECT_EQ(At(event, "labels").Write(), "[\"0\",\"1\",\"2\"]");
  EXPECT_EQ(At(event, "model.version").as_string(), "1.0.0");
  EXPECT_EQ(At(event, "samples.0.media").as_string(), "image");
  EXPECT_EQ(At(event, "samples.0.neighbours.0.label").as_string(), "1");
  EXPECT_EQ(At(event, "samples.1.row.2").as_double(), 9.0);
  // The bundle's reference: channel_mean of channel 3 is 2.0 (MakeBundle).
  EXPECT_EQ(At(event, "reference_row_mean.3").as_double(), 2.0);
  const Answer image = admin_->Get("/api/v1/samples/s-1/image");
  EXPECT_EQ(image.headers.at("content-type"), "image/jpeg");
  EXPECT_EQ(image.body, kJpeg);
  EXPECT_EQ(At(admin_->Get("/api/v1/devices/" + device_->id()).json(), "drift_state").as_string(),
            "suspect");
}

TEST_F(Loop, AsksTheDeviceForMoreSamplesUntilItsPackageCame) {
  SendEvent();
  const std::string path = "/api/v1/drift-events/ev-1/request-samples";
  const auto ask = [&](const Json& samples) {
    return admin_->Post(path, Json::MakeObject({{"samples", samples}}));
  };
  const auto requests = [&] {
    return At(device_->Send("GET", "/api/v1/devices/" + device_->id() + "/desired").json(),
              "requests")
        .Write();
  };
  const auto shown = [&] {
    return At(admin_->Get("/api/v1/drift-events/ev-1").json(), "more_samples").Write();
  };
  EXPECT_EQ(requests(), "[]");
  EXPECT_EQ(MakePerson("viewer").Post(path, Json::MakeObject({{"samples", 12}})).status, 403);
  EXPECT_EQ(ask(0).status, 400);
  EXPECT_EQ(ask(1001).status, 400);
  EXPECT_EQ(
      admin_->Post("/api/v1/drift-events/ev-2/request-samples", Json::MakeObject({{"samples", 12}}))
          .status,
      404);
  ASSERT_EQ(ask(12).status, 200);
  EXPECT_EQ(requests(), R"([{"event_id":"ev-1","samples":12}])");
  EXPECT_EQ(ask(12).status, 200) << "asked again while it waits is asked once";
  EXPECT_EQ(requests(), R"([{"event_id":"ev-1","samples":12}])");
  EXPECT_EQ(shown(), R"({"asked":12,"is_awaited":true,"left":988})");

  const auto answer = [&](std::uint64_t seq, const std::vector<std::string>& ids) {
    protocol::SampleSet set;
    set.event_id = "ev-1";
    set.labels = ids.empty() ? std::vector<std::string>{"another", "bundle"}
                             : std::vector<std::string>{"0", "1", "2"};
    for (const std::string& id : ids) {
      set.samples.push_back({.sample_id = id,
                             .index = 18300,
                             .prediction = "1",
                             .confidence = 0.5,
                             .neighbours = {},
                             .reason = "asked for",
                             .cluster_mass = std::nullopt,
                             .feature_row = std::nullopt,
                             .media = {}});
    }
    return device_->Deliver(
        seq, "samples", {TextFile("samples.json", protocol::ToJson(set).Write())}, bundle_.bundle);
  };
  ASSERT_EQ(answer(2, {"s-3", "s-4"}), "processed");
  EXPECT_EQ(requests(), "[]");
  EXPECT_EQ(shown(), R"({"asked":12,"is_awaited":false,"left":988})");
  const Json event = admin_->Get("/api/v1/drift-events/ev-1").json();
  ASSERT_EQ(At(event, "samples").as_array().size(), 4u);
  EXPECT_EQ(At(event, "samples.2.sample_id").as_string(), "s-3") << "behind those of the question";

  // The device counts in all, so a second wish adds to the first, up to what it would ever send.
  ASSERT_EQ(ask(1000).status, 200);
  EXPECT_EQ(requests(), R"([{"event_id":"ev-1","samples":1000}])");
  // It has none left: answered all the same, and the event's own labels stay.
  ASSERT_EQ(answer(3, {}), "processed");
  EXPECT_EQ(requests(), "[]");
  EXPECT_EQ(At(admin_->Get("/api/v1/drift-events/ev-1").json(), "labels").Write(),
            R"(["0","1","2"])");
  EXPECT_EQ(ask(1).status, 409);
}

TEST_F(Loop, BringsLabelsToTheDeviceAndKnowsWhenTheyWereApplied) {
  SendEvent();
  const std::string feedback_id = Label("s-1", "2");
  ASSERT_EQ(Waiting(), std::vector<std::string>{feedback_id});
  const protocol::Feedback feedback = Fetch(feedback_id);
  ASSERT_EQ(feedback.labels.size(), 1u);
  EXPECT_EQ(feedback.labels[0].sample_id, "s-1");
  EXPECT_EQ(feedback.labels[0].label, "2");
  EXPECT_EQ(feedback.labels[0].reviewers, 1);
  EXPECT_EQ(feedback.bundle, bundle_.bundle);
  ASSERT_EQ(feedback.events.size(), 1u);
  EXPECT_EQ(feedback.events[0].verdict, protocol::EventVerdict::kReal);

  protocol::AdaptationReport report;
  report.adaptation_id = "a-1";
  report.state = "stable";
  report.event_id = "ev-1";
  report.feedback_id = feedback_id;
  report.hypothesis = "identity";
  report.challenger = "alignment_mean";
  report.labels = {{.sample_id = "s-1", .outcome = "applied"}};
  report.text = "One label; the mean is aligned.";
  ASSERT_EQ(device_->Deliver(2, "adaptation",
                             {TextFile("adaptation.json", protocol::ToJson(report).Write())}),
            "processed");
  EXPECT_TRUE(Waiting().empty());
  const Json event = admin_->Get("/api/v1/drift-events/ev-1").json();
  EXPECT_EQ(At(event, "state").as_string(), "answered");
  EXPECT_EQ(At(event, "feedback.state").as_string(), "applied");
  const Json shown = admin_->Get("/api/v1/devices/" + device_->id()).json();
  EXPECT_EQ(At(shown, "adaptation.challenger").as_string(), "alignment_mean");
  EXPECT_EQ(At(shown, "drift_state").as_string(), "stable");
}

TEST_F(Loop, SendsACorrectionThatRetractsWhatWasSaid) {
  SendEvent();
  const std::string first = Label("s-1", "2");
  EXPECT_EQ(Label("s-1", "2"), "");  // Nothing new.
  const std::string second = Label("s-1", "0");
  EXPECT_EQ(Waiting(), (std::vector<std::string>{first, second}));
  const protocol::Feedback correction = Fetch(second);
  EXPECT_EQ(correction.retract, std::vector<std::string>{"s-1"});
  ASSERT_EQ(correction.labels.size(), 1u);
  EXPECT_EQ(correction.labels[0].label, "0");
}

TEST_F(Loop, RefusesALabelThatTheModelDoesNotHave) {
  SendEvent();
  Json labels = Json::MakeArray();
  labels.Append(Json::MakeObject({{"sample_id", "s-1"}, {"label", "seven"}}));
  const Json body = Json::MakeObject({{"labels", labels}});
  EXPECT_EQ(admin_->Post("/api/v1/drift-events/ev-1/verdicts", body).status, 400);
  EXPECT_EQ(MakePerson("viewer").Post("/api/v1/drift-events/ev-1/verdicts", body).status, 403);
}

TEST_F(Loop, ShowsFiguresAsTheyCame) {
  protocol::DeviceMetrics metrics;
  metrics.at = base::ParseTime("2026-11-20T12:00:00.000Z").value();
  metrics.frames = 900;
  metrics.frames_window = 300;
  metrics.fps = 30.0;
  metrics.latency_ms_p95 = 4.5;
  metrics.drift_state = "stable";
  metrics.mode = "autonomous";
  metrics.bundle = bundle_.bundle;
  ASSERT_EQ(
      device_->Deliver(1, "metrics", {TextFile("metrics.json", protocol::ToJson(metrics).Write())}),
      "processed");
  const Json shown = admin_->Get("/api/v1/devices/" + device_->id()).json();
  EXPECT_EQ(At(shown, "metrics.frames").as_int(), 900);
  EXPECT_EQ(At(shown, "metrics.fps").as_double(), 30.0);
  EXPECT_TRUE(At(shown, "metrics.accuracy_estimated").is_null());
  EXPECT_EQ(At(shown, "mode").as_string(), "autonomous");
  // What a device runs is known from an update report only.
  EXPECT_TRUE(At(shown, "model").is_null());
  const Json points = admin_->Get("/api/v1/devices/" + device_->id() + "/metrics").json();
  EXPECT_EQ(At(points, "points.0.latency_ms_p95").as_double(), 4.5);
  const Json overview = admin_->Get("/api/v1/overview").json();
  EXPECT_EQ(At(overview, "devices.online").as_int(), 1);
  EXPECT_EQ(At(overview, "throughput.0.inferences").as_int(), 300);
}

}  // namespace
}  // namespace tests
