// Bundle: all that a device runs, as a folder: the model, the processor, the anchors, the figures
// drift is judged by, and what each file's digest must be.
//
// The SHA-256 of manifest.json is the bundle's identity ("bundle"). A bundle is loaded whole or not
// at all: every named file is read and its digest compared before anything in it is believed.

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/bundle.h"
#include "tinylcm/classify/anchors.h"
#include "tinylcm/classify/calibration.h"
#include "tinylcm/classify/classifier.h"
#include "tinylcm/classify/distance.h"
#include "tinylcm/classify/head.h"
#include "tinylcm/classify/knn_classifier.h"
#include "tinylcm/drift/sample.h"
#include "tinylcm/feature/centroids.h"
#include "tinylcm/feature/feature_model.h"
#include "tinylcm/feature/input_rule.h"
#include "tinylcm/feature/processor.h"
#include "tinylcm/feature/quant_tree.h"
#include "tinylcm/source/image_rule.h"

namespace tinylcm::model {

// What the device is, against which a manifest's model_family, device_class and min_agent are
// held. An empty field is not compared.
struct DeviceTraits {
  std::string model_family;
  std::string device_class;
  std::string agent_version;  // "0.1.0"
};

// kUnsupported with one sentence that names both sides.
base::Status CheckSuits(const protocol::BundleManifest& manifest, const DeviceTraits& device);

// config.json of a bundle. Unknown keys are ignored, so that a newer fit can add some.
struct BundleConfig {
  classify::ClassifierKind classifier = classify::ClassifierKind::kKnn;
  std::uint32_t k = 5;
  classify::Metric metric = classify::Metric::kCosine;
  bool distance_weighted = true;
  float unknown_below = 0.0f;
  std::uint32_t threads = 1;
  std::optional<std::uint32_t> output_index;  // Which of the model's outputs; else by size ...
  std::string output_name;                    // ... or by name ...
  std::uint32_t output_size = 0;              // ... or, 0, the largest.
  std::string knn_scan = "f32";               // Or "i8": the same answers, sooner.
  // Classifier softmax only: the model gives logits, to be divided by the temperature; otherwise
  // probabilities, which are taken as they are.
  bool gives_logits = false;
  double temperature = 1.0;
  std::vector<std::string> channels;  // Names of a row's channels.
  double golden_tolerance = 1e-3;     // Of a golden output, on the raw scale.
  std::uint64_t seed = 1;

  static base::Result<BundleConfig> Parse(const base::Json& json);
  base::Json Write() const;
  friend bool operator==(const BundleConfig&, const BundleConfig&) = default;
};

inline constexpr std::size_t kCovarianceChannelsMax = 256;

// Held-out figures: what is usual for this model.
struct Reference {
  std::vector<std::vector<float>> rank;  // A class: ascending distances of held-out samples.
  std::vector<float> channel_mean;       // [raw]: of the raw row, or of the model's raw output.
  std::vector<float> channel_sd;
  std::vector<float> feature_mean;  // [dims]: of the processed feature.
  std::vector<float> feature_sd;
  std::vector<float> mean_image;  // [height * width * 3], images only, 0..255.
  std::vector<float> sd_image;
  // What the signals rest on (model/signals.h). Older bundles have none of it but the first, whose
  // anchor distances are those of `rank`.
  // By At(signal) and class: ascending values of held-out samples; any may be empty.
  std::array<std::vector<std::vector<float>>, drift::kSignals> held_out;
  feature::CentroidTensors centroids;
  feature::WayTensors ways;  // Of pictures: from the model's raw output to that of turned ones.
  feature::QuantTreeTensors quant_tree;
  std::vector<float> rail_low;  // [raw], rows only: at or beyond them a channel is at its rail.
  std::vector<float> rail_high;
  // What adaptation rests on; older bundles have none of it.
  // Each anchor as the others see it: their answer, and the share of their votes for its own class.
  std::vector<std::uint16_t> left_out_label;  // [anchors]
  std::vector<float> left_out_share;          // [anchors]
  std::vector<float> histogram;  // [3 * 256], images only: the share of a colour's pixels a level.
  // [classes * raw], rows only: channel statistics of each class, so that a stream can be compared
  // with as many of each class as it holds.
  std::vector<float> class_channel_mean;
  std::vector<float> class_channel_sd;
  // Rows only: how the channels go with each other, [raw * raw] (of at most kCovarianceChannelsMax;
  // else empty), and the share of rows in which a channel has its commonest value exactly, [raw].
  std::vector<float> channel_covariance;
  std::vector<float> channel_mode_share;

  friend bool operator==(const Reference&, const Reference&) = default;
};

// Inputs with what the model answered when the bundle was made: pictures (images) or rows.
struct Golden {
  std::size_t count = 0;
  std::vector<std::uint8_t> pictures;  // [count, height, width, 3]
  std::vector<float> rows;             // [count, raw]
  std::vector<float> raw;              // [count, raw]: expected of the feature model.
  std::vector<float> features;         // [count, dims]: expected of the processor.
  std::vector<std::uint16_t> labels;   // [count]: expected of the classifier.
  // The same with what the bundle was taught (ModelBundle::taught); empty where there is nothing.
  std::vector<float> taught_features;        // [count, dims]
  std::vector<std::uint16_t> taught_labels;  // [count]

  friend bool operator==(const Golden&, const Golden&) = default;
};

// What an engine is asked for beside the model's bytes.
struct EngineOptions {
  std::uint32_t threads = 1;
  std::optional<std::uint32_t> output_index = {};
  std::uint32_t output_size = 0;
  std::string output_name = {};
  feature::InputRule input = {};
  std::string file_name = {};  // "model.onnx": which engine; empty: told by the bytes.
};

// Makes an inference engine of a model file's bytes. The pipeline is given model/engine.h's; tests
// give another.
using EngineOpener = std::function<base::Result<std::unique_ptr<feature::FeatureModel>>(
    base::ByteView model, const EngineOptions& options)>;

struct ModelBundle {
  std::string folder;
  std::string bundle;  // Hex SHA-256 of manifest.json.
  protocol::BundleManifest manifest;
  BundleConfig config;
  source::ImageRule image_rule;   // Images only.
  feature::InputRule input_rule;  // Images only: how its numbers are put to the model.
  bool is_image = false;
  std::optional<std::string> feature_model_path;    // The verified file; none for rows.
  base::Bytes feature_model;                        // Its bytes, as verified; load from these.
  std::string feature_model_name = "model.tflite";  // Its name tells the engine: .tflite, .onnx.
  feature::ProcessorTensors processor;
  classify::Anchors anchors;  // May be empty where a head answers; dims is set all the same.
  std::optional<classify::HeadTensors> head;  // Classifier linear only.
  classify::Calibration calibration;
  Reference reference;
  classify::Anchors canary;
  Golden golden;
  // What a device learned on top of the bundle `manifest.lineage.parent`, as it serialised it
  // (pipeline/taught.h reads it); served from the first frame. Empty: nothing.
  base::Bytes taught;

  std::size_t raw_count() const { return processor.mean.size(); }
  std::size_t feature_count() const { return processor.feature_count(); }
  EngineOptions engine_options() const;
  classify::KnnClassifier::Options ClassifierOptions() const;
  base::Result<classify::Classifier> MakeClassifier() const;
  // Neighbours answer, so that what is learned about them changes answers. A head's do not.
  bool is_adaptable() const { return config.classifier == classify::ClassifierKind::kKnn; }
};

// Reads and verifies `folder`. Errors: kNotFound (no manifest, a file is missing), kCorrupt (a
// size, a digest or a content is wrong: the message names the file), kUnsupported (not for this
// device or agent).
base::Result<ModelBundle> LoadBundle(base::FileSystem& fs, const std::string& folder,
                                     const DeviceTraits& device);

// A processor.safetensors by itself; kCorrupt names `path`.
base::Result<feature::ProcessorTensors> ParseProcessor(base::ByteView file,
                                                       const std::string& path);

// Only the manifest and every file's size and digest.
struct VerifiedFolder {
  std::string bundle;
  protocol::BundleManifest manifest;
};
base::Result<VerifiedFolder> VerifyFolder(base::FileSystem& fs, const std::string& folder);

// Checks that what the bundle holds fits together: classes, sizes, image size.
base::Status Validate(const ModelBundle& bundle);

// Writes the folder of a bundle (every file and manifest.json last); sizes, digests and files of
// `bundle.manifest` are filled in. Returns the bundle's identity.
base::Result<std::string> WriteBundle(base::FileSystem& fs, const ModelBundle& bundle,
                                      const std::string& folder);

// Runs the golden inputs through engine and processor: kCorrupt, naming the first input that is
// off, if an output is beyond the tolerance. `engine` is null for rows.
base::Status CheckGolden(const ModelBundle& bundle, feature::FeatureModel* engine);

}  // namespace tinylcm::model
