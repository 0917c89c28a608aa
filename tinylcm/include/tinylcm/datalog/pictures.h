// Pictures: which frames' pictures the log keeps, within which budget, and how they lie in a file.
//
//   frame thread: ImageSampler says "this one, because ..."; the frame's bytes are copied
//   writer:       mask, JPEG ─▶ ImageBudget ─▶ Datalog::AppendPicture ─▶ 00000012.tar
//
// A file of pictures is a plain tar that is appended to: `tar xf` reads it, and a torn tail costs
// one picture. docs/formats/datalog.md.

#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "tinylcm/datalog/format.h"
#include "tinylcm/datalog/record.h"

namespace tinylcm::datalog {

enum class ImageReason : std::uint8_t { kDrift, kLowConfidence, kEvery };
const char* Name(ImageReason reason);  // "drift", "low_confidence", "every"

struct ImageOptions {
  std::uint64_t every = 0;                    // One frame in so many; 0: none for this reason.
  std::uint32_t on_drift = 0;                 // So many frames from an alarm on.
  double below_confidence = 0.0;              // Frames answered with less.
  std::uint32_t per_day = 200;                // At most, whatever the reason,
  std::uint64_t bytes_per_day = 16ull << 20;  // ... and as JPEG.

  bool is_off() const { return every == 0 && on_drift == 0 && !(below_confidence > 0.0); }
};

// Not thread-safe: the frame thread's. Allocates nothing.
class ImageSampler {
 public:
  explicit ImageSampler(const ImageOptions& options) : options_(options) {}
  // Why this frame's picture is worth keeping; nullopt: it is not. Of several reasons the rarest.
  std::optional<ImageReason> Wants(const Record& record);

 private:
  ImageOptions options_;
  std::uint32_t drift_left_ = 0;
};

// What may still be kept of a day: the 24 hours before now, by the clock that never jumps, so that
// a wall clock set back opens no second budget. Not thread-safe: the writer's.
class ImageBudget {
 public:
  explicit ImageBudget(const ImageOptions& options) : options_(options) {}
  bool has_room(base::Duration now);
  bool has_room(base::Duration now, std::uint64_t bytes);
  // False where it is spent; nothing is then counted.
  bool Take(base::Duration now, std::uint64_t bytes);

 private:
  struct Kept {
    base::Duration at{};
    std::uint64_t bytes = 0;
  };
  void Forget(base::Duration now);

  ImageOptions options_;
  std::deque<Kept> kept_;  // At most per_day.
  std::uint64_t bytes_ = 0;
};

// "000000012345_drift.jpg"
std::string PictureName(std::uint64_t index, ImageReason reason);

// Appends one picture as a file of pictures holds it. Dated `time`.
void AppendPictureEntry(std::uint64_t index, ImageReason reason, base::Time time,
                        base::ByteView jpeg, std::string& out);

struct PictureEntry {
  std::string name;  // "000000012345_drift.jpg"
  base::Time time{};
  base::ByteView jpeg;
};
// Reads all that is whole, in order.
ReadReport ReadPictures(base::ByteView file,
                        const std::function<void(const PictureEntry&)>& on_picture);

inline constexpr std::string_view kPicturesEnding = ".tar";

}  // namespace tinylcm::datalog
