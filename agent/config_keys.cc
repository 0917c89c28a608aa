#include "agent/config_keys.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/text.h"
#include "tinylcm/drift/detectors/detector.h"
#include "tinylcm/drift/sample.h"

namespace agent {

using base::Json;
using base::StrCat;

namespace {

constexpr const char* kDurationPattern = "^[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)$";
constexpr const char* kBytesPattern = "^[0-9]+(\\.[0-9]+)?(B|KiB|MiB|GiB|TiB|KB|MB|GB)?$";
constexpr const char* kDurationExpected =
    "a duration such as \"250ms\", \"30s\", \"15m\" or \"1h\"";

std::string BytesText(std::uint64_t bytes) {
  for (const auto& [unit, shift] : {std::pair{"GiB", 30}, {"MiB", 20}, {"KiB", 10}}) {
    if (bytes != 0 && bytes % (1ull << shift) == 0) return StrCat(bytes >> shift, unit);
  }
  return StrCat(bytes);
}

// 1000000, not 1e+06.
Json Whole(double value) {
  const auto whole = static_cast<std::int64_t>(value);
  return static_cast<double>(whole) == value ? Json(whole) : Json(value);
}

// A key in the making: what the table below is written with.
class Key {
 public:
  Key(std::string path, std::string about) {
    key_.path = std::move(path);
    key_.about = std::move(about);
  }
  Key& Required() {
    key_.is_required = true;
    return *this;
  }
  Key& AtOnce() {
    key_.reload = Reload::kAtOnce;
    return *this;
  }

  // A text that stands in Config as it is given.
  template <typename Field>
  Key& KeepText(Field field) {
    key_.get = [field](const Config& config) {
      const std::string& text = field(const_cast<Config&>(config));
      return text.empty() ? Json() : Json(text);
    };
    key_.set = [field](Config& config, const Json& value) {
      field(config) = value.as_string();
      return std::string();
    };
    return *this;
  }

  // `field` maps a Config& to the variable.
  template <typename Field>
  Key& Text(Field field, std::size_t least = 0) {
    key_.schema = Json::MakeObject({{"type", "string"}});
    if (least > 0) key_.schema.Set("minLength", static_cast<std::int64_t>(least));
    key_.expected = least > 0 ? "a text that is not empty" : "a text";
    return KeepText(field);
  }
  template <typename Field>
  Key& Choice(Field field, std::vector<std::string> choices) {
    Enumerate(choices);
    return KeepText(field);
  }
  // A choice that is no text in Config.
  template <typename Get, typename Set>
  Key& ChoiceOf(std::vector<std::string> choices, Get get, Set set) {
    Enumerate(choices);
    key_.get = [get](const Config& config) { return Json(get(config)); };
    key_.set = [set](Config& config, const Json& value) {
      set(config, value.as_string());
      return std::string();
    };
    return *this;
  }
  template <typename Field>
  Key& Flag(Field field) {
    key_.schema = Json::MakeObject({{"type", "boolean"}});
    key_.expected = "true or false";
    key_.get = [field](const Config& config) { return Json(field(const_cast<Config&>(config))); };
    key_.set = [field](Config& config, const Json& value) {
      field(config) = value.as_bool();
      return std::string();
    };
    return *this;
  }
  template <typename Field>
  Key& Count(Field field, std::int64_t min, std::int64_t max = INT64_MAX) {
    key_.schema = Json::MakeObject({{"type", "integer"}, {"minimum", min}});
    if (max != INT64_MAX) key_.schema.Set("maximum", max);
    key_.expected = max == INT64_MAX ? StrCat("a whole number, ", min, " or more")
                                     : StrCat("a whole number from ", min, " to ", max);
    key_.get = [field](const Config& config) { return Json(field(const_cast<Config&>(config))); };
    key_.set = [field](Config& config, const Json& value) {
      auto& variable = field(config);
      variable = static_cast<std::decay_t<decltype(variable)>>(value.as_int());
      return std::string();
    };
    return *this;
  }
  template <typename Field>  // Of a double or an optional one.
  Key& Number(Field field, double min, double max) {
    key_.schema = Json::MakeObject({{"type", "number"}, {"minimum", min}, {"maximum", max}});
    key_.expected = StrCat("a number from ", min, " to ", max);
    key_.get = [field](const Config& config) { return Json(field(const_cast<Config&>(config))); };
    key_.set = [field](Config& config, const Json& value) {
      field(config) = value.as_double();
      return std::string();
    };
    return *this;
  }
  template <typename Field>
  Key& Duration(Field field) {
    key_.schema = Json::MakeObject({{"type", "string"}, {"pattern", kDurationPattern}});
    key_.expected = kDurationExpected;
    key_.get = [field](const Config& config) {
      return Json(base::FormatDuration(field(const_cast<Config&>(config))));
    };
    key_.set = [field](Config& config, const Json& value) {
      const auto parsed = base::ParseDuration(value.as_string());
      if (!parsed.ok()) return parsed.error().message;
      field(config) = *parsed;
      return std::string();
    };
    return *this;
  }
  template <typename Field>
  Key& Bytes(Field field) {
    key_.schema = Json::MakeObject(
        {{"anyOf",
          Json(Json::Array{Json::MakeObject({{"type", "integer"}, {"minimum", 0}}),
                           Json::MakeObject({{"type", "string"}, {"pattern", kBytesPattern}})})}});
    key_.expected = "a number of bytes or a size such as \"64MiB\"";
    key_.get = [field](const Config& config) {
      return Json(BytesText(field(const_cast<Config&>(config))));
    };
    key_.set = [field](Config& config, const Json& value) {
      if (value.is_int()) {
        field(config) = static_cast<std::uint64_t>(value.as_int());
        return std::string();
      }
      const auto parsed = base::ParseByteCount(value.as_string());
      if (!parsed.ok()) return parsed.error().message;
      field(config) = *parsed;
      return std::string();
    };
    return *this;
  }

  ConfigKey key_;

 private:
  void Enumerate(const std::vector<std::string>& choices) {
    Json names = Json::MakeArray();
    for (const std::string& choice : choices) names.Append(choice);
    key_.schema = Json::MakeObject({{"enum", std::move(names)}});
    for (std::size_t i = 0; i < choices.size(); ++i) {
      key_.expected += StrCat(i == 0 ? "" : i + 1 == choices.size() ? " or " : ", ", choices[i]);
    }
  }
};

// A duration or a number of samples: the keys with two readings.
ConfigKey SamplesOrDuration(const char* path, const char* description, int least,
                            double Config::* samples,
                            std::optional<base::Duration> Config::* duration) {
  Key key(path, description);
  ConfigKey& made = key.key_;
  made.schema = Json::MakeObject(
      {{"anyOf",
        Json(Json::Array{Json::MakeObject({{"type", "number"}, {"minimum", least}}),
                         Json::MakeObject({{"type", "string"}, {"pattern", kDurationPattern}})})}});
  made.expected = StrCat("a number of samples, ", least, " or more, or a duration such as \"30d\"");
  made.get = [samples, duration](const Config& config) {
    return config.*duration ? Json(base::FormatDuration(*(config.*duration)))
                            : Whole(config.*samples);
  };
  made.set = [samples, duration](Config& config, const Json& value) {
    if (value.is_number()) {
      config.*samples = value.as_double();
      return std::string();
    }
    const auto parsed = base::ParseDuration(value.as_string());
    if (!parsed.ok()) return parsed.error().message;
    config.*duration = *parsed;
    return std::string();
  };
  return made;
}

ConfigKey Masks() {
  Key key("datalog.images.masks",
          "Parts of the picture that are made black before it is kept or sent, in shares of its "
          "width and height.");
  ConfigKey& made = key.key_;
  const Json share = Json::MakeObject({{"type", "number"}, {"minimum", 0}, {"maximum", 1}});
  made.schema = Json::MakeObject(
      {{"type", "array"},
       {"maxItems", 32},
       {"items",
        Json::MakeObject(
            {{"type", "object"},
             {"properties",
              Json::MakeObject({{"x", share}, {"y", share}, {"width", share}, {"height", share}})},
             {"required", Json(Json::Array{"x", "y", "width", "height"})},
             {"additionalProperties", false}})}});
  made.expected = "a list of {\"x\", \"y\", \"width\", \"height\"}, each from 0 to 1";
  made.get = [](const Config& config) {
    Json list = Json::MakeArray();
    for (const MaskConfig& mask : config.datalog_images.masks) {
      list.Append(Json::MakeObject(
          {{"x", mask.x}, {"y", mask.y}, {"width", mask.width}, {"height", mask.height}}));
    }
    return list;
  };
  made.set = [](Config& config, const Json& value) {
    config.datalog_images.masks.clear();
    for (const Json& one : value.as_array()) {
      config.datalog_images.masks.push_back({one.Find("x")->as_double(), one.Find("y")->as_double(),
                                             one.Find("width")->as_double(),
                                             one.Find("height")->as_double()});
    }
    return std::string();
  };
  return made;
}

ConfigKey Detector() {
  Key key("drift.detector",
          "One detector that alarms instead of the evidence of all signals, on one signal: "
          "docs/guides/detectors.md. Its limit follows from run_length, or else from "
          "drift.false_alarm_every, unless an option sets it.");
  ConfigKey& made = key.key_;
  Json names = Json::MakeArray();
  for (const std::string_view name : tinylcm::drift::DetectorNames()) {
    names.Append(std::string(name));
  }
  Json signals = Json::MakeArray();
  for (std::size_t i = 0; i < tinylcm::drift::kSignals; ++i) {
    signals.Append(tinylcm::drift::Name(static_cast<tinylcm::drift::Signal>(i)));
  }
  const Json one = Json::MakeObject(
      {{"type", "object"},
       {"properties",
        Json::MakeObject(
            {{"name", Json::MakeObject({{"enum", std::move(names)}})},
             {"signal", Json::MakeObject({{"enum", std::move(signals)}})},
             {"options", Json::MakeObject({{"type", "object"}})},
             {"run_length", Json::MakeObject({{"type", "number"}, {"minimum", 10}})}})},
       {"required", Json(Json::Array{"name"})},
       {"additionalProperties", false}});
  made.schema = Json::MakeObject({{"anyOf", Json(Json::Array{one})}});
  made.expected =
      "{\"name\", \"signal\", \"options\": {}, \"run_length\"}, the name of a detector and of a "
      "signal";
  made.get = [](const Config& config) {
    if (!config.detector) return Json();
    Json options = Json::MakeObject();
    for (const auto& [name, text] : config.detector->options) options.Set(name, text);
    Json value = Json::MakeObject({{"name", config.detector->name},
                                   {"signal", config.detector->signal},
                                   {"options", std::move(options)}});
    if (config.detector->run_length > 0.0) {
      value.Set("run_length", Whole(config.detector->run_length));
    }
    return value;
  };
  made.set = [](Config& config, const Json& value) -> std::string {
    DetectorConfig detector;
    detector.name = value.Find("name")->as_string();
    if (const Json* signal = value.Find("signal")) detector.signal = signal->as_string();
    if (const Json* run_length = value.Find("run_length")) {
      detector.run_length = run_length->as_double();
    }
    if (const Json* options = value.Find("options")) {
      for (const auto& [name, option] : options->as_object()) {
        if (option.is_object() || option.is_array() || option.is_null()) {
          return StrCat("options.", name, ": a number, a text or a truth value is expected");
        }
        detector.options.emplace_back(name,
                                      option.is_string() ? option.as_string() : option.Write());
      }
    }
    config.detector = std::move(detector);  // Checked once its run length is known.
    return {};
  };
  return made;
}

std::vector<ConfigKey> MakeKeys() {
  std::vector<ConfigKey> keys;
  const auto add = [&](const Key& key) { keys.push_back(key.key_); };
#define FIELD(member) [](Config& c) -> auto& { return c.member; }
  add(Key("name", "What people call the device.").Text(FIELD(name), 1).Required());
  add(Key("data", "Folder for keys, queue, slots, state and logs.")
          .Text(FIELD(data), 1)
          .Required());
  add(Key("bundle",
          "The bundle the device comes with, an archive or a folder; it becomes the "
          "golden slot.")
          .Text(FIELD(bundle), 1)
          .Required());
  add(Key("model_family",
          "Bundles of another family are refused; without it the first one's holds.")
          .Text(FIELD(model_family)));
  add(Key("device_class", "Bundles that name other classes only are refused.")
          .Text(FIELD(device_class)));
  add(Key("threads", "Threads of the inference engine; 0: as the bundle says.")
          .Count(FIELD(threads), 0, 64));

  add(Key("source.kind",
          "camera: pictures from a pipe; rows: CSV with a header; jsonl: rows as "
          "JSON; images: a folder.")
          .Choice(FIELD(source.kind), {"camera", "rows", "jsonl", "images"}));
  add(Key("source.command",
          "A program whose output is read, started again when it ends or stalls; "
          "or source.path.")
          .Text(FIELD(source.command)));
  add(Key("source.path", "A file, a folder of images, a FIFO, or - for stdin; or source.command.")
          .Text(FIELD(source.path)));
  add(Key("source.format",
          "How a camera's pipe gives its pictures: mjpeg, or raw, with "
          "source.width and source.height.")
          .Choice(FIELD(source.format), {"mjpeg", "rgb24", "bgr24", "gray8", "yuv420"}));
  add(Key("source.width", "Width of raw pictures, in pixels.")
          .Count(FIELD(source.width), 0, 16384));
  add(Key("source.height", "Height of raw pictures, in pixels.")
          .Count(FIELD(source.height), 0, 16384));
  add(Key("source.stall_timeout",
          "A camera's command that gave nothing for so long is started again; 0s: never.")
          .Duration(FIELD(source.stall_timeout)));
  add(Key("source.watch", "Whether a folder of images is watched for further ones.")
          .Flag(FIELD(source.watch)));
  add(Key("source.frame_counter", "barcode: read the number a test camera draws into its frames.")
          .ChoiceOf(
              {"none", "barcode"},
              [](const Config& c) { return c.source.barcode ? "barcode" : "none"; },
              [](Config& c, const std::string& name) { c.source.barcode = name == "barcode"; }));
  add(Key("source.frame_column", "The column of rows that holds the sender's own count.")
          .Text(FIELD(source.frame_column)));
  add(Key("source.label_column", "The column of rows that holds the truth, where it is known.")
          .Text(FIELD(source.label_column)));

  add(Key("mode",
          "autonomous: a corrected input is served before labels come, and what labels choose, "
          "both on trial; server_assisted: each change waits for a person's approval; "
          "monitoring_only: nothing is ever changed. The server may ask for another mode.")
          .ChoiceOf(
              {"autonomous", "server_assisted", "monitoring_only"},
              [](const Config& c) { return tinylcm::adapt::Name(c.mode); },
              [](Config& c, const std::string& name) {
                c.mode = tinylcm::adapt::ParseMode(name).value();
              })
          .AtOnce());

  keys.push_back(SamplesOrDuration("drift.false_alarm_every",
                                   "Samples between false alarms, on average; or a duration, "
                                   "beside drift.samples_per_second.",
                                   100, &Config::false_alarm_every, &Config::false_alarm_duration));
  keys.push_back(SamplesOrDuration("drift.commission",
                                   "Samples, or a duration, that teach what is usual here before "
                                   "anything is watched; at least one drift.cycle.",
                                   100, &Config::commission, &Config::commission_duration));
  add(Key("drift.cycle",
          "What is usual repeats after so long, such as 1d where it gets dark; then a night is "
          "compared with nights. 0s: it does not.")
          .Duration(FIELD(cycle)));
  add(Key("drift.hold_back",
          "The last samples, which are not learned from until so many more came without an alarm.")
          .Count(FIELD(hold_back), 0, 1024));
  keys.push_back(Detector());
  add(Key("drift.samples_per_second",
          "How many samples come in a second; needed where drift.false_alarm_every or "
          "drift.commission is a duration.")
          .Number(FIELD(samples_per_second), 1e-6, 1e6));

  add(Key("quarantine.samples", "Samples kept after an alarm.")
          .Count(FIELD(quarantine_samples), 50, 2000));
  add(Key("quarantine.labels_per_event", "Samples a person is asked to label.")
          .Count(FIELD(labels_per_event), 0, 200));

  add(Key("adapt.patience",
          "Samples for which labels that were asked for are waited for; then answers of little "
          "confidence are held back until somebody labels. 0: for ever.")
          .Count(FIELD(patience), 0));
  add(Key("adapt.pseudo_labels",
          "Whether what the model says itself of new samples may be remembered as if a person had "
          "said it: of whole clusters, until labels come; in mode autonomous only. At your own "
          "risk.")
          .Flag(FIELD(pseudo_labels)));

  add(Key("sync.server", "https://host:port; without it that of the enrolment.")
          .Text(FIELD(sync.server)));
  add(Key("sync.interval", "Packages are made and sent that often.")
          .Duration(FIELD(sync.interval))
          .AtOnce());
  add(Key("sync.samples", "Also every so many inferences; 0: by time only.")
          .Count(FIELD(sync.samples), 0)
          .AtOnce());
  add(Key("sync.on_drift", "Also when something has changed.").Flag(FIELD(sync.on_drift)).AtOnce());
  add(Key("sync.poll", "How often the desired state is asked for when there is nothing to send.")
          .Duration(FIELD(sync.poll))
          .AtOnce());
  add(Key("sync.backoff_min", "The least pause after a failed try.")
          .Duration(FIELD(sync.backoff_min)));
  add(Key("sync.backoff_max", "The longest pause after a failed try.")
          .Duration(FIELD(sync.backoff_max)));
  add(Key("sync.format", "How packages are packed.")
          .ChoiceOf(
              {"tar.gz", "zip", "tar", "tar.zst"},
              [](const Config& c) { return protocol::Name(c.sync.format); },
              [](Config& c, const std::string& name) {
                c.sync.format = protocol::ParseArchiveFormat(name).value();
              }));
  add(Key("sync.quota",
          "What the queue may take on disk; beyond it the least important packages go "
          "first, counted.")
          .Bytes(FIELD(sync.quota_bytes)));
  add(Key("sync.insecure_http", "Plain HTTP to anything but loopback.")
          .Flag(FIELD(sync.insecure_http)));

  add(Key("datalog.every", "Log one prediction in so many; 0: none.")
          .Count(FIELD(datalog_every), 0, UINT32_MAX)
          .AtOnce());
  add(Key("datalog.bytes_max", "The log's budget on disk; the oldest files go first.")
          .Bytes(FIELD(datalog_bytes)));
  add(Key("datalog.format", "How the log is written; tinylcm log cat reads all three.")
          .Choice(FIELD(datalog_format), {"jsonl", "csv", "binary"}));
  add(Key("datalog.images.every", "Keep the picture of one frame in so many; 0: none.")
          .Count(FIELD(datalog_images.every), 0, UINT32_MAX));
  add(Key("datalog.images.on_drift", "Keep so many pictures after each alarm.")
          .Count(FIELD(datalog_images.on_drift), 0, 10'000));
  add(Key("datalog.images.below_confidence", "Keep the picture of an answer less sure than this.")
          .Number(FIELD(datalog_images.below_confidence), 0, 1));
  add(Key("datalog.images.per_day",
          "At most so many pictures a day, of all reasons together; counted since the start.")
          .Count(FIELD(datalog_images.per_day), 0, 1'000'000));
  add(Key("datalog.images.bytes_per_day",
          "At most so many bytes of pictures a day; counted since the start.")
          .Bytes(FIELD(datalog_images.bytes_per_day)));
  add(Key("datalog.images.quality", "JPEG quality of kept pictures.")
          .Count(FIELD(datalog_images.quality), 1, 100));
  keys.push_back(Masks());

  add(Key("location.latitude", "Where the device stands: degrees north, WGS 84.")
          .Number(FIELD(location.latitude), -90, 90));
  add(Key("location.longitude", "Degrees east.").Number(FIELD(location.longitude), -180, 180));
  add(Key("location.accuracy_m", "How far off that may be, in metres.")
          .Number(FIELD(location.accuracy_m), 0, 1e7));
  add(Key("location.gpsd",
          "address:port (or localhost:port) of a gpsd that knows, instead of a fixed place.")
          .Text(FIELD(location.gpsd)));

  add(Key("metrics.socket", "Path of a Unix socket that answers with Prometheus text.")
          .Text(FIELD(metrics.socket)));
  add(Key("metrics.csv", "CSV file that a line of figures is added to every minute.")
          .Text(FIELD(metrics.csv)));
  add(Key("metrics.json", "JSON file that holds the newest figures.").Text(FIELD(metrics.json)));

  add(Key("consent.images", "Whether pictures may leave the device.").Flag(FIELD(consent_images)));
  add(Key("seed", "Of everything random.").Count(FIELD(seed), 0));
#undef FIELD
  return keys;
}

// Damerau's distance: letters added, lost, changed, or two swapped.
std::size_t Distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      next[j] =
          std::min({row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        next[j] = std::min(next[j], before[j - 2] + 1);
      }
    }
    std::swap(before, row);
    std::swap(row, next);
  }
  return row[b.size()];
}

std::string_view LastPart(std::string_view path) { return path.substr(path.rfind('.') + 1); }

bool HasType(const Json& value, const std::string& type) {
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "integer") return value.is_int();
  if (type == "number") return value.is_number();
  if (type == "array") return value.is_array();
  return value.is_object();
}

bool FitsMembers(const Json& value, const Json& schema) {
  const Json* properties = schema.Find("properties");
  if (properties == nullptr) return true;
  for (const auto& [name, member] : value.as_object()) {
    const Json* wanted = properties->Find(name);
    if (wanted == nullptr || !Fits(member, *wanted)) return false;
  }
  const Json* required = schema.Find("required");
  return required == nullptr || std::ranges::all_of(required->as_array(), [&](const Json& name) {
           return value.Find(name.as_string()) != nullptr;
         });
}

}  // namespace

bool Fits(const Json& value, const Json& schema) {
  if (const Json* choices = schema.Find("anyOf")) {
    return std::ranges::any_of(choices->as_array(),
                               [&](const Json& one) { return Fits(value, one); });
  }
  if (const Json* choices = schema.Find("enum")) {
    return std::ranges::find(choices->as_array(), value) != choices->as_array().end();
  }
  if (const Json* type = schema.Find("type");
      type != nullptr && !HasType(value, type->as_string())) {
    return false;
  }
  if (value.is_number()) {
    const Json* least = schema.Find("minimum");
    const Json* most = schema.Find("maximum");
    return (least == nullptr || value.as_double() >= least->as_double()) &&
           (most == nullptr || value.as_double() <= most->as_double());
  }
  if (value.is_string()) {
    const Json* least = schema.Find("minLength");
    return least == nullptr ||
           value.as_string().size() >= static_cast<std::size_t>(least->as_int());
  }
  if (value.is_array()) {
    const Json* most = schema.Find("maxItems");
    const Json* items = schema.Find("items");
    return (most == nullptr ||
            value.as_array().size() <= static_cast<std::size_t>(most->as_int())) &&
           (items == nullptr || std::ranges::all_of(value.as_array(), [&](const Json& one) {
              return Fits(one, *items);
            }));
  }
  return !value.is_object() || FitsMembers(value, schema);
}

const std::vector<ConfigKey>& ConfigKeys() {
  static const std::vector<ConfigKey> keys = MakeKeys();
  return keys;
}

const std::vector<ConfigSection>& ConfigSections() {
  static const std::vector<ConfigSection> sections = {
      {"source", "Where samples come from."},
      {"drift", "How easily an alarm is raised."},
      {"quarantine", "What is kept after an alarm, for a person's look."},
      {"adapt", "What is done about a change."},
      {"sync", "When and how packages go to the server."},
      {"datalog", "The log of predictions on the device's disk."},
      {"datalog.images", "Which pictures the log keeps beside the lines."},
      {"location", "Where the device stands; never looked up outside, never guessed."},
      {"metrics", "Figures for others on this machine; all off unless named."},
      {"consent", "What may leave the device."},
  };
  return sections;
}

const ConfigKey* FindKey(std::string_view path) {
  const auto found = std::ranges::find(ConfigKeys(), path, &ConfigKey::path);
  return found == ConfigKeys().end() ? nullptr : &*found;
}

std::string NearestKey(std::string_view path) {
  std::vector<std::string_view> names;
  for (const ConfigSection& section : ConfigSections()) names.push_back(section.path);
  for (const ConfigKey& key : ConfigKeys()) names.push_back(key.path);
  std::string_view nearest;
  std::size_t least = std::max<std::size_t>(2, LastPart(path).size() / 3) + 1;
  for (const std::string_view name : names) {
    const std::size_t distance = Distance(path, name);
    if (distance < least) {
      least = distance;
      nearest = name;
    }
  }
  // The right word in the wrong section.
  if (nearest.empty()) {
    for (const std::string_view name : names) {
      if (LastPart(name) == LastPart(path)) return std::string(name);
    }
  }
  return std::string(nearest);
}

Json ConfigSchema() {
  const auto object = [](const std::string& about) {
    return Json::MakeObject({{"description", about},
                             {"type", "object"},
                             {"properties", Json::MakeObject()},
                             {"additionalProperties", false}});
  };
  Json schema = Json::MakeObject(
      {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
       {"$id", "https://tinymlops.invalid/formats/config.schema.json"},
       {"title", "Configuration of the tinylcm agent"},
       {"description",
        "One JSON file, given with --config. A text of a duration has a unit: 250ms, 30s, 15m, 1h, "
        "30d; a size too: 64MiB. A null counts as not given. The file of the Python prototype is "
        "read "
        "too, see docs/guides/from_the_prototype.md."},
       {"type", "object"},
       {"properties", Json::MakeObject()},
       {"required", Json::MakeArray()},
       {"additionalProperties", false}});
  // Where a section's or a key's description goes: into its parent's properties.
  const auto properties = [&](std::string_view path) -> Json& {
    Json* at = &schema;
    for (std::size_t from = 0, dot; (dot = path.find('.', from)) != path.npos; from = dot + 1) {
      for (auto& [name, value] : at->as_object()) {
        if (name != "properties") continue;
        for (auto& [child, child_schema] : value.as_object()) {
          if (child == path.substr(from, dot - from)) {
            at = &child_schema;
            break;
          }
        }
        break;
      }
    }
    for (auto& [name, value] : at->as_object()) {
      if (name == "properties") return value;
    }
    return *at;
  };
  const Config defaults;
  Json required = Json::MakeArray();
  std::set<std::string> made;
  for (const ConfigKey& key : ConfigKeys()) {
    for (const ConfigSection& section : ConfigSections()) {
      if (key.path.starts_with(section.path + ".") && made.insert(section.path).second) {
        properties(section.path).Set(std::string(LastPart(section.path)), object(section.about));
      }
    }
    Json entry = Json::MakeObject({{"description", key.about}});
    for (const auto& [name, value] : key.schema.as_object()) entry.Set(name, value);
    if (Json value = key.get(defaults); !value.is_null()) entry.Set("default", std::move(value));
    entry.Set("x-reload", key.reload == Reload::kAtOnce ? "at once" : "restart");
    properties(key.path).Set(std::string(LastPart(key.path)), std::move(entry));
    if (key.is_required) required.Append(key.path);
  }
  required.Append("source");
  schema.Set("required", std::move(required));
  return schema;
}

std::string ConfigTable() {
  std::string table = "| key | default | meaning | reload |\n|---|---|---|---|\n";
  const Config defaults;
  for (const ConfigKey& key : ConfigKeys()) {
    const Json value = key.get(defaults);
    const std::string shown = key.is_required   ? "required"
                              : value.is_null() ? "none"
                                                : StrCat("`", value.Write(), "`");
    table += StrCat("| `", key.path, "` | ", shown, " | ", key.about, " | ",
                    key.reload == Reload::kAtOnce ? "at once" : "restart", " |\n");
  }
  return table;
}

std::vector<const ConfigKey*> Differences(const Config& a, const Config& b) {
  std::vector<const ConfigKey*> different;
  for (const ConfigKey& key : ConfigKeys()) {
    if (key.get(a) != key.get(b)) different.push_back(&key);
  }
  return different;
}

}  // namespace agent
