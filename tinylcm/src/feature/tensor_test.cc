#include "tinylcm/src/feature/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/support/allocations.h"

namespace tinylcm::feature {
namespace {

using base::ErrorCode;
using Bytes = std::vector<std::uint8_t>;
using Floats = std::vector<float>;

// Two pixels: (10, 20, 30) and (40, 50, 255).
const Bytes kPicture = {10, 20, 30, 40, 50, 255};

Tensor Input(TensorType type, std::vector<std::int64_t> shape = {1, 1, 2, 3}) {
  return {.name = "in", .type = type, .shape = std::move(shape), .quantisation = {}};
}

template <typename T>
std::vector<T> Written(const InputRule& rule, const Tensor& input) {
  const auto shape = ReadPictureShape(input, false);
  EXPECT_TRUE(shape.ok()) << shape.error().message;
  const auto writer = PictureWriter::Create(rule, input, *shape);
  EXPECT_TRUE(writer.ok()) << writer.error().message;
  std::vector<T> memory(input.count());
  writer->Write(kPicture, memory.data());
  return memory;
}

TEST(PictureWriter, GivesPixelNumbersAsTheyAre) {
  EXPECT_EQ(Written<std::uint8_t>({}, Input(TensorType::kUint8)), kPicture);
  EXPECT_EQ(Written<std::int8_t>({}, Input(TensorType::kInt8)),
            (std::vector<std::int8_t>{-118, -108, -98, -88, -78, 127}));
  EXPECT_EQ(Written<float>({}, Input(TensorType::kFloat32)), (Floats{10, 20, 30, 40, 50, 255}));
}

TEST(PictureWriter, TurnsTheColoursRound) {
  EXPECT_EQ(
      Written<std::uint8_t>({.channels = InputRule::Channels::kBgr}, Input(TensorType::kUint8)),
      (Bytes{30, 20, 10, 255, 50, 40}));
}

TEST(PictureWriter, WritesPlaneByPlaneWhereTheModelHasItsChannelsFirst) {
  EXPECT_EQ(Written<std::uint8_t>({}, Input(TensorType::kUint8, {1, 3, 1, 2})),
            (Bytes{10, 40, 20, 50, 30, 255}));
  EXPECT_EQ(Written<float>({.channels = InputRule::Channels::kBgr},
                           Input(TensorType::kFloat32, {1, 3, 1, 2})),
            (Floats{30, 255, 20, 50, 10, 40}));
}

TEST(PictureWriter, MakesGrayOfColour) {
  // (77 * 10 + 150 * 20 + 29 * 30 + 128) / 256 = 4768 / 256 = 18;
  // (77 * 40 + 150 * 50 + 29 * 255 + 128) / 256 = 18103 / 256 = 70.
  EXPECT_EQ(Written<std::uint8_t>({.channels = InputRule::Channels::kGray},
                                  Input(TensorType::kUint8, {1, 1, 2, 1})),
            (Bytes{18, 70}));
}

TEST(PictureWriter, ScalesToUnitSymmetricAndMeanDeviation) {
  const Tensor input = Input(TensorType::kFloat32);
  const Floats unit = Written<float>({.scale = InputRule::Scale::kUnit}, input);
  EXPECT_FLOAT_EQ(unit[0], 10.0f / 255.0f);
  EXPECT_EQ(unit[5], 1.0f);
  const Floats symmetric = Written<float>({.scale = InputRule::Scale::kSymmetric}, input);
  EXPECT_FLOAT_EQ(symmetric[0], 10.0f / 127.5f - 1.0f);
  EXPECT_EQ(symmetric[5], 1.0f);
  const Floats standard = Written<float>({.channels = InputRule::Channels::kBgr,
                                          .scale = InputRule::Scale::kMeanDeviation,
                                          .mean = {0.5f, 0.25f, 0.0f},
                                          .deviation = {0.5f, 0.25f, 2.0f}},
                                         input);
  // The mean is in the model's order: its first channel is our blue.
  EXPECT_FLOAT_EQ(standard[0], (30.0f / 255.0f - 0.5f) / 0.5f);
  EXPECT_FLOAT_EQ(standard[1], (20.0f / 255.0f - 0.25f) / 0.25f);
  EXPECT_FLOAT_EQ(standard[2], (10.0f / 255.0f) / 2.0f);
}

TEST(PictureWriter, QuantisesWhatItScaled) {
  Tensor input = Input(TensorType::kInt8);
  input.quantisation = Quantisation{.scale = 1.0f / 64.0f, .zero_point = -3};
  // 10 / 127.5 - 1 = -0.9216, * 64 = -58.98 -> -59, - 3 = -62;  255: 1 * 64 - 3 = 61.
  const auto symmetric = Written<std::int8_t>({.scale = InputRule::Scale::kSymmetric}, input);
  EXPECT_EQ(symmetric[0], -62);
  EXPECT_EQ(symmetric[5], 61);
  // What the type cannot hold ends at its end: 1 * 255 + 10 = 265.
  input.type = TensorType::kUint8;
  input.quantisation = Quantisation{.scale = 1.0f / 255.0f, .zero_point = 10};
  const auto unit = Written<std::uint8_t>({.scale = InputRule::Scale::kUnit}, input);
  EXPECT_EQ(unit[0], 20);
  EXPECT_EQ(unit[5], 255);
}

TEST(PictureWriter, CopiesWhereNothingIsToBeChanged) {
  const auto is_copy = [](const InputRule& rule, const Tensor& input) {
    return PictureWriter::Create(rule, input, ReadPictureShape(input, false).value())->is_copy();
  };
  EXPECT_TRUE(is_copy({}, Input(TensorType::kUint8)));
  EXPECT_FALSE(is_copy({}, Input(TensorType::kInt8)));
  EXPECT_FALSE(is_copy({.channels = InputRule::Channels::kBgr}, Input(TensorType::kUint8)));
  EXPECT_FALSE(is_copy({}, Input(TensorType::kUint8, {1, 3, 1, 2})));
  // Unit numbers in a tensor whose step is 1/255 are the pixels again.
  Tensor unit = Input(TensorType::kUint8);
  unit.quantisation = Quantisation{.scale = 1.0f / 255.0f, .zero_point = 0};
  EXPECT_TRUE(is_copy({.scale = InputRule::Scale::kUnit}, unit));
}

TEST(PictureWriter, RefusesAnotherNumberOfChannelsAndAnUnstatedScale) {
  const auto message = [](const InputRule& rule, const Tensor& input) {
    const auto writer = PictureWriter::Create(rule, input, ReadPictureShape(input, false).value());
    EXPECT_FALSE(writer.ok());
    EXPECT_EQ(writer.error().code, ErrorCode::kUnsupported);
    return writer.error().message;
  };
  EXPECT_EQ(message({}, Input(TensorType::kUint8, {1, 4, 4, 1})),
            "the model takes 1 channel(s), the input rule says rgb");
  EXPECT_EQ(
      message({.channels = InputRule::Channels::kGray}, Input(TensorType::kUint8, {1, 4, 4, 3})),
      "the model takes 3 channel(s), the input rule says gray");
  EXPECT_NE(message({.scale = InputRule::Scale::kUnit}, Input(TensorType::kInt8)).find("scale"),
            std::string::npos);
}

TEST(ReadPictureShape, TellsPixelsFromPlanes) {
  const auto shape = [](std::vector<std::int64_t> dims, bool prefers_planes) {
    return ReadPictureShape(Input(TensorType::kUint8, std::move(dims)), prefers_planes).value();
  };
  EXPECT_FALSE(shape({1, 96, 64, 3}, true).is_planes);
  EXPECT_EQ(shape({1, 96, 64, 3}, true).height, 96);
  EXPECT_TRUE(shape({-1, 3, 96, 64}, false).is_planes);
  EXPECT_EQ(shape({-1, 3, 96, 64}, false).width, 64);
  EXPECT_EQ(shape({1, 1, 96, 64}, false).channels, 1);
  // Both would fit: the engine's habit.
  EXPECT_TRUE(shape({1, 3, 3, 3}, true).is_planes);
  EXPECT_FALSE(shape({1, 3, 3, 3}, false).is_planes);
}

TEST(ReadPictureShape, RefusesWhatIsNotOnePicture) {
  const std::vector<std::int64_t> wrong[] = {{1, 96, 96},
                                             {1, 96, 96, 4},
                                             {2, 96, 96, 3},
                                             {1, -1, 96, 3},
                                             {1, 3, 96, -1},
                                             {1, 99999, 96, 3},
                                             {},
                                             {1, 0, 96, 3}};
  for (const auto& shape : wrong) {
    const auto read = ReadPictureShape(Input(TensorType::kUint8, shape), false);
    ASSERT_FALSE(read.ok());
    EXPECT_EQ(read.error().code, ErrorCode::kUnsupported);
    EXPECT_NE(read.error().message.find("expected one picture"), std::string::npos);
  }
}

TEST(ChooseOutput, ByNumberNameSizeOrTheLargest) {
  const Tensor outputs[] = {
      {.name = "probabilities", .type = TensorType::kFloat32, .shape = {1, 10}, .quantisation = {}},
      {.name = "features", .type = TensorType::kFloat32, .shape = {-1, 64}, .quantisation = {}}};
  EXPECT_EQ(ChooseOutput(outputs, {}, "", 0).value(), 1u);
  EXPECT_EQ(ChooseOutput(outputs, 0, "", 0).value(), 0u);
  EXPECT_EQ(ChooseOutput(outputs, {}, "probabilities", 0).value(), 0u);
  EXPECT_EQ(ChooseOutput(outputs, {}, "", 10).value(), 0u);
  EXPECT_EQ(ChooseOutput(outputs, {}, "embedding", 0).error().message,
            "none of the model's outputs (probabilities [1, 10], features [?, 64]) is named "
            "\"embedding\"");
  EXPECT_EQ(ChooseOutput(outputs, 2, "", 0).error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(ChooseOutput(outputs, {}, "", 11).error().code, ErrorCode::kUnsupported);
}

TEST(ReadTensor, TakesQuantisationOff) {
  const Bytes stored = {0, 128, 255};
  Floats raw(3);
  ReadTensor(TensorType::kUint8, {.scale = 0.5f, .zero_point = 128}, stored.data(), raw);
  EXPECT_EQ(raw, (Floats{-64.0f, 0.0f, 63.5f}));
  // The same bytes as int8: 0, -128, -1.
  ReadTensor(TensorType::kInt8, {.scale = 0.5f, .zero_point = -128}, stored.data(), raw);
  EXPECT_EQ(raw, (Floats{64.0f, 0.0f, 63.5f}));
  const Floats floats = {1.5f, -2.0f, 0.0f};
  ReadTensor(TensorType::kFloat32, {}, floats.data(), raw);
  EXPECT_EQ(raw, floats);
}

// What an engine adds to its runtime's own Run.
TEST(PictureWriter, TakesNothingFromTheHeap) {
  const Tensor input = Input(TensorType::kFloat32);
  const auto writer = PictureWriter::Create({}, input, ReadPictureShape(input, false).value());
  ASSERT_TRUE(writer.ok());
  Floats memory(6);
  Floats raw(6);
  const std::uint64_t before = testing_support::Allocations();
  writer->Write(kPicture, memory.data());
  ReadTensor(TensorType::kFloat32, {}, memory.data(), raw);
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

TEST(InputRule, NamesAndReadsItsNames) {
  using enum InputRule::Scale;
  for (const auto scale : {kUint8, kUnit, kSymmetric, kMeanDeviation}) {
    EXPECT_EQ(ParseScale(Name(scale)).value(), scale);
  }
  using enum InputRule::Channels;
  for (const auto channels : {kRgb, kBgr, kGray}) {
    EXPECT_EQ(ParseChannels(Name(channels)).value(), channels);
  }
  EXPECT_EQ(ParseScale("0..1").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(ParseChannels("grey").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tinylcm::feature
