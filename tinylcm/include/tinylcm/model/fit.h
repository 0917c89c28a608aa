// Fit: labelled data -> a bundle, with the same model, the same picture path and the same
// arithmetic the device will use. Same inputs and seed, same bytes.
//
// Samples are shuffled by the seed and dealt, class by class, into three parts: the canary (a share
// that is kept out of everything and judges later changes), the held-out part (half of the rest, at
// most 200 a class: rank distances and calibration) and the fitting part (scaler, projection,
// anchors, head).
//
// A model that classifies by itself (classifier softmax) can be made a bundle without any data:
// then nothing is calibrated, and drift is watched by how unsure it is.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/logger.h"
#include "base/result.h"
#include "protocol/bundle.h"
#include "tinylcm/model/bundle.h"

namespace tinylcm::model {

struct FitOptions {
  classify::ClassifierKind classifier = classify::ClassifierKind::kKnn;
  bool standardise = false;
  std::uint32_t project = 0;  // Axes kept (PCA); 0: no projection.
  // A quarter of the bytes; refused where it costs more held-out accuracy than this.
  bool is_projection_int8 = false;
  double int8_cost_max = 0.002;
  // Instead of standardise and project: a processor that is given, to be taken as it is.
  std::optional<feature::ProcessorTensors> processor;
  std::string knn_scan = "f32";
  classify::Metric metric = classify::Metric::kCosine;
  std::uint32_t k = 5;
  std::uint32_t anchors_per_class = 30;  // 0: none, for a head.
  double canary_fraction = 0.1;
  double held_out_fraction = 0.25;   // Of what the canary leaves.
  std::uint32_t held_out_max = 200;  // A class.
  std::uint32_t golden = 4;          // Inputs.
  std::uint64_t seed = 1;
};

// Samples before the split. All in memory: a fit happens on a workstation or once.
struct FitData {
  std::size_t raw_count = 0;
  std::vector<float> raw;  // [n, raw_count]: rows, or the model's raw output.
  std::vector<std::uint16_t> labels;
  std::vector<std::string> label_names;
  // Images only: the pictures [n, height, width, 3].
  std::vector<std::uint8_t> pictures;
  std::size_t picture_bytes = 0;
  int picture_width = 0;
  int picture_height = 0;
  // What the model makes of the same pictures turned, one way and the other: [n, raw_count] each;
  // may be empty.
  std::array<std::vector<float>, 2> turned_raw;

  std::size_t size() const { return labels.size(); }
};

struct FitReport {
  std::string bundle;
  std::size_t samples = 0;
  std::size_t skipped = 0;
  std::size_t anchors = 0;
  std::size_t held_out = 0;
  std::size_t canary = 0;
  std::size_t dims = 0;
  double leave_one_out_accuracy = 0.0;  // Of the anchors.
  double held_out_accuracy = 0.0;
  double canary_accuracy = 0.0;
  double ece = 0.0;  // Expected calibration error of the confidence on the canary, 10 bins.
  std::vector<std::pair<std::string, std::uint64_t>> files;  // Name and bytes.

  base::Json Write() const;
  std::string Text() const;  // For a person.
};

// `turned`: `picture` (width x height x 3 bytes) turned about its middle by 22.6 degrees, the angle
// whose cosine is 12/13 and whose sine 5/13, so that whole numbers do; what was outside is the
// nearest pixel of the edge.
void TurnPicture(std::span<const std::uint8_t> picture, int width, int height, bool clockwise,
                 std::vector<std::uint8_t>& turned);

// The pure part: fills processor, anchors, calibration, reference, canary and golden of a bundle.
struct Fitted {
  ModelBundle bundle;
  FitReport report;
};
base::Result<Fitted> Fit(const FitData& data, const FitOptions& options);

// kInvalidArgument with both counts unless they are the same.
base::Status CheckOutputs(std::size_t outputs, std::size_t labels);

// A bundle of a model that classifies by itself, without data: `examples` are pictures of any kind,
// without labels, and become the golden inputs. kInvalidArgument with both counts unless there is a
// label for each of the model's numbers.
base::Result<ModelBundle> FitNothing(const FitData& examples, const FitOptions& options);

// `tinylcm fit`: reads the data, fits, writes the bundle folder.
struct RunFitOptions {
  std::string rows;          // FILE.csv, or ...
  std::string label_column;  // ... of the rows.
  std::string images;        // DIR, a folder per class, with ...
  std::string model;         // ... FILE.tflite or FILE.onnx.
  // A label a line, in the order of the model's outputs. Without: the classes' names, ascending.
  std::string labels;
  std::string processor;  // processor.safetensors to be taken as it is; empty: fitted.
  std::string out;        // DIR, must not exist or be an earlier bundle's.
  std::string name = "model";
  std::string version = "1.0.0";
  std::string model_family;  // Empty: the name.
  std::vector<std::string> device_class = {"any"};
  std::string min_agent = "0.1.0";
  std::string licence;
  std::string resize = "center_crop";
  std::optional<std::uint32_t> output_index;
  std::string output_name;
  std::uint32_t threads = 1;
  feature::InputRule input;
  std::optional<protocol::BundleWindow> window;  // Of --rows.
  FitOptions fit;
};
base::Result<FitReport> RunFit(const RunFitOptions& options, base::FileSystem& fs,
                               base::Clock& clock, base::Logger& logger,
                               const EngineOpener& open_engine);

}  // namespace tinylcm::model
