#include "tinylcm/model/bundle.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "protocol/safetensors.h"

namespace tinylcm::model {

using base::Error;
using base::ErrorCode;
using base::StrCat;
using protocol::NamedFile;
using protocol::Safetensors;

namespace {

constexpr std::uint64_t kFileBytesMax = 512u << 20;

Error Corrupt(const std::string& what) { return {ErrorCode::kCorrupt, "bundle: " + what}; }

// A file's content with its size and digest compared. The bytes that were hashed are the bytes
// that are used: nobody can change the file in between.
base::Result<base::Bytes> ReadVerified(base::FileSystem& fs, const std::string& folder,
                                       const NamedFile& file) {
  const std::string path = base::JoinPath(folder, file.path);
  const auto info = fs.Stat(path);
  if (!info.ok()) {
    if (info.error().code != ErrorCode::kNotFound) return info.error().Within("bundle");
    return Error{ErrorCode::kNotFound, StrCat("bundle: ", file.path, " is missing")};
  }
  if (info->bytes != file.bytes) {
    return Corrupt(StrCat(file.path, ": ", info->bytes, " bytes, the manifest says ", file.bytes));
  }
  ASSIGN_OR_RETURN(base::Bytes bytes, base::ReadFile(fs, path, kFileBytesMax));
  if (base::Sha256Hex(bytes) != file.sha256) {
    return Corrupt(StrCat(file.path, ": sha256 differs from the manifest's"));
  }
  return bytes;
}

base::Result<base::Bytes> ReadManifest(base::FileSystem& fs, const std::string& folder) {
  auto bytes = base::ReadFile(fs, base::JoinPath(folder, protocol::kManifestPath),
                              protocol::kManifestBytesMax);
  if (!bytes.ok() && bytes.error().code == ErrorCode::kNotFound) {
    return Error{ErrorCode::kNotFound, StrCat("bundle: ", folder, " has no manifest.json")};
  }
  return bytes;
}

base::Result<protocol::BundleManifest> ParseManifest(base::ByteView bytes) {
  auto manifest = protocol::ParseBundleManifest(bytes);
  if (!manifest.ok()) return Corrupt(manifest.error().message);
  return manifest;
}

base::Result<Safetensors> ParseTensors(const std::string& path, base::ByteView bytes) {
  auto tensors = Safetensors::Parse(bytes);
  if (!tensors.ok()) return Corrupt(StrCat(path, ": ", tensors.error().message));
  return tensors;
}

// Reads a file's arrays by name and remembers the first thing that was wrong.
class TensorReader {
 public:
  TensorReader(const Safetensors& tensors, std::string path)
      : tensors_(tensors), path_(std::move(path)) {}

  bool Has(const std::string& name) const { return tensors_.Find(name) != nullptr; }

  template <typename T>
  std::vector<T> Values(const std::string& name, const std::vector<std::size_t>& shape) {
    auto values = tensors_.Values<T>(name, shape);
    if (values.ok()) return std::move(values).value();
    if (status_.ok()) status_ = Corrupt(StrCat(path_, ": ", values.error().message));
    return {};
  }
  template <typename T>
  std::vector<T> Optional(const std::string& name, const std::vector<std::size_t>& shape) {
    return Has(name) ? Values<T>(name, shape) : std::vector<T>();
  }
  // The size of one dimension; 0 if there is no such array.
  std::size_t Size(const std::string& name, std::size_t dimension) const {
    const Safetensors::Tensor* tensor = tensors_.Find(name);
    return tensor != nullptr && dimension < tensor->shape.size() ? tensor->shape[dimension] : 0;
  }
  const base::Status& status() const { return status_; }

 private:
  const Safetensors& tensors_;
  std::string path_;
  base::Status status_;
};

base::Status ReadProcessor(const Safetensors& tensors, const std::string& path,
                           feature::ProcessorTensors& out) {
  TensorReader reader(tensors, path);
  out.mean = reader.Values<float>("mean", {0});
  out.scale = reader.Values<float>("scale", {out.mean.size()});
  if (reader.Has("projection")) {
    out.projection_mean = reader.Optional<float>("projection_mean", {out.mean.size()});
    out.projection = reader.Values<float>("projection", {0, out.mean.size()});
  } else if (reader.Has("projection_i8")) {
    out.projection_mean = reader.Optional<float>("projection_mean", {out.mean.size()});
    out.projection_i8 = reader.Values<std::int8_t>("projection_i8", {0, out.mean.size()});
    out.projection_scale =
        reader.Values<float>("projection_scale", {reader.Size("projection_i8", 0)});
  }
  return reader.status();
}

Safetensors WriteProcessor(const feature::ProcessorTensors& processor) {
  Safetensors tensors;
  const std::size_t count = processor.mean.size();
  tensors.Add("mean", {count}, processor.mean);
  tensors.Add("scale", {count}, processor.scale);
  if (!processor.projection_mean.empty()) {
    tensors.Add("projection_mean", {count}, processor.projection_mean);
  }
  if (!processor.projection.empty()) {
    tensors.Add("projection", {processor.projection.size() / count, count}, processor.projection);
  }
  if (!processor.projection_i8.empty()) {
    const std::size_t dims = processor.projection_i8.size() / count;
    tensors.Add("projection_i8", {dims, count}, processor.projection_i8);
    tensors.Add("projection_scale", {dims}, processor.projection_scale);
  }
  return tensors;
}

// What the signals rest on; an older bundle has none of it.
void ReadSignals(TensorReader& reader, ModelBundle& bundle) {
  Reference& reference = bundle.reference;
  const std::size_t classes = bundle.manifest.labels.size();
  for (std::size_t at = 0; at < drift::kSignals; ++at) {
    const std::string name = StrCat("held_out_", drift::Name(static_cast<drift::Signal>(at)), "_");
    for (std::size_t label = 0; label < classes; ++label) {
      std::vector<float> values = reader.Optional<float>(StrCat(name, label), {0});
      if (values.empty()) continue;
      reference.held_out[at].resize(classes);
      reference.held_out[at][label] = std::move(values);
    }
  }
  if (bundle.anchors.size() > 0) {
    reference.held_out[drift::At(drift::Signal::kAnchorDistance)] = reference.rank;
  }
  const std::size_t dims = bundle.anchors.dims;
  if (reader.Has("centroids")) {
    feature::CentroidTensors& centroids = reference.centroids;
    centroids.centroids = reader.Values<float>("centroids", {classes, dims});
    centroids.known = reader.Values<std::uint8_t>("centroid_known", {classes});
    centroids.axes = reader.Values<float>("centroid_axes", {0, dims});
    const auto rest = reader.Values<float>("centroid_rest", {1});
    if (!rest.empty()) centroids.rest = rest[0];
  }
  if (bundle.is_image && reader.Has("turned_ways")) {
    reference.ways.ways = reader.Values<float>("turned_ways", {0, classes, bundle.raw_count()});
    reference.ways.half_way =
        reader.Values<float>("turned_half_way", {reader.Size("turned_ways", 0), classes});
  }
  if (reader.Has("quant_tree_axis")) {
    feature::QuantTreeTensors& tree = reference.quant_tree;
    tree.axis = reader.Values<std::uint16_t>("quant_tree_axis", {0});
    tree.split = reader.Values<float>("quant_tree_split", {tree.axis.size()});
    tree.is_low = reader.Values<std::uint8_t>("quant_tree_is_low", {tree.axis.size()});
  }
  if (!bundle.is_image && reader.Has("rail_low")) {
    reference.rail_low = reader.Values<float>("rail_low", {bundle.raw_count()});
    reference.rail_high = reader.Values<float>("rail_high", {bundle.raw_count()});
  }
}

// What adaptation rests on; an older bundle has none of it.
void ReadAdaptationGround(TensorReader& reader, ModelBundle& bundle) {
  Reference& reference = bundle.reference;
  if (reader.Has("left_out_label")) {
    const std::size_t count = bundle.anchors.size();
    reference.left_out_label = reader.Values<std::uint16_t>("left_out_label", {count});
    reference.left_out_share = reader.Values<float>("left_out_share", {count});
  }
  if (bundle.is_image) {
    reference.histogram = reader.Optional<float>("histogram", {3, 256});
  } else if (reader.Has("class_channel_mean")) {
    const std::vector<std::size_t> shape = {bundle.manifest.labels.size(), bundle.raw_count()};
    reference.class_channel_mean = reader.Values<float>("class_channel_mean", shape);
    reference.class_channel_sd = reader.Values<float>("class_channel_sd", shape);
  }
  if (!bundle.is_image) {
    const std::size_t channels = bundle.raw_count();
    reference.channel_covariance =
        reader.Optional<float>("channel_covariance", {channels, channels});
    reference.channel_mode_share = reader.Optional<float>("channel_mode_share", {channels});
  }
}

void WriteAdaptationGround(const ModelBundle& bundle, Safetensors& tensors) {
  const Reference& reference = bundle.reference;
  if (const std::size_t count = reference.left_out_label.size(); count != 0) {
    tensors.Add("left_out_label", {count}, reference.left_out_label);
    tensors.Add("left_out_share", {count}, reference.left_out_share);
  }
  if (!reference.histogram.empty()) tensors.Add("histogram", {3, 256}, reference.histogram);
  if (!reference.class_channel_mean.empty()) {
    const std::vector<std::size_t> shape = {bundle.manifest.labels.size(), bundle.raw_count()};
    tensors.Add("class_channel_mean", shape, reference.class_channel_mean);
    tensors.Add("class_channel_sd", shape, reference.class_channel_sd);
  }
  const std::size_t channels = bundle.raw_count();
  if (!reference.channel_covariance.empty()) {
    tensors.Add("channel_covariance", {channels, channels}, reference.channel_covariance);
  }
  if (!reference.channel_mode_share.empty()) {
    tensors.Add("channel_mode_share", {channels}, reference.channel_mode_share);
  }
}

void WriteSignals(const ModelBundle& bundle, Safetensors& tensors) {
  const Reference& reference = bundle.reference;
  for (std::size_t at = 0; at < drift::kSignals; ++at) {
    const auto signal = static_cast<drift::Signal>(at);
    if (signal == drift::Signal::kAnchorDistance) continue;  // `rank` holds them.
    for (std::size_t label = 0; label < reference.held_out[at].size(); ++label) {
      const std::vector<float>& values = reference.held_out[at][label];
      if (values.empty()) continue;
      tensors.Add(StrCat("held_out_", drift::Name(signal), "_", label), {values.size()}, values);
    }
  }
  const std::size_t dims = bundle.anchors.dims;
  if (const feature::CentroidTensors& centroids = reference.centroids;
      !centroids.centroids.empty()) {
    tensors.Add("centroids", {centroids.known.size(), dims}, centroids.centroids);
    tensors.Add("centroid_known", {centroids.known.size()}, centroids.known);
    tensors.Add("centroid_axes", {centroids.axes.size() / dims, dims}, centroids.axes);
    tensors.Add("centroid_rest", {1}, std::vector<float>{centroids.rest});
  }
  if (const feature::WayTensors& ways = reference.ways; !ways.half_way.empty()) {
    const std::size_t classes = bundle.manifest.labels.size();
    const std::size_t changes = ways.half_way.size() / classes;
    tensors.Add("turned_ways", {changes, classes, bundle.raw_count()}, ways.ways);
    tensors.Add("turned_half_way", {changes, classes}, ways.half_way);
  }
  if (const feature::QuantTreeTensors& tree = reference.quant_tree; !tree.axis.empty()) {
    tensors.Add("quant_tree_axis", {tree.axis.size()}, tree.axis);
    tensors.Add("quant_tree_split", {tree.axis.size()}, tree.split);
    tensors.Add("quant_tree_is_low", {tree.axis.size()}, tree.is_low);
  }
  if (!reference.rail_low.empty()) {
    tensors.Add("rail_low", {reference.rail_low.size()}, reference.rail_low);
    tensors.Add("rail_high", {reference.rail_high.size()}, reference.rail_high);
  }
}

base::Status ReadReference(const Safetensors& tensors, const std::string& path,
                           ModelBundle& bundle) {
  TensorReader reader(tensors, path);
  const std::size_t raw = bundle.processor.mean.size();
  // A head answers without anchors, and without having seen any data.
  const bool is_knn = bundle.config.classifier == classify::ClassifierKind::kKnn;
  const auto values = [&](const std::string& name, const std::vector<std::size_t>& shape) {
    return is_knn ? reader.Values<float>(name, shape) : reader.Optional<float>(name, shape);
  };
  if (is_knn || reader.Has("anchors")) {
    bundle.anchors.dims = reader.Size("anchors", 1);
    bundle.anchors.vectors = reader.Values<float>("anchors", {0, 0});
    const std::size_t count = reader.Size("anchors", 0);
    bundle.anchors.labels = reader.Values<std::uint16_t>("anchor_labels", {count});
    bundle.anchors.weights = reader.Optional<float>("anchor_weights", {count});
  }
  bundle.calibration.scores = reader.Optional<float>("calibration_scores", {0});
  bundle.calibration.confidences =
      reader.Optional<float>("calibration_confidences", {bundle.calibration.scores.size()});
  if (reader.Has("calibration_distance_limit")) {
    const auto limit = reader.Values<float>("calibration_distance_limit", {1});
    if (!limit.empty()) bundle.calibration.distance_limit = limit[0];
  }
  bundle.reference.rank.resize(bundle.manifest.labels.size());
  for (std::size_t label = 0; label < bundle.reference.rank.size(); ++label) {
    bundle.reference.rank[label] = reader.Optional<float>(StrCat("rank_", label), {0});
  }
  bundle.reference.channel_mean = values("channel_mean", {raw});
  bundle.reference.channel_sd = values("channel_sd", {raw});
  bundle.reference.feature_mean = values("feature_mean", {bundle.anchors.dims});
  bundle.reference.feature_sd = values("feature_sd", {bundle.anchors.dims});
  if (bundle.is_image) {
    const std::vector<std::size_t> shape = {static_cast<std::size_t>(bundle.image_rule.height),
                                            static_cast<std::size_t>(bundle.image_rule.width), 3};
    bundle.reference.mean_image = values("mean_image", shape);
    bundle.reference.sd_image = values("sd_image", shape);
  }
  ReadSignals(reader, bundle);
  ReadAdaptationGround(reader, bundle);
  return reader.status();
}

Safetensors WriteReference(const ModelBundle& bundle) {
  Safetensors tensors;
  const std::size_t count = bundle.anchors.size();
  const std::size_t dims = bundle.anchors.dims;
  const Reference& reference = bundle.reference;
  if (count != 0) {
    tensors.Add("anchors", {count, dims}, bundle.anchors.vectors);
    tensors.Add("anchor_labels", {count}, bundle.anchors.labels);
  }
  if (!bundle.anchors.weights.empty()) {
    tensors.Add("anchor_weights", {count}, bundle.anchors.weights);
  }
  if (!bundle.calibration.scores.empty()) {
    const std::size_t points = bundle.calibration.scores.size();
    tensors.Add("calibration_scores", {points}, bundle.calibration.scores);
    tensors.Add("calibration_confidences", {points}, bundle.calibration.confidences);
  }
  tensors.Add("calibration_distance_limit", {1},
              std::vector<float>{bundle.calibration.distance_limit});
  for (std::size_t label = 0; label < reference.rank.size(); ++label) {
    const std::vector<float>& rank = reference.rank[label];
    if (!rank.empty()) tensors.Add(StrCat("rank_", label), {rank.size()}, rank);
  }
  if (!reference.channel_mean.empty()) {
    tensors.Add("channel_mean", {reference.channel_mean.size()}, reference.channel_mean);
    tensors.Add("channel_sd", {reference.channel_sd.size()}, reference.channel_sd);
    tensors.Add("feature_mean", {dims}, reference.feature_mean);
    tensors.Add("feature_sd", {dims}, reference.feature_sd);
  }
  if (bundle.is_image && !reference.mean_image.empty()) {
    const std::vector<std::size_t> shape = {static_cast<std::size_t>(bundle.image_rule.height),
                                            static_cast<std::size_t>(bundle.image_rule.width), 3};
    tensors.Add("mean_image", shape, reference.mean_image);
    tensors.Add("sd_image", shape, reference.sd_image);
  }
  WriteSignals(bundle, tensors);
  WriteAdaptationGround(bundle, tensors);
  return tensors;
}

base::Status ReadCanary(const Safetensors& tensors, const std::string& path, ModelBundle& bundle) {
  TensorReader reader(tensors, path);
  bundle.canary.dims = bundle.anchors.dims;
  bundle.canary.vectors = reader.Values<float>("features", {0, bundle.anchors.dims});
  bundle.canary.labels = reader.Values<std::uint16_t>("labels", {reader.Size("features", 0)});
  return reader.status();
}

Safetensors WriteCanary(const ModelBundle& bundle) {
  Safetensors tensors;
  tensors.Add("features", {bundle.canary.size(), bundle.canary.dims}, bundle.canary.vectors);
  tensors.Add("labels", {bundle.canary.size()}, bundle.canary.labels);
  return tensors;
}

base::Status ReadHead(const Safetensors& tensors, const std::string& path, ModelBundle& bundle) {
  TensorReader reader(tensors, path);
  classify::HeadTensors& head = bundle.head.emplace();
  head.weights = reader.Values<float>("weights", {0, 0});
  head.bias = reader.Values<float>("bias", {reader.Size("weights", 0)});
  const auto temperature = reader.Optional<float>("temperature", {1});
  if (!temperature.empty()) head.temperature = temperature[0];
  return reader.status();
}

Safetensors WriteHead(const classify::HeadTensors& head) {
  Safetensors tensors;
  tensors.Add("weights", {head.classes(), head.dims()}, head.weights);
  tensors.Add("bias", {head.classes()}, head.bias);
  tensors.Add("temperature", {1}, std::vector<float>{head.temperature});
  return tensors;
}

base::Status ReadGolden(const Safetensors& tensors, const std::string& path, ModelBundle& bundle) {
  TensorReader reader(tensors, path);
  Golden& golden = bundle.golden;
  golden.count = reader.Size("labels", 0);
  golden.labels = reader.Values<std::uint16_t>("labels", {golden.count});
  golden.raw = reader.Values<float>("raw", {golden.count, bundle.raw_count()});
  golden.features = reader.Values<float>("features", {golden.count, bundle.anchors.dims});
  if (bundle.is_image) {
    golden.pictures = reader.Values<std::uint8_t>(
        "pictures", {golden.count, static_cast<std::size_t>(bundle.image_rule.height),
                     static_cast<std::size_t>(bundle.image_rule.width), 3});
  } else {
    golden.rows = golden.raw;
  }
  if (reader.Has("taught_labels")) {
    golden.taught_labels = reader.Values<std::uint16_t>("taught_labels", {golden.count});
    golden.taught_features =
        reader.Values<float>("taught_features", {golden.count, bundle.anchors.dims});
  }
  return reader.status();
}

Safetensors WriteGolden(const ModelBundle& bundle) {
  Safetensors tensors;
  const Golden& golden = bundle.golden;
  tensors.Add("labels", {golden.count}, golden.labels);
  tensors.Add("raw", {golden.count, bundle.raw_count()}, golden.raw);
  tensors.Add("features", {golden.count, bundle.anchors.dims}, golden.features);
  if (bundle.is_image) {
    tensors.Add("pictures",
                {golden.count, static_cast<std::size_t>(bundle.image_rule.height),
                 static_cast<std::size_t>(bundle.image_rule.width), 3},
                golden.pictures);
  }
  if (!golden.taught_labels.empty()) {
    tensors.Add("taught_labels", {golden.count}, golden.taught_labels);
    tensors.Add("taught_features", {golden.count, bundle.anchors.dims}, golden.taught_features);
  }
  return tensors;
}

bool AllFinite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

// Written so that NaN fails.
bool AreShares(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return v >= 0.0f && v <= 1.0f; });
}

base::Status ValidateAdaptationGround(const ModelBundle& bundle) {
  const Reference& reference = bundle.reference;
  const std::size_t classes = bundle.manifest.labels.size();
  const std::size_t left_out = reference.left_out_label.size();
  if (left_out != reference.left_out_share.size() ||
      (left_out != 0 && left_out != bundle.anchors.size())) {
    return Corrupt("reference: leave-one-out outcomes of another number of anchors");
  }
  for (const std::uint16_t label : reference.left_out_label) {
    if (label >= classes) return Corrupt("reference: a leave-one-out outcome is no class");
  }
  if (!AreShares(reference.left_out_share)) {
    return Corrupt("reference: a leave-one-out outcome's share is not one");
  }
  if (!reference.histogram.empty() &&
      (!bundle.is_image || reference.histogram.size() != std::size_t{3} * 256 ||
       !AreShares(reference.histogram))) {
    return Corrupt("reference: a histogram is of shares, 256 a colour");
  }
  if (reference.class_channel_mean.size() != reference.class_channel_sd.size() ||
      (!reference.class_channel_mean.empty() &&
       reference.class_channel_mean.size() != classes * bundle.raw_count())) {
    return Corrupt("reference: channel statistics of another number of classes or channels");
  }
  const std::size_t channels = bundle.raw_count();
  if ((!reference.channel_covariance.empty() &&
       reference.channel_covariance.size() != channels * channels) ||
      (!reference.channel_mode_share.empty() && reference.channel_mode_share.size() != channels) ||
      !AreShares(reference.channel_mode_share)) {
    return Corrupt("reference: covariance or commonest values of another number of channels");
  }
  if (!bundle.taught.empty() && !bundle.manifest.lineage.parent) {
    return Corrupt("manifest.json: an adaptation, but no parent that it is on top of");
  }
  if (bundle.golden.taught_features.size() !=
          bundle.golden.taught_labels.size() * bundle.feature_count() ||
      (!bundle.golden.taught_labels.empty() &&
       bundle.golden.taught_labels.size() != bundle.golden.count)) {
    return Corrupt("golden: expected answers of another number of inputs");
  }
  return {};
}

}  // namespace

base::Status CheckSuits(const protocol::BundleManifest& manifest, const DeviceTraits& device) {
  const std::string bundle = StrCat("bundle ", manifest.name, " ", manifest.version);
  if (!device.model_family.empty() && manifest.model_family != device.model_family) {
    return Error{ErrorCode::kUnsupported,
                 StrCat(bundle, " is for model family \"", manifest.model_family,
                        "\", this device runs \"", device.model_family, "\"")};
  }
  const auto& classes = manifest.device_class;
  if (!device.device_class.empty() &&
      std::find(classes.begin(), classes.end(), "any") == classes.end() &&
      std::find(classes.begin(), classes.end(), device.device_class) == classes.end()) {
    return Error{ErrorCode::kUnsupported,
                 StrCat(bundle, " is not for device class \"", device.device_class, "\"")};
  }
  if (!device.agent_version.empty() && !manifest.min_agent.empty() &&
      !protocol::IsAtLeast(device.agent_version, manifest.min_agent)) {
    return Error{ErrorCode::kUnsupported, StrCat(bundle, " needs agent ", manifest.min_agent,
                                                 " or newer, this is ", device.agent_version)};
  }
  return {};
}

base::Result<BundleConfig> BundleConfig::Parse(const base::Json& json) {
  BundleConfig config;
  base::JsonReader reader(json, "config.json");
  if (const auto name = reader.OptionalString("classifier")) {
    if (const auto kind = classify::ParseClassifierKind(*name); kind.ok()) {
      config.classifier = *kind;
    } else {
      reader.Refuse("classifier", "neither knn, linear nor softmax");
    }
  }
  config.k = static_cast<std::uint32_t>(
      reader.Int("k", {.min = 1, .max = static_cast<std::int64_t>(classify::kNeighboursMax)}));
  const std::string metric = reader.String("metric");
  if (const auto parsed = classify::ParseMetric(metric); parsed.ok()) {
    config.metric = *parsed;
  } else {
    reader.Refuse("metric", "neither cosine, euclidean nor manhattan");
  }
  config.distance_weighted = reader.OptionalBool("distance_weighted").value_or(true);
  config.unknown_below = static_cast<float>(reader.OptionalDouble("unknown_below").value_or(0.0));
  config.threads =
      static_cast<std::uint32_t>(reader.OptionalInt("threads", {.min = 1, .max = 64}).value_or(1));
  if (const auto index = reader.OptionalInt("output_index", {.min = 0, .max = 255})) {
    config.output_index = static_cast<std::uint32_t>(*index);
  }
  config.output_name = reader.OptionalString("output_name").value_or("");
  config.output_size = static_cast<std::uint32_t>(
      reader.OptionalInt("output_size", {.min = 0, .max = 1 << 20}).value_or(0));
  config.knn_scan = reader.OptionalString("knn_scan").value_or("f32");
  if (config.knn_scan != "f32" && config.knn_scan != "i8") {
    reader.Refuse("knn_scan", "neither f32 nor i8");
  }
  config.gives_logits = reader.OptionalBool("gives_logits").value_or(false);
  config.temperature = reader.OptionalDouble("temperature").value_or(1.0);
  if (!(config.temperature > 0.0)) reader.Refuse("temperature", "not above 0");
  if (reader.Has("channels")) config.channels = reader.Strings("channels", 65536);
  config.golden_tolerance = reader.OptionalDouble("golden_tolerance").value_or(1e-3);
  if (!(config.golden_tolerance >= 0.0)) reader.Refuse("golden_tolerance", "below 0");
  config.seed = static_cast<std::uint64_t>(reader.OptionalInt("seed", {.min = 0}).value_or(1));
  RETURN_IF_ERROR(reader.status());
  return config;
}

base::Json BundleConfig::Write() const {
  base::Json json = base::Json::MakeObject({{"k", k},
                                            {"metric", classify::Name(metric)},
                                            {"distance_weighted", distance_weighted},
                                            {"unknown_below", static_cast<double>(unknown_below)},
                                            {"threads", threads}});
  if (output_index) json.Set("output_index", *output_index);
  if (!output_name.empty()) json.Set("output_name", output_name);
  if (output_size != 0) json.Set("output_size", output_size);
  // What is as it always was is not said, so that a bundle's identity does not change.
  if (classifier != classify::ClassifierKind::kKnn) {
    json.Set("classifier", classify::Name(classifier));
  }
  if (knn_scan != "f32") json.Set("knn_scan", knn_scan);
  if (gives_logits) json.Set("gives_logits", true);
  if (temperature != 1.0) json.Set("temperature", temperature);
  if (!channels.empty()) {
    base::Json names = base::Json::MakeArray();
    for (const std::string& name : channels) names.Append(name);
    json.Set("channels", std::move(names));
  }
  json.Set("golden_tolerance", golden_tolerance);
  json.Set("seed", seed);
  return json;
}

classify::KnnClassifier::Options ModelBundle::ClassifierOptions() const {
  classify::KnnClassifier::Options options;
  options.classes = static_cast<std::uint32_t>(manifest.labels.size());
  options.k = config.k;
  options.metric = config.metric;
  options.distance_weighted = config.distance_weighted;
  options.unknown_below = config.unknown_below;
  if (config.knn_scan == Name(classify::Scan::kInt8)) options.scan = classify::Scan::kInt8;
  return options;
}

base::Result<classify::Classifier> ModelBundle::MakeClassifier() const {
  return classify::Classifier::Create({.kind = config.classifier,
                                       .knn = ClassifierOptions(),
                                       .gives_logits = config.gives_logits,
                                       .temperature = static_cast<float>(config.temperature)},
                                      anchors, head, calibration);
}

EngineOptions ModelBundle::engine_options() const {
  return {.threads = config.threads,
          .output_index = config.output_index,
          .output_size = config.output_size,
          .output_name = config.output_name,
          .input = input_rule,
          .file_name = feature_model_name};
}

base::Result<feature::ProcessorTensors> ParseProcessor(base::ByteView file,
                                                       const std::string& path) {
  ASSIGN_OR_RETURN(const Safetensors tensors, ParseTensors(path, file));
  feature::ProcessorTensors processor;
  RETURN_IF_ERROR(ReadProcessor(tensors, path, processor));
  return processor;
}

base::Result<VerifiedFolder> VerifyFolder(base::FileSystem& fs, const std::string& folder) {
  ASSIGN_OR_RETURN(const base::Bytes bytes, ReadManifest(fs, folder));
  VerifiedFolder verified;
  ASSIGN_OR_RETURN(verified.manifest, ParseManifest(bytes));
  verified.bundle = protocol::BundleIdOf(bytes);
  for (const NamedFile& file : verified.manifest.files) {
    RETURN_IF_ERROR(ReadVerified(fs, folder, file));
  }
  return verified;
}

base::Result<ModelBundle> LoadBundle(base::FileSystem& fs, const std::string& folder,
                                     const DeviceTraits& device) {
  ASSIGN_OR_RETURN(const base::Bytes manifest_bytes, ReadManifest(fs, folder));
  ModelBundle bundle;
  bundle.folder = folder;
  bundle.bundle = protocol::BundleIdOf(manifest_bytes);
  ASSIGN_OR_RETURN(bundle.manifest, ParseManifest(manifest_bytes));
  RETURN_IF_ERROR(CheckSuits(bundle.manifest, device));
  const protocol::BundleInput& input = bundle.manifest.input;
  bundle.is_image = input.kind == protocol::BundleInput::Kind::kImage;
  if (bundle.is_image) {
    bundle.image_rule.width = input.width;
    bundle.image_rule.height = input.height;
    ASSIGN_OR_RETURN(bundle.image_rule.resize, source::ParseResize(input.resize));
    bundle.image_rule.source_width = input.source_width.value_or(0);
    bundle.image_rule.source_height = input.source_height.value_or(0);
    const auto channels = feature::ParseChannels(input.channels);
    if (!channels.ok()) return Corrupt("manifest.json: input." + channels.error().message);
    const auto scale = feature::ParseScale(input.scale);
    if (!scale.ok()) return Corrupt("manifest.json: input." + scale.error().message);
    bundle.input_rule.channels = *channels;
    bundle.input_rule.scale = *scale;
    for (std::size_t i = 0; i < input.mean.size() && i < 3; ++i) {
      bundle.input_rule.mean[i] = static_cast<float>(input.mean[i]);
      bundle.input_rule.deviation[i] = static_cast<float>(input.deviation[i]);
    }
  }

  // Everything is verified before anything is believed.
  std::vector<base::Bytes> contents;
  for (const NamedFile& file : bundle.manifest.files) {
    ASSIGN_OR_RETURN(base::Bytes bytes, ReadVerified(fs, folder, file));
    contents.push_back(std::move(bytes));
  }
  const auto content = [&](std::string_view role) -> base::Result<std::size_t> {
    for (std::size_t i = 0; i < contents.size(); ++i) {
      if (bundle.manifest.files[i].role == role) return i;
    }
    return Error{ErrorCode::kCorrupt, StrCat("bundle: no file has the role ", role)};
  };
  if (bundle.is_image) {
    ASSIGN_OR_RETURN(const std::size_t at, content(protocol::kRoleFeatureModel));
    bundle.feature_model_path = base::JoinPath(folder, bundle.manifest.files[at].path);
    bundle.feature_model = std::move(contents[at]);
    bundle.feature_model_name = bundle.manifest.files[at].path;
  }
  ASSIGN_OR_RETURN(const std::size_t config_at, content(protocol::kRoleConfig));
  const auto json = base::Json::Parse(base::AsText(contents[config_at]));
  if (!json.ok()) return Corrupt("config.json: " + json.error().message);
  const auto config = BundleConfig::Parse(*json);
  if (!config.ok()) return Corrupt(config.error().message);
  bundle.config = *config;

  const auto read = [&](std::string_view role, const auto& take) -> base::Status {
    ASSIGN_OR_RETURN(const std::size_t at, content(role));
    const std::string& path = bundle.manifest.files[at].path;
    ASSIGN_OR_RETURN(const Safetensors tensors, ParseTensors(path, contents[at]));
    return take(tensors, path);
  };
  RETURN_IF_ERROR(read(protocol::kRoleProcessor, [&](const auto& tensors, const auto& path) {
    return ReadProcessor(tensors, path, bundle.processor);
  }));
  bundle.anchors.dims = bundle.canary.dims = bundle.feature_count();
  RETURN_IF_ERROR(read(protocol::kRoleReference, [&](const auto& tensors, const auto& path) {
    return ReadReference(tensors, path, bundle);
  }));
  RETURN_IF_ERROR(read(protocol::kRoleCanary, [&](const auto& tensors, const auto& path) {
    return ReadCanary(tensors, path, bundle);
  }));
  if (bundle.config.classifier == classify::ClassifierKind::kLinear) {
    RETURN_IF_ERROR(read(protocol::kRoleHead, [&](const auto& tensors, const auto& path) {
      return ReadHead(tensors, path, bundle);
    }));
  }
  RETURN_IF_ERROR(read(protocol::kRoleGolden, [&](const auto& tensors, const auto& path) {
    return ReadGolden(tensors, path, bundle);
  }));
  if (const auto at = content(protocol::kRoleAdaptation); at.ok()) {
    bundle.taught = std::move(contents[*at]);
  }
  RETURN_IF_ERROR(Validate(bundle));
  return bundle;
}

base::Status Validate(const ModelBundle& bundle) {
  const auto classes = static_cast<std::uint32_t>(bundle.manifest.labels.size());
  const base::Status processor = feature::Validate(bundle.processor);
  if (!processor.ok()) return Corrupt("processor: " + processor.error().message);
  if (bundle.feature_count() != bundle.anchors.dims) {
    return Corrupt(StrCat("processor gives ", bundle.feature_count(), " numbers, anchors have ",
                          bundle.anchors.dims));
  }
  if (!bundle.is_image) {
    const protocol::BundleInput& input = bundle.manifest.input;
    const std::size_t given = static_cast<std::size_t>(input.channel_count) *
                              (input.window ? input.window->features_a_channel() : 1);
    if (bundle.raw_count() != given) {
      return Corrupt(
          StrCat("processor takes ", bundle.raw_count(), " channels, the input has ", given));
    }
  }
  if (const auto status = classify::Validate(bundle.anchors, classes); !status.ok()) {
    return Corrupt("anchors: " + status.error().message);
  }
  switch (bundle.config.classifier) {
    case classify::ClassifierKind::kKnn:
      if (bundle.anchors.size() == 0) return Corrupt("anchors: none");
      break;
    case classify::ClassifierKind::kLinear:
      if (!bundle.head) return Corrupt("head: none");
      if (const auto status = classify::Validate(*bundle.head, classes, bundle.feature_count());
          !status.ok()) {
        return Corrupt(status.error().message);
      }
      break;
    case classify::ClassifierKind::kSoftmax:
      if (bundle.feature_count() != classes) {
        return Corrupt(StrCat("the model gives ", bundle.feature_count(), " numbers, there are ",
                              classes, " labels"));
      }
      break;
  }
  if (const auto status = classify::Validate(bundle.calibration); !status.ok()) {
    return Corrupt("calibration: " + status.error().message);
  }
  if (bundle.canary.size() != 0) {
    if (const auto status = classify::Validate(bundle.canary, classes); !status.ok()) {
      return Corrupt("canary: " + status.error().message);
    }
  }
  for (const std::uint16_t label : bundle.golden.labels) {
    if (label >= classes) return Corrupt("golden: a label is no class");
  }
  const Reference& reference = bundle.reference;
  for (const std::vector<float>& rank : reference.rank) {
    if (!AllFinite(rank) || !std::is_sorted(rank.begin(), rank.end())) {
      return Corrupt("reference: rank distances are not ascending and finite");
    }
  }
  for (const auto& signal : reference.held_out) {
    if (!signal.empty() && signal.size() != classes) {
      return Corrupt("reference: held-out values of another number of classes");
    }
    for (const std::vector<float>& values : signal) {
      if (!AllFinite(values) || !std::is_sorted(values.begin(), values.end())) {
        return Corrupt("reference: held-out values are not ascending and finite");
      }
    }
  }
  if (const auto status = feature::Validate(reference.centroids, classes, bundle.feature_count());
      !status.ok()) {
    return Corrupt("reference: " + status.error().message);
  }
  if (const auto status = feature::Validate(reference.ways, classes, bundle.raw_count());
      !status.ok()) {
    return Corrupt("reference: " + status.error().message);
  }
  if (const auto status = feature::Validate(reference.quant_tree, bundle.feature_count());
      !status.ok()) {
    return Corrupt("reference: " + status.error().message);
  }
  if (!reference.rail_low.empty() && (reference.rail_low.size() != bundle.raw_count() ||
                                      reference.rail_high.size() != bundle.raw_count())) {
    return Corrupt("reference: rails of another number of channels");
  }
  if (const auto status = ValidateAdaptationGround(bundle); !status.ok()) return status;
  for (const auto* values :
       {&reference.channel_mean, &reference.channel_sd, &reference.feature_mean,
        &reference.feature_sd, &reference.mean_image, &reference.sd_image, &reference.rail_low,
        &reference.rail_high, &reference.class_channel_mean, &reference.class_channel_sd,
        &reference.channel_covariance, &bundle.golden.raw, &bundle.golden.features,
        &bundle.golden.taught_features}) {
    if (!AllFinite(*values)) return Corrupt("reference or golden: a number is not finite");
  }
  return {};
}

base::Result<std::string> WriteBundle(base::FileSystem& fs, const ModelBundle& bundle,
                                      const std::string& folder) {
  RETURN_IF_ERROR(Validate(bundle));
  RETURN_IF_ERROR(fs.CreateDirectories(folder));
  protocol::BundleManifest manifest = bundle.manifest;
  manifest.files.clear();
  const auto put = [&](const std::string& path, std::string_view role,
                       const base::Bytes& bytes) -> base::Status {
    NamedFile file;
    file.path = path;
    file.role = std::string(role);
    file.bytes = bytes.size();
    file.sha256 = base::Sha256Hex(bytes);
    manifest.files.push_back(std::move(file));
    return base::WriteFileDurably(fs, base::JoinPath(folder, path), bytes);
  };
  RETURN_IF_ERROR(put("config.json", protocol::kRoleConfig,
                      base::ToBytes(bundle.config.Write().WritePretty())));
  if (bundle.is_image) {
    RETURN_IF_ERROR(
        put(bundle.feature_model_name, protocol::kRoleFeatureModel, bundle.feature_model));
  }
  RETURN_IF_ERROR(put("processor.safetensors", protocol::kRoleProcessor,
                      WriteProcessor(bundle.processor).Write()));
  RETURN_IF_ERROR(
      put("reference.safetensors", protocol::kRoleReference, WriteReference(bundle).Write()));
  RETURN_IF_ERROR(put("canary.safetensors", protocol::kRoleCanary, WriteCanary(bundle).Write()));
  RETURN_IF_ERROR(put("golden.safetensors", protocol::kRoleGolden, WriteGolden(bundle).Write()));
  if (bundle.head) {
    RETURN_IF_ERROR(put("head.safetensors", protocol::kRoleHead, WriteHead(*bundle.head).Write()));
  }
  if (!bundle.taught.empty()) {
    RETURN_IF_ERROR(put("adaptation.bin", protocol::kRoleAdaptation, bundle.taught));
  }
  const std::string text = protocol::WriteBundleManifest(manifest);
  RETURN_IF_ERROR(base::WriteFileDurably(fs, base::JoinPath(folder, protocol::kManifestPath),
                                         base::AsBytes(text)));
  return protocol::BundleIdOf(base::AsBytes(text));
}

base::Status CheckGolden(const ModelBundle& bundle, feature::FeatureModel* engine) {
  const Golden& golden = bundle.golden;
  const std::size_t raw_count = bundle.raw_count();
  const std::size_t dims = bundle.anchors.dims;
  const double tolerance = bundle.config.golden_tolerance;
  ASSIGN_OR_RETURN(feature::Processor processor, feature::Processor::Create(bundle.processor));
  ASSIGN_OR_RETURN(classify::Classifier classifier, bundle.MakeClassifier());
  if (bundle.is_image) {
    CHECK(engine != nullptr);
    if (engine->width() != bundle.image_rule.width ||
        engine->height() != bundle.image_rule.height || engine->feature_count() != raw_count) {
      return Corrupt(StrCat("the model takes ", engine->width(), "x", engine->height(),
                            " and gives ", engine->feature_count(), " numbers; the bundle says ",
                            bundle.image_rule.width, "x", bundle.image_rule.height, " and ",
                            raw_count));
    }
  }
  std::vector<float> raw(raw_count);
  std::vector<float> feature(dims);
  for (std::size_t i = 0; i < golden.count; ++i) {
    const std::span<const float> expected_raw(golden.raw.data() + i * raw_count, raw_count);
    const std::span<const float> expected(golden.features.data() + i * dims, dims);
    if (bundle.is_image) {
      const std::size_t bytes = golden.pictures.size() / golden.count;
      RETURN_IF_ERROR(engine->Infer(std::span(golden.pictures).subspan(i * bytes, bytes), raw));
    } else {
      std::copy(expected_raw.begin(), expected_raw.end(), raw.begin());
    }
    // Relative to the number's own size, and written so that NaN fails.
    const auto near = [&](float got, float want) {
      return std::abs(static_cast<double>(got) - want) <=
             tolerance * std::max(1.0, std::abs(static_cast<double>(want)));
    };
    for (std::size_t j = 0; j < raw_count; ++j) {
      if (!near(raw[j], expected_raw[j])) {
        return Corrupt(StrCat("golden input ", i, ": output ", j, " is ", raw[j], ", expected ",
                              expected_raw[j]));
      }
    }
    processor.Apply(raw, feature);
    for (std::size_t j = 0; j < dims; ++j) {
      // Scaling may have blown a difference up; ten times is still the same feature.
      if (!(std::abs(static_cast<double>(feature[j]) - expected[j]) <=
            10 * tolerance * std::max(1.0, std::abs(static_cast<double>(expected[j]))))) {
        return Corrupt(StrCat("golden input ", i, ": feature ", j, " is ", feature[j],
                              ", expected ", expected[j]));
      }
    }
    const std::uint16_t label = classifier.Classify(feature).nearest;
    if (label != golden.labels[i]) {
      return Corrupt(StrCat("golden input ", i, ": classified as \"", bundle.manifest.labels[label],
                            "\", expected \"", bundle.manifest.labels[golden.labels[i]], "\""));
    }
  }
  return {};
}

}  // namespace tinylcm::model
