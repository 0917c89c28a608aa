// JPEG by libjpeg-turbo.

#include <turbojpeg.h>

#include <memory>
#include <vector>

#include "base/text.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

namespace {

struct CloseHandle {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Handle = std::unique_ptr<void, CloseHandle>;

// Image and Pixels differ in their bytes a pixel.
template <typename Target>
base::Status Decode(base::ByteView file, int shrink, TJPF format, int pixel_bytes, Target& target,
                    std::vector<std::uint8_t>& pixels) {
  ASSIGN_OR_RETURN(const PictureSize size, ReadSize({.bytes = file}));
  // A new one each time: a decoder keeps tables and error states of earlier files, and a damaged
  // file must not be saved by its predecessor's tables.
  const Handle owner(tjInitDecompress());
  void* const decoder = owner.get();
  if (decoder == nullptr) return Error{ErrorCode::kExhausted, "jpeg: no memory"};
  const auto refuse = [&] {
    return Error{ErrorCode::kCorrupt, base::StrCat("jpeg: ", tjGetErrorStr2(decoder))};
  };
  int width = 0;
  int height = 0;
  int subsampling = 0;
  int colours = 0;
  if (tjDecompressHeader3(decoder, file.data(), file.size(), &width, &height, &subsampling,
                          &colours) != 0) {
    return refuse();
  }
  if (width != size.width || height != size.height) {
    return Error{ErrorCode::kCorrupt, "jpeg: two sizes in its header"};
  }
  width = TJSCALED(width, (tjscalingfactor{1, shrink}));
  height = TJSCALED(height, (tjscalingfactor{1, shrink}));
  pixels.resize(static_cast<std::size_t>(pixel_bytes) * static_cast<std::size_t>(width) *
                static_cast<std::size_t>(height));
  // The accurate transform is the same, bit for bit, in every SIMD variant of the library.
  if (tjDecompress2(decoder, file.data(), file.size(), pixels.data(), width, pixel_bytes * width,
                    height, format, TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING) != 0) {
    return refuse();
  }
  target.width = width;
  target.height = height;
  return {};
}

}  // namespace

base::Status DecodeJpeg(base::ByteView file, Image& image) {
  return Decode(file, 1, TJPF_RGB, 3, image, image.rgb);
}

base::Status DecodeJpeg(base::ByteView file, int shrink, Pixels& pixels) {
  return Decode(file, shrink, TJPF_BGRX, 4, pixels, pixels.bgrx);
}

base::Result<base::Bytes> EncodeJpeg(const Image& image, int quality) {
  const Handle encoder(tjInitCompress());
  if (encoder == nullptr) return Error{ErrorCode::kExhausted, "jpeg: no memory"};
  if (image.width < 1 || image.height < 1 || quality < 1 || quality > 100) {
    return Error{ErrorCode::kInvalidArgument, "jpeg: empty picture or quality outside 1..100"};
  }
  unsigned char* out = nullptr;
  unsigned long size = 0;
  const int result =
      tjCompress2(encoder.get(), image.rgb.data(), image.width, 3 * image.width, image.height,
                  TJPF_RGB, &out, &size, TJSAMP_420, quality, TJFLAG_ACCURATEDCT);
  base::Bytes bytes;
  if (result == 0) bytes.assign(out, out + size);
  tjFree(out);
  if (result != 0) {
    return Error{ErrorCode::kInternal, base::StrCat("jpeg: ", tjGetErrorStr2(encoder.get()))};
  }
  return bytes;
}

}  // namespace tinylcm::source
