// What does putting a picture right cost a frame? Every step there is, and the dearest pair, on
// pictures of 96x96. frame_overhead is measured without one; the bar for the one that serves is
// 300 us.
//
// Compared with a plain copy of the picture, which whoever changes it in place must make.

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/figure.h"
#include "tinylcm/adapt/picture_hypotheses.h"

namespace {

namespace adapt = tinylcm::adapt;
using Picture = std::vector<std::uint8_t>;

constexpr int kRounds = 20;
constexpr int kPictures = 50;  // A round.
constexpr double kTargetUs = 300.0;

// Of this thread's processor time, microseconds a picture; the best round, for the machine may have
// other things to do.
template <typename Do>
double BestUs(Do once) {
  double best = 1e12;
  for (int round = 0; round < kRounds; ++round) {
    const double start = bench::CpuNanoseconds();
    for (int i = 0; i < kPictures; ++i) once();
    best = std::min(best, (bench::CpuNanoseconds() - start) / kPictures / 1e3);
  }
  return best;
}

void Measure() {
  const adapt::PictureSize size;
  base::Random random(1);
  Picture fresh(size.bytes());
  for (std::uint8_t& pixel : fresh) pixel = static_cast<std::uint8_t>(random.Below(256));
  adapt::PictureStatistics stream(size);
  stream.Add(fresh);
  const adapt::PictureReference reference{.size = size,
                                          .mean = std::vector<float>(size.bytes(), 120.0f),
                                          .sd = std::vector<float>(size.bytes(), 30.0f),
                                          .histogram = std::vector<float>(768, 1.0f / 256)};
  auto made = adapt::MakeHypotheses(reference, stream);
  CHECK(made.ok());
  std::vector<adapt::InputHypothesis> hypotheses(made->begin() + 1, made->end());
  // One turn is like another.
  std::erase_if(hypotheses, [](const adapt::InputHypothesis& hypothesis) {
    return hypothesis.steps[0].kind == adapt::StepKind::kRotate &&
           hypothesis.steps[0].angle_degrees != 30;
  });
  const adapt::InputStep widest = adapt::Filters().back();
  hypotheses.push_back({.steps = {widest, adapt::Turns().front()}});

  Picture picture = fresh;
  const double copy = BestUs([&] { std::copy(fresh.begin(), fresh.end(), picture.begin()); });
  for (const adapt::InputHypothesis& hypothesis : hypotheses) {
    auto transform = adapt::PictureTransform::Create(hypothesis, size);
    CHECK(transform.ok());
    const double us = BestUs([&] {
      std::copy(fresh.begin(), fresh.end(), picture.begin());
      transform->Apply(picture);
    });
    bench::Print(
        {.name = base::StrCat("frame_hypothesis.", hypothesis.name(), ".us"),
         .value = us,
         .unit = "us",
         .baseline = copy,
         .conditions = base::StrCat("a picture of 96x96 put right, its copy included; best of ",
                                    kRounds, " rounds of ", kPictures, "; baseline: the copy"),
         .target = base::StrCat("at most ", kTargetUs),
         .met = us <= kTargetUs});
  }
}

}  // namespace

int main() {
  Measure();
  return 0;
}
