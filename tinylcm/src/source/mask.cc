#include "tinylcm/source/mask.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

base::Status CheckMask(const MaskRegion& region) {
  const bool is_good = region.x >= 0.0 && region.y >= 0.0 && region.width > 0.0 &&
                       region.height > 0.0 && region.x + region.width <= 1.0 + 1e-9 &&
                       region.y + region.height <= 1.0 + 1e-9;
  if (is_good) return {};
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat("a mask of ", region.width, " x ", region.height, " at ", region.x,
                            ", ", region.y, " is not inside the picture (all are shares, 0 to 1)")};
}

void ApplyMasks(std::span<const MaskRegion> regions, Image& image) {
  const auto pixel = [](double share, int side, bool up) {
    // A hair inside, so that 0.3 + 0.2 does not take a pixel that 0.5 would not.
    const double at = share * side;
    const double rounded = up ? std::ceil(at - 1e-6) : std::floor(at + 1e-6);
    return std::clamp(static_cast<int>(rounded), 0, side);
  };
  for (const MaskRegion& region : regions) {
    const int left = pixel(region.x, image.width, false);
    const int right = pixel(region.x + region.width, image.width, true);
    const int top = pixel(region.y, image.height, false);
    const int bottom = pixel(region.y + region.height, image.height, true);
    for (int y = top; y < bottom; ++y) {
      const auto row = static_cast<std::ptrdiff_t>(y) * image.width;
      std::fill(image.rgb.begin() + 3 * (row + left), image.rgb.begin() + 3 * (row + right),
                std::uint8_t{0});
    }
  }
}

base::Result<base::Bytes> MaskedPicture(const PictureView& picture,
                                        std::span<const MaskRegion> regions, int quality) {
  const bool is_jpeg = picture.format == PictureFormat::kCompressed && picture.bytes.size() > 2 &&
                       picture.bytes[0] == 0xff && picture.bytes[1] == 0xd8;
  if (is_jpeg && regions.empty()) {
    return base::Bytes(picture.bytes.begin(), picture.bytes.end());
  }
  Image image;
  RETURN_IF_ERROR(DecodePicture(picture, image));
  ApplyMasks(regions, image);
  return EncodeJpeg(image, quality);
}

}  // namespace tinylcm::source
