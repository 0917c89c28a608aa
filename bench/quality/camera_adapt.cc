// Does stage 1 put a camera right without a label, on the very path a device runs, and leave a
// quiet camera alone?
//
// Pictures exported by tinyscene go through the device's own JPEG decoding, the int8 model, the
// processor and the neighbours; the input is searched over the first 100 drifted pictures and all
// others are scored.
//
//   camera_adapt MODEL.tflite FIT_FOLDER DRIFTED_FOLDER SCORED_FOLDER QUIET_FOLDER
//
// Folders as `tinyscene export camera` makes them: FIT of pool T, DRIFTED of pool A, SCORED of
// pool B with the same drift, QUIET of pool B without; the last three with one --seed, for it
// stands for the place, and with it for where the dirt sits.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/figure.h"
#include "tinylcm/adapt/input_search.h"
#include "tinylcm/adapt/picture_hypotheses.h"
#include "tinylcm/classify/knn_classifier.h"
#include "tinylcm/feature/processor.h"
#include "tinylcm/model/litert.h"
#include "tinylcm/source/folder_source.h"
#include "tinylcm/source/image_rule.h"

namespace {

namespace adapt = tinylcm::adapt;
namespace classify = tinylcm::classify;
namespace feature = tinylcm::feature;
namespace source = tinylcm::source;

constexpr std::size_t kDims = 64;
constexpr std::size_t kAnchorsPerClass = 30;
constexpr std::size_t kSearched = 100;

struct Labelled {
  std::vector<std::uint8_t> picture;
  std::uint16_t label = 0;
};

base::Result<std::vector<Labelled>> ReadPictures(const std::string& folder, std::uint64_t seed) {
  ASSIGN_OR_RETURN(
      const std::unique_ptr<source::FolderSource> frames,
      source::FolderSource::Open(base::SystemFileSystem(), base::SystemClock(), folder));
  source::PictureMaker maker({.rule = {}});
  std::vector<Labelled> pictures;
  while (!frames->ended()) {
    ASSIGN_OR_RETURN(const std::optional<source::Frame> frame, frames->Next());
    if (!frame) break;
    Labelled labelled;
    RETURN_IF_ERROR(maker.Make(frame->view(), labelled.picture));
    labelled.label = static_cast<std::uint16_t>(std::stoi(frame->label));
    pictures.push_back(std::move(labelled));
  }
  // The folder gives a class at a time.
  base::Random random(seed);
  for (std::size_t i = pictures.size(); i > 1; --i) {
    std::swap(pictures[i - 1], pictures[static_cast<std::size_t>(random.Below(i))]);
  }
  return pictures;
}

class Camera {
 public:
  static base::Result<Camera> Fit(const std::string& model, const std::vector<Labelled>& fitted) {
    Camera camera;
    ASSIGN_OR_RETURN(camera.model_bytes_,
                     base::ReadFile(base::SystemFileSystem(), model, 16u << 20));
    ASSIGN_OR_RETURN(camera.model_, tinylcm::model::OpenLiteRt(camera.model_bytes_, {}));
    const std::size_t raw_count = camera.model_->feature_count();
    std::vector<float> rows;
    adapt::PictureStatistics statistics({});
    for (const Labelled& labelled : fitted) {
      rows.resize(rows.size() + raw_count);
      RETURN_IF_ERROR(camera.model_->Infer(labelled.picture, std::span(rows).last(raw_count)));
      statistics.Add(labelled.picture);
    }
    camera.reference_ = {
        .size = {}, .mean = statistics.Mean(), .sd = statistics.StandardDeviation()};
    ASSIGN_OR_RETURN(feature::ProcessorTensors tensors, feature::FitStandardise(rows, raw_count));
    ASSIGN_OR_RETURN(tensors, feature::FitPca(tensors, rows, kDims));
    ASSIGN_OR_RETURN(feature::Processor processor, feature::Processor::Create(tensors));
    camera.processor_.emplace(std::move(processor));
    camera.raw_.resize(raw_count);
    classify::Anchors anchors;
    anchors.dims = kDims;
    std::vector<std::size_t> taken(10, 0);
    std::vector<float> processed(kDims);
    for (const Labelled& labelled : fitted) {
      if (taken[labelled.label]++ >= kAnchorsPerClass) continue;
      RETURN_IF_ERROR(camera.Embed(labelled.picture, processed));
      anchors.Add(processed, labelled.label);
    }
    ASSIGN_OR_RETURN(classify::KnnClassifier knn,
                     classify::KnnClassifier::Create({.classes = 10}, anchors));
    camera.knn_.emplace(std::move(knn));
    return camera;
  }

  base::Status Embed(std::span<const std::uint8_t> picture, std::span<float> processed) {
    RETURN_IF_ERROR(model_->Infer(picture, raw_));
    processor_->Apply(raw_, processed);
    return {};
  }

  base::Result<double> Accuracy(const std::vector<Labelled>& scored,
                                const adapt::InputHypothesis& hypothesis) {
    ASSIGN_OR_RETURN(adapt::PictureTransform transform,
                     adapt::PictureTransform::Create(hypothesis, {}));
    std::vector<float> processed(kDims);
    int right = 0;
    for (const Labelled& labelled : scored) {
      std::vector<std::uint8_t> picture = labelled.picture;
      transform.Apply(picture);
      RETURN_IF_ERROR(Embed(picture, processed));
      right += knn_->Classify(processed).nearest == labelled.label ? 1 : 0;
    }
    return static_cast<double>(right) / static_cast<double>(scored.size());
  }

  base::Result<adapt::InputSearchResult> Search(const std::vector<Labelled>& stream) {
    adapt::PictureStatistics statistics({});
    const std::size_t count = std::min(kSearched, stream.size());
    for (std::size_t i = 0; i < count; ++i) statistics.Add(stream[i].picture);
    ASSIGN_OR_RETURN(std::vector<adapt::InputHypothesis> hypotheses,
                     adapt::MakeHypotheses(reference_, statistics));
    ASSIGN_OR_RETURN(adapt::InputSearch search,
                     adapt::InputSearch::Create(
                         std::move(hypotheses), {}, *knn_,
                         [&](std::span<const std::uint8_t> picture, std::span<float> processed) {
                           return Embed(picture, processed);
                         }));
    for (std::size_t i = 0; i < count; ++i) {
      RETURN_IF_ERROR(search.Add(stream[i].picture, std::nullopt));
    }
    return search.Finish({});
  }

 private:
  Camera() = default;
  base::Bytes model_bytes_;  // The engine reads its weights here.
  std::unique_ptr<feature::FeatureModel> model_;
  adapt::PictureReference reference_;
  std::optional<feature::Processor> processor_;
  std::optional<classify::KnnClassifier> knn_;
  std::vector<float> raw_;
};

// Processor time, the best of ten slices: the machine may have other things to do.
double MicrosecondsToApply(adapt::PictureTransform& transform, std::vector<std::uint8_t>& picture) {
  double best = 1e9;
  for (int slice = 0; slice < 10; ++slice) {
    const std::clock_t begin = std::clock();
    for (int i = 0; i < 200; ++i) transform.Apply(picture);
    best = std::min(best, 1e6 * static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC / 200);
  }
  return best;
}

base::Status Report(const char* const* arguments) {
  ASSIGN_OR_RETURN(const std::vector<Labelled> fitted, ReadPictures(arguments[1], 1));
  ASSIGN_OR_RETURN(const std::vector<Labelled> drifted, ReadPictures(arguments[2], 2));
  ASSIGN_OR_RETURN(const std::vector<Labelled> scored, ReadPictures(arguments[3], 3));
  ASSIGN_OR_RETURN(const std::vector<Labelled> quiet, ReadPictures(arguments[4], 4));
  ASSIGN_OR_RETURN(Camera camera, Camera::Fit(arguments[0], fitted));

  ASSIGN_OR_RETURN(const double before, camera.Accuracy(quiet, {}));
  ASSIGN_OR_RETURN(const double nothing, camera.Accuracy(scored, {}));
  const auto begin = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const adapt::InputSearchResult result, camera.Search(drifted));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begin);
  for (const auto& score : result.scores) {
    std::fprintf(stderr, "  %-22s distance %.4f\n", score.name.c_str(), score.distance);
  }
  ASSIGN_OR_RETURN(const double after, camera.Accuracy(scored, result.hypothesis));
  std::fprintf(
      stderr,
      "drifted: before %.4f, nothing done %.4f, after %.4f (%.1f %% of before), %s at ratio %.3f, "
      "search %lld ms\n",
      before, nothing, after, 100.0 * after / before, result.hypothesis.name().c_str(),
      result.ratio, static_cast<long long>(took.count()));
  ASSIGN_OR_RETURN(const adapt::InputSearchResult calm, camera.Search(quiet));
  std::fprintf(stderr, "quiet: %s at ratio %.3f%s\n", calm.scores[calm.best].name.c_str(),
               calm.ratio, calm.is_adopted ? ", ADOPTED" : ", left alone");
  if (calm.is_adopted) {
    return base::Error{base::ErrorCode::kInternal, "a quiet camera was not left alone"};
  }
  bench::Print({.name = "adapt_quality.a3_light_dirt",
                .value = after / before,
                .unit = "share",
                .better = "higher",
                .baseline = nothing / before,
                .conditions = base::StrCat("share of the accuracy before, no labels, ", kSearched,
                                           " pictures searched, ", scored.size(), " scored, ",
                                           result.hypothesis.name(),
                                           "; quiet camera left alone; baseline: nothing done")});

  // What one picture costs to put right.
  ASSIGN_OR_RETURN(adapt::PictureTransform transform,
                   adapt::PictureTransform::Create(result.hypothesis, {}));
  std::vector<std::uint8_t> picture = scored[0].picture;
  const double corrected_us = MicrosecondsToApply(transform, picture);
  ASSIGN_OR_RETURN(
      adapt::PictureTransform turn,
      adapt::PictureTransform::Create(
          adapt::InputHypothesis::Of({.kind = adapt::StepKind::kRotate, .angle_degrees = 20}), {}));
  std::fprintf(stderr, "cost a picture: %s %.1f us, rotate %.1f us\n",
               result.hypothesis.name().c_str(), corrected_us, MicrosecondsToApply(turn, picture));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "camera_adapt MODEL.tflite FIT DRIFTED SCORED QUIET\n");
    return 2;
  }
  const base::Status reported = Report(argv + 1);
  if (!reported.ok()) {
    std::fprintf(stderr, "camera_adapt: %s\n", reported.error().message.c_str());
    return 2;
  }
  return 0;
}
