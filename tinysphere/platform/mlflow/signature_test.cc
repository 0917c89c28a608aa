#include "tinysphere/platform/mlflow/signature.h"

#include <gtest/gtest.h>

#include "base/file_system.h"
#include "base/random.h"
#include "tinysphere/platform/mlflow/model_files.h"

namespace tinysphere::mlflow {
namespace {

base::Bytes Model(const std::string& name) {
  auto bytes = base::ReadFile(base::SystemFileSystem(), "tests/models/" + name, 16u << 20);
  EXPECT_TRUE(bytes.ok()) << name;
  return bytes.ok() ? *bytes : base::Bytes();
}

// tests/models/make_models.py says what they take: 16 rows of 24 RGB pixels; three outputs.
TEST(Signature, OfATfliteFileIsWhatItsInterpreterSays) {
  const auto floats = ReadTfliteSignature(Model("float.tflite"));
  ASSERT_TRUE(floats.ok()) << floats.error().message;
  ASSERT_EQ(floats->inputs.size(), 1u);
  EXPECT_EQ(floats->inputs[0].dtype, "float32");
  EXPECT_EQ(floats->inputs[0].shape.size(), 4u);
  EXPECT_EQ(floats->inputs[0].shape, (std::vector<std::int64_t>{-1, 16, 24, 3}));
  EXPECT_EQ(floats->outputs.size(), 3u);
  const auto bytes = ReadTfliteSignature(Model("int8.tflite"));
  ASSERT_TRUE(bytes.ok()) << bytes.error().message;
  EXPECT_TRUE(bytes->inputs[0].dtype == "int8" || bytes->inputs[0].dtype == "uint8");
  EXPECT_EQ(bytes->inputs[0].shape, (std::vector<std::int64_t>{1, 16, 24, 3}));
}

TEST(Signature, OfAnOnnxFileNamesItsInputsAndNotItsWeights) {
  const auto read = ReadOnnxSignature(Model("float.onnx"));
  ASSERT_TRUE(read.ok()) << read.error().message;
  ASSERT_EQ(read->inputs.size(), 1u);
  EXPECT_EQ(read->inputs[0].dtype, "float32");
  EXPECT_FALSE(read->outputs.empty());
}

TEST(Signature, ABatchIsAnyNumber) {
  EXPECT_EQ(TensorsJson({{.name = "x", .dtype = "uint8", .shape = {1, 96, 96, 3}}}),
            R"([{"type":"tensor","tensor-spec":{"dtype":"uint8","shape":[-1,96,96,3]}}])");
}

// Under AddressSanitizer this is the proof that nothing is read outside.
TEST(Signature, ADamagedFileIsRefusedOrReadButNeverReadBeyond) {
  constexpr std::uint64_t kSeed = 20261121;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  base::Random random(kSeed);
  for (const char* name : {"float.tflite", "int8.tflite", "float.onnx", "int8.onnx"}) {
    const base::Bytes model = Model(name);
    const bool is_onnx = std::string(name).ends_with(".onnx");
    for (int i = 0; i < 500; ++i) {
      base::Bytes damaged = model;
      if (i % 2 == 0) damaged.resize(random.Below(damaged.size()));
      for (int j = 0; j < 8 && !damaged.empty(); ++j) {
        // Most of the graph's tables lie near the ends.
        const std::uint64_t near = random.Below(std::min<std::uint64_t>(damaged.size(), 2000));
        const std::size_t at = j % 2 == 0 ? near : damaged.size() - 1 - near;
        damaged[at] = static_cast<std::uint8_t>(random.Next());
      }
      const auto read = is_onnx ? ReadOnnxSignature(damaged) : ReadTfliteSignature(damaged);
      EXPECT_TRUE(read.ok() || read.error().code == base::ErrorCode::kCorrupt);
    }
  }
}

TEST(Signature, AFileOfAnotherKindIsRefused) {
  EXPECT_FALSE(ReadTfliteSignature(Model("float.onnx")).ok());
  EXPECT_FALSE(ReadTfliteSignature({}).ok());
  EXPECT_FALSE(ReadOnnxSignature({}).ok());
}

}  // namespace
}  // namespace tinysphere::mlflow
