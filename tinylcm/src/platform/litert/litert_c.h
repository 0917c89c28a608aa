// The part of LiteRT's C interface that is used, in our own words (version 2.1.6). A user's build
// then needs no headers of it; the library is opened at run time.
//
// Layouts and values are those of LiteRT's stable C interface; the static_asserts are its own.

#pragma once

#include <cstddef>
#include <cstdint>

namespace tinylcm::model::litert {

struct EnvironmentT;
struct ModelT;
struct SubgraphT;
struct SignatureT;
struct TensorT;
struct OptionsT;
struct OpaqueOptionsT;
struct CompiledModelT;
struct TensorBufferT;
struct RequirementsT;
using Environment = EnvironmentT*;
using Model = ModelT*;
using Subgraph = SubgraphT*;
using Signature = SignatureT*;
using Tensor = TensorT*;
using Options = OptionsT*;
using OpaqueOptions = OpaqueOptionsT*;
using CompiledModel = CompiledModelT*;
using TensorBuffer = TensorBufferT*;
using Requirements = RequirementsT*;
using Index = std::size_t;
using StatusCode = int;

inline constexpr StatusCode kOk = 0;

inline constexpr int kAcceleratorCpu = 1;
inline constexpr int kLockRead = 0;
inline constexpr int kLockWrite = 1;

inline constexpr int kTagAutoRegisterAccelerators = 24;
inline constexpr int kTagMinLoggerSeverity = 25;
inline constexpr int kAnyInt = 2;
inline constexpr int kLogSilent = 4;

inline constexpr int kFloat32 = 1;
inline constexpr int kUInt8 = 3;
inline constexpr int kInt8 = 9;

inline constexpr int kQuantizationPerTensor = 1;

struct EnvironmentOption {
  int tag;
  int tag_padding;
  int any_type;
  int any_padding;
  std::int64_t value;
};

struct Layout {
  std::uint8_t rank_and_strides;  // Low 7 bits: rank.
  std::int32_t dimensions[8];     // Below 0: not fixed.
  std::uint32_t strides[8];

  unsigned rank() const { return rank_and_strides & 0x7fu; }
};

struct RankedTensorType {
  int element_type;
  Layout layout;
};

struct PerTensorQuantization {
  float scale;
  std::int64_t zero_point;
};

static_assert(sizeof(void*) == 8, "LiteRT's layouts are stated for 64-bit machines");
static_assert(sizeof(Layout) == 68);
static_assert(offsetof(Layout, dimensions) == 4);
static_assert(offsetof(Layout, strides) == 36);
static_assert(sizeof(RankedTensorType) == 72);
static_assert(offsetof(RankedTensorType, layout) == 4);
static_assert(sizeof(PerTensorQuantization) == 16);
static_assert(sizeof(EnvironmentOption) == 24);
static_assert(offsetof(EnvironmentOption, any_type) == 8);

// The functions, each under its exported name without "LiteRt".
struct Functions {
  StatusCode (*CreateEnvironment)(int, const EnvironmentOption*, Environment*);
  void (*DestroyEnvironment)(Environment);
  StatusCode (*CreateModelFromBuffer)(Environment, const void*, std::size_t, Model*);
  void (*DestroyModel)(Model);
  StatusCode (*GetNumModelSubgraphs)(Model, Index*);
  StatusCode (*GetModelSubgraph)(Model, Index, Subgraph*);
  StatusCode (*GetNumSubgraphInputs)(Subgraph, Index*);
  StatusCode (*GetNumSubgraphOutputs)(Subgraph, Index*);
  StatusCode (*GetSubgraphInput)(Subgraph, Index, Tensor*);
  StatusCode (*GetSubgraphOutput)(Subgraph, Index, Tensor*);
  StatusCode (*GetTensorName)(Tensor, const char**);
  StatusCode (*GetNumModelSignatures)(Model, Index*);
  StatusCode (*GetModelSignature)(Model, Index, Signature*);
  StatusCode (*GetNumSignatureOutputs)(Signature, Index*);
  StatusCode (*GetSignatureOutputName)(Signature, Index, const char**);
  StatusCode (*GetSignatureOutputTensorByIndex)(Signature, Index, Tensor*);
  StatusCode (*GetRankedTensorType)(Tensor, RankedTensorType*);
  StatusCode (*GetQuantizationTypeId)(Tensor, int*);
  StatusCode (*GetPerTensorQuantization)(Tensor, PerTensorQuantization*);
  StatusCode (*CreateOptions)(Options*);
  void (*DestroyOptions)(Options);
  StatusCode (*SetOptionsHardwareAccelerators)(Options, int);
  StatusCode (*CreateOpaqueOptions)(const char*, void*, void (*)(void*), OpaqueOptions*);
  StatusCode (*AddOpaqueOptions)(Options, OpaqueOptions);
  StatusCode (*CreateCompiledModel)(Environment, Model, Options, CompiledModel*);
  void (*DestroyCompiledModel)(CompiledModel);
  StatusCode (*CompiledModelResizeInputTensor)(CompiledModel, Index, Index, const int*,
                                               std::size_t);
  StatusCode (*GetCompiledModelInputBufferRequirements)(CompiledModel, Index, Index, Requirements*);
  StatusCode (*GetCompiledModelOutputBufferRequirements)(CompiledModel, Index, Index,
                                                         Requirements*);
  StatusCode (*CreateManagedTensorBufferFromRequirements)(Environment, const RankedTensorType*,
                                                          Requirements, TensorBuffer*);
  void (*DestroyTensorBuffer)(TensorBuffer);
  StatusCode (*GetTensorBufferPackedSize)(TensorBuffer, std::size_t*);
  StatusCode (*LockTensorBuffer)(TensorBuffer, void**, int);
  StatusCode (*UnlockTensorBuffer)(TensorBuffer);
  StatusCode (*RunCompiledModel)(CompiledModel, Index, std::size_t, TensorBuffer*, std::size_t,
                                 TensorBuffer*);
};

}  // namespace tinylcm::model::litert
