#include "tinylcm/source/frame.h"

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::source {

const char* Name(PictureFormat format) {
  switch (format) {
    case PictureFormat::kCompressed:
      return "mjpeg";
    case PictureFormat::kRgb24:
      return "rgb24";
    case PictureFormat::kBgr24:
      return "bgr24";
    case PictureFormat::kGray8:
      return "gray8";
    case PictureFormat::kYuv420:
      return "yuv420";
  }
  return "mjpeg";
}

base::Result<PictureFormat> ParsePictureFormat(std::string_view name) {
  for (const auto format : {PictureFormat::kCompressed, PictureFormat::kRgb24,
                            PictureFormat::kBgr24, PictureFormat::kGray8, PictureFormat::kYuv420}) {
    if (name == Name(format)) return format;
  }
  return base::Error{
      base::ErrorCode::kInvalidArgument,
      base::StrCat("format: \"", name, "\" is not mjpeg, rgb24, bgr24, gray8 or yuv420")};
}

std::size_t RawBytes(PictureFormat format, int width, int height) {
  CHECK(format != PictureFormat::kCompressed && width > 0 && height > 0);
  const auto columns = static_cast<std::size_t>(width);
  const auto rows = static_cast<std::size_t>(height);
  switch (format) {
    case PictureFormat::kRgb24:
    case PictureFormat::kBgr24:
      return 3 * columns * rows;
    case PictureFormat::kYuv420:
      return columns * rows + 2 * ((columns + 1) / 2) * ((rows + 1) / 2);
    default:
      return columns * rows;
  }
}

}  // namespace tinylcm::source
