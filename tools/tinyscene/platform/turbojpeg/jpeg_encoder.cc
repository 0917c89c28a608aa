#include "tools/tinyscene/platform/turbojpeg/jpeg_encoder.h"

#include <turbojpeg.h>

#include <cstddef>
#include <string>

#include "base/check.h"

namespace tinyscene {

JpegEncoder::JpegEncoder() : handle_(tjInitCompress()) { CHECK(handle_ != nullptr); }

JpegEncoder::~JpegEncoder() {
  tjFree(buffer_);
  tjDestroy(handle_);
}

base::Result<base::ByteView> JpegEncoder::Encode(std::span<const std::uint8_t> rgb, int width,
                                                 int height, int quality) {
  CHECK(rgb.size() == static_cast<std::size_t>(3 * width * height));
  if (buffer_ == nullptr) {
    capacity_ = tjBufSize(width, height, TJSAMP_420);
    buffer_ = tjAlloc(static_cast<int>(capacity_));
    CHECK(buffer_ != nullptr);
  }
  unsigned long size = capacity_;
  // The accurate transform is the same in plain and in vector code, so the bytes are the same on
  // every machine; the fast one is not.
  if (tjCompress2(handle_, rgb.data(), width, 0, height, TJPF_RGB, &buffer_, &size, TJSAMP_420,
                  quality, TJFLAG_ACCURATEDCT) != 0) {
    return base::Error{base::ErrorCode::kInternal, std::string("jpeg: ") + tjGetErrorStr2(handle_)};
  }
  capacity_ = capacity_ > size ? capacity_ : size;
  return base::ByteView(buffer_, size);
}

}  // namespace tinyscene
