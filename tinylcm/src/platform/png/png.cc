// PNG by libpng's simplified interface.

#include <png.h>

#include "base/text.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

base::Status DecodePng(base::ByteView file, Image& image) {
  ASSIGN_OR_RETURN(const PictureSize size, ReadSize({.bytes = file}));
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  const auto refuse = [&] {
    const Error error{ErrorCode::kCorrupt, base::StrCat("png: ", png.message)};
    png_image_free(&png);
    return error;
  };
  if (png_image_begin_read_from_memory(&png, file.data(), file.size()) == 0) return refuse();
  if (static_cast<int>(png.width) != size.width || static_cast<int>(png.height) != size.height) {
    png_image_free(&png);
    return Error{ErrorCode::kCorrupt, "png: two sizes in its header"};
  }
  png.format = PNG_FORMAT_RGB;
  image.rgb.resize(PNG_IMAGE_SIZE(png));
  const png_color black{0, 0, 0};
  if (png_image_finish_read(&png, &black, image.rgb.data(), 0, nullptr) == 0) return refuse();
  image.width = size.width;
  image.height = size.height;
  return {};
}

}  // namespace tinylcm::source
