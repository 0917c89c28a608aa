// Settings: what a stream is told to show now, and the control file it is told by.
//
// The control file is one JSON object, replaced as a whole (write another file, rename it over):
//   {"pool": "A", "light": 0.5, "dirt": 0.8, "blur": 0, "noise": 0, "rotation": 0, "cast": 0,
//    "unseen": 0, "stop": false}
// A sensor array knows "pool", "aged", "unseen" and "stop". It states everything: a strength that
// is not there is 0, a pool that is not there is the one of the command line. An unknown key is
// refused, for it is most likely a misspelt drift.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/result.h"
#include "tools/tinyscene/digits.h"
#include "tools/tinyscene/drifts.h"

namespace tinyscene {

struct Settings {
  Pool pool = Pool::kA;
  Drifts drifts{};
  double unseen = 0;  // Share of frames showing the class left out otherwise.
  bool stop = false;  // End the stream as if it were over.

  friend bool operator==(const Settings&, const Settings&) = default;
};

base::Result<Settings> ParseControl(std::string_view text, Kind kind, Pool default_pool);

// Checks a strength from the command line: in [0, 1].
base::Status CheckStrength(std::string_view name, double strength);

// Re-reads the control file when its content has changed. Not thread-safe.
class ControlFile {
 public:
  // REQUIRES: `fs` outlives this.
  ControlFile(base::FileSystem& fs, std::string path, Kind kind, Pool default_pool)
      : fs_(fs), path_(std::move(path)), kind_(kind), default_pool_(default_pool) {}

  // The new settings; nullopt if nothing changed. An error (unreadable, malformed) is reported once
  // for each content; the caller goes on with what it had.
  base::Result<std::optional<Settings>> Poll();

 private:
  base::FileSystem& fs_;
  std::string path_;
  Kind kind_;
  Pool default_pool_;
  std::string last_;  // The content, or the error, seen last.
};

}  // namespace tinyscene
