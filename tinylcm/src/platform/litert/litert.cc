// LiteRT behind FeatureModel.

#include "tinylcm/model/litert.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinylcm/src/platform/litert/litert_c.h"

namespace tinylcm::model {

using base::Error;
using base::ErrorCode;
namespace lrt = litert;

namespace {

std::vector<std::string> Places() {
  std::vector<std::string> places;
  if (const char* set = std::getenv("TINYLCM_LITERT"); set != nullptr && *set != '\0') {
    return {set};  // Whoever names one wants this one and no other.
  }
  char program[4096];
  const ssize_t length = ::readlink("/proc/self/exe", program, sizeof program);
  if (length > 0) {
    const std::string path(program, static_cast<std::size_t>(length));
    places.push_back(base::JoinPath(base::FolderOf(path), "../lib/libLiteRt.so"));
  }
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::string folder;
  if (cache != nullptr && *cache != '\0') {
    folder = cache;
  } else if (home != nullptr) {
    folder = std::string(home) + "/.cache";
  }
#if defined(__aarch64__)
  constexpr const char* kMachine = "aarch64";
#else
  constexpr const char* kMachine = "x86_64";
#endif
  if (!folder.empty()) {
    places.push_back(base::StrCat(folder, "/tinymlops/litert-2.1.6/", kMachine, "/libLiteRt.so"));
  }
  return places;
}

struct Library {
  lrt::Functions call{};
};

template <typename Function>
bool Find(void* library, const char* name, Function& function) {
  void* const symbol = ::dlsym(library, name);
  // POSIX promises that a function's address fits; the language does not.
  static_assert(sizeof symbol == sizeof function);
  std::memcpy(&function, &symbol, sizeof symbol);
  return symbol != nullptr;
}

base::Result<Library> OpenLibrary(const std::string& path) {
  // The library stays open: it starts threads and keeps statics that do not like to go.
  void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return Error{ErrorCode::kUnavailable, base::StrCat("litert: ", ::dlerror())};
  }
  Library opened;
  lrt::Functions& f = opened.call;
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
  return opened;
}

// Opened once; a failure is tried again, for the file may come later.
base::Result<const lrt::Functions*> Functions() {
  static std::mutex mutex;
  static Library* library = nullptr;  // Never freed: engines of any lifetime use it.
  const std::lock_guard lock(mutex);
  if (library == nullptr) {
    ASSIGN_OR_RETURN(const std::string path, FindLiteRt());
    ASSIGN_OR_RETURN(const Library opened, OpenLibrary(path));
    library = new Library(opened);
  }
  return &library->call;
}

// Holds back stderr while it lives and then passes on all but lines that begin with "INFO: ": one
// line of LiteRT's start-up ignores every log level. Only used while a model is opened.
class Silence {
 public:
  Silence() : saved_(::dup(2)), held_(::memfd_create("stderr", MFD_CLOEXEC)) {
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

  int width() const override { return width_; }
  int height() const override { return height_; }
  std::size_t feature_count() const override { return output_.count; }
  base::Status Infer(std::span<const std::uint8_t> picture, std::span<float> raw) override;

 private:
  struct Port {
    int type = 0;
    std::size_t count = 0;
    std::size_t bytes = 0;
    bool is_quantised = false;
    float scale = 1.0f;
    std::int64_t zero_point = 0;
    lrt::RankedTensorType shape{};
  };
  base::Result<Port> Describe(lrt::Tensor tensor) const;
  base::Status OpenInput(lrt::Subgraph subgraph);
  base::Status OpenOutputs(lrt::Subgraph subgraph, const EngineOptions& options);

  const lrt::Functions& f_;
  base::Bytes bytes_;  // LiteRT reads the model from here for as long as it lives.
  lrt::Environment environment_ = nullptr;
  lrt::Model model_ = nullptr;
  lrt::Options options_ = nullptr;
  lrt::CompiledModel compiled_ = nullptr;
  std::vector<lrt::TensorBuffer> inputs_;
  std::vector<lrt::TensorBuffer> outputs_;
  Port input_;
  Port output_;
  std::size_t output_index_ = 0;
  int width_ = 0;
  int height_ = 0;
};

base::Status Refused(const char* what, int status, ErrorCode code) {
  return Error{code, base::StrCat("litert: ", what, " (status ", status, ")")};
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
  MODEL_OR_RETURN(f_.GetRankedTensorType(tensor, &port.shape));
  port.type = port.shape.element_type;
  port.count = 1;
  for (unsigned i = 0; i < port.shape.layout.rank() && i < 8; ++i) {
    std::int32_t& size = port.shape.layout.dimensions[i];
    if (size < 0) size = 1;  // An open batch is one picture.
    port.count *= static_cast<std::size_t>(size);
  }
  if (port.count == 0 || port.count > (std::size_t{1} << 28)) {
    return Error{ErrorCode::kUnsupported, "litert: a tensor is empty or too large"};
  }
  int quantization = 0;
  MODEL_OR_RETURN(f_.GetQuantizationTypeId(tensor, &quantization));
  if (quantization == lrt::kQuantizationPerTensor) {
    lrt::PerTensorQuantization values{};
    MODEL_OR_RETURN(f_.GetPerTensorQuantization(tensor, &values));
    port.is_quantised = true;
    port.scale = values.scale;
    port.zero_point = values.zero_point;
  }
  return port;
}

base::Status LiteRtModel::Open(base::ByteView model, const EngineOptions& options) {
  // "TFL3" is the format's mark at byte 4.
  if (model.size() < 16 || std::memcmp(model.data() + 4, "TFL3", 4) != 0) {
    return Error{ErrorCode::kCorrupt, "litert: not a .tflite model"};
  }
  bytes_.assign(model.begin(), model.end());
  const lrt::EnvironmentOption environment[] = {
      {lrt::kTagAutoRegisterAccelerators, 0, lrt::kAnyInt, 0, lrt::kAcceleratorCpu},
      {lrt::kTagMinLoggerSeverity, 0, lrt::kAnyInt, 0, lrt::kLogSilent}};
  LITERT_OR_RETURN(f_.CreateEnvironment(2, environment, &environment_), "no environment",
                   ErrorCode::kInternal);
  MODEL_OR_RETURN(f_.CreateModelFromBuffer(environment_, bytes_.data(), bytes_.size(), &model_));
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
  RETURN_IF_ERROR(OpenInput(subgraph));
  return OpenOutputs(subgraph, options);
}

base::Status LiteRtModel::OpenInput(lrt::Subgraph subgraph) {
  lrt::Index count = 0;
  MODEL_OR_RETURN(f_.GetNumSubgraphInputs(subgraph, &count));
  if (count != 1) {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat("litert: the model has ", count, " inputs, expected one picture")};
  }
  lrt::Tensor tensor = nullptr;
  MODEL_OR_RETURN(f_.GetSubgraphInput(subgraph, 0, &tensor));
  lrt::RankedTensorType stated{};
  MODEL_OR_RETURN(f_.GetRankedTensorType(tensor, &stated));
  ASSIGN_OR_RETURN(input_, Describe(tensor));
  const lrt::Layout& layout = input_.shape.layout;
  if (layout.rank() != 4 || layout.dimensions[0] != 1 || layout.dimensions[3] != 3) {
    return Error{ErrorCode::kUnsupported,
                 "litert: the model's input is not one picture [1, height, width, 3]"};
  }
  if (input_.type != lrt::kUInt8 && input_.type != lrt::kInt8 && input_.type != lrt::kFloat32) {
    return Error{ErrorCode::kUnsupported, base::StrCat("litert: the input's type ", input_.type,
                                                       " is not uint8, int8 or float")};
  }
  height_ = layout.dimensions[1];
  width_ = layout.dimensions[2];
  if (stated.layout.dimensions[0] < 0) {
    MODEL_OR_RETURN(
        f_.CompiledModelResizeInputTensor(compiled_, 0, 0, layout.dimensions, layout.rank()));
  }
  lrt::Requirements requirements = nullptr;
  MODEL_OR_RETURN(f_.GetCompiledModelInputBufferRequirements(compiled_, 0, 0, &requirements));
  lrt::TensorBuffer buffer = nullptr;
  MODEL_OR_RETURN(f_.CreateManagedTensorBufferFromRequirements(environment_, &input_.shape,
                                                               requirements, &buffer));
  inputs_.push_back(buffer);
  MODEL_OR_RETURN(f_.GetTensorBufferPackedSize(buffer, &input_.bytes));
  if (input_.bytes < input_.count * (input_.type == lrt::kFloat32 ? 4 : 1)) {
    return Error{ErrorCode::kCorrupt, "litert: the input's buffer is too small"};
  }
  return {};
}

base::Status LiteRtModel::OpenOutputs(lrt::Subgraph subgraph, const EngineOptions& options) {
  lrt::Index count = 0;
  MODEL_OR_RETURN(f_.GetNumSubgraphOutputs(subgraph, &count));
  std::optional<std::size_t> chosen;
  std::vector<Port> ports;
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
    MODEL_OR_RETURN(f_.GetTensorBufferPackedSize(buffer, &port.bytes));
    ports.push_back(port);
    if (options.output_index) {
      if (*options.output_index == i) chosen = i;
    } else if (options.output_size != 0) {
      if (port.count == options.output_size && !chosen) chosen = i;
    } else if (!chosen || port.count > ports[*chosen].count) {
      chosen = i;
    }
  }
  if (!chosen) {
    return Error{ErrorCode::kUnsupported, base::StrCat("litert: of the model's ", count,
                                                       " outputs none is the one asked for")};
  }
  output_index_ = *chosen;
  output_ = ports[*chosen];
  const bool is_float = output_.type == lrt::kFloat32;
  if (!is_float && output_.type != lrt::kUInt8 && output_.type != lrt::kInt8) {
    return Error{ErrorCode::kUnsupported, base::StrCat("litert: the output's type ", output_.type,
                                                       " is not uint8, int8 or float")};
  }
  if (output_.bytes < output_.count * (is_float ? 4 : 1)) {
    return Error{ErrorCode::kCorrupt, "litert: the output's buffer is too small"};
  }
  return {};
}

base::Status LiteRtModel::Infer(std::span<const std::uint8_t> picture, std::span<float> raw) {
  if (picture.size() != input_.count || raw.size() != output_.count) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("litert: a picture of ", picture.size(), " bytes and ", raw.size(),
                              " outputs; the model has ", input_.count, " and ", output_.count)};
  }
  const auto failed = [](const char* what, int status) {
    return Error{ErrorCode::kInternal, base::StrCat("litert: ", what, " (status ", status, ")")};
  };
  void* memory = nullptr;
  int status = f_.LockTensorBuffer(inputs_[0], &memory, lrt::kLockWrite);
  if (status != lrt::kOk) return failed("the input cannot be written", status);
  if (input_.type == lrt::kUInt8) {
    std::memcpy(memory, picture.data(), picture.size());
  } else if (input_.type == lrt::kInt8) {
    // An int8 model made from uint8 pictures has a zero point 128 lower.
    auto* out = static_cast<std::int8_t*>(memory);
    for (std::size_t i = 0; i < picture.size(); ++i) {
      out[i] = static_cast<std::int8_t>(static_cast<int>(picture[i]) - 128);
    }
  } else {
    auto* out = static_cast<float*>(memory);
    for (std::size_t i = 0; i < picture.size(); ++i) out[i] = static_cast<float>(picture[i]);
  }
  status = f_.UnlockTensorBuffer(inputs_[0]);
  if (status != lrt::kOk) return failed("the input cannot be written", status);

  status = f_.RunCompiledModel(compiled_, 0, inputs_.size(), inputs_.data(), outputs_.size(),
                               outputs_.data());
  if (status != lrt::kOk) return failed("the model did not run", status);

  status = f_.LockTensorBuffer(outputs_[output_index_], &memory, lrt::kLockRead);
  if (status != lrt::kOk) return failed("the output cannot be read", status);
  const float scale = output_.is_quantised ? output_.scale : 1.0f;
  const auto zero = static_cast<int>(output_.is_quantised ? output_.zero_point : 0);
  if (output_.type == lrt::kFloat32) {
    std::memcpy(raw.data(), memory, 4 * raw.size());
  } else if (output_.type == lrt::kUInt8) {
    const auto* in = static_cast<const std::uint8_t*>(memory);
    for (std::size_t i = 0; i < raw.size(); ++i) {
      raw[i] = scale * static_cast<float>(static_cast<int>(in[i]) - zero);
    }
  } else {
    const auto* in = static_cast<const std::int8_t*>(memory);
    for (std::size_t i = 0; i < raw.size(); ++i) {
      raw[i] = scale * static_cast<float>(static_cast<int>(in[i]) - zero);
    }
  }
  status = f_.UnlockTensorBuffer(outputs_[output_index_]);
  if (status != lrt::kOk) return failed("the output cannot be read", status);
  return {};
}

}  // namespace

base::Result<std::string> FindLiteRt() {
  std::string tried;
  for (const std::string& place : Places()) {
    if (::access(place.c_str(), R_OK) == 0) return place;
    tried += (tried.empty() ? "" : ", ") + place;
  }
  return Error{ErrorCode::kUnavailable,
               "litert: libLiteRt.so is not at " + tried + "; run tools/setup/fetch-litert.sh"};
}

base::Result<std::unique_ptr<feature::FeatureModel>> OpenLiteRt(base::ByteView model,
                                                                const EngineOptions& options) {
  ASSIGN_OR_RETURN(const lrt::Functions* functions, Functions());
  auto engine = std::make_unique<LiteRtModel>(*functions);
  {
    const Silence silence;
    RETURN_IF_ERROR(engine->Open(model, options));
    // The first run makes what later ones use again. It also shows a model that cannot run.
    const std::vector<std::uint8_t> grey(
        static_cast<std::size_t>(engine->width()) * static_cast<std::size_t>(engine->height()) * 3,
        128);
    std::vector<float> raw(engine->feature_count());
    if (const base::Status run = engine->Infer(grey, raw); !run.ok()) {
      return Error{ErrorCode::kCorrupt, run.error().message};
    }
  }
  return std::unique_ptr<feature::FeatureModel>(std::move(engine));
}

}  // namespace tinylcm::model
