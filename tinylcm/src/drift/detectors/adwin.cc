#include "tinylcm/drift/detectors/adwin.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

base::Result<Adwin> Adwin::Create(const Options& options) {
  if (!(options.delta > 0.0 && std::isfinite(options.delta))) {
    return Error{ErrorCode::kInvalidArgument, "adwin: delta must be > 0"};
  }
  if (options.clock < 1 || options.clock > 1'000'000) {
    return Error{ErrorCode::kInvalidArgument, "adwin: clock must be between 1 and 1000000"};
  }
  if (options.max_buckets < 2 || options.max_buckets > 64) {
    return Error{ErrorCode::kInvalidArgument, "adwin: max_buckets must be between 2 and 64"};
  }
  if (options.min_window_length < 1 || options.min_window_length > 1'000'000) {
    return Error{ErrorCode::kInvalidArgument,
                 "adwin: min_window_length must be between 1 and 1000000"};
  }
  return Adwin(options);
}

Adwin::Adwin(const Options& options)
    : options_(options),
      limit_(-std::log(options.delta)),
      row_size_(options.max_buckets + 1),
      row_slots_(std::bit_ceil(options.max_buckets + 1)),
      totals_(kRows * row_slots_, 0.0) {
  Restart();
}

DriftSignal Adwin::Observe(double value) {
  CHECK(std::isfinite(value));
  has_alarmed_ = false;
  if (samples_ == 0) first_ = value;
  const double deviation = value - first_;
  ++samples_;
  sum_ += deviation;
  square_ += deviation * deviation;
  Insert(deviation);
  if (--until_test_ != 0) return DriftSignal::kSteady;
  until_test_ = options_.clock;
  if (samples_ <= options_.grace_period || !Differs()) return DriftSignal::kSteady;
  alarmed_ = Surest();
  Restart();
  has_alarmed_ = true;
  return DriftSignal::kDrift;
}

void Adwin::Insert(double value) {
  double* row = totals_.data();
  const std::uint32_t last = row_slots_ - 1;
  for (std::size_t i = 0; i < kRows; ++i, row += row_slots_) {
    const std::uint32_t oldest = oldest_[i];
    row[(oldest + boxes_[i]) & last] = value;
    if (++boxes_[i] < row_size_) return;
    // One too many: the two oldest become one of the next size.
    value = row[oldest] + row[(oldest + 1) & last];
    oldest_[i] = (oldest + 2) & last;
    boxes_[i] -= 2;
  }
  // 2^42 values a box: at a thousand a second after 2,000 years.
  CHECK(false);
}

template <typename Visit>
bool Adwin::AnySeam(const Visit& visit) const {
  std::size_t rows = 0;
  while (rows < kRows && boxes_[rows] > 0) ++rows;
  const double all = static_cast<double>(samples_);
  const double least = static_cast<double>(options_.min_window_length);
  double before = 0.0;
  double sum = 0.0;
  for (std::size_t i = rows; i-- > 0;) {
    const double size = static_cast<double>(std::uint64_t{1} << i);
    const double* row = totals_.data() + i * row_slots_;
    for (std::uint32_t box = 0; box < boxes_[i]; ++box) {
      before += size;
      sum += row[(oldest_[i] + box) & (row_slots_ - 1)];
      if (before < least) continue;
      if (all - before < least) return false;
      if (visit(before, sum)) return true;
    }
  }
  return false;
}

bool Adwin::Differs() const {
  const double all = static_cast<double>(samples_);
  const double level = std::max(0.0, std::log(2.0 * std::log(all)) + limit_);
  const double less = static_cast<double>(options_.min_window_length) - 1.0;
  const double both = all - 2.0 * less;  // C
  const double third = 2.0 / 3.0 * both * level;
  const double spread = 2.0 * both * level * (squares() / all);
  const double total = sum_;
  return AnySeam([=](double before, double sum) {
    const double after = all - before;
    const double weights = (before - less) * (after - less);
    const double counts = before * after;
    const double excess = std::abs(sum * all - total * before) * weights - third * counts;
    return excess > 0.0 && excess * excess > spread * counts * counts * weights;
  });
}

double Adwin::Surest() const {
  const double all = static_cast<double>(samples_);
  const double variance = squares() / all;
  const double less = static_cast<double>(options_.min_window_length) - 1.0;
  double surest = -std::numeric_limits<double>::infinity();
  AnySeam([&](double before, double sum) {
    const double after = all - before;
    const double distance = std::abs(sum / before - (sum_ - sum) / after);
    const double m = 1.0 / (before - less) + 1.0 / (after - less);
    // The level at which 2/3 m level + sqrt(2 m v level) is just the distance.
    const double half = std::sqrt(2.0 * m * variance) / 2.0;
    const double a = 2.0 / 3.0 * m;
    const double root = (std::sqrt(half * half + a * distance) - half) / a;
    surest = std::max(surest, root * root);
    return false;
  });
  return surest - std::log(2.0 * std::log(all));
}

double Adwin::statistic() const {
  if (has_alarmed_) return alarmed_;
  return samples_ == 0 ? 0.0 : Surest();
}

bool Adwin::is_tested() const {
  return has_alarmed_ || (samples_ > options_.grace_period && until_test_ == options_.clock);
}

double Adwin::mean() const {
  return samples_ == 0 ? 0.0 : first_ + sum_ / static_cast<double>(samples_);
}

double Adwin::squares() const {
  if (samples_ == 0) return 0.0;
  return std::max(0.0, square_ - sum_ * (sum_ / static_cast<double>(samples_)));
}

void Adwin::Reset() {
  Restart();
  has_alarmed_ = false;
  alarmed_ = 0.0;
}

void Adwin::Restart() {
  std::fill(totals_.begin(), totals_.end(), 0.0);
  boxes_ = {};
  oldest_ = {};
  samples_ = 0;
  until_test_ = options_.clock;
  first_ = sum_ = square_ = 0.0;
}

void Adwin::Write(StateWriter& writer) const {
  writer.Section("adwin");
  writer.Put(samples_);
  writer.Put(first_);
  writer.Put(sum_);
  writer.Put(square_);
  writer.Put(has_alarmed_);
  writer.Put(alarmed_);
  writer.PutSpan(boxes_);
  writer.PutSpan(oldest_);
  writer.PutSpan(totals_);
}

void Adwin::Read(StateReader& reader) {
  reader.Section("adwin");
  samples_ = reader.GetUpTo<std::uint64_t>(std::uint64_t{1} << 45);
  first_ = reader.GetFinite<double>();
  sum_ = reader.GetFinite<double>();
  square_ = reader.GetFinite<double>();
  has_alarmed_ = reader.Get<bool>();
  alarmed_ = reader.GetFinite<double>();
  reader.GetSpan(boxes_);
  reader.GetSpan(oldest_);
  reader.GetFiniteSpan(totals_);
  until_test_ = options_.clock - static_cast<std::uint32_t>(samples_ % options_.clock);
  std::uint64_t held = 0;
  bool has_ended = false;
  for (std::size_t i = 0; i < kRows; ++i) {
    if (boxes_[i] > options_.max_buckets || oldest_[i] >= row_slots_ ||
        (has_ended && boxes_[i] > 0)) {
      return reader.Refuse("boxes as no run leaves them behind");
    }
    has_ended = boxes_[i] == 0;
    held += std::uint64_t{boxes_[i]} << i;
  }
  if (held != samples_) reader.Refuse("the boxes do not hold as many values as came");
}

void Adwin::AddTo(OptionsDigest& digest) const {
  digest.AddText("adwin")
      .Add(options_.delta)
      .Add(options_.clock)
      .Add(options_.max_buckets)
      .Add(options_.min_window_length)
      .Add(options_.grace_period);
}

}  // namespace tinylcm::drift
