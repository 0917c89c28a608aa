#include "tinylcm/src/feature/tensor.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::feature {

using base::Error;
using base::ErrorCode;
using base::StrCat;

namespace {

constexpr std::int64_t kSideMax = 16384;

std::string ShapeText(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += StrCat(i == 0 ? "" : ", ", shape[i] < 0 ? std::string("?") : StrCat(shape[i]));
  }
  return text + "]";
}

// What the rule makes of a pixel's number.
float Scaled(const InputRule& rule, int channel, int number) {
  const auto at = static_cast<std::size_t>(channel);
  const auto value = static_cast<float>(number);
  switch (rule.scale) {
    case InputRule::Scale::kUint8:
      return value;
    case InputRule::Scale::kUnit:
      return value / 255.0f;
    case InputRule::Scale::kSymmetric:
      return value / 127.5f - 1.0f;
    case InputRule::Scale::kMeanDeviation:
      return (value / 255.0f - rule.mean[at]) / rule.deviation[at];
  }
  return value;
}

// The byte a quantised tensor stores for it.
std::uint8_t Stored(const InputRule& rule, const Tensor& input, int channel, int number) {
  const bool is_signed = input.type == TensorType::kInt8;
  if (rule.scale == InputRule::Scale::kUint8) {
    // An int8 model made from uint8 pictures has a zero point 128 lower.
    return static_cast<std::uint8_t>(is_signed ? number - 128 : number);
  }
  const Quantisation& q = *input.quantisation;
  const double real = static_cast<double>(Scaled(rule, channel, number));
  const double level =
      std::nearbyint(real / static_cast<double>(q.scale)) + static_cast<double>(q.zero_point);
  const double least = is_signed ? -128.0 : 0.0;
  return static_cast<std::uint8_t>(static_cast<int>(std::clamp(level, least, least + 255.0)));
}

}  // namespace

std::size_t Tensor::count() const {
  std::size_t count = 1;
  for (const std::int64_t size : shape) {
    count *= size < 0 ? 1 : static_cast<std::size_t>(size);
  }
  return count;
}

std::string Tensor::Text() const {
  return StrCat(name.empty() ? "(no name)" : name, " ", ShapeText(shape));
}

base::Result<PictureShape> ReadPictureShape(const Tensor& input, bool prefers_planes) {
  const auto refuse = [&](std::string_view why) {
    return Error{ErrorCode::kUnsupported,
                 StrCat("the model's input ", ShapeText(input.shape), " ", why,
                        "; expected one picture [1, height, width, 3 or 1] or "
                        "[1, 3 or 1, height, width]")};
  };
  const std::vector<std::int64_t>& s = input.shape;
  if (s.size() != 4) return refuse(StrCat("has ", s.size(), " dimensions"));
  if (s[0] != 1 && s[0] >= 0) return refuse(StrCat("is a batch of ", s[0]));
  const auto is_colour = [](std::int64_t size) { return size == 1 || size == 3; };
  const bool as_pixels = is_colour(s[3]);
  const bool as_planes = is_colour(s[1]);
  if (!as_pixels && !as_planes) return refuse("has neither one nor three channels");
  PictureShape shape;
  shape.is_planes = as_planes && (prefers_planes || !as_pixels);
  const std::int64_t height = shape.is_planes ? s[2] : s[1];
  const std::int64_t width = shape.is_planes ? s[3] : s[2];
  if (height < 1 || width < 1) return refuse("has no fixed size");
  if (height > kSideMax || width > kSideMax) return refuse("is too large");
  shape.height = static_cast<int>(height);
  shape.width = static_cast<int>(width);
  shape.channels = static_cast<int>(shape.is_planes ? s[1] : s[3]);
  return shape;
}

base::Result<std::size_t> ChooseOutput(std::span<const Tensor> outputs,
                                       std::optional<std::uint32_t> index, std::string_view name,
                                       std::uint32_t size) {
  std::optional<std::size_t> chosen;
  if (index) {
    if (*index < outputs.size()) chosen = *index;
  } else {
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      const std::size_t count = outputs[i].count();
      if (!name.empty() ? outputs[i].name != name : size != 0 && count != size) continue;
      if (!chosen || count > outputs[*chosen].count()) chosen = i;
    }
  }
  if (chosen) return *chosen;
  std::string there;
  for (const Tensor& output : outputs) there += (there.empty() ? "" : ", ") + output.Text();
  return Error{ErrorCode::kUnsupported, StrCat("none of the model's outputs (", there, ") ",
                                               index           ? StrCat("has the number ", *index)
                                               : !name.empty() ? StrCat("is named \"", name, "\"")
                                                               : StrCat("has ", size, " numbers"))};
}

base::Result<PictureWriter> PictureWriter::Create(const InputRule& rule, const Tensor& input,
                                                  const PictureShape& shape) {
  const bool is_gray = rule.channels == InputRule::Channels::kGray;
  if (is_gray != (shape.channels == 1)) {
    return Error{ErrorCode::kUnsupported,
                 StrCat("the model takes ", shape.channels, " channel(s), the input rule says ",
                        Name(rule.channels))};
  }
  PictureWriter writer;
  writer.channels_ = rule.channels;
  writer.type_ = input.type;
  writer.is_planes_ = shape.is_planes && shape.channels == 3;
  writer.pixels_ = static_cast<std::size_t>(shape.width) * static_cast<std::size_t>(shape.height);
  if (input.type != TensorType::kFloat32 && rule.scale != InputRule::Scale::kUint8 &&
      !(input.quantisation && input.quantisation->scale > 0.0f)) {
    return Error{ErrorCode::kUnsupported,
                 StrCat("the model's quantised input does not state its scale, so it cannot be "
                        "given numbers scaled as \"",
                        Name(rule.scale), "\"; use \"uint8\"")};
  }
  bool is_identity = input.type != TensorType::kFloat32;
  for (std::size_t c = 0; c < 3; ++c) {
    for (int number = 0; number < 256; ++number) {
      const auto at = static_cast<std::size_t>(number);
      if (input.type == TensorType::kFloat32) {
        writer.floats_[c][at] = Scaled(rule, static_cast<int>(c), number);
      } else {
        writer.bytes_[c][at] = Stored(rule, input, static_cast<int>(c), number);
        is_identity = is_identity && writer.bytes_[c][at] == number;
      }
    }
  }
  writer.is_copy_ = is_identity && rule.channels == InputRule::Channels::kRgb && !writer.is_planes_;
  return writer;
}

template <typename T>
void PictureWriter::WriteAs(const std::array<std::array<T, 256>, 3>& tables,
                            std::span<const std::uint8_t> picture, T* memory) const {
  const std::uint8_t* in = picture.data();
  if (channels_ == InputRule::Channels::kGray) {
    for (std::size_t i = 0; i < pixels_; ++i, in += 3) {
      const unsigned gray = (77u * in[0] + 150u * in[1] + 29u * in[2] + 128u) >> 8;
      memory[i] = tables[0][gray];
    }
    return;
  }
  // Where the model's channels are found in ours.
  const std::size_t first = channels_ == InputRule::Channels::kRgb ? 0 : 2;
  const std::size_t third = 2 - first;
  const std::size_t step = is_planes_ ? 1 : 3;
  T* const out0 = memory;
  T* const out1 = memory + (is_planes_ ? pixels_ : 1);
  T* const out2 = memory + (is_planes_ ? 2 * pixels_ : 2);
  for (std::size_t i = 0; i < pixels_; ++i, in += 3) {
    out0[i * step] = tables[0][in[first]];
    out1[i * step] = tables[1][in[1]];
    out2[i * step] = tables[2][in[third]];
  }
}

void PictureWriter::Write(std::span<const std::uint8_t> picture, void* memory) const {
  CHECK(picture.size() == picture_bytes());
  if (is_copy_) {
    std::memcpy(memory, picture.data(), picture.size());
  } else if (type_ == TensorType::kFloat32) {
    WriteAs(floats_, picture, static_cast<float*>(memory));
  } else {
    WriteAs(bytes_, picture, static_cast<std::uint8_t*>(memory));
  }
}

void ReadTensor(TensorType type, const Quantisation& quantisation, const void* memory,
                std::span<float> raw) {
  if (type == TensorType::kFloat32) {
    std::memcpy(raw.data(), memory, raw.size_bytes());
    return;
  }
  const float scale = quantisation.scale;
  const auto zero = static_cast<int>(quantisation.zero_point);
  if (type == TensorType::kUint8) {
    const auto* in = static_cast<const std::uint8_t*>(memory);
    for (std::size_t i = 0; i < raw.size(); ++i) {
      raw[i] = scale * static_cast<float>(static_cast<int>(in[i]) - zero);
    }
  } else {
    const auto* in = static_cast<const std::int8_t*>(memory);
    for (std::size_t i = 0; i < raw.size(); ++i) {
      raw[i] = scale * static_cast<float>(static_cast<int>(in[i]) - zero);
    }
  }
}

}  // namespace tinylcm::feature
