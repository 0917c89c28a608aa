// PNG by libpng's simplified interface.

#include <png.h>

#include "base/text.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

base::Status DecodePng(base::ByteView file, Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const auto refuse = [&] {
    const Error error{ErrorCode::kCorrupt, base::StrCat("png: ", png.message)};
    png_image_free(&png);
    return error;
  };
  if (png_image_begin_read_from_memory(&png, file.data(), file.size()) == 0) return refuse();
  if (png.width < 1 || png.height < 1 || png.width > kImageSideMax || png.height > kImageSideMax) {
    const Error error{ErrorCode::kInvalidArgument, base::StrCat("png: ", png.width, "x", png.height,
                                                                " is larger than ", kImageSideMax)};
    png_image_free(&png);
    return error;
  }
  png.format = PNG_FORMAT_RGB;
  image.rgb.resize(PNG_IMAGE_SIZE(png));
  const png_color black{0, 0, 0};
  const auto width = static_cast<int>(png.width);
  const auto height = static_cast<int>(png.height);
  if (png_image_finish_read(&png, &black, image.rgb.data(), 0, nullptr) == 0) return refuse();
  image.width = width;
  image.height = height;
  return {};
}

}  // namespace tinylcm::source
