// ImageRule: how a camera's picture becomes the model's input. Stated in the bundle, so that what
// was fitted is what is run.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
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

// What becomes of a picture of a given size: `part` of it is scaled to `inner` of the target. A
// JPEG is decoded at 1/shrink of its size, the least size whose part still has at least inner's
// sides, and `part` is of that; every other picture has shrink 1.
struct ImagePlan {
  int shrink = 1;
  Box part;
  Box inner;

  friend bool operator==(const ImagePlan&, const ImagePlan&) = default;
};
ImagePlan PlanFor(const ImageRule& rule, const PictureSize& size, PictureFormat format,
                  bool is_jpeg);

// Keeps its buffers: no allocation once warm, but for what the JPEG and PNG decoders take and give
// back themselves. Not thread-safe.
class PictureMaker {
 public:
  struct Options {
    ImageRule rule;
    bool barcode = false;  // Read the frame number a test camera draws beside the picture.
  };
  explicit PictureMaker(const Options& options) : options_(options) {}

  // Any picture -> width x height x 3 bytes of RGB, valid until the next call and while `from` is:
  // a raw rgb24 frame of the right size is given back as it is. Errors: kCorrupt (the file),
  // kInvalidArgument "picture is 80x60, expected 160x120".
  base::Result<std::span<const std::uint8_t>> Make(const PictureView& from);
  // The same, copied.
  base::Status Make(const PictureView& from, std::vector<std::uint8_t>& picture);

  // The number drawn into the last picture; nullopt without one, or if its CRC is wrong.
  std::optional<std::uint32_t> frame_number() const { return frame_number_; }
  // The last picture's size as the camera gave it.
  const PictureSize& source_size() const { return source_size_; }

 private:
  base::Status ReadNumber(const PictureView& from);

  Options options_;
  PictureSize source_size_;
  Pixels decoded_;
  Pixels scaled_;
  Image whole_;  // A picture that is not scaled, or a PNG before it is.
  base::Bytes planes_;
  std::vector<std::uint8_t> picture_;
  Box filled_around_;  // Around this part of picture_ the letterbox's bars are drawn already.
  std::optional<std::uint32_t> frame_number_;
};

// For one picture.
base::Result<std::vector<std::uint8_t>> MakePicture(base::ByteView file, const ImageRule& rule);

}  // namespace tinylcm::source
