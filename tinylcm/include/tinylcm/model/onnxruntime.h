// The ONNX Runtime engine (platform/onnxruntime): .onnx models on the CPU. An optional component.
//
// libonnxruntime.so is opened when the first such model is. It is looked for in
// $TINYLCM_ONNXRUNTIME (a file), beside the program in ../lib, and in the cache folder that
// tools/setup/fetch-onnxruntime.sh fills.

#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/feature/feature_model.h"
#include "tinylcm/model/bundle.h"

namespace tinylcm::model {

// A model with one uint8, int8 or float input [1, 3 or 1, height, width] (or with its channels
// last). ONNX has no quantisation of a tensor: an integer output is given as it is stored, an
// integer input takes the scale "uint8" only. `model` is copied.
// Errors as OpenLiteRt.
base::Result<std::unique_ptr<feature::FeatureModel>> OpenOnnxRuntime(base::ByteView model,
                                                                     const EngineOptions& options);

// Where the library was or would be found; kUnavailable naming the places. For `tinylcm doctor`.
base::Result<std::string> FindOnnxRuntime();

}  // namespace tinylcm::model
