// The size in a picture's header, found without a decoder.

#include "base/text.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

namespace {

// ISO 10918-1, B.1.1.3: the frame headers SOF0 .. SOF15, without DHT, JPG and DAC, which lie among
// them.
bool IsFrameHeader(std::uint8_t marker) {
  return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

int BigEndian16(base::ByteView bytes, std::size_t at) { return bytes[at] << 8 | bytes[at + 1]; }

base::Result<PictureSize> ReadJpegSize(base::ByteView file) {
  const auto refuse = [](const char* reason) {
    return Error{ErrorCode::kCorrupt, base::StrCat("jpeg: ", reason)};
  };
  if (file.empty()) return refuse("empty");
  if (file.size() < 4 || file[0] != 0xff || file[1] != 0xd8) return refuse("not a JPEG");
  std::size_t at = 2;
  while (true) {
    while (at + 1 < file.size() && file[at] == 0xff && file[at + 1] == 0xff) ++at;  // Fill bytes.
    if (at + 4 > file.size()) return refuse("cut short in its header");
    if (file[at] != 0xff) return refuse("torn header");
    const std::uint8_t marker = file[at + 1];
    if (marker == 0xd9 || marker == 0xda) return refuse("no picture in it");
    const auto length = static_cast<std::size_t>(BigEndian16(file, at + 2));
    if (marker == 0x00 || marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8) || length < 2) {
      return refuse("torn header");
    }
    if (IsFrameHeader(marker)) {
      // Length, precision, height, width.
      if (at + 9 > file.size()) return refuse("cut short in its header");
      return PictureSize{BigEndian16(file, at + 7), BigEndian16(file, at + 5)};
    }
    at += 2 + length;
  }
}

base::Result<PictureSize> ReadPngSize(base::ByteView file) {
  // Signature, then the chunk IHDR: length, name, width, height, all of it 4 bytes each.
  if (file.size() < 33) return Error{ErrorCode::kCorrupt, "png: cut short in its header"};
  if (base::AsText(file.subspan(12, 4)) != "IHDR") {
    return Error{ErrorCode::kCorrupt, "png: torn header"};
  }
  PictureSize size;
  // What does not fit 16 bits is too large in any case.
  size.width = BigEndian16(file, 16) != 0 ? 0xffff : BigEndian16(file, 18);
  size.height = BigEndian16(file, 20) != 0 ? 0xffff : BigEndian16(file, 22);
  return size;
}

base::Status CheckLimits(const char* what, const PictureSize& size) {
  if (size.width < 1 || size.height < 1) {
    return Error{ErrorCode::kCorrupt, base::StrCat(what, ": no picture in it")};
  }
  if (size.width > kImageSideMax || size.height > kImageSideMax) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat(what, ": a side is longer than ", kImageSideMax, " pixels")};
  }
  if (size.width * size.height > kImagePixelsMax) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat(what, ": ", size.width, "x", size.height, " is more than ",
                              kImagePixelsMax, " pixels")};
  }
  return {};
}

}  // namespace

bool IsPng(base::ByteView file) {
  return file.size() >= 4 && file[0] == 0x89 && file[1] == 'P' && file[2] == 'N' && file[3] == 'G';
}

base::Result<PictureSize> ReadSize(const PictureView& picture) {
  if (picture.format == PictureFormat::kCompressed) {
    const bool is_png = IsPng(picture.bytes);
    ASSIGN_OR_RETURN(const PictureSize size,
                     is_png ? ReadPngSize(picture.bytes) : ReadJpegSize(picture.bytes));
    RETURN_IF_ERROR(CheckLimits(is_png ? "png" : "jpeg", size));
    return size;
  }
  const PictureSize size{picture.width, picture.height};
  RETURN_IF_ERROR(CheckLimits("raw frame", size));
  const std::size_t bytes = RawBytes(picture.format, size.width, size.height);
  if (picture.bytes.size() != bytes) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("raw frame: ", picture.bytes.size(), " bytes, expected ", bytes,
                              " for ", size.width, "x", size.height, " ", Name(picture.format))};
  }
  return size;
}

}  // namespace tinylcm::source
