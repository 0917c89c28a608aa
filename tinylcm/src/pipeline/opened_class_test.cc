// A class that people opened, from the answer to the name in the log; drift and accuracy, which
// know the bundle's classes only, go on beside it.

#include <gtest/gtest.h>

#include "base/random.h"
#include "tinylcm/pipeline/accuracy.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/src/pipeline/small_array_test.h"
#include "tinylcm/src/pipeline/stage_making.h"

namespace tinylcm::pipeline {
namespace {

constexpr std::uint64_t kSeed = 11;

// Half-way between classes b and c on all their channels, and high above them on d's.
std::vector<float> Crab(base::Random& random) {
  std::vector<float> row = MakeRow(random, 3, false);
  for (std::size_t i = 4; i < 16; ++i) row[i] += i < 12 ? 0.5f : 2.0f;
  return row;
}

class OpenedClass : public testing::Test {
 protected:
  std::unique_ptr<Stage> MakeStage(const adapt::Adaptation& adaptation, std::uint64_t revision) {
    auto stage = std::make_unique<Stage>();
    auto serving = MakeServing({}, bundle_, adaptation, {.revision = revision});
    EXPECT_TRUE(serving.ok()) << (serving.ok() ? "" : serving.error().message);
    auto monitor = MakeMonitor(LifecycleOptions{}, *bundle_, (*serving)->signals());
    EXPECT_TRUE(monitor.ok());
    stage->serving = std::move(*serving);
    stage->monitor = std::move(*monitor);
    return stage;
  }
  // Thirty of them remembered, as a person named them.
  adapt::Adaptation Remembering() {
    adapt::Adaptation adaptation;
    adaptation.bundle = bundle_->bundle;
    adaptation.challenger.memory = adapt::Memory::kLabelled;
    adaptation.opened = {"crab"};
    adaptation.memory.dims = kChannels;
    auto bench = MakeServing({}, bundle_, {}, {});
    EXPECT_TRUE(bench.ok());
    for (int i = 0; i < 30; ++i) {
      std::vector<float> raw = Crab(random_), feature(bundle_->feature_count());
      EXPECT_TRUE((*bench)->Embed({}, raw, feature).ok());
      adaptation.memory.Add(feature, kClasses);
      adaptation.entries.push_back({.sample_id = "s", .taught_by = "s", .feedback_id = "f"});
    }
    return adaptation;
  }
  base::Result<Seen> Show(FramePath& path, std::vector<float> row) {
    source::Frame frame;
    frame.row = std::move(row);
    return path.Process(std::move(frame));
  }

  base::Random random_{kSeed};
  std::shared_ptr<const model::ModelBundle> bundle_ = MakeBundle("1.0.0", 1);
};

TEST_F(OpenedClass, IsAnsweredByItsLabelAndNamedBehindTheBundlesOwn) {
  FramePath path(MakeStage({}, 0), 0);
  const Seen before = Show(path, Crab(random_)).value();
  EXPECT_LT(before.prediction.nearest, kClasses);
  path.Offer(MakeStage(Remembering(), 1));
  int right = 0;
  Seen seen;
  for (int i = 0; i < 100; ++i) {
    seen = Show(path, Crab(random_)).value();
    right += seen.prediction.nearest == kClasses ? 1 : 0;
    EXPECT_LT(seen.prediction.known, kClasses) << "the nearest anchor is the bundle's";
  }
  EXPECT_GE(right, 95);
  EXPECT_EQ(path.inference().share.size(), kClasses + 1u);
  // The log, which asks by the number of what answered, gets the longer list with a new number.
  EXPECT_NE(seen.bundle, before.bundle);
  EXPECT_EQ(path.BundleOf(seen.bundle)->labels,
            (std::vector<std::string>{"a", "b", "c", "d", "crab"}));
  EXPECT_EQ(path.BundleOf(seen.bundle)->bundle, bundle_->bundle);
  EXPECT_EQ(path.BundleOf(before.bundle)->labels.size(), kClasses);
  // Known classes are answered as before.
  int known = 0;
  for (int i = 0; i < 100; ++i) {
    const auto label = static_cast<std::uint16_t>(i % kClasses);
    known += Show(path, MakeRow(random_, label, false))->prediction.nearest == label ? 1 : 0;
  }
  EXPECT_GE(known, 95);
}

// The drift monitor has the bundle's classes: what it is shown must be one of them, whoever
// answers.
TEST_F(OpenedClass, IsWatchedAmongTheClassWhoseAnchorIsNearest) {
  FramePath path(MakeStage(Remembering(), 1), 0);
  for (int i = 0; i < 400; ++i) {
    const bool is_crab = i % 5 == 0;
    const auto label = static_cast<std::uint16_t>(i % kClasses);
    ASSERT_TRUE(Show(path, is_crab ? Crab(random_) : MakeRow(random_, label, false)).ok());
  }
  // Learned as usual with the rest: 300 samples taught, and crabs are no news.
  EXPECT_EQ(path.drift_phase(), drift::DriftMonitor::Phase::kWatching);
  EXPECT_TRUE(path.Accuracy().known() || path.Accuracy().unknown == accuracy::Unknown::kTooFar);
  std::uint64_t sketched = 0;
  path.TakeSketches([&](const protocol::Sketches& sketches) {
    EXPECT_EQ(sketches.bundle, bundle_->bundle);
    sketched += sketches.total();
    return true;
  });
  EXPECT_EQ(sketched, 400u);
}

// A memory with an opened class in it answers the canary as well; without the canary's word nobody
// would know how far to believe the answers.
TEST_F(OpenedClass, LeavesTheEstimateItsCanary) {
  const adapt::Adaptation adaptation = Remembering();
  accuracy::Estimator estimator = MakeEstimator(*bundle_, adaptation);
  auto serving = MakeServing({}, bundle_, adaptation, {});
  ASSERT_TRUE(serving.ok());
  Inference out;
  for (int i = 0; i < 200; ++i) {
    source::Frame frame;
    frame.row = i % 10 == 0 ? Crab(random_)
                            : MakeRow(random_, static_cast<std::uint16_t>(i % kClasses), false);
    ASSERT_TRUE((*serving)->Infer(frame, out).ok());
    estimator.Observe(AnswerOf(out.prediction, *bundle_));
  }
  ASSERT_TRUE(estimator.Over().known());
  EXPECT_GT(estimator.Over().mean, 0.8);
}

}  // namespace
}  // namespace tinylcm::pipeline
