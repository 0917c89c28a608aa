// The configuration of the Python prototype, read as it stands:
//
//   feature_extractor       TFLiteFeatureExtractor          -> the feature model and its output
//   feature_transformation  StandardScalerPCA[Transformer]  -> a processor; a pickle is refused
//   adaptive_classifier     LightweightKNN                  -> k, metric, its labelled features
//   drift_detectors         KNNDistanceMonitor              -> kept for the drift engine
//   camera, device, ...     what has a counterpart becomes ours; the rest is named in a warning
//
// The four parts stand at the top or below "tinylcm". Paths are relative to the file's folder. Our
// own keys may stand beside them and win. docs/guides/from_the_prototype.md is the guide.

#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/config.h"
#include "base/json.h"

namespace agent {

bool IsPrototypeForm(const base::Json& file);

struct PrototypeReading {
  base::Json ours;                    // The same in our keys, for the keys' table to read.
  PrototypeConfig prototype;          // What our keys do not say.
  std::vector<std::string> warnings;  // "data_logger.log_images: ignored: ..."
  std::vector<std::pair<std::string, std::string>> problems;  // Path and reason.
};

// REQUIRES: IsPrototypeForm(file). `path` is where it was read.
PrototypeReading ReadPrototypeForm(const base::Json& file, const std::string& path);

}  // namespace agent
