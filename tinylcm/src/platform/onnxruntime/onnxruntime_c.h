// The part of ONNX Runtime's C interface that is used, in our own words (API version 21). A user's
// build then needs no headers of it; the library is opened at run time.
//
// The library exports one function that gives a table of function addresses, in an order that never
// changes: a version only appends. So each function is a place in the table and a type.
// tools/checks/runtime_headers.py compares both with the real header.

#pragma once

#include <cstddef>
#include <cstdint>

namespace tinylcm::model::ort {

struct StatusT;
struct EnvT;
struct SessionOptionsT;
struct SessionT;
struct RunOptionsT;
struct ValueT;
struct MemoryInfoT;
struct AllocatorT;
struct TypeInfoT;
struct TensorInfoT;
using Status = StatusT*;  // Null: it went well.

inline constexpr std::uint32_t kApiVersion = 21;
inline constexpr int kLogFatal = 4;
inline constexpr int kOptimiseAll = 99;
inline constexpr int kArenaAllocator = 1;
inline constexpr int kMemoryDefault = 0;

inline constexpr int kFloat32 = 1;
inline constexpr int kUInt8 = 2;
inline constexpr int kInt8 = 3;

inline constexpr int kErrorNotImplemented = 9;

// What OrtGetApiBase() returns.
struct ApiBase {
  const void* const* (*GetApi)(std::uint32_t version);  // Null: the library is older.
  const char* (*GetVersionString)();
};

// X(name, place in the table, result, arguments)
#define TINYLCM_ORT_FUNCTIONS(X)                                                               \
  X(GetErrorCode, 1, int, (const StatusT*))                                                    \
  X(GetErrorMessage, 2, const char*, (const StatusT*))                                         \
  X(CreateEnv, 3, Status, (int, const char*, EnvT**))                                          \
  X(CreateSessionFromArray, 8, Status,                                                         \
    (const EnvT*, const void*, std::size_t, const SessionOptionsT*, SessionT**))               \
  X(Run, 9, Status,                                                                            \
    (SessionT*, const RunOptionsT*, const char* const*, const ValueT* const*, std::size_t,     \
     const char* const*, std::size_t, ValueT**))                                               \
  X(CreateSessionOptions, 10, Status, (SessionOptionsT**))                                     \
  X(SetSessionGraphOptimizationLevel, 23, Status, (SessionOptionsT*, int))                     \
  X(SetIntraOpNumThreads, 24, Status, (SessionOptionsT*, int))                                 \
  X(SetInterOpNumThreads, 25, Status, (SessionOptionsT*, int))                                 \
  X(SessionGetInputCount, 30, Status, (const SessionT*, std::size_t*))                         \
  X(SessionGetOutputCount, 31, Status, (const SessionT*, std::size_t*))                        \
  X(SessionGetInputTypeInfo, 33, Status, (const SessionT*, std::size_t, TypeInfoT**))          \
  X(SessionGetOutputTypeInfo, 34, Status, (const SessionT*, std::size_t, TypeInfoT**))         \
  X(SessionGetInputName, 36, Status, (const SessionT*, std::size_t, AllocatorT*, char**))      \
  X(SessionGetOutputName, 37, Status, (const SessionT*, std::size_t, AllocatorT*, char**))     \
  X(CreateTensorWithDataAsOrtValue, 49, Status,                                                \
    (const MemoryInfoT*, void*, std::size_t, const std::int64_t*, std::size_t, int, ValueT**)) \
  X(CastTypeInfoToTensorInfo, 55, Status, (const TypeInfoT*, const TensorInfoT**))             \
  X(GetTensorElementType, 60, Status, (const TensorInfoT*, int*))                              \
  X(GetDimensionsCount, 61, Status, (const TensorInfoT*, std::size_t*))                        \
  X(GetDimensions, 62, Status, (const TensorInfoT*, std::int64_t*, std::size_t))               \
  X(CreateCpuMemoryInfo, 69, Status, (int, int, MemoryInfoT**))                                \
  X(AllocatorFree, 76, Status, (AllocatorT*, void*))                                           \
  X(GetAllocatorWithDefaultOptions, 78, Status, (AllocatorT**))                                \
  X(ReleaseEnv, 92, void, (EnvT*))                                                             \
  X(ReleaseStatus, 93, void, (StatusT*))                                                       \
  X(ReleaseMemoryInfo, 94, void, (MemoryInfoT*))                                               \
  X(ReleaseSession, 95, void, (SessionT*))                                                     \
  X(ReleaseValue, 96, void, (ValueT*))                                                         \
  X(ReleaseTypeInfo, 98, void, (TypeInfoT*))                                                   \
  X(ReleaseSessionOptions, 100, void, (SessionOptionsT*))                                      \
  X(GetAvailableProviders, 125, Status, (char***, int*))                                       \
  X(ReleaseAvailableProviders, 126, Status, (char**, int))                                     \
  X(AddSessionConfigEntry, 130, Status, (SessionOptionsT*, const char*, const char*))          \
  X(SessionOptionsAppendExecutionProvider, 216, Status,                                        \
    (SessionOptionsT*, const char*, const char* const*, const char* const*, std::size_t))

struct Functions {
#define X(name, place, result, arguments) result(*name) arguments;
  TINYLCM_ORT_FUNCTIONS(X)
#undef X
};

}  // namespace tinylcm::model::ort
