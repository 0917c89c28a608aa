#include <algorithm>
#include <utility>

#include "base/text.h"
#include "tinylcm/source/framer.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

base::Result<std::unique_ptr<RawFramer>> RawFramer::Create(const Options& options) {
  if (options.format == PictureFormat::kCompressed) {
    return Error{ErrorCode::kInvalidArgument, "raw frames: mjpeg is no raw format"};
  }
  if (options.width < 1 || options.height < 1 || options.width > kImageSideMax ||
      options.height > kImageSideMax || options.width * options.height > kImagePixelsMax) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("raw frames: width and height are needed, at most ", kImageSideMax,
                              " a side and ", kImagePixelsMax, " pixels, not ", options.width, "x",
                              options.height)};
  }
  return std::unique_ptr<RawFramer>(
      new RawFramer(options, RawBytes(options.format, options.width, options.height)));
}

RawFramer::RawFramer(const Options& options, std::size_t frame_bytes)
    : options_(options), frame_bytes_(frame_bytes) {}

void RawFramer::Take(base::ByteView bytes) {
  if (next_ == whole_.size()) {
    whole_.clear();
    next_ = 0;
  }
  while (!bytes.empty()) {
    if (partial_.picture.empty()) {
      partial_ = Blank();
      partial_.picture.reserve(frame_bytes_);
      partial_.format = options_.format;
      partial_.width = options_.width;
      partial_.height = options_.height;
    }
    const std::size_t count = std::min(bytes.size(), frame_bytes_ - partial_.picture.size());
    partial_.picture.insert(partial_.picture.end(), bytes.begin(),
                            bytes.begin() + static_cast<std::ptrdiff_t>(count));
    bytes = bytes.subspan(count);
    if (partial_.picture.size() == frame_bytes_) {
      whole_.push_back(std::move(partial_));
      partial_ = {};
    }
  }
}

void RawFramer::End() { ended_ = true; }

void RawFramer::Restart() {
  whole_.clear();
  next_ = 0;
  partial_ = {};
  ended_ = false;
  gave_any_ = false;
}

std::optional<base::Result<Frame>> RawFramer::Next() {
  if (next_ < whole_.size()) {
    gave_any_ = true;
    return base::Result<Frame>(std::move(whole_[next_++]));
  }
  const std::size_t had = partial_.picture.size();
  if (ended_ && had > 0) {
    gave_any_ = true;
    partial_ = {};
    return Error{ErrorCode::kCorrupt, base::StrCat(options_.name, ": the last frame is cut short, ",
                                                   had, " of ", frame_bytes_, " bytes")};
  }
  if (ended_ && !gave_any_) {
    gave_any_ = true;
    return Error{ErrorCode::kInvalidArgument, options_.name + ": is empty"};
  }
  return std::nullopt;
}

}  // namespace tinylcm::source
