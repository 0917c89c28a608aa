// ModelFiles: the small files that make a model file one that mlflow.pyfunc.load_model loads.
//
//   MLmodel               flavours tflite or onnx, and python_function; the signature
//   requirements.txt, python_env.yaml, conda.yaml
//   code/tinysphere_model.py   our loader: an array in, an array out, by LiteRT or ONNX Runtime
//
// A bundle without a model file (rows) gets an MLmodel with the flavour tinylcm_bundle alone, which
// people see and nothing loads.
//
// Source: mlflow.org/docs/latest/model (storage format); what was loaded by 3.17.2 in the tests.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tinysphere/platform/mlflow/signature.h"

namespace tinysphere::mlflow {

inline constexpr std::string_view kLiteRtRequirement = "ai-edge-litert==2.1.6";
inline constexpr std::string_view kOnnxRuntimeRequirement = "onnxruntime==1.31.1";

struct ModelFacts {
  std::string bundle;
  std::string name;
  std::string version;
  std::string model_family;
  std::vector<std::string> labels;
  std::string archive_path;  // Of the bundle, among the artifacts.
  std::uint64_t archive_bytes = 0;
  // Of the model file; "" where the bundle has none.
  std::string model_path;  // "model.tflite", "model.onnx": where it lies among the artifacts.
  std::string model_sha256;
  Signature signature;
  // Of MLflow.
  std::string artifact_uri;
  std::string run_id;
  std::string model_id;
  std::string mlflow_version;
  base::Time created_at{};
};

struct TextFile {
  std::string path;
  std::string text;
};

std::vector<TextFile> MakeModelFiles(const ModelFacts& facts);

// The signature's half as MLflow writes it: '[{"type": "tensor", ...}]'. A batch is any number:
// the loader runs one after the other where the model itself takes one.
std::string TensorsJson(const std::vector<TensorSpec>& tensors);

}  // namespace tinysphere::mlflow
