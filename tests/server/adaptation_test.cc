// From what a device did about a drift to a person's judgement of it: the real tinylcm replays, the
// real tinysphere asks it to.

#include "tinylcm/adapt/adaptation.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/random.h"
#include "base/text.h"
#include "protocol/adaptation_report.h"
#include "protocol/drift_event.h"
#include "protocol/feedback.h"
#include "protocol/learned_model.h"
#include "protocol/samples.h"
#include "protocol/update_report.h"
#include "tests/server/server_fixture.h"
#include "tinylcm/feature/processor.h"
#include "tinylcm/src/model/small_bundle_test.h"

namespace tests {
namespace {

namespace adapt = tinylcm::adapt;
namespace model = tinylcm::model;

using base::Json;

class Adaptations : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    device_ = MakeDevice("array-1");
    // Three classes, class c around 3 on channel c.
    std::ofstream(folder_ + "/rows.csv") << model::SmallRows(1);
    model::RunFitOptions options;
    options.rows = folder_ + "/rows.csv";
    options.label_column = "label";
    options.out = folder_ + "/bundle";
    options.name = "small";
    options.version = "1.0.0";
    options.fit.standardise = true;
    options.fit.anchors_per_class = 10;
    const auto fitted = model::RunFit(options, fs_, base::SystemClock(), base::NullLogger(), {});
    ASSERT_TRUE(fitted.ok()) << fitted.error().message;
    bundle_ = model::LoadBundle(fs_, folder_ + "/bundle", {}).value();
    ASSERT_TRUE(base::WriteFileDurably(fs_, folder_ + "/publisher.key",
                                       base::AsBytes(base::WritePrivateKeyText(publisher_)), true)
                    .ok());
    ASSERT_TRUE(
        model::MakeArchive(fs_, folder_ + "/bundle", &publisher_, folder_ + "/small-1.0.0.tar.zst")
            .ok());
    Register("small-1.0.0.tar.zst");
  }

  void Register(const std::string& file) {
    const auto archive = base::ReadFile(fs_, folder_ + "/" + file, 1u << 26);
    ASSERT_TRUE(archive.ok());
    const Answer answer = admin_->Send("POST", "/api/v1/bundles", base::AsText(*archive));
    ASSERT_EQ(answer.status, 201) << answer.body;
  }

  // After the change class c lies around 1.2 on its own channel and 1.8 on the next: the bundle
  // takes it for the class behind it.
  std::vector<float> Row(int label) {
    std::vector<float> row(3);
    for (int channel = 0; channel < 3; ++channel) {
      const double mean = channel == label ? 1.2 : channel == (label + 1) % 3 ? 1.8 : 0.0;
      row[static_cast<std::size_t>(channel)] = static_cast<float>(mean + 0.15 * random_.Normal());
    }
    return row;
  }

  // An event with so many samples, sample i of class i % 3.
  void SendEvent(int samples) {
    protocol::DriftEvent event;
    event.event_id = "ev-1";
    event.kind = "abrupt";
    protocol::SampleSet set;
    set.event_id = "ev-1";
    set.labels = bundle_.manifest.labels;
    std::vector<std::string> ids;
    for (int i = 0; i < samples; ++i) {
      rows_.push_back(Row(i % 3));
      ids.push_back(base::StrCat("s-", i));
      set.samples.push_back({.sample_id = ids.back(),
                             .index = static_cast<std::uint64_t>(i),
                             .prediction = "class-0",
                             .confidence = 0.5,
                             .neighbours = {},
                             .reason = "drift",
                             .cluster_mass = 0.1,
                             .cluster_accuracy = 0.25,
                             .novelty = 0.75,
                             .feature_row = std::nullopt,
                             .media = base::StrCat("rows.csv#", i)});
    }
    ASSERT_EQ(
        Deliver("drift_event", {TextFile("drift_event.json", protocol::ToJson(event).Write()),
                                TextFile("samples.json", protocol::ToJson(set).Write()),
                                {.path = "rows.csv",
                                 .media_type = "text/csv",
                                 .bytes = base::ToBytes(protocol::WriteRowsCsv(ids, rows_))}}),
        "processed");
  }

  // Remembers the first `count` samples as class (i + `off`) % 3.
  base::Bytes Learned(int count, int off) {
    adapt::Adaptation adaptation;
    adaptation.bundle = bundle_.bundle;
    adaptation.event_id = "ev-1";
    adaptation.challenger = {adapt::Alignment::kNone, adapt::Memory::kLabelled};
    auto processor = tinylcm::feature::Processor::Create(bundle_.processor).value();
    std::vector<float> feature(bundle_.feature_count());
    for (int i = 0; i < count; ++i) {
      processor.Apply(rows_[static_cast<std::size_t>(i)], feature);
      adaptation.memory.Add(feature, static_cast<std::uint16_t>((i + off) % 3), 3.0f);
      adaptation.entries.push_back({.sample_id = base::StrCat("s-", i),
                                    .taught_by = base::StrCat("s-", i),
                                    .feedback_id = "f-0"});
    }
    return adapt::Serialise(adaptation);
  }

  static protocol::AdaptationReport Report(const std::string& id, const base::Bytes& bytes) {
    protocol::AdaptationReport report;
    report.adaptation_id = id;
    report.state = "probation";
    report.event_id = "ev-1";
    report.hypothesis = "identity";
    report.challenger = "labelled";
    report.adaptation_sha256 = base::Sha256Hex(bytes);
    return report;
  }

  std::string Deliver(const std::string& type, const std::vector<protocol::PackageFile>& files) {
    return device_->Deliver(++seq_, type, files, bundle_.bundle);
  }
  std::string SendReport(const protocol::AdaptationReport& report,
                         const std::optional<base::Bytes>& bytes = std::nullopt) {
    std::vector<protocol::PackageFile> files = {
        TextFile("adaptation.json", protocol::ToJson(report).Write())};
    if (bytes) files.push_back({"adaptation.bin", "application/octet-stream", *bytes});
    return Deliver("adaptation", files);
  }

  // Labels samples `from` to `to` (without it) rightly; the feedback's id.
  std::string LabelRightly(int from, int to) {
    Json labels = Json::MakeArray();
    for (int i = from; i < to; ++i) {
      labels.Append(Json::MakeObject(
          {{"sample_id", base::StrCat("s-", i)}, {"label", base::StrCat("class-", i % 3)}}));
    }
    return Say(*admin_, labels);
  }
  static Json Word(const std::string& sample, const Json& label, bool opens_class = false) {
    return Json::MakeObject(
        {{"sample_id", sample}, {"label", label}, {"opens_class", opens_class}});
  }
  std::string Say(const Person& person, const Json& labels) {
    const Answer answer =
        person.Post("/api/v1/drift-events/ev-1/verdicts", Json::MakeObject({{"labels", labels}}));
    EXPECT_EQ(answer.status, 200) << answer.body;
    const Json id = At(answer.json(), "feedback_id");
    return id.is_string() ? id.as_string() : "";
  }

  Json List() {
    return At(admin_->Get("/api/v1/devices/" + device_->id() + "/adaptations").json(), "items");
  }
  // The newest report's judgement, once it rests on so many labels.
  Json JudgementOf(std::int64_t labels) {
    Json judgement;
    EXPECT_TRUE(Eventually([&] {
      const Json list = List();
      judgement = At(list, "0.judgement");
      return judgement.is_object() && At(judgement, "labels") == Json(labels);
    })) << judgement.Write();
    return judgement;
  }

  Answer Order(const Person& person, const std::string& sha256, const std::string& order) {
    return person.Post(
        base::StrCat("/api/v1/devices/", device_->id(), "/adaptations/", sha256, "/order"),
        Json::MakeObject({{"order", order}}));
  }
  protocol::Feedback Fetch(const std::string& feedback_id) {
    const Answer answer =
        device_->Send("GET", "/api/v1/devices/" + device_->id() + "/feedback/" + feedback_id);
    EXPECT_EQ(answer.status, 200) << answer.body;
    auto feedback = protocol::ParseFeedback(answer.body);
    EXPECT_TRUE(feedback.ok()) << answer.body;
    return feedback.ok() ? *feedback : protocol::Feedback{};
  }
  Person NewOperator(const std::string& name) {
    const ProgramResult made =
        RunTinysphere({"token", "create", "--data", server_->data(), "--kind", "api", "--name",
                       name, "--role", "operator"});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    return Person(*server_, std::string(base::Trim(made.out)));
  }
  std::string Script(const std::string& body) {
    const std::string path = folder_ + "/tinylcm.sh";
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  void Restart(const std::vector<std::string>& more) {
    server_->Terminate();
    server_->Start(more);
  }

  base::FileSystem& fs_ = base::SystemFileSystem();
  base::Random random_{7};
  model::ModelBundle bundle_;
  std::unique_ptr<Device> device_;
  std::vector<std::vector<float>> rows_;
  std::uint64_t seq_ = 0;
};

TEST_F(Adaptations, AreJudgedByLabelsAndAgainWhenMoreCome) {
  SendEvent(24);
  const base::Bytes bytes = Learned(24, 0);
  ASSERT_EQ(SendReport(Report("a-1", bytes), bytes), "processed");
  EXPECT_EQ(At(JudgementOf(0), "judgement").as_string(), "unknown");

  LabelRightly(0, 5);
  const Json few = JudgementOf(5);
  EXPECT_EQ(At(few, "judgement").as_string(), "unknown") << few.Write();
  EXPECT_EQ(At(few, "right_after").as_int(), 5);

  LabelRightly(5, 24);
  const Json all = JudgementOf(24);
  EXPECT_EQ(At(all, "judgement").as_string(), "helped") << all.Write();
  EXPECT_LE(At(all, "right_before").as_int(), 4);
  EXPECT_GE(At(all, "right_after").as_int(), 23);
  EXPECT_GT(At(all, "interval.0").as_double(), 0.5);
  // Each of the 24 had taught it.
  EXPECT_NE(At(all, "reason").as_string().find("24 judged with what they taught left out"),
            std::string::npos)
      << all.Write();
  const Json event = admin_->Get("/api/v1/drift-events/ev-1").json();
  EXPECT_EQ(At(event, "adaptations.0.judgement.judgement").as_string(), "helped");
  EXPECT_EQ(At(event, "samples.0.cluster_accuracy").as_double(), 0.25);
  EXPECT_EQ(At(event, "samples.0.novelty").as_double(), 0.75);
}

TEST_F(Adaptations, ThatHarmAreShownAndAPersonOrdersThemBack) {
  SendEvent(24);
  // The bundle takes class c for c + 1; this one makes c + 2 of it. Labels are right in a third of
  // the cases before, for every third label is what the bundle says.
  const base::Bytes bytes = Learned(24, 2);
  const std::string sha256 = base::Sha256Hex(bytes);
  ASSERT_EQ(SendReport(Report("a-1", bytes), bytes), "processed");
  Json labels = Json::MakeArray();
  for (int i = 0; i < 24; ++i) {
    labels.Append(Word(base::StrCat("s-", i), base::StrCat("class-", (i + 1) % 3)));
  }
  Say(*admin_, labels);
  const Json judgement = JudgementOf(24);
  EXPECT_EQ(At(judgement, "judgement").as_string(), "harmful") << judgement.Write();
  EXPECT_LT(At(judgement, "interval.1").as_double(), 0.0);
  EXPECT_EQ(At(List(), "0.may_be").Write(), "[\"roll_back\"]");

  EXPECT_EQ(Order(MakePerson("viewer"), sha256, "roll_back").status, 403);
  EXPECT_EQ(Order(*admin_, sha256, "approve").status, 409);
  EXPECT_EQ(Order(*admin_, std::string(64, 'e'), "roll_back").status, 404);
  EXPECT_EQ(Order(*admin_, "latest", "roll_back").status, 400);
  const Answer ordered = Order(*admin_, sha256, "roll_back");
  ASSERT_EQ(ordered.status, 200) << ordered.body;
  const std::string feedback_id = At(ordered.json(), "feedback_id").as_string();
  EXPECT_EQ(At(Order(*admin_, sha256, "roll_back").json(), "feedback_id").as_string(), feedback_id);
  const protocol::Feedback letter = Fetch(feedback_id);
  EXPECT_EQ(letter.adaptations, (std::vector<protocol::Feedback::Adaptation>{
                                    {sha256, protocol::AdaptationOrder::kRollBack}}));
  EXPECT_TRUE(letter.labels.empty());
  EXPECT_EQ(letter.bundle, bundle_.bundle);

  protocol::AdaptationReport done = Report("a-2", bytes);
  done.state = "rolled_back";
  done.feedback_id = feedback_id;
  done.hypothesis = "identity";
  done.challenger = "none";
  done.adaptation_sha256.reset();
  done.orders = {{sha256, "roll_back", "done"}};
  ASSERT_EQ(SendReport(done), "processed");
  const Json list = List();
  EXPECT_EQ(At(list, "1.order.state").as_string(), "applied");
  EXPECT_EQ(At(list, "1.order.outcome").as_string(), "done");
  EXPECT_EQ(At(list, "1.may_be").Write(), "[]");
  EXPECT_EQ(At(list, "0.may_be").Write(), "[]");
  EXPECT_EQ(Order(*admin_, sha256, "roll_back").status, 409);
}

TEST_F(Adaptations, ThatHarmGoBackWithoutAPersonWhereTheOperatorSaidSo) {
  Restart({"--roll-back-harmful"});
  SendEvent(24);
  const base::Bytes bytes = Learned(24, 2);
  ASSERT_EQ(SendReport(Report("a-1", bytes), bytes), "processed");
  Json labels = Json::MakeArray();
  for (int i = 0; i < 24; ++i) {
    labels.Append(Word(base::StrCat("s-", i), base::StrCat("class-", (i + 1) % 3)));
  }
  Say(*admin_, labels);
  EXPECT_EQ(At(JudgementOf(24), "judgement").as_string(), "harmful");
  const Json list = List();
  EXPECT_EQ(At(list, "0.order.order").as_string(), "roll_back");
  EXPECT_EQ(At(list, "0.order.by").as_string(), "judgement");
}

TEST_F(Adaptations, OfAnotherDevicesEventAreSetAsideAndJudgeNothing) {
  SendEvent(24);
  const base::Bytes bytes = Learned(24, 0);
  ASSERT_EQ(SendReport(Report("a-1", bytes), bytes), "processed");
  const std::unique_ptr<Device> other = MakeDevice("array-2");
  const base::Bytes theirs = Learned(24, 2);
  const protocol::AdaptationReport report = Report("b-1", theirs);
  EXPECT_EQ(
      other->Deliver(
          1000, "adaptation",
          {TextFile("adaptation.json", protocol::ToJson(report).Write()),
           {.path = "adaptation.bin", .media_type = "application/octet-stream", .bytes = theirs}},
          bundle_.bundle),
      "failed");
  const Json event = admin_->Get("/api/v1/drift-events/ev-1").json();
  ASSERT_EQ(At(event, "adaptations").as_array().size(), 1u);
  EXPECT_EQ(At(event, "adaptations.0.adaptation_id").as_string(), "a-1");
  LabelRightly(0, 24);
  EXPECT_EQ(At(JudgementOf(24), "judgement").as_string(), "helped");
}

TEST_F(Adaptations, ThatWereFoundHarmfulBeforeTheOperatorSaidSoGoBackAtTheNextJudgement) {
  SendEvent(24);
  const base::Bytes bytes = Learned(24, 2);
  ASSERT_EQ(SendReport(Report("a-1", bytes), bytes), "processed");
  const auto say = [&](int from, int to) {
    Json labels = Json::MakeArray();
    for (int i = from; i < to; ++i) {
      labels.Append(Word(base::StrCat("s-", i), base::StrCat("class-", (i + 1) % 3)));
    }
    Say(*admin_, labels);
  };
  say(0, 23);
  EXPECT_EQ(At(JudgementOf(23), "judgement").as_string(), "harmful");
  EXPECT_TRUE(At(List(), "0.order").is_null());
  Restart({"--roll-back-harmful"});
  say(23, 24);
  EXPECT_EQ(At(JudgementOf(24), "judgement").as_string(), "harmful");
  EXPECT_EQ(At(List(), "0.order.order").as_string(), "roll_back");
}

TEST_F(Adaptations, ThatServeGoBackAlsoWhileAnotherIsProposed) {
  SendEvent(24);
  const base::Bytes serving = Learned(24, 2);
  ASSERT_EQ(SendReport(Report("a-1", serving), serving), "processed");
  JudgementOf(0);
  // Meanwhile the device proposes something better, which nobody has approved yet.
  const base::Bytes proposed = Learned(24, 1);
  protocol::AdaptationReport waits = Report("a-2", proposed);
  waits.state = "adapting";
  waits.awaits = "approval";
  waits.champion_sha256 = base::Sha256Hex(serving);
  ASSERT_EQ(Deliver("adaptation", {TextFile("adaptation.json", protocol::ToJson(waits).Write()),
                                   {"adaptation.bin", "application/octet-stream", proposed},
                                   {"champion.bin", "application/octet-stream", serving}}),
            "processed");
  EXPECT_EQ(At(List(), "0.may_be").Write(), "[\"approve\",\"reject\"]");
  EXPECT_EQ(At(List(), "1.may_be").Write(), "[\"roll_back\"]");
  EXPECT_EQ(Order(*admin_, base::Sha256Hex(serving), "approve").status, 409);
  ASSERT_EQ(Order(*admin_, base::Sha256Hex(serving), "roll_back").status, 200);
  EXPECT_EQ(At(List(), "1.may_be").Write(), "[]") << "under way";
  EXPECT_EQ(At(List(), "0.may_be").Write(), "[\"approve\",\"reject\"]");
}

TEST_F(Adaptations, AreJudgedOnceTheirBundleIsRegistered) {
  // The device runs a version that nobody registered here.
  model::RunFitOptions options;
  options.rows = folder_ + "/rows.csv";
  options.label_column = "label";
  options.out = folder_ + "/next";
  options.name = "small";
  options.version = "1.1.0";
  options.fit.standardise = true;
  options.fit.anchors_per_class = 9;
  const auto fitted = model::RunFit(options, fs_, base::SystemClock(), base::NullLogger(), {});
  ASSERT_TRUE(fitted.ok()) << fitted.error().message;
  bundle_ = model::LoadBundle(fs_, folder_ + "/next", {}).value();
  SendEvent(6);
  const base::Bytes bytes = Learned(6, 0);
  LabelRightly(0, 6);
  ASSERT_EQ(SendReport(Report("a-1", bytes), bytes), "processed");
  EXPECT_NE(At(JudgementOf(0), "reason").as_string().find("is not registered here"),
            std::string::npos);
  ASSERT_TRUE(
      model::MakeArchive(fs_, folder_ + "/next", &publisher_, folder_ + "/small-1.1.0.tar.zst")
          .ok());
  Register("small-1.1.0.tar.zst");
  EXPECT_EQ(At(JudgementOf(6), "judgement").as_string(), "helped");
}

TEST_F(Adaptations, AreNotJudgedByLabelsThatReviewersContradict) {
  SendEvent(7);
  const base::Bytes bytes = Learned(7, 0);
  ASSERT_EQ(SendReport(Report("a-1", bytes), bytes), "processed");
  LabelRightly(0, 7);
  JudgementOf(7);
  // One against one about the first: it is nobody's truth, and the six others still are.
  Say(NewOperator("ben"), Json::Array{Word("s-0", "class-2")});
  const Json judgement = JudgementOf(6);
  EXPECT_EQ(At(judgement, "right_after").as_int(), 6);
  EXPECT_NE(At(judgement, "reason").as_string().find("1 left out, for their reviewers"),
            std::string::npos)
      << judgement.Write();
}

TEST_F(Adaptations, AreApprovedWhileTheyWaitAndOnlyThen) {
  SendEvent(3);
  const base::Bytes bytes = Learned(3, 0);
  const std::string sha256 = base::Sha256Hex(bytes);
  protocol::AdaptationReport waits = Report("a-1", bytes);
  waits.state = "adapting";
  waits.awaits = "approval";
  ASSERT_EQ(SendReport(waits, bytes), "processed");
  const std::string device = "/api/v1/devices/" + device_->id();
  EXPECT_EQ(At(admin_->Get(device).json(), "awaits").as_string(), "approval");
  EXPECT_EQ(At(List(), "0.may_be").Write(), "[\"approve\",\"reject\"]");
  EXPECT_EQ(Order(*admin_, sha256, "roll_back").status, 409);
  const Answer ordered = Order(*admin_, sha256, "approve");
  ASSERT_EQ(ordered.status, 200) << ordered.body;
  EXPECT_EQ(Fetch(At(ordered.json(), "feedback_id").as_string()).adaptations[0].order,
            protocol::AdaptationOrder::kApprove);
  // One order at a time.
  EXPECT_EQ(Order(*admin_, sha256, "reject").status, 409);

  // The device has gone on to something else: what was proposed is no longer there to be approved.
  const base::Bytes next = Learned(2, 0);
  ASSERT_EQ(SendReport(Report("a-2", next), next), "processed");
  EXPECT_TRUE(At(admin_->Get(device).json(), "awaits").is_null());
  EXPECT_EQ(Order(*admin_, sha256, "reject").status, 409);
}

TEST_F(Adaptations, WhoseBytesAreOthersThanTheReportNamesAreSetAside) {
  SendEvent(3);
  protocol::AdaptationReport report = Report("a-1", Learned(3, 0));
  EXPECT_EQ(SendReport(report, Learned(3, 1)), "failed");
  EXPECT_EQ(List().as_array().size(), 0u);
}

TEST_F(Adaptations, AreUnknownWithTheReasonWhereTheReplayFails) {
  SendEvent(6);
  const base::Bytes bytes = Learned(6, 0);
  ASSERT_EQ(SendReport(Report("a-1", bytes), bytes), "processed");
  JudgementOf(0);
  // The start asks again for what came of no replay.
  const auto expect_said = [&](const std::string& script, const std::string& expected) {
    Restart({"--tinylcm", Script(script)});
    EXPECT_TRUE(Eventually([&] {
      return At(List(), "0.judgement.reason").as_string().find(expected) != std::string::npos;
    })) << expected
        << ": " << List().Write();
    EXPECT_EQ(At(List(), "0.judgement.judgement").as_string(), "unknown");
  };
  LabelRightly(0, 6);
  EXPECT_EQ(At(JudgementOf(6), "judgement").as_string(), "helped");

  // A new adaptation, and a program that dies.
  const base::Bytes other = Learned(5, 0);
  server_->Terminate();
  server_->Start({"--tinylcm", Script("echo 'validate: boom' >&2; exit 2")});
  ASSERT_EQ(SendReport(Report("a-2", other), other), "processed");
  std::string said;
  EXPECT_TRUE(Eventually([&] {
    const Json judgement = At(List(), "0.judgement");
    if (!judgement.is_object()) return false;
    said = At(judgement, "reason").as_string();
    return true;
  }));
  EXPECT_EQ(said, "the replay ended with 2: validate: boom");
  expect_said("kill -SEGV $$", "ended with 139");
  expect_said("echo '{\"judgement\": \"helped\"}'", "said no judgement");
  expect_said("while :; do echo 0123456789012345678901234567890123456789; done", "said more than");
  // And with the real one all is well.
  Restart({});
  EXPECT_TRUE(Eventually([&] {
    return At(List(), "0.judgement.reason").as_string().find("right with it") != std::string::npos;
  })) << List().Write();
}

TEST_F(Adaptations, AreNotJudgedWithoutTheProgramAndThatIsSaid) {
  // It was there when the server started; without that it would not have.
  const std::string program = Script("exit 0");
  Restart({"--tinylcm", program});
  std::filesystem::remove(program);
  const Json overview = admin_->Get("/api/v1/overview").json();
  EXPECT_FALSE(At(overview, "judging.is_possible").as_bool());
  EXPECT_NE(At(overview, "judging.reason").as_string().find("--tinylcm"), std::string::npos);
  SendEvent(6);
  const base::Bytes bytes = Learned(6, 0);
  LabelRightly(0, 6);
  ASSERT_EQ(SendReport(Report("a-1", bytes), bytes), "processed");
  EXPECT_NE(At(JudgementOf(0), "reason").as_string().find("--tinylcm"), std::string::npos);
  Restart({});
  EXPECT_TRUE(At(admin_->Get("/api/v1/overview").json(), "judging.is_possible").as_bool());
  EXPECT_EQ(At(JudgementOf(6), "judgement").as_string(), "helped");
}

TEST_F(Adaptations, BecomeVersionsThatOnlyThePublisherCanMakeReal) {
  SendEvent(24);
  const base::Bytes bytes = Learned(24, 0);
  protocol::LearnedModel learned;
  learned.base_bundle = bundle_.bundle;
  learned.name = "small";
  learned.version = "1.0.0";
  learned.hypothesis = "identity";
  learned.challenger = "labelled";
  learned.labels = 24;
  learned.vectors = 24;
  learned.adaptation_sha256 = base::Sha256Hex(bytes);
  const protocol::PackageFile document = TextFile("model.json", protocol::ToJson(learned).Write());
  const auto with = [&](const base::Bytes& b) {
    return std::vector<protocol::PackageFile>{document,
                                              {"adaptation.bin", "application/octet-stream", b}};
  };
  EXPECT_EQ(Deliver("model", with(Learned(23, 0))), "failed");
  EXPECT_EQ(Deliver("model", {document}), "failed");
  ASSERT_EQ(Deliver("model", with(bytes)), "processed");
  const auto shown = [&] {
    return At(admin_->Get("/api/v1/learned-versions?model=small").json(), "items.0");
  };
  const std::string version = "1.0.0-learned." + learned.adaptation_sha256.substr(0, 8);
  EXPECT_EQ(At(shown(), "device_name").as_string(), "array-1");
  EXPECT_EQ(At(shown(), "version").as_string(), version);
  EXPECT_EQ(At(shown(), "base.version").as_string(), "1.0.0");
  EXPECT_EQ(At(shown(), "state").as_string(), "waiting_for_signature");
  // Whatever it is called, no rollout finds it.
  const Json rollout = Json::MakeObject({{"name", "small"}, {"version", version}});
  EXPECT_EQ(admin_->Post("/api/v1/rollouts", rollout).status, 404);
  // A person fetches the bytes; a device does not.
  const std::string artifact = "/artifacts/" + learned.adaptation_sha256;
  EXPECT_EQ(admin_->Get(artifact).body, base::AsText(bytes));
  EXPECT_EQ(device_->Send("GET", artifact).status, 404);

  // The publisher runs what is shown, in a folder with base, learned part and key.
  ASSERT_TRUE(base::WriteFileDurably(fs_, folder_ + "/adaptation.bin", bytes).ok());
  std::filesystem::copy_file(folder_ + "/publisher.key", folder_ + "/PUBLISHER.key");
  std::string command = At(shown(), "command").as_string();
  ASSERT_TRUE(command.starts_with("tinylcm ")) << command;
  command =
      base::StrCat("cd ", folder_, " && ", TINYLCM_BINARY, command.substr(7), " > make.log 2>&1");
  ASSERT_EQ(std::system(command.c_str()), 0)
      << command << "\n"
      << base::ReadTextFile(fs_, folder_ + "/make.log", 1u << 20).value();
  Register(base::StrCat("small-", version, ".tar.zst"));
  EXPECT_EQ(At(shown(), "state").as_string(), "registered");
  EXPECT_EQ(At(shown(), "registered_as").as_string(), version);
  protocol::UpdateReport running;
  running.outcome = protocol::UpdateOutcome::kRunning;
  running.bundle = bundle_.bundle;
  running.name = "small";
  running.version = "1.0.0";
  running.model_family = bundle_.manifest.model_family;
  ASSERT_EQ(
      Deliver("update_report", {TextFile("update_report.json", protocol::ToJson(running).Write())}),
      "processed");
  const Answer started = admin_->Post("/api/v1/rollouts", rollout);
  EXPECT_EQ(started.status, 201) << started.body;
}

TEST_F(Adaptations, LeaveALogOfTheirStateMachine) {
  SendEvent(1);
  protocol::AdaptationReport report = Report("a-1", Learned(1, 0));
  report.transitions = {{100, "stable", "suspect", "alarm ev-1"},
                        {200, "suspect", "adapting", "300 samples"}};
  ASSERT_EQ(SendReport(report), "processed");
  report.adaptation_id = "a-2";
  // A device that was killed says its last step again.
  report.transitions = {{200, "suspect", "adapting", "300 samples"},
                        {200, "adapting", "probation", "labelled serves"}};
  ASSERT_EQ(SendReport(report), "processed");
  const std::string path = "/api/v1/devices/" + device_->id() + "/transitions";
  const Json page = admin_->Get(path + "?limit=2").json();
  ASSERT_EQ(At(page, "items").as_array().size(), 2u);
  EXPECT_EQ(At(page, "items.0.to").as_string(), "probation");
  EXPECT_EQ(At(page, "items.1.to").as_string(), "adapting");
  const Json rest = admin_->Get(path + "?cursor=" + At(page, "next").as_string()).json();
  ASSERT_EQ(At(rest, "items").as_array().size(), 1u);
  EXPECT_EQ(At(rest, "items.0.why").as_string(), "alarm ev-1");
  EXPECT_TRUE(At(rest, "next").is_null());
}

TEST_F(Adaptations, LearnLessFromReviewersWhoContradictEachOther) {
  SendEvent(1);
  const Person ann = NewOperator("ann");
  const Person ben = NewOperator("ben");
  const Person eve = NewOperator("eve");
  Fetch(Say(ann, Json::Array{Word("s-0", "class-0")}));
  // Ben's word is newer, and one against one.
  const protocol::Feedback second = Fetch(Say(ben, Json::Array{Word("s-0", "class-1")}));
  EXPECT_EQ(second.retract, std::vector<std::string>{"s-0"});
  ASSERT_EQ(second.labels.size(), 1u);
  EXPECT_EQ(second.labels[0].label, "class-1");
  EXPECT_EQ(second.labels[0].weight, 0.5);
  EXPECT_EQ(second.labels[0].reviewers, 2);
  const protocol::Feedback third = Fetch(Say(eve, Json::Array{Word("s-0", "class-0")}));
  ASSERT_EQ(third.labels.size(), 1u);
  EXPECT_EQ(third.labels[0].label, "class-0");
  EXPECT_EQ(third.labels[0].weight, 2.0 / 3.0);
  const Json sample = At(admin_->Get("/api/v1/drift-events/ev-1").json(), "samples.0");
  EXPECT_EQ(At(sample, "verdict.label").as_string(), "class-0");
  EXPECT_EQ(At(sample, "verdict.reviewers").as_array().size(), 3u);
  EXPECT_EQ(At(sample, "verdict.reviewers.0.by").as_string(), "token:eve");
  // Ben sees it, and all agree: the weight is told again, nothing is retracted.
  const protocol::Feedback fourth = Fetch(Say(ben, Json::Array{Word("s-0", "class-0")}));
  EXPECT_TRUE(fourth.retract.empty());
  ASSERT_EQ(fourth.labels.size(), 1u);
  EXPECT_EQ(fourth.labels[0].weight, 1.0);
  // Whoever takes it back takes it back for all.
  const protocol::Feedback fifth = Fetch(Say(ann, Json::Array{Word("s-0", nullptr)}));
  EXPECT_EQ(fifth.retract, std::vector<std::string>{"s-0"});
  EXPECT_TRUE(fifth.labels.empty());
  EXPECT_EQ(At(admin_->Get("/api/v1/drift-events/ev-1").json(), "samples_labelled").as_int(), 0);
}

TEST_F(Adaptations, OpenAClassOnlyWhereThatIsMeant) {
  SendEvent(2);
  const auto give = [&](const Json& labels) {
    return admin_->Post("/api/v1/drift-events/ev-1/verdicts",
                        Json::MakeObject({{"labels", labels}}));
  };
  const Answer typo = give(Json::Array{Word("s-0", "clas-0")});
  EXPECT_EQ(typo.status, 400);
  EXPECT_NE(At(typo.json(), "error.message").as_string().find("opens_class"), std::string::npos);
  EXPECT_EQ(give(Json::Array{Word("s-0", "a\nb", true)}).status, 400);
  const protocol::Feedback letter =
      Fetch(Say(*admin_, Json::Array{Word("s-0", "letter", true), Word("s-1", "class-1", true)}));
  ASSERT_EQ(letter.labels.size(), 2u);
  EXPECT_TRUE(letter.labels[0].opens_class);
  EXPECT_FALSE(letter.labels[1].opens_class) << "the model has that class";
  const Json event = admin_->Get("/api/v1/drift-events/ev-1").json();
  EXPECT_EQ(At(event, "opened").Write(), "[\"letter\"]");
  EXPECT_EQ(At(event, "labels").as_array().size(), 4u);
  // Once opened it is a label like any other.
  const protocol::Feedback again = Fetch(Say(*admin_, Json::Array{Word("s-1", "letter")}));
  ASSERT_EQ(again.labels.size(), 1u);
  EXPECT_TRUE(again.labels[0].opens_class);

  protocol::AdaptationReport report = Report("a-1", Learned(2, 0));
  report.labels = {{"s-0", "opened_class"}, {"s-1", "refused"}};
  ASSERT_EQ(SendReport(report), "processed");
  const Json told = admin_->Get("/api/v1/drift-events/ev-1").json();
  EXPECT_EQ(At(told, "samples.0.outcome").as_string(), "opened_class");
  EXPECT_EQ(At(told, "samples.1.outcome").as_string(), "refused");
}

}  // namespace
}  // namespace tests
