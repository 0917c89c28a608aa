#include "tinylcm/pipeline/concepts.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/text.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/src/pipeline/small_array_test.h"
#include "tinylcm/src/pipeline/stage_making.h"

namespace tinylcm::pipeline {
namespace {

constexpr std::uint64_t kSeed = 5;

class SilentLogger final : public base::Logger {
 public:
  void Write(base::LogLevel, std::string_view message) override { said += message; }
  std::string said;
};

// A small array, of which the first six channels age and come back.
class ConceptsTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(fs_.CreateDirectories("d").ok()); }

  Concepts Open() { return Concepts::Open(fs_, logger_, "d", bundle_, kSeed); }

  // What a quarantine holds after `count` samples of a new event.
  void Collect(const std::string& event_id, bool aged, int count = 30) {
    ASSERT_TRUE(quarantine_.Begin(event_id).ok());
    const std::unique_ptr<Serving> bench = Make(*base_).value();
    for (int i = 0; i < count; ++i) {
      adapt::QuarantinedSample sample;
      sample.sample_id = base::StrCat(event_id, "-", i);
      sample.raw = MakeRow(random_, static_cast<std::uint16_t>(random_.Below(kClasses)), aged);
      sample.feature.resize(bundle_->feature_count());
      ASSERT_TRUE(bench->Embed({}, sample.raw, sample.feature).ok());
      ASSERT_TRUE(quarantine_.Add(sample, {}).ok());
    }
  }

  // Undoes the ageing, x = .2 y + 1.2, in the units of features, (x - mean) / scale: times 5, minus
  // (6 - 4 mean) / scale. The wrong one pushes the ten sound channels to and fro by ten deviations.
  Concepts::AdaptationPtr Repair(bool is_right = true) const {
    adapt::Adaptation adaptation;
    adaptation.bundle = bundle_->bundle;
    adaptation.event_id = "e-1";
    adaptation.challenger.alignment = adapt::Alignment::kMovedChannels;
    for (std::size_t j = 0; j < kChannels; ++j) {
      const float mean = bundle_->processor.mean[j], scale = bundle_->processor.scale[j];
      const bool is_aged = j < 6;
      adaptation.transform.scale.push_back(is_aged && is_right ? 5.0f : 1.0f);
      adaptation.transform.shift.push_back(is_right
                                               ? (is_aged ? (4.0f * mean - 6.0f) / scale : 0.0f)
                                           : is_aged    ? 0.0f
                                           : j % 2 == 0 ? 10.0f
                                                        : -10.0f);
    }
    return std::make_shared<const adapt::Adaptation>(std::move(adaptation));
  }

  base::Result<std::unique_ptr<Serving>> Make(const adapt::Adaptation& adaptation) const {
    return MakeServing({}, bundle_, adaptation, {.revision = 0});
  }
  Concepts::Maker maker() const {
    return [this](const adapt::Adaptation& adaptation) { return Make(adaptation); };
  }
  Concepts::AdaptationPtr Base() const {
    adapt::Adaptation none;
    none.bundle = bundle_->bundle;
    return std::make_shared<const adapt::Adaptation>(std::move(none));
  }

  tests::FakeFileSystem fs_;
  SilentLogger logger_;
  base::Random random_{kSeed};
  std::shared_ptr<const model::ModelBundle> bundle_ = MakeBundle("1.0.0", 1);
  Concepts::AdaptationPtr base_ = Base();
  adapt::Quarantine quarantine_ = adapt::Quarantine::Open(fs_, "q", {}).value();
};

TEST_F(ConceptsTest, WhatWasLearnedIsProposedWhenItIsThereAgainAndAfterARestart) {
  {
    Concepts concepts = Open();
    Collect("e-1", true, 200);
    const Concepts::Met unknown = *concepts.Recognise(quarantine_, base_, base_, maker());
    EXPECT_EQ(unknown.adaptation, nullptr);
    concepts.Learn(quarantine_, Repair(), base_, 1.0, maker());
  }
  fs_.Crash();
  const Concepts concepts = Open();
  ASSERT_EQ(concepts.count(), 1u);
  Collect("e-2", true);
  const Concepts::Met met = *concepts.Recognise(quarantine_, base_, base_, maker());
  ASSERT_NE(met.adaptation, nullptr) << met.why;
  EXPECT_EQ(met.adaptation->transform, Repair()->transform);
  EXPECT_EQ(met.adaptation->event_id, "e-2");
  EXPECT_GE(met.sure, 0.95);
  EXPECT_TRUE(met.why.starts_with("met before, in e-1: answers lie at ")) << met.why;
}

TEST_F(ConceptsTest, TheWayBackToTheBundleAloneIsAConceptToo) {
  Concepts concepts = Open();
  Collect("e-1", true, 200);
  concepts.Learn(quarantine_, Repair(), base_, 1.0, maker());
  Collect("e-2", false);
  const Concepts::Met met = *concepts.Recognise(quarantine_, Repair(), base_, maker());
  EXPECT_EQ(met.adaptation, base_) << met.why;
  EXPECT_TRUE(met.why.starts_with("as when nothing was wrong: ")) << met.why;
  // It serves already: there is nothing to do.
  const Concepts::Met again = *concepts.Recognise(quarantine_, base_, base_, maker());
  EXPECT_EQ(again.adaptation, nullptr);
  EXPECT_EQ(again.why, "as when nothing was wrong, and the bundle alone serves");
}

TEST_F(ConceptsTest, WhatDoesNotHelpInTheShadowIsNotProposed) {
  Concepts concepts = Open();
  Collect("e-1", true, 200);
  concepts.Learn(quarantine_, Repair(false), base_, 1e9, maker());
  Collect("e-2", true);
  const Concepts::Met met = *concepts.Recognise(quarantine_, base_, base_, maker());
  EXPECT_EQ(met.adaptation, nullptr);
  EXPECT_NE(met.why.find("but in the shadow"), std::string::npos) << met.why;
  // Nor what helps, but much less than it did then.
  Concepts others = Open();
  others.Forget(*Repair(false));
  others.Learn(quarantine_, Repair(), base_, 1e-3, maker());
  EXPECT_EQ(others.count(), 1u);
  const Concepts::Met less = *others.Recognise(quarantine_, base_, base_, maker());
  EXPECT_EQ(less.adaptation, nullptr);
  EXPECT_NE(less.why.find("times as far as then"), std::string::npos) << less.why;
}

// Committed after a restart: the trial's distances are gone, those of the samples are not.
TEST_F(ConceptsTest, HowFarItLayIsMeasuredWhereNoTrialDid) {
  Concepts concepts = Open();
  Collect("e-1", true, 200);
  concepts.Learn(quarantine_, Repair(), base_, std::nullopt, maker());
  ASSERT_EQ(concepts.count(), 1u);
  double sum = 0.0;
  const std::unique_ptr<Serving> repaired = Make(*Repair()).value();
  for (const adapt::QuarantinedSample& sample : quarantine_.samples()) {
    Inference inference;
    inference.raw = sample.raw;
    ASSERT_TRUE(repaired->InferDecoded(inference).ok());
    sum += static_cast<double>(inference.prediction.mean_distance);
  }
  EXPECT_EQ(concepts.cache().concepts()[0].distance_after, sum / 200.0);
  Collect("e-2", true);
  EXPECT_NE(concepts.Recognise(quarantine_, base_, base_, maker())->adaptation, nullptr);
}

// A sample that is remembered lies at no distance from itself: it says nothing of those to come.
TEST_F(ConceptsTest, SamplesThatTaughtItAreNotMeasured) {
  Concepts concepts = Open();
  Collect("e-1", true, 200);
  adapt::Adaptation remembers = *Repair();
  for (const adapt::QuarantinedSample& sample : quarantine_.samples()) {
    remembers.entries.emplace_back().sample_id = sample.sample_id;
  }
  remembers.entries.pop_back();
  concepts.Learn(quarantine_, std::make_shared<const adapt::Adaptation>(remembers), base_,
                 std::nullopt, [this](const adapt::Adaptation&) { return Make(*Repair()); });
  Inference last;
  last.raw = quarantine_.samples().back().raw;
  ASSERT_TRUE(Make(*Repair()).value()->InferDecoded(last).ok());
  ASSERT_EQ(concepts.count(), 1u);
  EXPECT_EQ(concepts.cache().concepts()[0].distance_after,
            static_cast<double>(last.prediction.mean_distance));
}

TEST_F(ConceptsTest, WhatCannotBeMeasuredIsNotLearned) {
  Concepts concepts = Open();
  Collect("e-1", true, 200);
  concepts.Learn(quarantine_, Repair(), base_, std::nullopt,
                 [](const adapt::Adaptation&) -> base::Result<std::unique_ptr<Serving>> {
                   return base::Error{base::ErrorCode::kExhausted, "no memory"};
                 });
  EXPECT_EQ(concepts.count(), 0u);
  EXPECT_NE(logger_.said.find("concept of e-1 is not learned"), std::string::npos);
}

TEST_F(ConceptsTest, WhatWasUndoneDoesNotComeAgain) {
  Concepts concepts = Open();
  Collect("e-1", true, 200);
  concepts.Learn(quarantine_, Repair(), base_, 1.0, maker());
  concepts.ForgetLabels(std::vector<std::string>{"e-1-3"});  // It was learned from no label.
  EXPECT_EQ(concepts.count(), 1u);
  concepts.Forget(*Repair());
  EXPECT_EQ(concepts.count(), 0u);
  EXPECT_EQ(Open().count(), 0u);
}

TEST_F(ConceptsTest, TheBundleAloneIsNothingToLearn) {
  Concepts concepts = Open();
  Collect("e-1", true, 200);
  concepts.Learn(quarantine_, base_, base_, 1.0, maker());
  EXPECT_EQ(concepts.count(), 0u);
  EXPECT_TRUE(fs_.List("d")->empty());
}

TEST_F(ConceptsTest, WhatCannotBeReadIsSetAsideAndSaid) {
  {
    Concepts concepts = Open();
    Collect("e-1", true, 200);
    concepts.Learn(quarantine_, Repair(), base_, 1.0, maker());
  }
  const std::string path = "d/concepts-" + bundle_->bundle.substr(0, 16) + ".bin";
  fs_.FlipBit(path, 100, 3);
  EXPECT_EQ(Open().count(), 0u);
  EXPECT_NE(logger_.said.find("set aside: concepts: CRC differs"), std::string::npos);
  EXPECT_TRUE(base::Exists(fs_, path + ".damaged"));
}

// At every operation the power may go: what was known before is known, or what is known now.
TEST_F(ConceptsTest, ACrashLeavesTheOldOnesOrTheNew) {
  Collect("e-1", true, 200);
  const adapt::Quarantine& first = quarantine_;
  bool reached = true;
  for (int n = 0; reached; ++n) {
    tests::FakeFileSystem fs;
    ASSERT_TRUE(fs.CreateDirectories("d").ok());
    Concepts concepts = Concepts::Open(fs, logger_, "d", bundle_, kSeed);
    concepts.Learn(first, Repair(), base_, 1.0, maker());
    fs.PowerOffAt(fs.operations() + n);
    concepts.Forget(*Repair());
    reached = fs.power_is_off();
    fs.Crash(static_cast<std::uint64_t>(n));
    const std::size_t count = Concepts::Open(fs, logger_, "d", bundle_, kSeed).count();
    EXPECT_TRUE(count == 0 || (reached && count == 1)) << "power off at " << n;
  }
  EXPECT_EQ(logger_.said.find("set aside"), std::string::npos);
}

}  // namespace
}  // namespace tinylcm::pipeline
