#include "tinylcm/drift/stream_sketch.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

base::Result<StreamSketch> StreamSketch::Create(const Options& options) {
  if (options.classes == 0 || options.classes > UINT16_MAX) {
    return Error{ErrorCode::kInvalidArgument, "stream sketch: classes must be 1 to 65535"};
  }
  StreamSketch made;
  protocol::Sketches& sketches = made.sketches_;
  sketches.bundle = options.bundle;
  sketches.samples.assign(options.classes, 0);
  sketches.dims = options.dims;
  sketches.feature_mean.assign(std::size_t{options.classes} * options.dims, 0.0f);
  sketches.feature_m2 = sketches.feature_mean;
  for (std::size_t i = 0; i < kSignals; ++i) {
    const auto signal = static_cast<Signal>(i);
    if ((options.signals & Bit(signal)) == 0 || signal == Signal::kClassMix) continue;
    Ranked ranked{signal, std::vector<std::vector<float>>(options.classes)};
    protocol::Sketches::Ranks ranks{Name(signal), {}};
    for (std::size_t label = 0; label < options.classes; ++label) {
      std::vector<float>& edges = ranked.edges[label];
      if (IsCategory(signal)) {
        for (std::uint32_t bin = 1; bin < options.category_bins; ++bin) {
          edges.push_back(static_cast<float>(bin) - 0.5f);
        }
      } else if (label < options.held_out[i].size()) {
        edges = options.held_out[i][label];
      }
      if (!std::ranges::is_sorted(edges) ||
          !std::ranges::all_of(edges, [](float value) { return std::isfinite(value); })) {
        return Error{ErrorCode::kInvalidArgument,
                     base::StrCat("stream sketch: held-out values of ", Name(signal), ", class ",
                                  label, ", must be finite and ascend")};
      }
      ranks.counts.emplace_back(edges.size() + 1, 0);
    }
    made.ranked_.push_back(std::move(ranked));
    sketches.ranks.push_back(std::move(ranks));
  }
  // As they lie in a file, so that what is sent and read back is the same.
  std::ranges::sort(made.ranked_, {}, [](const Ranked& r) { return std::string(Name(r.signal)); });
  std::ranges::sort(sketches.ranks, {}, &protocol::Sketches::Ranks::signal);
  return made;
}

void StreamSketch::Observe(const Sample& sample, std::span<const float> feature) {
  const std::size_t label = sample.predicted;
  CHECK(label < sketches_.samples.size());
  CHECK(feature.empty() || feature.size() == sketches_.dims);
  if (is_empty_) sketches_.first_index = sample.index;
  is_empty_ = false;
  sketches_.last_index = sample.index;
  const auto count = static_cast<float>(++sketches_.samples[label]);
  for (std::size_t i = 0; i < ranked_.size(); ++i) {
    if (!sample.Has(ranked_[i].signal)) continue;
    const std::vector<float>& edges = ranked_[i].edges[label];
    // As many edges lie below it.
    const auto bin = std::ranges::lower_bound(edges, sample.values[At(ranked_[i].signal)]);
    ++sketches_.ranks[i].counts[label][static_cast<std::size_t>(bin - edges.begin())];
  }
  // Welford (1962).
  float* mean = sketches_.feature_mean.data() + label * sketches_.dims;
  float* m2 = sketches_.feature_m2.data() + label * sketches_.dims;
  const float share = 1.0f / count;
  for (std::size_t i = 0; i < feature.size(); ++i) {
    const float apart = feature[i] - mean[i];
    mean[i] += apart * share;
    m2[i] += apart * (feature[i] - mean[i]);
  }
}

protocol::Sketches StreamSketch::Blank() const {
  // Sizes and names alone are read: they never change, the numbers do.
  protocol::Sketches blank;
  blank.bundle = sketches_.bundle;
  blank.samples.resize(sketches_.samples.size());
  for (const auto& ranks : sketches_.ranks) {
    blank.ranks.push_back({ranks.signal, {}});
    for (const auto& counts : ranks.counts) blank.ranks.back().counts.emplace_back(counts.size());
  }
  blank.dims = sketches_.dims;
  blank.feature_mean.resize(sketches_.feature_mean.size());
  blank.feature_m2.resize(sketches_.feature_m2.size());
  return blank;
}

void StreamSketch::Exchange(protocol::Sketches& blank) {
  std::swap(sketches_, blank);
  is_empty_ = true;
}

}  // namespace tinylcm::drift
