// Result: either the value asked for, or the reason there is none.
//
// Errors that can happen in the field are values, never exceptions. The type is [[nodiscard]], so
// an ignored error is a compile error. A message says what was attempted and on what:
// "package 41: manifest: sha256 differs".

#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace base {

// Few codes; each answers what the caller can do about it.
enum class ErrorCode {
  kInvalidArgument,   // Fix the call or the input.
  kNotFound,          // It is not there.
  kCorrupt,           // Throw it away, or roll back.
  kUnavailable,       // Later (network, busy).
  kExhausted,         // Shed load: full disk, full queue, over a limit.
  kUnsupported,       // This build or this format cannot.
  kPermissionDenied,  // A signature, a key or a role is missing or wrong.
  kConflict,          // Something else already stands there.
  kInternal,          // Report it.
};

// "invalid_argument", "not_found", ... as used in JSON and logs.
const char* Name(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;

  // The same error, one step further out: "enrol: " + message.
  Error Within(const std::string& where) const { return {code, where + ": " + message}; }
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : data_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : data_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return data_.index() == 0; }

  // REQUIRES: ok().
  T& value() & {
    CHECK(ok());
    return std::get<0>(data_);
  }
  const T& value() const& {
    CHECK(ok());
    return std::get<0>(data_);
  }
  T&& value() && {
    CHECK(ok());
    return std::get<0>(std::move(data_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // REQUIRES: !ok().
  const Error& error() const {
    CHECK(!ok());
    return std::get<1>(data_);
  }

 private:
  std::variant<T, Error> data_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return !error_.has_value(); }
  const Error& error() const {
    CHECK(!ok());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace base

#define BASE_CONCAT_INNER(a, b) a##b
#define BASE_CONCAT(a, b) BASE_CONCAT_INNER(a, b)

// RETURN_IF_ERROR(Verify(package));
#define RETURN_IF_ERROR(expression)                         \
  do {                                                      \
    auto base_status = (expression);                        \
    if (!base_status.ok()) return base_status.error();      \
  } while (false)

// ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(package));
#define ASSIGN_OR_RETURN(declaration, expression) \
  ASSIGN_OR_RETURN_INNER(BASE_CONCAT(base_result_, __LINE__), declaration, expression)
#define ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                   \
  if (!result.ok()) return result.error();                      \
  declaration = std::move(result).value()
