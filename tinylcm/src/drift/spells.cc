#include "tinylcm/drift/spells.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace tinylcm::drift {
namespace {

constexpr double kMemory = 0.99;
constexpr double kVarianceMax = 0.5;
// tau^2 before anything is known, and of how many products that is worth.
constexpr double kPriorVariance = 0.1;
constexpr double kPriorProducts = 1500.0;
// How much more uncertain a class's level is whose ranks come from a single spell.
constexpr double kFirstSpell = 1.0;
// No spell's level is farther off, in tau.
constexpr double kLevelMax = 2.0;
// Scores beyond it say no more about levels.
constexpr double kFarOff = 3.0;

// A class is a stranger that came no oftener among the last kRecent.
constexpr std::ptrdiff_t kStrangerMax = 2;
constexpr double kPriorMean = 0.5;
constexpr double kPriorStrangers = 20.0;

constexpr std::uint32_t kSameSpell = 64;     // Samples apart, and certainly of one spell.
constexpr double kNearer = 0.97;             // What a product weighs less per sample apart.
constexpr float kBlock = 64.0f;              // Samples that wait before they count.
constexpr float kSettledMax = 1'000'000.0f;  // Beyond it the old are halved.
// Nothing here grows beyond it, and no weight's square is smaller (0.97^64 = 0.14).
constexpr float kSumMax = 1e9f;
constexpr float kSquareMin = 0.01f;

// The base to the power of 0, 1, ...
template <std::size_t kSize>
constexpr std::array<float, kSize> PowersOf(double base) {
  std::array<float, kSize> powers{};
  double power = 1.0;
  for (float& each : powers) {
    each = static_cast<float>(power);
    power *= base;
  }
  return powers;
}
// What is beyond is forgotten.
constexpr auto kPowers = PowersOf<512>(kMemory);
constexpr auto kWeights = PowersOf<kSameSpell + 1>(kNearer);

}  // namespace

Spells::Sums& Spells::Sums::operator+=(const Sums& other) {
  products += other.products;
  weights += other.weights;
  squares += other.squares;
  strangers += other.strangers;
  of_strangers += other.of_strangers;
  samples += other.samples;
  return *this;
}

Spells::Sums& Spells::Sums::operator*=(float factor) {
  for (float* each : {&products, &weights, &squares, &strangers, &of_strangers, &samples}) {
    *each *= factor;
  }
  return *this;
}

// Of independent scores, products weighted by w have a mean of variance sum w^2 / (sum w)^2: they
// are worth the inverse of it.
double Spells::variance() const {
  double worth = 0.0;
  double sum = kPriorProducts * kPriorVariance;
  if (settled_.squares > 0.0f) {
    const double per_weight = static_cast<double>(settled_.weights) / settled_.squares;
    worth = per_weight * settled_.weights;
    sum += per_weight * settled_.products;
  }
  return std::clamp(sum / (worth + kPriorProducts), 0.0, kVarianceMax);
}

double Spells::strangers_mean() const {
  return (settled_.of_strangers + kPriorStrangers * kPriorMean) /
         (settled_.strangers + kPriorStrangers);
}

bool Spells::IsStranger(std::uint16_t predicted) {
  const bool is_known = recent_count_ == kRecent;
  const bool is_rare = std::ranges::count(recent_, predicted) <= kStrangerMax;
  recent_[recent_next_] = predicted;
  recent_next_ = (recent_next_ + 1) % kRecent;
  if (!is_known) recent_count_ += 1;
  return is_known && is_rare;
}

double Spells::Remove(std::uint16_t predicted, std::uint32_t now, double score) {
  last_ = Sums{};
  last_.samples = 1.0f;
  if (IsStranger(predicted)) {
    last_.strangers = 1.0f;
    last_.of_strangers = static_cast<float>(std::clamp(score, -kFarOff, kFarOff));
    score -= strangers_mean();
  }
  const auto bounded = static_cast<float>(std::clamp(score, -kFarOff, kFarOff));

  Level& level = levels_[predicted];
  const bool has_come = level.variance >= 0.0f;
  const std::uint32_t apart = now - level.at;
  if (!has_come || apart > kSameSpell) {
    level.sum = level.weight = level.squares = 0.0f;
    if (level.spells < 1'000'000) level.spells += 1;
  } else {
    // Not with its last score: where part of a value was taken off the next one (whitening.h),
    // those two hang together by that.
    const float kept = kWeights[apart];
    last_.products = bounded * level.sum * kept;
    last_.weights = level.weight * kept;
    last_.squares = level.squares * kept * kept;
    level.sum = level.sum * kept + level.score;
    level.weight = level.weight * kept + 1.0f;
    level.squares = level.squares * kept * kept + 1.0f;
  }

  const double spread = variance() * (1.0 + kFirstSpell / level.spells);
  double mean = 0.0;
  double variance_before = spread;
  if (has_come) {
    const double kept = apart < kPowers.size() ? kPowers[apart] : 0.0;
    mean = kept * level.mean;
    variance_before =
        kept * kept * std::min<double>(level.variance, spread) + (1.0 - kept * kept) * spread;
  }
  const double off = score - mean;
  const double all = 1.0 + variance_before;
  const double most = kLevelMax * std::sqrt(spread);
  level.mean = static_cast<float>(std::clamp(mean + variance_before / all * off, -most, most));
  level.variance = static_cast<float>(variance_before / all);
  level.score = bounded;
  level.at = now;
  return off / std::sqrt(all);
}

void Spells::Learn() {
  filling_ += last_;
  last_ = Sums{};
  if (filling_.samples < kBlock) return;
  settled_ += waiting_;
  waiting_ = filling_;
  filling_ = Sums{};
  if (settled_.samples > kSettledMax) settled_ *= 0.5f;
}

void Spells::Discard() {
  waiting_ = filling_ = last_ = Sums{};
  for (Level& level : levels_) level.sum = level.weight = level.squares = 0.0f;
}

void Spells::Interrupt() {
  for (Level& level : levels_) level = Level{.spells = level.spells};
  recent_.fill(0);
  recent_count_ = recent_next_ = 0;
  last_ = Sums{};
}

void Spells::Reset() {
  std::fill(levels_.begin(), levels_.end(), Level{});
  Interrupt();
  settled_ = waiting_ = filling_ = Sums{};
}

void Spells::Write(StateWriter& writer) const {
  for (const Level& level : levels_) {
    writer.Put(level.mean);
    writer.Put(level.variance);
    writer.Put(level.score);
    writer.Put(level.at);
    writer.Put(level.spells);
    writer.Put(level.sum);
    writer.Put(level.weight);
    writer.Put(level.squares);
  }
  writer.Put(recent_count_);
  writer.Put(recent_next_);
  writer.PutSpan(std::span<const std::uint16_t>(recent_));
  for (const Sums* sums : {&settled_, &waiting_, &filling_}) {
    writer.Put(sums->products);
    writer.Put(sums->weights);
    writer.Put(sums->squares);
    writer.Put(sums->strangers);
    writer.Put(sums->of_strangers);
    writer.Put(sums->samples);
  }
}

void Spells::Read(StateReader& reader) {
  Reset();
  for (Level& level : levels_) {
    level.mean = reader.GetFinite<float>();
    level.variance = reader.GetFinite<float>();
    level.score = reader.GetFinite<float>();
    level.at = reader.Get<std::uint32_t>();
    level.spells = reader.Get<std::uint32_t>();
    level.sum = reader.GetFinite<float>();
    level.weight = reader.GetFinite<float>();
    level.squares = reader.GetFinite<float>();
    for (const float each : {level.mean, level.variance, level.score, level.sum, level.weight}) {
      if (std::abs(each) > kSumMax) reader.Refuse("a level beyond all bounds");
    }
    if (level.weight < 0.0f || level.squares < 0.0f || level.squares > kSumMax) {
      reader.Refuse("weights out of bounds");
    }
    if (level.variance >= 0.0f && level.spells == 0) reader.Refuse("a class came in no spell");
  }
  recent_count_ = reader.GetUpTo<std::uint32_t>(kRecent);
  recent_next_ = reader.GetUpTo<std::uint32_t>(kRecent - 1);
  reader.GetSpan(std::span<std::uint16_t>(recent_));
  for (Sums* sums : {&settled_, &waiting_, &filling_}) {
    sums->products = reader.GetFinite<float>();
    sums->weights = reader.GetFinite<float>();
    sums->squares = reader.GetFinite<float>();
    sums->strangers = reader.GetFinite<float>();
    sums->of_strangers = reader.GetFinite<float>();
    sums->samples = reader.GetFinite<float>();
    for (const float each : {sums->weights, sums->squares, sums->strangers, sums->samples}) {
      if (each < 0.0f || each > kSumMax) reader.Refuse("a number of scores out of bounds");
    }
    for (const float each : {sums->products, sums->of_strangers}) {
      if (std::abs(each) > kSumMax) reader.Refuse("a sum beyond all bounds");
    }
    if (sums->squares > 0.0f && sums->squares < kSquareMin) reader.Refuse("a weight too small");
  }
}

}  // namespace tinylcm::drift
