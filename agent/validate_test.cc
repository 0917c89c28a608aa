// Adaptations of a small bundle of rows, some good and some not, before labels that know.

#include "agent/validate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <span>

#include "base/random.h"
#include "base/text.h"
#include "tinylcm/adapt/challenger.h"
#include "tinylcm/feature/feature_model.h"
#include "tinylcm/feature/processor.h"
#include "tinylcm/source/image.h"
#include "tinylcm/src/model/small_bundle_test.h"

namespace agent {
namespace {

namespace adapt = tinylcm::adapt;
namespace model = tinylcm::model;

using base::ErrorCode;
using protocol::Judgement;
using protocol::JudgementKind;

std::vector<Judgement::Sample> Answers(int both, int gained, int lost, int neither) {
  std::vector<Judgement::Sample> samples;
  const auto add = [&](int count, const char* before, const char* after) {
    for (int i = 0; i < count; ++i) {
      samples.push_back({base::StrCat("s", samples.size()), "right", before, after, false});
    }
  };
  add(both, "right", "right");
  add(gained, "wrong", "right");
  add(lost, "right", "wrong");
  add(neither, "wrong", "unknown");
  return samples;
}

TEST(Conclude, SaysWhatTheIntervalAllows) {
  EXPECT_EQ(Conclude(Answers(13, 10, 0, 1)).judgement, JudgementKind::kHelped);
  EXPECT_EQ(Conclude(Answers(13, 0, 10, 1)).judgement, JudgementKind::kHarmful);
  // 24 without a change: +-.138, so surely less than 15 points worse. 12: +-.242, which is not.
  EXPECT_EQ(Conclude(Answers(24, 0, 0, 0)).judgement, JudgementKind::kHarmless);
  EXPECT_EQ(Conclude(Answers(0, 0, 0, 24)).judgement, JudgementKind::kHarmless);
  EXPECT_EQ(Conclude(Answers(12, 0, 0, 0)).judgement, JudgementKind::kUnknown);
  // One lost of 200 is surely less than 15 points, yet fewer are right than before.
  EXPECT_EQ(Conclude(Answers(199, 0, 1, 0)).judgement, JudgementKind::kUnknown);
  EXPECT_EQ(Conclude(Answers(20, 2, 2, 0)).judgement, JudgementKind::kUnknown);
}

TEST(Conclude, SaysNothingOnFewLabelsHoweverClear) {
  const Judgement judgement = Conclude(Answers(0, 5, 0, 0));
  EXPECT_EQ(judgement.judgement, JudgementKind::kUnknown);
  EXPECT_EQ(judgement.right_after, 5);
  EXPECT_NE(judgement.reason.find("fewer than 6"), std::string::npos) << judgement.reason;
  EXPECT_EQ(Conclude(Answers(0, 6, 0, 0)).judgement, JudgementKind::kHelped);
}

TEST(Conclude, OfNothingIsUnknownWithoutFigures) {
  const Judgement judgement = Conclude({});
  EXPECT_EQ(judgement.judgement, JudgementKind::kUnknown);
  EXPECT_EQ(judgement.interval, std::nullopt);
}

TEST(Conclude, IsADocumentThatIsRead) {
  const Judgement judgement = Conclude(Answers(13, 10, 0, 1));
  EXPECT_EQ(protocol::ParseJudgement(protocol::ToJson(judgement).Write()).value(), judgement);
}

class ValidateTest : public model::FolderTest {
 protected:
  ValidateTest() {
    bundle_id_ = FitInto("bundle");
    bundle_ = model::LoadBundle(fs_, Path("bundle"), {}).value();
  }

  // After the change class c lies around 1.2 on its own channel and 1.8 on the next one: nearer to
  // the class behind it, yet apart from it.
  std::vector<double> Row(int label) {
    std::vector<double> row(3);
    for (int channel = 0; channel < 3; ++channel) {
      const double mean = channel == label ? 1.2 : channel == (label + 1) % 3 ? 1.8 : 0.0;
      row[static_cast<std::size_t>(channel)] = mean + 0.15 * random_.Normal();
    }
    return row;
  }

  void AddSample(const std::string& id, int label, const std::vector<double>& row) {
    set_.samples.push_back({id, base::StrCat("class-", label), "", row});
  }

  // Remembers a row as the device would: its feature, under this label.
  void Remember(adapt::Adaptation& adaptation, const std::string& id, const std::string& taught_by,
                int label, const std::vector<double>& row) {
    const auto processor = tinylcm::feature::Processor::Create(bundle_.processor).value();
    std::vector<float> raw(row.begin(), row.end());
    std::vector<float> feature(bundle_.feature_count());
    auto applied = processor;
    applied.Apply(raw, feature);
    adaptation.memory.Add(feature, static_cast<std::uint16_t>(label), 3.0f);
    adaptation.entries.push_back({.sample_id = id,
                                  .taught_by = taught_by,
                                  .feedback_id = "f1",
                                  .origin = id == taught_by ? adapt::LabelOrigin::kPerson
                                                            : adapt::LabelOrigin::kPropagated});
  }
  adapt::Adaptation Empty() {
    adapt::Adaptation adaptation;
    adaptation.bundle = bundle_id_;
    adaptation.event_id = "e1";
    adaptation.challenger = {adapt::Alignment::kNone, adapt::Memory::kLabelled};
    return adaptation;
  }

  base::Result<Judgement> Judge(const adapt::Adaptation& adaptation,
                                const adapt::Adaptation* champion = nullptr,
                                const std::string& bundle = "bundle") {
    Write("adaptation.bin", adapt::Serialise(adaptation));
    if (champion != nullptr) Write("champion.bin", adapt::Serialise(*champion));
    Write("samples.json", base::AsBytes(protocol::ToJson(set_).Write()));
    return Validate({.bundle = Path(bundle),
                     .adaptation = Path("adaptation.bin"),
                     .champion = champion != nullptr ? Path("champion.bin") : "",
                     .samples = Path("samples.json"),
                     .scratch = Path("scratch")},
                    fs_, {});
  }

  base::Random random_{7};
  std::string bundle_id_;
  model::ModelBundle bundle_;
  protocol::ValidationSet set_;
};

TEST_F(ValidateTest, AMemoryThatKnowsTheNewPlacesHelpedAlsoWithEachLabelLeftOut) {
  adapt::Adaptation adaptation = Empty();
  for (int i = 0; i < 24; ++i) {
    const std::string id = base::StrCat("s", i);
    const std::vector<double> row = Row(i % 3);
    AddSample(id, i % 3, row);
    Remember(adaptation, id, id, i % 3, row);
  }
  const auto judgement = Judge(adaptation);
  ASSERT_TRUE(judgement.ok()) << judgement.error().message;
  EXPECT_EQ(judgement->judgement, JudgementKind::kHelped) << judgement->reason;
  EXPECT_EQ(judgement->labels, 24);
  EXPECT_LE(judgement->right_before, 4);
  EXPECT_GE(judgement->right_after, 23);
  for (const Judgement::Sample& sample : judgement->samples) EXPECT_TRUE(sample.left_out);
}

TEST_F(ValidateTest, AMemoryThatWasTaughtNonsenseIsHarmful) {
  // Nothing has drifted, and the bundle is right. One person taught the device nonsense.
  adapt::Adaptation adaptation = Empty();
  base::Random rows(11);
  for (int i = 0; i < 24; ++i) {
    const std::string id = base::StrCat("s", i);
    std::vector<double> row(3);
    for (int channel = 0; channel < 3; ++channel) {
      row[static_cast<std::size_t>(channel)] = (channel == i % 3 ? 3.0 : 0.0) + 0.3 * rows.Normal();
    }
    AddSample(id, i % 3, row);  // What most people say: the truth.
    // What one of them taught the device: another class for each of those nearby.
    for (int k = 0; k < 4; ++k) {
      Remember(adaptation, base::StrCat("p", i, "-", k), id, (i % 3 + 1) % 3, row);
    }
  }
  const auto judgement = Judge(adaptation);
  ASSERT_TRUE(judgement.ok()) << judgement.error().message;
  EXPECT_EQ(judgement->judgement, JudgementKind::kHarmful) << judgement->reason;
  EXPECT_EQ(judgement->right_before, 24);
}

TEST_F(ValidateTest, WhatASampleTaughtDoesNotAnswerForIt) {
  // Neither the truth nor what the bundle answers there.
  AddSample("s0", 2, Row(0));
  adapt::Adaptation adaptation = Empty();
  for (const char* id : {"s0", "s0-near", "s0-far"}) {
    Remember(adaptation, id, "s0", 2, set_.samples[0].row);
  }
  const auto judgement = Judge(adaptation);
  ASSERT_TRUE(judgement.ok()) << judgement.error().message;
  ASSERT_EQ(judgement->samples.size(), 1u);
  EXPECT_TRUE(judgement->samples[0].left_out);
  EXPECT_EQ(judgement->samples[0].after, judgement->samples[0].before);
  EXPECT_NE(judgement->samples[0].after, "class-2");
  // The same memory, taught by somebody else, does answer.
  for (adapt::MemoryEntry& entry : adaptation.entries) entry.sample_id = entry.taught_by = "x";
  const auto remembered = Judge(adaptation);
  ASSERT_TRUE(remembered.ok());
  EXPECT_FALSE(remembered->samples[0].left_out);
  EXPECT_EQ(remembered->samples[0].after, "class-2");
}

TEST_F(ValidateTest, ComparesWithTheChampionWhereThereIsOne) {
  adapt::Adaptation champion = Empty();
  adapt::Adaptation adaptation = Empty();
  for (int i = 0; i < 60; ++i) {
    const std::vector<double> row = Row(i % 3);
    const std::string id = base::StrCat("s", i);
    if (i < 24) {
      Remember(champion, id, id, i % 3, row);
      Remember(adaptation, id, id, i % 3, row);
    } else {
      AddSample(id, i % 3, row);
    }
  }
  const auto judgement = Judge(adaptation, &champion);
  ASSERT_TRUE(judgement.ok()) << judgement.error().message;
  EXPECT_EQ(judgement->judgement, JudgementKind::kHarmless) << judgement->reason;
  EXPECT_EQ(judgement->right_before, judgement->right_after);
  EXPECT_EQ(Judge(adaptation)->judgement, JudgementKind::kHelped);
}

TEST_F(ValidateTest, ReadsTheBundleOutOfAnArchiveAndLeavesNothingBehind) {
  const base::Ed25519Key key = base::Ed25519Key::Generate();
  ASSERT_TRUE(model::MakeArchive(fs_, Path("bundle"), &key, Path("bundle.tar.zst")).ok());
  adapt::Adaptation adaptation = Empty();
  for (int i = 0; i < 24; ++i) {
    const std::vector<double> row = Row(i % 3);
    Remember(adaptation, base::StrCat("s", i), base::StrCat("s", i), i % 3, row);
    AddSample(base::StrCat("s", i), i % 3, row);
  }
  const auto judgement = Judge(adaptation, nullptr, "bundle.tar.zst");
  ASSERT_TRUE(judgement.ok()) << judgement.error().message;
  EXPECT_EQ(judgement->judgement, JudgementKind::kHelped);
  EXPECT_FALSE(base::Exists(fs_, Path("scratch")));
}

TEST_F(ValidateTest, AHeadIsMadeAgainWithoutTheSampleAsTheDeviceMadeIt) {
  adapt::Adaptation adaptation = Empty();
  adaptation.challenger = {adapt::Alignment::kNone, adapt::Memory::kLda};
  // A person named a class that the bundle lacks, and has said so of every fourth row.
  adaptation.opened = {"class-3"};
  auto processor = tinylcm::feature::Processor::Create(bundle_.processor).value();
  std::vector<float> features(24 * bundle_.feature_count());
  std::vector<adapt::LabelledRow> labelled;
  for (std::uint32_t i = 0; i < 24; ++i) {
    const std::vector<double> row = Row(static_cast<int>(i % 3));
    const std::vector<float> raw(row.begin(), row.end());
    processor.Apply(
        raw, std::span(features).subspan(i * bundle_.feature_count(), bundle_.feature_count()));
    const auto label = static_cast<std::uint16_t>(i % 4 == 3 ? 3 : i % 3);
    // Not all are as sure: the weights of the memory differ, and the head with them.
    labelled.push_back({.row = i, .label = label, .weight = i % 2 == 0 ? 1.0f : 0.75f});
  }
  // The device's own hand.
  const adapt::ClassMoments anchors = adapt::ClassMoments::Of(bundle_.anchors, 4);
  const adapt::Challenger made =
      adapt::MakeChallenger(adaptation.challenger, features, anchors, labelled, {});
  ASSERT_TRUE(made.head.has_value());
  adaptation.memory = made.memory;
  adaptation.head = made.head;
  for (const adapt::Provenance& from : made.provenance) {
    adaptation.entries.push_back({.sample_id = base::StrCat("s", from.row),
                                  .taught_by = base::StrCat("s", labelled[from.taught_by].row),
                                  .feedback_id = "f1"});
  }
  const adapt::ClassMoments ours = AnchorsOf(bundle_, adaptation);
  const adapt::Adaptation same = WithoutSample(adaptation, "taught-nothing", &ours);
  EXPECT_EQ(same.memory.size(), adaptation.memory.size());
  EXPECT_EQ(same.head, adaptation.head) << "bit for bit";
  const adapt::Adaptation less = WithoutSample(adaptation, "s4", &ours);
  EXPECT_LT(less.memory.size(), adaptation.memory.size());
  ASSERT_TRUE(less.head.has_value());
  EXPECT_NE(less.head, adaptation.head);
  EXPECT_EQ(less.head->classes(), 4u);
}

TEST_F(ValidateTest, RefusesWhatDoesNotBelongTogether) {
  AddSample("s1", 0, Row(0));
  adapt::Adaptation other = Empty();
  Remember(other, "s1", "s1", 0, set_.samples[0].row);
  other.bundle = std::string(64, 'f');
  EXPECT_EQ(Judge(other).error().code, ErrorCode::kInvalidArgument);
  Write("adaptation.bin", base::AsBytes("no adaptation"));
  const auto damaged = Validate({.bundle = Path("bundle"),
                                 .adaptation = Path("adaptation.bin"),
                                 .champion = "",
                                 .samples = Path("samples.json"),
                                 .scratch = Path("scratch")},
                                fs_, {});
  ASSERT_FALSE(damaged.ok());
  EXPECT_NE(damaged.error().message.find("adaptation.bin"), std::string::npos);
}

TEST_F(ValidateTest, LeavesASampleAsideThatIsNoneAndSaysSo) {
  for (int i = 0; i < 7; ++i) AddSample(base::StrCat("s", i), i % 3, Row(i % 3));
  AddSample("bad", 0, {1.0, 2.0});
  adapt::Adaptation adaptation = Empty();
  Remember(adaptation, "x", "x", 0, Row(0));
  const auto judgement = Judge(adaptation);
  ASSERT_TRUE(judgement.ok()) << judgement.error().message;
  EXPECT_EQ(judgement->labels, 7);
  EXPECT_NE(judgement->reason.find("1 left aside"), std::string::npos) << judgement->reason;
}

// Gives the means of a picture's colours.
class MeansModel final : public tinylcm::feature::FeatureModel {
 public:
  int width() const override { return 8; }
  int height() const override { return 8; }
  std::size_t feature_count() const override { return 3; }
  base::Status Infer(std::span<const std::uint8_t> picture, std::span<float> raw) override {
    std::fill(raw.begin(), raw.end(), 0.0f);
    for (std::size_t i = 0; i < picture.size(); ++i) {
      raw[i % 3] += static_cast<float>(picture[i]) / 64.0f;
    }
    return {};
  }
};

base::Result<std::unique_ptr<tinylcm::feature::FeatureModel>> OpenMeans(
    base::ByteView, const model::EngineOptions&) {
  return std::unique_ptr<tinylcm::feature::FeatureModel>(new MeansModel);
}

class ValidatePicturesTest : public model::FolderTest {
 protected:
  // A red or a green picture; `red_share` of its red comes through.
  base::Bytes Picture(bool is_red, double red_share) {
    tinylcm::source::Image image{8, 8, {}};
    for (int pixel = 0; pixel < 64; ++pixel) {
      const auto strong = static_cast<int>(200 + random_.Below(40));
      const auto weak = static_cast<int>(random_.Below(40));
      image.rgb.push_back(static_cast<std::uint8_t>(red_share * (is_red ? strong : weak)));
      image.rgb.push_back(static_cast<std::uint8_t>(is_red ? weak : strong));
      image.rgb.push_back(static_cast<std::uint8_t>(weak));
    }
    return tinylcm::source::EncodeJpeg(image, 95).value();
  }

  base::Random random_{5};
};

TEST_F(ValidatePicturesTest, GoThroughInputHypothesisAndModelAgain) {
  for (int i = 0; i < 24; ++i) {
    const std::string folder = i % 2 == 0 ? "images/red" : "images/green";
    ASSERT_TRUE(fs_.CreateDirectories(Path(folder)).ok());
    Write(base::StrCat(folder, "/", i, ".jpg"), Picture(i % 2 == 0, 1.0));
  }
  Write("model", base::AsBytes("means"));
  model::RunFitOptions fit;
  fit.images = Path("images");
  fit.model = Path("model");
  fit.out = Path("bundle");
  fit.fit.anchors_per_class = 4;
  const auto fitted = model::RunFit(fit, fs_, base::SystemClock(), base::NullLogger(), OpenMeans);
  ASSERT_TRUE(fitted.ok()) << fitted.error().message;

  // A thirty-second of the red comes through: red pictures look green. Sixteen times as much of it
  // is red enough again.
  protocol::ValidationSet set;
  for (int i = 0; i < 24; ++i) {
    Write(base::StrCat(i, ".jpg"), Picture(i % 2 == 0, 1.0 / 32.0));
    set.samples.push_back(
        {base::StrCat("s", i), i % 2 == 0 ? "red" : "green", base::StrCat(i, ".jpg"), {}});
  }
  adapt::Adaptation adaptation;
  adaptation.bundle = fitted->bundle;
  adapt::InputStep gain;
  gain.kind = adapt::StepKind::kChannelGain;
  gain.gains = {65535, 4096, 4096};
  gain.offsets = {0, 0, 0};
  adaptation.hypothesis.steps = {gain};
  Write("adaptation.bin", adapt::Serialise(adaptation));
  Write("samples.json", base::AsBytes(protocol::ToJson(set).Write()));
  const auto judgement = Validate({.bundle = Path("bundle"),
                                   .adaptation = Path("adaptation.bin"),
                                   .champion = "",
                                   .samples = Path("samples.json"),
                                   .scratch = Path("scratch")},
                                  fs_, OpenMeans);
  ASSERT_TRUE(judgement.ok()) << judgement.error().message;
  EXPECT_EQ(judgement->right_before, 12);
  EXPECT_EQ(judgement->right_after, 24);
  EXPECT_EQ(judgement->judgement, JudgementKind::kHelped);
}

}  // namespace
}  // namespace agent
