#include "tinylcm/model/litert.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"

namespace tinylcm::model {
namespace {

using base::ErrorCode;

constexpr const char* kModel = "examples/models/digits-camera/model.tflite";

class LiteRtTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto library = FindLiteRt(); !library.ok()) {
      GTEST_SKIP() << library.error().message;
    }
    auto model = base::ReadFile(base::SystemFileSystem(), kModel, 64u << 20);
    ASSERT_TRUE(model.ok()) << model.error().message;
    model_ = std::move(model).value();
  }

  std::vector<float> Run(feature::FeatureModel& engine, std::uint64_t seed) {
    base::Random random(seed);
    std::vector<std::uint8_t> picture(static_cast<std::size_t>(engine.width()) *
                                      static_cast<std::size_t>(engine.height()) * 3);
    for (std::uint8_t& byte : picture) byte = static_cast<std::uint8_t>(random.Below(256));
    std::vector<float> raw(engine.feature_count());
    const base::Status status = engine.Infer(picture, raw);
    EXPECT_TRUE(status.ok()) << status.error().message;
    return raw;
  }

  base::Bytes model_;
};

TEST_F(LiteRtTest, SamePictureSameNumbersAndAnotherPictureOthers) {
  auto engine = OpenLiteRt(model_, {});
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  const std::vector<float> first = Run(**engine, 1);
  ASSERT_FALSE(first.empty());
  for (const float value : first) EXPECT_TRUE(std::isfinite(value));
  EXPECT_NE(Run(**engine, 2), first);
  EXPECT_EQ(Run(**engine, 1), first);
  // A second engine, and one with two threads, agree to the bit.
  auto other = OpenLiteRt(model_, {.threads = 2, .output_index = {}});
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(Run(**other, 1), first);
}

TEST_F(LiteRtTest, RefusesAPictureOfAnotherSize) {
  auto engine = OpenLiteRt(model_, {});
  ASSERT_TRUE(engine.ok());
  std::vector<float> raw((*engine)->feature_count());
  const std::vector<std::uint8_t> small(100);
  EXPECT_EQ((*engine)->Infer(small, raw).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(LiteRtTest, RefusesATruncatedModelWhereverItIsCut) {
  for (std::size_t kept = 0; kept < model_.size(); kept += 4096) {
    const auto engine = OpenLiteRt(base::ByteView(model_).first(kept), {});
    ASSERT_FALSE(engine.ok()) << kept << " of " << model_.size();
    EXPECT_EQ(engine.error().code, ErrorCode::kCorrupt) << engine.error().message;
  }
}

TEST_F(LiteRtTest, RefusesWhatIsNoModel) {
  const base::Bytes noise(1000, 0x5a);
  EXPECT_EQ(OpenLiteRt(noise, {}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(OpenLiteRt({}, {}).error().code, ErrorCode::kCorrupt);
}

TEST_F(LiteRtTest, RefusesAnOutputThatTheModelDoesNotHave) {
  EXPECT_EQ(OpenLiteRt(model_, {.threads = 1, .output_index = 200}).error().code,
            ErrorCode::kUnsupported);
  EXPECT_EQ(
      OpenLiteRt(model_, {.threads = 1, .output_index = {}, .output_size = 999'999}).error().code,
      ErrorCode::kUnsupported);
}

TEST_F(LiteRtTest, GivesTheOutputOfTheAskedSize) {
  const auto largest = OpenLiteRt(model_, {});
  ASSERT_TRUE(largest.ok());
  const auto size = static_cast<std::uint32_t>((*largest)->feature_count());
  const auto asked = OpenLiteRt(model_, {.threads = 1, .output_index = {}, .output_size = size});
  ASSERT_TRUE(asked.ok());
  EXPECT_EQ((*asked)->feature_count(), size);
}

TEST(FindLiteRt, NamesTheNamedFileAndNoOther) {
  ASSERT_EQ(::setenv("TINYLCM_LITERT", "/nowhere/libLiteRt.so", 1), 0);
  const auto found = FindLiteRt();
  ASSERT_EQ(::unsetenv("TINYLCM_LITERT"), 0);
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(found.error().message.find("/nowhere/libLiteRt.so"), std::string::npos);
}

}  // namespace
}  // namespace tinylcm::model
