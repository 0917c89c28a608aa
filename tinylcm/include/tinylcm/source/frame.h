// Frame: one sample as it came in, and where samples come from.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace tinylcm::source {

enum class PictureFormat : std::uint8_t {
  kCompressed,  // JPEG or PNG, told apart by the first bytes.
  kRgb24,       // 3 bytes a pixel, row by row, no padding.
  kBgr24,       // The same, blue first.
  kGray8,       // 1 byte a pixel.
  kYuv420,      // Planar (I420): Y, then U and V at half the size, odd sides rounded up; BT.601,
                // 16..235, as cameras and ffmpeg's yuv420p give it.
};

// "rgb24", "bgr24", "gray8", "yuv420"; "mjpeg" for kCompressed.
const char* Name(PictureFormat format);
base::Result<PictureFormat> ParsePictureFormat(std::string_view name);

// A picture that lies in somebody else's memory.
struct PictureView {
  base::ByteView bytes;
  PictureFormat format = PictureFormat::kCompressed;
  int width = 0;  // Raw formats only: a compressed picture says it itself.
  int height = 0;
};

// How many bytes a raw picture of that size has. REQUIRES: not kCompressed; positive sides.
std::size_t RawBytes(PictureFormat format, int width, int height);

// A picture or a row of numbers. Exactly one of `picture` and `row` is filled.
struct Frame {
  std::uint64_t index = 0;                    // 0, 1, 2, ... as this source counted them.
  std::optional<std::uint32_t> frame_number;  // The sender's own count, where it sends one.
  base::Time time{};                          // When it was read.
  base::Bytes picture;
  PictureFormat format = PictureFormat::kCompressed;
  int width = 0;  // Raw formats only.
  int height = 0;
  std::vector<float> row;
  std::string label;  // Known only in replay and fit: the CSV's label column or the folder's name.

  PictureView view() const { return {picture, format, width, height}; }
};

struct SourceCounters {
  std::uint64_t frames = 0;    // Handed out, good and bad.
  std::uint64_t skipped = 0;   // Of these: bad, answered with an Error.
  std::uint64_t overflow = 0;  // Dropped unseen because the reader was slower than the sender.
  std::uint64_t restarts = 0;  // How often the camera command was started again.
  std::uint64_t stalls = 0;    // How often it was ended because it gave nothing for too long.
};

// Where samples come from. One thread calls Next.
class Source {
 public:
  virtual ~Source() = default;
  // The next frame. An Error means that this one frame is bad: skip it and go on. nullopt means
  // that nothing came for a while (a live source; ask again) or that it is over: ended() tells.
  virtual base::Result<std::optional<Frame>> Next() = 0;
  // Gives a frame's memory back for frames to come. The same thread as Next; never required.
  virtual void Recycle(Frame&& /*frame*/) {}
  virtual bool ended() const = 0;
  virtual SourceCounters counters() const = 0;
};

}  // namespace tinylcm::source
