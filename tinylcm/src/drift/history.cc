#include "tinylcm/drift/history.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

using base::Error;
using base::ErrorCode;

// A mark: the sign, 4 bits of exponent, 3 of mantissa; cut from a float's own bits, which is why
// it costs nothing. 0x80, minus nothing, stands for "not there".
constexpr std::uint8_t kAbsent = 0x80;
constexpr int kMantissaBits = 3;
constexpr int kDropped = 23 - kMantissaBits;
// The smallest exponents: a rank's distance to its end is 2^-16 to 0.5, an effect 2^-7 to 480.
constexpr int kRankExponent = -16;
constexpr int kEffectExponent = -7;

std::uint8_t ToMark(float value, int exponent_min, bool is_negative) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(std::abs(value)) & 0x7fffffffu;
  // Rounded to the nearest; a carry into the exponent is the right answer too.
  const auto code = static_cast<std::int64_t>((bits + (1u << (kDropped - 1))) >> kDropped) -
                    (std::int64_t{127 + exponent_min} << kMantissaBits);
  const auto magnitude = static_cast<std::uint8_t>(std::clamp<std::int64_t>(code, 0, 127));
  return static_cast<std::uint8_t>((is_negative && magnitude != 0 ? 0x80 : 0) | magnitude);
}

// Without the sign. Nothing is nothing.
double Magnitude(std::uint8_t mark, int exponent_min) {
  const std::uint32_t magnitude = mark & 0x7fu;
  if (magnitude == 0) return 0.0;
  const auto offset = static_cast<std::uint32_t>((127 + exponent_min) << kMantissaBits);
  return static_cast<double>(std::bit_cast<float>((magnitude + offset) << kDropped));
}

std::uint8_t RankMark(float u) {
  if (std::isnan(u)) return kAbsent;
  // At least the smallest: a rank is never nothing.
  const float to_end = std::max(std::min(u, 1.0f - u), 0x1.2p-16f);
  return ToMark(to_end, kRankExponent, u < 0.5f);
}

std::uint8_t EffectMark(float effect) {
  if (std::isnan(effect)) return kAbsent;
  return ToMark(effect, kEffectExponent, effect < 0.0f);
}

}  // namespace

base::Result<History> History::Create(const Options& options) {
  if (options.samples < 16 || options.samples > 65536) {
    return Error{ErrorCode::kInvalidArgument, "drift history: samples must be 16 to 65536"};
  }
  if (options.classes == 0 || options.classes > 65536) {
    return Error{ErrorCode::kInvalidArgument, "drift history: classes must be 1 to 65536"};
  }
  if ((options.signals >> kSignals) != 0) {
    return Error{ErrorCode::kInvalidArgument, "drift history: a signal that does not exist"};
  }
  return History(options);
}

History::History(const Options& options) : options_(options) {
  for (std::size_t s = 0; s < kSignals; ++s) {
    if ((options.signals >> s & 1u) != 0) place_of_[s] = static_cast<std::uint8_t>(kept_++);
  }
  indices_.assign(options.samples, 0);
  predicted_.assign(options.samples, 0);
  ranks_.assign(options.samples * kept_, kAbsent);
  effects_.assign(options.samples * kept_, kAbsent);
}

void History::Clear() {
  // The slots too: equal histories are equal bytes, whatever was in them once.
  std::ranges::fill(indices_, 0u);
  std::ranges::fill(predicted_, std::uint16_t{0});
  std::ranges::fill(ranks_, kAbsent);
  std::ranges::fill(effects_, kAbsent);
  last_index_ = 0;
  next_ = 0;
  count_ = 0;
}

void History::Add(std::uint64_t index, std::uint16_t predicted, std::span<const float, kSignals> u,
                  std::span<const float, kSignals> effect) {
  CHECK(predicted < options_.classes);
  indices_[next_] = static_cast<std::uint32_t>(index);
  predicted_[next_] = predicted;
  for (std::size_t s = 0; s < kSignals; ++s) {
    if ((options_.signals >> s & 1u) == 0) continue;
    ranks_[next_ * kept_ + place_of_[s]] = RankMark(u[s]);
    effects_[next_ * kept_ + place_of_[s]] = EffectMark(effect[s]);
  }
  last_index_ = index;
  next_ = next_ + 1 == indices_.size() ? 0 : next_ + 1;
  count_ = std::min(count_ + 1, indices_.size());
}

std::uint64_t History::index(std::size_t i) const {
  // How far back, modulo 2^32: the strip is never as long as that.
  return last_index_ - (static_cast<std::uint32_t>(last_index_) - indices_[Slot(i)]);
}

const std::uint8_t* History::Mark(const std::vector<std::uint8_t>& marks, std::size_t i,
                                  Signal signal) const {
  if ((options_.signals & Bit(signal)) == 0) return nullptr;
  const std::uint8_t* mark = &marks[Slot(i) * kept_ + place_of_[At(signal)]];
  return *mark == kAbsent ? nullptr : mark;
}

std::optional<double> History::rank(std::size_t i, Signal signal) const {
  const std::uint8_t* mark = Mark(ranks_, i, signal);
  if (mark == nullptr) return std::nullopt;
  const double to_end = Magnitude(*mark, kRankExponent);
  return (*mark & 0x80u) != 0 ? to_end : 1.0 - to_end;
}

std::optional<double> History::score(std::size_t i, Signal signal) const {
  const std::uint8_t* mark = Mark(ranks_, i, signal);
  if (mark == nullptr) return std::nullopt;
  // From the nearer end, which is known to 6 %, not from 1 minus it.
  const double z = NormalQuantile(Magnitude(*mark, kRankExponent));
  return (*mark & 0x80u) != 0 ? z : -z;
}

std::optional<double> History::effect(std::size_t i, Signal signal) const {
  const std::uint8_t* mark = Mark(effects_, i, signal);
  if (mark == nullptr) return std::nullopt;
  const double size = Magnitude(*mark, kEffectExponent);
  return (*mark & 0x80u) != 0 ? -size : size;
}

void History::Write(StateWriter& writer) const {
  writer.Section("history");
  writer.Put(last_index_);
  writer.Put(static_cast<std::uint32_t>(next_));
  writer.Put(static_cast<std::uint32_t>(count_));
  writer.PutSpan(std::span<const std::uint32_t>(indices_));
  writer.PutSpan(std::span<const std::uint16_t>(predicted_));
  writer.PutSpan(std::span<const std::uint8_t>(ranks_));
  writer.PutSpan(std::span<const std::uint8_t>(effects_));
}

void History::Read(StateReader& reader) {
  const auto samples = static_cast<std::uint32_t>(indices_.size());
  reader.Section("history");
  last_index_ = reader.Get<std::uint64_t>();
  next_ = reader.GetUpTo<std::uint32_t>(samples - 1);
  count_ = reader.GetUpTo<std::uint32_t>(samples);
  reader.GetSpan(std::span<std::uint32_t>(indices_));
  reader.GetSpan(std::span<std::uint16_t>(predicted_));
  reader.GetSpan(std::span<std::uint8_t>(ranks_));
  reader.GetSpan(std::span<std::uint8_t>(effects_));
  // A rank of exactly nothing does not come from here.
  if (std::ranges::any_of(ranks_, [](std::uint8_t mark) { return mark == 0; })) {
    reader.Refuse("a rank of 0");
  }
  if (std::ranges::any_of(predicted_, [this](auto label) { return label >= options_.classes; })) {
    reader.Refuse("a class that does not exist");
  }
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < count_ && reader.ok(); ++i) {
    const std::uint64_t now = index(i);
    if (now > last_index_ || (i > 0 && now <= before)) reader.Refuse("indices that do not grow");
    before = now;
  }
}

void History::AddTo(OptionsDigest& digest) const {
  digest.Add(options_.samples).Add(options_.classes).Add(options_.signals);
}

}  // namespace tinylcm::drift
