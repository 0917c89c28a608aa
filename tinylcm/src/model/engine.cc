#include "tinylcm/model/engine.h"

#include <cstring>

#include "base/text.h"
#include "tinylcm/model/litert.h"
#include "tinylcm/model/onnxruntime.h"

namespace tinylcm::model {

using base::Error;
using base::ErrorCode;

base::Result<ModelFormat> ModelFormatOf(base::ByteView model, std::string_view file_name) {
  if (file_name.ends_with(".tflite")) return ModelFormat::kTflite;
  if (file_name.ends_with(".onnx")) return ModelFormat::kOnnx;
  if (!file_name.empty()) {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat(file_name, ": neither a .tflite nor an .onnx model")};
  }
  if (model.size() >= 8 && std::memcmp(model.data() + 4, "TFL3", 4) == 0) {
    return ModelFormat::kTflite;
  }
  // A protobuf has no mark; exporters write the version of the format, a small number, first.
  if (model.size() >= 8 && model[0] == 0x08 && model[1] >= 3 && model[1] < 64) {
    return ModelFormat::kOnnx;
  }
  return Error{ErrorCode::kCorrupt, "the model is neither .tflite nor .onnx"};
}

base::Result<std::unique_ptr<feature::FeatureModel>> OpenEngine(base::ByteView model,
                                                                const EngineOptions& options) {
  ASSIGN_OR_RETURN(const ModelFormat format, ModelFormatOf(model, options.file_name));
  return format == ModelFormat::kOnnx ? OpenOnnxRuntime(model, options)
                                      : OpenLiteRt(model, options);
}

}  // namespace tinylcm::model
