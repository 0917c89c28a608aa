#include "tinylcm/feature/processor.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/feature/project.h"
#include "tinylcm/src/feature/eigenvectors.h"

namespace tinylcm::feature {
namespace {

using base::Error;
using base::ErrorCode;

// A deviation below this share of the largest is rounding noise, not a signal.
constexpr double kConstantBelow = 1e-6;
// With more channels than this the input of an int8 projection would be rounded to fewer than 9
// bits.
constexpr std::size_t kInt8CountMax = 65536;
// Beyond it Jacobi takes minutes: 1280 channels 10^11 operations.
constexpr std::size_t kJacobiMax = 256;

Error Refuse(std::string_view what) {
  return Error{ErrorCode::kInvalidArgument, base::StrCat("processor: ", what)};
}

bool AllFinite(std::span<const float> values) {
  return std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
}

}  // namespace

base::Status Validate(const ProcessorTensors& tensors) {
  const std::size_t count = tensors.mean.size();
  if (count == 0) return Refuse("there are no channels");
  if (tensors.scale.size() != count) return Refuse("as many scales as means");
  if (!tensors.projection_mean.empty() && tensors.projection_mean.size() != count) {
    return Refuse("as many projection means as means, or none");
  }
  if (tensors.projection.size() % count != 0) {
    return Refuse("the projection's axes must be as long as the mean");
  }
  if (!tensors.projection_i8.empty()) {
    if (!tensors.projection.empty()) return Refuse("a projection as floats or as bytes, not both");
    if (tensors.projection_i8.size() % count != 0) {
      return Refuse("the projection's axes must be as long as the mean");
    }
    if (count > kInt8CountMax) {
      return Refuse(base::StrCat("an int8 projection takes at most ", kInt8CountMax, " channels"));
    }
    if (std::ranges::find(tensors.projection_i8, std::int8_t{-128}) !=
        tensors.projection_i8.end()) {
      return Refuse("an int8 projection goes from -127 to 127");
    }
  }
  if (tensors.projection_scale.size() != tensors.projection_i8.size() / count) {
    return Refuse("as many projection scales as axes of bytes");
  }
  if (tensors.projection.empty() && tensors.projection_i8.empty() &&
      !tensors.projection_mean.empty()) {
    return Refuse("a projection mean without a projection");
  }
  if (!AllFinite(tensors.mean) || !AllFinite(tensors.scale) || !AllFinite(tensors.projection) ||
      !AllFinite(tensors.projection_mean) || !AllFinite(tensors.projection_scale)) {
    return Refuse("a number is not finite");
  }
  if (!std::ranges::all_of(tensors.scale, [](float scale) { return scale > 0.0f; })) {
    return Refuse("every scale must be > 0");
  }
  if (!std::ranges::all_of(tensors.projection_scale, [](float scale) { return scale > 0.0f; })) {
    return Refuse("every projection scale must be > 0");
  }
  return {};
}

base::Result<Processor> Processor::Create(const ProcessorTensors& tensors) {
  RETURN_IF_ERROR(Validate(tensors));
  return Processor(tensors, tensors.feature_count());
}

Processor Processor::Identity(std::size_t count) {
  CHECK(count > 0);
  return Processor({.mean = std::vector<float>(count, 0.0f),
                    .scale = std::vector<float>(count, 1.0f),
                    .projection_mean = {},
                    .projection = {}},
                   count);
}

Processor::Processor(const ProcessorTensors& tensors, std::size_t feature_count)
    : feature_count_(feature_count), stride_(PaddedSize(tensors.mean.size())) {
  // The projection itself is kept once, padded.
  tensors_.mean = tensors.mean;
  tensors_.scale = tensors.scale;
  tensors_.projection_mean = tensors.projection_mean;
  tensors_.projection_scale = tensors.projection_scale;
  const std::size_t count = raw_count();
  centered_.assign(stride_, 0.0f);
  if (!tensors.projection_i8.empty()) {
    const std::size_t stride = Int8Stride(count);
    axes_i8_.assign(feature_count_ * stride, 0);
    whole_.assign(stride, 0);
    sums_.assign(feature_count_, 0);
    for (std::size_t axis = 0; axis < feature_count_; ++axis) {
      std::copy_n(tensors.projection_i8.begin() + static_cast<std::ptrdiff_t>(axis * count), count,
                  axes_i8_.begin() + static_cast<std::ptrdiff_t>(axis * stride));
    }
  }
  if (tensors.projection.empty()) return;
  axes_.assign(feature_count_ * stride_, 0.0f);
  for (std::size_t axis = 0; axis < feature_count_; ++axis) {
    std::copy_n(tensors.projection.begin() + static_cast<std::ptrdiff_t>(axis * count), count,
                axes_.begin() + static_cast<std::ptrdiff_t>(axis * stride_));
  }
}

void Processor::Standardise(std::span<const float> raw, std::span<float> standardised) const {
  CHECK(raw.size() == raw_count());
  CHECK(standardised.size() == raw_count());
  feature::Standardise(raw.data(), tensors_.mean.data(), tensors_.scale.data(), nullptr, raw.size(),
                       standardised.data());
}

void Processor::Apply(std::span<const float> raw, std::span<float> feature) {
  CHECK(feature.size() == feature_count_);
  if (axes_.empty() && axes_i8_.empty()) {
    Standardise(raw, feature);
    return;
  }
  CHECK(raw.size() == raw_count());
  const float* const off =
      tensors_.projection_mean.empty() ? nullptr : tensors_.projection_mean.data();
  feature::Standardise(raw.data(), tensors_.mean.data(), tensors_.scale.data(), off, raw.size(),
                       centered_.data());
  if (axes_i8_.empty()) {
    Project(centered_.data(), axes_.data(), feature_count_, stride_, feature.data());
    return;
  }
  const float unit =
      RoundToWhole(centered_.data(), stride_, WholeMax(whole_.size()), whole_.data());
  ProjectWhole(whole_.data(), axes_i8_.data(), feature_count_, whole_.size(), sums_.data());
  for (std::size_t i = 0; i < feature.size(); ++i) {
    feature[i] = static_cast<float>(sums_[i]) * unit * tensors_.projection_scale[i];
  }
}

base::Result<ProcessorTensors> QuantiseProjection(const ProcessorTensors& tensors) {
  if (tensors.mean.empty() || tensors.projection.empty()) {
    return Refuse("there is no projection to write as bytes");
  }
  ProcessorTensors quantised = tensors;
  quantised.projection.clear();
  const std::size_t count = tensors.mean.size();
  for (std::size_t first = 0; first < tensors.projection.size(); first += count) {
    const std::span<const float> axis = std::span(tensors.projection).subspan(first, count);
    float largest = 0.0f;
    for (const float value : axis) largest = std::max(largest, std::abs(value));
    const float scale = largest / 127.0f > 0.0f ? largest / 127.0f : 1.0f;
    quantised.projection_scale.push_back(scale);
    for (const float value : axis) {
      const float whole = std::clamp(std::nearbyint(value / scale), -127.0f, 127.0f);
      quantised.projection_i8.push_back(static_cast<std::int8_t>(whole));
    }
  }
  return quantised;
}

base::Result<ProcessorTensors> FitStandardise(std::span<const float> rows, std::size_t count) {
  if (count == 0 || rows.empty() || rows.size() % count != 0) {
    return Refuse("fit: rows must be whole, and at least one");
  }
  if (!AllFinite(rows)) return Refuse("fit: a number is not finite");
  const std::size_t row_count = rows.size() / count;
  std::vector<double> mean(count, 0.0);
  for (std::size_t row = 0; row < row_count; ++row) {
    for (std::size_t i = 0; i < count; ++i) mean[i] += static_cast<double>(rows[row * count + i]);
  }
  for (double& value : mean) value /= static_cast<double>(row_count);
  std::vector<double> deviation(count, 0.0);
  for (std::size_t row = 0; row < row_count; ++row) {
    for (std::size_t i = 0; i < count; ++i) {
      const double off = static_cast<double>(rows[row * count + i]) - mean[i];
      deviation[i] += off * off;
    }
  }
  // As StandardScaler: the deviation of these rows, not an estimate for others.
  for (double& value : deviation) value = std::sqrt(value / static_cast<double>(row_count));
  const double constant = kConstantBelow * *std::ranges::max_element(deviation);

  ProcessorTensors tensors;
  for (std::size_t i = 0; i < count; ++i) {
    tensors.mean.push_back(static_cast<float>(mean[i]));
    const auto scale = static_cast<float>(deviation[i]);
    tensors.scale.push_back(deviation[i] > constant && scale > 0.0f ? scale : 1.0f);
  }
  return tensors;
}

base::Result<ProcessorTensors> FitPca(const ProcessorTensors& tensors, std::span<const float> rows,
                                      std::size_t dims) {
  const std::size_t count = tensors.mean.size();
  if (count == 0 || rows.empty() || rows.size() % count != 0) {
    return Refuse("fit: rows must be whole, and at least one");
  }
  const std::size_t row_count = rows.size() / count;
  if (dims == 0 || dims > count || dims >= row_count) {
    return Refuse(base::StrCat("fit: ", dims, " axes from ", row_count, " rows of ", count));
  }
  ProcessorTensors fitted = tensors;
  fitted.projection_mean.clear();
  fitted.projection.clear();
  ASSIGN_OR_RETURN(const Processor scaler, Processor::Create(fitted));

  std::vector<float> scaled(rows.size());
  std::vector<double> mean(count, 0.0);
  for (std::size_t row = 0; row < row_count; ++row) {
    const std::span<float> to = std::span(scaled).subspan(row * count, count);
    scaler.Standardise(rows.subspan(row * count, count), to);
    for (std::size_t i = 0; i < count; ++i) mean[i] += static_cast<double>(to[i]);
  }
  for (double& value : mean) value /= static_cast<double>(row_count);

  std::vector<double> covariance(count * count, 0.0);
  std::vector<double> off(count);
  for (std::size_t row = 0; row < row_count; ++row) {
    for (std::size_t i = 0; i < count; ++i) {
      off[i] = static_cast<double>(scaled[row * count + i]) - mean[i];
    }
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t j = i; j < count; ++j) covariance[i * count + j] += off[i] * off[j];
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = i; j < count; ++j) {
      covariance[i * count + j] /= static_cast<double>(row_count - 1);
      covariance[j * count + i] = covariance[i * count + j];
    }
  }
  const Eigenvectors axes = count > kJacobiMax ? EigenvectorsByQl(std::move(covariance), count)
                                               : EigenvectorsByJacobi(std::move(covariance), count);

  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(
      order, [&](std::size_t a, std::size_t b) { return axes.values[a] > axes.values[b]; });
  for (const double value : mean) fitted.projection_mean.push_back(static_cast<float>(value));
  for (std::size_t axis = 0; axis < dims; ++axis) {
    const double* const vector = &axes.rows[order[axis] * count];
    double largest = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
      if (std::abs(vector[i]) > std::abs(largest)) largest = vector[i];
    }
    const double sign = largest < 0.0 ? -1.0 : 1.0;
    for (std::size_t i = 0; i < count; ++i) {
      fitted.projection.push_back(static_cast<float>(sign * vector[i]));
    }
  }
  return fitted;
}

}  // namespace tinylcm::feature
