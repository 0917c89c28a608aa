#include "tinylcm/pipeline/serving.h"

#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/text.h"
#include "tinylcm/feature/picture_figures.h"
#include "tinylcm/feature/window.h"

namespace tinylcm::pipeline {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;

namespace {

class StopWatch {
 public:
  // Microseconds since the last lap.
  double Lap() {
    const auto now = std::chrono::steady_clock::now();
    const double us = std::chrono::duration<double, std::micro>(now - last_).count();
    last_ = now;
    return us;
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// By the bits, in lanes and without a branch, which a compiler makes vectors of: it stands in every
// frame's way. The highest exponent, that of infinity and NaN, carries into the sign's place.
bool AllFinite(std::span<const float> values) {
  constexpr std::uint32_t kExponent = 0x7f80'0000;
  constexpr std::uint32_t kOne = 0x0080'0000;
  constexpr std::size_t kLanes = 8;
  const auto carried = [](float value) {
    return (std::bit_cast<std::uint32_t>(value) & kExponent) + kOne;
  };
  std::uint32_t lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= values.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] |= carried(values[i + lane]);
  }
  for (; i < values.size(); ++i) lanes[0] |= carried(values[i]);
  std::uint32_t any = 0;
  for (const std::uint32_t lane : lanes) any |= lane;
  return any >> 31 == 0;
}

// What drift is watched by, the quarantine and the log take finite numbers only.
Error BeyondReach() { return {ErrorCode::kInvalidArgument, "a number beyond reach"}; }

}  // namespace

Result<std::unique_ptr<Serving>> Serving::Create(std::shared_ptr<const model::ModelBundle> bundle,
                                                 std::unique_ptr<feature::FeatureModel> engine,
                                                 adapt::Adaptation adaptation,
                                                 const Options& options) {
  CHECK(bundle != nullptr);
  if (bundle->is_image != (engine != nullptr)) {
    return Error{ErrorCode::kInvalidArgument, "serving: a model for images, and only then"};
  }
  // A picture on its side has as many bytes.
  if (engine != nullptr && (engine->width() != bundle->image_rule.width ||
                            engine->height() != bundle->image_rule.height ||
                            engine->feature_count() != bundle->raw_count())) {
    return Error{ErrorCode::kCorrupt,
                 base::StrCat("serving: the model takes ", engine->width(), "x", engine->height(),
                              " and gives ", engine->feature_count(), " numbers; the bundle says ",
                              bundle->image_rule.width, "x", bundle->image_rule.height, " and ",
                              bundle->raw_count())};
  }
  if (!adaptation.is_none() && adaptation.bundle != bundle->bundle) {
    return Error{ErrorCode::kInvalidArgument, "serving: the adaptation is another bundle's"};
  }
  if (const protocol::BundleInput& input = bundle->manifest.input; input.window) {
    ASSIGN_OR_RETURN(const feature::WindowFeatures window,
                     feature::WindowFeatures::Create(
                         *input.window, static_cast<std::size_t>(input.channel_count)));
    if (window.feature_count() != bundle->raw_count()) {
      return Error{ErrorCode::kCorrupt,
                   base::StrCat("serving: the window gives ", window.feature_count(),
                                " numbers, the processor takes ", bundle->raw_count())};
    }
  }
  ASSIGN_OR_RETURN(feature::Processor processor, feature::Processor::Create(bundle->processor));
  if (!adaptation.transform.is_valid() ||
      (!adaptation.transform.is_identity() &&
       adaptation.transform.scale.size() != processor.feature_count())) {
    return Error{ErrorCode::kInvalidArgument, "serving: the transform is of another size"};
  }
  ASSIGN_OR_RETURN(classify::Classifier classifier, bundle->MakeClassifier());
  if (bundle->is_adaptable()) {
    const auto opened = static_cast<std::uint32_t>(adaptation.opened.size());
    RETURN_IF_ERROR(classifier.knn()->SetMemory(adaptation.memory, opened));
    if (adaptation.head) {
      RETURN_IF_ERROR(classify::Validate(*adaptation.head, classifier.knn()->classes(),
                                         processor.feature_count()));
    }
  } else if (!adaptation.is_none()) {
    return Error{ErrorCode::kInvalidArgument, "serving: a head cannot be adapted"};
  }
  std::optional<adapt::PictureTransform> picture_transform;
  std::optional<adapt::RowTransform> row_transform;
  if (!adaptation.hypothesis.is_identity() && !bundle->is_image) {
    ASSIGN_OR_RETURN(adapt::RowTransform made,
                     adapt::RowTransform::Create(adaptation.hypothesis, bundle->raw_count()));
    row_transform = std::move(made);
  } else if (!adaptation.hypothesis.is_identity()) {
    ASSIGN_OR_RETURN(adapt::PictureTransform made,
                     adapt::PictureTransform::Create(
                         adaptation.hypothesis,
                         {.width = bundle->image_rule.width, .height = bundle->image_rule.height}));
    picture_transform = std::move(made);
  }
  return std::unique_ptr<Serving>(new Serving(
      std::move(bundle), std::move(engine), std::move(adaptation), options, std::move(processor),
      std::move(classifier), std::move(picture_transform), std::move(row_transform)));
}

Serving::Serving(std::shared_ptr<const model::ModelBundle> bundle,
                 std::unique_ptr<feature::FeatureModel> engine, adapt::Adaptation adaptation,
                 const Options& options, feature::Processor processor,
                 classify::Classifier classifier,
                 std::optional<adapt::PictureTransform> picture_transform,
                 std::optional<adapt::RowTransform> row_transform)
    : bundle_(std::move(bundle)),
      engine_(std::move(engine)),
      adaptation_(std::move(adaptation)),
      options_(options),
      processor_(std::move(processor)),
      classifier_(std::move(classifier)),
      picture_transform_(std::move(picture_transform)),
      row_transform_(std::move(row_transform)),
      labels_(bundle_->manifest.labels),
      picture_maker_({.rule = bundle_->image_rule, .barcode = options.barcode}),
      signals_(*bundle_) {
  labels_.insert(labels_.end(), adaptation_.opened.begin(), adaptation_.opened.end());
  canary_share_.resize(labels_.size());
}

std::size_t Serving::channel_count() const {
  return bundle_->is_image ? feature::kPictureFigures : bundle_->raw_count();
}

Status Serving::Decode(const source::PictureView& from, std::vector<std::uint8_t>& picture) {
  CHECK(bundle_->is_image);
  return picture_maker_.Make(from, picture);
}

std::uint16_t KnownClass(const classify::Prediction& prediction, const model::ModelBundle& bundle) {
  return prediction.nearest < bundle.manifest.labels.size() ? prediction.nearest : prediction.known;
}

Status CheckRow(const source::Frame& frame, std::size_t channels) {
  if (frame.row.size() != channels) {
    return Error{
        ErrorCode::kInvalidArgument,
        base::StrCat("row ", frame.index, ": ", frame.row.size(), " values, expected ", channels)};
  }
  for (std::size_t i = 0; i < channels; ++i) {
    if (std::isfinite(frame.row[i])) continue;
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("row ", frame.index, ": value ", i, " is not a finite number")};
  }
  return {};
}

Status Serving::Infer(const source::Frame& frame, Inference& out) {
  StopWatch watch;
  if (bundle_->is_image) {
    if (frame.picture.empty()) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("frame ", frame.index, ": a row, where pictures are expected")};
    }
    const auto made = picture_maker_.Make(frame.view());
    if (!made.ok()) return made.error().Within(base::StrCat("frame ", frame.index));
    out.picture = *made;
    out.frame_number = options_.barcode ? picture_maker_.frame_number() : frame.frame_number;
  } else {
    RETURN_IF_ERROR(CheckRow(frame, bundle_->raw_count()));
    out.raw.assign(frame.row.begin(), frame.row.end());
    out.frame_number = frame.frame_number;
  }
  out.decode_us = watch.Lap();
  const Status inferred = InferDecoded(out);
  if (inferred.ok() || inferred.error().code != ErrorCode::kInvalidArgument) return inferred;
  return inferred.error().Within(base::StrCat(bundle_->is_image ? "frame " : "row ", frame.index));
}

Status Serving::InferDecoded(Inference& out) {
  StopWatch watch;
  out.channels.resize(channel_count());
  double figures_us = 0.0;
  if (bundle_->is_image) {
    // Before the model, which needs the same bytes next and throws them out of the caches.
    feature::MeasurePicture(out.picture, bundle_->image_rule.width, bundle_->image_rule.height,
                            out.channels);
    figures_us = watch.Lap();
    out.raw.resize(bundle_->raw_count());
    if (picture_transform_) {
      out.corrected.assign(out.picture.begin(), out.picture.end());
      picture_transform_->Apply(out.corrected);
      RETURN_IF_ERROR(engine_->Infer(out.corrected, out.raw));
    } else {
      RETURN_IF_ERROR(engine_->Infer(out.picture, out.raw));
    }
  }
  out.model_us = watch.Lap();

  out.feature.resize(bundle_->feature_count());
  if (row_transform_) {
    out.corrected_row.assign(out.raw.begin(), out.raw.end());
    row_transform_->Apply(out.corrected_row);
    processor_.Apply(out.corrected_row, out.feature);
  } else {
    processor_.Apply(out.raw, out.feature);
  }
  adaptation_.transform.Apply(out.feature);
  if (!bundle_->is_image) processor_.Standardise(out.raw, out.channels);
  // The raw ones, too: a projection in bytes makes something of what is not a number.
  if (!AllFinite(out.raw) || !AllFinite(out.feature) || !AllFinite(out.channels)) {
    return BeyondReach();
  }
  out.share.resize(labels_.size());
  out.prediction = classifier_.Classify(out.feature, out.share);
  if (adaptation_.head) {
    adapt::AnswerByHead(*adaptation_.head, *classifier_.knn(), out.feature, out.share,
                        out.prediction);
  }
  // Finite numbers may lie infinitely far from each other: a square is enough.
  const classify::Prediction& said = out.prediction;
  const float figures[] = {said.anchor_distance, said.mean_distance, said.share, said.confidence};
  if (!AllFinite(figures) || (classifier_.knn() != nullptr && said.neighbour_count == 0)) {
    return BeyondReach();
  }
  out.classify_us = figures_us + watch.Lap();
  return {};
}

void Serving::Measure(const Inference& from, drift::Sample& sample) {
  classify::Prediction watched = from.prediction;
  watched.nearest = KnownClass(watched, *bundle_);
  signals_.Measure({.prediction = watched,
                    .share = from.share,
                    .feature = from.feature,
                    .raw = from.raw,
                    .figures = bundle_->is_image ? std::span<const float>(from.channels)
                                                 : std::span<const float>()},
                   sample);
  sample.channels = from.channels;
}

Status Serving::Embed(std::span<const std::uint8_t> picture, std::vector<float>& raw,
                      std::span<float> feature) {
  if (bundle_->is_image) {
    raw.resize(bundle_->raw_count());
    RETURN_IF_ERROR(engine_->Infer(picture, raw));
  }
  processor_.Apply(raw, feature);
  if (!AllFinite(raw) || !AllFinite(feature)) return BeyondReach();
  return {};
}

double Serving::CanaryAccuracy() {
  const classify::Anchors& canary = bundle_->canary;
  if (canary.size() == 0) return 1.0;
  std::size_t correct = 0;
  for (std::size_t i = 0; i < canary.size(); ++i) {
    classify::Prediction said = classifier_.Classify(canary.row(i));
    if (adaptation_.head) {
      adapt::AnswerByHead(*adaptation_.head, *classifier_.knn(), canary.row(i), canary_share_,
                          said);
    }
    if (said.nearest == canary.labels[i]) ++correct;
  }
  return static_cast<double>(correct) / static_cast<double>(canary.size());
}

}  // namespace tinylcm::pipeline
