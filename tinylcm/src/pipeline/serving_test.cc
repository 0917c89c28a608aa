// What a stage refuses: before it serves, an engine that does not fit; of what comes in, numbers
// that neither drift nor the quarantine could take.

#include "tinylcm/pipeline/serving.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tinylcm/src/pipeline/small_array_test.h"

namespace tinylcm::pipeline {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Gives `numbers`, whatever the picture.
class FixedEngine final : public feature::FeatureModel {
 public:
  FixedEngine(int width, int height, std::vector<float> gives)
      : numbers(std::move(gives)), width_(width), height_(height) {}
  int width() const override { return width_; }
  int height() const override { return height_; }
  std::size_t feature_count() const override { return numbers.size(); }
  base::Status Infer(std::span<const std::uint8_t>, std::span<float> raw) override {
    std::copy(numbers.begin(), numbers.end(), raw.begin());
    return {};
  }
  std::vector<float> numbers;

 private:
  int width_;
  int height_;
};

// The sensor array's bundle as one for pictures of 128x64.
std::shared_ptr<const model::ModelBundle> ForPictures(model::FitOptions options = {}) {
  model::ModelBundle bundle = *MakeBundle("1.0.0", 1, options);
  bundle.is_image = true;
  bundle.image_rule.width = 128;
  bundle.image_rule.height = 64;
  return std::make_shared<const model::ModelBundle>(std::move(bundle));
}

// A model that classifies by itself: its output is the answer.
std::shared_ptr<const model::ModelBundle> ForShares() {
  model::ModelBundle bundle = *ForPictures();
  bundle.config.classifier = classify::ClassifierKind::kSoftmax;
  bundle.processor = {.mean = std::vector<float>(kClasses, 0.0f),
                      .scale = std::vector<float>(kClasses, 1.0f)};
  bundle.anchors = {.dims = kClasses};
  bundle.canary = {.dims = kClasses};
  bundle.calibration = {};
  return std::make_shared<const model::ModelBundle>(std::move(bundle));
}

source::Frame Picture(std::uint64_t index) {
  source::Frame frame;
  frame.index = index;
  frame.format = source::PictureFormat::kRgb24;
  frame.width = 128;
  frame.height = 64;
  frame.picture.resize(128 * 64 * 3, 100);
  return frame;
}

source::Frame Row(std::uint64_t index, std::vector<float> row) {
  source::Frame frame;
  frame.index = index;
  frame.row = std::move(row);
  return frame;
}

TEST(Serving, ARowInfinitelyFarFromAllAnchorsIsRefusedAndTheNextOneAnswered) {
  for (const char* scan : {"f32", "int8"}) {
    model::FitOptions options;
    options.metric = classify::Metric::kEuclidean;
    options.knn_scan = scan;
    auto serving = Serving::Create(MakeBundle("1.0.0", 1, options), nullptr, {}, {});
    ASSERT_TRUE(serving.ok()) << serving.error().message;
    base::Random random(1);
    Inference out;
    // Finite each, but a sum of their squares is not: 16 * 1e40 is above 3.4e38.
    const base::Status far = (*serving)->Infer(Row(12, std::vector<float>(kChannels, 1e20f)), out);
    ASSERT_FALSE(far.ok()) << scan;
    EXPECT_EQ(far.error().code, base::ErrorCode::kInvalidArgument);
    EXPECT_EQ(far.error().message, "row 12: a number beyond reach");
    // Above what a float holds once it is divided by a deviation below 1.
    std::vector<float> edge = MakeRow(random, 1, false);
    edge[3] = std::numeric_limits<float>::max();
    EXPECT_FALSE((*serving)->Infer(Row(13, edge), out).ok()) << scan;
    ASSERT_TRUE((*serving)->Infer(Row(14, MakeRow(random, 2, false)), out).ok()) << scan;
    EXPECT_EQ(out.prediction.nearest, 2);
  }
}

TEST(Serving, AModelThatGivesWhatIsNoFiniteNumberIsRefusedByNeighboursAndByAHead) {
  for (const auto& bundle : {ForPictures(), ForShares()}) {
    const std::vector<float> good(bundle->raw_count(), 0.25f);
    auto owned = std::make_unique<FixedEngine>(128, 64, good);
    FixedEngine& engine = *owned;
    auto serving = Serving::Create(bundle, std::move(owned), {}, {});
    ASSERT_TRUE(serving.ok()) << serving.error().message;
    Inference out;
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
      engine.numbers[1] = bad;
      const base::Status refused = (*serving)->Infer(Picture(7), out);
      ASSERT_FALSE(refused.ok()) << bad;
      EXPECT_EQ(refused.error().code, base::ErrorCode::kInvalidArgument);
      EXPECT_EQ(refused.error().message, "frame 7: a number beyond reach");
    }
    engine.numbers = good;
    EXPECT_TRUE((*serving)->Infer(Picture(8), out).ok());
  }
}

TEST(Serving, AProjectionInBytesHidesNoNan) {
  model::ModelBundle bundle = *ForPictures();
  bundle.processor.projection_i8.assign(kChannels * kChannels, 0);
  for (std::size_t i = 0; i < kChannels; ++i) {
    bundle.processor.projection_i8[i * kChannels + i] = 127;
  }
  bundle.processor.projection_scale.assign(kChannels, 1.0f / 127.0f);
  auto owned = std::make_unique<FixedEngine>(128, 64, std::vector<float>(kChannels, 0.25f));
  FixedEngine& engine = *owned;
  auto serving = Serving::Create(std::make_shared<const model::ModelBundle>(std::move(bundle)),
                                 std::move(owned), {}, {});
  ASSERT_TRUE(serving.ok()) << serving.error().message;
  Inference out;
  EXPECT_TRUE((*serving)->Infer(Picture(0), out).ok());
  engine.numbers[5] = kNan;
  EXPECT_FALSE((*serving)->Infer(Picture(1), out).ok());
}

TEST(Serving, AnEngineForPicturesOnTheirSideIsRefusedThoughTheBytesAreAsMany) {
  const auto serving = Serving::Create(
      ForPictures(), std::make_unique<FixedEngine>(64, 128, std::vector<float>(kChannels)), {}, {});
  ASSERT_FALSE(serving.ok());
  EXPECT_EQ(serving.error().code, base::ErrorCode::kCorrupt);
  EXPECT_EQ(serving.error().message,
            "serving: the model takes 64x128 and gives 16 numbers; the bundle says 128x64 and 16");
}

}  // namespace
}  // namespace tinylcm::pipeline
