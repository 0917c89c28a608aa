#include "tinylcm/adapt/picture_hypotheses.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "tinylcm/src/adapt/fixed_point.h"

namespace tinylcm::adapt {

using base::Error;
using base::ErrorCode;
using base::Result;

namespace {

// Research's figures: a gain beyond these amplifies noise rather than light, and the additions keep
// a black corner from dividing by nothing.
constexpr double kFlatGainMin = 0.3;
constexpr double kFlatGainMax = 6.0;
constexpr double kFlatLift = 4.0;
constexpr double kContrastGainMax = 8.0;
constexpr double kContrastLift = 1.0;
constexpr double kSmoothingSd = 2.0;

constexpr std::array<int, 8> kAngles = {10, -10, 20, -20, 30, -30, 40, -40};

// Gaussian, separable, the edge repeated. `image` has three channels.
std::vector<double> Smooth(std::span<const float> image, PictureSize size) {
  constexpr int kRadius = static_cast<int>(3 * kSmoothingSd);
  std::array<double, 2 * kRadius + 1> kernel{};
  double total = 0.0;
  for (int i = -kRadius; i <= kRadius; ++i) {
    const double value = std::exp(-0.5 * i * i / (kSmoothingSd * kSmoothingSd));
    kernel[static_cast<std::size_t>(i + kRadius)] = value;
    total += value;
  }
  const auto at = [&](int x, int y, int c) {
    return static_cast<std::size_t>((y * size.width + x) * 3 + c);
  };
  std::vector<double> across(image.size(), 0.0);
  std::vector<double> smooth(image.size(), 0.0);
  for (int y = 0; y < size.height; ++y) {
    for (int x = 0; x < size.width; ++x) {
      for (int i = -kRadius; i <= kRadius; ++i) {
        const double weight = kernel[static_cast<std::size_t>(i + kRadius)] / total;
        const int from = std::clamp(x + i, 0, size.width - 1);
        for (int c = 0; c < 3; ++c) {
          across[at(x, y, c)] += weight * static_cast<double>(image[at(from, y, c)]);
        }
      }
    }
  }
  for (int y = 0; y < size.height; ++y) {
    for (int i = -kRadius; i <= kRadius; ++i) {
      const double weight = kernel[static_cast<std::size_t>(i + kRadius)] / total;
      const int from = std::clamp(y + i, 0, size.height - 1);
      for (int x = 0; x < size.width; ++x) {
        for (int c = 0; c < 3; ++c) smooth[at(x, y, c)] += weight * across[at(x, from, c)];
      }
    }
  }
  return smooth;
}

// Mean and deviation of all pixels of a channel, from those of each pixel.
struct ChannelMoments {
  std::array<double, 3> mean{};
  std::array<double, 3> sd{};
};

ChannelMoments MomentsOf(std::span<const float> mean, std::span<const float> sd) {
  ChannelMoments moments;
  const double pixels = static_cast<double>(mean.size() / 3);
  std::array<double, 3> squares{};
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double m = static_cast<double>(mean[i]);
    const double s = static_cast<double>(sd[i]);
    moments.mean[i % 3] += m / pixels;
    squares[i % 3] += (s * s + m * m) / pixels;
  }
  for (std::size_t c = 0; c < 3; ++c) {
    moments.sd[c] = std::sqrt(std::max(0.0, squares[c] - moments.mean[c] * moments.mean[c]));
  }
  return moments;
}

InputStep MakeChannelGain(const PictureReference& reference, std::span<const float> mean,
                          std::span<const float> sd) {
  const ChannelMoments was = MomentsOf(reference.mean, reference.sd);
  const ChannelMoments is = MomentsOf(mean, sd);
  InputStep step{.kind = StepKind::kChannelGain};
  for (std::size_t c = 0; c < 3; ++c) {
    const double gain = std::clamp((was.sd[c] + kContrastLift) / (is.sd[c] + kContrastLift),
                                   kFlatGainMin, kContrastGainMax);
    step.gains.push_back(FixedGain(gain));
    step.offsets.push_back(FixedOffset(was.mean[c] - is.mean[c] * gain));
  }
  return step;
}

// Each level goes to the one below which as large a share of the reference lay.
InputStep MakeHistogramMatch(const PictureReference& reference, std::span<const float> is) {
  InputStep step{.kind = StepKind::kHistogramMatch};
  step.table.resize(3 * kLevels);
  for (std::size_t c = 0; c < 3; ++c) {
    double below = 0.0;   // Share of the stream below the level,
    double was_to = 0.0;  // and of the reference up to and with `to`.
    std::size_t to = 0;
    was_to = static_cast<double>(reference.histogram[c * kLevels]);
    for (std::size_t level = 0; level < kLevels; ++level) {
      const double here = static_cast<double>(is[c * kLevels + level]);
      const double share = below + here / 2.0;  // The middle of those at this level.
      while (to + 1 < kLevels && was_to < share) {
        ++to;
        was_to += static_cast<double>(reference.histogram[c * kLevels + to]);
      }
      step.table[c * kLevels + level] = static_cast<std::uint8_t>(to);
      below += here;
    }
  }
  return step;
}

InputStep MakeFlatField(const PictureReference& reference, std::span<const float> mean) {
  const std::vector<double> was = Smooth(reference.mean, reference.size);
  const std::vector<double> is = Smooth(mean, reference.size);
  InputStep step{.kind = StepKind::kFlatField};
  for (std::size_t i = 0; i < mean.size(); ++i) {
    step.gains.push_back(FixedGain(
        std::clamp((was[i] + kFlatLift) / (is[i] + kFlatLift), kFlatGainMin, kFlatGainMax)));
    step.offsets.push_back(0);
  }
  return step;
}

InputStep MakeFlatFieldContrast(const PictureReference& reference, std::span<const float> mean,
                                std::span<const float> sd) {
  const std::vector<double> was = Smooth(reference.sd, reference.size);
  const std::vector<double> is = Smooth(sd, reference.size);
  InputStep step{.kind = StepKind::kFlatFieldContrast};
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double gain = std::clamp((was[i] + kContrastLift) / (is[i] + kContrastLift), kFlatGainMin,
                                   kContrastGainMax);
    step.gains.push_back(FixedGain(gain));
    step.offsets.push_back(
        FixedOffset(static_cast<double>(reference.mean[i]) - static_cast<double>(mean[i]) * gain));
  }
  return step;
}

}  // namespace

StepFamily FamilyOf(StepKind kind) {
  switch (kind) {
    case StepKind::kChannelGain:
    case StepKind::kHistogramMatch:
    case StepKind::kFlatField:
    case StepKind::kFlatFieldContrast:
      return StepFamily::kTone;
    case StepKind::kMedian:
    case StepKind::kGaussian:
    case StepKind::kUnsharp:
      return StepFamily::kFilter;
    case StepKind::kRotate:
      return StepFamily::kTurn;
    case StepKind::kRowGain:
    case StepKind::kRepair:
      break;
  }
  CHECK(false);
  return StepFamily::kTone;
}

std::vector<InputStep> Filters() {
  return {{.kind = StepKind::kMedian},
          {.kind = StepKind::kGaussian, .sigma_tenths = 10},
          {.kind = StepKind::kUnsharp, .sigma_tenths = 25, .amount_tenths = 15},
          {.kind = StepKind::kUnsharp, .sigma_tenths = 40, .amount_tenths = 40}};
}

std::vector<InputStep> Turns() {
  std::vector<InputStep> turns;
  for (const int angle : kAngles) {
    turns.push_back({.kind = StepKind::kRotate, .angle_degrees = angle});
  }
  return turns;
}

Result<std::vector<InputStep>> Tones(const PictureReference& reference,
                                     const PictureStatistics& stream) {
  if (stream.count() == 0) {
    return Error{ErrorCode::kInvalidArgument, "input hypotheses: no pictures"};
  }
  const std::vector<float> mean = stream.Mean();
  const std::vector<float> sd = stream.StandardDeviation();
  if (reference.mean.size() != reference.size.bytes() || reference.sd.size() != mean.size() ||
      reference.mean.size() != mean.size() ||
      (!reference.histogram.empty() && reference.histogram.size() != 3 * kLevels)) {
    return Error{ErrorCode::kInvalidArgument,
                 "input hypotheses: the reference is of another size than the pictures"};
  }
  std::vector<InputStep> tones;
  tones.push_back(MakeChannelGain(reference, mean, sd));
  if (!reference.histogram.empty()) {
    tones.push_back(MakeHistogramMatch(reference, stream.Histogram()));
  }
  tones.push_back(MakeFlatField(reference, mean));
  tones.push_back(MakeFlatFieldContrast(reference, mean, sd));
  return tones;
}

Result<std::vector<InputHypothesis>> MakeHypotheses(const PictureReference& reference,
                                                    const PictureStatistics& stream) {
  ASSIGN_OR_RETURN(const std::vector<InputStep> tones, Tones(reference, stream));
  std::vector<InputHypothesis> hypotheses(1);
  for (const InputStep& step : tones) hypotheses.push_back(InputHypothesis::Of(step));
  for (InputStep& step : Filters()) hypotheses.push_back(InputHypothesis::Of(std::move(step)));
  for (InputStep& step : Turns()) hypotheses.push_back(InputHypothesis::Of(std::move(step)));
  return hypotheses;
}

}  // namespace tinylcm::adapt
