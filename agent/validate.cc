#include "agent/validate.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/adapt/challenger.h"
#include "tinylcm/evaluation/interval.h"
#include "tinylcm/model/archive.h"
#include "tinylcm/pipeline/serving.h"
#include "tinylcm/pipeline/taught.h"

namespace agent {

namespace adapt = tinylcm::adapt;
namespace classify = tinylcm::classify;
namespace model = tinylcm::model;
namespace pipeline = tinylcm::pipeline;

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;
using protocol::Judgement;
using protocol::JudgementKind;

namespace {

constexpr std::int64_t kLabelsMin = 6;  // With fewer nothing is said; as many as the device wants.
constexpr double kHarmlessLow = -0.15;  // Surely less than 15 points worse.
constexpr std::uint64_t kAdaptationBytesMax = 256u << 20;
constexpr std::uint64_t kSamplesBytesMax = 64u << 20;
constexpr std::uint64_t kPictureBytesMax = 64u << 20;
constexpr char kUnknown[] = "unknown";

// A folder that an archive is unpacked into, gone at the end.
class Unpacked {
 public:
  Unpacked(base::FileSystem& fs, std::string folder) : fs_(fs), folder_(std::move(folder)) {}
  ~Unpacked() {
    if (is_made_) static_cast<void>(base::RemoveTree(fs_, folder_).ok());
  }
  Unpacked(const Unpacked&) = delete;
  Unpacked& operator=(const Unpacked&) = delete;

  Result<std::string> Unpack(const std::string& archive) {
    const auto unpacked = model::UnpackArchive(fs_, archive, folder_, nullptr, {});
    if (!unpacked.ok()) return unpacked.error().Within("--bundle");
    is_made_ = true;
    return folder_;
  }

 private:
  base::FileSystem& fs_;
  std::string folder_;
  bool is_made_ = false;
};

// One way to answer: the bundle with an adaptation on top.
class Answerer {
 public:
  static Result<Answerer> Create(const std::shared_ptr<const model::ModelBundle>& bundle,
                                 adapt::Adaptation adaptation,
                                 const model::EngineOpener& open_engine) {
    std::unique_ptr<tinylcm::feature::FeatureModel> engine;
    if (bundle->is_image) {
      ASSIGN_OR_RETURN(engine, open_engine(bundle->feature_model, bundle->engine_options()));
    }
    ASSIGN_OR_RETURN(auto serving, pipeline::Serving::Create(bundle, std::move(engine),
                                                             std::move(adaptation), {}));
    return Answerer(std::move(serving));
  }

  struct Said {
    std::string label;
    bool left_out = false;
  };
  Result<Said> Answer(const tinylcm::source::Frame& frame, const std::string& sample_id) {
    RETURN_IF_ERROR(serving_->Infer(frame, inference_));
    Said said;
    classify::Prediction prediction = inference_.prediction;
    said.left_out = WasTaughtBy(serving_->adaptation(), sample_id);
    if (said.left_out) {
      ASSIGN_OR_RETURN(prediction, AnswerWithout(sample_id));
    }
    said.label = prediction.label < serving_->labels().size() ? serving_->labels()[prediction.label]
                                                              : std::string(kUnknown);
    return said;
  }

 private:
  explicit Answerer(std::unique_ptr<pipeline::Serving> serving) : serving_(std::move(serving)) {}

  // The feature is the same; only who votes on it differs.
  Result<classify::Prediction> AnswerWithout(const std::string& sample_id) {
    if (serving_->adaptation().head && !anchors_) {
      anchors_ = AnchorsOf(serving_->bundle(), serving_->adaptation());
    }
    const adapt::Adaptation less =
        WithoutSample(serving_->adaptation(), sample_id, anchors_ ? &*anchors_ : nullptr);
    ASSIGN_OR_RETURN(classify::Classifier classifier, serving_->bundle().MakeClassifier());
    RETURN_IF_ERROR(
        classifier.knn()->SetMemory(less.memory, static_cast<std::uint32_t>(less.opened.size())));
    classify::Prediction prediction = classifier.Classify(inference_.feature, inference_.share);
    if (less.head) {
      adapt::AnswerByHead(*less.head, *classifier.knn(), inference_.feature, inference_.share,
                          prediction);
    }
    return prediction;
  }

  std::unique_ptr<pipeline::Serving> serving_;
  pipeline::Inference inference_;
  std::optional<adapt::ClassMoments> anchors_;  // Made once, for a head only.
};

Result<adapt::Adaptation> ReadAdaptation(base::FileSystem& fs, const std::string& path,
                                         const model::ModelBundle& bundle) {
  ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(fs, path, kAdaptationBytesMax));
  auto adaptation = adapt::ParseAdaptation(bytes);
  if (!adaptation.ok()) return adaptation.error().Within(path);
  if (!adaptation->is_none() && adaptation->bundle != bundle.bundle) {
    return Error{
        ErrorCode::kInvalidArgument,
        StrCat(path, ": belongs to the bundle ", adaptation->bundle, ", not to ", bundle.bundle)};
  }
  return adaptation;
}

Result<tinylcm::source::Frame> ReadFrame(base::FileSystem& fs, std::string_view folder,
                                         const protocol::ValidationSet::Sample& sample) {
  tinylcm::source::Frame frame;
  if (sample.picture.empty()) {
    for (const double value : sample.row) frame.row.push_back(static_cast<float>(value));
    return frame;
  }
  ASSIGN_OR_RETURN(frame.picture,
                   base::ReadFile(fs, base::JoinPath(folder, sample.picture), kPictureBytesMax));
  return frame;
}

std::string InWords(const Judgement& judgement, std::int64_t left_out) {
  return StrCat(*judgement.right_after, " of ", judgement.labels, " right with it, ",
                *judgement.right_before, " without; ", left_out,
                " judged with what they taught left out");
}

}  // namespace

bool WasTaughtBy(const adapt::Adaptation& adaptation, const std::string& sample_id) {
  return std::any_of(adaptation.entries.begin(), adaptation.entries.end(),
                     [&](const adapt::MemoryEntry& entry) {
                       return entry.taught_by == sample_id || entry.sample_id == sample_id;
                     });
}

adapt::ClassMoments AnchorsOf(const model::ModelBundle& bundle,
                              const adapt::Adaptation& adaptation) {
  return adapt::ClassMoments::Of(
      bundle.anchors,
      static_cast<std::uint32_t>(bundle.manifest.labels.size() + adaptation.opened.size()));
}

adapt::Adaptation WithoutSample(const adapt::Adaptation& adaptation, const std::string& sample_id,
                                const adapt::ClassMoments* anchors) {
  adapt::Adaptation less = adaptation;
  less.entries.clear();
  less.memory = {};
  less.memory.dims = adaptation.memory.dims;
  for (std::size_t i = 0; i < adaptation.entries.size(); ++i) {
    const adapt::MemoryEntry& entry = adaptation.entries[i];
    if (entry.taught_by == sample_id || entry.sample_id == sample_id) continue;
    less.entries.push_back(entry);
    less.memory.Add(adaptation.memory.row(i), adaptation.memory.labels[i],
                    adaptation.memory.weight(i));
  }
  std::erase_if(less.labels, [&](const adapt::Label& l) { return l.sample_id == sample_id; });
  if (!adaptation.head) return less;
  CHECK(anchors != nullptr);
  // More channels than any head is fitted on: whoever made this one did not make it here.
  if (anchors->products.empty()) {
    less.head.reset();
  } else {
    less.head = adapt::FitLda(*anchors, less.memory);
  }
  return less;
}

Judgement Conclude(std::vector<Judgement::Sample> samples) {
  Judgement judgement;
  judgement.labels = static_cast<std::int64_t>(samples.size());
  std::int64_t before = 0;
  std::int64_t after = 0;
  std::uint64_t gained = 0;
  std::uint64_t lost = 0;
  std::int64_t left_out = 0;
  for (const Judgement::Sample& sample : samples) {
    const bool was_right = sample.before == sample.label;
    const bool is_right = sample.after == sample.label;
    before += was_right ? 1 : 0;
    after += is_right ? 1 : 0;
    gained += is_right && !was_right ? 1 : 0;
    lost += was_right && !is_right ? 1 : 0;
    left_out += sample.left_out ? 1 : 0;
  }
  judgement.samples = std::move(samples);
  if (judgement.labels == 0) {
    judgement.reason = "no labelled sample could be replayed";
    return judgement;
  }
  const auto pairs = static_cast<std::uint64_t>(judgement.labels);
  const tinylcm::evaluation::Interval interval =
      tinylcm::evaluation::PairedDifferenceInterval(gained, lost, pairs);
  judgement.right_before = before;
  judgement.right_after = after;
  judgement.difference =
      static_cast<double>(after - before) / static_cast<double>(judgement.labels);
  judgement.interval = {interval.low, interval.high};
  judgement.reason = InWords(judgement, left_out);
  if (judgement.labels < kLabelsMin) {
    judgement.reason += StrCat("; fewer than ", kLabelsMin, " labels say nothing");
  } else if (interval.low > 0.0) {
    judgement.judgement = JudgementKind::kHelped;
  } else if (interval.high < 0.0) {
    judgement.judgement = JudgementKind::kHarmful;
  } else if (after >= before && interval.low > kHarmlessLow) {
    judgement.judgement = JudgementKind::kHarmless;
  } else {
    judgement.reason += "; too few labels to tell";
  }
  return judgement;
}

Result<Judgement> Validate(const ValidateOptions& options, base::FileSystem& fs,
                           const model::EngineOpener& open_engine) {
  ASSIGN_OR_RETURN(const base::FileInfo given, fs.Stat(options.bundle));
  std::string folder = options.bundle;
  Unpacked unpacked(fs, options.scratch);
  if (!given.is_directory) {
    ASSIGN_OR_RETURN(folder, unpacked.Unpack(options.bundle));
  }
  ASSIGN_OR_RETURN(model::ModelBundle loaded, model::LoadBundle(fs, folder, {}));
  const auto bundle = std::make_shared<const model::ModelBundle>(std::move(loaded));
  if (!bundle->is_adaptable()) {
    return Error{ErrorCode::kInvalidArgument,
                 options.bundle + ": a head answers, nothing adapts it"};
  }
  ASSIGN_OR_RETURN(adapt::Adaptation after, ReadAdaptation(fs, options.adaptation, *bundle));
  adapt::Adaptation before;
  if (options.champion.empty()) {
    ASSIGN_OR_RETURN(before, pipeline::TaughtBy(*bundle));
  } else {
    ASSIGN_OR_RETURN(before, ReadAdaptation(fs, options.champion, *bundle));
  }
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadTextFile(fs, options.samples, kSamplesBytesMax));
  const auto set = protocol::ParseValidationSet(text);
  if (!set.ok()) return set.error().Within(options.samples);

  ASSIGN_OR_RETURN(Answerer with, Answerer::Create(bundle, std::move(after), open_engine));
  ASSIGN_OR_RETURN(Answerer without, Answerer::Create(bundle, std::move(before), open_engine));
  std::vector<Judgement::Sample> samples;
  std::optional<Error> first;
  for (const protocol::ValidationSet::Sample& sample : set->samples) {
    auto frame = ReadFrame(fs, base::FolderOf(options.samples), sample);
    if (!frame.ok()) return frame.error().Within(sample.sample_id);
    const auto said_before = without.Answer(*frame, sample.sample_id);
    const auto said_after = with.Answer(*frame, sample.sample_id);
    if (!said_before.ok() || !said_after.ok()) {
      // One bad picture judges nothing; the others still do.
      if (!first) first = said_before.ok() ? said_after.error() : said_before.error();
      continue;
    }
    samples.push_back({.sample_id = sample.sample_id,
                       .label = sample.label,
                       .before = said_before->label,
                       .after = said_after->label,
                       .left_out = said_before->left_out || said_after->left_out});
  }
  const std::size_t skipped = set->samples.size() - samples.size();
  if (samples.empty() && first) return first->Within("no sample could be replayed");
  Judgement judgement = Conclude(std::move(samples));
  if (first) judgement.reason += StrCat("; ", skipped, " left aside: ", first->message);
  return judgement;
}

}  // namespace agent
