// Head: classifies by what a network says itself, instead of by its neighbours.
//
//   linear    feature -> weights * feature + bias -> softmax -> answer
//   softmax   the model's own output, probabilities or logits -> answer
//
// Its distance, the number drift is watched by where a bundle has no anchors, is 1 less the highest
// probability: it rises when the network gets unsure.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tinylcm::classify {

enum class ClassifierKind { kKnn, kLinear, kSoftmax };
const char* Name(ClassifierKind kind);  // "knn", "linear", "softmax"
base::Result<ClassifierKind> ParseClassifierKind(std::string_view name);

// As stored in a bundle's head.safetensors. A plain value.
struct HeadTensors {
  std::vector<float> weights = {};  // [classes, dims]
  std::vector<float> bias = {};     // [classes]
  float temperature = 1.0f;         // Logits are divided by it before the softmax.

  std::size_t classes() const { return bias.size(); }
  std::size_t dims() const { return bias.empty() ? 0 : weights.size() / bias.size(); }
  friend bool operator==(const HeadTensors&, const HeadTensors&) = default;
};

// values[i] = exp(values[i] / temperature) / sum, without overflow.
void Softmax(float temperature, std::span<float> values);

// out[c] = how probable the head finds class c. REQUIRES: feature.size() is dims(), out.size() is
// classes(). Does not allocate.
void Probabilities(const HeadTensors& head, std::span<const float> feature, std::span<float> out);

// kInvalidArgument where sizes do not fit together or a number is not finite.
base::Status Validate(const HeadTensors& head, std::uint32_t classes, std::size_t dims);

// Weights and a temperature of labelled features ([n, dims], labels below `classes`): the linear
// discriminant of classes that share one covariance, shrunk towards its diagonal so that few
// samples do. Plain double arithmetic in a fixed order: same features, same bits.
// kInvalidArgument where a class has no sample.
base::Result<HeadTensors> FitLinearHead(std::span<const float> features, std::size_t dims,
                                        std::span<const std::uint16_t> labels,
                                        std::uint32_t classes);

}  // namespace tinylcm::classify
