#include "tinylcm/drift/stream_sketch.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tests/support/allocations.h"

namespace tinylcm::drift {
namespace {

using Counts = std::vector<std::int64_t>;

StreamSketch::Options TwoClasses() {
  StreamSketch::Options options{.bundle = "b1", .classes = 2, .dims = 2};
  options.signals = Bit(Signal::kAnchorDistance) | Bit(Signal::kQuantTree) | Bit(Signal::kClassMix);
  options.held_out[At(Signal::kAnchorDistance)] = {{0.1f, 0.2f, 0.3f}, {}};
  options.category_bins = 4;
  return options;
}

Sample Of(std::uint64_t index, std::uint16_t label, float distance, float bin) {
  return OneSignal(index, label, Signal::kAnchorDistance, distance).Set(Signal::kQuantTree, bin);
}

TEST(StreamSketch, CountsEachValueAmongTheHeldOutOnesOfItsClass) {
  StreamSketch sketch = StreamSketch::Create(TwoClasses()).value();
  const float feature[] = {1.0f, 2.0f};
  sketch.Observe(Of(7, 0, 0.05f, 3), feature);  // Below all three,
  sketch.Observe(Of(8, 0, 0.2f, 0), feature);   // at the second: one lies below it,
  sketch.Observe(Of(9, 0, 0.9f, 0), feature);   // above all.
  sketch.Observe(Of(11, 1, 0.9f, 1), feature);  // Nothing was held out of class 1.
  const protocol::Sketches& counted = sketch.sketches();
  EXPECT_EQ(counted.samples, (Counts{3, 1}));
  EXPECT_EQ(counted.first_index, 7u);
  EXPECT_EQ(counted.last_index, 11u);
  ASSERT_EQ(counted.ranks.size(), 2u);  // The class mix is the samples.
  EXPECT_EQ(counted.ranks[0].signal, "anchor_distance");
  EXPECT_EQ(counted.ranks[0].counts, (std::vector<Counts>{{1, 1, 0, 1}, {1}}));
  EXPECT_EQ(counted.ranks[1].signal, "quant_tree");
  EXPECT_EQ(counted.ranks[1].counts, (std::vector<Counts>{{2, 0, 0, 1}, {0, 1, 0, 0}}));
}

TEST(StreamSketch, KeepsMeanAndSpreadOfAClasssFeatures) {
  StreamSketch sketch = StreamSketch::Create(TwoClasses()).value();
  for (const float x : {1.0f, 3.0f, 8.0f}) {
    sketch.Observe(Of(1, 1, 0, 0), std::vector<float>{x, 5.0f});
  }
  // 1, 3, 8: mean 4, squares 9 + 1 + 16.
  EXPECT_FLOAT_EQ(sketch.sketches().feature_mean[2], 4.0f);
  EXPECT_FLOAT_EQ(sketch.sketches().feature_m2[2], 26.0f);
  EXPECT_FLOAT_EQ(sketch.sketches().feature_mean[3], 5.0f);
  EXPECT_FLOAT_EQ(sketch.sketches().feature_m2[3], 0.0f);
  EXPECT_FLOAT_EQ(sketch.sketches().feature_mean[0], 0.0f);  // Class 0 was never said.
}

TEST(StreamSketch, TwoDevicesMergedAreOneThatSawItAll) {
  base::Random random(2026);
  StreamSketch one = StreamSketch::Create(TwoClasses()).value();
  StreamSketch other = StreamSketch::Create(TwoClasses()).value();
  StreamSketch both = StreamSketch::Create(TwoClasses()).value();
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const auto label = static_cast<std::uint16_t>(random.Below(2));
    const Sample sample = Of(i, label, static_cast<float>(random.Uniform()) * 0.4f,
                             static_cast<float>(random.Below(4)));
    const float feature[] = {static_cast<float>(random.Uniform()) + label, 1.0f};
    (i % 3 == 0 ? one : other).Observe(sample, feature);
    both.Observe(sample, feature);
  }
  protocol::Sketches merged = one.sketches();
  ASSERT_TRUE(protocol::Merge(other.sketches(), merged).ok());
  EXPECT_EQ(merged.samples, both.sketches().samples);
  EXPECT_EQ(merged.ranks, both.sketches().ranks);
  EXPECT_EQ(merged.first_index, 0u);
  EXPECT_EQ(merged.last_index, 999u);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_NEAR(merged.feature_mean[i], both.sketches().feature_mean[i], 1e-5);
    EXPECT_NEAR(merged.feature_m2[i], both.sketches().feature_m2[i], 1e-3);
  }
}

TEST(StreamSketch, TakesNoMemoryPerSampleNorWhenItIsExchangedForABlankOne) {
  StreamSketch sketch = StreamSketch::Create(TwoClasses()).value();
  const protocol::Sketches empty = sketch.sketches();
  protocol::Sketches other = sketch.Blank();
  EXPECT_EQ(other, empty);
  const float feature[] = {1.0f, 2.0f};
  const std::uint64_t before = testing_support::Allocations();
  for (std::uint64_t i = 5; i < 105; ++i) sketch.Observe(Of(i, 0, 0.1f, 0), feature);
  sketch.Exchange(other);
  EXPECT_EQ(testing_support::Allocations(), before);
  EXPECT_EQ(sketch.sketches(), empty);
  EXPECT_EQ(other.samples, (Counts{100, 0}));
  EXPECT_EQ(other.first_index, 5u);
  // Counted anew, from there on.
  sketch.Observe(Of(105, 1, 0.1f, 0), feature);
  EXPECT_EQ(sketch.sketches().first_index, 105u);
  EXPECT_EQ(sketch.sketches().samples, (Counts{0, 1}));
}

TEST(StreamSketch, RefusesHeldOutValuesThatDoNotAscend) {
  StreamSketch::Options options = TwoClasses();
  options.held_out[At(Signal::kAnchorDistance)] = {{0.2f, 0.1f}};
  const auto made = StreamSketch::Create(options);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().message,
            "stream sketch: held-out values of anchor_distance, class 0, must be finite and "
            "ascend");
}

}  // namespace
}  // namespace tinylcm::drift
