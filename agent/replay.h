// Replay: runs a recorded stream through the very code of the agent, in file order, and says what
// would have happened: a tinylcm::Device in a folder that is thrown away. With `labels_per_event`
// an operator who answers from the label column is simulated: at each drift event it labels the
// samples the engine asks for, and only those.

#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/logger.h"
#include "base/result.h"
#include "tinylcm/adapt/mode.h"

namespace agent {

struct ReplayOptions {
  std::string bundle;  // A folder or a .tar.zst.
  std::string rows;    // Exactly one of these three.
  std::string images;
  std::string mjpeg;
  std::string label_column;
  double false_alarm_every = 1e6;
  tinylcm::adapt::Mode mode = tinylcm::adapt::Mode::kMonitoringOnly;
  std::int64_t labels_per_event = 0;  // At most 10,000.
  std::string events;                 // FILE.jsonl: each drift event, as far as it was explained.
  std::string predictions;            // FILE.csv: row,prediction,confidence,label
  std::uint64_t seed = 1;
};

// The summary that is replay's last line. kInvalidArgument for a stream of which nothing could be
// used, naming the first reason.
base::Result<base::Json> Replay(const ReplayOptions& options, base::FileSystem& fs,
                                base::Clock& clock, base::Logger& logger);

}  // namespace agent
