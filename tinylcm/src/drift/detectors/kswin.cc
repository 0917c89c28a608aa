#include "tinylcm/drift/detectors/kswin.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "tinylcm/drift/detectors/ks_two_sample.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

namespace {
constexpr std::uint64_t kSeed = 0x6b7377696e;  // Of the native draws.

// How many of the ascending values are below `value`, without a branch that could be mispredicted.
std::size_t CountBelow(const double* values, std::size_t size, double value) {
  const double* at = values;
  while (size > 1) {
    const std::size_t half = size / 2;
    at += at[half - 1] < value ? half : 0;
    size -= half;
  }
  return static_cast<std::size_t>(at - values) + (*at < value ? 1 : 0);
}

}  // namespace

base::Result<Kswin> Kswin::Create(const Options& options) {
  if (!(options.alpha >= 0.0 && options.alpha <= 1.0)) {
    return Error{ErrorCode::kInvalidArgument, "kswin: alpha must be between 0 and 1"};
  }
  if (options.stat_size < 2 || options.window_size > 65'535 ||
      options.window_size < 2 * options.stat_size) {
    return Error{ErrorCode::kInvalidArgument,
                 "kswin: stat_size must be from 2 to half of window_size, which may be 65535"};
  }
  return Kswin(options);
}

Kswin::Kswin(const Options& options)
    : options_(options),
      ring_(options.window_size),
      sorted_(options.window_size),
      slots_(options.window_size),
      weights_(options.window_size),
      lots_(options.window_size - options.stat_size),
      drawn_(options.stat_size),
      random_(kSeed) {
  for (std::uint32_t k = 0; k <= options.stat_size; ++k) {
    tails_.push_back(KsTailOfEqualSizes(options.stat_size, k));
  }
  tails_.push_back(0.0);
  if (options.seed) python_.emplace(*options.seed, options.window_size);
  Reset();
}

DriftSignal Kswin::Observe(double value) {
  CHECK(std::isfinite(value));
  if (filled_ < options_.window_size) {
    ring_[filled_] = value;
    const auto at = static_cast<std::size_t>(
        std::upper_bound(sorted_.begin(), sorted_.begin() + filled_, value) - sorted_.begin());
    std::move_backward(sorted_.begin() + static_cast<std::ptrdiff_t>(at), sorted_.begin() + filled_,
                       sorted_.begin() + filled_ + 1);
    std::move_backward(slots_.begin() + static_cast<std::ptrdiff_t>(at), slots_.begin() + filled_,
                       slots_.begin() + filled_ + 1);
    sorted_[at] = value;
    slots_[at] = static_cast<std::uint16_t>(filled_);
    if (at > 0 && sorted_[at - 1] == value) equals_left_ = options_.window_size;
    if (++filled_ < options_.window_size) return DriftSignal::kLearning;
  } else {
    Replace(oldest_, value);
    if (++oldest_ == options_.window_size) oldest_ = 0;
  }
  const std::uint32_t distance = Distance();
  p_ = tails_[distance];
  bool is_drift = false;
  if (options_.is_smooth) {
    // Between this step of the p-value and the next, by lot.
    p_ -= random_.Uniform() * (tails_[distance] - tails_[distance + 1]);
    is_drift = p_ <= options_.alpha;
  } else {
    is_drift = p_ <= options_.alpha && 10 * distance > options_.stat_size;
  }
  if (!is_drift) return DriftSignal::kSteady;
  const double p = p_;
  Restart();
  p_ = p;
  return DriftSignal::kDrift;
}

void Kswin::Replace(std::uint32_t slot, double value) {
  const std::uint32_t size = options_.window_size;
  const double old = ring_[slot];
  std::size_t from = CountBelow(sorted_.data(), size, old);
  while (slots_[from] != slot) ++from;  // Among equals.
  // Before its equals, if there are any; one place less where the old value stood before it.
  std::size_t to = CountBelow(sorted_.data(), size, value);
  if (to < size && sorted_[to] == value) equals_left_ = size;
  if (to > from) --to;
  double* sorted = sorted_.data();
  std::uint16_t* slots = slots_.data();
  if (to > from) {
    std::memmove(sorted + from, sorted + from + 1, (to - from) * sizeof(double));
    std::memmove(slots + from, slots + from + 1, (to - from) * sizeof(std::uint16_t));
  } else if (to < from) {
    std::memmove(sorted + to + 1, sorted + to, (from - to) * sizeof(double));
    std::memmove(slots + to + 1, slots + to, (from - to) * sizeof(std::uint16_t));
  }
  CHECK(to < size);
  sorted[to] = value;
  slots[to] = static_cast<std::uint16_t>(slot);
  ring_[slot] = value;
}

std::uint32_t Kswin::Distance() {
  const std::uint32_t size = options_.window_size;
  const std::uint32_t part = options_.stat_size;
  const std::uint32_t older = size - part;
  std::int8_t* weights = weights_.data();
  // The older ones begin at the oldest slot, the newest follow them around the ring.
  std::memset(weights, 0, size);
  std::uint32_t newest = oldest_ + older;
  if (newest >= size) newest -= size;
  const std::uint32_t first = std::min(part, size - newest);
  std::memset(weights + newest, 1, first);
  std::memset(weights, 1, part - first);
  if (python_) {
    python_->Sample(older, drawn_);
    for (const std::uint32_t place : drawn_) {
      const std::uint32_t slot = oldest_ + place;
      weights[slot >= size ? slot - size : slot] = -1;
    }
  } else {
    // The first of a shuffle; that the rest was shuffled before does no harm.
    std::uint16_t* lots = lots_.data();
    std::uint64_t bits = 0;
    for (std::uint32_t i = 0; i < part; ++i) {
      // 32 random bits a lot: the bias is below older / 2^32.
      bits = (i & 1) == 0 ? random_.Next() : bits >> 32;
      const std::uint32_t other =
          i + static_cast<std::uint32_t>(((bits & 0xffffffffu) * (older - i)) >> 32);
      const std::uint16_t place = lots[other];
      lots[other] = lots[i];
      lots[i] = place;
      const std::uint32_t slot = oldest_ + place;
      weights[slot >= size ? slot - size : slot] = -1;
    }
  }
  const double* sorted = sorted_.data();
  const std::uint16_t* slots = slots_.data();
  int apart = 0;
  int highest = 0;
  int lowest = 0;
  if (equals_left_ == 0) {
    for (std::uint32_t i = 0; i < size; ++i) {
      apart += weights[slots[i]];
      highest = std::max(highest, apart);
      lowest = std::min(lowest, apart);
    }
    return static_cast<std::uint32_t>(std::max(highest, -lowest));
  }
  --equals_left_;
  for (std::uint32_t i = 0; i + 1 < size; ++i) {
    apart += weights[slots[i]];
    // Equal values are one step.
    const int seen = sorted[i] == sorted[i + 1] ? 0 : apart;
    highest = std::max(highest, seen);
    lowest = std::min(lowest, seen);
  }
  return static_cast<std::uint32_t>(std::max(highest, -lowest));
}

void Kswin::Reset() {
  for (std::size_t i = 0; i < lots_.size(); ++i) lots_[i] = static_cast<std::uint16_t>(i);
  random_ = base::Random(kSeed);
  Restart();
  p_ = 0.0;
}

void Kswin::Restart() {
  filled_ = oldest_ = equals_left_ = 0;
  // As river: a seeded generator starts from its seed again. The native one goes on.
  if (python_) python_->Seed(*options_.seed);
}

void Kswin::Write(StateWriter& writer) const {
  writer.Section("kswin");
  writer.Put(filled_);
  writer.Put(oldest_);
  writer.Put(p_);
  writer.PutSpan(std::span(ring_).first(filled_));
  writer.PutSpan(lots_);
  writer.Put(random_.state());
  if (python_) python_->Write(writer);
}

void Kswin::Read(StateReader& reader) {
  reader.Section("kswin");
  filled_ = reader.GetUpTo(options_.window_size);
  oldest_ = reader.GetUpTo(options_.window_size - 1);
  p_ = reader.GetFinite<double>();
  reader.GetFiniteSpan(std::span(ring_).first(filled_));
  reader.GetSpan(lots_);
  random_ = base::Random(reader.Get<std::uint64_t>());
  if (python_) python_->Read(reader);
  if (!reader.ok()) return;
  std::vector<bool> seen(lots_.size(), false);
  for (const std::uint16_t place : lots_) {
    if (place >= lots_.size() || seen[place]) return reader.Refuse("the lots are no permutation");
    seen[place] = true;
  }
  if (filled_ < options_.window_size && oldest_ != 0) {
    return reader.Refuse("a window that is not full has no oldest value");
  }
  for (std::uint32_t i = 0; i < filled_; ++i) slots_[i] = static_cast<std::uint16_t>(i);
  std::stable_sort(slots_.begin(), slots_.begin() + filled_,
                   [this](std::uint16_t a, std::uint16_t b) { return ring_[a] < ring_[b]; });
  for (std::uint32_t i = 0; i < filled_; ++i) sorted_[i] = ring_[slots_[i]];
  // To be on the safe side: at most a window long.
  equals_left_ = options_.window_size;
}

void Kswin::AddTo(OptionsDigest& digest) const {
  digest.AddText("kswin")
      .Add(options_.alpha)
      .Add(options_.window_size)
      .Add(options_.stat_size)
      .Add(options_.seed.has_value())
      .Add(options_.seed.value_or(0))
      .Add(options_.is_smooth);
}

}  // namespace tinylcm::drift
