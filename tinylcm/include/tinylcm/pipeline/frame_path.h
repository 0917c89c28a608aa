// FramePath: what one thread does with each frame: answer it, and watch the answers for drift. Once
// warm it allocates nothing.
//
// The control thread makes a new Stage (model, adaptation, perhaps a new drift monitor) and offers
// it; the frame thread takes it up between two frames by one pointer exchange. The drift monitor is
// behind a mutex that the control thread takes seldom and briefly: what is to be explained or saved
// is copied behind it, explained and saved outside.
//
// Where the bundle says that rows are seen through a window (feature/window.h), a row that fills
// none is kept and not answered, and one that does is answered as the window's features: they are
// the row for all that comes after.

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "tinylcm/accuracy/estimator.h"
#include "tinylcm/drift/drift_monitor.h"
#include "tinylcm/drift/stream_sketch.h"
#include "tinylcm/feature/window.h"
#include "tinylcm/model/hot_swap.h"
#include "tinylcm/pipeline/serving.h"
#include "tinylcm/source/frame.h"

namespace tinylcm::pipeline {

// One answered frame, on its way to the log and to the control thread.
struct Seen {
  std::uint64_t index = 0;       // Which inference of this device; goes on across restarts.
  std::uint64_t revision = 0;    // Of the stage that answered.
  std::uint64_t adaptation = 0;  // The same, or 0 where the bundle alone answered.
  base::Time time{};
  std::optional<std::uint32_t> frame_number;
  classify::Prediction prediction;
  std::uint32_t bundle = 0;  // Whose labels these are: FramePath::BundleOf.
  drift::DriftSignal signal = drift::DriftSignal::kLearning;
  double total_us = 0.0;
  double decode_us = 0.0;
  double model_us = 0.0;
  double classify_us = 0.0;
  source::Frame frame;  // As it came; the control thread may want it for the quarantine.
};

// What is swapped in whole.
struct Stage {
  std::unique_ptr<Serving> serving;
  std::unique_ptr<drift::DriftMonitor> monitor;  // Null: the monitor goes on as it is.
  std::uint32_t bundle = 0;                      // FramePath's count; it fills it in.
  std::unique_ptr<feature::WindowFeatures>
      window;                                     // It fills that in, too; null: rows as they are.
  std::unique_ptr<drift::StreamSketch> sketch;    // And that.
  std::unique_ptr<accuracy::Estimator> accuracy;  // And that.
};

// What Answer says of a row that was taken and fills no window yet: neither bad nor answered.
inline bool IsNotYet(const base::Error& error) {
  return error.code == base::ErrorCode::kUnavailable && error.message == "not yet";
}

// What there is to say of a bundle that answers.
struct NamedBundle {
  std::string bundle;
  std::vector<std::string> labels;  // Opened classes behind its own.
};

// Answer and Process are the frame thread's; everything else may be called from the control thread,
// BundleOf from any.
class FramePath {
 public:
  // REQUIRES: both parts of `first` are there. `first_index`: of the next inference.
  FramePath(std::unique_ptr<Stage> first, std::uint64_t first_index);

  // What is usual repeats after so long by the frames' clock: each sample then says where in the
  // cycle it was taken. 0: it does not. Before the first frame.
  void SetCycle(base::Duration cycle) { cycle_ = cycle; }

  // Answers a frame into `seen`, all but seen.frame, which is left alone. An Error: the frame was
  // bad and nothing downstream has seen it, or IsNotYet; `seen` is then of no use. With a window,
  // frame.row and frame.label become the window's.
  base::Status Answer(source::Frame& frame, Seen& seen);
  // The same, and the frame goes along.
  base::Result<Seen> Process(source::Frame frame);
  // What stands behind the last answer, until the next one. The frame thread's too.
  const Inference& inference() const { return inference_; }

  // Makes a stage ready to be offered, ahead of time; Offer does it for those that are not.
  void Prepare(Stage& stage);
  // Offers a new stage; it answers from the next frame on. One that is ready is only exchanged: one
  // pointer.
  void Offer(std::unique_ptr<Stage> stage);
  // The stage that no longer answers, or null.
  std::unique_ptr<Stage> Collect() { return swap_.Collect(); }
  // How much longer than usual the first frame after the last swap took, milliseconds.
  double swap_gap_ms() const { return swap_gap_ms_.load(); }

  std::uint64_t next_index() const { return next_index_.load(); }

  // The bundle that Seen::bundle counts; null once 16 others came after it.
  std::shared_ptr<const NamedBundle> BundleOf(std::uint32_t number) const;

  std::optional<drift::DriftExplanation> Explanation() const;
  drift::DriftMonitor::Phase drift_phase() const;
  drift::DriftMonitor::Standing drift_standing() const;
  void Rebaseline();
  // After an alarm that led to nothing: it watches on, with what it knew.
  void Resume();
  // The same, and `teach` shows the monitor what is usual from now on, off the frame path.
  void Rebaseline(const std::function<void(drift::DriftMonitor&)>& teach);
  // Gives `take` what was seen since the last call, a bundle each: that which answers, behind it
  // those that were swapped out meanwhile. What it does not take (false) it is given again by the
  // next call, together with what came since. Nothing seen, nothing given.
  void TakeSketches(const std::function<bool(const protocol::Sketches&)>& take);
  // How many of the last answers were right, without labels; begins anew with every stage. May be
  // called from any thread, as the two below.
  accuracy::Estimate Accuracy() const;
  // The same, of the answers since that inference.
  accuracy::Estimate AccuracySince(std::uint64_t since_index) const;
  // What of it was lost since that inference; nullopt: unknown.
  std::optional<accuracy::Drop> AccuracyDrop(std::uint64_t since_index) const;
  // What answered in the shadow said of a frame that was answered, too.
  void Compare(bool agrees);
  // Answers whose confidence is below are given as "unknown"; 0: as the bundle says. From any
  // thread, from the next frame on.
  void SetAbstain(float below) { abstain_below_.store(below); }
  base::Bytes SaveDriftState(std::uint64_t belongs_to) const;  // DriftMonitor::SaveState.

 private:
  struct KnownBundle {
    std::uint32_t number = 0;
    std::shared_ptr<const NamedBundle> named;
  };
  // Of a bundle that does not answer now.
  struct Left {
    std::uint32_t bundle = 0;
    std::unique_ptr<drift::StreamSketch> sketch;
  };
  std::uint32_t NumberOf(const model::ModelBundle& bundle, const std::vector<std::string>& labels);
  drift::DriftMonitor CopyOfMonitor() const;
  void SwapSketch(Stage& stage);
  base::Status TakeRow(source::Frame& frame);

  mutable std::mutex bundles_mutex_;  // Never taken by Answer.
  std::vector<KnownBundle> bundles_;  // Oldest first.
  std::uint32_t bundles_met_ = 0;
  model::HotSwap<Stage> swap_;
  std::atomic<std::uint64_t> next_index_;
  std::atomic<double> swap_gap_ms_{0.0};
  mutable std::mutex monitor_mutex_;
  std::unique_ptr<drift::DriftMonitor> monitor_;
  std::unique_ptr<drift::StreamSketch> sketch_;    // Behind monitor_mutex_ too; never null.
  std::unique_ptr<accuracy::Estimator> accuracy_;  // Likewise; never null.
  std::vector<Left> left_;                         // Likewise; since they were taken last.
  std::vector<protocol::Sketches> not_taken_;      // A bundle each. The control thread's.
  std::uint32_t sketched_ = 0;                     // The bundle sketch_ is of. The frame thread's.
  std::unique_ptr<feature::WindowFeatures> window_;  // Likewise.
  std::atomic<float> abstain_below_{0.0f};
  base::Duration cycle_{0};
  Inference inference_;
  double usual_us_ = 0.0;  // Running mean of the whole frame.
};

}  // namespace tinylcm::pipeline
