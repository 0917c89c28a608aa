// A person's words on one device, from the question to the acknowledgement: nothing is acknowledged
// before it answers frames, over a kill as well, and what was learned can be taken back.

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/logger.h"
#include "base/random.h"
#include "base/text.h"
#include "protocol/samples.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/adapt/retract.h"
#include "tinylcm/pipeline/lifecycle.h"
#include "tinylcm/src/pipeline/small_array_test.h"

namespace tinylcm::pipeline {
namespace {

constexpr std::uint64_t kSeed = 7;

class Packages final : public Outbox {
 public:
  base::Status Send(std::string_view type, const std::string&,
                    std::vector<protocol::PackageFile> files) override {
    sent.emplace_back(std::string(type), std::move(files));
    return {};
  }
  static const protocol::PackageFile* Find(const std::vector<protocol::PackageFile>& files,
                                           std::string_view path) {
    for (const protocol::PackageFile& file : files) {
      if (file.path == path) return &file;
    }
    return nullptr;
  }
  // Every sample set of that type, oldest first.
  std::vector<protocol::SampleSet> Samples(std::string_view type) const {
    std::vector<protocol::SampleSet> sets;
    for (const auto& [sent_type, files] : sent) {
      const auto* file = Find(files, protocol::kSamplesPath);
      if (sent_type == type && file != nullptr) {
        sets.push_back(protocol::ParseSampleSet(base::AsText(file->bytes)).value());
      }
    }
    return sets;
  }
  // The reports that acknowledge a feedback.
  std::vector<protocol::AdaptationReport> Acknowledged(const std::string& feedback_id) const {
    std::vector<protocol::AdaptationReport> reports;
    for (const auto& [type, files] : sent) {
      if (type != protocol::kTypeAdaptation) continue;
      auto report = protocol::ParseAdaptationReport(
                        base::AsText(Find(files, protocol::kAdaptationPath)->bytes))
                        .value();
      if (report.feedback_id == feedback_id) reports.push_back(std::move(report));
    }
    return reports;
  }
  std::vector<std::pair<std::string, std::vector<protocol::PackageFile>>> sent;
};

class NoLogger final : public base::Logger {
 public:
  void Write(base::LogLevel, std::string_view message) override { said += message; }
  std::string said;
};

// All files below a folder, on a disk of their own.
void CopyTree(tests::FakeFileSystem& from, const std::string& folder, tests::FakeFileSystem& to) {
  ASSERT_TRUE(to.CreateDirectories(folder).ok());
  const auto files = from.List(folder).value();
  for (const base::FileInfo& file : files) {
    const std::string path = base::JoinPath(folder, file.name);
    if (file.is_directory) {
      CopyTree(from, path, to);
    } else {
      to.Write(path, base::ReadFile(from, path, 64u << 20).value());
    }
  }
}

class FeedbackLoop : public testing::Test {
 protected:
  void SetUp() override {
    Start();
    Stream(400, false);
    Stream(400, true);
    ASSERT_EQ(outbox_.Samples(protocol::kTypeDriftEvent).size(), 1u) << logger_.said;
  }

  void Start() {
    LifecycleOptions options;
    options.folder = "/device/lifecycle";
    options.seed = kSeed;
    // Labels alone change anything, whenever they come.
    options.mode = adapt::Mode::kAutonomous;
    Lifecycle::Parts parts;
    parts.fs = fs_.get();
    parts.clock = &clock_;
    parts.logger = &logger_;
    parts.outbox = &outbox_;
    parts.make_id = [this] { return base::StrCat("id", ++ids_); };
    auto opened = Lifecycle::Open(options, parts, bundle_);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    lifecycle_ = std::move(*opened);
    path_ = std::make_unique<FramePath>(lifecycle_->TakeFirstStage(), lifecycle_->first_index());
    lifecycle_->Attach(*path_);
  }
  void KillAndRestart() {
    lifecycle_.reset();
    path_.reset();
    Start();
  }
  Seen Show(bool aged) {
    source::Frame frame;
    const auto label = static_cast<std::uint16_t>(random_.Below(kClasses));
    frame.row = aged ? MakeCrossedRow(random_, label) : MakeRow(random_, label, false);
    frame.time = clock_.Now();
    auto seen = path_->Process(std::move(frame));
    EXPECT_TRUE(seen.ok());
    truth_[seen->index] = label;
    lifecycle_->OnSeen(*seen);
    return *std::move(seen);
  }
  void Stream(int rows, bool aged) {
    for (int i = 0; i < rows; ++i) Show(aged);
    lifecycle_->Tick();
  }
  protocol::Feedback Answers(const std::string& id) {
    protocol::Feedback feedback;
    feedback.feedback_id = id;
    feedback.bundle = bundle_->bundle;
    const protocol::SampleSet asked = outbox_.Samples(protocol::kTypeDriftEvent).back();
    for (const auto& sample : asked.samples) {
      feedback.labels.push_back(
          {sample.sample_id, bundle_->manifest.labels[truth_.at(sample.index)], 1.0, 1});
    }
    return feedback;
  }

  std::shared_ptr<const model::ModelBundle> bundle_ = MakeBundle("1.0.0", 1);
  std::unique_ptr<tests::FakeFileSystem> fs_ = std::make_unique<tests::FakeFileSystem>();
  tests::FakeClock clock_;
  Packages outbox_;
  NoLogger logger_;
  base::Random random_{kSeed};
  std::map<std::uint64_t, std::uint16_t> truth_;
  int ids_ = 0;
  std::unique_ptr<Lifecycle> lifecycle_;
  std::unique_ptr<FramePath> path_;
};

TEST_F(FeedbackLoop, AcknowledgesOnceTheFrameThatIsAnsweredByItWasAnswered) {
  const std::uint64_t before = Show(true).revision;
  const protocol::Feedback feedback = Answers("f-1");
  ASSERT_TRUE(lifecycle_->OnFeedback(feedback).ok());
  const std::uint64_t decided = lifecycle_->status().revision;
  ASSERT_GT(decided, before) << "the labels of an aged array change what serves: " << logger_.said;
  lifecycle_->Tick();
  EXPECT_TRUE(outbox_.Acknowledged("f-1").empty()) << "no frame was answered by it yet";
  // The same letter meanwhile is one letter.
  ASSERT_TRUE(lifecycle_->OnFeedback(feedback).ok());
  EXPECT_TRUE(outbox_.Acknowledged("f-1").empty());

  EXPECT_EQ(Show(true).revision, decided);
  const auto reports = outbox_.Acknowledged("f-1");
  ASSERT_EQ(reports.size(), 1u);
  EXPECT_EQ(reports[0].labels.size(), feedback.labels.size());
  for (const auto& label : reports[0].labels) EXPECT_EQ(label.outcome, "applied");
  ASSERT_TRUE(reports[0].adaptation_sha256.has_value());
  const auto* bytes = Packages::Find(outbox_.sent.back().second, protocol::kAdaptationBytesPath);
  ASSERT_NE(bytes, nullptr) << "what it is about goes along";
}

TEST_F(FeedbackLoop, AcknowledgesAfterAKillBetweenDecidingAndAnswering) {
  Show(true);
  const protocol::Feedback feedback = Answers("f-1");
  ASSERT_TRUE(lifecycle_->OnFeedback(feedback).ok());
  const std::uint64_t decided = lifecycle_->status().revision;
  KillAndRestart();
  EXPECT_EQ(Show(true).revision, decided) << "what was decided serves from the first frame on";
  ASSERT_EQ(outbox_.Acknowledged("f-1").size(), 1u);
  const protocol::AdaptationReport report = outbox_.Acknowledged("f-1")[0];
  for (const auto& label : report.labels) EXPECT_EQ(label.outcome, "applied");
  // The letter comes again, for the server has not seen the answer yet.
  KillAndRestart();
  ASSERT_TRUE(lifecycle_->OnFeedback(feedback).ok());
  Show(true);
  ASSERT_EQ(outbox_.Acknowledged("f-1").size(), 2u);
  EXPECT_EQ(outbox_.Acknowledged("f-1")[1].text, "this feedback was applied before");
  EXPECT_EQ(lifecycle_->status().labels_applied, feedback.labels.size()) << "applied once";
}

// A kill at every fifth write of what a feedback brings about: in the end it is applied once and
// acknowledged, and what answers is what was judged.
TEST_F(FeedbackLoop, IsAppliedAndAcknowledgedWhereverAKillComes) {
  const protocol::Feedback feedback = Answers("f-1");
  lifecycle_->SaveAll();
  const std::unique_ptr<tests::FakeFileSystem> before = std::move(fs_);
  std::optional<std::string> expected;
  for (int n = 0, reached = 1; reached != 0; n += 5) {
    SCOPED_TRACE(testing::Message() << "power off at operation " << n);
    lifecycle_.reset();
    path_.reset();
    fs_ = std::make_unique<tests::FakeFileSystem>();
    CopyTree(*before, "/device", *fs_);
    outbox_.sent.clear();
    Start();
    fs_->PowerOffAt(n);
    static_cast<void>(lifecycle_->OnFeedback(feedback).ok());
    reached = fs_->power_is_off() ? 1 : 0;
    fs_->Crash(kSeed);
    KillAndRestart();
    // Until it is acknowledged the server offers it; a restart asks for it again.
    ASSERT_TRUE(lifecycle_->OnFeedback(feedback).ok());
    Show(true);
    lifecycle_->Tick();
    Show(true);
    lifecycle_->Tick();
    ASSERT_GE(outbox_.Acknowledged("f-1").size(), 1u) << logger_.said.substr(
        logger_.said.size() - std::min<std::size_t>(logger_.said.size(), 600));
    const LifecycleStatus status = lifecycle_->status();
    if (!expected) expected = status.challenger;
    EXPECT_EQ(status.challenger, *expected);
    EXPECT_EQ(lifecycle_->quarantine().labels().size(), feedback.labels.size());
    ASSERT_LT(n, 300) << "it writes that often?";
  }
}

TEST_F(FeedbackLoop, TakesBackWhatItLearnedFromALabel) {
  Show(true);
  const protocol::Feedback feedback = Answers("f-1");
  ASSERT_TRUE(lifecycle_->OnFeedback(feedback).ok());
  Show(true);
  const std::vector<std::string> one = {feedback.labels[0].sample_id};
  const auto served = [&]() -> std::optional<adapt::Adaptation> {
    for (auto it = outbox_.sent.rbegin(); it != outbox_.sent.rend(); ++it) {
      if (const auto* bytes = Packages::Find(it->second, protocol::kAdaptationBytesPath)) {
        return adapt::ParseAdaptation(bytes->bytes).value();
      }
    }
    return std::nullopt;
  };
  ASSERT_TRUE(served() && adapt::IsTaughtBy(*served(), one));

  protocol::Feedback back;
  back.feedback_id = "f-2";
  back.bundle = bundle_->bundle;
  back.retract = one;
  ASSERT_TRUE(lifecycle_->OnFeedback(back).ok());
  Show(true);
  const auto reports = outbox_.Acknowledged("f-2");
  ASSERT_EQ(reports.size(), 1u);
  ASSERT_EQ(reports[0].labels.size(), 1u);
  EXPECT_EQ(reports[0].labels[0].outcome, "retracted");
  EXPECT_FALSE(adapt::IsTaughtBy(*served(), one));
  EXPECT_FALSE(lifecycle_->quarantine().labels().contains(one[0]));
}

TEST_F(FeedbackLoop, LearnsWhatIsUsualFromWhatItCollectedWhenThatWasToBeExpected) {
  const auto learned = [&] { return path_->drift_standing().learned; };
  protocol::Feedback feedback;
  feedback.feedback_id = "f-1";
  feedback.events.push_back({lifecycle_->event()->event_id, protocol::EventVerdict::kExpected});
  ASSERT_TRUE(lifecycle_->OnFeedback(feedback).ok());
  EXPECT_GE(learned(), 299u) << "300 samples since the alarm were collected";
  EXPECT_EQ(outbox_.Acknowledged("f-1").size(), 1u) << "nothing else has to answer first";
  Stream(20, true);
  EXPECT_EQ(path_->drift_phase(), drift::DriftMonitor::Phase::kWatching);
  // What was expected is usual from now on; what was usual before would be news.
  Stream(300, true);
  EXPECT_EQ(lifecycle_->status().events.size(), 1u);
  Stream(300, false);
  EXPECT_EQ(lifecycle_->status().events.size(), 2u);
}

TEST_F(FeedbackLoop, SendsMoreSamplesOnceAndNotAgainAfterARestart) {
  const std::string event_id = lifecycle_->event()->event_id;
  ASSERT_TRUE(lifecycle_->SendSamples(event_id, 5).ok());
  ASSERT_TRUE(lifecycle_->SendSamples(event_id, 5).ok());
  auto sets = outbox_.Samples(protocol::kTypeSamples);
  ASSERT_EQ(sets.size(), 1u);
  EXPECT_EQ(sets[0].samples.size(), 5u);
  KillAndRestart();
  ASSERT_TRUE(lifecycle_->SendSamples(event_id, 5).ok());
  EXPECT_EQ(outbox_.Samples(protocol::kTypeSamples).size(), 1u);
  ASSERT_TRUE(lifecycle_->SendSamples(event_id, 7).ok());  // In all: two more.
  sets = outbox_.Samples(protocol::kTypeSamples);
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_EQ(sets[1].samples.size(), 2u);
  // They may be labelled like those of the question.
  protocol::Feedback feedback;
  feedback.feedback_id = "f-1";
  for (const auto& sample : sets[0].samples) feedback.labels.push_back({sample.sample_id, "a"});
  ASSERT_TRUE(lifecycle_->OnFeedback(feedback).ok());
  EXPECT_EQ(lifecycle_->quarantine().labels().size(), 5u);
  // An event nobody knows is answered, too, or the server would ask for ever.
  ASSERT_TRUE(lifecycle_->SendSamples("e-unknown", 3).ok());
  EXPECT_TRUE(outbox_.Samples(protocol::kTypeSamples).back().samples.empty());
}

TEST_F(FeedbackLoop, OpensAClassThatAPersonNamesAndSaysItByItsName) {
  Show(true);
  protocol::Feedback feedback = Answers("f-1");
  std::size_t opened = 0;
  for (auto& label : feedback.labels) {
    if (label.label != "d") continue;
    label.label = "crab";
    label.opens_class = true;
    ++opened;
  }
  ASSERT_GT(opened, 2u);
  ASSERT_TRUE(lifecycle_->OnFeedback(feedback).ok());
  Show(true);
  const auto reports = outbox_.Acknowledged("f-1");
  ASSERT_EQ(reports.size(), 1u);
  std::map<std::string, int> outcomes;
  for (const auto& label : reports[0].labels) ++outcomes[label.outcome];
  EXPECT_EQ(outcomes["opened_class"], 1) << "the first that named it";
  EXPECT_EQ(lifecycle_->quarantine().opened(), std::vector<std::string>{"crab"});
  KillAndRestart();
  EXPECT_EQ(lifecycle_->quarantine().opened(), std::vector<std::string>{"crab"});
  for (const auto& [id, label] : lifecycle_->quarantine().labels()) {
    EXPECT_LE(label.label, kClasses) << id;
  }
}

}  // namespace
}  // namespace tinylcm::pipeline
