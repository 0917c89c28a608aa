#include "tinylcm/model/signals.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/allocations.h"
#include "tinylcm/src/model/small_bundle_test.h"

namespace tinylcm::model {
namespace {

using drift::At;
using drift::Sample;
using drift::Signal;

// A bundle of rows with everything in it: three channels, class c lies around 3 on channel c.
class SignalsOfRows : public FolderTest {
 protected:
  SignalsOfRows() {
    FitInto("bundle");
    auto loaded = LoadBundle(fs_, Path("bundle"), {});
    EXPECT_TRUE(loaded.ok()) << loaded.error().message;
    bundle_ = std::move(loaded).value();
    signals_.emplace(bundle_);
    classifier_.emplace(bundle_.MakeClassifier().value());
    processor_.emplace(feature::Processor::Create(bundle_.processor).value());
  }

  Sample Measure(const std::vector<float>& row) {
    feature_.resize(bundle_.feature_count());
    processor_->Apply(row, feature_);
    prediction_ = classifier_->Classify(feature_, share_);
    Sample sample;
    signals_->Measure({.prediction = prediction_,
                       .share = share_,
                       .feature = feature_,
                       .raw = row,
                       .figures = {}},
                      sample);
    return sample;
  }
  float Of(const Sample& sample, Signal signal) { return sample.values[At(signal)]; }

  ModelBundle bundle_;
  std::optional<Signals> signals_;
  std::optional<classify::Classifier> classifier_;
  std::optional<feature::Processor> processor_;
  std::vector<float> feature_;
  std::vector<float> share_ = std::vector<float>(3);
  classify::Prediction prediction_;
};

TEST_F(SignalsOfRows, HasAllThatARowCanHave) {
  drift::SignalMask expected = 0;
  for (const Signal signal :
       {Signal::kAnchorDistance, Signal::kMargin, Signal::kEntropy, Signal::kCentroidDistance,
        Signal::kQuantTree, Signal::kClassMix, Signal::kStuck, Signal::kRail}) {
    expected |= drift::Bit(signal);
  }
  EXPECT_EQ(signals_->mask(), expected);
  EXPECT_EQ(Measure({3, 0, 0}).has, expected);
}

TEST_F(SignalsOfRows, AnOddRowLiesFarFromItsCentroidAndAnAverageOneDoesNot) {
  EXPECT_LT(Of(Measure({3, 0, 0}), Signal::kCentroidDistance), 3.0f);
  EXPECT_GT(Of(Measure({9, 0, 0}), Signal::kCentroidDistance), 100.0f);  // 20 deviations off.
}

TEST_F(SignalsOfRows, AVoteOfOneMindHasNoEntropyAndASplitOneHas) {
  const Sample sure = Measure({3, 0, 0});
  EXPECT_EQ(Of(sure, Signal::kMargin), 1.0f);
  EXPECT_EQ(Of(sure, Signal::kEntropy), 0.0f);
  Sample sample;
  share_ = {0.25f, 0.5f, 0.25f};
  signals_->Measure({.prediction = prediction_,
                     .share = share_,
                     .feature = feature_,
                     .raw = std::vector<float>{1, 2, 3},
                     .figures = {}},
                    sample);
  EXPECT_FLOAT_EQ(Of(sample, Signal::kMargin), 0.25f);
  EXPECT_FLOAT_EQ(Of(sample, Signal::kEntropy), static_cast<float>(1.5 * std::log(2.0)));
}

TEST_F(SignalsOfRows, ASensorThatIsStuckShowsFromItsSecondRowOn) {
  EXPECT_EQ(Of(Measure({3.0f, 0.1f, 0.2f}), Signal::kStuck), 0.0f);  // None was before it.
  EXPECT_EQ(Of(Measure({3.1f, 0.2f, 0.1f}), Signal::kStuck), 0.0f);
  EXPECT_FLOAT_EQ(Of(Measure({3.1f, 0.3f, 0.2f}), Signal::kStuck), 1.0f / 3.0f);
  EXPECT_FLOAT_EQ(Of(Measure({3.1f, 0.4f, 0.3f}), Signal::kStuck), 1.0f / 3.0f);
  EXPECT_FLOAT_EQ(Of(Measure({3.1f, 0.4f, 0.3f}), Signal::kStuck), 1.0f);
}

TEST_F(SignalsOfRows, AChannelAtItsRailShows) {
  EXPECT_EQ(Of(Measure({2.9f, 0.1f, 0.1f}), Signal::kRail), 0.0f);
  EXPECT_FLOAT_EQ(Of(Measure({2.9f, 0.1f, 5.0f}), Signal::kRail), 1.0f / 3.0f);
  EXPECT_FLOAT_EQ(Of(Measure({2.9f, -5.0f, 5.0f}), Signal::kRail), 2.0f / 3.0f);
}

TEST_F(SignalsOfRows, EveryHeldOutValueStandsInItsClassAndNoneOfTimeOrMix) {
  // 40 rows a class: 4 canary, a quarter of 36 held out.
  for (const Signal signal : {Signal::kAnchorDistance, Signal::kMargin, Signal::kEntropy,
                              Signal::kCentroidDistance, Signal::kQuantTree, Signal::kRail}) {
    const auto& values = bundle_.reference.held_out[At(signal)];
    ASSERT_EQ(values.size(), 3u) << drift::Name(signal);
    for (const auto& of_class : values) EXPECT_EQ(of_class.size(), 9u) << drift::Name(signal);
  }
  for (const Signal signal : {Signal::kStuck, Signal::kClassMix, Signal::kBrightness}) {
    EXPECT_TRUE(bundle_.reference.held_out[At(signal)].empty()) << drift::Name(signal);
  }
}

TEST_F(SignalsOfRows, WhatIsImmeasurablyFarIsStillANumber) {
  share_ = {1, 0, 0};
  feature_.assign(bundle_.feature_count(), 3e38f);
  Sample sample;
  signals_->Measure({.prediction = prediction_,
                     .share = share_,
                     .feature = feature_,
                     .raw = std::vector<float>(3, 3e38f),
                     .figures = {}},
                    sample);
  for (std::size_t at = 0; at < drift::kSignals; ++at) {
    if (!sample.Has(static_cast<Signal>(at))) continue;
    EXPECT_TRUE(std::isfinite(sample.values[at])) << at;
  }
}

TEST_F(SignalsOfRows, MeasuringTakesNothingFromTheHeap) {
  Measure({3, 0, 0});
  const std::vector<float> row = {3, 0, 0};
  Sample sample;
  const auto before = testing_support::Allocations();
  for (int i = 0; i < 100; ++i) {
    signals_->Measure({.prediction = prediction_,
                       .share = share_,
                       .feature = feature_,
                       .raw = row,
                       .figures = {}},
                      sample);
  }
  EXPECT_EQ(testing_support::Allocations(), before);
}

TEST_F(SignalsOfRows, AnOlderBundleLoadsAndHasWhatItHasGroundsFor) {
  ModelBundle older = bundle_;
  older.reference.held_out = {};
  older.reference.centroids = {};
  older.reference.quant_tree = {};
  older.reference.rail_low.clear();
  older.reference.rail_high.clear();
  ASSERT_TRUE(WriteBundle(fs_, older, Path("older")).ok());
  const auto loaded = LoadBundle(fs_, Path("older"), {});
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(Signals(*loaded).mask(),
            drift::Bit(Signal::kAnchorDistance) | drift::Bit(Signal::kMargin) |
                drift::Bit(Signal::kEntropy) | drift::Bit(Signal::kClassMix) |
                drift::Bit(Signal::kStuck));
  EXPECT_EQ(loaded->reference.held_out[At(Signal::kAnchorDistance)], bundle_.reference.rank);
}

TEST_F(SignalsOfRows, AHeadWithoutAnchorsHasNoDistanceToThem) {
  ModelBundle head = bundle_;
  head.anchors.vectors.clear();
  head.anchors.labels.clear();
  EXPECT_EQ(Signals(head).mask() & drift::Bit(Signal::kAnchorDistance), 0u);
}

TEST_F(SignalsOfRows, DamagedGroundsAreRefused) {
  const auto said = [&](const auto& damage) {
    ModelBundle bundle = bundle_;
    damage(bundle.reference);
    const base::Status status = Validate(bundle);
    return status.ok() ? std::string() : status.error().message;
  };
  EXPECT_EQ(said([](Reference& r) {
              std::swap(r.held_out[At(Signal::kCentroidDistance)][0].front(),
                        r.held_out[At(Signal::kCentroidDistance)][0].back());
            }),
            "bundle: reference: held-out values are not ascending and finite");
  EXPECT_EQ(said([](Reference& r) { r.held_out[At(Signal::kMargin)].pop_back(); }),
            "bundle: reference: held-out values of another number of classes");
  EXPECT_EQ(said([](Reference& r) { r.rail_high.pop_back(); }),
            "bundle: reference: rails of another number of channels");
  EXPECT_EQ(said([](Reference& r) { r.quant_tree.axis[0] = 3; }),
            "bundle: reference: quant tree: cut 0 looks at number 3 of 3");
  EXPECT_EQ(said([](Reference& r) { r.centroids.known.pop_back(); }),
            "bundle: reference: centroids: 9 numbers, expected 3 x 3");
}

TEST(Rails, AChannelThatOftenLiesAtItsEndIsAtHomeThere) {
  // Channel 0 takes each of 200 values once; channel 1 is 0 in every second row.
  std::vector<float> rows;
  for (int i = 0; i < 200; ++i) {
    rows.push_back(static_cast<float>(i));
    rows.push_back(static_cast<float>(i % 2 * i));
  }
  const Rails rails = FitRails(rows, 2);
  EXPECT_EQ(rails.low[0], 0.0f);
  EXPECT_EQ(rails.high[0], 199.0f);
  EXPECT_LT(rails.low[1], 0.0f);
  EXPECT_GT(rails.low[1], -1e-30f);
  EXPECT_EQ(rails.high[1], 199.0f);
}

// Pictures: what the figures give, and the same frame again.
class SignalsOfPictures : public ::testing::Test {
 protected:
  SignalsOfPictures() {
    bundle_.is_image = true;
    bundle_.manifest.labels = {"a", "b"};
    bundle_.processor.mean = {0, 0, 0};
    bundle_.processor.scale = {1, 1, 1};
    bundle_.anchors.dims = 3;
    bundle_.anchors.Add(std::vector<float>{1, 0, 0}, 0);
    signals_.emplace(bundle_);
    for (std::size_t i = 0; i < feature::kPictureFigures; ++i) {
      figures_[i] = static_cast<float>(i) + 0.5f;
    }
  }
  Sample Measure() {
    Sample sample;
    signals_->Measure(
        {.prediction = {}, .share = share_, .feature = raw_, .raw = raw_, .figures = figures_},
        sample);
    return sample;
  }
  ModelBundle bundle_;
  std::optional<Signals> signals_;
  std::vector<float> raw_ = {1, 2, 3};
  std::vector<float> share_ = {1, 0};
  std::array<float, feature::kPictureFigures> figures_{};
};

TEST_F(SignalsOfPictures, AreThePicturesFigures) {
  const Sample sample = Measure();
  EXPECT_EQ(sample.values[At(Signal::kBrightness)], figures_[feature::kFigureBrightness]);
  EXPECT_EQ(sample.values[At(Signal::kSharpness)], figures_[feature::kFigureEdgeFocus]);
  EXPECT_EQ(sample.values[At(Signal::kSaturation)], figures_[feature::kFigureSaturation]);
  EXPECT_EQ(sample.values[At(Signal::kRail)], figures_[feature::kFigureDarkest]);
  EXPECT_FALSE(sample.Has(Signal::kCentroidDistance));
}

TEST_F(SignalsOfPictures, AFrameThatComesAgainIsStuck) {
  EXPECT_EQ(Measure().values[At(Signal::kStuck)], 0.0f);
  EXPECT_EQ(Measure().values[At(Signal::kStuck)], 1.0f);
  figures_[7] += 0.01f;  // A little light in one ninth.
  EXPECT_EQ(Measure().values[At(Signal::kStuck)], 0.0f);
  EXPECT_EQ(Measure().values[At(Signal::kStuck)], 1.0f);
  raw_[1] += 1.0f;  // The model sees another frame.
  EXPECT_EQ(Measure().values[At(Signal::kStuck)], 0.0f);
}

TEST_F(SignalsOfPictures, ThoseOfABundleThatKnowsTurnedOnesAreWatchedAlongTheWayThere) {
  // Class a lies at 0, turned at 4 along the last number of the model's output: half-way is 2.
  bundle_.reference.centroids = {.centroids = std::vector<float>(6, 0.0f),
                                 .known = {1, 1},
                                 .axes = {1, 0, 0, 0, 1, 0, 0, 0, 1}};
  bundle_.reference.ways = {.ways = {0, 0, 1, 0, 1, 0}, .half_way = {2, 2}};
  signals_.emplace(bundle_);
  EXPECT_EQ(Measure().values[At(Signal::kCentroidDistance)], 1.0f);  // raw_ is 1, 2, 3.
  bundle_.reference.ways = {};
  signals_.emplace(bundle_);
  EXPECT_EQ(Measure().values[At(Signal::kCentroidDistance)], 14.0f);  // 1 + 4 + 9.
}

TEST(TurnPicture, TheMiddleStaysAndWhatLaysOnARingGoesRound) {
  constexpr int kSide = 53;  // The middle is pixel 26, 26.
  const auto at = [](int x, int y) { return static_cast<std::size_t>((y * kSide + x) * 3); };
  std::vector<std::uint8_t> picture(3 * kSide * kSide, 10);
  picture[at(26, 26)] = 250;
  for (int dy = -1; dy <= 1; ++dy) {
    for (int dx = -1; dx <= 1; ++dx) picture[at(26 + 13 + dx, 26 + dy) + 1] = 200;
  }
  std::vector<std::uint8_t> turned;
  TurnPicture(picture, kSide, kSide, false, turned);
  EXPECT_EQ(turned[at(26, 26)], 250);
  // 13 to the right of the middle goes to 12 right and 5 up or down.
  EXPECT_EQ(turned[at(26 + 12, 26 - 5) + 1], 200);
  TurnPicture(picture, kSide, kSide, true, turned);
  EXPECT_EQ(turned[at(26 + 12, 26 + 5) + 1], 200);
  EXPECT_EQ(turned[at(26 + 13, 26) + 1], 10);
}

}  // namespace
}  // namespace tinylcm::model
