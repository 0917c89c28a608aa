// Safetensors: named arrays in one file, nothing that could run. The format of the Hugging Face
// project: 8 bytes little-endian header length, a JSON header, the data.
// docs/formats/safetensors.md says what is read of it.

#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace protocol {

class Safetensors {
 public:
  enum class Type { kF32, kU8, kI8, kU16, kI32, kI64 };

  struct Tensor {
    Type type = Type::kF32;
    std::vector<std::size_t> shape;
    base::Bytes data;  // Little-endian, row-major.

    std::size_t count() const;  // Elements.
    friend bool operator==(const Tensor&, const Tensor&) = default;
  };

  struct Limits {
    std::size_t header_bytes_max = 1u << 20;
    std::size_t tensors_max = 4096;
    std::size_t bytes_max = std::size_t{1} << 30;
  };

  // kCorrupt where it is malformed, tensors overlap, leave a gap or lie outside; kUnsupported for a
  // type that is not above; kExhausted over a limit.
  static base::Result<Safetensors> Parse(base::ByteView file, const Limits& limits);
  static base::Result<Safetensors> Parse(base::ByteView file) { return Parse(file, Limits{}); }
  base::Bytes Write() const;

  // float, uint8_t, int8_t, uint16_t, int32_t or int64_t. Replaces one of the same name.
  // REQUIRES: the product of `shape` is values.size().
  template <typename T>
  void Add(std::string name, std::vector<std::size_t> shape, std::span<const T> values) {
    AddBytes(std::move(name), TypeOf<T>(), std::move(shape),
             {reinterpret_cast<const std::uint8_t*>(values.data()), values.size_bytes()});
  }
  template <typename T>
  void Add(std::string name, std::vector<std::size_t> shape, const std::vector<T>& values) {
    Add(std::move(name), std::move(shape), std::span<const T>(values));
  }

  // kNotFound, or kInvalidArgument if it has another type.
  template <typename T>
  base::Result<std::vector<T>> Values(std::string_view name) const {
    ASSIGN_OR_RETURN(const Tensor* tensor, Get(name, TypeOf<T>()));
    std::vector<T> values(tensor->count());
    CopyTo(*tensor, reinterpret_cast<std::uint8_t*>(values.data()));
    return values;
  }
  // The same, and kInvalidArgument unless the shape is this one. 0 stands for any size.
  template <typename T>
  base::Result<std::vector<T>> Values(std::string_view name,
                                      const std::vector<std::size_t>& shape) const {
    RETURN_IF_ERROR(CheckShape(name, shape));
    return Values<T>(name);
  }

  const Tensor* Find(std::string_view name) const;  // nullptr if there is none.
  const std::map<std::string, Tensor, std::less<>>& tensors() const { return tensors_; }

  // "__metadata__": texts by name.
  std::map<std::string, std::string, std::less<>>& metadata() { return metadata_; }
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }

  friend bool operator==(const Safetensors&, const Safetensors&) = default;

 private:
  template <typename T>
  static constexpr Type TypeOf() {
    if constexpr (std::is_same_v<T, float>) {
      return Type::kF32;
    } else if constexpr (std::is_same_v<T, std::uint8_t>) {
      return Type::kU8;
    } else if constexpr (std::is_same_v<T, std::int8_t>) {
      return Type::kI8;
    } else if constexpr (std::is_same_v<T, std::uint16_t>) {
      return Type::kU16;
    } else if constexpr (std::is_same_v<T, std::int32_t>) {
      return Type::kI32;
    } else {
      static_assert(std::is_same_v<T, std::int64_t>, "a type that safetensors.h lists");
      return Type::kI64;
    }
  }

  void AddBytes(std::string name, Type type, std::vector<std::size_t> shape, base::ByteView data);
  base::Result<const Tensor*> Get(std::string_view name, Type type) const;
  base::Status CheckShape(std::string_view name, const std::vector<std::size_t>& shape) const;
  static void CopyTo(const Tensor& tensor, std::uint8_t* out);

  std::map<std::string, Tensor, std::less<>> tensors_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

}  // namespace protocol
