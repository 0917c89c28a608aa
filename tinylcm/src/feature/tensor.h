// Tensor: between our pictures and floats and what an engine's tensors are made of. Shared by the
// engines (platform/litert, platform/onnxruntime); nobody else needs it.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tinylcm/feature/input_rule.h"

namespace tinylcm::feature {

enum class TensorType { kUint8, kInt8, kFloat32 };
constexpr std::size_t BytesOf(TensorType type) { return type == TensorType::kFloat32 ? 4 : 1; }

// real = scale * (stored - zero_point)
struct Quantisation {
  float scale = 1.0f;
  std::int64_t zero_point = 0;
};

// One end of a model.
struct Tensor {
  std::string name = {};
  TensorType type = TensorType::kFloat32;
  std::vector<std::int64_t> shape = {};  // Below 0: open.
  std::optional<Quantisation> quantisation = {};

  std::size_t count() const;  // Elements; an open dimension counts once.
  std::string Text() const;   // features [1, 8]
};

// What a model takes, read out of its input's shape: [1, h, w, c] or [1, c, h, w], c 1 or 3, an
// open batch being one picture. Where both readings fit, `prefers_planes` decides.
struct PictureShape {
  int width = 0;
  int height = 0;
  int channels = 3;
  bool is_planes = false;  // [1, c, h, w]
};
base::Result<PictureShape> ReadPictureShape(const Tensor& input, bool prefers_planes);

// Which of `outputs` is asked for: by index, else by name, else by size, else (size 0) the largest.
// kUnsupported with a list of what there is.
base::Result<std::size_t> ChooseOutput(std::span<const Tensor> outputs,
                                       std::optional<std::uint32_t> index, std::string_view name,
                                       std::uint32_t size);

// Puts RGB pictures into an input tensor's memory by one table a channel.
class PictureWriter {
 public:
  // kUnsupported where the model's channels are not the rule's, or a quantised input that the rule
  // scales does not state its scale.
  static base::Result<PictureWriter> Create(const InputRule& rule, const Tensor& input,
                                            const PictureShape& shape);

  // REQUIRES: picture.size() == 3 * width * height; `memory` holds the whole tensor.
  void Write(std::span<const std::uint8_t> picture, void* memory) const;

  std::size_t picture_bytes() const { return 3 * pixels_; }
  bool is_copy() const { return is_copy_; }  // The tables change nothing.

 private:
  template <typename T>
  void WriteAs(const std::array<std::array<T, 256>, 3>& tables,
               std::span<const std::uint8_t> picture, T* memory) const;

  InputRule::Channels channels_ = InputRule::Channels::kRgb;
  TensorType type_ = TensorType::kUint8;
  bool is_planes_ = false;
  bool is_copy_ = false;
  std::size_t pixels_ = 0;
  // By the model's channel, of the type's own; int8 as the byte it is stored as.
  std::array<std::array<float, 256>, 3> floats_{};
  std::array<std::array<std::uint8_t, 256>, 3> bytes_{};
};

// An output tensor's memory as floats. REQUIRES: `memory` holds raw.size() elements.
void ReadTensor(TensorType type, const Quantisation& quantisation, const void* memory,
                std::span<float> raw);

}  // namespace tinylcm::feature
