#include "tinylcm/drift/spells.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace tinylcm::drift {
namespace {

constexpr double kMemory = 0.99;
constexpr double kVarianceMax = 0.5;
// Spells are believed to differ when the mean product is so many standard errors above zero.
constexpr double kClearly = 3.0;
constexpr float kPairsMin = 128.0f;
constexpr std::uint32_t kSameSpell = 64;     // Samples apart, and certainly of one spell.
constexpr float kBlock = 64.0f;              // Pairs that wait before they count.
constexpr float kSettledMax = 1'000'000.0f;  // Beyond it the old are halved.

// kMemory to the power of 0, 1, ...; what is beyond is forgotten.
constexpr std::array<float, 512> kPowers = [] {
  std::array<float, 512> powers{};
  double power = 1.0;
  for (float& each : powers) {
    each = static_cast<float>(power);
    power *= kMemory;
  }
  return powers;
}();

}  // namespace

double Spells::variance() const {
  if (settled_.pairs < kPairsMin) return 0.0;
  const double pairs = settled_.pairs;
  const double mean = settled_.products / pairs;
  return mean > kClearly / std::sqrt(pairs) ? std::min(mean, kVarianceMax) : 0.0;
}

double Spells::Remove(std::uint16_t predicted, std::uint32_t now, double score) {
  const double spread = variance();
  Level& level = levels_[predicted];
  double mean = 0.0;
  double variance_before = spread;
  has_product_ = false;
  if (level.variance >= 0.0f) {
    const std::uint32_t apart = now - level.at;
    if (apart <= kSameSpell) {
      product_ = level.score * static_cast<float>(score);
      has_product_ = true;
    }
    const double kept = apart < kPowers.size() ? kPowers[apart] : 0.0;
    mean = kept * level.mean;
    variance_before =
        kept * kept * std::min<double>(level.variance, spread) + (1.0 - kept * kept) * spread;
  }
  const double off = score - mean;
  const double all = 1.0 + variance_before;
  level.mean = static_cast<float>(mean + variance_before / all * off);
  level.variance = static_cast<float>(variance_before / all);
  level.score = static_cast<float>(score);
  level.at = now;
  return off / std::sqrt(all);
}

void Spells::Learn() {
  if (!has_product_) return;
  filling_.products += product_;
  filling_.pairs += 1.0f;
  if (filling_.pairs < kBlock) return;
  settled_.products += waiting_.products;
  settled_.pairs += waiting_.pairs;
  waiting_ = filling_;
  filling_ = Sums{};
  if (settled_.pairs > kSettledMax) {
    settled_.products *= 0.5f;
    settled_.pairs *= 0.5f;
  }
}

void Spells::Reset() {
  std::fill(levels_.begin(), levels_.end(), Level{});
  settled_ = waiting_ = filling_ = Sums{};
  product_ = 0.0f;
  has_product_ = false;
}

void Spells::Write(StateWriter& writer) const {
  for (const Level& level : levels_) {
    writer.Put(level.mean);
    writer.Put(level.variance);
    writer.Put(level.score);
    writer.Put(level.at);
  }
  for (const Sums* sums : {&settled_, &waiting_, &filling_}) {
    writer.Put(sums->products);
    writer.Put(sums->pairs);
  }
}

void Spells::Read(StateReader& reader) {
  Reset();
  for (Level& level : levels_) {
    level.mean = reader.GetFinite<float>();
    level.variance = reader.GetFinite<float>();
    level.score = reader.GetFinite<float>();
    level.at = reader.Get<std::uint32_t>();
  }
  for (Sums* sums : {&settled_, &waiting_, &filling_}) {
    sums->products = reader.GetFinite<float>();
    sums->pairs = reader.GetFinite<float>();
    if (sums->pairs < 0.0f) reader.Refuse("fewer than no pairs");
  }
}

}  // namespace tinylcm::drift
