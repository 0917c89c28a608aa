// Device: the whole life of an adaptation in one process, with everything real but the disk (kept
// in memory), the clock and the people: frame path, drift monitor, quarantine, questions, input
// search, judge, probation, snapshots.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "bench/adapt/streams.h"
#include "protocol/feedback.h"
#include "protocol/samples.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/pipeline/lifecycle.h"

namespace bench::adapt {

// Accuracy over samples, all and by class.
struct Score {
  std::size_t samples = 0;
  std::size_t right = 0;
  std::size_t unknown = 0;        // Answered "unknown"; what would have been said still counts.
  std::size_t novel_samples = 0;  // Of the class that no bundle knows.
  std::size_t novel_right = 0;

  double accuracy() const;
  double known() const;   // Of the other classes.
  double recall() const;  // Of the novel one.
};

// Not thread-safe.
class Device {
 public:
  struct Options {
    tinylcm::adapt::Mode mode = tinylcm::adapt::Mode::kAutonomous;
    std::uint32_t labels = 24;
    std::uint32_t quarantine = 300;
    std::uint32_t probation = 100;
    std::uint64_t seed = 1;
  };
  // `names`: Deal::names.
  static base::Result<std::unique_ptr<Device>> Start(
      const std::shared_ptr<const tinylcm::model::ModelBundle>& bundle,
      const std::vector<std::string>& names, const Options& options);

  // One sample, answered and told to the control thread. `alarm`: as if drift had just been found.
  base::Status Show(const Shown& shown, bool alarm = false);

  // Answered by what serves now; nothing learns of it but the drift monitor's counters.
  base::Result<Score> Ask(std::span<const Shown> scored, std::optional<std::uint16_t> novel);

  // The same by an engine and a classifier of its own: nothing learns of it at all.
  base::Result<Score> AskAside(std::span<const Shown> scored);

  // Labels are wanted: an event with samples went out that nobody has answered.
  bool has_asked() const { return asked_.has_value(); }
  std::size_t asked_count() const { return asked_ ? asked_->samples.size() : 0; }
  // What a person says who knows. Of all labels, `wrong` (a share) name another class.
  protocol::Feedback Answers(double wrong = 0.0);
  // Which samples of the last Answers were named wrong.
  const std::vector<std::string>& wrong() const { return wrong_; }
  base::Status Tell(const protocol::Feedback& feedback);

  // Of what serves, to the byte (from a snapshot taken for it).
  base::Result<std::string> ServedDigest();
  // The state machine's last word, also while the drift monitor learns anew.
  std::string state() const;
  bool is_at_rest() const;  // Nothing is collected, judged or on trial.
  // What became of that label, by the last report that speaks of it; empty: none did.
  std::string OutcomeOf(const std::string& sample_id) const;

  tinylcm::pipeline::LifecycleStatus status() const { return lifecycle_->status(); }
  tinylcm::pipeline::Lifecycle& lifecycle() { return *lifecycle_; }
  std::uint64_t alarms() const { return alarms_; }
  std::uint64_t next_index() const { return path_->next_index(); }
  // Every package that left, by type.
  struct Sent {
    std::string type;
    std::vector<protocol::PackageFile> files;
  };
  const std::vector<Sent>& sent() const { return outbox_.sent; }
  const std::string& log() const { return logger_.said; }

 private:
  class Outbox final : public tinylcm::pipeline::Outbox {
   public:
    base::Status Send(std::string_view type, const std::string&,
                      std::vector<protocol::PackageFile> files) override {
      sent.push_back({std::string(type), std::move(files)});
      return {};
    }
    std::vector<Sent> sent;
  };
  class Logger final : public base::Logger {
   public:
    void Write(base::LogLevel, std::string_view message) override {
      said += message;
      said += '\n';
    }
    std::string said;
  };

  // A snapshot of what serves.
  base::Result<tinylcm::state::SnapshotInfo> Snapshot();

  explicit Device(std::uint64_t seed) : random_(seed) {}
  void ReadOutbox();

  tests::FakeFileSystem fs_;
  tests::FakeClock clock_;
  Outbox outbox_;
  Logger logger_;
  base::Random random_;
  std::uint64_t ids_ = 0;
  std::vector<std::string> names_;
  std::size_t known_names_ = 0;
  std::unique_ptr<tinylcm::pipeline::Lifecycle> lifecycle_;
  std::unique_ptr<tinylcm::pipeline::FramePath> path_;
  std::map<std::uint64_t, std::uint16_t> truth_;
  std::size_t read_ = 0;  // Of what was sent.
  std::optional<protocol::SampleSet> asked_;
  std::vector<std::string> wrong_;
  std::string state_ = "stable";
  std::map<std::string, std::string> outcomes_;
  std::uint64_t feedbacks_ = 0;
  std::uint64_t alarms_ = 0;
};

}  // namespace bench::adapt
