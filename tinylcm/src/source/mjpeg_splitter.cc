#include <cstring>
#include <utility>

#include "base/text.h"
#include "tinylcm/source/framer.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint8_t kStartOfImage = 0xd8;
constexpr std::uint8_t kEndOfImage = 0xd9;
constexpr std::uint8_t kStartOfScan = 0xda;

bool IsRestart(std::uint8_t marker) { return marker >= 0xd0 && marker <= 0xd7; }

}  // namespace

void MjpegSplitter::Take(base::ByteView bytes) {
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

void MjpegSplitter::End() { ended_ = true; }

void MjpegSplitter::Restart() {
  buffer_.clear();
  position_ = 0;
  state_ = State::kSeek;
  ended_ = false;
  gave_any_ = false;
}

void MjpegSplitter::Drop(std::size_t count) {
  buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(count));
  position_ = 0;
  state_ = State::kSeek;
}

Error MjpegSplitter::Fail(const std::string& reason, std::size_t drop) {
  Drop(drop);
  gave_any_ = true;
  return {ErrorCode::kCorrupt, options_.name + ": " + reason};
}

std::optional<base::Result<Frame>> MjpegSplitter::Next() {
  // Said as soon as the two bytes of an end no longer fit, whatever has come of the rest, so that
  // the answer does not depend on how the stream was torn.
  const std::size_t most = options_.frame_bytes_max;
  const auto too_large = [&](std::size_t drop) {
    return Fail(base::StrCat("frame is larger than ", most, " bytes"), drop);
  };
  const std::size_t walked = most < 3 ? 2 : most - 1;
  while (true) {
    const std::size_t size = buffer_.size();
    switch (state_) {
      case State::kSeek: {
        std::size_t start = 0;
        while (start + 1 < size && !(buffer_[start] == 0xff && buffer_[start + 1] == kStartOfImage))
          ++start;
        if (start + 1 >= size) {
          // A last 0xff may be the first half of a start.
          const std::size_t keep = !ended_ && size > 0 && buffer_[size - 1] == 0xff ? 1 : 0;
          garbage_ += size - keep;
          Drop(size - keep);
          if (ended_ && !gave_any_) {
            return Fail(garbage_ == 0 ? "is empty" : "no picture in it", 0);
          }
          return std::nullopt;
        }
        garbage_ += start;
        Drop(start);
        position_ = 2;
        state_ = State::kMarker;
        break;
      }
      case State::kMarker: {
        // Fill bytes (0xff 0xff) may stand before a marker.
        while (position_ + 1 < size && buffer_[position_] == 0xff && buffer_[position_ + 1] == 0xff)
          ++position_;
        if (position_ + 2 > most) return too_large(walked);
        if (position_ + 1 >= size) {
          if (position_ < size && buffer_[position_] != 0xff) return Fail("torn header", 2);
          if (ended_) return Fail("cut short", size);
          return std::nullopt;
        }
        if (buffer_[position_] != 0xff) return Fail("torn header", 2);
        const std::uint8_t marker = buffer_[position_ + 1];
        if (marker == kStartOfImage) return Fail("runs into the next frame", position_);
        if (marker == kEndOfImage) return Fail("ends before it has a picture", position_ + 2);
        if (IsRestart(marker) || marker == 0x01 || marker == 0x00) return Fail("torn header", 2);
        state_ = State::kSegment;
        break;
      }
      case State::kSegment: {
        if (position_ + 4 > size) {
          if (ended_) return Fail("cut short", size);
          return std::nullopt;
        }
        const std::size_t length = static_cast<std::size_t>(buffer_[position_ + 2]) << 8 |
                                   static_cast<std::size_t>(buffer_[position_ + 3]);
        if (length < 2) return Fail("torn header", 2);
        const std::size_t next = position_ + 2 + length;
        if (next + 2 > most) return too_large(position_ + 4);
        if (next > size) {
          if (ended_) return Fail("cut short", 2);
          return std::nullopt;
        }
        state_ = buffer_[position_ + 1] == kStartOfScan ? State::kScan : State::kMarker;
        position_ = next;
        break;
      }
      case State::kScan: {
        const void* const found =
            position_ < size ? std::memchr(buffer_.data() + position_, 0xff, size - position_)
                             : nullptr;
        position_ = found == nullptr
                        ? size
                        : static_cast<std::size_t>(static_cast<const std::uint8_t*>(found) -
                                                   buffer_.data());
        if (position_ + 2 > most) return too_large(walked);
        if (position_ + 1 >= size) {
          if (ended_) return Fail("cut short", size);
          return std::nullopt;
        }
        const std::uint8_t marker = buffer_[position_ + 1];
        if (marker == 0x00 || IsRestart(marker)) {
          position_ += 2;
        } else if (marker == 0xff) {
          position_ += 1;
        } else if (marker == kEndOfImage) {
          const std::size_t bytes = position_ + 2;
          Frame frame = Blank();
          frame.picture.assign(buffer_.begin(),
                               buffer_.begin() + static_cast<std::ptrdiff_t>(bytes));
          Drop(bytes);
          gave_any_ = true;
          return base::Result<Frame>(std::move(frame));
        } else if (marker == kStartOfImage) {
          return Fail("runs into the next frame", position_);
        } else {
          state_ = State::kMarker;  // A progressive picture has several scans.
        }
        break;
      }
    }
  }
}

}  // namespace tinylcm::source
