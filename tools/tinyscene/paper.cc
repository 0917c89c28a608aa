#include "tools/tinyscene/paper.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tools/tinyscene/exact_math.h"

namespace tinyscene {
namespace {

constexpr std::uint64_t kPaperSeed = 7101997;
constexpr int kSide = Paper::kSide;
using Plane = std::vector<float>;

std::size_t At(int x, int y) {
  return static_cast<std::size_t>((y & (kSide - 1)) * kSide + (x & (kSide - 1)));
}

// Smooth noise of about +-amplitude: random values on a grid of `cell` pixels, blended in between.
void AddMottle(Plane& plane, int cell, float amplitude, base::Random& random) {
  const int grid = kSide / cell;
  std::vector<float> values(static_cast<std::size_t>(grid * grid));
  for (float& value : values) value = static_cast<float>(random.Uniform(-1, 1));
  std::vector<float> blend(static_cast<std::size_t>(cell));
  for (int i = 0; i < cell; ++i) {
    const float t = (static_cast<float>(i) + .5f) / static_cast<float>(cell);
    blend[static_cast<std::size_t>(i)] = t * t * (3 - 2 * t);
  }
  const auto value_at = [&](int gx, int gy) {
    return values[static_cast<std::size_t>((gy % grid) * grid + gx % grid)];
  };
  for (int y = 0; y < kSide; ++y) {
    const int gy = y / cell;
    const float ty = blend[static_cast<std::size_t>(y % cell)];
    for (int gx = 0; gx < grid; ++gx) {
      const float left = value_at(gx, gy) + ty * (value_at(gx, gy + 1) - value_at(gx, gy));
      const float right =
          value_at(gx + 1, gy) + ty * (value_at(gx + 1, gy + 1) - value_at(gx + 1, gy));
      for (int i = 0; i < cell; ++i) {
        plane[At(gx * cell + i, y)] +=
            amplitude * (left + blend[static_cast<std::size_t>(i)] * (right - left));
      }
    }
  }
}

void AddFibres(Plane& plane, int count, float amplitude, base::Random& random) {
  for (int fibre = 0; fibre < count; ++fibre) {
    double x = random.Uniform(0, kSide);
    double y = random.Uniform(0, kSide);
    double dx = random.Uniform(-1, 1);
    double dy = random.Uniform(-1, 1);
    const float depth = amplitude * static_cast<float>(random.Uniform(-1, .6));
    const int length = 6 + static_cast<int>(random.Below(20));
    for (int step = 0; step < length; ++step) {
      plane[At(static_cast<int>(x), static_cast<int>(y))] += depth;
      dx += random.Uniform(-.25, .25);
      dy += random.Uniform(-.25, .25);
      const double norm = std::sqrt(dx * dx + dy * dy) + 1e-6;
      x += dx / norm;
      y += dy / norm;
    }
  }
}

// Lines every `spacing` pixels, softly drawn; `spacing` divides kSide so that the sheet repeats.
void AddLines(Plane& plane, int spacing, float depth, bool upright) {
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const int phase = (upright ? x : y) % spacing;
      if (phase == 0) plane[At(x, y)] -= depth;
      if (phase == 1) plane[At(x, y)] -= depth * .5f;
    }
  }
}

Paper MakePaper(std::size_t index) {
  base::Random random = RandomFor(kPaperSeed, index, 1);
  Plane plane(static_cast<std::size_t>(kSide * kSide), 0.f);
  AddMottle(plane, 64, static_cast<float>(random.Uniform(.01, .06)), random);
  AddMottle(plane, 16, static_cast<float>(random.Uniform(.005, .04)), random);
  AddMottle(plane, 4, static_cast<float>(random.Uniform(.005, .04)), random);
  AddFibres(plane, static_cast<int>(random.Below(500)),
            static_cast<float>(random.Uniform(.01, .08)), random);
  const float grain = static_cast<float>(random.Uniform(.004, .02));
  for (float& value : plane) value += grain * static_cast<float>(NearlyNormal(random));
  const std::uint64_t ruling = random.Below(4);  // Half of the sheets are plain.
  const int spacing = random.Below(2) == 0 ? 16 : 32;
  const float depth = static_cast<float>(random.Uniform(.03, .14));
  if (ruling == 1 || ruling == 2) AddLines(plane, spacing, depth, false);
  if (ruling == 2) AddLines(plane, spacing, depth, true);

  const double albedo = random.Uniform(.5, .85);
  const double warmth = random.Uniform(-.03, .12);  // From bluish white to cream.
  const std::array<float, 3> tint = {static_cast<float>(albedo * (1 + warmth / 2)),
                                     static_cast<float>(albedo),
                                     static_cast<float>(albedo * (1 - warmth))};
  Paper paper;
  paper.pixels.resize(plane.size());
  for (std::size_t i = 0; i < plane.size(); ++i) {
    for (std::size_t c = 0; c < 3; ++c) {
      paper.pixels[i][c] = std::clamp(tint[c] * (1 + plane[i]), .02f, 1.f);
    }
    paper.pixels[i][3] = 0;
  }
  return paper;
}

}  // namespace

std::vector<Paper> MakePapers() {
  std::vector<Paper> papers;
  papers.reserve(kPapers);
  for (std::size_t i = 0; i < kPapers; ++i) papers.push_back(MakePaper(i));
  return papers;
}

}  // namespace tinyscene
