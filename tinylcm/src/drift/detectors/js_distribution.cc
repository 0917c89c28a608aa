#include "tinylcm/drift/detectors/js_distribution.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

double JensenShannon(std::span<const std::uint32_t> a, std::span<const std::uint32_t> b) {
  CHECK(a.size() == b.size());
  double all_a = 0.0;
  double all_b = 0.0;
  for (const std::uint32_t count : a) all_a += count;
  for (const std::uint32_t count : b) all_b += count;
  if (all_a == 0.0 || all_b == 0.0) return 0.0;
  double sum = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double p = a[i] / all_a;
    const double q = b[i] / all_b;
    const double middle = (p + q) / 2.0;
    if (p > 0.0) sum += p * std::log2(p / middle);
    if (q > 0.0) sum += q * std::log2(q / middle);
  }
  return std::max(0.0, sum / 2.0);
}

base::Result<JsDistribution> JsDistribution::Create(const Options& options) {
  const auto refuse = [](const char* why) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("js_distribution: ", why)};
  };
  if (options.classes < 2 || options.classes > 4096) {
    return refuse("classes must be between 2 and 4096");
  }
  if (options.reference_size < 10 || options.reference_size > 1'000'000) {
    return refuse("reference_size must be between 10 and 1000000");
  }
  if (options.window_size < 5 || options.window_size > 65'535) {
    return refuse("window_size must be between 5 and 65535");
  }
  if (!(options.threshold > 0.0)) return refuse("threshold must be > 0");
  return JsDistribution(options);
}

JsDistribution::JsDistribution(const Options& options)
    : options_(options),
      reference_(options.classes),
      recent_(options.classes),
      ring_(options.window_size) {}

base::Status JsDistribution::Accepts(double value) const {
  if (value >= 0.0 && value < options_.classes && value == std::floor(value)) return {};
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat("js_distribution: a class number from 0 to ", options_.classes - 1,
                            " is expected (option classes)")};
}

DriftSignal JsDistribution::Observe(double value) {
  CHECK(value >= 0.0 && value < options_.classes);
  const auto label = static_cast<std::uint16_t>(value);
  if (learned_ < options_.reference_size) {
    ++reference_[label];
    ++learned_;
    return DriftSignal::kLearning;
  }
  if (filled_ == options_.window_size) {
    --recent_[ring_[next_]];
  } else {
    ++filled_;
  }
  ring_[next_] = label;
  ++recent_[label];
  if (++next_ == options_.window_size) next_ = 0;
  if (filled_ < options_.window_size) return DriftSignal::kLearning;
  statistic_ = JensenShannon(reference_, recent_);
  if (!(statistic_ > options_.threshold)) return DriftSignal::kSteady;
  Restart();
  return DriftSignal::kDrift;
}

void JsDistribution::Reset() {
  Restart();
  statistic_ = 0.0;
}

void JsDistribution::Restart() {
  std::fill(reference_.begin(), reference_.end(), 0u);
  std::fill(recent_.begin(), recent_.end(), 0u);
  std::fill(ring_.begin(), ring_.end(), std::uint16_t{0});
  learned_ = filled_ = next_ = 0;
}

void JsDistribution::Write(StateWriter& writer) const {
  writer.Section("js_distribution");
  writer.PutSpan(reference_);
  writer.PutSpan(ring_);
  writer.Put(filled_);
  writer.Put(next_);
  writer.Put(statistic_);
}

void JsDistribution::Read(StateReader& reader) {
  reader.Section("js_distribution");
  reader.GetSpan(reference_);
  reader.GetSpan(ring_);
  filled_ = reader.GetUpTo(options_.window_size);
  next_ = reader.GetUpTo(options_.window_size - 1);
  statistic_ = reader.GetFinite<double>();
  std::uint64_t learned = 0;
  for (const std::uint32_t count : reference_) learned += count;
  if (learned > options_.reference_size) return reader.Refuse("more was learned than can be");
  learned_ = static_cast<std::uint32_t>(learned);
  if (filled_ < options_.window_size && next_ != filled_) {
    return reader.Refuse("a window that is not full ends where it was filled");
  }
  std::fill(recent_.begin(), recent_.end(), 0u);
  for (std::uint32_t i = 0; i < filled_; ++i) {
    if (ring_[i] >= options_.classes) return reader.Refuse("a class that there is not");
    ++recent_[ring_[i]];
  }
}

void JsDistribution::AddTo(OptionsDigest& digest) const {
  digest.AddText("js_distribution")
      .Add(options_.classes)
      .Add(options_.reference_size)
      .Add(options_.window_size)
      .Add(options_.threshold);
}

}  // namespace tinylcm::drift
