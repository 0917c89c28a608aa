#include "tinylcm/pipeline/frame_path.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "tinylcm/pipeline/accuracy.h"

namespace tinylcm::pipeline {

namespace {

constexpr std::size_t kBundlesKept = 16;
// Stages that may be taken up before this thread makes room again: the one offered, and the one
// whose offer it replaces.
constexpr std::size_t kOffers = 2;

// Where in the cycle; a clock that jumps only lands elsewhere in it. Before 1970 there was no
// frame.
float PhaseOf(base::Time time, base::Duration cycle) {
  const auto since = time.time_since_epoch().count();
  if (cycle.count() <= 0 || since <= 0) return -1.0f;
  const auto phase = static_cast<float>(static_cast<double>(since % cycle.count()) /
                                        static_cast<double>(cycle.count()));
  return phase < 1.0f ? phase : 0.0f;  // The last of a long cycle may round up.
}

// What the fleet is told is counted among the bundle's own held-out values.
std::unique_ptr<drift::StreamSketch> SketchFor(const model::ModelBundle& bundle,
                                               drift::SignalMask signals) {
  drift::StreamSketch::Options options;
  options.bundle = bundle.bundle;
  options.classes = static_cast<std::uint32_t>(bundle.manifest.labels.size());
  options.dims = static_cast<std::uint32_t>(bundle.feature_count());
  options.signals = signals;
  options.held_out = bundle.reference.held_out;
  auto sketch = drift::StreamSketch::Create(options);
  CHECK(sketch.ok());  // LoadBundle has refused a reference that does not ascend.
  return std::make_unique<drift::StreamSketch>(std::move(sketch).value());
}

}  // namespace

FramePath::FramePath(std::unique_ptr<Stage> first, std::uint64_t first_index)
    : swap_(std::move(first)), next_index_(first_index) {
  Stage& stage = swap_.current();
  CHECK(stage.serving != nullptr && stage.monitor != nullptr);
  Prepare(stage);
  monitor_ = std::move(stage.monitor);
  window_ = std::move(stage.window);
  sketch_ = std::move(stage.sketch);
  accuracy_ = std::move(stage.accuracy);
  sketched_ = stage.bundle;
}

void FramePath::Offer(std::unique_ptr<Stage> stage) {
  Prepare(*stage);
  {
    const std::scoped_lock lock(monitor_mutex_);
    left_.reserve(left_.size() + kOffers);
  }
  swap_.Offer(std::move(stage));
}

void FramePath::Prepare(Stage& stage) {
  if (stage.sketch != nullptr) return;
  const model::ModelBundle& bundle = stage.serving->bundle();
  stage.bundle = NumberOf(bundle, stage.serving->labels());
  stage.sketch = SketchFor(bundle, stage.serving->signals());
  stage.accuracy =
      std::make_unique<accuracy::Estimator>(MakeEstimator(bundle, stage.serving->adaptation()));
  const protocol::BundleInput& input = bundle.manifest.input;
  if (!input.window) return;
  auto window =
      feature::WindowFeatures::Create(*input.window, static_cast<std::size_t>(input.channel_count));
  CHECK(window.ok());  // Serving::Create has refused what does not fit.
  stage.window = std::make_unique<feature::WindowFeatures>(std::move(window).value());
}

// The same bundle with the same classes keeps its number when it comes back; one for which people
// opened a class is another.
std::uint32_t FramePath::NumberOf(const model::ModelBundle& bundle,
                                  const std::vector<std::string>& labels) {
  const std::scoped_lock lock(bundles_mutex_);
  for (const KnownBundle& known : bundles_) {
    if (known.named->bundle == bundle.bundle && known.named->labels == labels) return known.number;
  }
  if (bundles_.size() == kBundlesKept) bundles_.erase(bundles_.begin());
  bundles_.push_back(
      {bundles_met_, std::make_shared<const NamedBundle>(NamedBundle{bundle.bundle, labels})});
  return bundles_met_++;
}

std::shared_ptr<const NamedBundle> FramePath::BundleOf(std::uint32_t number) const {
  const std::scoped_lock lock(bundles_mutex_);
  for (const KnownBundle& known : bundles_) {
    if (known.number == number) return known.named;
  }
  return nullptr;
}

base::Status FramePath::Answer(source::Frame& frame, Seen& seen) {
  const auto began = std::chrono::steady_clock::now();
  bool swapped = false;
  Stage& stage = swap_.Begin(&swapped);
  if (swapped && stage.monitor != nullptr) {
    const std::scoped_lock lock(monitor_mutex_);
    std::swap(monitor_, stage.monitor);
  }
  if (swapped) {
    const std::scoped_lock lock(monitor_mutex_);
    std::swap(accuracy_, stage.accuracy);
  }
  if (swapped && stage.bundle != sketched_) {
    const std::scoped_lock lock(monitor_mutex_);
    SwapSketch(stage);
  }
  if (swapped) {
    // The same window goes on as it is; another one begins empty.
    const bool is_same = window_ != nullptr && stage.window != nullptr &&
                         window_->window() == stage.window->window() &&
                         window_->channels() == stage.window->channels();
    if (!is_same) std::swap(window_, stage.window);
  }
  if (window_ != nullptr) RETURN_IF_ERROR(TakeRow(frame));

  RETURN_IF_ERROR(stage.serving->Infer(frame, inference_));
  seen.index = next_index_.fetch_add(1);
  seen.revision = stage.serving->revision();
  seen.adaptation = stage.serving->adaptation().is_none() ? 0 : seen.revision;
  seen.time = frame.time;
  seen.frame_number = inference_.frame_number;
  if (inference_.prediction.confidence < abstain_below_.load()) {
    inference_.prediction.label = classify::kUnknownLabel;
  }
  seen.prediction = inference_.prediction;
  seen.bundle = stage.bundle;
  drift::Sample sample;
  stage.serving->Measure(inference_, sample);
  sample.index = seen.index;
  sample.phase = PhaseOf(frame.time, cycle_);
  const accuracy::Answer answer = AnswerOf(inference_.prediction, stage.serving->bundle());
  {
    const std::scoped_lock lock(monitor_mutex_);
    seen.signal = monitor_->Observe(sample);
    sketch_->Observe(sample, inference_.feature);
    accuracy_->Observe(answer);
  }
  seen.decode_us = inference_.decode_us;
  seen.model_us = inference_.model_us;
  seen.classify_us = inference_.classify_us;
  seen.total_us =
      std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began).count();
  if (swapped) {
    swap_gap_ms_.store(std::max(0.0, seen.total_us - usual_us_) / 1000.0);
  } else {
    usual_us_ += (seen.total_us - usual_us_) * (usual_us_ == 0.0 ? 1.0 : 0.05);
  }
  return {};
}

// Allocates nothing. A bundle that comes back goes on counting where it stopped.
void FramePath::SwapSketch(Stage& stage) {
  const auto back = std::ranges::find(left_, stage.bundle, &Left::bundle);
  if (back != left_.end()) {
    std::swap(back->sketch, sketch_);
    back->bundle = sketched_;
  } else {
    left_.push_back({sketched_, std::move(sketch_)});
    sketch_ = std::move(stage.sketch);
  }
  sketched_ = stage.bundle;
}

base::Status FramePath::TakeRow(source::Frame& frame) {
  RETURN_IF_ERROR(CheckRow(frame, window_->channels()));
  if (!window_->Observe(frame.row, frame.label)) {
    return base::Error{base::ErrorCode::kUnavailable, "not yet"};
  }
  frame.row.assign(window_->features().begin(), window_->features().end());
  frame.label = window_->label();
  return {};
}

base::Result<Seen> FramePath::Process(source::Frame frame) {
  Seen seen;
  RETURN_IF_ERROR(Answer(frame, seen));
  seen.frame = std::move(frame);
  return seen;
}

drift::DriftMonitor FramePath::CopyOfMonitor() const {
  const std::scoped_lock lock(monitor_mutex_);
  return *monitor_;
}

std::optional<drift::DriftExplanation> FramePath::Explanation() const {
  if (drift_phase() != drift::DriftMonitor::Phase::kOpen) return std::nullopt;
  return CopyOfMonitor().explanation();
}

drift::DriftMonitor::Phase FramePath::drift_phase() const {
  const std::scoped_lock lock(monitor_mutex_);
  return monitor_->phase();
}

drift::DriftMonitor::Standing FramePath::drift_standing() const {
  const std::scoped_lock lock(monitor_mutex_);
  return monitor_->standing();
}

void FramePath::Resume() {
  const std::scoped_lock lock(monitor_mutex_);
  monitor_->Resume();
}

void FramePath::Rebaseline() {
  const std::scoped_lock lock(monitor_mutex_);
  monitor_->Rebaseline();
}

void FramePath::Rebaseline(const std::function<void(drift::DriftMonitor&)>& teach) {
  auto taught = std::make_unique<drift::DriftMonitor>(CopyOfMonitor());
  taught->Rebaseline();
  teach(*taught);
  const std::scoped_lock lock(monitor_mutex_);
  std::swap(monitor_, taught);
}

void FramePath::TakeSketches(const std::function<bool(const protocol::Sketches&)>& take) {
  drift::StreamSketch* current = nullptr;
  {
    const std::scoped_lock lock(monitor_mutex_);
    current = sketch_.get();
  }
  // It stays where it is: stages and what they leave are freed by this thread alone.
  std::vector<protocol::Sketches> taken(1, current->Blank());
  std::vector<Left> left;
  left.reserve(kOffers);
  {
    const std::scoped_lock lock(monitor_mutex_);
    current->Exchange(taken[0]);
    std::swap(left, left_);
  }
  for (const Left& other : left) taken.push_back(other.sketch->sketches());
  for (protocol::Sketches& again : not_taken_) {
    const auto same = std::ranges::find(taken, again.bundle, &protocol::Sketches::bundle);
    const bool is_in = same != taken.end() && protocol::Merge(again, *same).ok();
    if (!is_in) taken.push_back(std::move(again));
  }
  not_taken_.clear();
  for (protocol::Sketches& sketches : taken) {
    if (sketches.total() > 0 && !take(sketches)) not_taken_.push_back(std::move(sketches));
  }
}

accuracy::Estimate FramePath::Accuracy() const {
  const std::scoped_lock lock(monitor_mutex_);
  return accuracy_->Over();
}

accuracy::Estimate FramePath::AccuracySince(std::uint64_t since_index) const {
  const std::uint64_t next = next_index_.load();
  const std::scoped_lock lock(monitor_mutex_);
  return accuracy_->Over(since_index < next ? next - since_index : 0);
}

std::optional<accuracy::Drop> FramePath::AccuracyDrop(std::uint64_t since_index) const {
  const std::scoped_lock lock(monitor_mutex_);
  const std::uint64_t next = next_index_.load();
  return accuracy_->DropOver(since_index < next ? next - since_index : 0);
}

void FramePath::Compare(bool agrees) {
  const std::scoped_lock lock(monitor_mutex_);
  accuracy_->Compare(agrees);
}

base::Bytes FramePath::SaveDriftState(std::uint64_t belongs_to) const {
  return CopyOfMonitor().SaveState(belongs_to);
}

}  // namespace tinylcm::pipeline
