// WindowFeatures: what the last rows of a sensor say together.
//
//   rows    x x x x x x x x x x x x ...          channel by channel:
//           └── size ─────┘                      mean, deviation, min, max, rms
//               └── size ─────┘                  rms of what lies in each band of frequencies
//           step ▲   ▲   ▲
//
// A vector comes out when `size` rows are there, and again after every `step` further ones. A band
// holds the signal less its mean, under a Hann window, between two frequencies: the root of its
// energy, in the channel's own unit. Cost of a vector, a channel: size for the statistics, size
// times the number of frequencies in the bands for these.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/bundle.h"

namespace tinylcm::feature {

// Not thread-safe. Observe allocates nothing (but for labels longer than those before).
class WindowFeatures {
 public:
  // kInvalidArgument names what does not fit: a step longer than the window, a band above half the
  // sample rate, a band so narrow that it holds no frequency of such a window.
  static base::Result<WindowFeatures> Create(const protocol::BundleWindow& window,
                                             std::size_t channels);

  // Takes a row. True: features() are new. `label`: the row's, where it is known.
  // REQUIRES: row.size() is the number of channels; its numbers are finite.
  bool Observe(std::span<const float> row, std::string_view label = {});

  // Channel by channel: the statistics in the window's order, then the bands.
  std::span<const float> features() const { return features_; }
  // The label that most of the window's rows have; of those as often, the one that came last.
  const std::string& label() const { return label_; }
  std::size_t feature_count() const { return features_.size(); }
  std::size_t channels() const { return channels_; }
  const protocol::BundleWindow& window() const { return window_; }

 private:
  // Bins of the transform: [first, last], and what turns their energy into a mean square.
  struct Bins {
    std::size_t first = 0;
    std::size_t last = 0;
  };
  WindowFeatures(const protocol::BundleWindow& window, std::size_t channels,
                 std::vector<Bins> bands);
  void Measure(std::size_t channel);
  void Vote();

  protocol::BundleWindow window_;
  std::size_t channels_;
  std::size_t size_;
  std::vector<Bins> bands_;
  std::vector<float> rows_;          // A ring, `size` a channel.
  std::vector<std::string> labels_;  // A ring.
  bool has_labels_ = false;
  std::size_t next_ = 0;
  std::size_t missing_;         // Rows until the next vector.
  std::vector<double> signal_;  // Oldest first; then less its mean, under the Hann window.
  std::vector<double> hann_;
  std::vector<double> cosine_;  // Of i / size turns.
  std::vector<double> sine_;
  double hann_energy_ = 0.0;
  std::vector<float> features_;
  std::string label_;
};

// "x.mean", "x.band_0.5_5": names for what comes out, in its order.
std::vector<std::string> WindowFeatureNames(const protocol::BundleWindow& window,
                                            std::span<const std::string> channels);

// Labelled rows, one after another, become labelled windows. Rows without a label count for the
// window and not for its label; a window most of whose rows have none is left out.
struct LabelledWindows {
  std::vector<float> features;
  std::vector<std::string> labels;
};
base::Result<LabelledWindows> WindowRows(const protocol::BundleWindow& window, std::size_t channels,
                                         std::span<const float> rows,
                                         std::span<const std::string> labels);

}  // namespace tinylcm::feature
