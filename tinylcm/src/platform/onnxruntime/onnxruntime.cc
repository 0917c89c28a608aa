// ONNX Runtime behind FeatureModel.

#include "tinylcm/model/onnxruntime.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinylcm/src/feature/tensor.h"
#include "tinylcm/src/platform/dl/library.h"
#include "tinylcm/src/platform/onnxruntime/onnxruntime_c.h"

namespace tinylcm::model {

using base::Error;
using base::ErrorCode;

namespace {

constexpr platform::RuntimeLibrary kRuntime = {.name = "onnxruntime",
                                               .file = "libonnxruntime.so",
                                               .variable = "TINYLCM_ONNXRUNTIME",
                                               .folder = "onnxruntime-1.31.1",
                                               .fetch = "tools/setup/fetch-onnxruntime.sh"};

struct Runtime {
  ort::Functions call{};
  ort::EnvT* environment = nullptr;
  ort::MemoryInfoT* memory = nullptr;
  ort::AllocatorT* allocator = nullptr;
};

// The first line of what the library says, which may be many.
std::string FirstLine(const char* message) {
  constexpr std::size_t kMost = 240;
  std::string_view text = message == nullptr ? "" : message;
  text = text.substr(0, text.find('\n'));
  return std::string(text.substr(0, kMost));
}

// Takes the status; ok where it is null.
base::Status Take(const ort::Functions& f, ort::Status status, std::string_view what,
                  ErrorCode code) {
  if (status == nullptr) return {};
  if (f.GetErrorCode(status) == ort::kErrorNotImplemented) code = ErrorCode::kUnsupported;
  Error error{code,
              base::StrCat("onnxruntime: ", what, ": ", FirstLine(f.GetErrorMessage(status)))};
  f.ReleaseStatus(status);
  return error;
}

base::Result<Runtime> OpenRuntime(const std::string& path) {
  ASSIGN_OR_RETURN(void* const library, platform::OpenLibrary(kRuntime, path));
  const ort::ApiBase* (*get_base)() = nullptr;
  void* const symbol = platform::FindFunction(library, "OrtGetApiBase");
  std::memcpy(&get_base, &symbol, sizeof symbol);
  const void* const* table = get_base == nullptr ? nullptr : get_base()->GetApi(ort::kApiVersion);
  if (table == nullptr) {
    return Error{
        ErrorCode::kUnsupported,
        base::StrCat("onnxruntime: ", path, " has no interface of version ", ort::kApiVersion)};
  }
  Runtime runtime;
#define X(name, place, result, arguments) \
  std::memcpy(&runtime.call.name, &table[place], sizeof table[place]);
  TINYLCM_ORT_FUNCTIONS(X)
#undef X
  const ort::Functions& f = runtime.call;
  // What goes wrong comes back as a status; nothing is to be printed besides.
  RETURN_IF_ERROR(Take(f, f.CreateEnv(ort::kLogFatal, "tinylcm", &runtime.environment),
                       "no environment", ErrorCode::kInternal));
  RETURN_IF_ERROR(
      Take(f, f.CreateCpuMemoryInfo(ort::kArenaAllocator, ort::kMemoryDefault, &runtime.memory),
           "no memory", ErrorCode::kInternal));
  RETURN_IF_ERROR(Take(f, f.GetAllocatorWithDefaultOptions(&runtime.allocator), "no memory",
                       ErrorCode::kInternal));
  return runtime;
}

// Opened once; a failure is tried again, for the file may come later.
base::Result<const Runtime*> OpenedRuntime() {
  static std::mutex mutex;
  static const Runtime* runtime = nullptr;  // Never freed: any engine may use it.
  const std::lock_guard lock(mutex);
  if (runtime == nullptr) {
    ASSIGN_OR_RETURN(const std::string path, FindOnnxRuntime());
    ASSIGN_OR_RETURN(const Runtime opened, OpenRuntime(path));
    runtime = new Runtime(opened);
  }
  return runtime;
}

class OnnxModel final : public feature::FeatureModel {
 public:
  explicit OnnxModel(const Runtime& runtime) : runtime_(runtime), f_(runtime.call) {}
  ~OnnxModel() override {
    if (input_ != nullptr) f_.ReleaseValue(input_);
    if (output_ != nullptr) f_.ReleaseValue(output_);
    if (session_ != nullptr) f_.ReleaseSession(session_);
    if (options_ != nullptr) f_.ReleaseSessionOptions(options_);
  }

  base::Status Open(base::ByteView model, const EngineOptions& options);

  int width() const override { return picture_.width; }
  int height() const override { return picture_.height; }
  std::size_t feature_count() const override { return output_tensor_.count(); }
  base::Status Infer(std::span<const std::uint8_t> picture, std::span<float> raw) override;

 private:
  base::Status OpenSession(base::ByteView model, std::uint32_t threads);
  base::Result<feature::Tensor> Describe(bool is_input, std::size_t index) const;
  base::Status Bind(const feature::Tensor& tensor, std::vector<std::uint8_t>& memory,
                    ort::ValueT*& value);

  const Runtime& runtime_;
  const ort::Functions& f_;
  ort::SessionOptionsT* options_ = nullptr;
  ort::SessionT* session_ = nullptr;
  feature::PictureShape picture_;
  std::optional<feature::PictureWriter> writer_;
  feature::Tensor input_tensor_;
  feature::Tensor output_tensor_;
  std::vector<std::uint8_t> input_memory_;  // What the tensors below lie in.
  std::vector<std::uint8_t> output_memory_;
  ort::ValueT* input_ = nullptr;
  ort::ValueT* output_ = nullptr;
};

#define ORT_OR_RETURN(expression, what, code) RETURN_IF_ERROR(Take(f_, (expression), what, code))

base::Status OnnxModel::OpenSession(base::ByteView model, std::uint32_t threads) {
  constexpr auto kBug = ErrorCode::kInternal;
  ORT_OR_RETURN(f_.CreateSessionOptions(&options_), "no options", kBug);
  ORT_OR_RETURN(f_.SetIntraOpNumThreads(options_, static_cast<int>(std::clamp(threads, 1u, 64u))),
                "threads", kBug);
  ORT_OR_RETURN(f_.SetInterOpNumThreads(options_, 1), "threads", kBug);
  ORT_OR_RETURN(f_.SetSessionGraphOptimizationLevel(options_, ort::kOptimiseAll), "options", kBug);
  // A device has other things to do between two frames than to wait for the next at full speed.
  ORT_OR_RETURN(f_.AddSessionConfigEntry(options_, "session.intra_op.allow_spinning", "0"),
                "options", kBug);
  // Some builds bring XNNPACK's kernels for Arm; where they cannot, the usual ones compute.
  char** providers = nullptr;
  int count = 0;
  ORT_OR_RETURN(f_.GetAvailableProviders(&providers, &count), "providers", kBug);
  const bool has_xnnpack = std::any_of(providers, providers + count, [](const char* name) {
    return std::string_view(name) == "XnnpackExecutionProvider";
  });
  ORT_OR_RETURN(f_.ReleaseAvailableProviders(providers, count), "providers", kBug);
  if (has_xnnpack) {
    ORT_OR_RETURN(
        f_.SessionOptionsAppendExecutionProvider(options_, "XNNPACK", nullptr, nullptr, 0),
        "XNNPACK", kBug);
  }
  ORT_OR_RETURN(f_.CreateSessionFromArray(runtime_.environment, model.data(), model.size(),
                                          options_, &session_),
                "the model is damaged or not one", ErrorCode::kCorrupt);
  return {};
}

base::Result<feature::Tensor> OnnxModel::Describe(bool is_input, std::size_t index) const {
  constexpr auto kBad = ErrorCode::kCorrupt;
  constexpr const char* kWhat = "the model's inputs and outputs cannot be read";
  feature::Tensor tensor;
  char* name = nullptr;
  ORT_OR_RETURN(is_input ? f_.SessionGetInputName(session_, index, runtime_.allocator, &name)
                         : f_.SessionGetOutputName(session_, index, runtime_.allocator, &name),
                kWhat, kBad);
  tensor.name = name;
  ORT_OR_RETURN(f_.AllocatorFree(runtime_.allocator, name), kWhat, kBad);

  ort::TypeInfoT* info = nullptr;
  ORT_OR_RETURN(is_input ? f_.SessionGetInputTypeInfo(session_, index, &info)
                         : f_.SessionGetOutputTypeInfo(session_, index, &info),
                kWhat, kBad);
  const auto read = [&]() -> base::Status {
    const ort::TensorInfoT* tensor_info = nullptr;
    ORT_OR_RETURN(f_.CastTypeInfoToTensorInfo(info, &tensor_info), kWhat, kBad);
    if (tensor_info == nullptr) {
      return Error{ErrorCode::kUnsupported,
                   base::StrCat("onnxruntime: ", tensor.name, " is no tensor")};
    }
    int type = 0;
    ORT_OR_RETURN(f_.GetTensorElementType(tensor_info, &type), kWhat, kBad);
    if (type == ort::kUInt8) {
      tensor.type = feature::TensorType::kUint8;
    } else if (type == ort::kInt8) {
      tensor.type = feature::TensorType::kInt8;
    } else if (type == ort::kFloat32) {
      tensor.type = feature::TensorType::kFloat32;
    } else {
      return Error{ErrorCode::kUnsupported, base::StrCat("onnxruntime: ", tensor.name, "'s type ",
                                                         type, " is not uint8, int8 or float")};
    }
    std::size_t rank = 0;
    ORT_OR_RETURN(f_.GetDimensionsCount(tensor_info, &rank), kWhat, kBad);
    tensor.shape.resize(rank);
    ORT_OR_RETURN(f_.GetDimensions(tensor_info, tensor.shape.data(), rank), kWhat, kBad);
    return {};
  };
  const base::Status status = read();
  f_.ReleaseTypeInfo(info);
  if (!status.ok()) return status.error();
  return tensor;
}

base::Status OnnxModel::Bind(const feature::Tensor& tensor, std::vector<std::uint8_t>& memory,
                             ort::ValueT*& value) {
  memory.resize(tensor.count() * feature::BytesOf(tensor.type));
  int type = ort::kFloat32;
  if (tensor.type == feature::TensorType::kUint8) type = ort::kUInt8;
  if (tensor.type == feature::TensorType::kInt8) type = ort::kInt8;
  ORT_OR_RETURN(
      f_.CreateTensorWithDataAsOrtValue(runtime_.memory, memory.data(), memory.size(),
                                        tensor.shape.data(), tensor.shape.size(), type, &value),
      "a tensor cannot be made", ErrorCode::kInternal);
  return {};
}

base::Status OnnxModel::Open(base::ByteView model, const EngineOptions& options) {
  if (model.empty()) return Error{ErrorCode::kCorrupt, "onnxruntime: the model is empty"};
  RETURN_IF_ERROR(OpenSession(model, options.threads));

  std::size_t inputs = 0;
  std::size_t outputs = 0;
  ORT_OR_RETURN(f_.SessionGetInputCount(session_, &inputs), "inputs", ErrorCode::kCorrupt);
  ORT_OR_RETURN(f_.SessionGetOutputCount(session_, &outputs), "outputs", ErrorCode::kCorrupt);
  if (inputs != 1) {
    return Error{ErrorCode::kUnsupported, base::StrCat("onnxruntime: the model has ", inputs,
                                                       " inputs, expected one picture")};
  }
  ASSIGN_OR_RETURN(input_tensor_, Describe(/*is_input=*/true, 0));
  const auto shape = feature::ReadPictureShape(input_tensor_, /*prefers_planes=*/true);
  if (!shape.ok()) return shape.error().Within("onnxruntime");
  auto writer = feature::PictureWriter::Create(options.input, input_tensor_, *shape);
  if (!writer.ok()) return writer.error().Within("onnxruntime");
  picture_ = *shape;
  writer_ = std::move(writer).value();
  input_tensor_.shape[0] = 1;

  std::vector<feature::Tensor> tensors;
  std::vector<std::optional<Error>>
      unsupported;  // An output that is not asked for may be anything.
  for (std::size_t i = 0; i < outputs; ++i) {
    base::Result<feature::Tensor> tensor = Describe(/*is_input=*/false, i);
    if (!tensor.ok() && tensor.error().code != ErrorCode::kUnsupported) return tensor.error();
    unsupported.push_back(tensor.ok() ? std::nullopt : std::optional(tensor.error()));
    tensors.push_back(tensor.ok() ? std::move(tensor).value() : feature::Tensor{.name = "other"});
  }
  const auto chosen = feature::ChooseOutput(tensors, options.output_index, options.output_name,
                                            options.output_size);
  if (!chosen.ok()) return chosen.error().Within("onnxruntime");
  if (unsupported[*chosen]) return *unsupported[*chosen];
  output_tensor_ = tensors[*chosen];
  std::vector<std::int64_t>& sizes = output_tensor_.shape;
  if (!sizes.empty() && sizes[0] < 0) sizes[0] = 1;
  if (std::any_of(sizes.begin(), sizes.end(), [](std::int64_t size) { return size < 1; }) ||
      output_tensor_.count() > (std::size_t{1} << 28)) {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat("onnxruntime: the model's output ", tensors[*chosen].Text(),
                              " has no fixed size; export it with one")};
  }
  RETURN_IF_ERROR(Bind(input_tensor_, input_memory_, input_));
  return Bind(output_tensor_, output_memory_, output_);
}

base::Status OnnxModel::Infer(std::span<const std::uint8_t> picture, std::span<float> raw) {
  if (picture.size() != writer_->picture_bytes() || raw.size() != feature_count()) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("onnxruntime: a picture of ", picture.size(), " bytes and ",
                              raw.size(), " outputs; the model has ", writer_->picture_bytes(),
                              " and ", feature_count())};
  }
  writer_->Write(picture, input_memory_.data());
  const char* const input_names[] = {input_tensor_.name.c_str()};
  const char* const output_names[] = {output_tensor_.name.c_str()};
  const ort::ValueT* const inputs[] = {input_};
  ort::ValueT* outputs[] = {output_};
  ORT_OR_RETURN(f_.Run(session_, nullptr, input_names, inputs, 1, output_names, 1, outputs),
                "the model did not run", ErrorCode::kInternal);
  feature::ReadTensor(output_tensor_.type, {}, output_memory_.data(), raw);
  return {};
}

}  // namespace

base::Result<std::string> FindOnnxRuntime() { return platform::FindLibrary(kRuntime); }

base::Result<std::unique_ptr<feature::FeatureModel>> OpenOnnxRuntime(base::ByteView model,
                                                                     const EngineOptions& options) {
  ASSIGN_OR_RETURN(const Runtime* runtime, OpenedRuntime());
  auto engine = std::make_unique<OnnxModel>(*runtime);
  RETURN_IF_ERROR(engine->Open(model, options));
  return std::unique_ptr<feature::FeatureModel>(std::move(engine));
}

}  // namespace tinylcm::model
