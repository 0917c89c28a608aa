#include "tinylcm/feature/window.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::feature {

using base::Error;
using base::ErrorCode;

namespace {

constexpr int kSizeMax = 1 << 16;
constexpr std::size_t kNumbersMax = std::size_t{1} << 24;  // Of a window: 64 MiB.
constexpr double kRateMin = 1e-6;                          // Once in eleven days.
constexpr double kRateMax = 1e9;

}  // namespace

base::Result<WindowFeatures> WindowFeatures::Create(const protocol::BundleWindow& window,
                                                    std::size_t channels) {
  const auto refuse = [](const std::string& reason) {
    return Error{ErrorCode::kInvalidArgument, "window: " + reason};
  };
  if (channels == 0) return refuse("no channels");
  if (window.size < 2 || window.size > kSizeMax) {
    return refuse(base::StrCat("size ", window.size, " is outside 2..", kSizeMax));
  }
  if (window.step < 1 || window.step > window.size) {
    return refuse(base::StrCat("step ", window.step, " is outside 1..", window.size));
  }
  if (window.features_a_channel() == 0) return refuse("no statistics and no bands");
  for (const std::string& name : window.statistics) {
    if (std::ranges::find(protocol::kWindowStatistics, name) ==
        std::end(protocol::kWindowStatistics)) {
      return refuse("statistic \"" + name + "\" is not mean, deviation, min, max or rms");
    }
  }
  if (channels * static_cast<std::size_t>(window.size) > kNumbersMax) {
    return refuse(base::StrCat(channels, " channels x ", window.size, " rows are more than ",
                               kNumbersMax, " numbers"));
  }
  if (window.sample_rate_hz != 0.0 &&
      !(window.sample_rate_hz >= kRateMin && window.sample_rate_hz <= kRateMax)) {
    return refuse(base::StrCat("a sample rate of ", window.sample_rate_hz, " Hz"));
  }
  std::vector<Bins> bands;
  const auto size = static_cast<double>(window.size);
  for (const auto& [from, to] : window.bands) {
    const std::string name = base::StrCat("band ", from, "-", to, " Hz");
    if (!(window.sample_rate_hz > 0.0)) return refuse(name + " needs a sample rate");
    const double half = window.sample_rate_hz / 2;
    if (!(from >= 0.0 && from < to && to <= half)) {
      return refuse(base::StrCat(name, " is not from low to high, below ", half, " Hz"));
    }
    // Bin k is k * rate / size hertz. A band has its lower end and not its upper one, so that
    // neighbours share nothing; the last one has half the sample rate as well. Bin 0 is the mean.
    const double bins_a_hertz = size / window.sample_rate_hz;
    Bins bins;
    bins.first =
        std::max<std::size_t>(1, static_cast<std::size_t>(std::ceil(from * bins_a_hertz - 1e-9)));
    const bool has_end = to == half && window.size % 2 == 0;
    bins.last = static_cast<std::size_t>(std::ceil(to * bins_a_hertz - 1e-9));
    if (has_end) ++bins.last;
    if (bins.last <= bins.first) {
      return refuse(base::StrCat(name, " holds no frequency: those of ", window.size, " rows are ",
                                 base::FormatShort(1.0 / bins_a_hertz), " Hz apart"));
    }
    --bins.last;
    bands.push_back(bins);
  }
  return WindowFeatures(window, channels, std::move(bands));
}

WindowFeatures::WindowFeatures(const protocol::BundleWindow& window, std::size_t channels,
                               std::vector<Bins> bands)
    : window_(window),
      channels_(channels),
      size_(static_cast<std::size_t>(window.size)),
      bands_(std::move(bands)),
      rows_(channels * size_),
      labels_(size_),
      missing_(size_),
      signal_(size_),
      features_(channels * window.features_a_channel()) {
  if (bands_.empty()) return;
  for (std::size_t i = 0; i < size_; ++i) {
    const double turn =
        2.0 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(size_);
    cosine_.push_back(std::cos(turn));
    sine_.push_back(std::sin(turn));
    hann_.push_back(0.5 - 0.5 * cosine_.back());
    hann_energy_ += hann_.back() * hann_.back();
  }
}

bool WindowFeatures::Observe(std::span<const float> row, std::string_view label) {
  CHECK(row.size() == channels_);
  for (std::size_t channel = 0; channel < channels_; ++channel) {
    rows_[channel * size_ + next_] = row[channel];
  }
  labels_[next_] = label;
  has_labels_ = has_labels_ || !label.empty();
  next_ = next_ + 1 == size_ ? 0 : next_ + 1;
  if (--missing_ > 0) return false;
  missing_ = static_cast<std::size_t>(window_.step);
  for (std::size_t channel = 0; channel < channels_; ++channel) Measure(channel);
  if (has_labels_) Vote();
  return true;
}

void WindowFeatures::Measure(std::size_t channel) {
  const float* const ring = rows_.data() + channel * size_;
  std::copy(ring + next_, ring + size_, signal_.begin());
  std::copy(ring, ring + next_, signal_.begin() + static_cast<std::ptrdiff_t>(size_ - next_));

  const auto count = static_cast<double>(size_);
  double sum = 0.0;
  double squares = 0.0;
  for (const double value : signal_) {
    sum += value;
    squares += value * value;
  }
  const double mean = sum / count;
  double spread = 0.0;
  for (double& value : signal_) spread += (value - mean) * (value - mean);

  float* out = features_.data() + channel * window_.features_a_channel();
  for (const std::string& name : window_.statistics) {
    double value = mean;
    if (name == "deviation") {
      value = std::sqrt(spread / count);
    } else if (name == "min") {
      value = *std::min_element(signal_.begin(), signal_.end());
    } else if (name == "max") {
      value = *std::max_element(signal_.begin(), signal_.end());
    } else if (name == "rms") {
      value = std::sqrt(squares / count);
    }
    *out++ = static_cast<float>(value);
  }
  if (bands_.empty()) return;

  for (std::size_t i = 0; i < size_; ++i) signal_[i] = (signal_[i] - mean) * hann_[i];
  for (const Bins& band : bands_) {
    double energy = 0.0;
    for (std::size_t bin = band.first; bin <= band.last; ++bin) {
      double real = 0.0;
      double imaginary = 0.0;
      std::size_t at = 0;  // bin * i modulo size.
      for (std::size_t i = 0; i < size_; ++i) {
        real += signal_[i] * cosine_[at];
        imaginary += signal_[i] * sine_[at];
        at += bin;
        if (at >= size_) at -= size_;
      }
      // Every bin but that of half the sample rate stands for a negative frequency, too.
      energy += (2 * bin == size_ ? 1.0 : 2.0) * (real * real + imaginary * imaginary);
    }
    // Parseval, and what the Hann window took.
    *out++ = static_cast<float>(std::sqrt(energy / (count * hann_energy_)));
  }
}

void WindowFeatures::Vote() {
  std::size_t most = 0;
  const std::string* chosen = nullptr;
  for (std::size_t age = 0; age < size_; ++age) {  // The newest first: of ties it is the last.
    const std::string& candidate = labels_[(next_ + size_ - 1 - age) % size_];
    // Counted once, where it is met first.
    bool is_first = true;
    for (std::size_t newer = 0; newer < age && is_first; ++newer) {
      is_first = labels_[(next_ + size_ - 1 - newer) % size_] != candidate;
    }
    if (!is_first) continue;
    const auto votes =
        static_cast<std::size_t>(std::count(labels_.begin(), labels_.end(), candidate));
    if (votes > most) {
      most = votes;
      chosen = &candidate;
    }
  }
  label_ = *chosen;
}

std::vector<std::string> WindowFeatureNames(const protocol::BundleWindow& window,
                                            std::span<const std::string> channels) {
  std::vector<std::string> names;
  for (const std::string& channel : channels) {
    for (const std::string& statistic : window.statistics) {
      names.push_back(base::StrCat(channel, ".", statistic));
    }
    for (const auto& [from, to] : window.bands) {
      names.push_back(base::StrCat(channel, ".band_", from, "_", to));
    }
  }
  return names;
}

base::Result<LabelledWindows> WindowRows(const protocol::BundleWindow& window, std::size_t channels,
                                         std::span<const float> rows,
                                         std::span<const std::string> labels) {
  ASSIGN_OR_RETURN(WindowFeatures features, WindowFeatures::Create(window, channels));
  CHECK(rows.size() == channels * labels.size());
  LabelledWindows windows;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (!features.Observe(rows.subspan(i * channels, channels), labels[i])) continue;
    if (features.label().empty()) continue;
    windows.features.insert(windows.features.end(), features.features().begin(),
                            features.features().end());
    windows.labels.push_back(features.label());
  }
  return windows;
}

}  // namespace tinylcm::feature
