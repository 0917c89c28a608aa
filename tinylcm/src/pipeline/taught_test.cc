// What one device learned is served by another from its first row, and by nobody it does not fit.

#include "tinylcm/pipeline/taught.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/file_system.h"
#include "base/random.h"
#include "tinylcm/model/archive.h"
#include "tinylcm/pipeline/bundle_swap.h"
#include "tinylcm/src/pipeline/small_array_test.h"

namespace tinylcm::pipeline {
namespace {

using base::ErrorCode;

class TaughtTest : public ::testing::Test {
 protected:
  TaughtTest() {
    char name[] = "/tmp/taught_test_XXXXXX";
    folder_ = ::mkdtemp(name);
    const auto made = model::WriteBundle(fs_, *MakeBundle("1.0.0", 1), Path("base"));
    EXPECT_TRUE(made.ok());
    base_ = Load("base");
  }
  ~TaughtTest() override { EXPECT_TRUE(base::RemoveTree(fs_, folder_).ok()); }

  std::string Path(const std::string& name) { return base::JoinPath(folder_, name); }
  std::shared_ptr<const model::ModelBundle> Load(const std::string& name) {
    auto bundle = model::LoadBundle(fs_, Path(name), {});
    EXPECT_TRUE(bundle.ok()) << (bundle.ok() ? "" : bundle.error().message);
    return bundle.ok() ? std::make_shared<const model::ModelBundle>(std::move(*bundle)) : nullptr;
  }

  // What a device learned: the first feature is shifted, and a sample that no class lies near was
  // called "d" by a person.
  adapt::Adaptation Learned() {
    adapt::Adaptation learned;
    learned.bundle = base_->bundle;
    learned.event_id = "e-1";
    learned.challenger = {adapt::Alignment::kMean, adapt::Memory::kLabelled};
    learned.transform.scale.assign(kChannels, 1.0f);
    learned.transform.shift.assign(kChannels, 0.0f);
    learned.transform.shift[0] = 0.5f;
    learned.memory.dims = kChannels;
    learned.memory.Add(Strange(), 3);
    learned.memory.weights = {3.0f};
    learned.entries.push_back({.sample_id = "s-1", .taught_by = "s-1", .feedback_id = "f-1"});
    return learned;
  }
  // Far from every class, on a side of its own.
  static std::vector<float> Strange() { return std::vector<float>(kChannels, -5.0f); }

  base::Status Keep(const base::Bytes& bytes) {
    return base::WriteFileDurably(fs_, Path("adaptation.bin"), bytes);
  }
  TeachOptions Options(const std::string& out) {
    return {.base = Path("base"),
            .adaptation = Path("adaptation.bin"),
            .version = "1.1.0",
            .taught_by = "d-1",
            .min_agent = "0.2.0",
            .out = Path(out)};
  }
  base::Result<std::string> Make(const TeachOptions& options) { return Teach(fs_, options, {}); }

  static std::unique_ptr<Serving> Serve(const std::shared_ptr<const model::ModelBundle>& bundle,
                                        const adapt::Adaptation& adaptation) {
    auto serving = Serving::Create(bundle, nullptr, adaptation, {});
    EXPECT_TRUE(serving.ok()) << (serving.ok() ? "" : serving.error().message);
    return serving.ok() ? std::move(*serving) : nullptr;
  }

  base::FileSystem& fs_ = base::SystemFileSystem();
  std::string folder_;
  std::shared_ptr<const model::ModelBundle> base_;
};

TEST_F(TaughtTest, AUsualBundleBringsNothing) {
  const auto none = TaughtBy(*base_);
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->is_none());
  EXPECT_EQ(none->bundle, base_->bundle);
  EXPECT_TRUE(CheckTaught(*Serve(base_, *none)).ok());
}

TEST_F(TaughtTest, AnotherDeviceAnswersAsTheOneThatLearnedFromItsFirstRow) {
  const adapt::Adaptation learned = Learned();
  const base::Bytes bytes = adapt::Serialise(learned);
  ASSERT_TRUE(Keep(bytes).ok());
  const auto made = Make(Options("taught"));
  ASSERT_TRUE(made.ok()) << made.error().message;

  const auto bundle = Load("taught");
  ASSERT_NE(bundle, nullptr);
  EXPECT_EQ(bundle->bundle, *made);
  EXPECT_EQ(bundle->manifest.version, "1.1.0");
  EXPECT_EQ(bundle->manifest.lineage.parent, base_->bundle);
  EXPECT_EQ(bundle->manifest.lineage.taught_by, std::vector<std::string>{"d-1"});
  EXPECT_EQ(bundle->manifest.min_agent, "0.2.0");  // The base asks for 0.1.0.
  EXPECT_EQ(bundle->manifest.FileWithRole("adaptation")->sha256, base::Sha256Hex(bytes));
  EXPECT_EQ(bundle->anchors, base_->anchors);
  EXPECT_EQ(bundle->reference, base_->reference);

  const auto taught = TaughtBy(*bundle);
  ASSERT_TRUE(taught.ok()) << taught.error().message;
  adapt::Adaptation expected = learned;
  expected.bundle = bundle->bundle;
  EXPECT_EQ(*taught, expected);

  const auto there = Serve(base_, learned);
  const auto here = Serve(bundle, *taught);
  EXPECT_TRUE(CheckTaught(*here).ok());
  base::Random random(11);
  for (int i = 0; i < 50; ++i) {
    Inference a, b;
    a.raw = b.raw = MakeRow(random, static_cast<std::uint16_t>(i % kClasses), i % 3 == 0);
    ASSERT_TRUE(there->InferDecoded(a).ok());
    ASSERT_TRUE(here->InferDecoded(b).ok());
    EXPECT_EQ(a.feature, b.feature);
    EXPECT_EQ(a.share, b.share);
    EXPECT_EQ(a.prediction.label, b.prediction.label);
    EXPECT_EQ(a.prediction.confidence, b.prediction.confidence);
  }
}

TEST_F(TaughtTest, WhatItLearnedOnMayBeAnArchiveAndGivesTheSameBundle) {
  ASSERT_TRUE(Keep(adapt::Serialise(Learned())).ok());
  const auto from_folder = Make(Options("a"));
  ASSERT_TRUE(from_folder.ok()) << from_folder.error().message;
  ASSERT_TRUE(model::MakeArchive(fs_, Path("base"), nullptr, Path("base.tar.zst")).ok());
  TeachOptions options = Options("b");
  options.base = Path("base.tar.zst");
  const auto from_archive = Make(options);
  ASSERT_TRUE(from_archive.ok()) << from_archive.error().message;
  EXPECT_EQ(*from_archive, *from_folder);
  EXPECT_FALSE(base::Exists(fs_, Path("b.base")));  // It was there only as long as it was read.
}

TEST_F(TaughtTest, LearnedTwiceIsTheLastOnTopOfBoth) {
  ASSERT_TRUE(Keep(adapt::Serialise(Learned())).ok());
  ASSERT_TRUE(Make(Options("first")).ok());
  const auto first = Load("first");
  adapt::Adaptation further = Learned();
  further.bundle = first->bundle;
  further.transform.shift[0] = -0.25f;
  ASSERT_TRUE(Keep(adapt::Serialise(further)).ok());
  TeachOptions options = Options("second");
  options.base = Path("first");
  options.version = "1.2.0";
  options.taught_by = "d-2";
  ASSERT_TRUE(Make(options).ok());
  const auto second = Load("second");
  EXPECT_EQ(second->manifest.lineage.parent, first->bundle);
  EXPECT_EQ(second->manifest.lineage.taught_by, (std::vector<std::string>{"d-1", "d-2"}));
  EXPECT_EQ(TaughtBy(*second)->transform, further.transform);
}

TEST_F(TaughtTest, WhatDoesNotFitIsRefusedAndNothingIsLeft) {
  const auto refused = [&](const TeachOptions& options) {
    const auto made = Make(options);
    EXPECT_FALSE(made.ok());
    EXPECT_FALSE(base::Exists(fs_, options.out));
    return made.ok() ? base::Error{ErrorCode::kInternal, ""} : made.error();
  };
  adapt::Adaptation learned = Learned();
  learned.bundle = std::string(64, 'e');
  ASSERT_TRUE(Keep(adapt::Serialise(learned)).ok());
  EXPECT_EQ(refused(Options("out")).message, "bundle make: " + Path("adaptation.bin") +
                                                 ": was learned on bundle " + learned.bundle +
                                                 ", " + Path("base") + " is " + base_->bundle);

  adapt::Adaptation none;
  none.bundle = base_->bundle;
  ASSERT_TRUE(Keep(adapt::Serialise(none)).ok());
  EXPECT_EQ(refused(Options("out")).message,
            "bundle make: " + Path("adaptation.bin") + ": nothing was learned");

  base::Bytes damaged = adapt::Serialise(Learned());
  damaged[damaged.size() / 2] ^= 1;
  ASSERT_TRUE(Keep(damaged).ok());
  const base::Error error = refused(Options("out"));
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_TRUE(error.message.starts_with(Path("adaptation.bin"))) << error.message;

  learned = Learned();
  learned.transform.scale.pop_back();
  learned.transform.shift.pop_back();
  ASSERT_TRUE(Keep(adapt::Serialise(learned)).ok());
  EXPECT_EQ(refused(Options("out")).code, ErrorCode::kInvalidArgument);

  ASSERT_TRUE(Keep(adapt::Serialise(Learned())).ok());
  TeachOptions same = Options("out");
  same.version = "1.0.0";
  EXPECT_EQ(refused(same).message, "bundle make: version 1.0.0 is the base's own; give it another");
  ASSERT_TRUE(Make(Options("out")).ok());
  EXPECT_EQ(Make(Options("out")).error().code, ErrorCode::kConflict);
}

TEST_F(TaughtTest, ABundleWhoseNotesAreOfAnotherParentIsCorrupt) {
  ASSERT_TRUE(Keep(adapt::Serialise(Learned())).ok());
  ASSERT_TRUE(Make(Options("taught")).ok());
  model::ModelBundle bundle = *Load("taught");
  bundle.manifest.lineage.parent = std::string(64, 'e');
  EXPECT_EQ(TaughtBy(bundle).error().code, ErrorCode::kCorrupt);
  bundle.taught.resize(bundle.taught.size() / 2);
  EXPECT_EQ(TaughtBy(bundle).error().code, ErrorCode::kCorrupt);
}

TEST_F(TaughtTest, AnAnswerThatIsNotTheExpectedOneIsFound) {
  ASSERT_TRUE(Keep(adapt::Serialise(Learned())).ok());
  ASSERT_TRUE(Make(Options("taught")).ok());
  const auto whole = Load("taught");
  const adapt::Adaptation taught = *TaughtBy(*whole);
  // Another machine, another number.
  model::ModelBundle off = *whole;
  off.golden.taught_features[kChannels] += 0.5f;  // Of the second input.
  auto serving = Serve(std::make_shared<const model::ModelBundle>(off), taught);
  const base::Status status = CheckTaught(*serving);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(status.error().message.starts_with(
      "bundle: golden input 1 with what was taught: feature 0 is "))
      << status.error().message;
  off = *whole;
  off.golden.taught_labels[0] = static_cast<std::uint16_t>((off.golden.taught_labels[0] + 1) % 4);
  serving = Serve(std::make_shared<const model::ModelBundle>(off), taught);
  EXPECT_FALSE(CheckTaught(*serving).ok());
  // The parent alone does not answer so: its first feature is not shifted.
  adapt::Adaptation none;
  none.bundle = whole->bundle;
  EXPECT_FALSE(CheckTaught(*Serve(whole, none)).ok());
}

// Gives sixteen pixels' red, as numbers around 1.
class PixelEngine final : public feature::FeatureModel {
 public:
  static constexpr int kSide = 8;
  int width() const override { return kSide; }
  int height() const override { return kSide; }
  std::size_t feature_count() const override { return kChannels; }
  base::Status Infer(std::span<const std::uint8_t> picture, std::span<float> raw) override {
    for (std::size_t i = 0; i < raw.size(); ++i) {
      raw[i] = static_cast<float>(picture[i * 3]) / 100.0f;
    }
    return {};
  }
};

TEST_F(TaughtTest, APictureIsPutRightBeforeTheGoldenAnswersAreMade) {
  model::ModelBundle pictures = *MakeBundle("1.0.0", 1);
  pictures.is_image = true;
  pictures.image_rule.width = pictures.image_rule.height = PixelEngine::kSide;
  pictures.feature_model = base::ToBytes("pixels");
  pictures.manifest.input = {};
  pictures.manifest.input.width = pictures.manifest.input.height = PixelEngine::kSide;
  pictures.manifest.input.channels = "rgb";
  pictures.manifest.input.resize = "center_crop";
  pictures.manifest.input.scale = "uint8";
  model::Reference& reference = pictures.reference;
  reference.rail_low = reference.rail_high = {};
  reference.class_channel_mean = reference.class_channel_sd = {};
  reference.channel_covariance = reference.channel_mode_share = {};
  constexpr std::size_t kBytes = PixelEngine::kSide * PixelEngine::kSide * 3;
  reference.mean_image.assign(kBytes, 100.0f);
  reference.sd_image.assign(kBytes, 10.0f);
  model::Golden& golden = pictures.golden;
  golden.rows.clear();
  PixelEngine engine;
  auto processor = feature::Processor::Create(pictures.processor);
  ASSERT_TRUE(processor.ok());
  base::Random random(3);
  for (std::size_t i = 0; i < golden.count; ++i) {
    std::vector<std::uint8_t> picture(kBytes);
    for (std::uint8_t& value : picture) value = static_cast<std::uint8_t>(random.Below(100));
    const auto raw = std::span(golden.raw).subspan(i * kChannels, kChannels);
    ASSERT_TRUE(engine.Infer(picture, raw).ok());
    processor->Apply(raw, std::span(golden.features).subspan(i * kChannels, kChannels));
    golden.pictures.insert(golden.pictures.end(), picture.begin(), picture.end());
  }
  ASSERT_TRUE(model::WriteBundle(fs_, pictures, Path("pictures")).ok());
  const auto parent = Load("pictures");

  // Twice as bright: 8192 / 4096.
  adapt::Adaptation learned;
  learned.bundle = parent->bundle;
  learned.hypothesis = adapt::InputHypothesis::Of(
      {.kind = adapt::StepKind::kChannelGain, .gains = {8192, 8192, 8192}, .offsets = {0, 0, 0}});
  ASSERT_TRUE(Keep(adapt::Serialise(learned)).ok());
  TeachOptions options = Options("taught");
  options.base = Path("pictures");
  const model::EngineOpener open_engine = [](base::ByteView, const model::EngineOptions&) {
    return base::Result<std::unique_ptr<feature::FeatureModel>>(std::make_unique<PixelEngine>());
  };
  const auto made = Teach(fs_, options, open_engine);
  ASSERT_TRUE(made.ok()) << made.error().message;
  const auto bundle = Load("taught");
  ASSERT_NE(bundle, nullptr);
  // Where a pixel was p / 100 it is 2 p / 100 now, standardised.
  for (std::size_t i = 0; i < golden.count * kChannels; ++i) {
    const std::size_t j = i % kChannels;
    const float want =
        (2.0f * golden.raw[i] - bundle->processor.mean[j]) / bundle->processor.scale[j];
    EXPECT_NEAR(bundle->golden.taught_features[i], want, 1e-4);
  }
  EXPECT_EQ(bundle->golden.raw, golden.raw);  // The bundle alone answers as before.
  auto serving = Serving::Create(bundle, std::make_unique<PixelEngine>(), *TaughtBy(*bundle), {});
  ASSERT_TRUE(serving.ok()) << serving.error().message;
  EXPECT_TRUE(CheckTaught(**serving).ok());
}

TEST_F(TaughtTest, OfOneModelTaughtDifferentlyNoAgreementIsAsked) {
  model::ModelBundle taught = *base_;
  taught.bundle = std::string(64, 't');
  taught.manifest.lineage.parent = base_->bundle;
  taught.taught = base::ToBytes("notes");
  model::ModelBundle sibling = taught;
  sibling.bundle = std::string(64, 's');
  model::ModelBundle other = *base_;
  other.bundle = std::string(64, 'o');
  other.manifest.lineage.parent = base_->bundle;  // Fitted anew after it, by a person.

  // Forward: it may answer otherwise, but not be less sure.
  EXPECT_FALSE(AskedOf(*base_, taught).agreement);
  EXPECT_TRUE(AskedOf(*base_, taught).confidence);
  EXPECT_FALSE(AskedOf(sibling, taught).agreement);
  // Back to what it was taught on: whoever orders that knows that it is less sure.
  EXPECT_FALSE(AskedOf(taught, *base_).agreement);
  EXPECT_FALSE(AskedOf(taught, *base_).confidence);
  // Another model has to agree.
  EXPECT_TRUE(AskedOf(*base_, other).agreement);
  EXPECT_TRUE(AskedOf(taught, other).agreement);
  EXPECT_TRUE(AskedOf(taught, other).confidence);

  const auto verdict_of = [](HealthWatch::Asks asks, double confidence, double canary) {
    HealthWatch watch(10, 0.95, canary, asks);
    std::optional<HealthWatch::Verdict> verdict;
    for (int i = 0; i < 10; ++i) verdict = watch.Add(i < 3, confidence, 0.9);
    return verdict->is_healthy;
  };
  EXPECT_FALSE(verdict_of(AskedOf(*base_, other), 0.9, 0.95));  // It agrees on 3 of 10.
  EXPECT_TRUE(verdict_of(AskedOf(*base_, taught), 0.9, 0.95));
  EXPECT_FALSE(verdict_of(AskedOf(*base_, taught), 0.5, 0.95));
  EXPECT_TRUE(verdict_of(AskedOf(taught, *base_), 0.5, 0.95));
  EXPECT_FALSE(verdict_of(AskedOf(taught, *base_), 0.5, 0.8));  // The canary is always asked.
}

}  // namespace
}  // namespace tinylcm::pipeline
