#include "tinylcm/adapt/picture_transform.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/src/adapt/fixed_point.h"

namespace tinylcm::adapt {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;

namespace {

constexpr int kSideMax = 4096;
constexpr int kSigmaTenthsMax = 100;
constexpr int kAmountTenthsMax = 100;
constexpr std::uint32_t kWhole = 1u << 15;  // Of a blur's weights.

bool IsFlatField(StepKind kind) {
  return kind == StepKind::kFlatField || kind == StepKind::kFlatFieldContrast;
}
bool IsBlurred(StepKind kind) { return kind == StepKind::kGaussian || kind == StepKind::kUnsharp; }

// What a step must bring along, or a sentence on what is wrong with it.
std::string Wrong(const InputStep& step, PictureSize size) {
  if (step.kind == StepKind::kRowGain || step.kind == StepKind::kRepair) return "is for rows";
  std::size_t maps = 0;
  if (step.kind == StepKind::kChannelGain) maps = 3;
  if (IsFlatField(step.kind)) maps = size.bytes();
  if (step.gains.size() != maps || step.offsets.size() != maps) {
    return StrCat("with ", step.gains.size(), " gains and ", step.offsets.size(), " offsets, ",
                  maps, " expected");
  }
  const std::size_t table = step.kind == StepKind::kHistogramMatch ? 3 * 256 : 0;
  if (step.table.size() != table) {
    return StrCat("with a table of ", step.table.size(), " bytes, ", table, " expected");
  }
  if (IsBlurred(step.kind) && (step.sigma_tenths < 1 || step.sigma_tenths > kSigmaTenthsMax)) {
    return StrCat("with a blur of ", step.sigma_tenths, " tenths of a pixel");
  }
  if (step.amount_tenths < 0 || step.amount_tenths > kAmountTenthsMax) {
    return StrCat("with an amount of ", step.amount_tenths, " tenths");
  }
  return "";
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

// Half a Gaussian: the middle, then one side, to three deviations. The whole of it is kWhole.
std::vector<std::uint16_t> HalfGaussian(double sigma) {
  const int radius = std::max(1, static_cast<int>(std::lround(3.0 * sigma)));
  std::vector<double> half;
  double total = 0.0;
  for (int i = 0; i <= radius; ++i) {
    half.push_back(std::exp(-0.5 * i * i / (sigma * sigma)));
    total += (i == 0 ? 1.0 : 2.0) * half.back();
  }
  std::vector<std::uint16_t> weights(half.size());
  std::uint32_t sides = 0;
  for (std::size_t i = 1; i < half.size(); ++i) {
    weights[i] = static_cast<std::uint16_t>(std::lround(half[i] / total * kWhole));
    sides += 2u * weights[i];
  }
  weights[0] = static_cast<std::uint16_t>(kWhole - sides);  // A flat picture stays as it is.
  return weights;
}

// `line` with its first and last pixel repeated `pixels` times on either side.
void Pad(const std::uint8_t* line, std::size_t bytes, std::size_t pixels, std::uint8_t* out) {
  for (std::size_t i = 0; i < pixels; ++i) std::memcpy(out + 3 * i, line, 3);
  std::memcpy(out + 3 * pixels, line, bytes);
  for (std::size_t i = 0; i < pixels; ++i) {
    std::memcpy(out + 3 * pixels + bytes + 3 * i, line + bytes - 3, 3);
  }
}

// sums[i] += weight * (left[i] + right[i]). Nothing points into anything else.
template <typename Value>
void AddPair(const Value* __restrict left, const Value* __restrict right, std::uint16_t weight,
             std::uint32_t* __restrict sums, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto pair = static_cast<std::uint16_t>(left[i] + right[i]);
    sums[i] += std::uint32_t{pair} * weight;
  }
}

template <typename Value>
void Begin(const Value* __restrict middle, std::uint16_t weight, std::uint32_t half,
           std::uint32_t* __restrict sums, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) sums[i] = std::uint32_t{middle[i]} * weight + half;
}

std::uint8_t Middle(std::uint8_t a, std::uint8_t b, std::uint8_t c) {
  return std::max(std::min(a, b), std::min(std::max(a, b), c));
}

}  // namespace

Result<PictureTransform> PictureTransform::Create(const InputHypothesis& hypothesis,
                                                  PictureSize size) {
  if (size.width < 2 || size.height < 2 || size.width > kSideMax || size.height > kSideMax) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("picture transform: ", size.width, "x", size.height)};
  }
  PictureTransform transform;
  transform.size_ = size;
  const std::size_t line = static_cast<std::size_t>(size.width) * 3;
  for (const InputStep& step : hypothesis.steps) {
    if (const std::string wrong = Wrong(step, size); !wrong.empty()) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("picture transform: ", step.name(), ' ', wrong)};
    }
    Ready ready{.step = step, .tables = {}, .taps = {}, .weights = {}};
    if (step.kind == StepKind::kChannelGain) {
      for (std::size_t c = 0; c < 3; ++c) {
        for (int pixel = 0; pixel < 256; ++pixel) {
          ready.tables.push_back(
              Corrected(static_cast<std::uint8_t>(pixel), step.gains[c], step.offsets[c]));
        }
      }
    } else if (step.kind == StepKind::kHistogramMatch) {
      ready.tables = step.table;
    } else if (step.kind == StepKind::kRotate) {
      ready.taps.reserve(size.bytes() / 3);
      const double angle = step.angle_degrees * std::numbers::pi / 180.0;
      const double cosine = std::cos(angle);
      const double sine = std::sin(angle);
      const double middle_x = (size.width - 1) / 2.0;
      const double middle_y = (size.height - 1) / 2.0;
      for (int y = 0; y < size.height; ++y) {
        for (int x = 0; x < size.width; ++x) {
          // Where the pixel was before the turn; y points down. Beyond the edge the edge goes on.
          const double dx = x - middle_x;
          const double dy = y - middle_y;
          const double from_x =
              std::clamp(middle_x + dx * cosine - dy * sine, 0.0, size.width - 1.0);
          const double from_y =
              std::clamp(middle_y + dx * sine + dy * cosine, 0.0, size.height - 1.0);
          const int left = std::min(static_cast<int>(from_x), size.width - 2);
          const int top = std::min(static_cast<int>(from_y), size.height - 2);
          ready.taps.push_back(
              {.from = static_cast<std::uint32_t>((top * size.width + left) * 3),
               .right = static_cast<std::uint16_t>(std::lround((from_x - left) * 128.0)),
               .down = static_cast<std::uint16_t>(std::lround((from_y - top) * 128.0))});
        }
      }
      transform.scratch_.resize(size.bytes());
    } else if (step.kind == StepKind::kMedian) {
      transform.scratch_.resize(size.bytes());
      transform.padded_.resize(std::max(transform.padded_.size(), 3 * (line + 6)));
    } else if (IsBlurred(step.kind)) {
      ready.weights = HalfGaussian(step.sigma_tenths / 10.0);
      transform.padded_.resize(
          std::max(transform.padded_.size(), line + 6 * (ready.weights.size() - 1)));
      transform.sums_.resize(line);
      transform.across_.resize(size.bytes());
      transform.smooth_.resize(size.bytes());
    }
    transform.steps_.push_back(std::move(ready));
  }
  return transform;
}

void PictureTransform::Apply(std::span<std::uint8_t> picture) {
  CHECK(picture.size() == size_.bytes());
  for (const Ready& ready : steps_) {
    switch (ready.step.kind) {
      case StepKind::kChannelGain:
      case StepKind::kHistogramMatch:
        for (std::size_t i = 0; i < picture.size(); i += 3) {
          picture[i] = ready.tables[picture[i]];
          picture[i + 1] = ready.tables[256u + picture[i + 1]];
          picture[i + 2] = ready.tables[512u + picture[i + 2]];
        }
        break;
      case StepKind::kFlatField:
      case StepKind::kFlatFieldContrast:
        CorrectAll(picture.data(), ready.step.gains.data(), ready.step.offsets.data(),
                   picture.size());
        break;
      case StepKind::kRotate:
        Turn(ready, picture);
        break;
      case StepKind::kMedian:
        Median(picture);
        break;
      case StepKind::kGaussian:
        Blur(ready, picture);
        for (std::size_t i = 0; i < picture.size(); ++i) {
          picture[i] = static_cast<std::uint8_t>((smooth_[i] + 64u) >> 7);
        }
        break;
      case StepKind::kUnsharp: {
        Blur(ready, picture);
        // In 1/1280: an amount in tenths of what is in 1/128.
        const std::int32_t amount = ready.step.amount_tenths;
        for (std::size_t i = 0; i < picture.size(); ++i) {
          const std::int32_t pixel = picture[i] * 128;
          const std::int32_t value = pixel * 10 + amount * (pixel - smooth_[i]);
          picture[i] = static_cast<std::uint8_t>(std::clamp(value + 640, 0, 255 * 1280) / 1280);
        }
        break;
      }
      case StepKind::kRowGain:
      case StepKind::kRepair:
        CHECK(false);
    }
  }
}

void PictureTransform::Turn(const Ready& ready, std::span<std::uint8_t> picture) {
  std::copy(picture.begin(), picture.end(), scratch_.begin());
  const std::size_t line = static_cast<std::size_t>(size_.width) * 3;
  std::uint8_t* out = picture.data();
  for (const Tap& tap : ready.taps) {
    const std::uint8_t* from = scratch_.data() + tap.from;
    const std::int32_t right = tap.right;
    const std::int32_t down = tap.down;
    for (std::size_t c = 0; c < 3; ++c) {
      const std::int32_t upper = from[c] * (128 - right) + from[c + 3] * right;
      const std::int32_t lower = from[line + c] * (128 - right) + from[line + c + 3] * right;
      // The weights of the four sum to 128 * 128.
      *out++ = static_cast<std::uint8_t>((upper * (128 - down) + lower * down + (1 << 13)) >> 14);
    }
  }
}

// The middle of nine is the middle of: the greatest of the columns' least, the middle of their
// middles, the least of their greatest (Smith, "Implementing median filters in XC4000E FPGAs",
// 1996). So each column is sorted once and a whole line goes through wide instructions.
void PictureTransform::Median(std::span<std::uint8_t> picture) {
  std::copy(picture.begin(), picture.end(), scratch_.begin());
  const std::size_t line = static_cast<std::size_t>(size_.width) * 3;
  const std::size_t wide = line + 6;
  std::uint8_t* __restrict least = padded_.data();
  std::uint8_t* __restrict middle = padded_.data() + wide;
  std::uint8_t* __restrict greatest = padded_.data() + 2 * wide;
  for (int y = 0; y < size_.height; ++y) {
    const auto row = [&](int at) {
      return scratch_.data() + static_cast<std::size_t>(std::clamp(at, 0, size_.height - 1)) * line;
    };
    const std::uint8_t* above = row(y - 1);
    const std::uint8_t* here = row(y);
    const std::uint8_t* below = row(y + 1);
    for (std::size_t i = 0; i < line; ++i) {
      const std::uint8_t low = std::min(above[i], here[i]);
      const std::uint8_t high = std::max(above[i], here[i]);
      least[i + 3] = std::min(low, below[i]);
      middle[i + 3] = std::max(low, std::min(high, below[i]));
      greatest[i + 3] = std::max(high, below[i]);
    }
    for (std::uint8_t* sorted : {least, middle, greatest}) {
      std::memcpy(sorted, sorted + 3, 3);
      std::memcpy(sorted + 3 + line, sorted + line, 3);
    }
    std::uint8_t* __restrict out = picture.data() + static_cast<std::size_t>(y) * line;
    for (std::size_t i = 0; i < line; ++i) {
      const std::uint8_t low = std::max(std::max(least[i], least[i + 3]), least[i + 6]);
      const std::uint8_t high = std::min(std::min(greatest[i], greatest[i + 3]), greatest[i + 6]);
      out[i] = Middle(low, Middle(middle[i], middle[i + 3], middle[i + 6]), high);
    }
  }
}

void PictureTransform::Blur(const Ready& ready, std::span<const std::uint8_t> picture) {
  const std::size_t line = static_cast<std::size_t>(size_.width) * 3;
  const std::size_t radius = ready.weights.size() - 1;
  // Along the lines: 8 bits times 15 make 23, of which 15 are kept (a grey level is 128).
  for (int y = 0; y < size_.height; ++y) {
    const std::size_t at = static_cast<std::size_t>(y) * line;
    Pad(picture.data() + at, line, radius, padded_.data());
    const std::uint8_t* middle = padded_.data() + 3 * radius;
    Begin(middle, ready.weights[0], 128u, sums_.data(), line);
    for (std::size_t t = 1; t <= radius; ++t) {
      AddPair(middle - 3 * t, middle + 3 * t, ready.weights[t], sums_.data(), line);
    }
    for (std::size_t i = 0; i < line; ++i) {
      across_[at + i] = static_cast<std::uint16_t>(sums_[i] >> 8);
    }
  }
  // And down: 15 bits times 15.
  for (int y = 0; y < size_.height; ++y) {
    const auto row = [&](int from) {
      return across_.data() +
             static_cast<std::size_t>(std::clamp(from, 0, size_.height - 1)) * line;
    };
    Begin(row(y), ready.weights[0], kWhole / 2, sums_.data(), line);
    for (std::size_t t = 1; t <= radius; ++t) {
      const int step = static_cast<int>(t);
      AddPair(row(y - step), row(y + step), ready.weights[t], sums_.data(), line);
    }
    std::uint16_t* smooth = smooth_.data() + static_cast<std::size_t>(y) * line;
    for (std::size_t i = 0; i < line; ++i) smooth[i] = static_cast<std::uint16_t>(sums_[i] >> 15);
  }
}

}  // namespace tinylcm::adapt
