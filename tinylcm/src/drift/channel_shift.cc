#include "tinylcm/drift/channel_shift.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

using base::Error;
using base::ErrorCode;

// What a single value may count for, in sigma.
constexpr float kClip = 3.0f;
// A channel's spread counts for at least these shares of the median and of the largest one: a
// channel that never moved in quiet times must not shout when it moves by its rounding noise.
constexpr float kScaleOfMedian = 0.1f;
constexpr float kScaleOfLargest = 0.01f;
// Rows since the alarm from which on they speak for themselves.
constexpr std::uint32_t kRowsAlone = 12;
// Channels whose spread since the alarm is looked at: enough to tell noise from silence.
constexpr std::size_t kSpreadChannels = 64;
constexpr double kSpreadMin = 1.3;
// Rows a spell: long enough to show that neighbours are alike, short enough to have many.
constexpr std::uint32_t kSpellRows = 16;
// A step of less than a fiftieth of its sd is none: a value at its rail may still flicker.
constexpr float kStillStep = 0.02f;
// Stuck: still for four times as long as ever before, and then some.
constexpr std::uint32_t kStuckTimes = 4;
constexpr std::uint32_t kStuckRows = 16;

}  // namespace

base::Result<ChannelShift> ChannelShift::Create(const Options& options) {
  if (!(options.error_rate > 0.0 && options.error_rate < 1.0)) {
    return Error{ErrorCode::kInvalidArgument, "channel shift: error_rate must be within 0 and 1"};
  }
  if (!(options.shift_sigma_min >= 0.0)) {
    return Error{ErrorCode::kInvalidArgument, "channel shift: shift_sigma_min must be >= 0"};
  }
  if (options.samples_min == 0 || options.reference_max < 2 || options.block == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "channel shift: samples_min and block must be >= 1 and reference_max >= 2"};
  }
  return ChannelShift(options);
}

ChannelShift::ChannelShift(const Options& options)
    : options_(options),
      stride_(std::max<std::size_t>(1, (options.channels + kSpreadChannels - 1) / kSpreadChannels)),
      scale_(options.channels, 1.0f),
      scale_sorted_(options.channels, 1.0f) {
  const std::size_t channels = options.channels;
  mean_.resize(channels);
  m2_.resize(channels);
  for (Account* account : {&before_, &after_}) {
    account->sum.resize(channels);
    account->clipped.resize(channels);
  }
  before_.squares.resize(channels);
  after_.squares.resize((channels + stride_ - 1) / stride_);
  last_.resize(channels);
  still_.resize(channels);
  stillest_.resize(channels);
  Reset();
}

void ChannelShift::Clear(Account& account) {
  account.count = 0;
  std::ranges::fill(account.sum, 0.0f);
  std::ranges::fill(account.clipped, 0.0f);
  std::ranges::fill(account.squares, 0.0f);
}

void ChannelShift::Reset() {
  is_learning_ = true;
  is_alarmed_ = false;
  likeness_ = 0.0f;
  spells_ = 0;
  spell_rows_ = 0;
  reference_count_ = 0;
  std::ranges::fill(mean_, 0.0f);
  std::ranges::fill(m2_, 0.0f);
  Clear(before_);
  Clear(after_);
  std::ranges::fill(last_, 0.0f);
  std::ranges::fill(still_, std::uint8_t{0});
  std::ranges::fill(stillest_, std::uint8_t{0});
  scale_is_stale_ = true;
}

void ChannelShift::Watch(std::size_t channel, float value) {
  const float step = value - last_[channel];
  last_[channel] = value;
  // Of the variance, to spare a root a value.
  const float still = kStillStep * kStillStep * m2_[channel] /
                      static_cast<float>(std::max<std::uint64_t>(reference_count_, 2) - 1);
  if (step * step > still) {
    still_[channel] = 0;
  } else if (still_[channel] < 255) {
    still_[channel] = static_cast<std::uint8_t>(still_[channel] + 1);
  }
}

void ChannelShift::Learn(std::span<const float> row) {
  CHECK(row.size() == options_.channels);
  CHECK(is_learning_);
  reference_count_ += 1;
  const float count = static_cast<float>(reference_count_);
  for (std::size_t i = 0; i < row.size(); ++i) {
    Watch(i, row[i]);
    // The first row has none before it.
    if (reference_count_ == 1) still_[i] = 0;
    stillest_[i] = std::max(stillest_[i], still_[i]);
    const float before = row[i] - mean_[i];
    mean_[i] += before / count;
    m2_[i] += before * (row[i] - mean_[i]);
    before_.sum[i] += row[i];
  }
  spell_rows_ += 1;
  if (spell_rows_ == kSpellRows) {
    spells_ += 1;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const float mean = before_.sum[i] / static_cast<float>(kSpellRows);
      const float before = mean - before_.clipped[i];
      before_.clipped[i] += before / static_cast<float>(spells_);
      before_.squares[i] += before * (mean - before_.clipped[i]);
      before_.sum[i] = 0.0f;
    }
    spell_rows_ = 0;
  }
  scale_is_stale_ = true;
}

void ChannelShift::EndLearning() {
  is_learning_ = false;
  SettleScale();
  if (spells_ >= 2) {
    // With r the correlation of two rows of a spell of b rows, the variance of its mean is
    // (1 + (b - 1) r) / b of a row's. Averaged over the channels, for a single one has too few
    // spells.
    const float rows = static_cast<float>(kSpellRows);
    const float freedom = static_cast<float>(spells_ - 1);
    float ratios = 0.0f;
    for (std::size_t i = 0; i < scale_.size(); ++i) {
      ratios += before_.squares[i] / freedom * rows / (scale_[i] * scale_[i]);
    }
    const float ratio = ratios / static_cast<float>(std::max<std::size_t>(scale_.size(), 1));
    likeness_ = std::clamp((ratio - 1.0f) / (rows - 1.0f), 0.0f, 1.0f);
  }
  Clear(before_);
  spell_rows_ = 0;
}

double ChannelShift::reference_sd(std::size_t channel) const {
  return std::sqrt(static_cast<double>(std::max(0.0f, m2_[channel])) /
                   static_cast<double>(std::max<std::uint64_t>(reference_count_, 2) - 1));
}

void ChannelShift::SettleScale() {
  scale_is_stale_ = false;
  if (scale_.empty()) return;
  for (std::size_t i = 0; i < scale_.size(); ++i) {
    scale_[i] = static_cast<float>(reference_sd(i));
  }
  std::ranges::copy(scale_, scale_sorted_.begin());
  const auto middle = scale_sorted_.begin() + static_cast<std::ptrdiff_t>(scale_.size() / 2);
  std::nth_element(scale_sorted_.begin(), middle, scale_sorted_.end());
  const float largest = *std::ranges::max_element(scale_);
  const float floor = std::max({kScaleOfMedian * *middle, kScaleOfLargest * largest, 1e-12f});
  for (float& scale : scale_) scale = std::max(scale, floor);
}

void ChannelShift::Observe(std::span<const float> row) {
  CHECK(row.size() == options_.channels);
  if (is_learning_) EndLearning();
  if (scale_is_stale_) SettleScale();
  Account& account = is_alarmed_ ? after_ : before_;
  account.count += 1;
  for (std::size_t i = 0; i < row.size(); ++i) {
    Watch(i, row[i]);
    const float off = row[i] - mean_[i];
    account.sum[i] += off;
    account.clipped[i] += std::clamp(off / scale_[i], -kClip, kClip);
    if (!is_alarmed_) account.squares[i] += off * off;
  }
  if (!is_alarmed_) return;
  for (std::size_t i = 0, at = 0; i < row.size(); i += stride_, ++at) {
    const float off = row[i] - mean_[i];
    account.squares[at] += off * off;
  }
}

void ChannelShift::Accept() {
  if (is_alarmed_ || before_.count < options_.block) return;
  for (std::size_t i = 0; i < still_.size(); ++i) stillest_[i] = std::max(stillest_[i], still_[i]);
  if (reference_count_ < options_.reference_max) {
    // Two samples become one (Chan, Golub, LeVeque 1983): with d the distance of their means,
    // m2 = m2_a + m2_b + d^2 n_a n_b / (n_a + n_b). The sums are about the reference's mean, so
    // d = sum / n_b and m2_b = squares - sum d.
    const float old_count = static_cast<float>(reference_count_);
    const float new_count = static_cast<float>(before_.count);
    const float total = old_count + new_count;
    for (std::size_t i = 0; i < mean_.size(); ++i) {
      const float distance = before_.sum[i] / new_count;
      m2_[i] += std::max(0.0f, before_.squares[i] - before_.sum[i] * distance) +
                distance * distance * old_count * new_count / total;
      mean_[i] += before_.sum[i] / total;
    }
    reference_count_ += before_.count;
    scale_is_stale_ = true;
  }
  Clear(before_);
}

void ChannelShift::Alarm() { is_alarmed_ = true; }

void ChannelShift::Discard() {
  is_alarmed_ = false;
  if (is_learning_) return;  // There is nothing, and `before_` is in use.
  Clear(before_);
  Clear(after_);
}

std::vector<MovedChannel> ChannelShift::Moved() const {
  std::vector<MovedChannel> moved;
  if (is_learning_ || options_.channels == 0 || recent_count() < options_.samples_min ||
      reference_count_ < options_.samples_min) {
    return moved;
  }
  const bool is_after_alone = after_.count >= kRowsAlone;
  const double recent = static_cast<double>(is_after_alone ? after_.count : recent_count());
  const auto of = [&](const std::vector<float>& before, const std::vector<float>& after,
                      std::size_t i) {
    return static_cast<double>(after[i]) + (is_after_alone ? 0.0 : static_cast<double>(before[i]));
  };
  const double error = std::sqrt((1.0 + (recent - 1.0) * static_cast<double>(likeness_)) / recent +
                                 1.0 / static_cast<double>(reference_count_));
  const double farthest_by_chance =
      -NormalQuantile(options_.error_rate / (2.0 * static_cast<double>(options_.channels)));
  for (std::size_t i = 0; i < scale_.size(); ++i) {
    const double clipped = of(before_.clipped, after_.clipped, i) / recent;
    if (std::abs(clipped) < options_.shift_sigma_min) continue;
    if (std::abs(clipped) / error <= farthest_by_chance) continue;
    moved.push_back({static_cast<std::uint32_t>(i),
                     of(before_.sum, after_.sum, i) / recent / static_cast<double>(scale_[i])});
  }
  std::ranges::stable_sort(moved, [](const MovedChannel& a, const MovedChannel& b) {
    return std::abs(a.shift_sigma) > std::abs(b.shift_sigma);
  });
  return moved;
}

ChannelFindings ChannelShift::Findings() const {
  ChannelFindings found;
  found.moved = Moved();
  if (is_learning_ || options_.channels == 0) return found;
  for (std::size_t i = 0; i < still_.size(); ++i) {
    // What never moved cannot stop; what stood still for long in quiet times is not watched.
    const bool used_to_move = m2_[i] > 0.0f;
    if (used_to_move && still_[i] >= kStuckTimes * stillest_[i] + kStuckRows) {
      found.stuck.push_back(static_cast<std::uint32_t>(i));
    }
  }
  if (after_.count < kRowsAlone) return found;
  // The logarithm of a spread estimated from n rows varies by some 0.7 / sqrt(n), half as much
  // again where tails are heavy; four times that is beyond chance.
  const double rows = static_cast<double>(after_.count);
  const double farthest = std::max(kSpreadMin, std::exp(4.0 * 1.06 / std::sqrt(rows)));
  for (std::size_t i = 0, at = 0; i < scale_.size(); i += stride_, ++at) {
    const double sum = static_cast<double>(after_.sum[i]);
    const double squares = static_cast<double>(after_.squares[at]) - sum * sum / rows;
    const double spread = std::sqrt(std::max(0.0, squares) / (rows - 1.0));
    found.looked_at += 1;
    found.scattered += spread > farthest * static_cast<double>(scale_[i]) ? 1 : 0;
  }
  return found;
}

void ChannelShift::Write(StateWriter& writer) const {
  writer.Section("channels");
  writer.Put(is_learning_);
  writer.Put(is_alarmed_);
  writer.Put(likeness_);
  writer.Put(spells_);
  writer.Put(spell_rows_);
  writer.Put(reference_count_);
  writer.Put(before_.count);
  writer.Put(after_.count);
  for (const std::vector<float>* numbers :
       {&mean_, &m2_, &before_.sum, &before_.clipped, &before_.squares, &after_.sum,
        &after_.clipped, &after_.squares, &last_}) {
    writer.PutSpan(std::span<const float>(*numbers));
  }
  writer.PutSpan(std::span<const std::uint8_t>(still_));
  writer.PutSpan(std::span<const std::uint8_t>(stillest_));
}

void ChannelShift::Read(StateReader& reader) {
  reader.Section("channels");
  is_learning_ = reader.Get<bool>();
  is_alarmed_ = reader.Get<bool>();
  likeness_ = reader.GetFinite<float>();
  spells_ = reader.Get<std::uint32_t>();
  spell_rows_ = reader.GetUpTo<std::uint32_t>(kSpellRows - 1);
  reference_count_ = reader.Get<std::uint64_t>();
  before_.count = reader.Get<std::uint32_t>();
  after_.count = reader.Get<std::uint32_t>();
  for (std::vector<float>* numbers :
       {&mean_, &m2_, &before_.sum, &before_.clipped, &before_.squares, &after_.sum,
        &after_.clipped, &after_.squares, &last_}) {
    reader.GetFiniteSpan(std::span<float>(*numbers));
  }
  reader.GetSpan(std::span<std::uint8_t>(still_));
  reader.GetSpan(std::span<std::uint8_t>(stillest_));
  const auto is_negative = [](float sum) { return sum < 0.0f; };
  if (likeness_ < 0.0f || likeness_ > 1.0f) reader.Refuse("a correlation beyond 0 and 1");
  if (std::ranges::any_of(m2_, is_negative) || std::ranges::any_of(before_.squares, is_negative) ||
      std::ranges::any_of(after_.squares, is_negative)) {
    reader.Refuse("a sum of squares below 0");
  }
  // At once, for Moved() may be asked before the next row.
  if (reader.ok()) SettleScale();
}

void ChannelShift::AddTo(OptionsDigest& digest) const {
  digest.Add(options_.channels).Add(options_.block).Add(options_.reference_max);
}

std::string DescribeChannels(std::vector<std::uint32_t> indices) {
  std::ranges::sort(indices);
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  std::vector<std::string> parts;
  for (std::size_t first = 0; first < indices.size();) {
    std::size_t last = first;
    while (last + 1 < indices.size() && indices[last + 1] == indices[last] + 1) ++last;
    if (last >= first + 2) {
      parts.push_back(base::StrCat(indices[first], " to ", indices[last]));
      first = last + 1;
    } else {
      parts.push_back(base::StrCat(indices[first]));
      first += 1;
    }
  }
  if (parts.empty()) return "";
  std::string text = base::StrCat(indices.size() == 1 ? "channel " : "channels ", parts[0]);
  for (std::size_t i = 1; i < parts.size(); ++i) {
    text += base::StrCat(i + 1 == parts.size() ? " and " : ", ", parts[i]);
  }
  return text;
}

}  // namespace tinylcm::drift
