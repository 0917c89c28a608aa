// The way of a JPEG or PNG to the model's input: what the header says is what is decoded, and no
// picture is answered with more or fewer pixels than the model takes.

#include <algorithm>
#include <map>

#include "tests/fuzz/fuzz.h"
#include "tinylcm/source/image.h"
#include "tinylcm/source/image_rule.h"

namespace source = tinylcm::source;

FUZZ(bytes) {
  const source::PictureView view{.bytes = bytes};
  const auto size = source::ReadSize(view);
  if (size.ok()) {
    REQUIRE(size->width > 0 && size->width <= source::kImageSideMax);
    REQUIRE(size->height > 0 && size->height <= source::kImageSideMax);
    // Beyond that only the header is of interest: decoding takes the time of thousands of runs.
    if (size->width * size->height > 1 << 16) return;
  }
  static source::Image image;
  if (source::DecodePicture(view, image).ok()) {
    REQUIRE(size.ok() && image.width == size->width && image.height == size->height);
  }
  // A maker that has seen every picture before answers as a new one.
  using Resize = source::ImageRule::Resize;
  for (const Resize resize : {Resize::kCenterCrop, Resize::kLetterbox, Resize::kStretch}) {
    const source::ImageRule rule{.width = 24, .height = 16, .resize = resize};
    static std::map<Resize, source::PictureMaker> makers;
    const auto maker =
        makers.try_emplace(resize, source::PictureMaker::Options{.rule = rule}).first;
    const auto warm = maker->second.Make(view);
    const auto fresh = source::MakePicture(bytes, rule);
    REQUIRE(warm.ok() == fresh.ok());
    if (!fresh.ok()) continue;
    REQUIRE(fresh->size() == std::size_t{24} * 16 * 3);
    REQUIRE(std::ranges::equal(*fresh, *warm));
  }
}
