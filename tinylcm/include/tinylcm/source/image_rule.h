// ImageRule: how a camera's picture becomes the model's input. Stated in the bundle, so that what
// was fitted is what is run.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {

struct ImageRule {
  enum class Resize {
    kCenterCrop,  // The largest centred part of the target's shape, then scaled.
    kLetterbox,   // The whole picture, scaled to fit, the rest filled with 114 (mid grey).
    kStretch,     // The whole picture, its shape not kept.
  };
  int width = 96;
  int height = 96;
  Resize resize = Resize::kCenterCrop;
  // The camera's size, where it is known: another size is an error. 0: any.
  int source_width = 0;
  int source_height = 0;

  friend bool operator==(const ImageRule&, const ImageRule&) = default;
};

const char* Name(ImageRule::Resize resize);  // "center_crop", "letterbox", "stretch"
base::Result<ImageRule::Resize> ParseResize(std::string_view name);

// Keeps its buffers: no allocation once warm. Not thread-safe.
class PictureMaker {
 public:
  struct Options {
    ImageRule rule;
    bool barcode = false;  // Read the frame number a test camera draws beside the picture.
  };
  explicit PictureMaker(const Options& options) : options_(options) {}

  // Any picture -> width x height x 3 bytes of RGB in `picture`. Errors: kCorrupt (the file),
  // kInvalidArgument "80x60, expected 160x120".
  base::Status Make(const PictureView& from, std::vector<std::uint8_t>& picture);

  // The number drawn into the last picture; nullopt without one, or if its CRC is wrong.
  std::optional<std::uint32_t> frame_number() const { return frame_number_; }
  const Image& source() const { return decoded_; }

 private:
  Options options_;
  Image decoded_;
  Image scaled_;
  std::optional<std::uint32_t> frame_number_;
};

// For one picture.
base::Result<std::vector<std::uint8_t>> MakePicture(base::ByteView file, const ImageRule& rule);

}  // namespace tinylcm::source
