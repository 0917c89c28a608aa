#include "tinylcm/drift/detectors/mmd_rff.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

namespace {

// Beyond it squares and angles of waves may overflow, and one NaN would stay in the means for good.
constexpr double kFarthest = 1e15;

}  // namespace

base::Result<MmdRff> MmdRff::Create(const Options& options) {
  const auto refuse = [](const char* why) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("mmd_rff: ", why)};
  };
  if (options.dimensions < 1 || options.dimensions > 4096) {
    return refuse("dimensions must be between 1 and 4096");
  }
  if (options.features < 1 || options.features > 4096) {
    return refuse("features must be between 1 and 4096");
  }
  if (!(options.bandwidth > 0.0 && std::isfinite(options.bandwidth))) {
    return refuse("bandwidth must be > 0");
  }
  if (!(options.slow > 0.0 && options.slow < options.fast && options.fast <= 1.0)) {
    return refuse("0 < slow < fast <= 1 is expected");
  }
  if (options.reference_size < 20 || options.reference_size > 100'000) {
    return refuse("reference_size must be between 20 and 100000");
  }
  if (!(options.threshold > 0.0)) return refuse("threshold must be > 0");
  return MmdRff(options);
}

MmdRff::MmdRff(const Options& options)
    : options_(options),
      frequencies_(std::size_t{options.features} * options.dimensions),
      phases_(options.features),
      row_(options.dimensions),
      wave_(options.features),
      rows_(std::size_t{options.reference_size} * options.dimensions),
      mean_(options.dimensions),
      scale_(options.dimensions),
      near_(options.features),
      far_(options.features) {
  base::Random random(options.seed);
  const double width = options.bandwidth * std::sqrt(static_cast<double>(options.dimensions));
  for (double& frequency : frequencies_) frequency = random.Normal() / width;
  for (double& phase : phases_) phase = random.Uniform(0.0, 6.283185307179586);
  Restart();
}

base::Status MmdRff::Accepts(double value) const {
  if (std::abs(value) <= kFarthest) return {};
  return Error{ErrorCode::kInvalidArgument, "mmd_rff: a number from -1e15 to 1e15 is expected"};
}

DriftSignal MmdRff::ObserveRow(std::span<const double> values) {
  const std::size_t width = options_.dimensions;
  CHECK(values.size() == width);
  for (const double value : values) CHECK(std::abs(value) <= kFarthest);
  if (learned_ < options_.reference_size) {
    std::copy(values.begin(), values.end(),
              rows_.begin() + static_cast<std::ptrdiff_t>(learned_ * width));
    if (++learned_ < options_.reference_size) return DriftSignal::kLearning;
    const double rows = options_.reference_size;
    for (std::size_t j = 0; j < width; ++j) {
      double mean = 0.0;
      for (std::size_t i = 0; i < learned_; ++i) mean += rows_[i * width + j] / rows;
      double squares = 0.0;
      for (std::size_t i = 0; i < learned_; ++i) {
        squares += (rows_[i * width + j] - mean) * (rows_[i * width + j] - mean);
      }
      mean_[j] = mean;
      // A number that never changed keeps its unit.
      scale_[j] = squares > 0.0 ? 1.0 / std::sqrt(squares / (rows - 1.0)) : 1.0;
    }
    // The running means start at the reference's, and so does what chance gives: the spread of the
    // fingerprints times the squared weights by which the two means differ.
    double squared = 0.0;
    std::fill(near_.begin(), near_.end(), 0.0);
    for (std::size_t i = 0; i < learned_; ++i) {
      for (std::size_t j = 0; j < width; ++j) {
        row_[j] = (rows_[i * width + j] - mean_[j]) * scale_[j];
      }
      Fingerprint();
      for (std::size_t f = 0; f < wave_.size(); ++f) {
        near_[f] += wave_[f] / rows;
        squared += wave_[f] * wave_[f] / rows;
      }
    }
    far_ = near_;
    for (const double mean : near_) squared -= mean * mean;
    const double fast = options_.fast;
    const double slow = options_.slow;
    const double weights =
        fast / (2.0 - fast) + slow / (2.0 - slow) - 2.0 * fast * slow / (fast + slow - fast * slow);
    chance_ = std::max(squared, 1e-12) * weights;
    return DriftSignal::kLearning;
  }
  for (std::size_t j = 0; j < width; ++j) row_[j] = (values[j] - mean_[j]) * scale_[j];
  Fingerprint();
  double apart = 0.0;
  for (std::size_t f = 0; f < wave_.size(); ++f) {
    near_[f] += options_.fast * (wave_[f] - near_[f]);
    far_[f] += options_.slow * (wave_[f] - far_[f]);
    apart += (near_[f] - far_[f]) * (near_[f] - far_[f]);
  }
  statistic_ = apart / chance_;
  if (!(statistic_ > options_.threshold)) return DriftSignal::kSteady;
  Restart();
  return DriftSignal::kDrift;
}

void MmdRff::Fingerprint() {
  const std::size_t width = options_.dimensions;
  const double height = std::sqrt(2.0 / static_cast<double>(options_.features));
  for (std::size_t f = 0; f < wave_.size(); ++f) {
    double angle = phases_[f];
    for (std::size_t j = 0; j < width; ++j) angle += frequencies_[f * width + j] * row_[j];
    wave_[f] = height * std::cos(angle);
  }
}

void MmdRff::Reset() {
  Restart();
  statistic_ = 0.0;
}

void MmdRff::Restart() {
  for (auto* numbers : {&rows_, &mean_, &scale_, &near_, &far_}) {
    std::fill(numbers->begin(), numbers->end(), 0.0);
  }
  chance_ = 0.0;
  learned_ = 0;
}

void MmdRff::Write(StateWriter& writer) const {
  writer.Section("mmd_rff");
  writer.Put(learned_);
  writer.Put(statistic_);
  if (learned_ < options_.reference_size) {
    writer.PutSpan(std::span(rows_).first(std::size_t{learned_} * options_.dimensions));
    return;
  }
  writer.Put(chance_);
  for (const auto* numbers : {&mean_, &scale_, &near_, &far_}) writer.PutSpan(*numbers);
}

void MmdRff::Read(StateReader& reader) {
  reader.Section("mmd_rff");
  learned_ = reader.GetUpTo(options_.reference_size);
  statistic_ = reader.GetFinite<double>();
  if (learned_ < options_.reference_size) {
    reader.GetFiniteSpan(std::span(rows_).first(std::size_t{learned_} * options_.dimensions));
    return;
  }
  chance_ = reader.GetFinite<double>();
  for (auto* numbers : {&mean_, &scale_, &near_, &far_}) reader.GetFiniteSpan(*numbers);
  if (!(chance_ > 0.0)) reader.Refuse("no chance at all");
}

void MmdRff::AddTo(OptionsDigest& digest) const {
  digest.AddText("mmd_rff")
      .Add(options_.dimensions)
      .Add(options_.features)
      .Add(options_.bandwidth)
      .Add(options_.fast)
      .Add(options_.slow)
      .Add(options_.reference_size)
      .Add(options_.threshold)
      .Add(options_.seed);
}

}  // namespace tinylcm::drift
