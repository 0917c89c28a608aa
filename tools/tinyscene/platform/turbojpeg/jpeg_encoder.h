// JpegEncoder: an RGB picture -> JPEG, as a camera's MJPEG stream has it (4:2:0).

#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/result.h"

namespace tinyscene {

// Not thread-safe. The buffer of the last picture is used again.
class JpegEncoder {
 public:
  JpegEncoder();
  ~JpegEncoder();
  JpegEncoder(const JpegEncoder&) = delete;
  JpegEncoder& operator=(const JpegEncoder&) = delete;

  // The result is valid until the next call. REQUIRES: rgb.size() == 3 * width * height.
  base::Result<base::ByteView> Encode(std::span<const std::uint8_t> rgb, int width, int height,
                                      int quality);

 private:
  void* handle_;
  unsigned char* buffer_ = nullptr;
  unsigned long capacity_ = 0;
};

}  // namespace tinyscene
