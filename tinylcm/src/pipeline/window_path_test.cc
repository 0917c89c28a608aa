// An accelerometer without a line of code: rows of three activities that differ in how fast and how
// hard the sensor moves, seen through a window. One row says nothing; a window of them does.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tinylcm/feature/window.h"
#include "tinylcm/model/fit.h"
#include "tinylcm/pipeline/frame_path.h"

namespace tinylcm::pipeline {
namespace {

constexpr double kRate = 50.0;
constexpr int kSegment = 500;  // Rows of one activity on end.
constexpr std::uint64_t kSeed = 11;

const protocol::BundleWindow kWindow{
    .size = 128,
    .step = 64,
    .sample_rate_hz = kRate,
    .statistics = {"mean", "deviation", "min", "max", "rms"},
    .bands = {{0.5, 1.5}, {1.5, 3.5}, {3.5, 15.0}},
};

struct Recording {
  std::vector<float> rows;
  std::vector<std::string> labels;
};

// Sitting does not move; walking is 2 steps a second; shaking 6, and no harder.
Recording Record(int segments, std::uint64_t seed) {
  base::Random random(seed);
  Recording recording;
  const std::string names[] = {"shaking", "sitting", "walking"};
  const double hertz[] = {6.0, 1.0, 2.0};
  const double force[] = {1.0, 0.0, 1.0};
  double turn = 0.0;
  for (int segment = 0; segment < segments; ++segment) {
    const auto activity = static_cast<std::size_t>(random.Below(3));
    for (int i = 0; i < kSegment; ++i) {
      turn += 2.0 * std::numbers::pi * hertz[activity] / kRate;
      for (const double phase : {0.0, 1.0, 2.0}) {
        recording.rows.push_back(
            static_cast<float>(force[activity] * std::sin(turn + phase) + 0.2 * random.Normal()));
      }
      recording.labels.push_back(names[activity]);
    }
  }
  return recording;
}

std::shared_ptr<const model::ModelBundle> FitWindows(const Recording& recording) {
  const auto windows = feature::WindowRows(kWindow, 3, recording.rows, recording.labels).value();
  model::FitData data;
  data.raw = windows.features;
  data.raw_count = 3 * kWindow.features_a_channel();
  data.label_names = {"shaking", "sitting", "walking"};
  for (const std::string& label : windows.labels) {
    data.labels.push_back(static_cast<std::uint16_t>(
        std::find(data.label_names.begin(), data.label_names.end(), label) -
        data.label_names.begin()));
  }
  model::FitOptions options;
  options.standardise = true;
  options.seed = kSeed;
  auto fitted = model::Fit(data, options);
  EXPECT_TRUE(fitted.ok()) << (fitted.ok() ? "" : fitted.error().message);
  model::ModelBundle bundle = std::move(fitted->bundle);
  bundle.manifest.labels = data.label_names;
  bundle.manifest.input.kind = protocol::BundleInput::Kind::kRow;
  bundle.manifest.input.channel_count = 3;
  bundle.manifest.input.window = kWindow;
  bundle.config.channels =
      feature::WindowFeatureNames(kWindow, std::vector<std::string>{"x", "y", "z"});
  bundle.bundle = std::string(64, '7');
  return std::make_shared<const model::ModelBundle>(std::move(bundle));
}

std::unique_ptr<Stage> MakeStage(std::shared_ptr<const model::ModelBundle> bundle) {
  auto stage = std::make_unique<Stage>();
  auto serving = Serving::Create(bundle, nullptr, {}, {});
  EXPECT_TRUE(serving.ok()) << (serving.ok() ? "" : serving.error().message);
  stage->serving = std::move(serving).value();
  drift::DriftMonitor::Options options;
  options.classes = static_cast<std::uint32_t>(bundle->manifest.labels.size());
  options.channels = static_cast<std::uint32_t>(bundle->raw_count());
  options.channel_names = bundle->config.channels;
  stage->monitor =
      std::make_unique<drift::DriftMonitor>(drift::DriftMonitor::Create(options).value());
  return stage;
}

source::Frame FrameOf(const Recording& recording, std::size_t row) {
  source::Frame frame;
  frame.row.assign(recording.rows.begin() + static_cast<std::ptrdiff_t>(3 * row),
                   recording.rows.begin() + static_cast<std::ptrdiff_t>(3 * row + 3));
  frame.label = recording.labels[row];
  return frame;
}

TEST(WindowPath, TellsActivitiesApartByHowFastTheyAre) {
  const auto bundle = FitWindows(Record(60, kSeed));
  FramePath path(MakeStage(bundle), 0);
  const Recording later = Record(60, kSeed + 1);
  int answers = 0, right = 0, not_yet = 0;
  for (std::size_t row = 0; row < later.labels.size(); ++row) {
    const auto seen = path.Process(FrameOf(later, row));
    if (!seen.ok()) {
      ASSERT_TRUE(IsNotYet(seen.error())) << seen.error().message;
      ++not_yet;
      continue;
    }
    EXPECT_EQ(seen->index, static_cast<std::uint64_t>(answers));
    EXPECT_EQ(seen->frame.row.size(), bundle->raw_count());
    right += bundle->manifest.labels.at(seen->prediction.label) == seen->frame.label ? 1 : 0;
    ++answers;
  }
  // 30,000 rows: the first window ends with row 127, then one ends every 64.
  EXPECT_EQ(answers, (30'000 - 128) / 64 + 1);
  EXPECT_EQ(answers + not_yet, 30'000);
  EXPECT_GT(right, .95 * answers) << right << " of " << answers << ", seed " << kSeed;
}

TEST(WindowPath, ABadRowIsAnErrorAndNoPartOfAnyWindow) {
  const auto bundle = FitWindows(Record(30, kSeed));
  const Recording recording = Record(1, 3);
  const auto features_of = [&](bool with_bad) {
    FramePath path(MakeStage(bundle), 0);
    for (std::size_t row = 0; row < recording.labels.size(); ++row) {
      if (with_bad && row == 50) {
        source::Frame wide;
        wide.row = {1, 2, 3, 4};
        EXPECT_EQ(path.Process(std::move(wide)).error().message, "row 0: 4 values, expected 3");
        source::Frame none;
        none.row = {1, NAN, 3};
        EXPECT_EQ(path.Process(std::move(none)).error().message,
                  "row 0: value 1 is not a finite number");
      }
      const auto seen = path.Process(FrameOf(recording, row));
      if (seen.ok()) return seen->frame.row;
    }
    return std::vector<float>();
  };
  EXPECT_EQ(features_of(true), features_of(false));
}

TEST(WindowPath, AWindowGoesOnOverASwapAndAnotherOneBeginsEmpty) {
  const auto bundle = FitWindows(Record(30, kSeed));
  const Recording recording = Record(2, 3);
  const auto first_answer = [&](const std::shared_ptr<const model::ModelBundle>& next) {
    FramePath path(MakeStage(bundle), 0);
    for (std::size_t row = 0; row < recording.labels.size(); ++row) {
      if (row == 100) path.Offer(MakeStage(next));
      if (path.Process(FrameOf(recording, row)).ok()) return row;
    }
    return recording.labels.size();
  };
  EXPECT_EQ(first_answer(bundle), 127u);
  model::ModelBundle other = *bundle;
  other.bundle = std::string(64, '8');
  other.manifest.input.window->step = 32;
  EXPECT_EQ(first_answer(std::make_shared<const model::ModelBundle>(other)), 100u + 127u);
}

TEST(WindowPath, ABundleWhoseProcessorTakesOtherThanTheWindowGivesIsRefused) {
  model::ModelBundle bundle = *FitWindows(Record(30, kSeed));
  bundle.manifest.input.window->statistics.pop_back();
  const auto serving =
      Serving::Create(std::make_shared<const model::ModelBundle>(bundle), nullptr, {}, {});
  ASSERT_FALSE(serving.ok());
  EXPECT_EQ(serving.error().message,
            "serving: the window gives 21 numbers, the processor takes 24");
}

}  // namespace
}  // namespace tinylcm::pipeline
