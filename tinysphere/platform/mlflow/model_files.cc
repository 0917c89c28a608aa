#include "tinysphere/platform/mlflow/model_files.h"

#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "tinysphere/platform/mlflow/loader.h"

namespace tinysphere::mlflow {

using base::Json;

namespace {

constexpr std::string_view kPython = "3.11.2";

// A JSON string is a YAML scalar too (YAML 1.2, 7.3.1), whatever stands in it.
std::string Quoted(std::string_view text) { return Json(text).Write(); }

std::string ListOf(const std::vector<std::string>& texts) {
  Json::Array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return Json(std::move(array)).Write();
}

// "2026-11-20T19:31:47.000Z" -> "2026-11-20 19:31:47.000000"
std::string PythonTime(base::Time time) {
  std::string text = base::FormatTime(time);
  text[10] = ' ';
  text.back() = '0';
  return text + "00";
}

}  // namespace

std::string TensorsJson(const std::vector<TensorSpec>& tensors) {
  Json::Array array;
  for (const TensorSpec& tensor : tensors) {
    Json::Array shape;
    for (std::size_t i = 0; i < tensor.shape.size(); ++i) {
      const bool is_batch = i == 0 && (tensor.shape[0] == 1 || tensor.shape[0] == -1);
      shape.emplace_back(is_batch ? std::int64_t{-1} : tensor.shape[i]);
    }
    Json json = Json::MakeObject({{"type", "tensor"}});
    // One tensor goes in as an array, several by their names.
    if (tensors.size() > 1) json.Set("name", tensor.name);
    json.Set("tensor-spec",
             Json::MakeObject({{"dtype", tensor.dtype}, {"shape", std::move(shape)}}));
    array.push_back(std::move(json));
  }
  return Json(std::move(array)).Write();
}

std::vector<TextFile> MakeModelFiles(const ModelFacts& facts) {
  const bool has_model = !facts.model_path.empty();
  const bool is_onnx = facts.model_path.ends_with(".onnx");
  std::string file = base::StrCat("artifact_path: ", Quoted(facts.artifact_uri), "\nflavors:\n");
  if (has_model) {
    file += base::StrCat("  python_function:\n    code: code\n    data: ", facts.model_path,
                         "\n    env:\n      conda: conda.yaml\n      virtualenv: python_env.yaml\n"
                         "    loader_module: tinysphere_model\n    python_version: ",
                         kPython, "\n  ", is_onnx ? "onnx" : "tflite",
                         ":\n    data: ", facts.model_path, "\n    sha256: ", facts.model_sha256,
                         "\n    labels: ", ListOf(facts.labels), "\n");
    file += is_onnx ? "    providers: [CPUExecutionProvider]\n    onnx_version: null\n"
                    : "    tflite_schema_version: 3\n";
  }
  file += base::StrCat("  tinylcm_bundle:\n    data: ", facts.archive_path,
                       "\n    bundle: ", facts.bundle, "\n    name: ", Quoted(facts.name),
                       "\n    version: ", Quoted(facts.version), "\n");
  file += base::StrCat("mlflow_version: ", Quoted(facts.mlflow_version),
                       "\nmodel_id: ", facts.model_id, "\nmodel_size_bytes: ", facts.archive_bytes,
                       "\nmodel_uuid: ", facts.bundle.substr(0, 32), "\nrun_id: ", facts.run_id,
                       "\nutc_time_created: '", PythonTime(facts.created_at), "'\n");
  if (has_model) {
    file += base::StrCat("signature:\n  inputs: '", TensorsJson(facts.signature.inputs),
                         "'\n  outputs: '", TensorsJson(facts.signature.outputs),
                         "'\n  params: null\n");
  }
  const Json metadata = Json::MakeObject({{"tinysphere.bundle", facts.bundle},
                                          {"tinysphere.name", facts.name},
                                          {"tinysphere.version", facts.version},
                                          {"tinysphere.model_family", facts.model_family}});
  file += base::StrCat("metadata: ", metadata.Write(), "\n");
  std::vector<TextFile> files = {{"MLmodel", std::move(file)}};
  if (!has_model) return files;
  const std::string_view runtime = is_onnx ? kOnnxRuntimeRequirement : kLiteRtRequirement;
  files.push_back({"requirements.txt", base::StrCat("mlflow\nnumpy\n", runtime, "\n")});
  files.push_back(
      {"python_env.yaml", base::StrCat("python: ", kPython, "\nbuild_dependencies: [pip]\n",
                                       "dependencies: [-r requirements.txt]\n")});
  files.push_back(
      {"conda.yaml", base::StrCat("name: mlflow-env\nchannels: [conda-forge]\n",
                                  "dependencies:\n- python=", kPython,
                                  "\n- pip\n- pip:\n  - mlflow\n  - numpy\n  - ", runtime, "\n")});
  files.push_back({"code/tinysphere_model.py", std::string(kLoader)});
  return files;
}

}  // namespace tinysphere::mlflow
