#include "tinylcm/drift/whitening.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tinylcm::drift {
namespace {

// A value that a fifth of all have makes so many pairs of equal ones.
constexpr double kEqualPairsMax = 0.04;
// phi below this costs more than it mends.
constexpr double kPhiMin = 0.1;
constexpr double kPhiMax = 0.99;
// Beyond chance: standard errors of a correlation of independent values. With 3, one commissioning
// of 100 samples in 700 whitened what needed none, and with a phi of 0.3 false alarms then come so
// seldom that the mean over all devices was a fifth too long.
constexpr double kSignificant = 3.5;
// What a skewed law adds to that: a product of two skewed values is more skewed still, and its mean
// is normal only in the end.
constexpr double kSkewed = 5.0;
// One value farther off than this, in standard deviations, says no more about what follows what.
constexpr double kFarOff = 3.0;
// How many standard errors phi is set too high.
constexpr double kSafety = 0.5;
// Values that wait before they count towards phi.
constexpr double kBlock = 64.0;

struct Running {
  double mean = 0.0;
  double squares = 0.0;
  double count = 0.0;
  void Add(double value) {
    count += 1.0;
    const double off = value - mean;
    mean += off / count;
    squares += off * (value - mean);
  }
  Whitening::Moments moments() const {
    const double variance = count > 1.0 ? squares / (count - 1.0) : 0.0;
    const auto sd = static_cast<float>(std::sqrt(variance));
    // Also where all are equal up to rounding: dividing by that would ruin everything.
    const bool is_flat = !(sd > 1e-6f * std::abs(static_cast<float>(mean))) || !std::isnormal(sd);
    return {static_cast<float>(mean), is_flat ? 1.0f : sd, static_cast<std::uint32_t>(count)};
  }
};

}  // namespace

Whitening::Sums& Whitening::Sums::operator+=(const Sums& other) {
  products += other.products;
  squares += other.squares;
  sum += other.sum;
  pairs += other.pairs;
  return *this;
}

void Whitening::SettleMoments(const Gathered& gathered) {
  // Pass by pass over the classes: commissioning is short and this needs no memory.
  Running all;
  for (std::size_t i = 0; i < gathered.values.size(); ++i) {
    if (gathered.Has(i)) all.Add(gathered.values[i]);
  }
  // Half of all gathered lies between the two: neighbours are alike where a picture comes twice.
  std::size_t pairs = 0;
  std::size_t equal = 0;
  for (std::size_t i = 0, half = gathered.values.size() / 2; i + half < 2 * half; ++i) {
    if (!gathered.Has(i) || !gathered.Has(i + half)) continue;
    pairs += 1;
    equal += gathered.values[i] == gathered.values[i + half] ? 1 : 0;
  }
  is_discrete_ = static_cast<double>(equal) > kEqualPairsMax * static_cast<double>(pairs);
  for (std::size_t label = 0; label < moments_.size(); ++label) {
    Running own;
    for (std::size_t i = 0; i < gathered.values.size(); ++i) {
      if (gathered.Has(i) && gathered.predicted[i] == label) own.Add(gathered.values[i]);
    }
    const bool is_known = own.count >= kClassSamplesMin;
    moments_[label] = is_known ? own.moments() : all.moments();
    if (!is_known) moments_[label].samples = 0;
    late_[label] = Late{};
  }
}

void Whitening::Sums::Add(double now, double last) {
  now = std::clamp(now, -kFarOff, kFarOff);
  last = std::clamp(last, -kFarOff, kFarOff);
  products += now * last;
  squares += 0.5 * (now * now + last * last);
  sum += 0.5 * (now + last);
  pairs += 1.0;
}

float Whitening::Estimate(const Sums& sums) const {
  if (sums.pairs < 30.0) return 0.0f;
  const double mean = sums.sum / sums.pairs;
  const double variance = sums.squares / sums.pairs - mean * mean;
  if (!(variance > 1e-9)) return 0.0f;
  const double raw = (sums.products / sums.pairs - mean * mean) / variance;
  // Means that are estimated from the same values pull a correlation down (Kendall 1954).
  const double phi = raw + (1.0 + 4.0 * raw) / sums.pairs;
  const double by_chance = kSignificant / std::sqrt(sums.pairs) + kSkewed / sums.pairs;
  if (!(raw > std::max(kPhiMin, by_chance))) return 0.0f;
  const double error = std::sqrt(std::max(1.0 - phi * phi, 0.0) / sums.pairs);
  return static_cast<float>(std::min(phi + kSafety * error, kPhiMax));
}

void Whitening::SettleCorrelation(const Gathered& gathered, bool may_correlate) {
  settled_ = waiting_ = filling_ = Sums{};
  phi_ = 0.0f;
  has_previous_ = previous_known_ = is_pair_ = false;
  // Equal values less a share of the last one are equal no more: they would tell what came before,
  // and each better phi would move them all at once.
  may_correlate_ = may_correlate && !is_discrete_;
  if (!may_correlate_) return;
  bool has_last = false;
  double last = 0.0;
  for (std::size_t i = 0; i < gathered.values.size(); ++i) {
    // Where a class's own moments are not known, its values hang together by its own level.
    if (!gathered.Has(i) || moments_[gathered.predicted[i]].samples == 0) {
      has_last = false;
      continue;
    }
    double now = Standardise(gathered.predicted[i], gathered.values[i]);
    if (has_cycle_) now = cycle_.Remove(gathered.phases[i], static_cast<float>(now));
    if (has_last) {
      settled_ +=
          {.products = now * last, .squares = 0.5 * (now * now + last * last), .pairs = 1.0};
    }
    last = now;
    has_last = true;
  }
  phi_ = Estimate(settled_);
  refine_at_ = std::max(2.0 * settled_.pairs, 2.0 * kBlock);
}

float Whitening::Whiten(std::uint16_t predicted, float value, float phase) {
  float now = Standardise(predicted, value);
  if (has_cycle_) now = cycle_.Remove(phase, now);
  // Without a last value, what is left of it spreads as the others do.
  const float left = has_previous_ ? now - phi_ * previous_ : now * std::sqrt(1.0f - phi_ * phi_);
  is_pair_ = has_previous_ && previous_known_ && moments_[predicted].samples > 0;
  before_previous_ = previous_;
  previous_ = now;
  has_previous_ = true;
  previous_known_ = moments_[predicted].samples > 0;
  return passes() ? value : left;
}

void Whitening::Skip() {
  has_previous_ = previous_known_ = is_pair_ = false;
  cycle_.Interrupt();
}

Whitening::Anew Whitening::Learn(std::uint16_t predicted, float value) {
  Anew anew = Anew::kNothing;
  if (may_correlate_ && is_pair_) {
    filling_.Add(previous_, before_previous_);
    if (filling_.pairs >= kBlock) {
      settled_ += waiting_;
      waiting_ = filling_;
      filling_ = Sums{};
      if (settled_.pairs >= refine_at_) {
        const float refined = Estimate(settled_);
        // Once whitened, always whitened.
        if (refined > 0.0f) {
          if (passes()) anew = Anew::kSignal;
          phi_ = refined;
        }
        refine_at_ *= 2.0;
      }
    }
  }
  Moments& moments = moments_[predicted];
  if (moments.samples > 0) return anew;
  Late& late = late_[predicted];
  late.samples += 1;
  const float off = value - late.mean;
  late.mean += off / static_cast<float>(late.samples);
  late.squares += off * (value - late.mean);
  if (late.samples < kLateClassSamples) return anew;
  Running own{.mean = late.mean, .squares = late.squares, .count = kLateClassSamples};
  moments = own.moments();
  if (anew == Anew::kNothing && !passes()) anew = Anew::kClass;
  return anew;
}

void Whitening::Discard() { waiting_ = filling_ = Sums{}; }

float Whitening::spread_of_news(std::uint16_t predicted) const {
  return passes() ? moments_[predicted].sd : std::sqrt(1.0f - phi_ * phi_);
}

void Whitening::Reset() {
  std::fill(moments_.begin(), moments_.end(), Moments{});
  std::fill(late_.begin(), late_.end(), Late{});
  cycle_ = Cycle{};
  has_cycle_ = is_discrete_ = false;
  may_correlate_ = false;
  phi_ = 0.0f;
  settled_ = waiting_ = filling_ = Sums{};
  refine_at_ = 0.0;
  previous_ = before_previous_ = 0.0f;
  has_previous_ = previous_known_ = is_pair_ = false;
}

void Whitening::Write(StateWriter& writer) const {
  for (const Moments& moments : moments_) {
    writer.Put(moments.mean);
    writer.Put(moments.sd);
    writer.Put(moments.samples);
  }
  writer.Put(has_cycle_);
  writer.Put(is_discrete_);
  const bool turns = has_cycle_ || cycle_.has_begun();
  writer.Put(turns);
  if (turns) cycle_.Write(writer);
  writer.Put(phi_);
  writer.Put(may_correlate_);
  for (std::size_t label = 0; label < late_.size(); ++label) {
    if (moments_[label].samples > 0) continue;
    writer.Put(late_[label].mean);
    writer.Put(late_[label].squares);
    writer.Put(late_[label].samples);
  }
  for (const Sums* sums : {&settled_, &waiting_, &filling_}) {
    writer.Put(sums->products);
    writer.Put(sums->squares);
    writer.Put(sums->sum);
    writer.Put(sums->pairs);
  }
  writer.Put(refine_at_);
  writer.Put(previous_);
  writer.Put(before_previous_);
  writer.Put(has_previous_);
  writer.Put(previous_known_);
  writer.Put(is_pair_);
}

void Whitening::Read(StateReader& reader) {
  Reset();
  for (Moments& moments : moments_) {
    moments.mean = reader.GetFinite<float>();
    moments.sd = reader.GetFinite<float>();
    moments.samples = reader.Get<std::uint32_t>();
    if (reader.ok() && !(moments.sd > 0.0f)) reader.Refuse("a class has no spread");
    const bool is_known = moments.samples >= kClassSamplesMin && moments.samples <= kGatheredMax;
    if (moments.samples != 0 && !is_known) reader.Refuse("moments of too few or too many samples");
  }
  has_cycle_ = reader.Get<bool>();
  is_discrete_ = reader.Get<bool>();
  if (reader.Get<bool>()) cycle_.Read(reader);
  phi_ = reader.GetFinite<float>();
  if (!(phi_ >= 0.0f && phi_ <= static_cast<float>(kPhiMax))) {
    reader.Refuse("a value cannot hang on the last one so much");
    phi_ = 0.0f;
  }
  may_correlate_ = reader.Get<bool>();
  if (!reader.ok()) return;
  for (std::size_t label = 0; label < late_.size(); ++label) {
    if (moments_[label].samples > 0) continue;
    late_[label].mean = reader.GetFinite<float>();
    late_[label].squares = reader.GetFinite<float>();
    late_[label].samples = reader.GetUpTo<std::uint32_t>(kLateClassSamples);
  }
  for (Sums* sums : {&settled_, &waiting_, &filling_}) {
    sums->products = reader.GetFinite<double>();
    sums->squares = reader.GetFinite<double>();
    sums->sum = reader.GetFinite<double>();
    sums->pairs = reader.GetFinite<double>();
    if (sums->squares < 0.0 || sums->pairs < 0.0) reader.Refuse("a sum is below zero");
  }
  refine_at_ = reader.GetFinite<double>();
  previous_ = reader.GetFinite<float>();
  before_previous_ = reader.GetFinite<float>();
  has_previous_ = reader.Get<bool>();
  previous_known_ = reader.Get<bool>();
  is_pair_ = reader.Get<bool>();
}

}  // namespace tinylcm::drift
