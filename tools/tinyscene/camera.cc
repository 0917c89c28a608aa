#include "tools/tinyscene/camera.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "tools/tinyscene/exact_math.h"

namespace tinyscene {
namespace {

constexpr int kPixels = kFrameWidth * kFrameHeight;
constexpr double kDegree = 3.14159265358979323846 / 180;

// Streams of random numbers of one frame.
constexpr std::uint64_t kScene = 11;
constexpr std::uint64_t kLight = 12;
constexpr std::uint64_t kNoise = 13;
constexpr std::uint64_t kDirt = 14;

// The square root of linear light is looked up in steps of 1/4095. Gamma 2.2 is close to a square
// root, so the steps are about as fine in the shadows as in the lights.
constexpr int kGammaSteps = 4096;

// Catmull and Rom's cubic, the usual "bicubic".
double Cubic(double x) {
  x = std::abs(x);
  if (x < 1) return 1 + x * x * (1.5 * x - 2.5);
  if (x < 2) return 2 + x * (-4 + x * (2.5 - .5 * x));
  return 0;
}

std::vector<float> GaussianTaps(double sigma, int radius) {
  std::vector<float> taps;
  double sum = 0;
  for (int i = -radius; i <= radius; ++i) sum += Exp(-.5 * i * i / (sigma * sigma));
  for (int i = -radius; i <= radius; ++i) {
    taps.push_back(static_cast<float>(Exp(-.5 * i * i / (sigma * sigma)) / sum));
  }
  return taps;
}

// Five soft blobs around the middle, one in each fifth of the circle: scattered differently by each
// seed, yet never all to one side where they would cover nothing.
std::vector<float> MakeDirt(std::uint64_t seed) {
  base::Random random = RandomFor(seed, 0, kDirt);
  std::vector<float> clear(kPixels, 1.f);
  const double turn = random.Uniform(0, 72);
  for (int blob = 0; blob < 5; ++blob) {
    // An angle from 0 to 360 degrees as a quarter turn and a rest SinCosOf can take.
    double angle = turn + 72 * blob + random.Uniform(-18, 18);
    if (angle < 0) angle += 360;
    const int quarters = static_cast<int>(angle / 90) % 4;
    const SinCos rest = SinCosOf((angle - 90 * static_cast<int>(angle / 90)) * kDegree);
    const double cosines[] = {rest.cos, -rest.sin, -rest.cos, rest.sin};
    const double sines[] = {rest.sin, rest.cos, -rest.sin, -rest.cos};
    const double distance = random.Uniform(16, 36);
    const double x0 = kFrameWidth / 2.0 + distance * cosines[quarters];
    const double y0 = kFrameHeight / 2.0 + distance * sines[quarters];
    const double radius = random.Uniform(11, 17);
    const double flat = random.Uniform(.75, 1.3);  // Wider than high, or the other way.
    for (int y = 0; y < kFrameHeight; ++y) {
      for (int x = 0; x < kFrameWidth; ++x) {
        const double dx = (x - x0) / (radius * flat);
        const double dy = (y - y0) * flat / radius;
        const double r2 = dx * dx + dy * dy;
        if (r2 > 9) continue;
        // Flat-topped: (r^2)^2 in the exponent, as something opaque that is out of focus looks.
        const float opacity = static_cast<float>(Exp(-.7 * r2 * r2 / (1 + .5 * r2)));
        clear[static_cast<std::size_t>(y * kFrameWidth + x)] *= 1 - opacity;
      }
    }
  }
  for (float& value : clear) value = 1 - value;
  return clear;
}

}  // namespace

Camera::Camera(std::uint64_t seed)
    : seed_(seed),
      papers_(MakePapers()),
      field_(kFieldSide * kFieldSide),
      scratch_(kPixels),
      dirt_(MakeDirt(seed)),
      gamma_(kGammaSteps),
      picture_(std::size_t{3} * kPixels) {
  for (auto& plane : planes_) plane.resize(kPixels);

  // Byte b covers linear light from ((b - .5) / 255)^2.2 on.
  int byte = 0;
  for (int i = 0; i < kGammaSteps; ++i) {
    const double root = static_cast<double>(i) / (kGammaSteps - 1);
    while (byte < 255 && PowerOf22((byte + .5) / 255) <= root * root) ++byte;
    gamma_[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(byte);
  }

  // smooth_[s][cell]: what a cell contributes to a sample, along one axis: cubic interpolation,
  // then a blur of 2.5 samples (about a third of a cell).
  std::array<std::array<double, kDigitSide>, kFieldSide> cubic{};
  for (int s = 0; s < kFieldSide; ++s) {
    const double at = (s + .5) / kCellSamples - 1.5;  // In cells; cell 0 has its centre at 0.
    for (int cell = 0; cell < kDigitSide; ++cell) {
      cubic[static_cast<std::size_t>(s)][static_cast<std::size_t>(cell)] = Cubic(at - cell);
    }
  }
  constexpr int kRadius = 8;
  const std::vector<float> taps = GaussianTaps(2.5, kRadius);
  for (int s = 0; s < kFieldSide; ++s) {
    for (int tap = -kRadius; tap <= kRadius; ++tap) {
      if (s + tap < 0 || s + tap >= kFieldSide) continue;
      for (std::size_t cell = 0; cell < kDigitSide; ++cell) {
        smooth_[static_cast<std::size_t>(s)][cell] +=
            taps[static_cast<std::size_t>(tap + kRadius)] *
            static_cast<float>(cubic[static_cast<std::size_t>(s + tap)][cell]);
      }
    }
  }
}

std::span<const std::uint8_t> Camera::Take(std::uint32_t frame, const Digit& digit,
                                           const Drifts& drifts) {
  base::Random scene = RandomFor(seed_, frame, kScene);
  base::Random light = RandomFor(seed_, frame, kLight);
  base::Random noise = RandomFor(seed_, frame, kNoise);
  DrawField(digit);
  DrawScene(scene, drifts);
  Soften(scene.Uniform(.5, .9));
  if (drifts.blur > 0) Defocus(16 * drifts.blur);
  Expose(light, noise, drifts);
  DrawBarcode(frame, picture_);
  return picture_;
}

void Camera::DrawField(const Digit& digit) {
  std::array<std::array<float, kFieldSide>, kDigitSide> rows{};
  for (std::size_t y = 0; y < kDigitSide; ++y) {
    for (std::size_t s = 0; s < kFieldSide; ++s) {
      float sum = 0;
      for (std::size_t x = 0; x < kDigitSide; ++x) {
        sum += smooth_[s][x] * static_cast<float>(digit.ink[y * kDigitSide + x]);
      }
      rows[y][s] = sum * (1.f / kFullInk);
    }
  }
  for (std::size_t s = 0; s < kFieldSide; ++s) {
    float* out = field_.data() + s * kFieldSide;
    std::fill(out, out + kFieldSide, 0.f);
    for (std::size_t y = 0; y < kDigitSide; ++y) {
      const float weight = smooth_[s][y];
      for (std::size_t i = 0; i < kFieldSide; ++i) out[i] += weight * rows[y][i];
    }
  }
}

void Camera::DrawScene(base::Random& random, const Drifts& drifts) {
  // From pixel to digit, in cells from the digit's middle: turn, scale, a little shear and stretch,
  // then divide by a plane (the paper is not quite parallel to the sensor).
  const double side = random.Uniform(96, 124);
  const double dx = random.Uniform(-10, 10);
  const double dy = random.Uniform(-7, 7);
  const SinCos turn = SinCosOf((random.Uniform(-8, 8) + 45 * drifts.rotation) * kDegree);
  const double scale = kDigitSide / side;
  const double stretch_x = 1 + random.Uniform(-.035, .035);
  const double stretch_y = 1 + random.Uniform(-.035, .035);
  const double shear = random.Uniform(-.035, .035);
  const double tilt_x = random.Uniform(-.07, .07) / side;
  const double tilt_y = random.Uniform(-.07, .07) / side;
  const double ax = scale * stretch_x * turn.cos;
  const double bx = scale * stretch_x * turn.sin + shear * scale;
  const double ay = -scale * stretch_y * turn.sin;
  const double by = scale * stretch_y * turn.cos;

  const auto threshold = static_cast<float>(random.Uniform(.38, .50));
  const auto softness = static_cast<float>(1 / random.Uniform(.15, .3));
  const double black = random.Uniform(.025, .1);
  const double blue = random.Uniform(0, .06);
  const std::array<float, 3> ink = {static_cast<float>(black), static_cast<float>(black + blue / 3),
                                    static_cast<float>(black + blue)};

  // The sheet turns with the digit; one paper pixel is about one frame pixel.
  const Paper& paper = papers_[random.Below(kPapers)];
  const double paper_x = random.Uniform(0, Paper::kSide);
  const double paper_y = random.Uniform(0, Paper::kSide);
  constexpr int kMask = Paper::kSide - 1;

  float* red = planes_[0].data();
  float* green = planes_[1].data();
  float* blue_plane = planes_[2].data();
  constexpr float kMiddle = kFieldSide * .5f - .5f;
  constexpr float kEdge = kFieldSide - 1.001f;
  std::size_t pixel = 0;
  for (int y = 0; y < kFrameHeight; ++y) {
    const double ry = y - (kFrameHeight - 1) * .5 - dy;
    for (int x = 0; x < kFrameWidth; ++x, ++pixel) {
      const double rx = x - (kFrameWidth - 1) * .5 - dx;
      // + 4096 keeps the number positive, so that the cast rounds down.
      const int px = static_cast<int>(rx * turn.cos + ry * turn.sin + paper_x + 4096);
      const int py = static_cast<int>(ry * turn.cos - rx * turn.sin + paper_y + 4096);
      const std::array<float, 4>& sheet =
          paper.pixels[static_cast<std::size_t>((py & kMask) * Paper::kSide + (px & kMask))];

      const double nearness = kCellSamples / (1 + tilt_x * rx + tilt_y * ry);
      const float u = static_cast<float>((ax * rx + bx * ry) * nearness) + kMiddle;
      const float v = static_cast<float>((ay * rx + by * ry) * nearness) + kMiddle;
      float cover = 0;
      if (u > 0 && v > 0 && u < kEdge && v < kEdge) {
        const int iu = static_cast<int>(u);
        const int iv = static_cast<int>(v);
        const float fu = u - static_cast<float>(iu);
        const float fv = v - static_cast<float>(iv);
        const float* at = field_.data() + iv * kFieldSide + iu;
        const float top = at[0] + fu * (at[1] - at[0]);
        const float bottom = at[kFieldSide] + fu * (at[kFieldSide + 1] - at[kFieldSide]);
        const float t =
            std::clamp((top + fv * (bottom - top) - threshold) * softness + .5f, 0.f, 1.f);
        cover = t * t * (3 - 2 * t);
      }
      red[pixel] = sheet[0] + cover * (ink[0] - sheet[0]);
      green[pixel] = sheet[1] + cover * (ink[1] - sheet[1]);
      blue_plane[pixel] = sheet[2] + cover * (ink[2] - sheet[2]);
    }
  }
}

void Camera::Soften(double sigma) {
  constexpr int kRadius = 3;
  const std::vector<float> taps = GaussianTaps(sigma, kRadius);
  std::array<float, kFrameWidth + 2 * kRadius> line;
  for (auto& plane : planes_) {
    for (int y = 0; y < kFrameHeight; ++y) {
      const float* in = plane.data() + y * kFrameWidth;
      std::copy(in, in + kFrameWidth, line.begin() + kRadius);
      std::fill(line.begin(), line.begin() + kRadius, in[0]);
      std::fill(line.end() - kRadius, line.end(), in[kFrameWidth - 1]);
      float* out = scratch_.data() + y * kFrameWidth;
      for (int x = 0; x < kFrameWidth; ++x) {
        const float* at = line.data() + x;
        out[x] = taps[0] * (at[0] + at[6]) + taps[1] * (at[1] + at[5]) + taps[2] * (at[2] + at[4]) +
                 taps[3] * at[3];
      }
    }
    for (int y = 0; y < kFrameHeight; ++y) {
      const float* rows[2 * kRadius + 1];
      for (int i = -kRadius; i <= kRadius; ++i) {
        rows[i + kRadius] = scratch_.data() + std::clamp(y + i, 0, kFrameHeight - 1) * kFrameWidth;
      }
      float* out = plane.data() + y * kFrameWidth;
      for (int x = 0; x < kFrameWidth; ++x) {
        out[x] = taps[0] * (rows[0][x] + rows[6][x]) + taps[1] * (rows[1][x] + rows[5][x]) +
                 taps[2] * (rows[2][x] + rows[4][x]) + taps[3] * rows[3][x];
      }
    }
  }
}

// Every point becomes an even disk. Running sums along the rows make a row of the disk cost the
// same whatever its width.
void Camera::Defocus(double radius) {
  const int reach = static_cast<int>(radius);
  if (reach < 1) return;
  std::vector<int> half_widths;
  double area = 0;
  for (int dy = -reach; dy <= reach; ++dy) {
    half_widths.push_back(static_cast<int>(std::sqrt(radius * radius - dy * dy)));
    area += 2 * half_widths.back() + 1;
  }
  const int width = kFrameWidth + 2 * reach + 1;
  sums_.resize(static_cast<std::size_t>(width * kFrameHeight));
  for (auto& plane : planes_) {
    for (int y = 0; y < kFrameHeight; ++y) {
      double* out = sums_.data() + y * width;
      double sum = 0;
      out[0] = 0;
      for (int x = 0; x + 1 < width; ++x) {
        sum += plane[static_cast<std::size_t>(y * kFrameWidth +
                                              std::clamp(x - reach, 0, kFrameWidth - 1))];
        out[x + 1] = sum;
      }
    }
    for (int y = 0; y < kFrameHeight; ++y) {
      std::array<double, kFrameWidth> total{};
      for (int dy = -reach; dy <= reach; ++dy) {
        const int half = half_widths[static_cast<std::size_t>(dy + reach)];
        const double* row = sums_.data() + std::clamp(y + dy, 0, kFrameHeight - 1) * width + reach;
        for (int x = 0; x < kFrameWidth; ++x) {
          total[static_cast<std::size_t>(x)] += row[x + half + 1] - row[x - half];
        }
      }
      for (int x = 0; x < kFrameWidth; ++x) {
        plane[static_cast<std::size_t>(y * kFrameWidth + x)] =
            static_cast<float>(total[static_cast<std::size_t>(x)] / area);
      }
    }
  }
}

void Camera::Expose(base::Random& light, base::Random& noise, const Drifts& drifts) {
  // The lamp stands to one side: brightness changes by up to 30 % from the middle to the edge.
  const double gradient_x = light.Uniform(-.3, .3);
  const double gradient_y = light.Uniform(-.3, .3);
  const double vignette = light.Uniform(.05, .25);
  const double exposure = light.Uniform(.75, 1.1) * (1 - .9 * drifts.light);
  const double gains[] = {
      exposure * (1 + light.Uniform(-.06, .06)) * (1 + .25 * drifts.light) * (1 + .6 * drifts.cast),
      exposure,
      exposure * (1 + light.Uniform(-.06, .06)) * (1 - .45 * drifts.light) *
          (1 - .6 * drifts.cast)};

  for (int y = 0; y < kFrameHeight; ++y) {
    const auto ty = static_cast<float>((y - (kFrameHeight - 1) * .5) / (kFrameHeight * .5));
    float* lamp = scratch_.data() + y * kFrameWidth;
    const float* dirt = dirt_.data() + y * kFrameWidth;
    const auto base_light = static_cast<float>(1 + gradient_y * ty);
    const auto gx = static_cast<float>(gradient_x);
    const auto fall = static_cast<float>(vignette * .5);
    const auto opacity = static_cast<float>(drifts.dirt);
    for (int x = 0; x < kFrameWidth; ++x) {
      const float tx = (static_cast<float>(x) - (kFrameWidth - 1) * .5f) * (2.f / kFrameWidth);
      lamp[x] = (base_light + gx * tx) * (1 - fall * (tx * tx + ty * ty)) * (1 - opacity * dirt[x]);
    }
  }

  const double read_sd = .004 + .36 * drifts.noise;
  const auto read = static_cast<float>(read_sd * read_sd);
  const auto shot = static_cast<float>(.0006 + .24 * drifts.noise);
  // Four uniform bytes have variance 4 * 65535 / 12 = 21845 = 147.80054^2.
  constexpr float kUnit = 1.f / 147.80054f;
  constexpr std::uint64_t kOddBytes = 0x00ff00ff00ff00ffu;
  std::array<float, kFrameWidth> deviates;
  std::array<std::int32_t, kFrameWidth> steps;
  for (std::size_t c = 0; c < 3; ++c) {
    const auto gain = static_cast<float>(gains[c]);
    for (int y = 0; y < kFrameHeight; ++y) {
      for (std::size_t x = 0; x < kFrameWidth; x += 2) {
        const std::uint64_t bits = noise.Next();
        const std::uint64_t pairs = (bits & kOddBytes) + ((bits >> 8) & kOddBytes);
        const auto low = static_cast<std::int32_t>((pairs & 0xffff) + ((pairs >> 16) & 0xffff));
        const auto high = static_cast<std::int32_t>(((pairs >> 32) & 0xffff) + (pairs >> 48));
        deviates[x] = static_cast<float>(low - 510) * kUnit;
        deviates[x + 1] = static_cast<float>(high - 510) * kUnit;
      }
      const float* plane = planes_[c].data() + y * kFrameWidth;
      const float* lamp = scratch_.data() + y * kFrameWidth;
      for (std::size_t x = 0; x < kFrameWidth; ++x) {
        const float clean = plane[x] * lamp[x] * gain;
        float seen = clean + std::sqrt(read + shot * clean) * deviates[x];
        seen = seen < 0.f ? 0.f : seen;
        seen = seen > 1.f ? 1.f : seen;
        steps[x] = static_cast<std::int32_t>(std::sqrt(seen) * (kGammaSteps - 1) + .5f);
      }
      std::uint8_t* out = picture_.data() + 3 * y * kFrameWidth + c;
      for (std::size_t x = 0; x < kFrameWidth; ++x) {
        out[3 * x] = gamma_[static_cast<std::size_t>(steps[x])];
      }
    }
  }
}

}  // namespace tinyscene
