#include "tinylcm/adapt/input_hypothesis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "base/text.h"

namespace tinylcm::adapt {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr int kGainBits = 12;   // gains are in 1/4096...
constexpr int kOffsetBits = 4;  // ...and offsets in 1/16 of a grey level.
constexpr std::int32_t kHalf = 1 << (kGainBits - 1);

// Research's figures: a gain beyond these amplifies noise rather than light, and the additions keep
// a black corner from dividing by nothing.
constexpr double kFlatGainMin = 0.3;
constexpr double kFlatGainMax = 6.0;
constexpr double kFlatLift = 4.0;
constexpr double kContrastGainMax = 8.0;
constexpr double kContrastLift = 1.0;
constexpr double kSmoothingSd = 2.0;

constexpr std::array<int, 8> kAngles = {10, -10, 20, -20, 30, -30, 40, -40};

std::uint16_t FixedGain(double gain) {
  return static_cast<std::uint16_t>(std::clamp(std::lround(gain * (1 << kGainBits)), 0l, 65535l));
}

std::int16_t FixedOffset(double offset) {
  return static_cast<std::int16_t>(
      std::clamp(std::lround(offset * (1 << kOffsetBits)), -32768l, 32767l));
}

std::uint8_t Corrected(std::uint8_t pixel, std::uint16_t gain, std::int16_t offset) {
  const std::int32_t value =
      std::int32_t{pixel} * gain + offset * (1 << (kGainBits - kOffsetBits)) + kHalf;
  return static_cast<std::uint8_t>(std::clamp(value >> kGainBits, 0, 255));
}

// In blocks that nothing else can point into, so that the compiler may use wide instructions.
void CorrectAll(std::uint8_t* picture, const std::uint16_t* gains, const std::int16_t* offsets,
                std::size_t count) {
  constexpr std::size_t kBlock = 64;
  std::size_t at = 0;
  for (; at + kBlock <= count; at += kBlock) {
    std::uint8_t pixels[kBlock];
    std::copy_n(picture + at, kBlock, pixels);
    for (std::size_t i = 0; i < kBlock; ++i) {
      pixels[i] = Corrected(pixels[i], gains[at + i], offsets[at + i]);
    }
    std::copy_n(pixels, kBlock, picture + at);
  }
  for (; at < count; ++at) picture[at] = Corrected(picture[at], gains[at], offsets[at]);
}

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

InputHypothesis MakeChannelGain(const PictureReference& reference, std::span<const float> mean,
                                std::span<const float> sd) {
  const ChannelMoments was = MomentsOf(reference.mean, reference.sd);
  const ChannelMoments is = MomentsOf(mean, sd);
  InputHypothesis hypothesis{.kind = HypothesisKind::kChannelGain};
  for (std::size_t c = 0; c < 3; ++c) {
    const double gain = std::clamp((was.sd[c] + kContrastLift) / (is.sd[c] + kContrastLift),
                                   kFlatGainMin, kContrastGainMax);
    hypothesis.gains.push_back(FixedGain(gain));
    hypothesis.offsets.push_back(FixedOffset(was.mean[c] - is.mean[c] * gain));
  }
  return hypothesis;
}

InputHypothesis MakeFlatField(const PictureReference& reference, std::span<const float> mean) {
  const std::vector<double> was = Smooth(reference.mean, reference.size);
  const std::vector<double> is = Smooth(mean, reference.size);
  InputHypothesis hypothesis{.kind = HypothesisKind::kFlatField};
  for (std::size_t i = 0; i < mean.size(); ++i) {
    hypothesis.gains.push_back(FixedGain(
        std::clamp((was[i] + kFlatLift) / (is[i] + kFlatLift), kFlatGainMin, kFlatGainMax)));
    hypothesis.offsets.push_back(0);
  }
  return hypothesis;
}

InputHypothesis MakeFlatFieldContrast(const PictureReference& reference,
                                      std::span<const float> mean, std::span<const float> sd) {
  const std::vector<double> was = Smooth(reference.sd, reference.size);
  const std::vector<double> is = Smooth(sd, reference.size);
  InputHypothesis hypothesis{.kind = HypothesisKind::kFlatFieldContrast};
  for (std::size_t i = 0; i < mean.size(); ++i) {
    const double gain = std::clamp((was[i] + kContrastLift) / (is[i] + kContrastLift), kFlatGainMin,
                                   kContrastGainMax);
    hypothesis.gains.push_back(FixedGain(gain));
    hypothesis.offsets.push_back(
        FixedOffset(static_cast<double>(reference.mean[i]) - static_cast<double>(mean[i]) * gain));
  }
  return hypothesis;
}

}  // namespace

const char* Name(HypothesisKind kind) {
  switch (kind) {
    case HypothesisKind::kIdentity:
      return "identity";
    case HypothesisKind::kChannelGain:
      return "channel_gain";
    case HypothesisKind::kFlatField:
      return "flat_field";
    case HypothesisKind::kFlatFieldContrast:
      return "flat_field_contrast";
    case HypothesisKind::kRotate:
      return "rotate";
  }
  return "unknown";
}

std::string InputHypothesis::name() const {
  if (kind == HypothesisKind::kRotate) return StrCat(Name(kind), '(', angle_degrees, ')');
  return Name(kind);
}

Result<PictureTransform> PictureTransform::Create(const InputHypothesis& hypothesis,
                                                  PictureSize size) {
  if (size.width < 2 || size.height < 2 || size.width > 4096 || size.height > 4096) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("picture transform: ", size.width, "x", size.height)};
  }
  std::size_t maps = 0;
  if (hypothesis.kind == HypothesisKind::kChannelGain) maps = 3;
  if (hypothesis.kind == HypothesisKind::kFlatField ||
      hypothesis.kind == HypothesisKind::kFlatFieldContrast) {
    maps = size.bytes();
  }
  if (hypothesis.gains.size() != maps || hypothesis.offsets.size() != maps) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("picture transform: ", hypothesis.name(), " with ", hypothesis.gains.size(),
                        " gains and ", hypothesis.offsets.size(), " offsets, ", maps, " expected")};
  }
  PictureTransform transform;
  transform.hypothesis_ = hypothesis;
  transform.size_ = size;
  if (hypothesis.kind == HypothesisKind::kChannelGain) {
    for (std::size_t c = 0; c < 3; ++c) {
      for (int pixel = 0; pixel < 256; ++pixel) {
        transform.tables_.push_back(Corrected(static_cast<std::uint8_t>(pixel), hypothesis.gains[c],
                                              hypothesis.offsets[c]));
      }
    }
  }
  if (hypothesis.kind == HypothesisKind::kRotate) {
    transform.scratch_.resize(size.bytes());
    const double angle = hypothesis.angle_degrees * std::numbers::pi / 180.0;
    const double cosine = std::cos(angle);
    const double sine = std::sin(angle);
    const double middle_x = (size.width - 1) / 2.0;
    const double middle_y = (size.height - 1) / 2.0;
    for (int y = 0; y < size.height; ++y) {
      for (int x = 0; x < size.width; ++x) {
        // Where the pixel was before the turn; y points down. Beyond the edge the edge goes on.
        const double dx = x - middle_x;
        const double dy = y - middle_y;
        const double from_x = std::clamp(middle_x + dx * cosine - dy * sine, 0.0, size.width - 1.0);
        const double from_y =
            std::clamp(middle_y + dx * sine + dy * cosine, 0.0, size.height - 1.0);
        const int left = std::min(static_cast<int>(from_x), size.width - 2);
        const int top = std::min(static_cast<int>(from_y), size.height - 2);
        transform.taps_.push_back(
            {.from = static_cast<std::uint32_t>((top * size.width + left) * 3),
             .right = static_cast<std::uint16_t>(std::lround((from_x - left) * 128.0)),
             .down = static_cast<std::uint16_t>(std::lround((from_y - top) * 128.0))});
      }
    }
  }
  return transform;
}

void PictureTransform::Apply(std::span<std::uint8_t> picture) {
  CHECK(picture.size() == size_.bytes());
  switch (hypothesis_.kind) {
    case HypothesisKind::kIdentity:
      return;
    case HypothesisKind::kChannelGain:
      for (std::size_t i = 0; i < picture.size(); i += 3) {
        for (std::size_t c = 0; c < 3; ++c) picture[i + c] = tables_[c * 256 + picture[i + c]];
      }
      return;
    case HypothesisKind::kFlatField:
    case HypothesisKind::kFlatFieldContrast:
      CorrectAll(picture.data(), hypothesis_.gains.data(), hypothesis_.offsets.data(),
                 picture.size());
      return;
    case HypothesisKind::kRotate: {
      std::copy(picture.begin(), picture.end(), scratch_.begin());
      const std::size_t row = static_cast<std::size_t>(size_.width) * 3;
      std::uint8_t* out = picture.data();
      for (const Tap& tap : taps_) {
        const std::uint8_t* from = scratch_.data() + tap.from;
        const std::int32_t right = tap.right;
        const std::int32_t down = tap.down;
        for (std::size_t c = 0; c < 3; ++c) {
          const std::int32_t upper = from[c] * (128 - right) + from[c + 3] * right;
          const std::int32_t lower = from[row + c] * (128 - right) + from[row + c + 3] * right;
          // The weights of the four sum to 128 * 128.
          *out++ =
              static_cast<std::uint8_t>((upper * (128 - down) + lower * down + (1 << 13)) >> 14);
        }
      }
      return;
    }
  }
}

PictureStatistics::PictureStatistics(PictureSize size)
    : size_(size), sum_(size.bytes(), 0.0), squares_(size.bytes(), 0.0) {}

void PictureStatistics::Add(std::span<const std::uint8_t> picture) {
  CHECK(picture.size() == size_.bytes());
  ++count_;
  for (std::size_t i = 0; i < picture.size(); ++i) {
    const double value = picture[i];
    sum_[i] += value;
    squares_[i] += value * value;
  }
}

std::vector<float> PictureStatistics::Mean() const {
  CHECK(count_ > 0);
  std::vector<float> mean(sum_.size());
  for (std::size_t i = 0; i < mean.size(); ++i) {
    mean[i] = static_cast<float>(sum_[i] / static_cast<double>(count_));
  }
  return mean;
}

std::vector<float> PictureStatistics::StandardDeviation() const {
  CHECK(count_ > 0);
  std::vector<float> sd(sum_.size());
  const double n = static_cast<double>(count_);
  for (std::size_t i = 0; i < sd.size(); ++i) {
    const double mean = sum_[i] / n;
    sd[i] = static_cast<float>(std::sqrt(std::max(0.0, squares_[i] / n - mean * mean)));
  }
  return sd;
}

Result<std::vector<InputHypothesis>> MakeHypotheses(const PictureReference& reference,
                                                    const PictureStatistics& stream) {
  if (stream.count() == 0) {
    return Error{ErrorCode::kInvalidArgument, "input hypotheses: no pictures"};
  }
  const std::vector<float> mean = stream.Mean();
  const std::vector<float> sd = stream.StandardDeviation();
  if (reference.mean.size() != reference.size.bytes() || reference.sd.size() != mean.size() ||
      reference.mean.size() != mean.size()) {
    return Error{ErrorCode::kInvalidArgument,
                 "input hypotheses: the reference is of another size than the pictures"};
  }
  std::vector<InputHypothesis> hypotheses;
  hypotheses.push_back({});
  hypotheses.push_back(MakeChannelGain(reference, mean, sd));
  hypotheses.push_back(MakeFlatField(reference, mean));
  hypotheses.push_back(MakeFlatFieldContrast(reference, mean, sd));
  for (const int angle : kAngles) {
    hypotheses.push_back({.kind = HypothesisKind::kRotate, .angle_degrees = angle});
  }
  return hypotheses;
}

InputSearch::InputSearch(std::vector<InputHypothesis> hypotheses, PictureSize size,
                         classify::KnnClassifier knn, EmbedPicture embed)
    : hypotheses_(std::move(hypotheses)),
      size_(size),
      knn_(std::move(knn)),
      embed_(std::move(embed)),
      features_(hypotheses_.size()),
      distances_(hypotheses_.size(), 0.0),
      correct_(hypotheses_.size(), 0),
      picture_(size.bytes()) {}

Result<InputSearch> InputSearch::Create(std::vector<InputHypothesis> hypotheses, PictureSize size,
                                        const classify::KnnClassifier& knn, EmbedPicture embed) {
  if (hypotheses.empty() || !hypotheses.front().is_identity()) {
    return Error{ErrorCode::kInvalidArgument, "input search: identity must come first"};
  }
  std::vector<PictureTransform> transforms;
  for (const InputHypothesis& hypothesis : hypotheses) {
    ASSIGN_OR_RETURN(PictureTransform transform, PictureTransform::Create(hypothesis, size));
    transforms.push_back(std::move(transform));
  }
  InputSearch search(std::move(hypotheses), size, knn, std::move(embed));
  // What was remembered under drift would make the drifted picture look near.
  RETURN_IF_ERROR(search.knn_.SetMemory({}));
  search.transforms_ = std::move(transforms);
  return search;
}

Status InputSearch::Add(std::span<const std::uint8_t> picture, std::optional<std::uint16_t> label) {
  if (picture.size() != size_.bytes()) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("input search: ", picture.size(), " bytes, ", size_.bytes(), " expected")};
  }
  const std::size_t dims = knn_.dims();
  std::vector<std::vector<float>> features(hypotheses_.size(), std::vector<float>(dims));
  for (std::size_t h = 0; h < hypotheses_.size(); ++h) {
    std::copy(picture.begin(), picture.end(), picture_.begin());
    transforms_[h].Apply(picture_);
    RETURN_IF_ERROR(embed_(picture_, features[h]));
  }
  // Only now, so that a picture that fails half-way counts for none.
  for (std::size_t h = 0; h < hypotheses_.size(); ++h) {
    const classify::Prediction prediction = knn_.Classify(features[h]);
    distances_[h] += static_cast<double>(prediction.anchor_distance);
    if (label && prediction.nearest == *label) ++correct_[h];
    features_[h].insert(features_[h].end(), features[h].begin(), features[h].end());
  }
  if (label) ++labelled_;
  ++count_;
  return {};
}

InputSearchResult InputSearch::Finish(const SearchRule& rule) const {
  CHECK(count_ > 0);
  InputSearchResult result;
  result.labelled = labelled_;
  for (std::size_t h = 0; h < hypotheses_.size(); ++h) {
    result.scores.push_back({.name = hypotheses_[h].name(),
                             .distance = distances_[h] / static_cast<double>(count_),
                             .correct = correct_[h]});
    if (result.scores[h].distance < result.scores[result.best].distance) result.best = h;
  }
  const InputSearchResult::Score& identity = result.scores.front();
  const InputSearchResult::Score& best = result.scores[result.best];
  result.ratio = identity.distance > 0.0 ? best.distance / identity.distance : 1.0;
  const bool is_near = result.best != 0 && result.ratio <= static_cast<double>(rule.ratio_max);
  result.is_vetoed = is_near && best.correct < identity.correct - rule.labels_lost_max;
  result.is_adopted = is_near && !result.is_vetoed;
  if (result.is_adopted) result.hypothesis = hypotheses_[result.best];
  return result;
}

}  // namespace tinylcm::adapt
