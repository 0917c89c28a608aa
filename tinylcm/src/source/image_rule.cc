#include "tinylcm/source/image_rule.h"

#include <algorithm>

#include "base/text.h"
#include "tinylcm/source/barcode.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint8_t kLetterboxFill = 114;

ImagePlan PlanAt(const ImageRule& rule, const PictureSize& size) {
  const auto [width, height] = size;
  ImagePlan plan;
  plan.part = {0, 0, width, height};
  plan.inner = {0, 0, rule.width, rule.height};
  switch (rule.resize) {
    case ImageRule::Resize::kStretch:
      break;
    case ImageRule::Resize::kCenterCrop: {
      // The larger part of the target's shape that fits: either all columns or all rows.
      Box& part = plan.part;
      part.height = width * rule.height / rule.width;
      if (part.height > height) {
        part.height = height;
        part.width = height * rule.width / rule.height;
      }
      part.width = std::max(part.width, 1);
      part.height = std::max(part.height, 1);
      part.x = (width - part.width) / 2;
      part.y = (height - part.height) / 2;
      break;
    }
    case ImageRule::Resize::kLetterbox: {
      Box& inner = plan.inner;
      inner.height = height * rule.width / width;
      if (inner.height > rule.height) {
        inner.height = rule.height;
        inner.width = width * rule.height / height;
      }
      inner.width = std::max(inner.width, 1);
      inner.height = std::max(inner.height, 1);
      inner.x = (rule.width - inner.width) / 2;
      inner.y = (rule.height - inner.height) / 2;
      break;
    }
  }
  return plan;
}

}  // namespace

const char* Name(ImageRule::Resize resize) {
  switch (resize) {
    case ImageRule::Resize::kCenterCrop:
      return "center_crop";
    case ImageRule::Resize::kLetterbox:
      return "letterbox";
    case ImageRule::Resize::kStretch:
      return "stretch";
  }
  return "center_crop";
}

base::Result<ImageRule::Resize> ParseResize(std::string_view name) {
  for (const auto resize : {ImageRule::Resize::kCenterCrop, ImageRule::Resize::kLetterbox,
                            ImageRule::Resize::kStretch}) {
    if (name == Name(resize)) return resize;
  }
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat("resize: \"", name, "\" is not center_crop, letterbox or stretch")};
}

base::Status DecodePicture(const PictureView& picture, Image& image) {
  if (picture.format == PictureFormat::kCompressed) {
    return IsPng(picture.bytes) ? DecodePng(picture.bytes, image)
                                : DecodeJpeg(picture.bytes, image);
  }
  RETURN_IF_ERROR(ReadSize(picture));
  ConvertRaw(picture, image);
  return {};
}

base::Result<base::Bytes> CompressPicture(const PictureView& picture, int quality) {
  if (picture.format == PictureFormat::kCompressed) {
    return base::Bytes(picture.bytes.begin(), picture.bytes.end());
  }
  Image image;
  RETURN_IF_ERROR(DecodePicture(picture, image));
  return EncodeJpeg(image, quality);
}

ImagePlan PlanFor(const ImageRule& rule, const PictureSize& size, PictureFormat format,
                  bool is_jpeg) {
  ImagePlan plan;
  if (is_jpeg) {
    for (const int shrink : {8, 4, 2}) {
      // As the decoder rounds.
      const PictureSize shrunk{(size.width + shrink - 1) / shrink,
                               (size.height + shrink - 1) / shrink};
      plan = PlanAt(rule, shrunk);
      plan.shrink = shrink;
      if (plan.part.width >= plan.inner.width && plan.part.height >= plan.inner.height) return plan;
    }
  }
  plan = PlanAt(rule, size);
  if (format == PictureFormat::kYuv420) {
    // A colour belongs to 2x2 pixels: begin with one.
    plan.part.x -= plan.part.x % 2;
    plan.part.y -= plan.part.y % 2;
  }
  return plan;
}

base::Status PictureMaker::ReadNumber(const PictureView& from) {
  // Its cells are drawn for the whole picture.
  RETURN_IF_ERROR(DecodePicture(from, whole_));
  frame_number_ = ReadBarcode(whole_);
  return {};
}

base::Result<std::span<const std::uint8_t>> PictureMaker::Make(const PictureView& from) {
  const ImageRule& rule = options_.rule;
  frame_number_.reset();
  ASSIGN_OR_RETURN(source_size_, ReadSize(from));
  const auto [width, height] = source_size_;
  if ((rule.source_width != 0 && width != rule.source_width) ||
      (rule.source_height != 0 && height != rule.source_height)) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("picture is ", width, "x", height, ", expected ", rule.source_width,
                              "x", rule.source_height)};
  }
  const bool is_compressed = from.format == PictureFormat::kCompressed;
  const bool is_jpeg = is_compressed && !IsPng(from.bytes);
  const ImagePlan plan = PlanFor(rule, source_size_, from.format, is_jpeg);
  const bool reads_number = options_.barcode && MayHaveBarcode(width, height);

  const Box all{0, 0, rule.width, rule.height};
  if (plan.shrink == 1 && plan.part == Box{0, 0, width, height} && plan.part == all) {
    // As it is.
    if (from.format == PictureFormat::kRgb24 && !reads_number) return from.bytes;
    RETURN_IF_ERROR(DecodePicture(from, whole_));
    if (reads_number) frame_number_ = ReadBarcode(whole_);
    return std::span<const std::uint8_t>(whole_.rgb);
  }

  if (is_jpeg) {
    RETURN_IF_ERROR(DecodeJpeg(from.bytes, plan.shrink, decoded_));
  } else if (is_compressed) {
    RETURN_IF_ERROR(DecodePng(from.bytes, whole_));
    Convert(whole_, decoded_);
  } else if (from.format != PictureFormat::kYuv420) {
    ConvertRaw(from, decoded_);
  }
  if (reads_number) {
    if (plan.shrink == 1 && from.format != PictureFormat::kYuv420) {
      frame_number_ = ReadBarcode(decoded_);
    } else {
      RETURN_IF_ERROR(ReadNumber(from));
    }
  }

  const std::size_t row = 3 * static_cast<std::size_t>(rule.width);
  picture_.resize(row * static_cast<std::size_t>(rule.height));
  if (plan.inner != filled_around_) {
    if (plan.inner != all) std::fill(picture_.begin(), picture_.end(), kLetterboxFill);
    filled_around_ = plan.inner;  // A picture without bars draws over those there were.
  }
  const RgbTarget target{
      .first = picture_.data() + static_cast<std::size_t>(plan.inner.y) * row +
               3 * static_cast<std::size_t>(plan.inner.x),
      .row_bytes = 3 * rule.width,
      .width = plan.inner.width,
      .height = plan.inner.height,
  };
  if (from.format == PictureFormat::kYuv420) {
    ScaleYuv(from, plan.part, planes_, target);
  } else {
    ScaleBox(decoded_, plan.part, scaled_, target);
  }
  return std::span<const std::uint8_t>(picture_);
}

base::Status PictureMaker::Make(const PictureView& from, std::vector<std::uint8_t>& picture) {
  ASSIGN_OR_RETURN(const std::span<const std::uint8_t> made, Make(from));
  picture.assign(made.begin(), made.end());
  return {};
}

base::Result<std::vector<std::uint8_t>> MakePicture(base::ByteView file, const ImageRule& rule) {
  PictureMaker maker({.rule = rule});
  std::vector<std::uint8_t> picture;
  RETURN_IF_ERROR(maker.Make({.bytes = file}, picture));
  return picture;
}

}  // namespace tinylcm::source
