// Stream: draws shot after shot and delivers them, at the reader's pace or, like a real camera, at
// its own.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "base/clock.h"
#include "base/result.h"
#include "tools/tinyscene/drawer.h"
#include "tools/tinyscene/platform/posix/output.h"
#include "tools/tinyscene/platform/posix/truth_file.h"
#include "tools/tinyscene/shot.h"

namespace tinyscene {

struct StreamOptions {
  Kind kind = Kind::kCamera;
  bool realtime = false;  // Does not wait for the reader; loses the oldest.
  double fps = 0;         // 0: as fast as they are read. REQUIRES: > 0 with realtime.
};

struct StreamSummary {
  std::uint64_t delivered = 0;
  std::uint64_t dropped = 0;
  bool reader_gone = false;
};

// Ends when `next` has no more, when the reader has gone (which is no error) or on a stop signal.
// `truth` may be nullptr.
base::Result<StreamSummary> RunStream(const StreamOptions& options, Drawer& drawer,
                                      const std::function<std::optional<Shot>()>& next,
                                      Output& output, TruthFile* truth, base::Clock& clock);

}  // namespace tinyscene
