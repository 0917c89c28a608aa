// Config: an agent's file, as a person writes it. JSON.
//
//   text --keys' table--> Config + problems, each "agent.json:7: sync.intervall: no such key; did
//                         you mean sync.interval?"
//
// Every key is one entry of the table in config_keys.cc; the JSON Schema
// (docs/formats/config.schema.json) is written from the same table. docs/guides/configuration.md is
// the guide. The prototype's form of the file is read as well, see prototype_config.h.

#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/archive.h"
#include "tinylcm/adapt/mode.h"

namespace agent {

struct SourceConfig {
  std::string kind = "camera";  // camera, rows, jsonl, images
  std::string command;          // Exactly one of command and path; path "-" is stdin.
  std::string path;
  std::string format = "mjpeg";  // Of a camera's pipe; raw formats need width and height.
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  base::Duration stall_timeout{10'000};  // A camera that is silent so long is started again.
  bool watch = false;                    // images: wait for further files.
  bool barcode = false;                  // frame_counter: "barcode"
  std::string frame_column = "seq";
  std::string label_column;
};

struct SyncConfig {
  std::string server;  // "https://host:port"; empty: never syncs.
  base::Duration interval{3'600'000};
  std::uint64_t samples = 0;  // Also every so many inferences; 0: by time only.
  bool on_drift = true;       // Also when something has changed.
  base::Duration poll{60'000};
  base::Duration backoff_min{5'000};
  base::Duration backoff_max{3'600'000};
  protocol::ArchiveFormat format = protocol::ArchiveFormat::kTarGz;
  std::uint64_t quota_bytes = 256ull << 20;
  bool insecure_http = false;  // Plain HTTP beyond loopback.
};

// A part of a picture that is made black before it is kept or sent; in shares of its sides.
struct MaskConfig {
  double x = 0.0;
  double y = 0.0;
  double width = 0.0;
  double height = 0.0;
  friend bool operator==(const MaskConfig&, const MaskConfig&) = default;
};

// Which frames' pictures the log keeps, beside the line.
struct LogImagesConfig {
  std::uint32_t every = 0;        // One frame in so many; 0: none by count.
  std::uint32_t on_drift = 0;     // So many after each alarm.
  double below_confidence = 0.0;  // Answers less sure than this; 0: none.
  std::uint32_t per_day = 200;    // At most, of all reasons together.
  std::uint64_t bytes_per_day = 16ull << 20;
  std::uint32_t quality = 85;  // JPEG.
  std::vector<MaskConfig> masks;
};

struct LocationConfig {
  std::optional<double> latitude;  // Degrees, WGS 84.
  std::optional<double> longitude;
  std::optional<double> accuracy_m;
  std::string gpsd;  // "host:port"; instead of the above.
};

struct MetricsConfig {
  std::string socket;  // Unix socket that answers with Prometheus text; empty: none.
  std::string csv;     // File a line is added to at every interval; empty: none.
  std::string json;
};

// A detector as the prototype's file names it.
struct PrototypeDetector {
  std::string type;
  double delta = 0.0;
  double lambda_threshold = 0.0;
  bool operator==(const PrototypeDetector&) const = default;
};

// One detector of the zoo instead of the evidence of all signals; alarm_rule.h makes a rule of it.
struct DetectorConfig {
  std::string name;
  std::string signal = "anchor_distance";
  std::vector<std::pair<std::string, std::string>> options;  // As typed for `tinylcm detect`.
  double run_length = 0.0;  // Samples; 0: drift.false_alarm_every, or a limit among the options.
  bool operator==(const DetectorConfig&) const = default;
};

// What only the prototype's form says; see prototype_config.h.
struct PrototypeConfig {
  std::string model;  // .tflite or .onnx
  std::uint32_t output_index = 0;
  std::string processor;  // .safetensors; empty: none.
  std::string labels;     // A label a line; empty: the folders' names.
  std::uint32_t k = 5;
  std::string metric = "euclidean";
  std::vector<PrototypeDetector> detectors;
  bool operator==(const PrototypeConfig&) const = default;
};

struct Config {
  std::string name;    // A person's name for the device.
  std::string data;    // Folder: keys, queue, slots, state, logs.
  std::string bundle;  // The bundle the device comes with: an archive or a folder.
  std::string model_family;
  std::string device_class;
  std::uint32_t threads = 0;  // Of the engine; 0: as the bundle says.
  SourceConfig source;
  tinylcm::adapt::Mode mode = tinylcm::adapt::Mode::kAutonomous;
  // Samples between false alarms; as a duration it is turned into samples by the rate.
  double false_alarm_every = 1e6;
  std::optional<base::Duration> false_alarm_duration;
  double commission = 300;  // Samples that only teach; likewise.
  std::optional<base::Duration> commission_duration;
  base::Duration cycle{0};  // What is usual repeats after so long; 0: it does not.
  std::uint32_t hold_back = 64;
  std::optional<DetectorConfig> detector;
  std::optional<double> samples_per_second;
  std::uint32_t quarantine_samples = 300;
  std::uint32_t labels_per_event = 24;
  std::uint64_t patience = 0;  // Samples without labels until it escalates; 0: never.
  bool pseudo_labels = false;
  SyncConfig sync;
  std::uint32_t datalog_every = 1;  // Log one prediction in so many; 0: none.
  std::uint64_t datalog_bytes = 64ull << 20;
  std::string datalog_format = "jsonl";  // jsonl, csv, binary
  LogImagesConfig datalog_images;
  LocationConfig location;
  MetricsConfig metrics;
  bool consent_images = false;
  std::uint64_t seed = 1;

  std::optional<PrototypeConfig> prototype;  // The file has the prototype's form.
  std::vector<std::string> warnings;         // What was read and has no effect, and why.
  std::set<std::string> given;               // Keys the file holds; the others are defaults.
  std::string sha256;                        // Of the file.
};

// What a file says, and everything that is wrong with it. `config` is of use only if nothing is.
struct CheckedConfig {
  Config config;
  std::vector<std::string> problems;
};
CheckedConfig CheckConfig(std::string_view text, const std::string& name);

// kInvalidArgument with the first problem, which names file, line and key; an unknown key is a
// problem, for it is a misspelt one.
base::Result<Config> ReadConfig(base::FileSystem& fs, const std::string& path);

// For what looks at a device's data: kNotFound where its folder is not there, for a mistyped one
// would look like a device that has nothing to say.
base::Result<Config> ReadConfigOfDevice(base::FileSystem& fs, const std::string& path);
base::Result<Config> ParseConfig(std::string_view text, const std::string& name);

// Every key with its value, as the file could be written: {"sync": {"interval": "1h", ...}, ...}.
base::Json Effective(const Config& config);

}  // namespace agent
