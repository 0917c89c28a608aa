// JPEG by libjpeg-turbo.

#include <turbojpeg.h>

#include <memory>

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

}  // namespace

base::Status DecodeJpeg(base::ByteView file, Image& image) {
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
  if (file.empty()) return Error{ErrorCode::kCorrupt, "jpeg: empty"};
  if (tjDecompressHeader3(decoder, file.data(), file.size(), &width, &height, &subsampling,
                          &colours) != 0) {
    return refuse();
  }
  if (width < 1 || height < 1) return Error{ErrorCode::kCorrupt, "jpeg: no picture in it"};
  if (width > kImageSideMax || height > kImageSideMax) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("jpeg: ", width, "x", height, " is larger than ", kImageSideMax)};
  }
  image.rgb.resize(3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  // The accurate transform is the same, bit for bit, in every SIMD variant of the library.
  if (tjDecompress2(decoder, file.data(), file.size(), image.rgb.data(), width, 3 * width, height,
                    TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING) != 0) {
    return refuse();
  }
  image.width = width;
  image.height = height;
  return {};
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
