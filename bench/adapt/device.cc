#include "bench/adapt/device.h"

#include <algorithm>

#include "base/text.h"
#include "protocol/adaptation_report.h"
#include "tinylcm/model/engine.h"

namespace bench::adapt {

namespace pipeline = tinylcm::pipeline;
using base::StrCat;

namespace {

double Share(std::size_t part, std::size_t of) {
  return of == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(of);
}

}  // namespace

double Score::accuracy() const { return Share(right, samples); }
double Score::known() const { return Share(right - novel_right, samples - novel_samples); }
double Score::recall() const { return Share(novel_right, novel_samples); }

base::Result<std::unique_ptr<Device>> Device::Start(
    const std::shared_ptr<const tinylcm::model::ModelBundle>& bundle,
    const std::vector<std::string>& names, const Options& options) {
  std::unique_ptr<Device> device(new Device(options.seed));
  device->names_ = names;
  device->known_names_ = bundle->manifest.labels.size();
  pipeline::LifecycleOptions lifecycle;
  lifecycle.mode = options.mode;
  lifecycle.folder = "/device";
  lifecycle.seed = options.seed;
  lifecycle.labels_per_event = options.labels;
  lifecycle.quarantine_samples = options.quarantine;
  lifecycle.probation_samples = options.probation;
  pipeline::Lifecycle::Parts parts;
  parts.fs = &device->fs_;
  parts.clock = &device->clock_;
  parts.logger = &device->logger_;
  parts.outbox = &device->outbox_;
  parts.open_engine = [](base::ByteView model, const tinylcm::model::EngineOptions& engine) {
    return tinylcm::model::OpenEngine(model, engine);
  };
  parts.make_id = [made = device.get()] { return StrCat("id", ++made->ids_); };
  ASSIGN_OR_RETURN(device->lifecycle_, pipeline::Lifecycle::Open(lifecycle, parts, bundle));
  device->path_ = std::make_unique<pipeline::FramePath>(device->lifecycle_->TakeFirstStage(),
                                                        device->lifecycle_->first_index());
  device->lifecycle_->Attach(*device->path_);
  return device;
}

base::Status Device::Show(const Shown& shown, bool alarm) {
  clock_.Advance(base::Duration{100});
  tinylcm::source::Frame frame = shown.frame;
  frame.time = clock_.Now();
  ASSIGN_OR_RETURN(pipeline::Seen seen, path_->Process(std::move(frame)));
  truth_[seen.index] = shown.label;
  if (alarm) seen.signal = tinylcm::drift::DriftSignal::kDrift;
  if (seen.signal == tinylcm::drift::DriftSignal::kDrift) ++alarms_;
  lifecycle_->OnSeen(seen);
  if (seen.index % 10 == 0) lifecycle_->Tick();
  ReadOutbox();
  return {};
}

base::Result<Score> Device::Ask(std::span<const Shown> scored, std::optional<std::uint16_t> novel) {
  Score score;
  for (const Shown& shown : scored) {
    tinylcm::source::Frame frame = shown.frame;
    frame.time = clock_.Now();
    ASSIGN_OR_RETURN(const pipeline::Seen seen, path_->Process(std::move(frame)));
    const auto bundle = path_->BundleOf(seen.bundle);
    const std::size_t said = seen.prediction.nearest;
    const bool is_right = bundle != nullptr && said < bundle->labels.size() &&
                          bundle->labels[said] == names_[shown.label];
    const bool is_novel = novel == shown.label;
    ++score.samples;
    score.right += is_right ? 1 : 0;
    score.unknown += seen.prediction.label == tinylcm::classify::kUnknownLabel ? 1 : 0;
    score.novel_samples += is_novel ? 1 : 0;
    score.novel_right += is_novel && is_right ? 1 : 0;
  }
  return score;
}

base::Result<tinylcm::state::SnapshotInfo> Device::Snapshot() {
  ASSIGN_OR_RETURN(const std::string id, lifecycle_->TakeSnapshot("bench"));
  ASSIGN_OR_RETURN(const auto listing, lifecycle_->Snapshots());
  for (const auto& snapshot : listing.snapshots) {
    if (snapshot.id == id) return snapshot;
  }
  return base::Error{base::ErrorCode::kNotFound, StrCat("snapshot ", id, " is not there")};
}

base::Result<std::string> Device::ServedDigest() {
  ASSIGN_OR_RETURN(const auto snapshot, Snapshot());
  std::string digest;
  for (const auto& blob : snapshot.blobs) digest += StrCat(blob.name, "=", blob.sha256, ";");
  return digest;
}

base::Result<Score> Device::AskAside(std::span<const Shown> scored) {
  ASSIGN_OR_RETURN(const auto snapshot, Snapshot());
  ASSIGN_OR_RETURN(
      const auto blobs,
      tinylcm::state::SnapshotStore::ToRead(fs_, "/device/snapshots").Load(snapshot.id));
  std::optional<tinylcm::adapt::Adaptation> served;
  for (const auto& [name, bytes] : blobs) {
    auto parsed = tinylcm::adapt::ParseAdaptation(bytes);
    if (parsed.ok()) served = std::move(*parsed);
  }
  if (!served) {
    return base::Error{base::ErrorCode::kCorrupt, "the snapshot holds no adaptation"};
  }
  const auto& bundle = lifecycle_->shared_bundle();
  std::unique_ptr<tinylcm::feature::FeatureModel> engine;
  if (bundle->is_image) {
    ASSIGN_OR_RETURN(engine,
                     tinylcm::model::OpenEngine(bundle->feature_model, bundle->engine_options()));
  }
  ASSIGN_OR_RETURN(const auto serving,
                   pipeline::Serving::Create(bundle, std::move(engine), std::move(*served), {}));
  Score score;
  pipeline::Inference inference;
  const std::vector<std::string>& labels = serving->labels();
  for (const Shown& shown : scored) {
    RETURN_IF_ERROR(serving->Infer(shown.frame, inference));
    ++score.samples;
    const std::size_t said = inference.prediction.nearest;
    score.right += said < labels.size() && labels[said] == names_[shown.label] ? 1 : 0;
  }
  return score;
}

std::string Device::state() const {
  const std::string now = lifecycle_->status().state;
  return now == "learning" ? state_ : now;
}

bool Device::is_at_rest() const {
  const std::string now = state();
  return now != "suspect" && now != "adapting" && now != "probation";
}

std::string Device::OutcomeOf(const std::string& sample_id) const {
  const auto found = outcomes_.find(sample_id);
  return found == outcomes_.end() ? "" : found->second;
}

void Device::ReadOutbox() {
  for (; read_ < outbox_.sent.size(); ++read_) {
    for (const protocol::PackageFile& file : outbox_.sent[read_].files) {
      if (file.path == protocol::kAdaptationPath) {
        const auto report = protocol::ParseAdaptationReport(base::AsText(file.bytes));
        if (!report.ok()) continue;
        state_ = report->state;
        for (const auto& label : report->labels) outcomes_[label.sample_id] = label.outcome;
      }
      if (file.path != protocol::kSamplesPath) continue;
      auto set = protocol::ParseSampleSet(base::AsText(file.bytes));
      if (set.ok() && !set->samples.empty()) asked_ = std::move(*set);
    }
  }
}

protocol::Feedback Device::Answers(double wrong) {
  protocol::Feedback feedback;
  feedback.feedback_id = StrCat("f-", ++feedbacks_);
  feedback.bundle = lifecycle_->bundle().bundle;
  wrong_.clear();
  if (!asked_) return feedback;
  const std::size_t count = asked_->samples.size();
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = i;
  for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random_.Below(i)]);
  const auto lies = static_cast<std::size_t>(wrong * static_cast<double>(count) + 0.5);
  order.resize(lies);
  for (std::size_t i = 0; i < count; ++i) {
    const protocol::SampleRecord& sample = asked_->samples[i];
    std::uint16_t label = truth_.at(sample.index);
    if (std::find(order.begin(), order.end(), i) != order.end()) {
      const std::uint64_t others = known_names_ - 1;
      label = static_cast<std::uint16_t>((label + 1 + random_.Below(others)) % known_names_);
      wrong_.push_back(sample.sample_id);
    }
    protocol::Feedback::Label& told = feedback.labels.emplace_back();
    told.sample_id = sample.sample_id;
    told.label = names_[label];
    told.opens_class = label >= known_names_;
  }
  asked_.reset();
  return feedback;
}

base::Status Device::Tell(const protocol::Feedback& feedback) {
  RETURN_IF_ERROR(lifecycle_->OnFeedback(feedback));
  ReadOutbox();
  return {};
}

}  // namespace bench::adapt
