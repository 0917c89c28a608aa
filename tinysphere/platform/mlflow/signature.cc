#include "tinysphere/platform/mlflow/signature.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include "base/text.h"

namespace tinysphere::mlflow {

using base::ByteView;
using base::Error;
using base::ErrorCode;

namespace {

constexpr std::size_t kTensorsMax = 64;  // Inputs or outputs of a model.
constexpr std::size_t kRankMax = 16;
constexpr std::size_t kNameBytesMax = 512;

// A name as text that JSON takes.
std::string Printable(std::string_view name) {
  std::string clean(name.substr(0, kNameBytesMax));
  for (char& c : clean) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return clean;
}

// ---- FlatBuffers ------------------------------------------------------------------------------

// A position in the buffer; every read is bounds-checked and a wrong one makes the whole corrupt.
class Flat {
 public:
  explicit Flat(ByteView bytes) : bytes_(bytes) {}

  bool is_corrupt() const { return is_corrupt_; }
  std::size_t size() const { return bytes_.size(); }

  template <typename T>
  T Read(std::size_t at) {
    T value{};
    if (at > bytes_.size() || bytes_.size() - at < sizeof(T)) {
      is_corrupt_ = true;
      return value;
    }
    std::memcpy(&value, bytes_.data() + at, sizeof(T));
    return value;
  }
  // Where an offset that lies at `at` leads.
  std::size_t Follow(std::size_t at) {
    const auto offset = Read<std::uint32_t>(at);
    if (offset == 0 || at + offset >= bytes_.size()) is_corrupt_ = true;
    return is_corrupt_ ? 0 : at + offset;
  }
  // Where field number `field` of the table at `table` lies; 0 where it is left out.
  std::size_t Field(std::size_t table, std::size_t field) {
    const auto back = Read<std::int32_t>(table);
    const std::int64_t vtable = static_cast<std::int64_t>(table) - back;
    if (vtable < 0 || vtable >= static_cast<std::int64_t>(bytes_.size())) {
      is_corrupt_ = true;
      return 0;
    }
    const auto start = static_cast<std::size_t>(vtable);
    const auto bytes = Read<std::uint16_t>(start);
    const std::size_t entry = 4 + 2 * field;
    if (entry + 2 > bytes) return 0;
    const auto offset = Read<std::uint16_t>(start + entry);
    return offset == 0 ? 0 : table + offset;
  }
  // The first element of the vector in that field, and how many there are; 0 where there is none.
  std::size_t Vector(std::size_t table, std::size_t field, std::size_t element_bytes,
                     std::size_t& count) {
    count = 0;
    const std::size_t at = Field(table, field);
    if (at == 0) return 0;
    const std::size_t start = Follow(at);
    if (is_corrupt_) return 0;
    const auto stated = Read<std::uint32_t>(start);
    if (is_corrupt_ || stated > (bytes_.size() - start - 4) / element_bytes) {
      is_corrupt_ = true;
      return 0;
    }
    count = stated;
    return start + 4;
  }
  std::string Text(std::size_t table, std::size_t field) {
    std::size_t count = 0;
    const std::size_t at = Vector(table, field, 1, count);
    if (count == 0) return "";
    return Printable(base::AsText(bytes_.subspan(at, std::min(count, kNameBytesMax))));
  }
  std::vector<std::int64_t> Ints(std::size_t table, std::size_t field, std::size_t count_max) {
    std::size_t count = 0;
    const std::size_t at = Vector(table, field, 4, count);
    if (count > count_max) is_corrupt_ = true;
    std::vector<std::int64_t> values;
    for (std::size_t i = 0; i < count && !is_corrupt_; ++i) {
      values.push_back(Read<std::int32_t>(at + 4 * i));
    }
    return values;
  }

 private:
  ByteView bytes_;
  bool is_corrupt_ = false;
};

const char* TfliteType(int type) {
  constexpr const char* kNames[] = {"float32", "float16", "int32",     "uint8", "int64",  "",
                                    "bool",    "int16",   "complex64", "int8",  "float64"};
  return type >= 0 && type < static_cast<int>(std::size(kNames)) ? kNames[type] : "";
}

// ---- Protocol Buffers --------------------------------------------------------------------------

struct Field {
  std::uint32_t number = 0;
  std::uint64_t value = 0;  // A varint's.
  ByteView bytes{};         // A length-delimited one's.
  bool is_bytes = false;
};

// Walks over the fields of a message.
class Message {
 public:
  explicit Message(ByteView bytes) : left_(bytes) {}

  bool is_corrupt() const { return is_corrupt_; }
  std::optional<Field> Next() {
    if (left_.empty() || is_corrupt_) return std::nullopt;
    const std::uint64_t key = Varint();
    Field field{.number = static_cast<std::uint32_t>(key >> 3)};
    switch (key & 7) {
      case 0:
        field.value = Varint();
        break;
      case 1:
        Skip(8);
        break;
      case 2: {
        const std::uint64_t bytes = Varint();
        if (is_corrupt_ || bytes > left_.size()) {
          is_corrupt_ = true;
          return std::nullopt;
        }
        field.bytes = left_.first(static_cast<std::size_t>(bytes));
        field.is_bytes = true;
        left_ = left_.subspan(static_cast<std::size_t>(bytes));
        break;
      }
      case 5:
        Skip(4);
        break;
      default:
        is_corrupt_ = true;
    }
    if (is_corrupt_) return std::nullopt;
    return field;
  }

 private:
  void Skip(std::size_t bytes) {
    if (bytes > left_.size()) {
      is_corrupt_ = true;
      return;
    }
    left_ = left_.subspan(bytes);
  }
  std::uint64_t Varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !left_.empty(); shift += 7) {
      const std::uint8_t byte = left_.front();
      left_ = left_.subspan(1);
      value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    is_corrupt_ = true;
    return 0;
  }

  ByteView left_;
  bool is_corrupt_ = false;
};

// The first field of that number that is a message or text; nothing if there is none.
ByteView Inner(ByteView message, std::uint32_t number, bool& is_corrupt) {
  Message walk(message);
  ByteView found;
  while (const auto field = walk.Next()) {
    if (field->number == number && field->is_bytes) found = field->bytes;
  }
  is_corrupt = is_corrupt || walk.is_corrupt();
  return found;
}

const char* OnnxType(std::uint64_t type) {
  constexpr const char* kNames[] = {"",        "float32", "uint8",  "int8",  "uint16",
                                    "int16",   "int32",   "int64",  "",      "bool",
                                    "float16", "float64", "uint32", "uint64"};
  return type < std::size(kNames) ? kNames[type] : "";
}

Error Corrupt(std::string_view what) {
  return {ErrorCode::kCorrupt, base::StrCat("model: ", what)};
}

// ValueInfoProto: name = 1, type = 2; TypeProto: tensor_type = 1; Tensor: elem_type = 1, shape = 2;
// TensorShapeProto: dim = 1; Dimension: dim_value = 1.
base::Result<TensorSpec> ReadValueInfo(ByteView value) {
  bool is_corrupt = false;
  TensorSpec spec{
      .name = Printable(base::AsText(Inner(value, 1, is_corrupt))), .dtype = "", .shape = {}};
  const ByteView tensor = Inner(Inner(value, 2, is_corrupt), 1, is_corrupt);
  Message walk(tensor);
  ByteView shape;
  while (const auto field = walk.Next()) {
    if (field->number == 1 && !field->is_bytes) spec.dtype = OnnxType(field->value);
    if (field->number == 2 && field->is_bytes) shape = field->bytes;
  }
  Message dimensions(shape);
  while (const auto dimension = dimensions.Next()) {
    if (dimension->number != 1 || !dimension->is_bytes) continue;
    std::int64_t size = -1;
    Message dim(dimension->bytes);
    while (const auto field = dim.Next()) {
      if (field->number == 1 && !field->is_bytes && field->value <= INT32_MAX) {
        size = static_cast<std::int64_t>(field->value);
      }
    }
    is_corrupt = is_corrupt || dim.is_corrupt();
    spec.shape.push_back(size <= 0 ? -1 : size);
  }
  if (is_corrupt || walk.is_corrupt() || dimensions.is_corrupt() || spec.shape.size() > kRankMax) {
    return Corrupt("a tensor's description is damaged");
  }
  if (spec.dtype.empty())
    return Corrupt("the tensor " + spec.name + " is of no type that is known");
  return spec;
}

}  // namespace

base::Result<Signature> ReadTfliteSignature(ByteView model) {
  Flat flat(model);
  if (model.size() < 8 || base::AsText(model.subspan(4, 4)) != "TFL3") {
    return Corrupt("no TFLite file of version 3");
  }
  // Model: subgraphs = 2; SubGraph: tensors = 0, inputs = 1, outputs = 2.
  const std::size_t root = flat.Follow(0);
  std::size_t count = 0;
  const std::size_t subgraphs = flat.Vector(root, 2, 4, count);
  if (flat.is_corrupt() || count == 0) return Corrupt("no graph in it");
  const std::size_t graph = flat.Follow(subgraphs);
  std::size_t tensor_count = 0;
  const std::size_t tensors = flat.Vector(graph, 0, 4, tensor_count);
  const auto read = [&](std::size_t field) -> base::Result<std::vector<TensorSpec>> {
    std::vector<TensorSpec> specs;
    for (const std::int64_t index : flat.Ints(graph, field, kTensorsMax)) {
      if (index < 0 || static_cast<std::size_t>(index) >= tensor_count) {
        return Corrupt("a tensor is named that is not there");
      }
      // Tensor: shape = 0, type = 1, name = 3, shape_signature = 7.
      const std::size_t tensor = flat.Follow(tensors + 4 * static_cast<std::size_t>(index));
      if (flat.is_corrupt()) break;
      const std::size_t type_at = flat.Field(tensor, 1);
      const int type = type_at == 0 ? 0 : flat.Read<std::int8_t>(type_at);
      TensorSpec spec{.name = flat.Text(tensor, 3),
                      .dtype = TfliteType(type),
                      .shape = flat.Ints(tensor, 7, kRankMax)};
      if (spec.shape.empty()) spec.shape = flat.Ints(tensor, 0, kRankMax);
      if (spec.dtype.empty()) return Corrupt("the tensor " + spec.name + " is of no known type");
      specs.push_back(std::move(spec));
    }
    if (flat.is_corrupt()) return Corrupt("an offset leads outside the file");
    if (specs.empty()) return Corrupt("its graph takes or gives nothing");
    return specs;
  };
  Signature signature;
  ASSIGN_OR_RETURN(signature.inputs, read(1));
  ASSIGN_OR_RETURN(signature.outputs, read(2));
  return signature;
}

base::Result<Signature> ReadOnnxSignature(ByteView model) {
  // ModelProto: graph = 7; GraphProto: initializer = 5 (its name = 8), input = 11, output = 12.
  bool is_corrupt = false;
  const ByteView graph = Inner(model, 7, is_corrupt);
  if (is_corrupt || graph.empty()) return Corrupt("no ONNX file, or a damaged one");
  std::set<std::string> initializers;
  std::vector<ByteView> inputs;
  std::vector<ByteView> outputs;
  Message walk(graph);
  while (const auto field = walk.Next()) {
    if (!field->is_bytes) continue;
    if (field->number == 5) {
      initializers.insert(Printable(base::AsText(Inner(field->bytes, 8, is_corrupt))));
    }
    if (field->number == 11) inputs.push_back(field->bytes);
    if (field->number == 12) outputs.push_back(field->bytes);
  }
  if (is_corrupt || walk.is_corrupt()) return Corrupt("its graph is damaged");
  Signature signature;
  for (const ByteView input : inputs) {
    // Up to IR 3 the weights stand among the inputs, too.
    const std::string name = Printable(base::AsText(Inner(input, 1, is_corrupt)));
    if (initializers.contains(name)) continue;
    ASSIGN_OR_RETURN(TensorSpec spec, ReadValueInfo(input));
    signature.inputs.push_back(std::move(spec));
  }
  for (const ByteView output : outputs) {
    ASSIGN_OR_RETURN(TensorSpec spec, ReadValueInfo(output));
    signature.outputs.push_back(std::move(spec));
  }
  if (signature.inputs.empty() || signature.outputs.empty() ||
      signature.inputs.size() > kTensorsMax || signature.outputs.size() > kTensorsMax) {
    return Corrupt("its graph takes or gives nothing, or too much");
  }
  return signature;
}

}  // namespace tinysphere::mlflow
