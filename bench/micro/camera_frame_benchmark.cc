// How much longer does a camera frame take through TinyLCM than through the decoder and the model
// alone?
//
// Every frame of a folder: the whole of Serving::Infer (decoding, crop and scaling, model,
// standardising and projection, neighbours, confidence) beside DecodeJpeg and one invoke of the
// same model. Per frame the best of the passes counts, summed over the frames. The neighbours must
// be right for nine frames of ten.
//
//   camera_frame_benchmark BUNDLE FOLDER     as `tinylcm fit` and `tinyscene export camera`
//   make them

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/text.h"
#include "bench/figure.h"
#include "tinylcm/model/litert.h"
#include "tinylcm/pipeline/serving.h"
#include "tinylcm/source/folder_source.h"
#include "tinylcm/source/image.h"

namespace {

namespace model = tinylcm::model;
namespace pipeline = tinylcm::pipeline;
namespace source = tinylcm::source;

constexpr int kPasses = 20;

double Tenths(double value) { return std::round(10.0 * value) / 10.0; }

base::Status Measure(const std::string& bundle_folder, const std::string& frame_folder) {
  base::FileSystem& fs = base::SystemFileSystem();
  ASSIGN_OR_RETURN(model::ModelBundle loaded, model::LoadBundle(fs, bundle_folder, {}));
  const auto bundle = std::make_shared<const model::ModelBundle>(std::move(loaded));
  ASSIGN_OR_RETURN(auto engine, model::OpenLiteRt(bundle->feature_model, {}));
  ASSIGN_OR_RETURN(auto bare, model::OpenLiteRt(bundle->feature_model, {}));
  ASSIGN_OR_RETURN(auto serving, pipeline::Serving::Create(bundle, std::move(engine), {}, {}));

  ASSIGN_OR_RETURN(auto folder, source::FolderSource::Open(fs, base::SystemClock(), frame_folder));
  std::vector<source::Frame> frames;
  while (!folder->ended()) {
    ASSIGN_OR_RETURN(std::optional<source::Frame> frame, folder->Next());
    if (frame) frames.push_back(std::move(*frame));
  }

  pipeline::Inference inference;
  source::Image image;
  std::vector<float> raw(bare->feature_count());
  std::size_t right = 0;
  std::vector<double> whole(frames.size(), 1e300), alone(frames.size(), 1e300),
      after_model(frames.size(), 1e300);
  for (int pass = 0; pass < kPasses; ++pass) {
    right = 0;
    for (std::size_t i = 0; i < frames.size(); ++i) {
      double start = bench::CpuNanoseconds();
      RETURN_IF_ERROR(serving->Infer(frames[i], inference));
      whole[i] = std::min(whole[i], bench::CpuNanoseconds() - start);
      after_model[i] = std::min(after_model[i], inference.classify_us);
      const std::string& label = bundle->manifest.labels[inference.prediction.nearest];
      right += label == frames[i].label ? 1 : 0;

      start = bench::CpuNanoseconds();
      RETURN_IF_ERROR(source::DecodeJpeg(frames[i].picture, image));
      RETURN_IF_ERROR(bare->Infer(inference.picture, raw));
      alone[i] = std::min(alone[i], bench::CpuNanoseconds() - start);
      if (raw != inference.raw) {
        return base::Error{base::ErrorCode::kInternal, "two engines answer differently"};
      }
    }
  }
  if (frames.empty() || 10 * right < 9 * frames.size()) {
    return base::Error{base::ErrorCode::kInternal,
                       base::StrCat(right, " of ", frames.size(), " frames are answered rightly")};
  }
  double whole_sum = 0.0, alone_sum = 0.0, after_model_sum = 0.0;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    whole_sum += whole[i];
    alone_sum += alone[i];
    after_model_sum += after_model[i];
  }
  const double count = static_cast<double>(frames.size());
  bench::Print({.name = "camera_frame_total",
                .value = whole_sum / alone_sum,
                .unit = "ratio",
                .baseline = 1.0,
                .conditions = base::StrCat(
                    image.width, "x", image.height, " JPEG, ", bundle->anchors.size(),
                    " anchors x ", bundle->feature_count(), ", ", frames.size(),
                    " frames, best of ", kPasses, " passes each: ", Tenths(whole_sum / count / 1e3),
                    " us a frame, of it after the model ", Tenths(after_model_sum / count),
                    "; decode and invoke alone ", Tenths(alone_sum / count / 1e3), " us")});
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "camera_frame_benchmark BUNDLE FOLDER\n");
    return 2;
  }
  const base::Status measured = Measure(argv[1], argv[2]);
  if (!measured.ok()) {
    std::fprintf(stderr, "camera_frame_benchmark: %s\n", measured.error().message.c_str());
    return 1;
  }
  return 0;
}
