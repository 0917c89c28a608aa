// What every engine promises, and that both agree on the same network. The models are made by
// tests/models/make_models.py: one set of weights as .tflite and as .onnx.

#include "tinylcm/model/engine.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "tinylcm/model/litert.h"
#include "tinylcm/model/onnxruntime.h"

namespace tinylcm::model {
namespace {

using base::ErrorCode;
using Floats = std::vector<float>;
using feature::InputRule;

base::Bytes Model(const std::string& name) {
  auto bytes = base::ReadFile(base::SystemFileSystem(), "tests/models/" + name, 1u << 20);
  EXPECT_TRUE(bytes.ok()) << bytes.error().message;
  return bytes.ok() ? std::move(bytes).value() : base::Bytes();
}

// Smooth shapes of a random colour, as a camera's pictures are, not noise.
std::vector<std::uint8_t> Picture(const feature::FeatureModel& engine, std::uint64_t seed) {
  base::Random random(seed);
  std::vector<std::uint8_t> picture;
  double slope[3][3];
  for (auto& channel : slope) {
    for (double& value : channel) value = 0.5 * random.Normal();
  }
  for (int y = 0; y < engine.height(); ++y) {
    for (int x = 0; x < engine.width(); ++x) {
      for (const auto& s : slope) {
        const double value = 128 + 80 * s[0] + 12 * (s[1] * (x - 8) + s[2] * (y - 8));
        picture.push_back(static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0)));
      }
    }
  }
  return picture;
}

// An engine and the bytes it reads.
struct Opened {
  base::Bytes bytes;
  std::unique_ptr<feature::FeatureModel> engine;

  Floats Run(std::uint64_t seed) const {
    Floats raw(engine->feature_count());
    const base::Status status = engine->Infer(Picture(*engine, seed), raw);
    EXPECT_TRUE(status.ok()) << status.error().message;
    return raw;
  }
};

Opened Open(const std::string& name, EngineOptions options) {
  Opened opened{.bytes = Model(name), .engine = nullptr};
  options.file_name = name;
  auto engine = OpenEngine(opened.bytes, options);
  EXPECT_TRUE(engine.ok()) << name << ": " << engine.error().message;
  if (engine.ok()) opened.engine = std::move(engine).value();
  return opened;
}

EngineOptions Symmetric(const std::string& output) {
  return {.output_name = output, .input = {.scale = InputRule::Scale::kSymmetric}};
}

double Cosine(const Floats& a, const Floats& b) {
  double ab = 0.0, aa = 0.0, bb = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    ab += static_cast<double>(a[i]) * b[i];
    aa += static_cast<double>(a[i]) * a[i];
    bb += static_cast<double>(b[i]) * b[i];
  }
  return ab / std::sqrt(aa * bb);
}

// Which engine, by the extension of its models.
class EngineTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto library = GetParam() == "tflite" ? FindLiteRt() : FindOnnxRuntime();
    if (!library.ok()) GTEST_SKIP() << library.error().message;
  }
  std::string Name(const std::string& stem) const { return stem + "." + GetParam(); }
  // The int8 .onnx scales its picture by itself.
  EngineOptions Int8(const std::string& output) const {
    return GetParam() == "onnx" ? EngineOptions{.output_name = output} : Symmetric(output);
  }
  base::Error ErrorOf(base::ByteView model, EngineOptions options = {}) {
    options.file_name = Name("model");
    const auto engine = OpenEngine(model, options);
    EXPECT_FALSE(engine.ok());
    return engine.ok() ? base::Error{} : engine.error();
  }
};
INSTANTIATE_TEST_SUITE_P(Engines, EngineTest, ::testing::Values("tflite", "onnx"),
                         [](const auto& tested) { return tested.param; });

TEST_P(EngineTest, ReadsThePictureSizeOutOfTheModel) {
  const Opened model = Open(Name("float"), {});
  EXPECT_EQ(model.engine->width(), 24);
  EXPECT_EQ(model.engine->height(), 16);
}

TEST_P(EngineTest, GivesTheOutputThatIsNamedOrNumberedOrTheLargest) {
  EXPECT_EQ(Open(Name("float"), {}).engine->feature_count(), 32u);
  EXPECT_EQ(Open(Name("float"), Symmetric("logits")).engine->feature_count(), 10u);
  const Floats named = Open(Name("float"), Symmetric("probabilities")).Run(3);
  EngineOptions numbered = Symmetric("");
  numbered.output_index = 0;
  EXPECT_EQ(Open(Name("float"), numbered).Run(3), named);
  double sum = 0.0;
  for (const float value : named) sum += value;
  EXPECT_NEAR(sum, 1.0, 1e-5);  // Softmax.
}

TEST_P(EngineTest, SamePictureSameNumbersAndAnotherPictureOthers) {
  const Opened model = Open(Name("int8"), Int8("features"));
  const Floats first = model.Run(1);
  EXPECT_NE(model.Run(2), first);
  EXPECT_EQ(model.Run(1), first);
}

TEST_P(EngineTest, TwoThreadsGiveWhatOneGives) {
  EngineOptions options = Symmetric("features");
  const Floats one = Open(Name("float"), options).Run(1);
  options.threads = 2;
  const Floats two = Open(Name("float"), options).Run(1);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(two[i], one[i], 1e-5);
}

TEST_P(EngineTest, ColourOrderIsTheRulesNotTheModels) {
  EngineOptions bgr = Symmetric("features");
  bgr.input.channels = InputRule::Channels::kBgr;
  const Opened straight = Open(Name("float"), Symmetric("features"));
  const Opened turned = Open(Name("float"), bgr);
  std::vector<std::uint8_t> picture = Picture(*straight.engine, 4);
  Floats expected(32);
  ASSERT_TRUE(straight.engine->Infer(picture, expected).ok());
  for (std::size_t i = 0; i < picture.size(); i += 3) std::swap(picture[i], picture[i + 2]);
  Floats raw(32);
  ASSERT_TRUE(turned.engine->Infer(picture, raw).ok());
  EXPECT_EQ(raw, expected);
}

TEST_P(EngineTest, TakesAGrayModel) {
  const EngineOptions gray = {
      .input = {.channels = InputRule::Channels::kGray, .scale = InputRule::Scale::kUnit}};
  EXPECT_EQ(Open(Name("gray"), gray).Run(1).size(), 8u);
  EXPECT_EQ(ErrorOf(Model(Name("gray"))).code, ErrorCode::kUnsupported);  // As rgb.
}

TEST_P(EngineTest, RefusesAPictureOfAnotherSize) {
  const Opened model = Open(Name("float"), {});
  Floats raw(model.engine->feature_count());
  const std::vector<std::uint8_t> small(100);
  EXPECT_EQ(model.engine->Infer(small, raw).error().code, ErrorCode::kInvalidArgument);
  Floats few(3);
  EXPECT_EQ(model.engine->Infer(Picture(*model.engine, 1), few).error().code,
            ErrorCode::kInvalidArgument);
}

TEST_P(EngineTest, RefusesAnOutputThatIsNotThereAndSaysWhatIs) {
  const base::Bytes model = Model(Name("float"));
  const base::Error error = ErrorOf(model, Symmetric("embedding"));
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_NE(error.message.find("features [?, 32]"), std::string::npos) << error.message;
  EXPECT_EQ(ErrorOf(model, {.output_index = 9}).code, ErrorCode::kUnsupported);
  EXPECT_EQ(ErrorOf(model, {.output_size = 999}).code, ErrorCode::kUnsupported);
}

TEST_P(EngineTest, RefusesATruncatedModelWhereverItIsCut) {
  for (const char* stem : {"float", "int8"}) {
    const base::Bytes model = Model(Name(stem));
    for (std::size_t kept = 0; kept < model.size(); kept += 4096) {
      const base::Error error = ErrorOf(base::ByteView(model).first(kept));
      EXPECT_EQ(error.code, ErrorCode::kCorrupt) << stem << " " << kept << ": " << error.message;
      EXPECT_EQ(error.message.find('\n'), std::string::npos);
    }
    const base::Error last = ErrorOf(base::ByteView(model).first(model.size() - 1));
    EXPECT_NE(last.message, "") << stem;
  }
}

TEST_P(EngineTest, RefusesWhatIsNoModel) {
  const base::Bytes noise(1000, 0x5a);
  EXPECT_EQ(ErrorOf(noise).code, ErrorCode::kCorrupt);
  EXPECT_EQ(ErrorOf({}).code, ErrorCode::kCorrupt);
}

// --- Both runtimes ---

class BothEngines : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const auto& library : {FindLiteRt(), FindOnnxRuntime()}) {
      if (!library.ok()) GTEST_SKIP() << library.error().message;
    }
  }
};

// docs/formats/bundle.md states the tolerances.
TEST_F(BothEngines, AgreeOnAFloatNetworkToATenThousandth) {
  for (const char* output : {"features", "logits", "probabilities"}) {
    const Opened tflite = Open("float.tflite", Symmetric(output));
    const Opened onnx = Open("float.onnx", Symmetric(output));
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      const Floats a = tflite.Run(seed);
      const Floats b = onnx.Run(seed);
      ASSERT_EQ(a.size(), b.size());
      for (std::size_t i = 0; i < a.size(); ++i) {
        EXPECT_NEAR(a[i], b[i], 1e-4 * std::max(1.0f, std::abs(a[i]))) << output << " " << seed;
      }
    }
  }
}

TEST_F(BothEngines, AgreeOnAGrayNetworkToATenThousandth) {
  const EngineOptions gray = {
      .input = {.channels = InputRule::Channels::kGray, .scale = InputRule::Scale::kUnit}};
  const Floats a = Open("gray.tflite", gray).Run(1);
  const Floats b = Open("gray.onnx", gray).Run(1);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4);
}

TEST_F(BothEngines, AgreeOnAnInt8NetworkToACosineOfAThousandth) {
  for (const char* output : {"features", "logits"}) {
    const Opened tflite = Open("int8.tflite", Symmetric(output));
    const Opened onnx = Open("int8.onnx", {.output_name = output});  // It scales by itself.
    const Opened exact = Open("float.tflite", Symmetric(output));
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      const Floats a = tflite.Run(seed);
      EXPECT_GT(Cosine(a, onnx.Run(seed)), 0.999) << output << " " << seed;
      // What int8 itself costs.
      EXPECT_GT(Cosine(a, exact.Run(seed)), 0.95) << output << " " << seed;
    }
  }
}

// --- Which engine ---

TEST(ModelFormatOf, GoesByTheNameThenByTheMarks) {
  const base::Bytes tflite = Model("gray.tflite");
  const base::Bytes onnx = Model("gray.onnx");
  EXPECT_EQ(ModelFormatOf(tflite, "").value(), ModelFormat::kTflite);
  EXPECT_EQ(ModelFormatOf(onnx, "").value(), ModelFormat::kOnnx);
  EXPECT_EQ(ModelFormatOf({}, "a/model.onnx").value(), ModelFormat::kOnnx);
  EXPECT_EQ(ModelFormatOf({}, "model.tflite").value(), ModelFormat::kTflite);
  EXPECT_EQ(ModelFormatOf({}, "model.pb").error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(ModelFormatOf({}, "").error().code, ErrorCode::kCorrupt);
}

// A program that never opened a model of the kind, as an agent that was just started.
TEST(OpenEngineDeathTest, SaysWhichRuntimeIsMissingWhereItWasLookedForAndWhatBringsIt) {
  ::testing::GTEST_FLAG(death_test_style) = "threadsafe";
  const auto missing = [](const char* variable, const std::string& model) {
    ::setenv(variable, "/nowhere/lib.so", 1);
    const base::Bytes bytes = Model(model);
    const auto engine = OpenEngine(bytes, {.file_name = model});
    if (engine.ok() || engine.error().code != ErrorCode::kUnavailable) ::exit(1);
    fputs(engine.error().message.c_str(), stderr);
    ::exit(0);
  };
  EXPECT_EXIT(missing("TINYLCM_ONNXRUNTIME", "gray.onnx"), ::testing::ExitedWithCode(0),
              "onnxruntime: libonnxruntime.so is not at /nowhere/lib.so; run "
              "tools/setup/fetch-onnxruntime.sh");
  EXPECT_EXIT(missing("TINYLCM_LITERT", "gray.tflite"), ::testing::ExitedWithCode(0),
              "litert: libLiteRt.so is not at /nowhere/lib.so; run tools/setup/fetch-litert.sh");
}

}  // namespace
}  // namespace tinylcm::model
