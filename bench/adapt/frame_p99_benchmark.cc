// Does adapting delay a frame? The camera at a steady pace, answered by one thread, while another
// one, of the priority the agent's has, does either nothing but watch (stable) or searches the
// input, judges challengers and swaps what it found, again and again (adapting). Both take turns,
// so that both see the same machine; what is compared is the 99th percentile of the whole frame,
// decoded, answered and watched for drift, by the clock on the wall.
//
//   frame_p99_benchmark [--rounds N]

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "agent/thread_priority.h"
#include "base/check.h"
#include "base/text.h"
#include "bench/adapt/streams.h"
#include "bench/figure.h"
#include "protocol/samples.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/model/engine.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/pipeline/lifecycle.h"

namespace {

namespace pipeline = tinylcm::pipeline;
using base::StrCat;
using Wall = std::chrono::steady_clock;

constexpr std::uint64_t kSeed = 5;
constexpr int kFramesARound = 250;
constexpr auto kPace = std::chrono::milliseconds(10);
constexpr std::size_t kWaitingMax = 64;  // For the control thread; more are not watched.

class Outbox final : public pipeline::Outbox {
 public:
  base::Status Send(std::string_view, const std::string&,
                    std::vector<protocol::PackageFile> files) override {
    for (const protocol::PackageFile& file : files) {
      if (file.path != protocol::kSamplesPath) continue;
      auto set = protocol::ParseSampleSet(base::AsText(file.bytes));
      if (set.ok()) asked = std::move(*set);
    }
    return {};
  }
  protocol::SampleSet asked;
};

double Percentile99(std::vector<double> values) {
  std::ranges::sort(values);
  return values[static_cast<std::size_t>(0.99 * static_cast<double>(values.size()))];
}

// The thread beside the frames.
class Control {
 public:
  Control(pipeline::Lifecycle& lifecycle, const protocol::Feedback& answers)
      : lifecycle_(lifecycle), answers_(answers), thread_([this] { Run(); }) {}
  ~Control() {
    {
      const std::scoped_lock lock(mutex_);
      is_over_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }

  void Hand(pipeline::Seen seen) {
    {
      const std::scoped_lock lock(mutex_);
      if (seen_.size() < kWaitingMax) seen_.push_back(std::move(seen));
    }
    wake_.notify_one();
  }
  void SetAdapting(bool is_adapting) { is_adapting_ = is_adapting; }
  bool is_busy() const { return is_busy_; }
  int adaptations() const { return adaptations_; }

 private:
  void Run() {
    CHECK(agent::StepBehind().ok());
    while (true) {
      std::deque<pipeline::Seen> seen;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return is_over_ || is_adapting_ || !seen_.empty(); });
        if (is_over_) return;
        seen.swap(seen_);
      }
      for (const pipeline::Seen& one : seen) lifecycle_.OnSeen(one);
      lifecycle_.Tick();
      if (!is_adapting_) continue;
      is_busy_ = true;
      answers_.feedback_id = StrCat("f-", ++adaptations_);
      // The half of them, or all: so that there is something to choose anew.
      protocol::Feedback some = answers_;
      if (adaptations_ % 2 == 1) some.labels.resize(some.labels.size() / 2);
      CHECK(lifecycle_.OnFeedback(some).ok());
      is_busy_ = false;
    }
  }

  pipeline::Lifecycle& lifecycle_;
  protocol::Feedback answers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<pipeline::Seen> seen_;
  bool is_over_ = false;
  std::atomic<bool> is_adapting_{false};
  std::atomic<bool> is_busy_{false};
  std::atomic<int> adaptations_{0};
  std::thread thread_;
};

base::Status Measure(int rounds) {
  tinyscene::Drifts drifts;
  drifts.light = bench::adapt::kLight;
  drifts.dirt = bench::adapt::kDirt;
  ASSIGN_OR_RETURN(const bench::adapt::Deal deal,
                   bench::adapt::DealCamera({.drifts = drifts}, kSeed));
  tests::FakeFileSystem fs;
  tests::FakeClock clock;
  Outbox outbox;
  pipeline::LifecycleOptions options;
  options.folder = "/device";
  options.seed = kSeed;
  pipeline::Lifecycle::Parts parts;
  parts.fs = &fs;
  parts.clock = &clock;
  parts.logger = &base::NullLogger();
  parts.outbox = &outbox;
  parts.open_engine = tinylcm::model::OpenEngine;
  int ids = 0;
  parts.make_id = [&] { return StrCat("id", ++ids); };
  ASSIGN_OR_RETURN(auto lifecycle, pipeline::Lifecycle::Open(options, parts, deal.bundle));
  pipeline::FramePath path(lifecycle->TakeFirstStage(), lifecycle->first_index());
  lifecycle->Attach(path);

  // To the question, one after the other.
  std::vector<std::uint16_t> truth;
  const auto show = [&](const bench::adapt::Shown& shown, bool alarm) -> base::Status {
    ASSIGN_OR_RETURN(pipeline::Seen seen, path.Process(shown.frame));
    truth.resize(seen.index + 1);
    truth[seen.index] = shown.label;
    if (alarm) seen.signal = tinylcm::drift::DriftSignal::kDrift;
    lifecycle->OnSeen(seen);
    return {};
  };
  for (const auto& shown : deal.quiet) RETURN_IF_ERROR(show(shown, false));
  for (std::size_t i = 0; i < deal.changed.size() && outbox.asked.samples.empty(); ++i) {
    RETURN_IF_ERROR(show(deal.changed[i], i == 20 && lifecycle->status().events.empty()));
  }
  if (outbox.asked.samples.empty()) {
    return base::Error{base::ErrorCode::kInvalidArgument, "nothing was asked"};
  }
  protocol::Feedback answers;
  answers.bundle = deal.bundle->bundle;
  for (const protocol::SampleRecord& sample : outbox.asked.samples) {
    answers.labels.push_back({sample.sample_id, deal.names[truth[sample.index]]});
  }

  std::vector<double> stable, adapting;
  int adaptations = 0;
  {
    Control control(*lifecycle, answers);
    std::size_t next = 0;
    auto due = Wall::now();
    for (int round = 0; round < 2 * rounds; ++round) {
      const bool is_adapting = round % 2 == 1;
      control.SetAdapting(is_adapting);
      for (int i = 0; i < kFramesARound; ++i) {
        due = std::max(due + kPace, Wall::now());
        std::this_thread::sleep_until(due);
        tinylcm::source::Frame frame = deal.changed[next++ % deal.changed.size()].frame;
        frame.time = clock.Now();
        pipeline::Seen seen;
        // Counted where it is what it is called, from before the frame to behind it.
        const bool was_busy = control.is_busy();
        RETURN_IF_ERROR(path.Answer(frame, seen));
        if (was_busy == is_adapting && control.is_busy() == is_adapting) {
          (is_adapting ? adapting : stable).push_back(seen.total_us);
        }
        control.Hand(std::move(seen));
      }
    }
    adaptations = control.adaptations();
  }
  const double usual = Percentile99(stable);
  const double busy = Percentile99(adapting);
  bench::Print(
      {.name = "adapt_quality.frame_p99",
       .value = busy,
       .unit = "us",
       .baseline = usual,
       .conditions = StrCat(
           "camera, 100 frames a second, ", adapting.size(), " frames while ", adaptations,
           " times the input was searched and labels judged; baseline: ", stable.size(),
           " frames while nothing was adapted; ", std::thread::hardware_concurrency(), " cores"),
       .target = "ratio at most 1.1",
       .met = busy <= 1.1 * usual});
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 6;
  if (argc == 3 && std::strcmp(argv[1], "--rounds") == 0) rounds = std::atoi(argv[2]);
  if ((argc != 1 && argc != 3) || rounds < 1) {
    std::fprintf(stderr, "frame_p99_benchmark [--rounds N]\n");
    return 2;
  }
  const base::Status measured = Measure(rounds);
  if (measured.ok()) return 0;
  std::fprintf(stderr, "frame_p99_benchmark: %s\n", measured.error().message.c_str());
  return 1;
}
