// The loop on one device, without threads, disk or network: rows of a small sensor array come in,
// one block of channels ages, labels are asked for and answered, accuracy comes back.

#include "tinylcm/pipeline/lifecycle.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/crypto.h"
#include "base/logger.h"
#include "base/random.h"
#include "base/text.h"
#include "protocol/learned_model.h"
#include "protocol/samples.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/src/pipeline/small_array_test.h"

namespace tinylcm::pipeline {
namespace {

constexpr std::uint64_t kSeed = 7;

class CollectingOutbox final : public Outbox {
 public:
  base::Status Send(std::string_view type, const std::string&,
                    std::vector<protocol::PackageFile> files) override {
    if (fails || type == fails_for) {
      return base::Error{base::ErrorCode::kExhausted, "queue: no room"};
    }
    sent.emplace_back(std::string(type), std::move(files));
    return {};
  }
  int Count(std::string_view type) const {
    int count = 0;
    for (const auto& [sent_type, files] : sent) count += sent_type == type ? 1 : 0;
    return count;
  }
  const protocol::PackageFile& File(std::string_view type, std::string_view path) const {
    for (auto it = sent.rbegin(); it != sent.rend(); ++it) {
      if (it->first != type) continue;
      for (const auto& file : it->second) {
        if (file.path == path) return file;
      }
    }
    static const protocol::PackageFile none;
    ADD_FAILURE() << "no " << type << " with " << path;
    return none;
  }
  std::vector<std::pair<std::string, std::vector<protocol::PackageFile>>> sent;
  bool fails = false;
  std::string_view fails_for;  // Packages of this type only.
};

class KeepingLogger final : public base::Logger {
 public:
  void Write(base::LogLevel, std::string_view message) override { said += message; }
  int Count(std::string_view text) const {
    int count = 0;
    for (std::size_t at = said.find(text); at != std::string::npos; at = said.find(text, at + 1)) {
      ++count;
    }
    return count;
  }
  std::string said;
};

class LifecycleTest : public testing::Test {
 protected:
  void SetUp() override { Start(MakeBundle("1.0.0", 1)); }

  void Start(std::shared_ptr<const model::ModelBundle> bundle,
             adapt::Mode mode = adapt::Mode::kAutonomous) {
    LifecycleOptions options;
    options.mode = mode;
    options.folder = "/device/lifecycle";
    options.seed = kSeed;
    options.health_frames = 50;
    options.masks = masks_;
    options.cycle = cycle_;
    options.alarm = alarm_;
    options.pseudo_labels = pseudo_labels_;
    Lifecycle::Parts parts;
    parts.fs = &fs_;
    parts.clock = &clock_;
    parts.logger = &logger_;
    parts.outbox = &outbox_;
    parts.make_id = [this] { return base::StrCat("id", ++ids_); };
    auto opened = Lifecycle::Open(options, parts, std::move(bundle));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    lifecycle_ = std::move(*opened);
    path_ = std::make_unique<FramePath>(lifecycle_->TakeFirstStage(), lifecycle_->first_index());
    lifecycle_->Attach(*path_);
  }

  // A kill: nothing is told, only what is on the disk stays.
  void KillAndRestart(std::shared_ptr<const model::ModelBundle> bundle,
                      adapt::Mode mode = adapt::Mode::kAutonomous) {
    lifecycle_.reset();
    path_.reset();
    Start(std::move(bundle), mode);
  }

  // Streams rows and returns the share that was answered right.
  double Stream(int rows, bool aged) {
    int right = 0;
    for (int i = 0; i < rows; ++i) {
      source::Frame frame;
      const auto label = static_cast<std::uint16_t>(random_.Below(kClasses));
      frame.row =
          aged && is_crossed_ ? MakeCrossedRow(random_, label) : MakeRow(random_, label, aged);
      frame.time = clock_.Now();
      auto seen = path_->Process(std::move(frame));
      EXPECT_TRUE(seen.ok());
      truth_[seen->index] = label;
      EXPECT_TRUE(indices_.insert(seen->index).second) << "index used twice";
      right += seen->prediction.label == label ? 1 : 0;
      lifecycle_->OnSeen(*seen);
    }
    lifecycle_->Tick();
    return static_cast<double>(right) / rows;
  }

  // Rows as they always were, but seven in ten (.6 + .4 / 4) are of class "a": an alarm about how
  // often each class comes, and nothing to put right.
  void StreamMostlyA(int rows) {
    for (int i = 0; i < rows; ++i) {
      source::Frame frame;
      const auto label = static_cast<std::uint16_t>(
          random_.Uniform() < 0.6 ? 0 : static_cast<std::uint16_t>(random_.Below(kClasses)));
      frame.row = MakeRow(random_, label, false);
      frame.time = clock_.Now();
      auto seen = path_->Process(std::move(frame));
      ASSERT_TRUE(seen.ok());
      truth_[seen->index] = label;
      lifecycle_->OnSeen(*seen);
    }
    lifecycle_->Tick();
  }

  protocol::SampleSet Asked() {
    const auto& file = outbox_.File(protocol::kTypeDriftEvent, protocol::kSamplesPath);
    return *protocol::ParseSampleSet(base::AsText(file.bytes));
  }

  protocol::Feedback Answers(const std::string& id) {
    static constexpr const char* kNames[] = {"a", "b", "c", "d"};
    protocol::Feedback feedback;
    feedback.feedback_id = id;
    for (const auto& sample : Asked().samples) {
      feedback.labels.push_back({sample.sample_id, kNames[truth_.at(sample.index)], 1.0, 1});
    }
    return feedback;
  }

  bool is_crossed_ = false;  // What is wrong cannot be put right without labels.
  tests::FakeFileSystem fs_;
  tests::FakeClock clock_;
  CollectingOutbox outbox_;
  KeepingLogger logger_;
  base::Duration cycle_{0};
  std::optional<drift::AlarmRule> alarm_;
  bool pseudo_labels_ = false;
  std::unique_ptr<Lifecycle> lifecycle_;
  std::unique_ptr<FramePath> path_;
  base::Random random_{kSeed};
  std::map<std::uint64_t, std::uint16_t> truth_;
  std::set<std::uint64_t> indices_;
  std::vector<source::MaskRegion> masks_;
  int ids_ = 0;
};

TEST_F(LifecycleTest, StaysQuietWhileNothingChanges) {
  EXPECT_GT(Stream(3000, false), 0.95);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 0);
  EXPECT_TRUE(lifecycle_->status().events.empty());
  EXPECT_FALSE(lifecycle_->wants_frames());
}

TEST_F(LifecycleTest, AnAlarmIsLoggedWithItsEvidence) {
  Stream(1000, false);
  Stream(100, true);
  ASSERT_FALSE(lifecycle_->status().transitions.empty());
  const std::string why = lifecycle_->status().transitions[0].why;
  EXPECT_TRUE(why.starts_with("alarm: evidence 10^")) << why;
  EXPECT_TRUE(why.ends_with(", 10^6 is asked")) << why;
}

TEST_F(LifecycleTest, AsksForAtMostTwentyFourLabelsOnceSomethingAges) {
  Stream(1000, false);
  Stream(400, true);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1);
  const protocol::SampleSet asked = Asked();
  EXPECT_LE(asked.samples.size(), 24u);
  EXPECT_GE(asked.samples.size(), 10u);
  for (const auto& sample : asked.samples) EXPECT_TRUE(sample.csv_row().has_value());
}

TEST_F(LifecycleTest, NamesFiveSamplesThatStandForTheRestBeforeAnybodyIsAsked) {
  Stream(1000, false);
  for (int i = 0; i < 100 && !lifecycle_->event(); ++i) Stream(1, true);
  ASSERT_TRUE(lifecycle_->event().has_value());
  Stream(30, true);  // The explanation is sharpened at the twenty-fifth.
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 0);
  const protocol::DriftEvent& event = *lifecycle_->event();
  EXPECT_EQ(event.samples.size(), 5u);
  for (const std::string& id : event.samples) {
    EXPECT_NE(lifecycle_->quarantine().Find(id), nullptr) << id;
  }
  EXPECT_TRUE(lifecycle_->WantedSamples().empty());
  EXPECT_EQ(event.target_samples, 1'000'000);
}

TEST_F(LifecycleTest, NamesFiveOfTheFewThatCameBeforeTheStreamEnded) {
  Stream(1000, false);
  for (int i = 0; i < 100 && !lifecycle_->event(); ++i) Stream(1, true);
  ASSERT_TRUE(lifecycle_->event().has_value());
  Stream(8, true);
  lifecycle_->SaveAll();
  const std::set<std::string> named(lifecycle_->event()->samples.begin(),
                                    lifecycle_->event()->samples.end());
  EXPECT_EQ(named.size(), 5u);
  for (const std::string& id : named) {
    EXPECT_NE(lifecycle_->quarantine().Find(id), nullptr) << id;
  }
}

TEST_F(LifecycleTest, SaysThatARuleOnClassesWhichComeInSpellsWatchesNothing) {
  alarm_ = {.detector = "cusum", .signal = drift::Signal::kClassMix};
  Start(MakeBundle("1.0.0", 1));
  for (int i = 0; i < 1500; ++i) {
    source::Frame frame;
    frame.row = MakeRow(random_, static_cast<std::uint16_t>(i / 50 % 2), false);
    frame.time = clock_.Now();
    lifecycle_->OnSeen(path_->Process(std::move(frame)).value());
  }
  EXPECT_NE(logger_.said.find("the alarm rule watches class_mix, which comes in spells"),
            std::string::npos)
      << logger_.said;
}

// Nobody knows how often a limit set by hand alarms for nothing.
TEST_F(LifecycleTest, NamesNoRateOfFalseAlarmsWhereALimitWasSetByHand) {
  alarm_ = {.detector = "cusum", .options = {{"h", "12"}}};
  Start(MakeBundle("1.0.0", 1));
  Stream(1000, false);
  for (int i = 0; i < 100 && !lifecycle_->event(); ++i) Stream(1, true);
  ASSERT_TRUE(lifecycle_->event().has_value());
  EXPECT_EQ(lifecycle_->event()->target_samples, std::nullopt);
  Stream(400, true);
  ASSERT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1);
  EXPECT_EQ(lifecycle_->event()->target_samples, std::nullopt);
}

TEST_F(LifecycleTest, NamesTheRateThatADetectorsLimitWasSolvedFor) {
  alarm_ = {.detector = "cusum"};
  Start(MakeBundle("1.0.0", 1));
  Stream(1000, false);
  for (int i = 0; i < 100 && !lifecycle_->event(); ++i) Stream(1, true);
  ASSERT_TRUE(lifecycle_->event().has_value());
  EXPECT_EQ(lifecycle_->event()->target_samples, 1'000'000);
}

TEST_F(LifecycleTest, WritesDownWhatAnEventMeansForPeople) {
  Stream(1000, false);
  Stream(400, true);
  const EventLog log = EventLog::Open(fs_, "/device/lifecycle").value();
  ASSERT_EQ(log.events().size(), 1u);
  EXPECT_EQ(log.events()[0].event, *lifecycle_->event());
  EXPECT_EQ(log.events()[0].event.samples.size(), Asked().samples.size());
  ASSERT_FALSE(log.events()[0].event.signals.empty());
  // A kill and a broken page later, the device goes on and says what it can.
  const std::string path = log.path();
  ASSERT_TRUE(base::WriteFileDurably(fs_, path, base::AsBytes("torn")).ok());
  KillAndRestart(MakeBundle("1.0.0", 1));
  EXPECT_FALSE(EventLog::Open(fs_, "/device/lifecycle").ok());
  Stream(10, false);
}

TEST_F(LifecycleTest, MasksArePicturesBusinessAndKeepNoRowFromTheQuarantine) {
  masks_ = {{.x = 0.0, .y = 0.5, .width = 1.0, .height = 0.25}};
  Start(MakeBundle("1.0.0", 1));
  Stream(1000, false);
  Stream(400, true);
  ASSERT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1);
  EXPECT_GE(Asked().samples.size(), 10u);
}

TEST_F(LifecycleTest, AgedChannelsArePutRightWithoutALabel) {
  const double before = Stream(1000, false);
  Stream(400, true);
  EXPECT_EQ(lifecycle_->status().hypothesis, "row_gain");
  EXPECT_EQ(lifecycle_->status().challenger, "none");
  EXPECT_GT(Stream(600, true), 0.97 * before);
  // What people are asked about is what the sensors said, not what was made of it.
  const auto kept =
      base::AsText(outbox_.File(protocol::kTypeDriftEvent, protocol::kRowsPath).bytes);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1);
  EXPECT_FALSE(kept.empty());
  // A restart serves the same, and the rows come right through it.
  KillAndRestart(MakeBundle("1.0.0", 1));
  EXPECT_EQ(lifecycle_->status().hypothesis, "row_gain");
  EXPECT_GT(Stream(300, true), 0.97 * before);
}

TEST_F(LifecycleTest, DeadChannelsAreToldByTheOthersWithoutALabel) {
  constexpr std::size_t kDead[] = {1, 6, 8, 15};
  const double before = Stream(1000, false);
  struct Seen {
    double right = 0.0;
    double distance = 0.0;  // To the anchors.
  };
  const auto show = [&](int rows) {
    Seen mean;
    for (int i = 0; i < rows; ++i) {
      source::Frame frame;
      const auto label = static_cast<std::uint16_t>(random_.Below(kClasses));
      frame.row = MakeRow(random_, label, false);
      for (const std::size_t channel : kDead) frame.row[channel] = 5.0f;
      frame.time = clock_.Now();
      const auto seen = path_->Process(std::move(frame));
      EXPECT_TRUE(seen.ok());
      mean.right += (seen->prediction.nearest == label ? 1.0 : 0.0) / rows;
      mean.distance += static_cast<double>(seen->prediction.anchor_distance) / rows;
      lifecycle_->OnSeen(*seen);
    }
    lifecycle_->Tick();
    return mean;
  };
  const Seen dead = show(50);
  show(250);
  EXPECT_EQ(lifecycle_->status().hypothesis, "repair");
  EXPECT_EQ(lifecycle_->status().challenger, "none");
  const Seen told = show(300);
  EXPECT_GT(told.right, 0.95 * before);
  EXPECT_LT(told.distance, 0.7 * dead.distance);
}

TEST_F(LifecycleTest, LabelsBringAccuracyBack) {
  is_crossed_ = true;
  const double before = Stream(1000, false);
  Stream(100, true);
  const double drifted = Stream(300, true);
  ASSERT_LT(drifted, before - 0.1) << "the change must cost something, or there is nothing to show";
  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-1")).ok());
  const double after = Stream(600, true);
  EXPECT_GT(after, 0.93 * before) << lifecycle_->status().challenger;
  EXPECT_EQ(lifecycle_->status().labels_applied, Asked().samples.size());
  EXPECT_GE(outbox_.Count(protocol::kTypeAdaptation), 1);
}

TEST_F(LifecycleTest, TheSameFeedbackTwiceCountsOnce) {
  Stream(1000, false);
  Stream(400, true);
  const protocol::Feedback feedback = Answers("f-1");
  ASSERT_TRUE(lifecycle_->OnFeedback(feedback).ok());
  const auto once = lifecycle_->status();
  ASSERT_TRUE(lifecycle_->OnFeedback(feedback).ok());
  EXPECT_EQ(lifecycle_->status().labels_applied, once.labels_applied);
  EXPECT_EQ(lifecycle_->status().revision, once.revision);
}

TEST_F(LifecycleTest, AKillInTheMiddleLosesNeitherEvidenceNorAdaptation) {
  is_crossed_ = true;
  Stream(1000, false);
  Stream(400, true);
  fs_.Crash();
  KillAndRestart(MakeBundle("1.0.0", 1));
  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-1")).ok());
  const std::string challenger = lifecycle_->status().challenger;
  ASSERT_NE(challenger, "none");
  fs_.Crash();
  KillAndRestart(MakeBundle("1.0.0", 1));
  EXPECT_EQ(lifecycle_->status().challenger, challenger);
  EXPECT_GT(Stream(600, true), 0.9);
}

TEST_F(LifecycleTest, AKillRightAfterCommissioningDoesNotMakeTheDriftTheNewNormal) {
  Stream(310, false);  // 300 commission.
  fs_.Crash();
  KillAndRestart(MakeBundle("1.0.0", 1));
  Stream(400, true);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1);
}

TEST_F(LifecycleTest, WhatTheDriftMonitorLearnedStaysOverARestart) {
  Stream(500, false);
  lifecycle_->SaveAll();
  KillAndRestart(MakeBundle("1.0.0", 1));
  EXPECT_EQ(lifecycle_->status().drift.phase, drift::DriftMonitor::Phase::kWatching);
  EXPECT_EQ(logger_.Count("learned anew"), 0) << logger_.said;
}

TEST_F(LifecycleTest, AFlippedBitInWhatWasLearnedMakesItLearnAnewAndSaySo) {
  Stream(500, false);
  lifecycle_->SaveAll();
  base::Bytes block = *base::ReadFile(fs_, "/device/lifecycle/drift.bin", 1 << 20);
  block[block.size() / 2] ^= 0x10;
  ASSERT_TRUE(base::WriteFileDurably(fs_, "/device/lifecycle/drift.bin", block).ok());
  KillAndRestart(MakeBundle("1.0.0", 1));
  EXPECT_EQ(lifecycle_->status().drift.phase, drift::DriftMonitor::Phase::kLearning);
  EXPECT_EQ(logger_.Count("learned anew: drift state: its checksum is wrong"), 1) << logger_.said;
  Stream(400, false);
  EXPECT_EQ(lifecycle_->status().drift.phase, drift::DriftMonitor::Phase::kWatching);
}

TEST_F(LifecycleTest, WhatAnEarlierVersionLearnedIsLearnedAnewAndThatIsSaidOnce) {
  ASSERT_TRUE(base::WriteFileDurably(fs_, "/device/lifecycle/drift.json",
                                     base::AsBytes(R"({"bundle":"x","revision":0})"))
                  .ok());
  KillAndRestart(MakeBundle("1.0.0", 1));
  EXPECT_EQ(logger_.Count("drift reference learned anew: drift.json is of a version"), 1);
  KillAndRestart(MakeBundle("1.0.0", 1));
  EXPECT_EQ(logger_.Count("drift reference learned anew: drift.json is of a version"), 1);
  EXPECT_FALSE(fs_.Stat("/device/lifecycle/drift.json").ok());
}

TEST_F(LifecycleTest, AClockSetBackInTheMiddleOfACycleRaisesNothing) {
  cycle_ = std::chrono::hours(1);
  KillAndRestart(MakeBundle("1.0.0", 1));
  for (int i = 0; i < 200; ++i) {
    Stream(10, false);
    clock_.Advance(std::chrono::minutes(2));
    if (i == 150) clock_.JumpTo(tests::FakeClock::kStart - std::chrono::hours(24 * 365 * 60));
    if (i == 180) clock_.JumpTo(tests::FakeClock::kStart + std::chrono::hours(24 * 365));
  }
  EXPECT_EQ(lifecycle_->status().drift.phase, drift::DriftMonitor::Phase::kWatching);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 0)
      << lifecycle_->status().events[0].index << ": " << lifecycle_->status().events[0].text;
}

TEST_F(LifecycleTest, AFullQuarantineIsAskedAboutEvenIfAKillCameInBetween) {
  Stream(1000, false);
  outbox_.fails = true;  // The queue takes nothing: the question waits.
  Stream(400, true);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 0);
  fs_.Crash();
  outbox_.fails = false;
  KillAndRestart(MakeBundle("1.0.0", 1));
  Stream(10, true);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1);
}

TEST_F(LifecycleTest, ANewBundleKeepsWhatWasLearned) {
  is_crossed_ = true;
  Stream(1000, false);
  Stream(400, true);
  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-1")).ok());
  Stream(400, true);
  bool was_told = false;
  ASSERT_TRUE(lifecycle_
                  ->SwapBundle(MakeBundle("1.1.0", 2), "deployment-1",
                               [&](bool healthy, const protocol::UpdateReport& report) {
                                 was_told = true;
                                 EXPECT_TRUE(healthy) << report.detail;
                                 EXPECT_EQ(report.version, "1.1.0");
                                 EXPECT_GT(report.labels_kept, 0u);
                               })
                  .ok());
  EXPECT_GT(Stream(600, true), 0.9);
  EXPECT_TRUE(was_told);
  EXPECT_NE(lifecycle_->status().challenger, "none");
}

TEST_F(LifecycleTest, ABundleThatDisagreesGoesBackByItself) {
  Stream(1000, false);
  auto wrong = std::make_shared<model::ModelBundle>(*MakeBundle("1.2.0", 3));
  for (std::uint16_t& label : wrong->anchors.labels) {
    label = static_cast<std::uint16_t>((label + 1) % kClasses);
  }
  for (std::uint16_t& label : wrong->golden.labels) {
    label = static_cast<std::uint16_t>((label + 1) % kClasses);
  }
  bool healthy = true;
  ASSERT_TRUE(lifecycle_
                  ->SwapBundle(wrong, "deployment-2",
                               [&](bool is_healthy, const protocol::UpdateReport& report) {
                                 healthy = is_healthy;
                                 EXPECT_EQ(report.outcome, protocol::UpdateOutcome::kRolledBack);
                                 EXPECT_EQ(report.version, "1.0.0");
                               })
                  .ok());
  Stream(100, false);
  EXPECT_FALSE(healthy);
  EXPECT_GT(Stream(300, false), 0.95);
  EXPECT_EQ(lifecycle_->bundle().manifest.version, "1.0.0");
}

// A bundle made of 1.0.0 and what this device committed.
std::shared_ptr<const model::ModelBundle> TaughtBundle(const base::Bytes& adaptation) {
  model::ModelBundle bundle = *MakeBundle("1.0.0", 1);
  bundle.manifest.lineage.parent = bundle.bundle;
  bundle.manifest.lineage.taught_by = {"d-1"};
  bundle.manifest.version = "1.0.1";
  bundle.bundle = std::string(64, 'f');
  bundle.taught = adaptation;
  return std::make_shared<const model::ModelBundle>(std::move(bundle));
}

TEST_F(LifecycleTest, WhatOneDeviceLearnedIsServedByAnotherFromItsFirstRow) {
  is_crossed_ = true;
  Stream(1000, false);
  Stream(400, true);
  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-1")).ok());
  Stream(600, true);
  ASSERT_EQ(lifecycle_->status().state, "stable");
  const double here = Stream(300, true);

  // The package says all that a person needs to make a bundle of it.
  const auto& json = outbox_.File(protocol::kTypeModel, protocol::kModelPath).bytes;
  const auto learned = protocol::ParseLearnedModel(base::AsText(json));
  ASSERT_TRUE(learned.ok()) << learned.error().message;
  const base::Bytes bytes =
      outbox_.File(protocol::kTypeModel, protocol::kAdaptationBytesPath).bytes;
  EXPECT_EQ(learned->adaptation_sha256, base::Sha256Hex(bytes));
  EXPECT_EQ(learned->base_bundle, lifecycle_->bundle().bundle);
  EXPECT_EQ(learned->version, "1.0.0");
  EXPECT_EQ(learned->model_family, "array");
  EXPECT_EQ(learned->challenger, lifecycle_->status().challenger);
  EXPECT_EQ(learned->event_id, lifecycle_->event()->event_id);
  EXPECT_EQ(learned->taught_by, std::vector<std::string>{"f-1"});
  EXPECT_GT(learned->labels, 0u);
  EXPECT_TRUE(learned->canary_before && learned->canary_after);

  // Another device, in the same aged world: right from its first row, and nobody is asked.
  const auto taught = TaughtBundle(bytes);
  fs_.Crash();
  ASSERT_TRUE(base::RemoveTree(fs_, "/device").ok());
  outbox_.sent.clear();
  indices_.clear();
  KillAndRestart(taught);
  EXPECT_EQ(lifecycle_->status().challenger, learned->challenger);
  EXPECT_EQ(lifecycle_->status().revision, 0u);
  EXPECT_GT(Stream(600, true), here - 0.05);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 0);
  EXPECT_EQ(outbox_.Count(protocol::kTypeModel), 0);  // It taught nobody anything new.

  // What cannot be read any more leads back to it, not to a bundle without its notes.
  for (const char* copy : {"/device/lifecycle/lifecycle.a", "/device/lifecycle/lifecycle.b"}) {
    if (base::Exists(fs_, copy)) {
      ASSERT_TRUE(base::WriteFileDurably(fs_, copy, base::AsBytes("torn")).ok());
    }
  }
  indices_.clear();
  KillAndRestart(taught);
  EXPECT_EQ(lifecycle_->status().challenger, learned->challenger);
  EXPECT_GT(Stream(300, true), here - 0.05);
}

TEST_F(LifecycleTest, ADriftedDeviceTakesATaughtVersionThoughItAnswersOtherwise) {
  is_crossed_ = true;
  Stream(1000, false);
  Stream(400, true);
  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-1")).ok());
  Stream(600, true);
  const base::Bytes bytes =
      outbox_.File(protocol::kTypeModel, protocol::kAdaptationBytesPath).bytes;
  ASSERT_TRUE(base::RemoveTree(fs_, "/device").ok());
  indices_.clear();
  KillAndRestart(MakeBundle("1.0.0", 1), adapt::Mode::kMonitoringOnly);
  Stream(400, true);
  const double before = Stream(300, true);
  bool was_told = false;
  const auto swap = [&](std::shared_ptr<const model::ModelBundle> bundle) {
    was_told = false;
    const base::Status swapped =
        lifecycle_->SwapBundle(bundle, base::StrCat("deployment-", ++ids_),
                               [&](bool healthy, const protocol::UpdateReport& report) {
                                 was_told = true;
                                 EXPECT_TRUE(healthy) << report.detail;
                                 EXPECT_EQ(report.labels_kept, 0u);
                               });
    ASSERT_TRUE(swapped.ok()) << swapped.error().message;
  };
  swap(TaughtBundle(bytes));
  const double after = Stream(300, true);
  EXPECT_TRUE(was_told);
  EXPECT_GT(after, before + 0.1);
  EXPECT_NE(lifecycle_->status().challenger, "none");
  // And back, for who orders that knows why.
  swap(MakeBundle("1.0.0", 1));
  Stream(300, true);
  EXPECT_TRUE(was_told);
  EXPECT_EQ(lifecycle_->status().challenger, "none");
}

TEST_F(LifecycleTest, ATaughtVersionThatAnswersNotAsItWasMadeToIsRefused) {
  Stream(500, false);
  adapt::Adaptation learned;
  learned.bundle = lifecycle_->bundle().bundle;
  learned.challenger = {adapt::Alignment::kMean, adapt::Memory::kNone};
  learned.transform.scale.assign(kChannels, 1.0f);
  learned.transform.shift.assign(kChannels, 0.5f);
  model::ModelBundle off = *TaughtBundle(adapt::Serialise(learned));
  off.golden.taught_labels = off.golden.labels;
  off.golden.taught_features = off.golden.features;  // As if nothing had been learned.
  const auto refused = [&](const model::ModelBundle& bundle) {
    const base::Status status = lifecycle_->SwapBundle(
        std::make_shared<const model::ModelBundle>(bundle), "deployment-9",
        [](bool, const protocol::UpdateReport&) { ADD_FAILURE() << "it was never begun"; });
    EXPECT_FALSE(status.ok());
    return status.ok() ? "" : status.error().message;
  };
  EXPECT_TRUE(refused(off).starts_with("bundle: golden input 0 with what was taught: feature 0"));
  off.taught.pop_back();
  EXPECT_TRUE(refused(off).starts_with("bundle: adaptation.bin: "));
  EXPECT_EQ(lifecycle_->bundle().manifest.version, "1.0.0");
}

TEST_F(LifecycleTest, ABundleThatSeesRowsThroughAnotherWindowIsRefused) {
  Stream(1000, false);
  Stream(400, true);  // With a quarantine to carry over.
  // One statistic a channel: sixteen numbers, too, so that their count tells nothing.
  model::ModelBundle windows = *MakeBundle("1.3.0", 3);
  windows.manifest.input.window =
      protocol::BundleWindow{.size = 8, .step = 4, .sample_rate_hz = 50.0, .statistics = {"mean"}};
  model::ModelBundle narrow = *MakeBundle("1.4.0", 4);
  narrow.manifest.input.channel_count = 3;
  const std::pair<model::ModelBundle*, std::string> kOthers[] = {
      {&windows, "16 channels, windows of 8 rows every 4 at 50 Hz: mean"},
      {&narrow, "3 channels, row by row"}};
  for (const auto& [other, takes] : kOthers) {
    const base::Status refused = lifecycle_->SwapBundle(
        std::make_shared<const model::ModelBundle>(*other), "deployment-3",
        [](bool, const protocol::UpdateReport&) { ADD_FAILURE() << "it was never begun"; });
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, base::ErrorCode::kUnsupported);
    EXPECT_EQ(refused.error().message, "swap: the new bundle takes " + takes +
                                           "; the running one takes 16 channels, row by row");
    EXPECT_FALSE(lifecycle_->swap_is_under_way());
  }
  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-1")).ok());
  EXPECT_GT(Stream(600, true), 0.9);
  EXPECT_EQ(lifecycle_->bundle().manifest.version, "1.0.0");
}

TEST_F(LifecycleTest, ABadRowIsNamedAndNothingDownstreamSeesIt) {
  Stream(10, false);
  const std::uint64_t next = path_->next_index();
  source::Frame frame;
  frame.index = 12;
  frame.row = {1.0f, 2.0f};
  const auto seen = path_->Process(std::move(frame));
  ASSERT_FALSE(seen.ok());
  EXPECT_NE(seen.error().message.find("row 12: 2 values, expected 16"), std::string::npos)
      << seen.error().message;
  EXPECT_EQ(path_->next_index(), next);
}

TEST_F(LifecycleTest, ServerAssistedServesWhatLabelsChoseOnceAPersonApproves) {
  is_crossed_ = true;
  lifecycle_->SetMode(adapt::Mode::kServerAssisted);
  EXPECT_EQ(lifecycle_->status().mode, "server_assisted");
  Stream(1000, false);
  Stream(800, true);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1);
  EXPECT_EQ(lifecycle_->status().revision, 0u);
  EXPECT_EQ(lifecycle_->status().awaits, "labels");
  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-1")).ok());
  EXPECT_EQ(lifecycle_->status().revision, 0u);
  EXPECT_EQ(lifecycle_->status().awaits, "approval");

  // The proposal travels with its report, and is called by its digest.
  const auto report = *protocol::ParseAdaptationReport(
      base::AsText(outbox_.File(protocol::kTypeAdaptation, protocol::kAdaptationPath).bytes));
  EXPECT_EQ(report.awaits, "approval");
  // What it would change, in figures of its own: labels and known examples right, without and with.
  ASSERT_TRUE(report.label_accuracy_before && report.label_accuracy_after);
  EXPECT_GT(*report.label_accuracy_after, *report.label_accuracy_before);
  ASSERT_TRUE(report.canary_before && report.canary_after);
  EXPECT_GT(*report.canary_before, 0.9) << "it serves as it was fitted";
  EXPECT_FALSE(report.snapshot.has_value()) << "nothing was exchanged yet";
  const auto& bytes = outbox_.File(protocol::kTypeAdaptation, protocol::kAdaptationBytesPath).bytes;
  EXPECT_EQ(report.adaptation_sha256, base::Sha256Hex(bytes));
  KillAndRestart(MakeBundle("1.0.0", 1), adapt::Mode::kServerAssisted);
  EXPECT_EQ(lifecycle_->status().awaits, "approval");

  protocol::Feedback order;
  order.feedback_id = "f-2";
  order.adaptations = {{*report.adaptation_sha256, protocol::AdaptationOrder::kApprove}};
  ASSERT_TRUE(lifecycle_->OnFeedback(order).ok());
  EXPECT_EQ(lifecycle_->status().revision, 1u);
  EXPECT_EQ(lifecycle_->status().state, "probation");
  EXPECT_GT(Stream(300, true), 0.85);
  EXPECT_EQ(lifecycle_->status().state, "learning");  // Committed: what is usual is learned anew.
}

TEST_F(LifecycleTest, AModelThatHadToWaitIsSentAsItWasCommitted) {
  is_crossed_ = true;
  Stream(1000, false);
  Stream(400, true);
  outbox_.fails_for = protocol::kTypeModel;
  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-1")).ok());
  Stream(600, true);
  ASSERT_EQ(lifecycle_->status().state, "stable");
  const std::optional<std::string> committed = lifecycle_->status().adaptation_sha256;
  ASSERT_TRUE(committed.has_value());
  ASSERT_EQ(outbox_.Count(protocol::kTypeModel), 0);
  // Meanwhile something else is on trial: the bundle alone, for the cables were put right.
  for (int i = 0; i < 400 && lifecycle_->status().state != "probation"; ++i) Stream(1, false);
  ASSERT_EQ(lifecycle_->status().state, "probation");
  outbox_.fails_for = {};
  Stream(1, false);
  ASSERT_EQ(outbox_.Count(protocol::kTypeModel), 1);
  const auto& bytes = outbox_.File(protocol::kTypeModel, protocol::kAdaptationBytesPath).bytes;
  EXPECT_EQ(base::Sha256Hex(bytes), *committed);
  Stream(300, false);
  EXPECT_NE(lifecycle_->status().state, "probation") << "its trial has an end all the same";
  EXPECT_EQ(outbox_.Count(protocol::kTypeModel), 1);
}

TEST_F(LifecycleTest, WhatWaitedForABundleThatWentAwayIsNotDoneToTheOther) {
  Stream(1000, false);
  for (int i = 0; i < 200 && lifecycle_->quarantine().taken_count() < 70; ++i) Stream(1, true);
  ASSERT_EQ(lifecycle_->quarantine().taken_count(), 70u);
  auto wrong = std::make_shared<model::ModelBundle>(*MakeBundle("1.2.0", 3));
  for (auto* labels : {&wrong->anchors.labels, &wrong->golden.labels}) {
    for (std::uint16_t& label : *labels) label = static_cast<std::uint16_t>((label + 1) % kClasses);
  }
  std::optional<bool> verdict;
  ASSERT_TRUE(
      lifecycle_
          ->SwapBundle(wrong, "d-1",
                       [&](bool healthy, const protocol::UpdateReport&) { verdict = healthy; })
          .ok());
  Stream(49, true);  // At 100 the input is put right for the new bundle, once it is healthy.
  ASSERT_EQ(verdict, std::nullopt);
  Stream(2, true);
  ASSERT_EQ(verdict, false);
  EXPECT_EQ(logger_.Count("serve: "), 0) << logger_.said;
}

TEST_F(LifecycleTest, EscalatesAndAnswersUnknownWhereNothingHelpsWithoutLabels) {
  is_crossed_ = true;
  Stream(1000, false);
  for (int i = 0; i < 300 && lifecycle_->status().state != "escalated"; ++i) Stream(1, true);
  ASSERT_EQ(lifecycle_->status().state, "escalated");
  EXPECT_EQ(lifecycle_->status().escalations, 1u);
  EXPECT_EQ(lifecycle_->status().revision, 0u);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1) << "asked at once";
  // Also by the life after this one.
  KillAndRestart(MakeBundle("1.0.0", 1));
  ASSERT_EQ(lifecycle_->status().state, "escalated");
  int unknown = 0;
  int unsure = 0;
  for (int i = 0; i < 200; ++i) {
    source::Frame frame;
    frame.row = MakeRow(random_, static_cast<std::uint16_t>(random_.Below(kClasses)), true);
    const auto seen = path_->Process(std::move(frame));
    ASSERT_TRUE(seen.ok());
    unsure += seen->prediction.confidence < 0.5f ? 1 : 0;
    unknown += seen->prediction.label == classify::kUnknownLabel ? 1 : 0;
  }
  EXPECT_EQ(unknown, unsure);
  EXPECT_GT(unknown, 0);
  // What it logs is told with the next report.
  const auto report = *protocol::ParseAdaptationReport(
      base::AsText(outbox_.File(protocol::kTypeAdaptation, protocol::kAdaptationPath).bytes));
  ASSERT_FALSE(report.transitions.empty());
  EXPECT_EQ(report.transitions.front().to, "suspect");
  EXPECT_EQ(report.transitions.back().to, "escalated");
  EXPECT_EQ(report.awaits, "labels");
}

TEST_F(LifecycleTest, AModeHoldsFromTheMomentItIsSet) {
  is_crossed_ = true;
  Stream(1000, false);
  Stream(400, true);
  const protocol::Feedback answers = Answers("f-1");
  lifecycle_->SetMode(adapt::Mode::kMonitoringOnly);
  ASSERT_TRUE(lifecycle_->OnFeedback(answers).ok());
  EXPECT_EQ(lifecycle_->status().revision, 0u) << "labels that were asked for in another mode";
  // The next event finds it autonomous again.
  lifecycle_->SetMode(adapt::Mode::kAutonomous);
  EXPECT_EQ(lifecycle_->status().mode, "autonomous");
  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-2")).ok());
  EXPECT_EQ(lifecycle_->status().revision, 1u);
}

TEST_F(LifecycleTest, MonitoringOnlyChangesNothing) {
  lifecycle_->SetMode(adapt::Mode::kMonitoringOnly);
  Stream(1000, false);
  Stream(400, true);
  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-1")).ok());
  Stream(200, true);
  EXPECT_EQ(lifecycle_->status().revision, 0u);
  EXPECT_EQ(lifecycle_->status().challenger, "none");
}

// ---- What no person said ----

TEST_F(LifecycleTest, PseudoLabelsServeWhereTheyAreAskedForAndGoWhenLabelsCome) {
  pseudo_labels_ = true;
  Start(MakeBundle("1.0.0", 1));
  Stream(1000, false);
  StreamMostlyA(1000);
  ASSERT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1);
  EXPECT_EQ(lifecycle_->status().challenger, "pseudo") << logger_.said;
  EXPECT_EQ(lifecycle_->status().state, "stable") << "it stood its trial";
  EXPECT_EQ(outbox_.Count(protocol::kTypeModel), 0) << "nobody else learns it";
  // A kill forgets it no more than anything else.
  KillAndRestart(MakeBundle("1.0.0", 1));
  EXPECT_EQ(lifecycle_->status().challenger, "pseudo");
  StreamMostlyA(50);

  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-1")).ok());
  EXPECT_NE(lifecycle_->status().challenger, "pseudo");
  StreamMostlyA(300);
  EXPECT_NE(lifecycle_->status().challenger, "pseudo");
}

TEST_F(LifecycleTest, PseudoLabelsAreNeverServedUnlessAskedFor) {
  Stream(1000, false);
  StreamMostlyA(1000);
  ASSERT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1);
  EXPECT_EQ(lifecycle_->status().challenger, "none");
  EXPECT_EQ(lifecycle_->status().adaptations, 0u);
  EXPECT_EQ(logger_.Count("pseudo-labels"), 0);
}

// ---- A head answers ----

model::FitOptions Linear(std::uint32_t anchors_per_class) {
  model::FitOptions options;
  options.classifier = classify::ClassifierKind::kLinear;
  options.anchors_per_class = anchors_per_class;
  return options;
}

TEST_F(LifecycleTest, AHeadIsWatchedAndNotAdapted) {
  Start(MakeBundle("1.0.0", 1, Linear(30)));
  EXPECT_EQ(lifecycle_->status().mode, "monitoring_only");
  EXPECT_GT(Stream(1000, false), 0.95);
  Stream(400, true);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1);
  lifecycle_->SetMode(adapt::Mode::kAutonomous);
  EXPECT_EQ(lifecycle_->status().mode, "monitoring_only") << "whatever is asked for";
  ASSERT_TRUE(lifecycle_->OnFeedback(Answers("f-1")).ok());
  Stream(200, true);
  EXPECT_EQ(lifecycle_->status().revision, 0u);
}

TEST_F(LifecycleTest, AHeadWithoutAnchorsIsWatchedByHowUnsureItIs) {
  Start(MakeBundle("1.0.0", 1, Linear(0)));
  EXPECT_GT(Stream(2000, false), 0.95);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 0);
  Stream(800, true);
  EXPECT_EQ(outbox_.Count(protocol::kTypeDriftEvent), 1);
  KillAndRestart(MakeBundle("1.0.0", 1, Linear(0)));
  Stream(200, true);
  EXPECT_EQ(lifecycle_->status().revision, 0u);
}

TEST_F(LifecycleTest, ABundleWithAHeadTakesOverFromNeighboursAndTheyFromIt) {
  Stream(500, false);
  int done = 0;
  const auto count = [&](bool healthy, const protocol::UpdateReport& report) {
    EXPECT_TRUE(healthy) << report.detail;
    ++done;
  };
  ASSERT_TRUE(lifecycle_->SwapBundle(MakeBundle("1.0.1", 2, Linear(0)), "d-1", count).ok());
  EXPECT_EQ(lifecycle_->status().mode, "monitoring_only");
  EXPECT_GT(Stream(200, false), 0.95);
  ASSERT_TRUE(lifecycle_->SwapBundle(MakeBundle("1.0.2", 3), "d-2", count).ok());
  EXPECT_EQ(lifecycle_->status().mode, "autonomous");
  EXPECT_GT(Stream(200, false), 0.95);
  EXPECT_EQ(done, 2);
}

}  // namespace
}  // namespace tinylcm::pipeline
