#include "tinylcm/classify/head.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "tinylcm/src/classify/cholesky.h"

namespace tinylcm::classify {

using base::Error;
using base::ErrorCode;

const char* Name(ClassifierKind kind) {
  switch (kind) {
    case ClassifierKind::kKnn:
      return "knn";
    case ClassifierKind::kLinear:
      return "linear";
    case ClassifierKind::kSoftmax:
      return "softmax";
  }
  return "";
}

base::Result<ClassifierKind> ParseClassifierKind(std::string_view name) {
  using enum ClassifierKind;
  for (const auto kind : {kKnn, kLinear, kSoftmax}) {
    if (name == Name(kind)) return kind;
  }
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat("classifier \"", name, "\": expected knn, linear or softmax")};
}

void Softmax(float temperature, std::span<float> values) {
  if (values.empty()) return;
  const float top = *std::max_element(values.begin(), values.end());
  double sum = 0.0;
  for (float& value : values) {
    const double power = std::exp((static_cast<double>(value) - top) / temperature);
    sum += power;
    value = static_cast<float>(power);
  }
  for (float& value : values) value = static_cast<float>(value / sum);
}

void Probabilities(const HeadTensors& head, std::span<const float> feature, std::span<float> out) {
  const std::size_t dims = feature.size();
  const float* row = head.weights.data();
  for (std::size_t c = 0; c < out.size(); ++c, row += dims) {
    double sum = static_cast<double>(head.bias[c]);
    for (std::size_t j = 0; j < dims; ++j) {
      sum += static_cast<double>(row[j]) * static_cast<double>(feature[j]);
    }
    out[c] = static_cast<float>(sum);
  }
  Softmax(head.temperature, out);
}

base::Status Validate(const HeadTensors& head, std::uint32_t classes, std::size_t dims) {
  const auto refuse = [](const std::string& what) {
    return Error{ErrorCode::kInvalidArgument, "head: " + what};
  };
  if (head.bias.size() != classes) {
    return refuse(base::StrCat(head.bias.size(), " outputs for ", classes, " labels"));
  }
  if (head.weights.size() != classes * dims) {
    return refuse(
        base::StrCat("weights of ", head.dims(), " numbers a class, the feature has ", dims));
  }
  const auto finite = [](const std::vector<float>& values) {
    return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
  };
  if (!finite(head.weights) || !finite(head.bias)) return refuse("a number is not finite");
  if (!(head.temperature > 0.0f && std::isfinite(head.temperature))) {
    return refuse("the temperature is not above 0");
  }
  return {};
}

namespace {

// How much of the covariance off the diagonal is believed at least to be chance.
constexpr double kShrinkMin = 0.05;

// Mean of -log p(label) over the samples.
double LogLoss(const std::vector<double>& logits, std::span<const std::uint16_t> labels,
               std::size_t classes, double temperature) {
  double loss = 0.0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const double* const row = logits.data() + i * classes;
    const double top = *std::max_element(row, row + classes);
    double sum = 0.0;
    for (std::size_t c = 0; c < classes; ++c) sum += std::exp((row[c] - top) / temperature);
    loss += std::log(sum) - (row[labels[i]] - top) / temperature;
  }
  return loss / static_cast<double>(labels.size());
}

}  // namespace

base::Result<HeadTensors> FitLinearHead(std::span<const float> features, std::size_t dims,
                                        std::span<const std::uint16_t> labels,
                                        std::uint32_t classes) {
  const std::size_t count = labels.size();
  std::vector<double> means(classes * dims, 0.0);
  std::vector<double> members(classes, 0.0);
  for (std::size_t i = 0; i < count; ++i) {
    members[labels[i]] += 1.0;
    for (std::size_t j = 0; j < dims; ++j) {
      means[labels[i] * dims + j] += static_cast<double>(features[i * dims + j]);
    }
  }
  for (std::size_t c = 0; c < classes; ++c) {
    if (!(members[c] > 0.0)) {
      return Error{ErrorCode::kInvalidArgument, base::StrCat("head: class ", c, " has no sample")};
    }
    for (std::size_t j = 0; j < dims; ++j) means[c * dims + j] /= members[c];
  }

  // The spread within the classes, shrunk: the fewer samples a dimension, the more.
  std::vector<double> spread(dims * dims, 0.0);
  std::vector<double> centred(dims);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < dims; ++j) {
      centred[j] = static_cast<double>(features[i * dims + j]) - means[labels[i] * dims + j];
    }
    for (std::size_t a = 0; a < dims; ++a) {
      for (std::size_t b = 0; b <= a; ++b) spread[a * dims + b] += centred[a] * centred[b];
    }
  }
  const double freedom = std::max(1.0, static_cast<double>(count) - classes);
  const double shrink =
      std::clamp(static_cast<double>(dims) / freedom, kShrinkMin, 1.0 - kShrinkMin);
  double trace = 0.0;
  for (std::size_t a = 0; a < dims; ++a) trace += spread[a * dims + a] / freedom;
  const double floor = std::max(1e-12, 1e-3 * trace / static_cast<double>(dims));
  for (std::size_t a = 0; a < dims; ++a) {
    for (std::size_t b = 0; b <= a; ++b) {
      spread[a * dims + b] *= (a == b ? 1.0 : 1.0 - shrink) / freedom;
    }
    spread[a * dims + a] += floor;
  }
  if (!Cholesky(spread, dims)) {
    return Error{ErrorCode::kInvalidArgument, "head: the features do not vary"};
  }

  HeadTensors head;
  std::vector<double> logits(count * classes, 0.0);
  for (std::size_t c = 0; c < classes; ++c) {
    std::vector<double> w(means.begin() + static_cast<std::ptrdiff_t>(c * dims),
                          means.begin() + static_cast<std::ptrdiff_t>((c + 1) * dims));
    SolveCholesky(spread, dims, w);
    double bias = 0.0;  // Classes count alike, however many samples each had.
    for (std::size_t j = 0; j < dims; ++j) bias -= 0.5 * w[j] * means[c * dims + j];
    for (const double value : w) head.weights.push_back(static_cast<float>(value));
    head.bias.push_back(static_cast<float>(bias));
    for (std::size_t i = 0; i < count; ++i) {
      double sum = bias;
      for (std::size_t j = 0; j < dims; ++j) {
        sum += w[j] * static_cast<double>(features[i * dims + j]);
      }
      logits[i * classes + c] = sum;
    }
  }
  // On these samples the least loss is too sure of itself; the calibration corrects the rest.
  double best = LogLoss(logits, labels, classes, 1.0);
  for (double temperature = 1.25; temperature <= 32.0; temperature *= 1.25) {
    const double loss = LogLoss(logits, labels, classes, temperature);
    if (!(loss < best)) break;
    best = loss;
    head.temperature = static_cast<float>(temperature);
  }
  return head;
}

}  // namespace tinylcm::classify
