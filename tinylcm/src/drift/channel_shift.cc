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
constexpr double kClip = 3.0;
// A channel's spread counts for at least these shares of the median and of the largest one: a
// channel that never moved in quiet times must not shout when it moves by its rounding noise.
constexpr double kScaleOfMedian = 0.1;
constexpr double kScaleOfLargest = 0.01;
// Rows before anything is said of the spread.
constexpr std::uint64_t kSpreadRows = 12;
// Rows a spell: long enough to show that neighbours are alike, short enough to have many.
constexpr std::uint64_t kSpellRows = 16;

}  // namespace

base::Result<ChannelShift> ChannelShift::Create(const Options& options) {
  if (!(options.error_rate > 0.0 && options.error_rate < 1.0)) {
    return Error{ErrorCode::kInvalidArgument, "channel shift: error_rate must be within 0 and 1"};
  }
  if (!(options.shift_sigma_min >= 0.0)) {
    return Error{ErrorCode::kInvalidArgument, "channel shift: shift_sigma_min must be >= 0"};
  }
  if (options.samples_min == 0 || options.reference_max < 2) {
    return Error{ErrorCode::kInvalidArgument,
                 "channel shift: samples_min must be >= 1 and reference_max >= 2"};
  }
  return ChannelShift(options);
}

ChannelShift::ChannelShift(const Options& options)
    : options_(options), scale_(options.channels, 1.0), scale_sorted_(options.channels, 1.0) {
  Reset();
}

void ChannelShift::Reset() {
  state_.reference_count = 0;
  state_.spells = 0;
  state_.spell_rows = 0;
  state_.recent_count = 0;
  for (std::vector<double>* sums :
       {&state_.reference_mean, &state_.reference_m2, &state_.spell_sum, &state_.spell_mean,
        &state_.spell_m2, &state_.recent_sum, &state_.recent_squares, &state_.recent_clipped}) {
    sums->assign(options_.channels, 0.0);
  }
  scale_is_stale_ = true;
}

void ChannelShift::Learn(std::span<const float> row) {
  CHECK(row.size() == options_.channels);
  state_.reference_count += 1;
  const double count = static_cast<double>(state_.reference_count);
  for (std::size_t i = 0; i < row.size(); ++i) {
    const double value = static_cast<double>(row[i]);
    const double before = value - state_.reference_mean[i];
    state_.reference_mean[i] += before / count;
    state_.reference_m2[i] += before * (value - state_.reference_mean[i]);
    state_.spell_sum[i] += value;
  }
  state_.spell_rows += 1;
  if (state_.spell_rows == kSpellRows) {
    state_.spells += 1;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const double mean = state_.spell_sum[i] / static_cast<double>(kSpellRows);
      const double before = mean - state_.spell_mean[i];
      state_.spell_mean[i] += before / static_cast<double>(state_.spells);
      state_.spell_m2[i] += before * (mean - state_.spell_mean[i]);
      state_.spell_sum[i] = 0.0;
    }
    state_.spell_rows = 0;
  }
  scale_is_stale_ = true;
}

double ChannelShift::Likeness() const {
  if (state_.spells < 2) return 0.0;
  // With r the correlation of two rows of a spell of b rows, the variance of its mean is
  // (1 + (b - 1) r) / b of a row's. Averaged over the channels, for a single one has too few
  // spells.
  const double rows = static_cast<double>(kSpellRows);
  const double freedom = static_cast<double>(state_.spells - 1);
  double ratios = 0.0;
  for (std::size_t i = 0; i < scale_.size(); ++i) {
    ratios += state_.spell_m2[i] / freedom * rows / (scale_[i] * scale_[i]);
  }
  const double ratio = ratios / static_cast<double>(scale_.size());
  return std::clamp((ratio - 1.0) / (rows - 1.0), 0.0, 1.0);
}

void ChannelShift::SettleScale() {
  scale_is_stale_ = false;
  if (scale_.empty()) return;
  const double freedom =
      static_cast<double>(std::max<std::uint64_t>(state_.reference_count, 2) - 1);
  for (std::size_t i = 0; i < scale_.size(); ++i) {
    scale_[i] = std::sqrt(std::max(0.0, state_.reference_m2[i]) / freedom);
  }
  std::ranges::copy(scale_, scale_sorted_.begin());
  const auto middle = scale_sorted_.begin() + static_cast<std::ptrdiff_t>(scale_.size() / 2);
  std::nth_element(scale_sorted_.begin(), middle, scale_sorted_.end());
  const double largest = *std::ranges::max_element(scale_);
  const double floor = std::max({kScaleOfMedian * *middle, kScaleOfLargest * largest, 1e-12});
  for (double& scale : scale_) scale = std::max(scale, floor);
}

void ChannelShift::Observe(std::span<const float> row) {
  CHECK(row.size() == options_.channels);
  if (scale_is_stale_) SettleScale();
  state_.recent_count += 1;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const double off = static_cast<double>(row[i]) - state_.reference_mean[i];
    state_.recent_sum[i] += off;
    state_.recent_squares[i] += off * off;
    state_.recent_clipped[i] += std::clamp(off / scale_[i], -kClip, kClip);
  }
}

void ChannelShift::Accept() {
  if (state_.recent_count > 0 && state_.reference_count < options_.reference_max) {
    // Two samples become one (Chan, Golub, LeVeque 1983): with d the distance of their means,
    // m2 = m2_a + m2_b + d^2 n_a n_b / (n_a + n_b). The recent sums are about the reference's mean,
    // so d = sum / n_b and m2_b = squares - sum d.
    const double old_count = static_cast<double>(state_.reference_count);
    const double new_count = static_cast<double>(state_.recent_count);
    const double total = old_count + new_count;
    for (std::size_t i = 0; i < state_.reference_mean.size(); ++i) {
      const double distance = state_.recent_sum[i] / new_count;
      state_.reference_m2[i] +=
          std::max(0.0, state_.recent_squares[i] - state_.recent_sum[i] * distance) +
          distance * distance * old_count * new_count / total;
      state_.reference_mean[i] += state_.recent_sum[i] / total;
    }
    state_.reference_count += state_.recent_count;
    scale_is_stale_ = true;
  }
  Discard();
}

void ChannelShift::Discard() {
  state_.recent_count = 0;
  std::ranges::fill(state_.recent_sum, 0.0);
  std::ranges::fill(state_.recent_squares, 0.0);
  std::ranges::fill(state_.recent_clipped, 0.0);
}

std::vector<MovedChannel> ChannelShift::Moved() const {
  std::vector<MovedChannel> moved;
  if (options_.channels == 0 || state_.recent_count < options_.samples_min ||
      state_.reference_count < options_.samples_min) {
    return moved;
  }
  const double recent = static_cast<double>(state_.recent_count);
  const double error = std::sqrt((1.0 + (recent - 1.0) * Likeness()) / recent +
                                 1.0 / static_cast<double>(state_.reference_count));
  const double farthest_by_chance =
      -NormalQuantile(options_.error_rate / (2.0 * static_cast<double>(options_.channels)));
  for (std::size_t i = 0; i < scale_.size(); ++i) {
    const double clipped = state_.recent_clipped[i] / recent;
    if (std::abs(clipped) < options_.shift_sigma_min) continue;
    if (std::abs(clipped) / error <= farthest_by_chance) continue;
    moved.push_back({static_cast<std::uint32_t>(i), state_.recent_sum[i] / recent / scale_[i]});
  }
  std::ranges::stable_sort(moved, [](const MovedChannel& a, const MovedChannel& b) {
    return std::abs(a.shift_sigma) > std::abs(b.shift_sigma);
  });
  return moved;
}

base::Status ChannelShift::Restore(const State& state) {
  const auto fits = [this](const std::vector<double>& sums) {
    return sums.size() == options_.channels &&
           std::ranges::all_of(sums, [](double sum) { return std::isfinite(sum); });
  };
  const auto not_negative = [](double sum) { return sum >= 0.0; };
  if (!fits(state.reference_mean) || !fits(state.reference_m2) || !fits(state.spell_sum) ||
      !fits(state.spell_mean) || !fits(state.spell_m2) || !fits(state.recent_sum) ||
      !fits(state.recent_squares) || !fits(state.recent_clipped)) {
    return Error{ErrorCode::kInvalidArgument, "channel shift: restore: another number of channels"};
  }
  if (state.spell_rows >= kSpellRows) {
    return Error{ErrorCode::kInvalidArgument, "channel shift: restore: a spell too long"};
  }
  if (!std::ranges::all_of(state.reference_m2, not_negative) ||
      !std::ranges::all_of(state.spell_m2, not_negative) ||
      !std::ranges::all_of(state.recent_squares, not_negative)) {
    return Error{ErrorCode::kInvalidArgument, "channel shift: restore: a sum of squares below 0"};
  }
  state_ = state;
  // At once, for Moved() may be asked before the next row.
  SettleScale();
  return {};
}

ChannelFindings ChannelShift::Findings() const {
  ChannelFindings found;
  found.moved = Moved();
  if (options_.channels == 0 || state_.recent_count < kSpreadRows ||
      state_.reference_count < kSpreadRows) {
    return found;
  }
  std::vector<double> ratios(scale_.size());
  const double recent = static_cast<double>(state_.recent_count);
  for (std::size_t i = 0; i < ratios.size(); ++i) {
    const double mean = state_.recent_sum[i] / recent;
    const double squares = std::max(0.0, state_.recent_squares[i] - recent * mean * mean);
    ratios[i] = std::sqrt(squares / (recent - 1.0)) / scale_[i];
  }
  const auto middle = ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2);
  std::nth_element(ratios.begin(), middle, ratios.end());
  found.spread_ratio = *middle;
  return found;
}

void ChannelShift::Write(StateWriter& writer) const {
  writer.Section("channels");
  writer.Put(state_.reference_count);
  writer.Put(state_.spells);
  writer.Put(state_.spell_rows);
  writer.Put(state_.recent_count);
  for (const std::vector<double>* sums :
       {&state_.reference_mean, &state_.reference_m2, &state_.spell_sum, &state_.spell_mean,
        &state_.spell_m2, &state_.recent_sum, &state_.recent_squares, &state_.recent_clipped}) {
    writer.PutSpan(std::span<const double>(*sums));
  }
}

void ChannelShift::Read(StateReader& reader) {
  reader.Section("channels");
  State state = state_;
  state.reference_count = reader.Get<std::uint64_t>();
  state.spells = reader.Get<std::uint64_t>();
  state.spell_rows = reader.Get<std::uint64_t>();
  state.recent_count = reader.Get<std::uint64_t>();
  for (std::vector<double>* sums :
       {&state.reference_mean, &state.reference_m2, &state.spell_sum, &state.spell_mean,
        &state.spell_m2, &state.recent_sum, &state.recent_squares, &state.recent_clipped}) {
    reader.GetFiniteSpan(std::span<double>(*sums));
  }
  if (!reader.ok()) return;
  if (!Restore(state).ok()) reader.Refuse("numbers that cannot be");
}

void ChannelShift::AddTo(OptionsDigest& digest) const { digest.Add(options_.channels); }

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
