#include "tinylcm/source/image_rule.h"

#include <algorithm>

#include "base/text.h"
#include "tinylcm/source/barcode.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint8_t kLetterboxFill = 114;

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

base::Status DecodeImage(base::ByteView file, Image& image) {
  if (file.size() >= 4 && file[0] == 0x89 && file[1] == 'P' && file[2] == 'N' && file[3] == 'G') {
    return DecodePng(file, image);
  }
  return DecodeJpeg(file, image);
}

base::Status DecodeRaw(const PictureView& picture, Image& image) {
  const int width = picture.width;
  const int height = picture.height;
  if (width < 1 || height < 1 || width > kImageSideMax || height > kImageSideMax) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("raw frame: no picture of ", width, "x", height)};
  }
  const std::size_t bytes = RawBytes(picture.format, width, height);
  if (picture.bytes.size() != bytes) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("raw frame: ", picture.bytes.size(), " bytes, expected ", bytes,
                              " for ", width, "x", height, " ", Name(picture.format))};
  }
  ConvertRaw(picture, image);
  return {};
}

base::Status DecodePicture(const PictureView& picture, Image& image) {
  return picture.format == PictureFormat::kCompressed ? DecodeImage(picture.bytes, image)
                                                      : DecodeRaw(picture, image);
}

base::Result<base::Bytes> CompressPicture(const PictureView& picture, int quality) {
  if (picture.format == PictureFormat::kCompressed) {
    return base::Bytes(picture.bytes.begin(), picture.bytes.end());
  }
  Image image;
  RETURN_IF_ERROR(DecodeRaw(picture, image));
  return EncodeJpeg(image, quality);
}

base::Status PictureMaker::Make(const PictureView& from, std::vector<std::uint8_t>& picture) {
  const ImageRule& rule = options_.rule;
  frame_number_.reset();
  RETURN_IF_ERROR(DecodePicture(from, decoded_));
  const int width = decoded_.width;
  const int height = decoded_.height;
  if ((rule.source_width != 0 && width != rule.source_width) ||
      (rule.source_height != 0 && height != rule.source_height)) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("picture is ", width, "x", height, ", expected ", rule.source_width,
                              "x", rule.source_height)};
  }
  if (options_.barcode) frame_number_ = ReadBarcode(decoded_);

  scaled_.width = rule.width;
  scaled_.height = rule.height;
  switch (rule.resize) {
    case ImageRule::Resize::kCenterCrop: {
      // The larger part of the target's shape that fits: either all columns or all rows.
      int part_width = width;
      int part_height = width * rule.height / rule.width;
      if (part_height > height) {
        part_height = height;
        part_width = height * rule.width / rule.height;
      }
      part_width = std::max(part_width, 1);
      part_height = std::max(part_height, 1);
      ScaleBox(decoded_, (width - part_width) / 2, (height - part_height) / 2, part_width,
               part_height, scaled_);
      picture = scaled_.rgb;
      break;
    }
    case ImageRule::Resize::kStretch:
      ScaleBox(decoded_, 0, 0, width, height, scaled_);
      picture = scaled_.rgb;
      break;
    case ImageRule::Resize::kLetterbox: {
      int inner_width = rule.width;
      int inner_height = height * rule.width / width;
      if (inner_height > rule.height) {
        inner_height = rule.height;
        inner_width = width * rule.height / height;
      }
      scaled_.width = std::max(inner_width, 1);
      scaled_.height = std::max(inner_height, 1);
      ScaleBox(decoded_, 0, 0, width, height, scaled_);
      const std::size_t row = 3 * static_cast<std::size_t>(rule.width);
      const std::size_t left = 3 * static_cast<std::size_t>((rule.width - scaled_.width) / 2);
      const std::size_t top = static_cast<std::size_t>((rule.height - scaled_.height) / 2);
      const std::size_t inner = 3 * static_cast<std::size_t>(scaled_.width);
      picture.assign(row * static_cast<std::size_t>(rule.height), kLetterboxFill);
      for (std::size_t y = 0; y < static_cast<std::size_t>(scaled_.height); ++y) {
        std::copy_n(scaled_.rgb.begin() + static_cast<std::ptrdiff_t>(y * inner), inner,
                    picture.begin() + static_cast<std::ptrdiff_t>((top + y) * row + left));
      }
      break;
    }
  }
  return {};
}

base::Result<std::vector<std::uint8_t>> MakePicture(base::ByteView file, const ImageRule& rule) {
  PictureMaker maker({.rule = rule});
  std::vector<std::uint8_t> picture;
  RETURN_IF_ERROR(maker.Make({.bytes = file}, picture));
  return picture;
}

}  // namespace tinylcm::source
