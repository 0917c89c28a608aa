// Config: an agent's file, as a person writes it. JSON; every key is in
// docs/guides/configuration.md.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/archive.h"
#include "tinylcm/adapt/adapter.h"

namespace agent {

struct SourceConfig {
  std::string kind = "camera";  // camera, rows, jsonl, images
  std::string command;          // Exactly one of command and path; path "-" is stdin.
  std::string path;
  bool barcode = false;  // frame_counter: "barcode"
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

struct Config {
  std::string name;    // A person's name for the device.
  std::string data;    // Folder: keys, queue, slots, state, logs.
  std::string bundle;  // The bundle the device comes with: an archive or a folder.
  std::string model_family;
  std::string device_class;
  SourceConfig source;
  tinylcm::adapt::Mode mode = tinylcm::adapt::Mode::kAutonomous;
  double false_alarm_every = 1e6;  // Samples; written as a duration with samples_per_second too.
  std::uint32_t quarantine_samples = 300;
  std::uint32_t labels_per_event = 24;
  SyncConfig sync;
  std::uint32_t datalog_every = 1;  // Log one prediction in so many; 0: none.
  std::uint64_t datalog_bytes = 64ull << 20;
  bool consent_images = false;
  std::uint64_t seed = 1;
  std::string sha256;  // Of the file.
};

// kInvalidArgument names the file and the field; an unknown key is an error, for it is a misspelt
// one.
base::Result<Config> ReadConfig(base::FileSystem& fs, const std::string& path);
base::Result<Config> ParseConfig(std::string_view text, const std::string& name);

}  // namespace agent
