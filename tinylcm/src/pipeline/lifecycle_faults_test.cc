// What a lifecycle does when the power goes, the disk is full, or a trial fails: what serves is
// what served before or what was about to, to the byte, and it goes on.

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/pipeline/lifecycle.h"
#include "tinylcm/src/pipeline/small_array_test.h"

namespace tinylcm::pipeline {
namespace {

constexpr std::uint64_t kSeed = 7;
using tests::FakeFileSystem;

class TakingOutbox final : public Outbox {
 public:
  base::Status Send(std::string_view type, const std::string&,
                    std::vector<protocol::PackageFile> files) override {
    if (type != protocol::kTypeAdaptation) return {};
    auto report = protocol::ParseAdaptationReport(base::AsText(files.at(0).bytes)).value();
    if (!report.feedback_id) return {};
    for (const auto& label : report.labels) outcomes[*report.feedback_id].insert(label.outcome);
    return {};
  }
  std::map<std::string, std::set<std::string>> outcomes;  // Of labels, by feedback.
};

// Keeps what was said while the power was on, and which adaptations were said to serve, by digest.
class ListeningLogger final : public base::Logger {
 public:
  explicit ListeningLogger(const FakeFileSystem& fs) : fs_(&fs) {}
  void Write(base::LogLevel, std::string_view message) override {
    if (fs_->power_is_off()) return;
    said += std::string(message) + "\n";
    const bool starts = message.starts_with("starts with ");
    if (!starts && !message.starts_with("serving ") && !message.starts_with("rolled back to ")) {
      return;
    }
    const std::size_t end = message.find(" (revision ");
    if (end == std::string_view::npos || end < 64) return;
    const std::string digest(message.substr(end - 64, 64));
    (starts ? started : offered).push_back(digest);
  }
  int Count(std::string_view text) const {
    int count = 0;
    for (std::size_t at = said.find(text); at != std::string::npos; at = said.find(text, at + 1)) {
      ++count;
    }
    return count;
  }
  std::string said;
  std::vector<std::string> started, offered;

 private:
  const FakeFileSystem* fs_;
};

// A device in one life after another on the same disk.
class LivedDevice {
 public:
  explicit LivedDevice(FakeFileSystem& fs) : fs_(fs), logger(fs) {}

  base::Status TryStart() {
    path_.reset();
    lifecycle_.reset();
    LifecycleOptions options;
    options.folder = "/device/lifecycle";
    options.seed = kSeed;
    options.commission = 100;
    options.quarantine_samples = 60;
    options.labels_per_event = 16;
    options.probation_samples = 40;
    Lifecycle::Parts parts;
    parts.fs = &fs_;
    parts.clock = &clock_;
    parts.logger = &logger;
    parts.outbox = &outbox_;
    parts.make_id = [this] { return base::StrCat("id", ++ids_); };
    static const std::shared_ptr<const model::ModelBundle> bundle = MakeBundle("1.0.0", 1);
    ASSIGN_OR_RETURN(lifecycle_, Lifecycle::Open(options, parts, bundle));
    path_ = std::make_unique<FramePath>(lifecycle_->TakeFirstStage(), lifecycle_->first_index());
    lifecycle_->Attach(*path_);
    return {};
  }
  void Start() {
    const base::Status started = TryStart();
    ASSERT_TRUE(started.ok()) << started.error().message;
  }

  // Six channels lose most of their gain instead, which is found without a person.
  void AgesByGain() { is_gain_ = true; }

  // Streams up to `rows` rows while `goes_on`; gives the share that was answered right.
  template <typename GoesOn>
  double Stream(int rows, bool aged, GoesOn goes_on) {
    int right = 0, all = 0;
    while (all < rows && !fs_.power_is_off() && goes_on()) {
      source::Frame frame;
      const auto label = static_cast<std::uint16_t>(random_.Below(kClasses));
      frame.row = MakeRow(random_, label, false);
      if (aged) Age(frame.row);
      frame.time = clock_.Now();
      auto seen = path_->Process(std::move(frame));
      EXPECT_TRUE(seen.ok());
      truth_[seen->index] = label;
      EXPECT_TRUE(indices_.insert(seen->index).second) << "index used twice";
      right += seen->prediction.nearest == label ? 1 : 0;
      lifecycle_->OnSeen(*seen);
      if (++all % 20 == 0 && !fs_.power_is_off()) lifecycle_->Tick();
    }
    return all == 0 ? 0.0 : static_cast<double>(right) / all;
  }
  double Stream(int rows, bool aged) {
    return Stream(rows, aged, [] { return true; });
  }
  // Ages until labels are asked for; then answers.
  bool Answer(const std::string& feedback_id, std::uint16_t turn = 0) {
    Stream(400, true, [&] { return lifecycle_->WantedSamples().empty(); });
    return Label(feedback_id, turn);
  }
  // What is asked, if anything is. `turn`: by so much each label is wrong.
  bool Label(const std::string& feedback_id, std::uint16_t turn = 0) {
    static constexpr const char* kNames[] = {"a", "b", "c", "d"};
    protocol::Feedback feedback;
    feedback.feedback_id = feedback_id;
    for (const adapt::QuarantinedSample* sample : lifecycle_->WantedSamples()) {
      const auto label = static_cast<std::size_t>((truth_.at(sample->index) + turn) % kClasses);
      feedback.labels.push_back({.sample_id = sample->sample_id, .label = kNames[label]});
    }
    if (feedback.labels.empty()) return false;
    was_taught_wrongly_ |= turn != 0;
    undelivered_ = feedback;
    return Deliver();
  }
  // As the server does until it is told that the feedback was taken.
  bool Deliver() {
    if (!undelivered_) return true;
    const bool is_taken = lifecycle_->OnFeedback(*undelivered_).ok() && !fs_.power_is_off();
    if (is_taken) undelivered_.reset();
    return is_taken;
  }
  // Runs as usual, labels what is asked, until all is quiet and watched.
  bool Settle(const std::string& feedback_id) {
    for (int round = 0; round < 100; ++round) {
      const LifecycleStatus status = lifecycle_->status();
      if ((status.state == "stable" || status.state == "rolled_back") &&
          status.drift.phase == drift::DriftMonitor::Phase::kWatching) {
        return true;
      }
      Stream(20, false);
      Label(base::StrCat(feedback_id, "-", round));
    }
    return false;
  }
  std::set<std::string> Outcomes(const std::string& feedback_id) {
    return outbox_.outcomes[feedback_id];
  }
  bool was_taught_wrongly() const { return was_taught_wrongly_; }
  bool Is(std::string_view state) const { return lifecycle_->status().state == state; }
  Lifecycle& lifecycle() { return *lifecycle_; }
  FramePath& path() { return *path_; }

  // One life: it drifts, is taught, on trial, committed; goes back to a snapshot by hand; drifts
  // again, what it knows is on trial again, and it is taught wrongly.
  void Live() {
    if (!TryStart().ok()) return;  // The power is off already.
    Stream(130, false);
    if (fs_.power_is_off()) return;
    Answer("f-1");
    Stream(120, true, [&] { return Is("probation"); });
    Stream(120, true);
    if (fs_.power_is_off()) return;
    const auto snapshots = lifecycle_->Snapshots();
    if (!snapshots.ok() || snapshots->snapshots.empty()) return;
    static_cast<void>(lifecycle_->RollBackTo(snapshots->snapshots.front().id).ok());
    Stream(150, false);
    Answer("f-2", 1);
    Stream(60, true);
  }

 private:
  void Age(std::vector<float>& row) const {
    for (std::size_t i = 0; i < 6; ++i) {
      // Cables plugged where others belong: only people can put that right.
      row[i] = is_gain_ ? 0.2f * row[i] + 1.2f : row[i + 8];
    }
  }

  FakeFileSystem& fs_;
  tests::FakeClock clock_;
  TakingOutbox outbox_;
  std::unique_ptr<Lifecycle> lifecycle_;
  std::unique_ptr<FramePath> path_;
  base::Random random_{kSeed};
  std::map<std::uint64_t, std::uint16_t> truth_;
  std::set<std::uint64_t> indices_;
  std::optional<protocol::Feedback> undelivered_;
  bool was_taught_wrongly_ = false;
  bool is_gain_ = false;
  int ids_ = 0;

 public:
  ListeningLogger logger;
};

constexpr const char* kTroubles[] = {"set aside", "begins anew", "adaptation dropped",
                                     "cannot be served"};

// The power goes at every operation on the disk in turn. The life is the same every time, so what
// serves after the restart must be, by its digest, what that life serves just before, then, or
// next.
TEST(LifecycleFaults, ThePowerMayGoAtEveryOperation) {
  FakeFileSystem whole;
  LivedDevice undisturbed(whole);
  undisturbed.Live();
  std::vector<std::string> serves = undisturbed.logger.started;  // First the bundle alone.
  serves.insert(serves.end(), undisturbed.logger.offered.begin(), undisturbed.logger.offered.end());
  ASSERT_GE(serves.size(), 3u) << undisturbed.logger.said;
  ASSERT_GE(undisturbed.logger.Count("committed"), 1) << undisturbed.logger.said;
  ASSERT_GE(undisturbed.logger.Count("rolled back to "), 1) << undisturbed.logger.said;
  const int operations = whole.operations();
  std::map<std::size_t, int> after_changes;
  for (int n = 0; n < operations; ++n) {
    SCOPED_TRACE(testing::Message() << "power off at " << n << " of " << operations);
    FakeFileSystem fs;
    LivedDevice device(fs);
    fs.PowerOffAt(n);
    device.Live();
    ASSERT_TRUE(fs.power_is_off());
    const std::vector<std::string> offered = device.logger.offered;
    const std::size_t changes = offered.size();
    ASSERT_LT(changes, serves.size());
    for (std::size_t i = 0; i < changes; ++i) ASSERT_EQ(offered[i], serves[i + 1]);
    ++after_changes[changes];
    fs.Crash(static_cast<std::uint64_t>(n));
    device.logger.started.clear();
    device.Start();
    ASSERT_EQ(device.logger.started.size(), 1u);
    const std::string now = device.logger.started.front();
    const bool is_before = changes > 0 && now == serves[changes - 1];
    const bool is_then = now == serves[changes];
    const bool is_next = changes + 1 < serves.size() && now == serves[changes + 1];
    EXPECT_TRUE(is_before || is_then || is_next)
        << now << " is none of what the life serves at its change " << changes;
    for (const char* trouble : kTroubles) EXPECT_EQ(device.logger.Count(trouble), 0) << trouble;
    device.Stream(3, false);
    if (n % 25 != 0) continue;
    // It goes on: what was under way ends, and what ages afterwards is taught and answered well.
    EXPECT_TRUE(device.Deliver());
    device.Settle("f-settle");  // Or it waits for a second opinion: no label is left to give.
    device.Answer("f-later");   // Where it asks at all: what serves may have been made for this.
    device.Stream(100, true);
    const double share = device.Stream(100, true);
    EXPECT_TRUE(share > 0.8 || device.was_taught_wrongly()) << share << device.logger.said;
  }
  // It was cut before the first change of what serves, between changes, and after the last.
  EXPECT_EQ(after_changes.size(), serves.size()) << "changes at which the power went";
}

// A snapshot is taken before every change. Where none can be, nothing is changed and said so once;
// frames are answered as before, and once there is room the device learns again.
TEST(LifecycleFaults, OnAFullDiskAnAdaptationIsRefusedAndInferenceGoesOn) {
  FakeFileSystem fs;
  LivedDevice device(fs);
  device.Start();
  device.Stream(130, false);
  fs.SetFault([](FakeFileSystem::Operation operation,
                 const std::string& path) -> std::optional<base::Error> {
    const bool takes_room = operation == FakeFileSystem::Operation::kAppend ||
                            operation == FakeFileSystem::Operation::kCreate;
    if (!takes_room || path.find("snapshots") == std::string::npos) return std::nullopt;
    return base::Error{base::ErrorCode::kExhausted, path + ": write: no space left on device"};
  });
  ASSERT_TRUE(device.Answer("f-1"));
  const double without = device.Stream(200, true);
  EXPECT_EQ(device.lifecycle().status().revision, 0u);
  EXPECT_EQ(device.lifecycle().status().adaptations, 0u);
  EXPECT_EQ(device.logger.Count("adaptation: adaptation refused: snapshot before "), 1)
      << device.logger.said;
  EXPECT_EQ(device.logger.Count("no space left on device"), 3)
      << "the error, the state's change and the report";
  EXPECT_FALSE(device.Is("probation"));
  EXPECT_TRUE(device.lifecycle().Snapshots()->snapshots.empty());
  // Nothing has learned from the labels, so it does not say so.
  EXPECT_EQ(device.Outcomes("f-1"), std::set<std::string>{"unused"});
  EXPECT_EQ(device.lifecycle().status().awaits, "labels");

  // A restart on the full disk serves the same; then there is room again.
  device.Start();
  EXPECT_EQ(device.logger.started[0], device.logger.started[1]);
  fs.SetFault(nullptr);
  protocol::Feedback again;
  again.feedback_id = "f-2";
  const auto& labels = device.lifecycle().quarantine().labels();
  static constexpr const char* kNames[] = {"a", "b", "c", "d"};
  for (const auto& [id, label] : labels) {
    again.labels.push_back({.sample_id = id, .label = kNames[label.label]});
  }
  ASSERT_TRUE(device.lifecycle().OnFeedback(again).ok());
  EXPECT_EQ(device.lifecycle().status().adaptations, 1u) << device.logger.said;
  device.Stream(60, true);
  EXPECT_GT(device.Stream(200, true), without + 0.1);
}

// Going back from a trial exchanges one pointer and renames one file; what was prepared is exact.
TEST(LifecycleFaults, GoingBackFromATrialIsPrepared) {
  FakeFileSystem fs;
  LivedDevice device(fs);
  device.Start();
  device.Stream(130, false);
  ASSERT_TRUE(device.Answer("f-1"));
  ASSERT_TRUE(device.Is("probation")) << device.logger.said;
  const std::string champion = device.logger.started.at(0);
  const std::string challenger = device.logger.offered.at(0);
  ASSERT_NE(champion, challenger);
  std::vector<std::pair<FakeFileSystem::Operation, std::string>> done;
  fs.SetFault([&](FakeFileSystem::Operation operation, const std::string& path) {
    done.emplace_back(operation, path);
    return std::nullopt;
  });
  protocol::Feedback order;
  order.feedback_id = "f-2";
  order.adaptations = {{challenger, protocol::AdaptationOrder::kRollBack}};
  ASSERT_TRUE(device.lifecycle().OnFeedback(order).ok());
  ASSERT_EQ(device.logger.offered.size(), 2u) << device.logger.said;
  EXPECT_EQ(device.logger.offered.back(), champion);
  // The first thing that reaches the disk about it is the rename of what lay ready.
  ASSERT_FALSE(done.empty());
  EXPECT_EQ(done.front().first, FakeFileSystem::Operation::kRename);
  EXPECT_TRUE(done.front().second.ends_with("lifecycle.next")) << done.front().second;
  fs.SetFault(nullptr);
  fs.Crash();
  device.Start();
  EXPECT_EQ(device.logger.started.back(), champion);
}

// The second time the same change is met, what was learned the first time serves after two dozen
// samples, without a label.
TEST(LifecycleFaults, WhatWasMetBeforeIsServedAgainWithoutLabels) {
  FakeFileSystem fs;
  LivedDevice device(fs);
  device.Start();
  device.Stream(130, false);
  ASSERT_TRUE(device.Answer("f-1"));
  device.Stream(150, true);  // On trial for forty, committed, learning what is usual.
  const std::string learned = device.logger.offered.at(0);
  ASSERT_EQ(device.logger.Count("adaptation: committed"), 1) << device.logger.said;

  // It is repaired: an alarm, and after two dozen samples the bundle alone is on trial.
  device.Stream(300, false, [&] { return device.logger.offered.size() < 2; });
  ASSERT_EQ(device.logger.offered.size(), 2u) << device.logger.said;
  EXPECT_EQ(device.logger.offered.back(), device.logger.started.front());
  EXPECT_EQ(device.logger.Count("recognising: as when nothing was wrong"), 1) << device.logger.said;
  device.Stream(200, false);

  // And it ages again, after a restart.
  fs.Crash();
  device.Start();
  const double before = device.Stream(150, false);
  int rows = 0;
  device.Stream(300, true, [&] {
    ++rows;
    return device.logger.offered.size() < 3;
  });
  ASSERT_EQ(device.logger.offered.size(), 3u) << device.logger.said;
  EXPECT_EQ(device.logger.Count("recognising: met before"), 1) << device.logger.said;
  EXPECT_LE(rows, 60) << "alarm and two dozen samples";
  EXPECT_GT(device.Stream(200, true), before - 0.08);
  EXPECT_EQ(device.lifecycle().status().labels_applied, 16u) << "those of the first time";
  EXPECT_NE(device.logger.offered.back(), learned) << "it names the event it answers now";
}

// Three events, each with labels: those of the first two were given in other states of the world
// and have no say in the third, where what was recognised stays.
TEST(LifecycleFaults, LabelsOfEarlierEventsDoNotUndoWhatIsMetAgain) {
  FakeFileSystem fs;
  LivedDevice device(fs);
  device.AgesByGain();
  device.Start();
  device.Stream(130, false);
  ASSERT_TRUE(device.Answer("f-1"));
  device.Stream(150, true);
  const double first = device.Stream(200, true);
  device.Stream(400, false, [&] { return device.lifecycle().WantedSamples().empty(); });
  ASSERT_TRUE(device.Label("f-2")) << device.logger.said;
  device.Stream(250, false);
  ASSERT_TRUE(device.Answer("f-3")) << device.logger.said;
  device.Stream(150, true);
  EXPECT_GE(device.Stream(200, true), first - 0.03) << device.logger.said;
  EXPECT_EQ(device.logger.Count("recognising: met before"), 1) << device.logger.said;
  EXPECT_EQ(device.logger.Count(" challengers by 16 labels: "), 3) << device.logger.said;
}

}  // namespace
}  // namespace tinylcm::pipeline
