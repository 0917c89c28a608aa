#include "tinylcm/source/framer.h"

#include <utility>

namespace tinylcm::source {

namespace {

constexpr std::size_t kSparesMax = 16;

}  // namespace

Framer::Framer() { spares_.reserve(kSparesMax); }

void Framer::Recycle(Frame&& frame) {
  if (spares_.size() < kSparesMax) spares_.push_back(std::move(frame));
}

Frame Framer::Blank() {
  if (spares_.empty()) return {};
  Frame frame = std::move(spares_.back());
  spares_.pop_back();
  frame.index = 0;
  frame.frame_number.reset();
  frame.time = {};
  frame.picture.clear();
  frame.format = PictureFormat::kCompressed;
  frame.width = 0;
  frame.height = 0;
  frame.row.clear();
  frame.label.clear();
  return frame;
}

}  // namespace tinylcm::source
