#include "protocol/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "base/json.h"
#include "base/text.h"

namespace protocol {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::JsonReader;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

// Data is copied as it stands in memory.
static_assert(std::endian::native == std::endian::little);

struct TypeName {
  Safetensors::Type type;
  const char* name;
  std::size_t bytes;
};
constexpr std::array<TypeName, 6> kTypes = {{{Safetensors::Type::kF32, "F32", 4},
                                             {Safetensors::Type::kU8, "U8", 1},
                                             {Safetensors::Type::kI8, "I8", 1},
                                             {Safetensors::Type::kU16, "U16", 2},
                                             {Safetensors::Type::kI32, "I32", 4},
                                             {Safetensors::Type::kI64, "I64", 8}}};

const TypeName& NameOf(Safetensors::Type type) {
  for (const TypeName& known : kTypes) {
    if (known.type == type) return known;
  }
  return kTypes[0];
}

constexpr std::size_t kPrefixBytes = 8;
constexpr std::string_view kMetadata = "__metadata__";

Error Corrupt(std::string_view reason) {
  return {ErrorCode::kCorrupt, StrCat("safetensors: ", reason)};
}

std::string ShapeText(const std::vector<std::size_t>& shape) {
  std::string text = "[";
  for (const std::size_t size : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(size);
  }
  return text + "]";
}

}  // namespace

std::size_t Safetensors::Tensor::count() const {
  std::size_t count = 1;
  for (const std::size_t size : shape) count *= size;
  return count;
}

Result<Safetensors> Safetensors::Parse(base::ByteView file, const Limits& limits) {
  if (file.size() > limits.bytes_max) {
    return Error{ErrorCode::kExhausted, StrCat("safetensors: ", file.size(), " bytes, at most ",
                                               limits.bytes_max, " are read")};
  }
  if (file.size() < kPrefixBytes) return Corrupt("shorter than its own length");
  std::uint64_t header_bytes = 0;
  for (std::size_t i = kPrefixBytes; i > 0; --i) header_bytes = (header_bytes << 8) | file[i - 1];
  if (header_bytes > limits.header_bytes_max) {
    return Error{ErrorCode::kExhausted,
                 StrCat("safetensors: a header of ", header_bytes, " bytes")};
  }
  if (header_bytes > file.size() - kPrefixBytes) return Corrupt("ends within its header");
  const base::ByteView header = file.subspan(kPrefixBytes, static_cast<std::size_t>(header_bytes));
  const base::ByteView data = file.subspan(kPrefixBytes + static_cast<std::size_t>(header_bytes));
  ASSIGN_OR_RETURN(
      const Json json,
      Json::Parse(base::AsText(header), {.bytes_max = limits.header_bytes_max, .depth_max = 4}));
  if (!json.is_object()) return Corrupt("its header is no object");
  if (json.as_object().size() > limits.tensors_max + 1) {
    return Error{ErrorCode::kExhausted,
                 StrCat("safetensors: more than ", limits.tensors_max, " tensors")};
  }

  Safetensors result;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [name, value] : json.as_object()) {
    if (name == kMetadata) {
      if (!value.is_object()) return Corrupt("its metadata is no object");
      for (const auto& [key, text] : value.as_object()) {
        if (!text.is_string()) return Corrupt("its metadata holds something else than texts");
        result.metadata_[key] = text.as_string();
      }
      continue;
    }
    JsonReader reader(value, StrCat("safetensors: ", name));
    const std::string type_name = reader.String("dtype");
    Tensor tensor;
    std::uint64_t count = 1;
    for (JsonReader& size : reader.Array("shape", 8)) {
      const std::int64_t side = size.AsInt();
      if (side < 0) return Corrupt(StrCat(name, ": a negative size"));
      const auto positive = static_cast<std::uint64_t>(side);
      if (positive != 0 && count > limits.bytes_max / positive) {
        return Corrupt(StrCat(name, ": its shape is beyond the file"));
      }
      count *= positive;
      tensor.shape.push_back(static_cast<std::size_t>(positive));
    }
    std::vector<std::uint64_t> offsets;
    for (JsonReader& offset : reader.Array("data_offsets", 2)) {
      const std::int64_t at = offset.AsInt();
      if (at < 0) return Corrupt(StrCat(name, ": a negative offset"));
      offsets.push_back(static_cast<std::uint64_t>(at));
    }
    if (!reader.status().ok()) return Corrupt(reader.status().error().message);
    const auto type = std::find_if(kTypes.begin(), kTypes.end(),
                                   [&](const TypeName& known) { return type_name == known.name; });
    if (type == kTypes.end()) {
      return Error{ErrorCode::kUnsupported,
                   StrCat("safetensors: ", name, ": type '", type_name, "'")};
    }
    tensor.type = type->type;
    if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data.size()) {
      return Corrupt(StrCat(name, ": lies outside the file"));
    }
    if (offsets[1] - offsets[0] != count * type->bytes) {
      return Corrupt(StrCat(name, ": its size is not that of its shape"));
    }
    const base::ByteView bytes = data.subspan(static_cast<std::size_t>(offsets[0]),
                                              static_cast<std::size_t>(offsets[1] - offsets[0]));
    tensor.data.assign(bytes.begin(), bytes.end());
    ranges.emplace_back(offsets[0], offsets[1]);
    result.tensors_.emplace(name, std::move(tensor));
  }
  // Side by side from the first byte to the last: nothing overlaps and nothing hides in a gap.
  std::sort(ranges.begin(), ranges.end());
  std::uint64_t end = 0;
  for (const auto& [begin, next] : ranges) {
    if (begin < end) return Corrupt("two tensors overlap");
    if (begin > end) return Corrupt("there is a gap between tensors");
    end = next;
  }
  if (end != data.size()) return Corrupt("there is something behind the last tensor");
  return result;
}

base::Bytes Safetensors::Write() const {
  Json header = Json::MakeObject();
  if (!metadata_.empty()) {
    Json texts = Json::MakeObject();
    for (const auto& [key, text] : metadata_) texts.Set(key, text);
    header.Set(std::string(kMetadata), std::move(texts));
  }
  std::size_t offset = 0;
  for (const auto& [name, tensor] : tensors_) {
    Json shape = Json::MakeArray();
    for (const std::size_t size : tensor.shape) shape.Append(size);
    header.Set(name, Json::MakeObject({{"dtype", NameOf(tensor.type).name},
                                       {"shape", std::move(shape)},
                                       {"data_offsets",
                                        Json(Json::Array{offset, offset + tensor.data.size()})}}));
    offset += tensor.data.size();
  }
  std::string text = header.Write();
  // So that the data begins at a multiple of 8 and may be mapped.
  while (text.size() % 8 != 0) text += ' ';
  base::Bytes file;
  file.reserve(kPrefixBytes + text.size() + offset);
  for (unsigned shift = 0; shift < 64; shift += 8) {
    file.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(text.size()) >> shift));
  }
  file.insert(file.end(), text.begin(), text.end());
  for (const auto& [name, tensor] : tensors_) {
    file.insert(file.end(), tensor.data.begin(), tensor.data.end());
  }
  return file;
}

const Safetensors::Tensor* Safetensors::Find(std::string_view name) const {
  const auto found = tensors_.find(name);
  return found == tensors_.end() ? nullptr : &found->second;
}

void Safetensors::AddBytes(std::string name, Type type, std::vector<std::size_t> shape,
                           base::ByteView data) {
  Tensor tensor{type, std::move(shape), {data.begin(), data.end()}};
  CHECK(tensor.count() * NameOf(type).bytes == data.size());
  tensors_.insert_or_assign(std::move(name), std::move(tensor));
}

Result<const Safetensors::Tensor*> Safetensors::Get(std::string_view name, Type type) const {
  const Tensor* tensor = Find(name);
  if (tensor == nullptr) {
    return Error{ErrorCode::kNotFound, StrCat("safetensors: no tensor '", name, "'")};
  }
  if (tensor->type != type) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("safetensors: ", name, ": is ", NameOf(tensor->type).name, ", expected ",
                        NameOf(type).name)};
  }
  return tensor;
}

Status Safetensors::CheckShape(std::string_view name, const std::vector<std::size_t>& shape) const {
  const Tensor* tensor = Find(name);
  if (tensor == nullptr) {
    return Error{ErrorCode::kNotFound, StrCat("safetensors: no tensor '", name, "'")};
  }
  bool same = tensor->shape.size() == shape.size();
  for (std::size_t i = 0; same && i < shape.size(); ++i) {
    same = shape[i] == 0 || shape[i] == tensor->shape[i];
  }
  if (same) return {};
  return Error{ErrorCode::kInvalidArgument,
               StrCat("safetensors: ", name, ": shape ", ShapeText(tensor->shape), ", expected ",
                      ShapeText(shape))};
}

void Safetensors::CopyTo(const Tensor& tensor, std::uint8_t* out) {
  if (!tensor.data.empty()) std::memcpy(out, tensor.data.data(), tensor.data.size());
}

}  // namespace protocol
