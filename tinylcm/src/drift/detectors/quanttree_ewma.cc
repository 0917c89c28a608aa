#include "tinylcm/drift/detectors/quanttree_ewma.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

base::Result<QuantTreeEwma> QuantTreeEwma::Create(const Options& options) {
  const auto refuse = [](const char* why) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("quanttree_ewma: ", why)};
  };
  if (options.dimensions < 1 || options.dimensions > 4096) {
    return refuse("dimensions must be between 1 and 4096");
  }
  if (options.bins < 2 || options.bins > 256) return refuse("bins must be between 2 and 256");
  if (!(options.lambda > 0.0 && options.lambda <= 1.0)) {
    return refuse("lambda must be > 0 and at most 1");
  }
  if (options.reference_size < 2 * options.bins || options.reference_size > 100'000) {
    return refuse("reference_size must be at least two a bin and at most 100000");
  }
  if (!(options.threshold > 0.0)) return refuse("threshold must be > 0");
  return QuantTreeEwma(options);
}

QuantTreeEwma::QuantTreeEwma(const Options& options)
    : options_(options),
      rows_(std::size_t{options.reference_size} * options.dimensions),
      cuts_(options.bins - 1),
      is_above_(options.bins - 1),
      edges_(options.bins - 1),
      shares_(options.bins),
      tally_(options.bins),
      order_(options.reference_size),
      random_(options.seed) {
  Restart();
}

DriftSignal QuantTreeEwma::ObserveRow(std::span<const double> values) {
  CHECK(values.size() == options_.dimensions);
  for (const double value : values) CHECK(std::isfinite(value));
  if (learned_ < options_.reference_size) {
    std::copy(values.begin(), values.end(),
              rows_.begin() + static_cast<std::ptrdiff_t>(std::size_t{learned_} * values.size()));
    if (++learned_ == options_.reference_size) Learn();
    return DriftSignal::kLearning;
  }
  const std::uint32_t bin = BinOf(values);
  double sum = 0.0;
  for (std::uint32_t i = 0; i < options_.bins; ++i) {
    const double here = (1.0 - options_.lambda) * tally_[i] + (i == bin ? options_.lambda : 0.0);
    tally_[i] = here;
    // A bin nothing fell into while learning is as rare as half a row.
    const double share = std::max(shares_[i], 0.5 / options_.reference_size);
    sum += (here - shares_[i]) * (here - shares_[i]) / share;
  }
  statistic_ = sum;
  if (!(sum > options_.threshold)) return DriftSignal::kSteady;
  Restart();
  return DriftSignal::kDrift;
}

std::uint32_t QuantTreeEwma::BinOf(std::span<const double> values) const {
  for (std::uint32_t i = 0; i + 1 < options_.bins; ++i) {
    const double value = values[cuts_[i]];
    if (is_above_[i] != 0 ? value > edges_[i] : value < edges_[i]) return i;
  }
  return options_.bins - 1;
}

// Takes bin after bin off what is left: the highest or the lowest rows of a dimension, by lot.
void QuantTreeEwma::Learn() {
  const std::uint32_t rows = options_.reference_size;
  const std::size_t width = options_.dimensions;
  std::iota(order_.begin(), order_.end(), 0u);
  std::uint32_t left = rows;
  for (std::uint32_t bin = 0; bin + 1 < options_.bins; ++bin) {
    const auto cut = static_cast<std::uint16_t>(random_.Below(width));
    const bool is_above = (random_.Next() >> 63) != 0;
    const auto value = [&](std::uint32_t row) { return rows_[row * width + cut]; };
    // What comes off stands at the end.
    std::sort(order_.begin(), order_.begin() + left, [&](std::uint32_t a, std::uint32_t b) {
      return is_above ? value(a) < value(b) : value(a) > value(b);
    });
    const std::uint32_t take = left / (options_.bins - bin);
    cuts_[bin] = cut;
    is_above_[bin] = is_above ? 1 : 0;
    edges_[bin] = value(order_[left - take - 1]);
    // Of equal values at the edge none comes off, so perhaps fewer than wished.
    std::uint32_t taken = 0;
    while (taken < left && (is_above ? value(order_[left - taken - 1]) > edges_[bin]
                                     : value(order_[left - taken - 1]) < edges_[bin])) {
      ++taken;
    }
    shares_[bin] = static_cast<double>(taken) / rows;
    left -= taken;
  }
  shares_.back() = static_cast<double>(left) / rows;
  tally_ = shares_;
}

void QuantTreeEwma::Reset() {
  random_ = base::Random(options_.seed);
  Restart();
  statistic_ = 0.0;
}

void QuantTreeEwma::Restart() {
  std::fill(rows_.begin(), rows_.end(), 0.0);
  learned_ = 0;
}

void QuantTreeEwma::Write(StateWriter& writer) const {
  writer.Section("quanttree_ewma");
  writer.Put(learned_);
  writer.Put(random_.state());
  writer.Put(statistic_);
  if (learned_ < options_.reference_size) {
    writer.PutSpan(std::span(rows_).first(std::size_t{learned_} * options_.dimensions));
    return;
  }
  writer.PutSpan(cuts_);
  writer.PutSpan(is_above_);
  for (const auto* numbers : {&edges_, &shares_, &tally_}) writer.PutSpan(*numbers);
}

void QuantTreeEwma::Read(StateReader& reader) {
  reader.Section("quanttree_ewma");
  learned_ = reader.GetUpTo(options_.reference_size);
  random_ = base::Random(reader.Get<std::uint64_t>());
  statistic_ = reader.GetFinite<double>();
  if (learned_ < options_.reference_size) {
    reader.GetFiniteSpan(std::span(rows_).first(std::size_t{learned_} * options_.dimensions));
    return;
  }
  reader.GetSpan(cuts_);
  reader.GetSpan(is_above_);
  for (auto* numbers : {&edges_, &shares_, &tally_}) reader.GetFiniteSpan(*numbers);
  for (const std::uint16_t cut : cuts_) {
    if (cut >= options_.dimensions) return reader.Refuse("a dimension that there is not");
  }
  for (const auto* shares : {&shares_, &tally_}) {
    for (const double share : *shares) {
      if (share < 0.0 || share > 1.0 + 1e-9) return reader.Refuse("a share that is none");
    }
  }
}

void QuantTreeEwma::AddTo(OptionsDigest& digest) const {
  digest.AddText("quanttree_ewma")
      .Add(options_.dimensions)
      .Add(options_.bins)
      .Add(options_.lambda)
      .Add(options_.reference_size)
      .Add(options_.threshold)
      .Add(options_.seed);
}

}  // namespace tinylcm::drift
