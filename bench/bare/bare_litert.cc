#include "bench/bare/bare_litert.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace bench {

namespace lrt = tinylcm::model::litert;

namespace {

[[noreturn]] void Die(const char* what) {
  std::fprintf(stderr, "bare_litert: %s\n", what);
  std::exit(3);
}

void Must(lrt::StatusCode status, const char* what) {
  if (status != lrt::kOk) Die(what);
}

std::vector<std::uint8_t> ReadWhole(const std::string& path) {
  std::FILE* const file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) Die(path.c_str());
  std::fseek(file, 0, SEEK_END);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(std::ftell(file)));
  std::rewind(file);
  if (std::fread(bytes.data(), 1, bytes.size(), file) != bytes.size()) Die(path.c_str());
  std::fclose(file);
  return bytes;
}

// Bytes of a tensor; an open batch is made one.
std::size_t Bytes(lrt::RankedTensorType& type) {
  std::size_t bytes = type.element_type == lrt::kFloat32 ? 4 : 1;
  if (bytes == 1 && type.element_type != lrt::kUInt8 && type.element_type != lrt::kInt8) {
    Die("neither 8 bits nor float");
  }
  for (unsigned i = 0; i < type.layout.rank(); ++i) {
    if (type.layout.dimensions[i] < 0) type.layout.dimensions[i] = 1;
    bytes *= static_cast<std::size_t>(type.layout.dimensions[i]);
  }
  return bytes;
}

}  // namespace

BareLiteRt::BareLiteRt(const std::string& library, const std::string& model)
    : bytes_(ReadWhole(model)) {
  void* const opened = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) Die(::dlerror());
  const auto find = [&](auto& function, const char* name) {
    void* const symbol = ::dlsym(opened, name);
    if (symbol == nullptr) Die(name);
    std::memcpy(&function, &symbol, sizeof symbol);
  };
#define FIND(name) find(f_.name, "LiteRt" #name)
  FIND(CreateEnvironment);
  FIND(CreateModelFromBuffer);
  FIND(GetModelSubgraph);
  FIND(GetSubgraphInput);
  FIND(GetSubgraphOutput);
  FIND(GetRankedTensorType);
  FIND(CreateOptions);
  FIND(SetOptionsHardwareAccelerators);
  FIND(CreateOpaqueOptions);
  FIND(AddOpaqueOptions);
  FIND(CreateCompiledModel);
  FIND(CompiledModelResizeInputTensor);
  FIND(GetCompiledModelInputBufferRequirements);
  FIND(GetCompiledModelOutputBufferRequirements);
  FIND(CreateManagedTensorBufferFromRequirements);
  FIND(LockTensorBuffer);
  FIND(UnlockTensorBuffer);
  FIND(RunCompiledModel);
#undef FIND
  const lrt::EnvironmentOption choices[] = {
      {lrt::kTagAutoRegisterAccelerators, 0, lrt::kAnyInt, 0, lrt::kAcceleratorCpu},
      {lrt::kTagMinLoggerSeverity, 0, lrt::kAnyInt, 0, lrt::kLogSilent}};
  lrt::Environment environment = nullptr;
  Must(f_.CreateEnvironment(2, choices, &environment), "environment");
  lrt::Model loaded = nullptr;
  Must(f_.CreateModelFromBuffer(environment, bytes_.data(), bytes_.size(), &loaded), "model");
  lrt::Options options = nullptr;
  Must(f_.CreateOptions(&options), "options");
  Must(f_.SetOptionsHardwareAccelerators(options, lrt::kAcceleratorCpu), "options");
  lrt::OpaqueOptions threads = nullptr;
  Must(f_.CreateOpaqueOptions("xnnpack", ::strdup("num_threads = 1\n"), std::free, &threads),
       "options");
  Must(f_.AddOpaqueOptions(options, threads), "options");
  Must(f_.CreateCompiledModel(environment, loaded, options, &compiled_), "compile");

  lrt::Subgraph subgraph = nullptr;
  Must(f_.GetModelSubgraph(loaded, 0, &subgraph), "subgraph");
  lrt::Tensor tensor = nullptr;
  lrt::RankedTensorType type{};
  lrt::Requirements requirements = nullptr;
  Must(f_.GetSubgraphInput(subgraph, 0, &tensor), "input");
  Must(f_.GetRankedTensorType(tensor, &type), "input");
  const bool is_open = type.layout.dimensions[0] < 0;
  picture_bytes_ = Bytes(type);
  if (is_open) {
    Must(f_.CompiledModelResizeInputTensor(compiled_, 0, 0, type.layout.dimensions,
                                           type.layout.rank()),
         "input");
  }
  Must(f_.GetCompiledModelInputBufferRequirements(compiled_, 0, 0, &requirements), "input");
  Must(f_.CreateManagedTensorBufferFromRequirements(environment, &type, requirements, &input_),
       "input");
  Must(f_.GetSubgraphOutput(subgraph, 0, &tensor), "output");
  Must(f_.GetRankedTensorType(tensor, &type), "output");
  scores_.resize(Bytes(type));
  Must(f_.GetCompiledModelOutputBufferRequirements(compiled_, 0, 0, &requirements), "output");
  Must(f_.CreateManagedTensorBufferFromRequirements(environment, &type, requirements, &output_),
       "output");
}

std::span<const std::uint8_t> BareLiteRt::Run(std::span<const std::uint8_t> picture) {
  if (picture.size() != picture_bytes_) Die("a picture of another size");
  void* memory = nullptr;
  Must(f_.LockTensorBuffer(input_, &memory, lrt::kLockWrite), "input");
  std::memcpy(memory, picture.data(), picture.size());
  Must(f_.UnlockTensorBuffer(input_), "input");
  Must(f_.RunCompiledModel(compiled_, 0, 1, &input_, 1, &output_), "run");
  Must(f_.LockTensorBuffer(output_, &memory, lrt::kLockRead), "output");
  std::memcpy(scores_.data(), memory, scores_.size());
  Must(f_.UnlockTensorBuffer(output_), "output");
  return scores_;
}

}  // namespace bench
