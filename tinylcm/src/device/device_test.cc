// A device in somebody's program: what it answers, whom it calls and when, and what it survives.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "protocol/adaptation_report.h"
#include "protocol/drift_event.h"
#include "protocol/metrics.h"
#include "tests/support/allocations.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/src/pipeline/small_array_test.h"
#include "tinylcm/tinylcm.h"

namespace tinylcm {
namespace {

constexpr std::uint64_t kSeed = 7;
constexpr const char* kNames[] = {"a", "b", "c", "d"};

class DeviceTest : public testing::Test {
 protected:
  DeviceTest() {
    const auto bundle = pipeline::MakeBundle("1.0.0", 1);
    const auto written = model::WriteBundle(fs_, *bundle, "/bundle");
    EXPECT_TRUE(written.ok()) << written.error().message;
  }

  Device::Options Usual() {
    Device::Options options;
    options.bundle = "/bundle";
    options.state = "/state";
    options.seed = kSeed;
    options.fs = &fs_;
    options.clock = &clock_;
    options.housekeeping_samples = 100;
    options.make_id = [this] { return base::StrCat("id", ++ids_); };
    return options;
  }
  void Open(Device::Options options) {
    device_.reset();
    auto opened = Device::Open(std::move(options));
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    device_.emplace(std::move(*opened));
  }

  bool crosses_ = false;  // "Aged" is then crossed cables, which only labels can put right.
  std::vector<float> Row(bool aged) {
    label_ = static_cast<std::uint16_t>(random_.Below(pipeline::kClasses));
    return aged && crosses_ ? pipeline::MakeCrossedRow(random_, label_)
                            : pipeline::MakeRow(random_, label_, aged);
  }
  // Streams rows and returns the share that was answered right.
  double Stream(int rows, bool aged) {
    int right = 0;
    for (int i = 0; i < rows; ++i) {
      const auto answer = device_->Process(Row(aged));
      EXPECT_TRUE(answer.ok() && answer->has_value());
      truth_[(**answer).index] = kNames[label_];
      right += (**answer).label == kNames[label_] ? 1 : 0;
    }
    return static_cast<double>(right) / rows;
  }
  std::vector<SampleLabel> Truth(const WantedLabels& wanted) {
    std::vector<SampleLabel> labels;
    for (const WantedSample& sample : wanted.samples) {
      labels.push_back({sample.sample_id, truth_.at(sample.index)});
    }
    return labels;
  }

  tests::FakeFileSystem fs_;
  tests::FakeClock clock_;
  base::Random random_{kSeed};
  std::uint16_t label_ = 0;
  std::map<std::uint64_t, std::string> truth_;
  int ids_ = 0;
  std::optional<Device> device_;  // Last, for it uses the others until it is gone.
};

TEST_F(DeviceTest, AnswersEachRowWithALabelAConfidenceAndTheShareOfEveryClass) {
  Open(Usual());
  EXPECT_EQ(device_->labels(), (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_FALSE(device_->takes_pictures());
  int right = 0;
  for (std::uint64_t i = 0; i < 200; ++i) {
    const auto answer = device_->Process(Row(false));
    ASSERT_TRUE(answer.ok() && answer->has_value());
    EXPECT_EQ((**answer).index, i);
    EXPECT_EQ((**answer).signal, drift::DriftSignal::kLearning);
    EXPECT_GT((**answer).confidence, 0.0f);
    ASSERT_EQ((**answer).share.size(), 4u);
    EXPECT_NEAR(std::accumulate((**answer).share.begin(), (**answer).share.end(), 0.0), 1.0, 1e-5);
    const auto largest = std::max_element((**answer).share.begin(), (**answer).share.end());
    EXPECT_EQ((**answer).label, kNames[largest - (**answer).share.begin()]);
    right += (**answer).label == kNames[label_] ? 1 : 0;
  }
  EXPECT_GT(right, 190);
  EXPECT_EQ(device_->status().answered, 200u);
}

TEST_F(DeviceTest, TellsEachPredictionBeforeTheCallReturns) {
  Device::Options options = Usual();
  std::vector<std::uint64_t> told;
  options.on_prediction = [&told](const Answer& answer) { told.push_back(answer.index); };
  Open(std::move(options));
  for (std::uint64_t i = 0; i < 50; ++i) {
    Stream(1, false);
    ASSERT_EQ(told.size(), i + 1);
    EXPECT_EQ(told.back(), i);
  }
}

TEST_F(DeviceTest, TellsADriftOnceAfterThePredictionThatRaisedItAndThenAsksForLabels) {
  Device::Options options = Usual();
  std::vector<std::string> story;
  std::uint64_t alarm = 0;
  options.on_prediction = [&](const Answer& answer) {
    if (answer.signal != drift::DriftSignal::kDrift) return;
    story.push_back("prediction");
    alarm = answer.index;
  };
  options.on_drift = [&](const protocol::DriftEvent& event) {
    story.push_back("drift");
    EXPECT_EQ(event.sample_index, alarm);
    EXPECT_FALSE(event.text.empty());
  };
  options.on_labels_wanted = [&](const WantedLabels& wanted) {
    story.push_back("labels wanted");
    EXPECT_GE(wanted.samples.size(), 10u);
    EXPECT_LE(wanted.samples.size(), 24u);
    for (const WantedSample& sample : wanted.samples) {
      EXPECT_EQ(sample.row.size(), pipeline::kChannels);
      EXPECT_TRUE(sample.picture.empty());
    }
  };
  options.on_warning = [&](const Answer&) { story.push_back("warning"); };
  Open(std::move(options));
  EXPECT_GT(Stream(1000, false), 0.95);
  EXPECT_TRUE(story.empty());
  Stream(400, true);
  // It may have been warned of a few rows before; after the alarm there is nothing to warn of.
  if (!story.empty() && story.front() == "warning") story.erase(story.begin());
  EXPECT_EQ(story, (std::vector<std::string>{"prediction", "drift", "labels wanted"}));
  EXPECT_GE(alarm, 1000u);
  EXPECT_EQ(device_->status().alarms, 1u);
}

TEST_F(DeviceTest, CanBeAskedForItsDriftsInsteadOfCalling) {
  Open(Usual());
  Stream(1000, false);
  EXPECT_FALSE(device_->NextDrift().has_value());
  EXPECT_FALSE(device_->Wanted().has_value());
  Stream(400, true);
  const auto drift = device_->NextDrift();
  ASSERT_TRUE(drift.has_value());
  EXPECT_FALSE(device_->NextDrift().has_value()) << "each is given once";
  const auto last = device_->LastDrift();
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->event_id, drift->event_id);
  EXPECT_FALSE(last->channels.empty()) << "by now it is known what moved";
  const auto wanted = device_->Wanted();
  ASSERT_TRUE(wanted.has_value());
  EXPECT_EQ(wanted->event_id, drift->event_id);
}

TEST_F(DeviceTest, LabelsBringAccuracyBackAndTheChangeIsTold) {
  crosses_ = true;  // Aged rows are put right without labels.
  Device::Options options = Usual();
  std::vector<std::string> states;
  options.on_adaptation = [&states](const protocol::AdaptationReport& report) {
    states.push_back(report.state);
  };
  Open(std::move(options));
  const double before = Stream(1000, false);
  Stream(100, true);
  const double drifted = Stream(300, true);
  ASSERT_LT(drifted, before - 0.1) << "the change must cost something, or there is nothing to show";
  const auto wanted = device_->Wanted();
  ASSERT_TRUE(wanted.has_value());
  const std::size_t told = states.size();
  ASSERT_TRUE(device_->ApplyLabels(Truth(*wanted)).ok());
  EXPECT_EQ(states.size(), told) << "what was learned has not answered yet";
  Stream(1, true);
  ASSERT_GT(states.size(), told) << "told with the first answer by it";
  EXPECT_EQ(states[told], "probation");
  EXPECT_FALSE(device_->Wanted().has_value()) << "nothing is asked twice";
  EXPECT_GT(Stream(600, true), 0.93 * before);
  EXPECT_EQ(states.back(), "stable");
  EXPECT_EQ(device_->status().labels_applied, wanted->samples.size());
  EXPECT_EQ(device_->status().adaptations, 1u);
  EXPECT_NE(device_->status().challenger, "none");
}

TEST_F(DeviceTest, MayBeLabelledFromWithinTheCallbackThatAsks) {
  Device::Options options = Usual();
  int asked = 0;
  options.on_labels_wanted = [&](const WantedLabels& wanted) {
    ++asked;
    // The newest sample may be the one that is being answered: its truth is known all the same.
    truth_.emplace(wanted.samples.back().index, kNames[label_]);
    std::vector<SampleLabel> labels;
    for (const WantedSample& sample : wanted.samples) {
      const auto truth = truth_.find(sample.index);
      if (truth != truth_.end()) labels.push_back({sample.sample_id, truth->second});
    }
    EXPECT_TRUE(device_->ApplyLabels(labels).ok());
  };
  Open(std::move(options));
  Stream(1000, false);
  Stream(700, true);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(device_->status().adaptations, 1u);
  EXPECT_GT(Stream(300, true), 0.9);
}

TEST_F(DeviceTest, RefusesToAnswerFromWithinACallback) {
  Device::Options options = Usual();
  int refused = 0;
  options.on_prediction = [&](const Answer&) {
    const auto inner = device_->Process(std::vector<float>(pipeline::kChannels));
    ASSERT_FALSE(inner.ok());
    EXPECT_EQ(inner.error().code, base::ErrorCode::kConflict);
    ++refused;
  };
  Open(std::move(options));
  Stream(3, false);
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(device_->status().answered, 3u);
  EXPECT_EQ(device_->status().skipped, 0u);
}

TEST_F(DeviceTest, WhatACallbackThrowsComesOutOfTheCallAndNothingIsLost) {
  Device::Options options = Usual();
  bool throws = false;
  std::vector<std::string> story;
  options.on_prediction = [&](const Answer& answer) {
    if (answer.signal == drift::DriftSignal::kDrift) {
      throws = true;
      throw std::runtime_error("no paper");
    }
  };
  options.on_drift = [&](const protocol::DriftEvent&) { story.push_back("drift"); };
  Open(std::move(options));
  Stream(1000, false);
  while (!throws) {
    const std::vector<float> row = Row(true);
    if (device_->status().answered > 1400) FAIL() << "no drift";
    try {
      EXPECT_TRUE(device_->Process(row).ok());
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "no paper");
    }
  }
  EXPECT_TRUE(story.empty()) << "the prediction's callback threw first";
  const std::uint64_t answered = device_->status().answered;
  const auto next = device_->Process(Row(true));
  ASSERT_TRUE(next.ok());
  EXPECT_EQ((**next).index, answered) << "the sample that threw was answered and counted";
  EXPECT_EQ(story, (std::vector<std::string>{"drift"}));
}

TEST_F(DeviceTest, ABadRowIsAnErrorCountedAndSeenByNothingElse) {
  Device::Options options = Usual();
  int told = 0;
  options.on_prediction = [&told](const Answer&) { ++told; };
  Open(std::move(options));
  Stream(5, false);
  std::vector<float> nan(pipeline::kChannels, 0.0f);
  nan[3] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> infinite(pipeline::kChannels, 0.0f);
  infinite[15] = -std::numeric_limits<float>::infinity();
  const struct {
    std::vector<float> row;
    std::string says;
  } kBad[] = {{{1.0f, 2.0f}, "row 5: 2 values, expected 16"},
              {{}, "row 6: 0 values, expected 16"},
              {std::vector<float>(17), "row 7: 17 values, expected 16"},
              {nan, "row 8: value 3 is not a finite number"},
              {infinite, "row 9: value 15 is not a finite number"}};
  for (const auto& [row, says] : kBad) {
    const auto answer = device_->Process(row);
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, base::ErrorCode::kInvalidArgument);
    EXPECT_EQ(answer.error().message, says);
  }
  const base::Bytes jpeg{0xff, 0xd8, 0xff, 0xd9};
  EXPECT_FALSE(device_->Process(source::PictureView{.bytes = jpeg}).ok()) << "this one takes rows";
  EXPECT_EQ(device_->status().skipped, 6u);
  EXPECT_EQ(told, 5);
  const auto good = device_->Process(Row(false));
  ASSERT_TRUE(good.ok());
  EXPECT_EQ((**good).index, 5u) << "an index is given to what is answered";
}

TEST_F(DeviceTest, ARowInfinitelyFarAwayIsAnErrorCountedAndTheNextOneIsAnswered) {
  model::FitOptions fit;
  fit.metric = classify::Metric::kEuclidean;
  ASSERT_TRUE(model::WriteBundle(fs_, *pipeline::MakeBundle("1.0.0", 1, fit), "/euclidean").ok());
  Device::Options options = Usual();
  options.bundle = "/euclidean";
  Open(std::move(options));
  Stream(2, false);
  const auto far = device_->Process(std::vector<float>(pipeline::kChannels, 1e20f));
  ASSERT_FALSE(far.ok());
  EXPECT_EQ(far.error().message, "row 2: a number beyond reach");
  EXPECT_EQ(device_->status().skipped, 1u);
  Stream(1, false);
  EXPECT_EQ(device_->status().answered, 3u);
}

TEST_F(DeviceTest, AnswersWindowsOfRowsWhereTheBundleSaysSo) {
  // Means over three rows, one window behind the other: as many numbers as channels.
  model::ModelBundle bundle = *pipeline::MakeBundle("1.1.0", 1);
  bundle.manifest.input.window =
      protocol::BundleWindow{.size = 3, .step = 3, .statistics = {"mean"}};
  ASSERT_TRUE(model::WriteBundle(fs_, bundle, "/windows").ok());
  Device::Options options = Usual();
  options.bundle = "/windows";
  Open(std::move(options));
  const std::uint16_t labels[] = {1, 1, 1, 2, 2, 3, 0};
  std::vector<std::string> said;
  for (const std::uint16_t label : labels) {
    const auto answer = device_->Process(pipeline::MakeRow(random_, label, false), kNames[label]);
    ASSERT_TRUE(answer.ok());
    said.push_back(answer->has_value() ? std::string((**answer).truth) : "not yet");
  }
  EXPECT_EQ(said, (std::vector<std::string>{"not yet", "not yet", "b", "not yet", "not yet", "c",
                                            "not yet"}));
  EXPECT_EQ(device_->status().answered, 2u);
  EXPECT_EQ(device_->status().skipped, 0u) << "a row that waits is not a bad one";
}

TEST_F(DeviceTest, AKilledProgramGoesOnWithItsQuestionAndItsIndices) {
  Open(Usual());
  Stream(1000, false);
  Stream(400, true);
  const auto wanted = device_->Wanted();
  ASSERT_TRUE(wanted.has_value());
  fs_.Crash();
  fs_.PowerOffAt(0);  // What its destructor would still save does not reach the disk.
  device_.reset();
  fs_.Crash();
  Open(Usual());
  const auto still = device_->Wanted();
  ASSERT_TRUE(still.has_value());
  EXPECT_EQ(still->event_id, wanted->event_id);
  EXPECT_EQ(still->samples.size(), wanted->samples.size());
  ASSERT_TRUE(device_->ApplyLabels(Truth(*still)).ok());
  const auto answer = device_->Process(Row(true));
  ASSERT_TRUE(answer.ok());
  EXPECT_GE((**answer).index, 1400u) << "no index is used twice";
  EXPECT_GT(Stream(600, true), 0.9);
}

TEST_F(DeviceTest, WarnsOnceWhenItIsOpenedWithADriftUnsettled) {
  Open(Usual());
  Stream(1000, false);
  for (int i = 0; i < 400 && device_->status().alarms == 0; ++i) Stream(1, true);
  ASSERT_EQ(device_->status().alarms, 1u);
  Device::Options options = Usual();
  int warnings = 0, drifts = 0;
  options.on_warning = [&](const Answer& answer) {
    EXPECT_EQ(answer.signal, drift::DriftSignal::kWarning);
    ++warnings;
  };
  options.on_drift = [&](const protocol::DriftEvent&) { ++drifts; };
  Open(std::move(options));
  Stream(50, true);
  EXPECT_EQ(warnings, 1);
  EXPECT_EQ(drifts, 0) << "it was told in the life before";
}

TEST_F(DeviceTest, TellsMetricsAPeriodAndEachWindowCountsItsOwn) {
  Device::Options options = Usual();
  std::vector<protocol::DeviceMetrics> told;
  options.on_metrics = [&told](const protocol::DeviceMetrics& metrics) { told.push_back(metrics); };
  options.metrics_every = base::Duration{10'000};
  options.housekeeping_samples = 0;  // By the clock.
  Open(std::move(options));
  // A sample a second: due at second 10, 20 and 30.
  for (int second = 0; second < 35; ++second) {
    clock_.Advance(base::Duration{1'000});
    Stream(1, false);
  }
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[0].frames_window, 10u);
  EXPECT_EQ(told[1].frames_window, 10u);
  EXPECT_EQ(told[2].frames_window, 10u);
  EXPECT_EQ(told[2].frames, 30u);
  EXPECT_EQ(told[2].model_name, "array");
  EXPECT_EQ(told[2].mode, "autonomous");
  EXPECT_EQ(told[2].drift_state, "learning");
  // Without samples Tick brings them; asked for by hand, a window ends where it is asked.
  clock_.Advance(base::Duration{5'000});
  device_->Tick();
  ASSERT_EQ(told.size(), 4u);
  EXPECT_EQ(told[3].frames_window, 5u);
  Stream(2, false);
  EXPECT_EQ(device_->Metrics().frames_window, 2u);
}

TEST_F(DeviceTest, SaysHowAccurateItThinksItIsAndThatItDoesNotKnow) {
  Device::Options options = Usual();
  options.mode = adapt::Mode::kMonitoringOnly;
  Open(std::move(options));
  Stream(29, false);
  EXPECT_EQ(device_->Metrics().accuracy_estimated, std::nullopt);  // Thirty answers are asked.
  const double quiet = Stream(500, false);
  const protocol::DeviceMetrics known = device_->Metrics();
  ASSERT_TRUE(known.accuracy_estimated && known.accuracy_low && known.accuracy_high);
  EXPECT_LE(*known.accuracy_low, quiet);
  EXPECT_GE(*known.accuracy_high, quiet);
  EXPECT_LT(*known.accuracy_high - *known.accuracy_low, 0.3);
  // Half of the channels age: it either does not know or holds the truth.
  const double aged = Stream(500, true);
  EXPECT_LT(aged, quiet - 0.1);
  const protocol::DeviceMetrics after = device_->Metrics();
  if (after.accuracy_estimated) {
    EXPECT_LE(*after.accuracy_low, aged);
    EXPECT_GE(*after.accuracy_high, aged);
  }
}

TEST_F(DeviceTest, MonitoringOnlyTellsAndChangesNothing) {
  Device::Options options = Usual();
  options.mode = adapt::Mode::kMonitoringOnly;
  Open(std::move(options));
  Stream(1000, false);
  Stream(400, true);
  EXPECT_EQ(device_->status().alarms, 1u);
  const auto wanted = device_->Wanted();
  ASSERT_TRUE(wanted.has_value());
  ASSERT_TRUE(device_->ApplyLabels(Truth(*wanted)).ok());
  Stream(200, true);
  EXPECT_EQ(device_->status().adaptations, 0u);
  EXPECT_EQ(device_->status().mode, "monitoring_only");
  device_->SetMode(adapt::Mode::kAutonomous);
  EXPECT_EQ(device_->status().mode, "autonomous");
}

TEST_F(DeviceTest, GoesBackToASnapshot) {
  crosses_ = true;  // Aged rows are put right without labels.
  Open(Usual());
  Stream(1000, false);
  const auto snapshot = device_->TakeSnapshot("before the season");
  ASSERT_TRUE(snapshot.ok());
  Stream(400, true);
  ASSERT_TRUE(device_->ApplyLabels(Truth(*device_->Wanted())).ok());
  Stream(300, true);
  ASSERT_NE(device_->status().challenger, "none");
  const auto snapshots = device_->Snapshots();
  ASSERT_TRUE(snapshots.ok());
  ASSERT_EQ(snapshots->size(), 2u) << "one by hand, one before the change";
  EXPECT_EQ((*snapshots)[0].id, *snapshot);
  EXPECT_EQ((*snapshots)[0].reason, "before the season");
  ASSERT_TRUE(device_->RollBackTo(*snapshot).ok());
  EXPECT_EQ(device_->status().challenger, "none");
  const auto answer = device_->Process(Row(true));
  ASSERT_TRUE(answer.ok());
  EXPECT_EQ((**answer).adaptation, 0u) << "the bundle alone";
  EXPECT_EQ(device_->RollBackTo("s-99999999").error().code, base::ErrorCode::kNotFound);
}

TEST_F(DeviceTest, LabelsAreTakenBack) {
  crosses_ = true;  // Aged rows are put right without labels.
  Open(Usual());
  Stream(1000, false);
  Stream(400, true);
  const std::vector<SampleLabel> labels = Truth(*device_->Wanted());
  ASSERT_TRUE(device_->ApplyLabels(labels).ok());
  ASSERT_NE(device_->status().challenger, "none");
  std::vector<std::string> ids;
  for (const SampleLabel& label : labels) ids.push_back(label.sample_id);
  ASSERT_TRUE(device_->RetractLabels(ids).ok());
  EXPECT_EQ(device_->status().challenger, "none") << "what they taught went with them";
  EXPECT_EQ(device_->RetractLabels(ids).error().code, base::ErrorCode::kInvalidArgument);
}

TEST_F(DeviceTest, AFalseAlarmIsUndone) {
  Open(Usual());
  Stream(1000, false);
  Stream(400, true);
  ASSERT_TRUE(device_->ApplyLabels(Truth(*device_->Wanted())).ok());
  const std::string event_id = device_->NextDrift()->event_id;
  EXPECT_EQ(device_->ApplyVerdict("e-other", EventVerdict::kFalseAlarm).error().code,
            base::ErrorCode::kNotFound);
  ASSERT_TRUE(device_->ApplyVerdict(event_id, EventVerdict::kFalseAlarm).ok());
  EXPECT_EQ(device_->status().challenger, "none");
  // What is usual is made of the 300 samples since the alarm: it watches again at once.
  EXPECT_EQ(device_->status().state, "stable");
}

TEST_F(DeviceTest, RefusesLabelsThatNameNothing) {
  Open(Usual());
  Stream(1000, false);
  Stream(400, true);
  const WantedLabels wanted = *device_->Wanted();
  const std::vector<SampleLabel> stranger{{"e-1-2", "a"}};
  const std::vector<SampleLabel> nameless{{wanted.samples[0].sample_id, "a"},
                                          {wanted.samples[1].sample_id, "zebra"}};
  EXPECT_EQ(device_->ApplyLabels(stranger).error().message,
            "label: sample e-1-2 is not in quarantine");
  EXPECT_NE(device_->ApplyLabels(nameless).error().message.find("zebra is no class"),
            std::string::npos);
  EXPECT_EQ(device_->status().labels_applied, 0u) << "all or nothing";
  EXPECT_EQ(device_->Wanted()->samples.size(), wanted.samples.size());
}

TEST_F(DeviceTest, SaysWhyItCannotBeOpened) {
  Device::Options options = Usual();
  options.state.clear();
  EXPECT_EQ(Device::Open(options).error().code, base::ErrorCode::kInvalidArgument);
  options = Usual();
  options.bundle = "/nowhere";
  EXPECT_EQ(Device::Open(options).error().code, base::ErrorCode::kNotFound);
  options = Usual();
  options.publisher_key = "/publisher.pub";  // A folder carries no signature.
  EXPECT_EQ(Device::Open(options).error().code, base::ErrorCode::kPermissionDenied);
}

TEST_F(DeviceTest, AllocatesNothingWhileAllIsQuiet) {
  Device::Options options = Usual();
  options.housekeeping_samples = 1'000'000;
  double confidence = 0.0;
  options.on_prediction = [&confidence](const Answer& answer) { confidence += answer.confidence; };
  Open(std::move(options));
  // Behind the commissioning, and behind the record that is written once in a thousand samples.
  Stream(1100, false);
  std::vector<std::vector<float>> rows;
  for (int i = 0; i < 500; ++i) rows.push_back(Row(false));
  const std::uint64_t before = testing_support::Allocations();
  for (const std::vector<float>& row : rows) {
    const auto answer = device_->Process(row);
    ASSERT_TRUE(answer.ok() && (**answer).signal == drift::DriftSignal::kSteady);
  }
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
  EXPECT_GT(confidence, 0.0);
}

// Each device has its own disk, clock and thread; the thread sanitizer finds what they would share.
TEST(Devices, TwoInTwoThreadsAnswerAsEachWouldAlone) {
  const auto bundle = pipeline::MakeBundle("1.0.0", 1);
  const auto live = [&bundle](std::uint64_t seed) {
    tests::FakeFileSystem fs;
    tests::FakeClock clock;
    EXPECT_TRUE(model::WriteBundle(fs, *bundle, "/bundle").ok());
    Device::Options options;
    options.bundle = "/bundle";
    options.state = "/state";
    options.seed = seed;
    options.fs = &fs;
    options.clock = &clock;
    options.housekeeping_samples = 100;
    std::string story;
    options.on_prediction = [&](const Answer& answer) { story += answer.label; };
    options.on_drift = [&](const protocol::DriftEvent& event) { story += event.kind; };
    std::map<std::uint64_t, std::string> truth;
    auto device = Device::Open(std::move(options));
    EXPECT_TRUE(device.ok());
    base::Random random(seed);
    for (int i = 0; i < 1200; ++i) {
      const auto label = static_cast<std::uint16_t>(random.Below(pipeline::kClasses));
      const auto answer = device->Process(pipeline::MakeRow(random, label, i >= 600));
      truth[(**answer).index] = kNames[label];
      if (i != 1100) continue;
      const auto wanted = device->Wanted();
      EXPECT_TRUE(wanted.has_value());
      std::vector<SampleLabel> labels;
      for (const WantedSample& sample : wanted->samples) {
        labels.push_back({sample.sample_id, truth.at(sample.index)});
      }
      EXPECT_TRUE(device->ApplyLabels(labels).ok());
    }
    return story;
  };
  const std::string alone[] = {live(1), live(2)};
  std::string together[2];
  std::thread first([&] { together[0] = live(1); });
  std::thread second([&] { together[1] = live(2); });
  first.join();
  second.join();
  EXPECT_EQ(together[0], alone[0]);
  EXPECT_EQ(together[1], alone[1]);
  EXPECT_NE(alone[0], alone[1]);
}

TEST(Devices, OnlyOneRunsOnAStateFolder) {
  const std::string folder = testing::TempDir() + "/device_test_" + base::StrCat(::getpid());
  base::FileSystem& fs = base::SystemFileSystem();
  ASSERT_TRUE(base::RemoveTree(fs, folder).ok());
  ASSERT_TRUE(
      model::WriteBundle(fs, *pipeline::MakeBundle("1.0.0", 1), base::JoinPath(folder, "bundle"))
          .ok());
  Device::Options options;
  options.bundle = base::JoinPath(folder, "bundle");
  options.state = base::JoinPath(folder, "state");
  {
    const auto first = Device::Open(options);
    ASSERT_TRUE(first.ok()) << first.error().message;
    const auto second = Device::Open(options);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, base::ErrorCode::kConflict);
  }
  EXPECT_TRUE(Device::Open(options).ok()) << "free again";
  EXPECT_TRUE(base::RemoveTree(fs, folder).ok());
}

}  // namespace
}  // namespace tinylcm
