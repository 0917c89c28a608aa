// Masks: parts of a picture that nobody shall see: a door, a street, a screen. They are black
// before a picture is kept or sent; what the model sees is not touched.
//
// Regions are shares of the picture, so that they hold at every size the camera is set to.

#pragma once

#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/source/frame.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {

struct MaskRegion {
  double x = 0.0;  // Of the left upper corner; 0: left, 1: right.
  double y = 0.0;
  double width = 0.0;
  double height = 0.0;
  friend bool operator==(const MaskRegion&, const MaskRegion&) = default;
};

// kInvalidArgument unless the region lies inside the picture and is not empty.
base::Status CheckMask(const MaskRegion& region);

// Every pixel that a region touches becomes black. REQUIRES: each region is good (CheckMask).
void ApplyMasks(std::span<const MaskRegion> regions, Image& image);

// Any picture as a JPEG without what the regions cover. Without regions a JPEG stays as it is, bit
// for bit; all else is decoded and encoded anew, which drops whatever else its file carried.
base::Result<base::Bytes> MaskedPicture(const PictureView& picture,
                                        std::span<const MaskRegion> regions, int quality);

}  // namespace tinylcm::source
