#include "bench/drift/streams.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/file_system.h"
#include "base/text.h"
#include "tinylcm/classify/knn_classifier.h"
#include "tinylcm/feature/processor.h"

namespace bench::drift {

namespace {

using tinylcm::drift::Signal;

constexpr std::uint64_t kSpell = 200;
constexpr Signal kWatched[] = {Signal::kAnchorDistance, Signal::kMargin, Signal::kEntropy,
                               Signal::kCentroidDistance};

// Two different classes.
void DrawPair(base::Random& random, std::uint64_t classes, std::uint64_t (&pair)[2]) {
  pair[0] = random.Below(classes);
  pair[1] = classes < 2 ? pair[0] : (pair[0] + 1 + random.Below(classes - 1)) % classes;
}

double Stretch(Law law, double z, std::uint16_t label, base::Random& random) {
  switch (law) {
    case Law::kNormal:
      return z + 0.3 * label;
    case Law::kLogNormal:
      return std::exp(0.5 * z + 0.3 * label);
    case Law::kStudent3: {
      double squares = 0.0;
      for (int i = 0; i < 3; ++i) {
        const double one = random.Normal();
        squares += one * one;
      }
      return z / std::sqrt(squares / 3.0) + 0.3 * label;
    }
    case Law::kSixLevels: {
      // Of a vote of five: levels with .04, .12, .24, .30, .20 and .10 of the samples.
      constexpr double kEnds[] = {-1.7507, -0.9945, -0.2533, 0.5244, 1.2816};
      return static_cast<double>(std::upper_bound(std::begin(kEnds), std::end(kEnds), z) -
                                 std::begin(kEnds)) /
             5.0;
    }
  }
  return z;
}

}  // namespace

const char* Name(Law law) {
  switch (law) {
    case Law::kNormal:
      return "normal";
    case Law::kLogNormal:
      return "log_normal";
    case Law::kStudent3:
      return "t3";
    case Law::kSixLevels:
      return "six_levels";
  }
  return "normal";
}

tinylcm::drift::SignalMask MaskOf(const World& world) {
  tinylcm::drift::SignalMask mask = 0;
  for (std::uint32_t i = 0; i < world.signals; ++i) mask |= Bit(kWatched[i]);
  if (world.class_mix) mask |= Bit(Signal::kClassMix);
  return mask;
}

const tinylcm::drift::Sample& Stream::Next(double shift, double share) {
  if (next_ % kSpell == 0) DrawPair(random_, world_.classes, pair_);
  sample_.index = next_++;
  sample_.predicted = static_cast<std::uint16_t>(world_.blocks ? pair_[random_.Below(2)]
                                                               : random_.Below(world_.classes));
  const double common = world_.together > 0.0 ? random_.Normal() : 0.0;
  const bool shifted = shift != 0.0 && (share >= 1.0 || random_.Uniform() < share);
  for (std::uint32_t i = 0; i < world_.signals; ++i) {
    double z =
        std::sqrt(1.0 - world_.together) * random_.Normal() + std::sqrt(world_.together) * common;
    if (world_.correlation != 0.0) {
      const double rho = world_.correlation;
      // The first is drawn from where the others will lie.
      z = sample_.index == 0 ? z : rho * before_[i] + std::sqrt(1.0 - rho * rho) * z;
      before_[i] = z;
    }
    if (i == 0 && shifted) z += shift;
    sample_.Set(kWatched[i],
                static_cast<float>(Stretch(world_.law, z, sample_.predicted, random_)));
  }
  if (world_.class_mix) sample_.Set(Signal::kClassMix, sample_.predicted);
  return sample_;
}

// ---- digits -------------------------------------------------------------------------------------

namespace {

constexpr std::size_t kSide = 8;
constexpr std::size_t kPixels = kSide * kSide;
constexpr std::size_t kAnchorsPerClass = 30;

struct AllDigits {
  std::vector<std::array<float, kPixels>> rows;  // Full scale 1.
  std::vector<std::uint16_t> labels;
};

const AllDigits& Read() {
  static const AllDigits digits = [] {
    AllDigits read;
    const auto text = base::ReadTextFile(base::SystemFileSystem(), TINYMLOPS_DIGITS, 1u << 20);
    CHECK(text.ok());
    for (const std::string_view line : base::Split(base::Trim(*text), '\n')) {
      const auto cells = base::Split(line, ',');
      if (cells.size() != kPixels + 1 || !base::ParseInt(cells[0]).ok()) continue;
      std::array<float, kPixels> row;
      for (std::size_t i = 0; i < kPixels; ++i) {
        row[i] = static_cast<float>(*base::ParseInt(cells[i])) / 16.0f;
      }
      read.rows.push_back(row);
      read.labels.push_back(static_cast<std::uint16_t>(*base::ParseInt(cells[kPixels])));
    }
    CHECK(read.rows.size() > 1000);
    return read;
  }();
  return digits;
}

// Turned by 20 degrees about the middle, pixels between four mixed.
std::array<float, kPixels> Turned(const std::array<float, kPixels>& row) {
  const double sine = std::sin(0.349065850398866);
  const double cosine = std::cos(0.349065850398866);
  const double middle = (kSide - 1) / 2.0;
  std::array<float, kPixels> turned{};
  for (std::size_t y = 0; y < kSide; ++y) {
    for (std::size_t x = 0; x < kSide; ++x) {
      const double dx = static_cast<double>(x) - middle;
      const double dy = static_cast<double>(y) - middle;
      const double from_x = cosine * dx + sine * dy + middle;
      const double from_y = -sine * dx + cosine * dy + middle;
      const double left = std::floor(from_x);
      const double top = std::floor(from_y);
      double sum = 0.0;
      for (int corner = 0; corner < 4; ++corner) {
        const double at_x = left + corner % 2;
        const double at_y = top + corner / 2;
        if (at_x < 0.0 || at_y < 0.0 || at_x >= kSide || at_y >= kSide) continue;
        const double weight = (1.0 - std::abs(from_x - at_x)) * (1.0 - std::abs(from_y - at_y));
        sum += weight *
               static_cast<double>(
                   row[static_cast<std::size_t>(at_y) * kSide + static_cast<std::size_t>(at_x)]);
      }
      turned[y * kSide + x] = static_cast<float>(sum);
    }
  }
  return turned;
}

}  // namespace

struct Digits::Impl {
  Impl(std::uint64_t seed, bool in_blocks) : random(seed), blocks(in_blocks) {
    const AllDigits& digits = Read();
    std::vector<std::size_t> order(digits.rows.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    for (std::size_t i = order.size() - 1; i > 0; --i) {
      std::swap(order[i], order[random.Below(i + 1)]);
    }
    const std::size_t half = order.size() / 2;
    std::vector<float> fit;
    for (std::size_t i = 0; i < half; ++i) {
      Noisy(digits.rows[order[i]], kNoise);
      fit.insert(fit.end(), row.begin(), row.end());
    }
    processor.emplace(
        tinylcm::feature::Processor::Create(tinylcm::feature::FitStandardise(fit, kPixels).value())
            .value());
    tinylcm::classify::Anchors anchors;
    std::array<std::size_t, kClasses> taken{};
    for (std::size_t i = 0; i < half; ++i) {
      const std::uint16_t label = digits.labels[order[i]];
      if (taken[label]++ >= kAnchorsPerClass) continue;
      processor->Apply(std::span(fit).subspan(i * kPixels, kPixels), feature);
      anchors.Add(feature, label);
    }
    knn.emplace(tinylcm::classify::KnnClassifier::Create({.classes = kClasses}, anchors).value());
    for (std::size_t i = half; i < order.size(); ++i) {
      by_class[digits.labels[order[i]]].push_back(order[i]);
      unseen.push_back(order[i]);
    }
  }

  void Noisy(const std::array<float, kPixels>& clean, double deviation) {
    for (std::size_t i = 0; i < kPixels; ++i) {
      row[i] = clean[i] + static_cast<float>(deviation * random.Normal());
    }
  }

  static constexpr double kNoise = 0.05;

  base::Random random;
  bool blocks;
  std::optional<tinylcm::feature::Processor> processor;
  std::optional<tinylcm::classify::KnnClassifier> knn;
  std::array<std::vector<std::size_t>, kClasses> by_class;
  std::vector<std::size_t> unseen;
  std::array<float, kPixels> row{};
  std::vector<float> feature = std::vector<float>(kPixels);
  std::uint64_t next = 0;
  std::uint64_t pair[2] = {0, 0};
  tinylcm::drift::Sample sample;
};

const char* Digits::Name(Change change) {
  switch (change) {
    case Change::kNone:
      return "none";
    case Change::kNoise:
      return "noise";
    case Change::kDimming:
      return "dimming";
    case Change::kRotation:
      return "rotation";
    case Change::kInverted:
      return "inverted";
  }
  return "none";
}

Digits::Digits(std::uint64_t seed, bool blocks) : impl_(std::make_unique<Impl>(seed, blocks)) {}
Digits::~Digits() = default;
Digits::Digits(Digits&&) noexcept = default;

const tinylcm::drift::Sample& Digits::Next(Change change, double share) {
  Impl& is = *impl_;
  if (is.next % kSpell == 0) DrawPair(is.random, kClasses, is.pair);
  const std::vector<std::size_t>& from =
      is.blocks ? is.by_class[is.pair[is.random.Below(2)]] : is.unseen;
  const std::array<float, kPixels>& clean = Read().rows[from[is.random.Below(from.size())]];
  const bool changed = change != Change::kNone && (share >= 1.0 || is.random.Uniform() < share);
  is.Noisy(changed && change == Change::kRotation ? Turned(clean) : clean,
           changed && change == Change::kNoise ? 0.3 : Impl::kNoise);
  for (float& pixel : is.row) {
    if (changed && change == Change::kDimming) pixel *= 0.6f;
    if (changed && change == Change::kInverted) pixel = 1.0f - pixel;
  }
  is.processor->Apply(is.row, is.feature);
  const auto prediction = is.knn->Classify(is.feature);
  is.sample = tinylcm::drift::OneSignal(is.next++, prediction.nearest, Signal::kAnchorDistance,
                                        prediction.anchor_distance);
  return is.sample;
}

}  // namespace bench::drift
