// Makes what the whole-process benchmarks run: a bundle of the size a real one has, and a raw
// picture for its model.
//
//   bench_bundle MODEL OUT [EMBEDDINGS]
//
// OUT/bundle, OUT/picture.rgb. With EMBEDDINGS (the folder of the prototype's arrays) the processor
// and the 200 anchors are the prototype's; without, seeded ones of the same shape. Labels mean
// nothing here.

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "tests/support/npy.h"
#include "tinylcm/feature/processor.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/model/litert.h"

namespace {

namespace feature = tinylcm::feature;
namespace model = tinylcm::model;

constexpr std::size_t kDims = 256;
constexpr std::size_t kAnchors = 200;
constexpr std::uint16_t kClasses = 4;
constexpr std::size_t kGolden = 4;

std::vector<float> Noise(base::Random& random, std::size_t count) {
  std::vector<float> numbers(count);
  for (float& number : numbers) number = static_cast<float>(random.Normal());
  return numbers;
}

base::Status Make(const std::string& model_file, const std::string& out,
                  const std::string& embeddings) {
  base::FileSystem& fs = base::SystemFileSystem();
  base::Random random(1);
  model::ModelBundle bundle;
  ASSIGN_OR_RETURN(bundle.feature_model, base::ReadFile(fs, model_file, 64u << 20));
  ASSIGN_OR_RETURN(const auto engine, model::OpenLiteRt(bundle.feature_model, {}));
  const std::size_t raw_count = engine->feature_count();
  bundle.is_image = true;
  bundle.image_rule.width = engine->width();
  bundle.image_rule.height = engine->height();
  const std::size_t bytes =
      3 * static_cast<std::size_t>(engine->width()) * static_cast<std::size_t>(engine->height());

  std::vector<float> anchors;
  if (embeddings.empty()) {
    const std::size_t dims = std::min(kDims, raw_count);
    bundle.processor.mean = Noise(random, raw_count);
    bundle.processor.scale.assign(raw_count, 1.0f);
    bundle.processor.projection_mean = Noise(random, raw_count);
    bundle.processor.projection = Noise(random, dims * raw_count);
    anchors = Noise(random, kAnchors * dims);
  } else {
    const auto read = [&](const char* name) {
      return testing_support::ReadNpy(base::JoinPath(embeddings, name));
    };
    ASSIGN_OR_RETURN(const auto mean, read("processor_4c/scaler_mean.npy"));
    ASSIGN_OR_RETURN(const auto scale, read("processor_4c/scaler_scale.npy"));
    ASSIGN_OR_RETURN(const auto projection_mean, read("processor_4c/pca_mean.npy"));
    ASSIGN_OR_RETURN(const auto projection, read("processor_4c/pca_components.npy"));
    ASSIGN_OR_RETURN(const auto state, read("knn_state_4c.npy"));
    bundle.processor.mean = mean.values;
    bundle.processor.scale = scale.values;
    bundle.processor.projection_mean = projection_mean.values;
    bundle.processor.projection = projection.values;
    anchors = state.values;
  }
  // As `tinylcm fit --projection-type i8` does: a quarter of the bytes to read a frame.
  ASSIGN_OR_RETURN(bundle.processor, feature::QuantiseProjection(bundle.processor));
  ASSIGN_OR_RETURN(feature::Processor processor, feature::Processor::Create(bundle.processor));
  const std::size_t dims = processor.feature_count();
  for (std::size_t i = 0; i * dims < anchors.size(); ++i) {
    const auto label = static_cast<std::uint16_t>(i % kClasses);
    const auto anchor = std::span(anchors).subspan(i * dims, dims);
    bundle.anchors.Add(anchor, label);
    if (i % 8 == 0) bundle.canary.Add(anchor, label);
  }
  for (std::uint16_t label = 0; label < kClasses; ++label) {
    bundle.manifest.labels.push_back(base::StrCat("class ", label));
    bundle.reference.rank.push_back({0.1f, 0.2f, 0.3f, 0.4f, 0.5f});
  }
  bundle.reference.channel_mean.assign(raw_count, 0.0f);
  bundle.reference.channel_sd.assign(raw_count, 1.0f);
  bundle.reference.feature_mean.assign(dims, 0.0f);
  bundle.reference.feature_sd.assign(dims, 1.0f);
  bundle.reference.mean_image.assign(bytes, 128.0f);
  bundle.reference.sd_image.assign(bytes, 40.0f);

  ASSIGN_OR_RETURN(auto classifier, bundle.MakeClassifier());
  model::Golden& golden = bundle.golden;
  golden.count = kGolden;
  std::vector<float> raw(raw_count), processed(dims);
  for (std::size_t i = 0; i < kGolden; ++i) {
    base::Bytes picture(bytes);
    for (std::uint8_t& value : picture) value = static_cast<std::uint8_t>(random.Below(256));
    RETURN_IF_ERROR(engine->Infer(picture, raw));
    processor.Apply(raw, processed);
    golden.pictures.insert(golden.pictures.end(), picture.begin(), picture.end());
    golden.raw.insert(golden.raw.end(), raw.begin(), raw.end());
    golden.features.insert(golden.features.end(), processed.begin(), processed.end());
    golden.labels.push_back(classifier.Classify(processed).nearest);
  }

  protocol::BundleManifest& manifest = bundle.manifest;
  manifest.name = manifest.model_family = "bench";
  manifest.version = "1.0.0";
  manifest.min_agent = "0.1.0";
  manifest.licence = "Apache-2.0";
  manifest.input.kind = protocol::BundleInput::Kind::kImage;
  manifest.input.width = engine->width();
  manifest.input.height = engine->height();
  manifest.input.channels = "rgb";
  manifest.input.resize = "center_crop";
  manifest.input.scale = "uint8";
  const auto written = model::WriteBundle(fs, bundle, base::JoinPath(out, "bundle"));
  if (!written.ok()) return written.error();
  std::printf("%d %d %zu %zu\n", engine->width(), engine->height(), raw_count, dims);
  return base::WriteFileDurably(fs, base::JoinPath(out, "picture.rgb"),
                                std::span(golden.pictures).first(bytes));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::fprintf(stderr, "bench_bundle MODEL OUT [EMBEDDINGS]\n");
    return 2;
  }
  const base::Status made = Make(argv[1], argv[2], argc == 4 ? argv[3] : "");
  if (!made.ok()) {
    std::fprintf(stderr, "bench_bundle: %s\n", made.error().message.c_str());
    return 1;
  }
  return 0;
}
