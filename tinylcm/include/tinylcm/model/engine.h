// Engine: opens a model file with the runtime that knows its format.
//
//   .tflite -> LiteRT          .onnx -> ONNX Runtime
//
// Either may be missing on a device: then a model of the other format still runs, and rows need
// none.

#pragma once

#include <memory>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/feature/feature_model.h"
#include "tinylcm/model/bundle.h"

namespace tinylcm::model {

enum class ModelFormat { kTflite, kOnnx };

// By the file's name, else, without one, by the bytes' marks. kUnsupported for another name,
// kCorrupt for bytes that are neither.
base::Result<ModelFormat> ModelFormatOf(base::ByteView model, std::string_view file_name);

// REQUIRES: `model` outlives the engine. Errors: kUnavailable (the runtime is not installed; the
// message says where it was looked for and what brings it), kCorrupt (no model or a damaged one),
// kUnsupported (another format or input, no such output).
base::Result<std::unique_ptr<feature::FeatureModel>> OpenEngine(base::ByteView model,
                                                                const EngineOptions& options);

}  // namespace tinylcm::model
