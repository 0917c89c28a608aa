#include "agent/prototype_config.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "agent/alarm_rule.h"
#include "base/file_system.h"
#include "base/text.h"
#include "tinylcm/classify/knn_classifier.h"

namespace agent {

using base::Json;
using base::StrCat;

namespace {

constexpr std::array<std::string_view, 4> kParts = {"feature_extractor", "feature_transformation",
                                                    "adaptive_classifier", "drift_detectors"};

// Top-level members that are the prototype's; everything else is ours.
constexpr std::array<std::string_view, 14> kSections = {"device",
                                                        "camera",
                                                        "model",
                                                        "tinylcm",
                                                        "application",
                                                        "pipeline",
                                                        "feature_extractor",
                                                        "feature_transformation",
                                                        "adaptive_classifier",
                                                        "drift_detectors",
                                                        "operational_monitor",
                                                        "sync_client",
                                                        "data_logger",
                                                        "geolocation"};

struct Reason {
  std::string_view path;  // A prefix, below "tinylcm" without it.
  std::string_view text;
};

// Why a key has no effect here; the longest prefix counts.
constexpr Reason kReasons[] = {
    {"device.description", "it is for people"},
    {"device.log_level", "tinylcm run --verbose says more"},
    {"camera.inference_resolution", "the model's own input size is taken"},
    {"model.model_path", "feature_extractor.model_path names the model"},
    {"model.threshold", "the bundle's calibration says how sure an answer is"},
    {"pipeline", "the drift monitor learns what is usual by itself"},
    {"feature_extractor.lazy_loading", "the model is loaded before the first frame"},
    {"adaptive_classifier.initial_state_path",
     "tinylcm fit takes the known examples from pictures, as the device will see them"},
    {"adaptive_classifier.max_samples",
     "known examples and learned ones are kept apart, each with "
     "a budget"},
    {"adaptive_classifier.use_numpy", "it is compiled"},
    {"adaptive_classifier.simple_confidence", "confidence is calibrated in the bundle"},
    {"drift_detectors", "the monitor's reference is learned anew on this device"},
    {"operational_monitor", "figures are always taken; metrics.* says who else gets them"},
    {"sync_client.server_url", "a device learns its server from tinylcm enroll"},
    {"sync_client.api_key", "a device signs with a key of its own, see tinylcm enroll"},
    {"sync_client.max_retries", "packages are sent until the server has signed for them"},
    {"sync_client.auto_register", "a device is enrolled by a person, see tinylcm enroll"},
    {"sync_client.enable_prediction_images", "pictures leave the device with consent.images only"},
    {"sync_client", "the queue below data does this"},
    {"features", "datalog.images.* says which pictures are kept"},
    {"state_manager", "state lies below data"},
    {"data_logger.log_images", "datalog.images.* says which pictures are kept"},
    {"data_logger", "the log lies below data"},
    {"geolocation", "a place is never looked up outside nor invented; location.* names it"},
    {"application", "the agent answers every frame the camera gives and shows none"},
};

// A part of the file: remembers what was asked for, so that the rest can be named.
class Part {
 public:
  Part(const Json* json, std::string path, std::set<std::string>& used,
       std::vector<std::pair<std::string, std::string>>& problems)
      : json_(json), path_(std::move(path)), used_(used), problems_(problems) {}

  bool exists() const { return json_ != nullptr && json_->is_object(); }
  std::string PathOf(std::string_view key) const {
    return path_.empty() ? std::string(key) : StrCat(path_, ".", key);
  }
  void Refuse(std::string_view key, std::string reason) const {
    problems_.emplace_back(PathOf(key), std::move(reason));
  }
  const Json* Get(std::string_view key) const {
    const Json* value = exists() ? json_->Find(key) : nullptr;
    if (value == nullptr || value->is_null()) return nullptr;
    used_.insert(PathOf(key));
    return value;
  }
  std::string Text(std::string_view key) const {
    const Json* value = Get(key);
    if (value == nullptr) return "";
    if (value->is_string()) return value->as_string();
    Refuse(key, "a text is expected");
    return "";
  }
  std::optional<double> Number(std::string_view key, double min, double max) const {
    const Json* value = Get(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_number() && value->as_double() >= min && value->as_double() <= max) {
      return value->as_double();
    }
    Refuse(key, StrCat("a number from ", min, " to ", max, " is expected"));
    return std::nullopt;
  }
  std::optional<std::int64_t> Count(std::string_view key, std::int64_t min,
                                    std::int64_t max) const {
    const Json* value = Get(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_int() && value->as_int() >= min && value->as_int() <= max) {
      return value->as_int();
    }
    Refuse(key, StrCat("a whole number from ", min, " to ", max, " is expected"));
    return std::nullopt;
  }
  std::optional<bool> Flag(std::string_view key) const {
    const Json* value = Get(key);
    if (value == nullptr) return std::nullopt;
    if (value->is_bool()) return value->as_bool();
    Refuse(key, "true or false is expected");
    return std::nullopt;
  }
  Part Below(std::string_view key) const {
    const Json* value = exists() ? json_->Find(key) : nullptr;
    if (value != nullptr && !value->is_object() && !value->is_null()) {
      Refuse(key, "an object is expected");
    }
    return Part(value, PathOf(key), used_, problems_);
  }
  void WantType(std::initializer_list<std::string_view> known) const {
    const std::string type = Text("type");
    if (std::ranges::find(known, type) != known.end()) return;
    std::string names;
    for (const std::string_view name : known) names += StrCat(names.empty() ? "" : " or ", name);
    Refuse("type", StrCat(names, " is expected", type.empty() ? "" : StrCat(", not ", type)));
  }

 private:
  const Json* json_;
  std::string path_;
  std::set<std::string>& used_;
  std::vector<std::pair<std::string, std::string>>& problems_;
};

// Relative to the file, "./" left out.
std::string Resolve(const std::string& folder, std::string path) {
  if (path.empty() || path.starts_with('/')) return path;
  while (path.starts_with("./")) path = path.substr(2);
  return folder == "." ? path : base::JoinPath(folder, path);
}

class Converter {
 public:
  Converter(const Json& file, const std::string& path)
      : path_(path), folder_(base::FolderOf(path)), file_(file) {
    out_.ours = Json::MakeObject();
  }

  PrototypeReading Convert() {
    const Part file(&file_, "", used_, out_.problems);
    const bool is_nested = file.Below("tinylcm").exists();
    const Part parts = is_nested ? file.Below("tinylcm") : file;
    Model(file, parts);
    Classifier(parts.Below("adaptive_classifier"));
    Detectors(parts);
    Camera(file.Below("camera"));
    if (const std::string name = file.Below("device").Text("name"); !name.empty()) {
      out_.ours.Set("name", name);
    }
    Sync(parts.Below("sync_client"));
    Logger(parts.Below("data_logger"));
    OwnKeysWin();
    for (const auto& [name, value] : file_.as_object()) {
      if (IsTheirs(name)) Warn(value, name);
    }
    return std::move(out_);
  }

 private:
  void Model(const Part& file, const Part& parts) {
    const Part extractor = parts.Below("feature_extractor");
    if (!extractor.exists()) {
      extractor.Refuse("type", "missing; TFLiteFeatureExtractor is expected");
    } else {
      extractor.WantType({"TFLiteFeatureExtractor"});
    }
    PrototypeConfig& prototype = out_.prototype;
    const Part model = file.Below("model");
    prototype.model = Resolve(folder_, extractor.Text("model_path"));
    if (prototype.model.empty()) prototype.model = Resolve(folder_, model.Text("model_path"));
    if (prototype.model.empty()) extractor.Refuse("model_path", "missing; a .tflite is expected");
    prototype.labels = Resolve(folder_, model.Text("labels_path"));
    prototype.output_index =
        static_cast<std::uint32_t>(extractor.Count("feature_layer_index", 0, 255).value_or(0));
    if (extractor.Flag("normalize_features").value_or(false)) {
      extractor.Refuse("normalize_features",
                       "false is expected; distance_metric cosine does what this was for");
    }
    const Part transformation = parts.Below("feature_transformation");
    if (!transformation.exists() || !transformation.Flag("enabled").value_or(true)) return;
    transformation.WantType({"StandardScalerPCA", "StandardScalerPCATransformer"});
    std::string key = "model_path";
    std::string path = transformation.Text(key);
    if (path.empty()) path = transformation.Text(key = "processor_path");
    if (path.ends_with(".safetensors")) {
      prototype.processor = Resolve(folder_, path);
    } else if (path.ends_with(".pkl") || path.ends_with(".pickle")) {
      transformation.Refuse(
          key, StrCat(path,
                      " is a pickle, which may run any program when it is read; convert it once: "
                      "python3 training/convert_prototype.py --config ",
                      path_, " --out ", base::JoinPath(folder_, "converted")));
    } else {
      transformation.Refuse(key, "a .safetensors file is expected");
    }
  }

  void Classifier(const Part& classifier) {
    if (!classifier.exists()) {
      classifier.Refuse("type", "missing; LightweightKNN is expected");
      return;
    }
    classifier.WantType({"LightweightKNN"});
    PrototypeConfig& prototype = out_.prototype;
    prototype.k = static_cast<std::uint32_t>(
        classifier.Count("k", 1, static_cast<std::int64_t>(tinylcm::classify::kNeighboursMax))
            .value_or(prototype.k));
    if (const std::string metric = classifier.Text("distance_metric"); !metric.empty()) {
      if (metric == "euclidean" || metric == "cosine" || metric == "manhattan") {
        prototype.metric = metric;
      } else {
        classifier.Refuse("distance_metric", "euclidean, cosine or manhattan is expected");
      }
    }
  }

  void Detectors(const Part& parts) {
    const Json* list = parts.Get("drift_detectors");
    if (list == nullptr) return;
    if (!list->is_array()) {
      parts.Refuse("drift_detectors", "a list is expected");
      return;
    }
    for (std::size_t i = 0; i < list->as_array().size(); ++i) {
      const std::string path = StrCat(parts.PathOf("drift_detectors"), "[", i, "]");
      const Part detector(&list->as_array()[i], path, used_, out_.problems);
      if (!detector.exists()) {
        out_.problems.emplace_back(path, "an object is expected");
        continue;
      }
      detector.WantType({"KNNDistanceMonitor"});
      PrototypeDetector made;
      made.type = detector.Text("type");
      made.delta = detector.Number("delta", 0, 1e9).value_or(0.1);
      made.lambda_threshold = detector.Number("lambda_threshold", 0, 1e9).value_or(5.0);
      // What its distances spread by; ten is what the prototype's own did.
      const double spread = detector.Number("initial_reference_std", 1e-9, 1e9).value_or(10.0);
      out_.warnings.push_back(i == 0 ? StrCat(path, ": ", RunLengthSentence(made, spread))
                                     : StrCat(path, ": ignored: one detector alarms, the first"));
      out_.prototype.detectors.push_back(made);
      Warn(list->as_array()[i], path);
    }
  }

  // What Picamera2 did: MJPEG from the Pi's own camera program.
  void Camera(const Part& camera) {
    std::int64_t width = 640, height = 480;
    if (const Json* size = camera.Get("resolution")) {
      const bool is_size = size->is_array() && size->as_array().size() == 2 &&
                           size->as_array()[0].is_int() && size->as_array()[1].is_int();
      if (is_size && size->as_array()[0].as_int() > 0 && size->as_array()[1].as_int() > 0) {
        width = size->as_array()[0].as_int();
        height = size->as_array()[1].as_int();
      } else {
        camera.Refuse("resolution", "[width, height] in pixels is expected");
      }
    }
    const double rate = camera.Number("framerate", 0.01, 1000).value_or(10);
    const std::int64_t rotation = camera.Count("rotation", 0, 359).value_or(0);
    if (rotation != 0 && rotation != 180) {
      camera.Refuse("rotation", "0 or 180 is expected: the camera's program turns no further");
    }
    out_.ours.Set(
        "source",
        Json::MakeObject({{"kind", "camera"},
                          {"command", StrCat("rpicam-vid -n -t 0 --codec mjpeg --width ", width,
                                             " --height ", height, " --framerate ", rate,
                                             rotation == 180 ? " --rotation 180" : "", " -o -")}}));
  }

  void Sync(const Part& sync) {
    if (const auto seconds = sync.Count("sync_interval_seconds", 1, 31'536'000)) {
      out_.ours.Set("sync", Json::MakeObject({{"interval", StrCat(*seconds, "s")}}));
    }
  }

  void Logger(const Part& logger) {
    Json datalog = Json::MakeObject();
    if (!logger.Flag("enabled").value_or(true)) datalog.Set("every", 0);
    if (const auto size = logger.Count("max_log_size_mb", 1, 1 << 20)) {
      datalog.Set("bytes_max", StrCat(*size, "MiB"));
    }
    if (!datalog.as_object().empty()) out_.ours.Set("datalog", std::move(datalog));
  }

  void OwnKeysWin() {
    if (out_.ours.Find("name") == nullptr) out_.ours.Set("name", "tinylcm");
    out_.ours.Set("data", Resolve(folder_, "tinylcm-data"));
    for (const auto& [name, value] : file_.as_object()) {
      if (IsTheirs(name)) continue;
      const Json* made = out_.ours.Find(name);
      // Where a source is named at all it is named whole.
      if (name != "source" && made != nullptr && made->is_object() && value.is_object()) {
        Json both = *made;
        for (const auto& [key, member] : value.as_object()) both.Set(key, member);
        out_.ours.Set(name, std::move(both));
      } else {
        out_.ours.Set(name, value);
      }
    }
  }

  static bool IsTheirs(std::string_view name) {
    return std::ranges::find(kSections, name) != kSections.end();
  }

  // Names every leaf below `path` that nothing was made of.
  void Warn(const Json& value, const std::string& path) {
    if (used_.contains(path)) return;
    if (value.is_object() && !value.as_object().empty()) {
      for (const auto& [name, member] : value.as_object()) Warn(member, StrCat(path, ".", name));
      return;
    }
    std::string_view bare = path;
    if (bare.starts_with("tinylcm.")) bare.remove_prefix(8);
    std::string_view reason = "it has no counterpart here";
    std::size_t longest = 0;
    for (const Reason& one : kReasons) {
      if (bare.starts_with(one.path) && one.path.size() > longest) {
        longest = one.path.size();
        reason = one.text;
      }
    }
    out_.warnings.push_back(StrCat(path, ": ignored: ", reason));
  }

  std::string path_;
  std::string folder_;
  const Json& file_;
  std::set<std::string> used_;
  PrototypeReading out_;
};

}  // namespace

bool IsPrototypeForm(const Json& file) {
  if (!file.is_object()) return false;
  const Json* nested = file.Find("tinylcm");
  return (nested != nullptr && nested->is_object()) ||
         std::ranges::any_of(kParts,
                             [&](std::string_view part) { return file.Find(part) != nullptr; });
}

PrototypeReading ReadPrototypeForm(const Json& file, const std::string& path) {
  return Converter(file, path).Convert();
}

}  // namespace agent
