#include "protocol/safetensors.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace protocol {
namespace {

using base::Bytes;
using base::ErrorCode;

// A file around a header as it stands.
Bytes File(const std::string& header, std::size_t data_bytes) {
  Bytes file(8, 0);
  for (std::size_t i = 0; i < 8; ++i) {
    file[i] = static_cast<std::uint8_t>(header.size() >> (8 * i));
  }
  file.insert(file.end(), header.begin(), header.end());
  file.resize(file.size() + data_bytes, 0);
  return file;
}

TEST(Safetensors, GoesThroughItsFile) {
  Safetensors tensors;
  tensors.Add<float>("anchors", {2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6.5f});
  tensors.Add<std::uint16_t>("labels", {2}, std::vector<std::uint16_t>{0, 65535});
  tensors.Add<std::int8_t>("int8", {1}, std::vector<std::int8_t>{-3});
  tensors.Add<std::uint8_t>("picture", {2, 2}, std::vector<std::uint8_t>{0, 1, 2, 255});
  tensors.Add<std::int32_t>("empty", {0, 4}, std::vector<std::int32_t>{});
  tensors.Add<std::int64_t>("scalar", {}, std::vector<std::int64_t>{INT64_MIN});
  tensors.metadata()["made_by"] = "a test";
  const Bytes file = tensors.Write();
  const Safetensors read = Safetensors::Parse(file).value();
  EXPECT_EQ(read, tensors);
  EXPECT_EQ(read.Values<float>("anchors").value(), (std::vector<float>{1, 2, 3, 4, 5, 6.5f}));
  EXPECT_EQ(read.Values<std::int64_t>("scalar").value(), (std::vector<std::int64_t>{INT64_MIN}));
  EXPECT_EQ(read.Write(), file);
}

TEST(Safetensors, ReadsTheDocumentedExample) {
  // The layout of the format's own documentation: a 2 x 2 F32 tensor.
  const std::string header = R"({"t":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})";
  EXPECT_EQ(Safetensors::Parse(File(header, 16))->Values<float>("t").value(),
            (std::vector<float>{0, 0, 0, 0}));
}

TEST(Safetensors, TellsAMissingTensorFromAWrongOne) {
  Safetensors tensors;
  tensors.Add<float>("t", {2, 3}, std::vector<float>(6));
  EXPECT_EQ(tensors.Values<float>("u").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(tensors.Values<std::uint8_t>("t").error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(tensors.Values<float>("t", {0, 3}).ok());
  EXPECT_EQ(tensors.Values<float>("t", {3, 2}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(tensors.Values<float>("t", {6}).error().message,
            "safetensors: t: shape [2, 3], expected [6]");
}

TEST(Safetensors, RefusesWhatOverlapsLeavesAGapOrLiesOutside) {
  const auto with = [](const char* a, const char* b) {
    return std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + a +
           R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}";
  };
  EXPECT_TRUE(Safetensors::Parse(File(with("[0,4]", "[4,8]"), 8)).ok());
  EXPECT_TRUE(Safetensors::Parse(File(with("[4,8]", "[0,4]"), 8)).ok());
  for (const auto& [a, b, bytes] : std::vector<std::tuple<const char*, const char*, std::size_t>>{
           {"[0,4]", "[2,6]", 6},  // Overlap.
           {"[0,4]", "[0,4]", 4},  // The same bytes twice.
           {"[0,4]", "[5,9]", 9},  // A gap.
           {"[0,4]", "[4,8]", 9},  // Something behind.
           {"[0,4]", "[4,8]", 7},  // Outside.
           {"[0,4]", "[8,4]", 8},  // Backwards.
           {"[0,4]", "[4,9]", 9},  // Not the size of its shape.
           {"[0,4]", "[-4,0]", 4},
           {"[0,4]", "[4]", 8}}) {
    const auto result = Safetensors::Parse(File(with(a, b), bytes));
    ASSERT_FALSE(result.ok()) << a << b;
    EXPECT_EQ(result.error().code, ErrorCode::kCorrupt) << result.error().message;
  }
}

TEST(Safetensors, RefusesShapesWhoseProductOverflows) {
  const std::string header =
      R"({"t":{"dtype":"U8","shape":[4294967296,4294967296,16],"data_offsets":[0,0]}})";
  EXPECT_EQ(Safetensors::Parse(File(header, 0)).error().code, ErrorCode::kCorrupt);
}

TEST(Safetensors, RefusesHeadersThatAreTooLongBrokenOrOfAnotherKind) {
  EXPECT_EQ(Safetensors::Parse(Bytes(7, 0)).error().code, ErrorCode::kCorrupt);
  Bytes huge(16, 0xff);
  EXPECT_EQ(Safetensors::Parse(huge).error().code, ErrorCode::kExhausted);
  EXPECT_EQ(Safetensors::Parse(base::ByteView(File("{}  ", 0)).first(10)).error().code,
            ErrorCode::kCorrupt);
  EXPECT_FALSE(Safetensors::Parse(File("[]", 0)).ok());
  EXPECT_FALSE(Safetensors::Parse(File("{", 0)).ok());
  EXPECT_EQ(Safetensors::Parse(File(R"({"t":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})", 8))
                .error()
                .code,
            ErrorCode::kUnsupported);
}

TEST(Safetensors, SurvivesAnyFlippedBit) {
  Safetensors tensors;
  tensors.Add<float>("a", {4}, std::vector<float>{1, 2, 3, 4});
  tensors.Add<std::uint16_t>("b", {2}, std::vector<std::uint16_t>{1, 2});
  const Bytes file = tensors.Write();
  for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
    Bytes flipped = file;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ (1u << (bit % 8)));
    const auto result = Safetensors::Parse(flipped);
    if (!result.ok()) continue;
    for (const auto& [name, tensor] : result->tensors()) EXPECT_LE(tensor.data.size(), 20u);
  }
}

}  // namespace
}  // namespace protocol
