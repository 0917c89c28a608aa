// The LiteRT engine (platform/litert): int8 and float .tflite models on the CPU.
//
// libLiteRt.so is opened when the first model is, so that an agent for rows starts without it. It
// is looked for in $TINYLCM_LITERT (a file), beside the program in ../lib, and in the cache folder
// that tools/setup/fetch-litert.sh fills.

#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/feature/feature_model.h"
#include "tinylcm/model/bundle.h"

namespace tinylcm::model {

// A model with one uint8, int8 or float input [1, height, width, 3 or 1] (or with its channels
// first); the chosen output is given as floats (dequantised). REQUIRES: `model` outlives the
// engine, which reads its weights there.
// Errors: kUnavailable (no library; the message names the places), kCorrupt (no model or a damaged
// one), kUnsupported (another input, no such output).
base::Result<std::unique_ptr<feature::FeatureModel>> OpenLiteRt(base::ByteView model,
                                                                const EngineOptions& options);

// Where the library was or would be found; kUnavailable naming the places. For `tinylcm doctor`.
base::Result<std::string> FindLiteRt();

}  // namespace tinylcm::model
