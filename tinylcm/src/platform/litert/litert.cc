// LiteRT behind FeatureModel.

#include "tinylcm/model/litert.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinylcm/src/feature/tensor.h"
#include "tinylcm/src/platform/dl/library.h"
#include "tinylcm/src/platform/litert/litert_c.h"

namespace tinylcm::model {

using base::Error;
using base::ErrorCode;
namespace lrt = litert;

namespace {

constexpr platform::RuntimeLibrary kRuntime = {.name = "litert",
                                               .file = "libLiteRt.so",
                                               .variable = "TINYLCM_LITERT",
                                               .folder = "litert-2.1.6",
                                               .fetch = "tools/setup/fetch-litert.sh"};

template <typename Function>
bool Find(void* library, const char* name, Function& function) {
  void* const symbol = platform::FindFunction(library, name);
  // POSIX promises that a function's address fits; the language does not.
  static_assert(sizeof symbol == sizeof function);
  std::memcpy(&function, &symbol, sizeof symbol);
  return symbol != nullptr;
}

base::Result<lrt::Functions> OpenFunctions(const std::string& path) {
  ASSIGN_OR_RETURN(void* const library, platform::OpenLibrary(kRuntime, path));
  lrt::Functions f{};
  const char* missing = nullptr;
#define FIND(name) \
  if (!Find(library, "LiteRt" #name, f.name)) missing = "LiteRt" #name
  FIND(CreateEnvironment);
  FIND(DestroyEnvironment);
  FIND(CreateModelFromBuffer);
  FIND(DestroyModel);
  FIND(GetNumModelSubgraphs);
  FIND(GetModelSubgraph);
  FIND(GetNumSubgraphInputs);
  FIND(GetNumSubgraphOutputs);
  FIND(GetSubgraphInput);
  FIND(GetSubgraphOutput);
  FIND(GetTensorName);
  FIND(GetNumModelSignatures);
  FIND(GetModelSignature);
  FIND(GetNumSignatureOutputs);
  FIND(GetSignatureOutputName);
  FIND(GetSignatureOutputTensorByIndex);
  FIND(GetRankedTensorType);
  FIND(GetQuantizationTypeId);
  FIND(GetPerTensorQuantization);
  FIND(CreateOptions);
  FIND(DestroyOptions);
  FIND(SetOptionsHardwareAccelerators);
  FIND(CreateOpaqueOptions);
  FIND(AddOpaqueOptions);
  FIND(CreateCompiledModel);
  FIND(DestroyCompiledModel);
  FIND(CompiledModelResizeInputTensor);
  FIND(GetCompiledModelInputBufferRequirements);
  FIND(GetCompiledModelOutputBufferRequirements);
  FIND(CreateManagedTensorBufferFromRequirements);
  FIND(DestroyTensorBuffer);
  FIND(GetTensorBufferPackedSize);
  FIND(LockTensorBuffer);
  FIND(UnlockTensorBuffer);
  FIND(RunCompiledModel);
#undef FIND
  if (missing != nullptr) {
    return Error{ErrorCode::kUnsupported, base::StrCat("litert: ", path, " has no ", missing)};
  }
  return f;
}

// Opened once; a failure is tried again, for the file may come later.
base::Result<const lrt::Functions*> Functions() {
  static std::mutex mutex;
  static const lrt::Functions* functions = nullptr;  // Never freed: any engine may use it.
  const std::lock_guard lock(mutex);
  if (functions == nullptr) {
    ASSIGN_OR_RETURN(const std::string path, FindLiteRt());
    ASSIGN_OR_RETURN(const lrt::Functions opened, OpenFunctions(path));
    functions = new lrt::Functions(opened);
  }
  return functions;
}

// Holds back stderr while it lives and then passes on all but lines that begin with "INFO: ": one
// line of LiteRT's start-up ignores every log level. Only used while a model is opened.
class Silence {
 public:
  Silence() : lock_(Mutex()), saved_(::dup(2)), held_(::memfd_create("stderr", MFD_CLOEXEC)) {
    if (saved_ >= 0 && held_ >= 0) ::dup2(held_, 2);
  }
  ~Silence() {
    if (saved_ >= 0) ::dup2(saved_, 2);
    std::string text;
    if (held_ >= 0 && ::lseek(held_, 0, SEEK_SET) == 0) {
      char block[4096];
      for (ssize_t count; (count = ::read(held_, block, sizeof block)) > 0;) {
        text.append(block, static_cast<std::size_t>(count));
      }
    }
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
      if (text.compare(at, 6, "INFO: ") != 0) {
        [[maybe_unused]] const ssize_t written = ::write(2, text.data() + at, end - at);
      }
      at = end;
    }
    if (saved_ >= 0) ::close(saved_);
    if (held_ >= 0) ::close(held_);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  // There is one stderr: two models that open at a time would hand each other's back.
  static std::mutex& Mutex() {
    static std::mutex mutex;
    return mutex;
  }

  std::scoped_lock<std::mutex> lock_;
  int saved_;
  int held_;
};

class LiteRtModel final : public feature::FeatureModel {
 public:
  explicit LiteRtModel(const lrt::Functions& functions) : f_(functions) {}
  ~LiteRtModel() override {
    for (lrt::TensorBuffer buffer : inputs_) f_.DestroyTensorBuffer(buffer);
    for (lrt::TensorBuffer buffer : outputs_) f_.DestroyTensorBuffer(buffer);
    if (compiled_ != nullptr) f_.DestroyCompiledModel(compiled_);
    if (options_ != nullptr) f_.DestroyOptions(options_);
    if (model_ != nullptr) f_.DestroyModel(model_);
    if (environment_ != nullptr) f_.DestroyEnvironment(environment_);
  }

  base::Status Open(base::ByteView model, const EngineOptions& options);

  int width() const override { return picture_.width; }
  int height() const override { return picture_.height; }
  std::size_t feature_count() const override { return output_count_; }
  base::Status Infer(std::span<const std::uint8_t> picture, std::span<float> raw) override;

 private:
  struct Port {
    feature::Tensor tensor;
    lrt::RankedTensorType shape{};  // With an open batch made one.
    bool is_supported = true;       // Its type is one of ours.
  };
  base::Result<Port> Describe(lrt::Tensor tensor) const;
  base::Status OpenInput(lrt::Subgraph subgraph, const EngineOptions& options);
  base::Status OpenOutputs(lrt::Subgraph subgraph, const EngineOptions& options);
  void NameOutputs(lrt::Subgraph subgraph, std::vector<feature::Tensor>& outputs) const;

  const lrt::Functions& f_;
  lrt::Environment environment_ = nullptr;
  lrt::Model model_ = nullptr;
  lrt::Options options_ = nullptr;
  lrt::CompiledModel compiled_ = nullptr;
  std::vector<lrt::TensorBuffer> inputs_;
  std::vector<lrt::TensorBuffer> outputs_;
  feature::PictureShape picture_;
  std::optional<feature::PictureWriter> writer_;
  feature::TensorType output_type_ = feature::TensorType::kFloat32;
  feature::Quantisation output_quantisation_;
  std::size_t output_count_ = 0;
  std::size_t output_index_ = 0;
};

base::Status Refused(const char* what, int status, ErrorCode code) {
  return Error{code, base::StrCat("litert: ", what, " (status ", status, ")")};
}

Error UnknownType(const char* end, int type) {
  return Error{ErrorCode::kUnsupported,
               base::StrCat("litert: the ", end, "'s type ", type, " is not uint8, int8 or float")};
}

#define LITERT_OR_RETURN(expression, what, code)             \
  if (const int status = (expression); status != lrt::kOk) { \
    return Refused(what, status, code).error();              \
  }

// Damaged models fail in any of the steps before the first run.
#define MODEL_OR_RETURN(expression) \
  LITERT_OR_RETURN(expression, "the model is damaged or not one", ErrorCode::kCorrupt)

base::Result<LiteRtModel::Port> LiteRtModel::Describe(lrt::Tensor tensor) const {
  Port port;
  const char* name = nullptr;
  MODEL_OR_RETURN(f_.GetTensorName(tensor, &name));
  if (name != nullptr) port.tensor.name = name;
  MODEL_OR_RETURN(f_.GetRankedTensorType(tensor, &port.shape));
  switch (port.shape.element_type) {
    case lrt::kUInt8:
      port.tensor.type = feature::TensorType::kUint8;
      break;
    case lrt::kInt8:
      port.tensor.type = feature::TensorType::kInt8;
      break;
    case lrt::kFloat32:
      port.tensor.type = feature::TensorType::kFloat32;
      break;
    default:
      port.is_supported = false;
  }
  std::size_t count = 1;
  for (unsigned i = 0; i < port.shape.layout.rank() && i < 8; ++i) {
    std::int32_t& size = port.shape.layout.dimensions[i];
    port.tensor.shape.push_back(size);
    if (size < 0) size = 1;  // An open batch is one picture.
    count *= static_cast<std::size_t>(size);
    if (count == 0 || count > (std::size_t{1} << 28)) {
      return Error{ErrorCode::kUnsupported, "litert: a tensor is empty or too large"};
    }
  }
  int quantization = 0;
  MODEL_OR_RETURN(f_.GetQuantizationTypeId(tensor, &quantization));
  if (quantization == lrt::kQuantizationPerTensor) {
    lrt::PerTensorQuantization values{};
    MODEL_OR_RETURN(f_.GetPerTensorQuantization(tensor, &values));
    port.tensor.quantisation = {.scale = values.scale, .zero_point = values.zero_point};
    const int least = port.tensor.type == feature::TensorType::kUint8 ? 0 : -128;
    if (port.is_supported && port.tensor.type != feature::TensorType::kFloat32 &&
        !(std::isfinite(values.scale) && values.scale > 0.0f && values.zero_point >= least &&
          values.zero_point <= least + 255)) {
      return Error{ErrorCode::kCorrupt, "litert: a tensor's scale or zero point is out of range"};
    }
  }
  return port;
}

base::Status LiteRtModel::Open(base::ByteView model, const EngineOptions& options) {
  // "TFL3" is the format's mark at byte 4.
  if (model.size() < 16 || std::memcmp(model.data() + 4, "TFL3", 4) != 0) {
    return Error{ErrorCode::kCorrupt, "litert: not a .tflite model"};
  }
  const lrt::EnvironmentOption environment[] = {
      {lrt::kTagAutoRegisterAccelerators, 0, lrt::kAnyInt, 0, lrt::kAcceleratorCpu},
      {lrt::kTagMinLoggerSeverity, 0, lrt::kAnyInt, 0, lrt::kLogSilent}};
  LITERT_OR_RETURN(f_.CreateEnvironment(2, environment, &environment_), "no environment",
                   ErrorCode::kInternal);
  MODEL_OR_RETURN(f_.CreateModelFromBuffer(environment_, model.data(), model.size(), &model_));
  lrt::Index subgraphs = 0;
  MODEL_OR_RETURN(f_.GetNumModelSubgraphs(model_, &subgraphs));
  if (subgraphs == 0) return Error{ErrorCode::kCorrupt, "litert: the model is empty"};

  LITERT_OR_RETURN(f_.CreateOptions(&options_), "no options", ErrorCode::kInternal);
  LITERT_OR_RETURN(f_.SetOptionsHardwareAccelerators(options_, lrt::kAcceleratorCpu), "no CPU",
                   ErrorCode::kInternal);
  // The typed setter is not exported; this text (TOML) is what it would have written.
  const std::string threads =
      base::StrCat("num_threads = ", std::max<std::uint32_t>(options.threads, 1), "\n");
  lrt::OpaqueOptions opaque = nullptr;
  LITERT_OR_RETURN(f_.CreateOpaqueOptions("xnnpack", ::strdup(threads.c_str()), std::free, &opaque),
                   "no options", ErrorCode::kInternal);
  LITERT_OR_RETURN(f_.AddOpaqueOptions(options_, opaque), "no options", ErrorCode::kInternal);
  MODEL_OR_RETURN(f_.CreateCompiledModel(environment_, model_, options_, &compiled_));

  lrt::Subgraph subgraph = nullptr;
  MODEL_OR_RETURN(f_.GetModelSubgraph(model_, 0, &subgraph));
  RETURN_IF_ERROR(OpenInput(subgraph, options));
  return OpenOutputs(subgraph, options);
}

base::Status LiteRtModel::OpenInput(lrt::Subgraph subgraph, const EngineOptions& options) {
  lrt::Index count = 0;
  MODEL_OR_RETURN(f_.GetNumSubgraphInputs(subgraph, &count));
  if (count != 1) {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat("litert: the model has ", count, " inputs, expected one picture")};
  }
  lrt::Tensor tensor = nullptr;
  MODEL_OR_RETURN(f_.GetSubgraphInput(subgraph, 0, &tensor));
  ASSIGN_OR_RETURN(const Port port, Describe(tensor));
  const auto shape = feature::ReadPictureShape(port.tensor, /*prefers_planes=*/false);
  if (!shape.ok()) return shape.error().Within("litert");
  if (!port.is_supported) return UnknownType("input", port.shape.element_type);
  auto writer = feature::PictureWriter::Create(options.input, port.tensor, *shape);
  if (!writer.ok()) return writer.error().Within("litert");
  picture_ = *shape;
  writer_ = std::move(writer).value();
  if (port.tensor.shape[0] < 0) {
    const lrt::Layout& layout = port.shape.layout;
    MODEL_OR_RETURN(
        f_.CompiledModelResizeInputTensor(compiled_, 0, 0, layout.dimensions, layout.rank()));
  }
  lrt::Requirements requirements = nullptr;
  MODEL_OR_RETURN(f_.GetCompiledModelInputBufferRequirements(compiled_, 0, 0, &requirements));
  lrt::TensorBuffer buffer = nullptr;
  MODEL_OR_RETURN(f_.CreateManagedTensorBufferFromRequirements(environment_, &port.shape,
                                                               requirements, &buffer));
  inputs_.push_back(buffer);
  std::size_t bytes = 0;
  MODEL_OR_RETURN(f_.GetTensorBufferPackedSize(buffer, &bytes));
  if (bytes < port.tensor.count() * feature::BytesOf(port.tensor.type)) {
    return Error{ErrorCode::kCorrupt, "litert: the input's buffer is too small"};
  }
  return {};
}

// A model made by export has signatures, in which its outputs have the names their author gave
// them; the tensors' own names are the converter's.
void LiteRtModel::NameOutputs(lrt::Subgraph subgraph, std::vector<feature::Tensor>& outputs) const {
  lrt::Index signatures = 0;
  lrt::Signature signature = nullptr;
  lrt::Index count = 0;
  if (f_.GetNumModelSignatures(model_, &signatures) != lrt::kOk || signatures == 0 ||
      f_.GetModelSignature(model_, 0, &signature) != lrt::kOk ||
      f_.GetNumSignatureOutputs(signature, &count) != lrt::kOk) {
    return;
  }
  for (lrt::Index i = 0; i < count; ++i) {
    const char* name = nullptr;
    lrt::Tensor named = nullptr;
    if (f_.GetSignatureOutputName(signature, i, &name) != lrt::kOk || name == nullptr ||
        f_.GetSignatureOutputTensorByIndex(signature, i, &named) != lrt::kOk) {
      continue;
    }
    for (lrt::Index j = 0; j < outputs.size(); ++j) {
      lrt::Tensor tensor = nullptr;
      if (f_.GetSubgraphOutput(subgraph, j, &tensor) == lrt::kOk && tensor == named) {
        outputs[j].name = name;
      }
    }
  }
}

base::Status LiteRtModel::OpenOutputs(lrt::Subgraph subgraph, const EngineOptions& options) {
  lrt::Index count = 0;
  MODEL_OR_RETURN(f_.GetNumSubgraphOutputs(subgraph, &count));
  std::vector<Port> ports;
  std::vector<feature::Tensor> tensors;
  for (lrt::Index i = 0; i < count; ++i) {
    lrt::Tensor tensor = nullptr;
    MODEL_OR_RETURN(f_.GetSubgraphOutput(subgraph, i, &tensor));
    ASSIGN_OR_RETURN(Port port, Describe(tensor));
    lrt::Requirements requirements = nullptr;
    MODEL_OR_RETURN(f_.GetCompiledModelOutputBufferRequirements(compiled_, 0, i, &requirements));
    lrt::TensorBuffer buffer = nullptr;
    MODEL_OR_RETURN(f_.CreateManagedTensorBufferFromRequirements(environment_, &port.shape,
                                                                 requirements, &buffer));
    outputs_.push_back(buffer);
    tensors.push_back(port.tensor);
    ports.push_back(std::move(port));
  }
  NameOutputs(subgraph, tensors);
  const auto chosen = feature::ChooseOutput(tensors, options.output_index, options.output_name,
                                            options.output_size);
  if (!chosen.ok()) return chosen.error().Within("litert");
  output_index_ = *chosen;
  const Port& port = ports[output_index_];
  if (!port.is_supported) return UnknownType("output", port.shape.element_type);
  output_type_ = port.tensor.type;
  output_quantisation_ = port.tensor.quantisation.value_or(feature::Quantisation{});
  output_count_ = port.tensor.count();
  std::size_t bytes = 0;
  MODEL_OR_RETURN(f_.GetTensorBufferPackedSize(outputs_[output_index_], &bytes));
  if (bytes < output_count_ * feature::BytesOf(output_type_)) {
    return Error{ErrorCode::kCorrupt, "litert: the output's buffer is too small"};
  }
  return {};
}

base::Status LiteRtModel::Infer(std::span<const std::uint8_t> picture, std::span<float> raw) {
  if (picture.size() != writer_->picture_bytes() || raw.size() != output_count_) {
    return Error{
        ErrorCode::kInvalidArgument,
        base::StrCat("litert: a picture of ", picture.size(), " bytes and ", raw.size(),
                     " outputs; the model has ", writer_->picture_bytes(), " and ", output_count_)};
  }
  const auto failed = [](const char* what, int status) {
    return Error{ErrorCode::kInternal, base::StrCat("litert: ", what, " (status ", status, ")")};
  };
  void* memory = nullptr;
  int status = f_.LockTensorBuffer(inputs_[0], &memory, lrt::kLockWrite);
  if (status != lrt::kOk) return failed("the input cannot be written", status);
  writer_->Write(picture, memory);
  status = f_.UnlockTensorBuffer(inputs_[0]);
  if (status != lrt::kOk) return failed("the input cannot be written", status);

  status = f_.RunCompiledModel(compiled_, 0, inputs_.size(), inputs_.data(), outputs_.size(),
                               outputs_.data());
  if (status != lrt::kOk) return failed("the model did not run", status);

  status = f_.LockTensorBuffer(outputs_[output_index_], &memory, lrt::kLockRead);
  if (status != lrt::kOk) return failed("the output cannot be read", status);
  feature::ReadTensor(output_type_, output_quantisation_, memory, raw);
  status = f_.UnlockTensorBuffer(outputs_[output_index_]);
  if (status != lrt::kOk) return failed("the output cannot be read", status);
  return {};
}

}  // namespace

base::Result<std::string> FindLiteRt() { return platform::FindLibrary(kRuntime); }

base::Result<std::unique_ptr<feature::FeatureModel>> OpenLiteRt(base::ByteView model,
                                                                const EngineOptions& options) {
  ASSIGN_OR_RETURN(const lrt::Functions* functions, Functions());
  auto engine = std::make_unique<LiteRtModel>(*functions);
  const Silence silence;
  RETURN_IF_ERROR(engine->Open(model, options));
  return std::unique_ptr<feature::FeatureModel>(std::move(engine));
}

}  // namespace tinylcm::model
