// Frame: one sample as it came in, and where samples come from.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace tinylcm::source {

// A picture still compressed, or a row of numbers. Exactly one of `jpeg` and `row` is filled.
struct Frame {
  std::uint64_t index = 0;                    // 0, 1, 2, ... as this source counted them.
  std::optional<std::uint32_t> frame_number;  // The sender's own count, where it sends one.
  base::Time time{};                          // When it was read.
  base::Bytes jpeg;                           // JPEG, or PNG from a folder.
  std::vector<float> row;
  std::string label;  // Known only in replay and fit: the CSV's label column or the folder's name.
};

struct SourceCounters {
  std::uint64_t frames = 0;    // Handed out, good and bad.
  std::uint64_t skipped = 0;   // Of these: bad, answered with an Error.
  std::uint64_t overflow = 0;  // Dropped unseen because the reader was slower than the sender.
  std::uint64_t restarts = 0;  // How often the camera command was started again.
};

// Where samples come from. One thread calls Next.
class Source {
 public:
  virtual ~Source() = default;
  // The next frame. An Error means that this one frame is bad: skip it and go on. nullopt means
  // that nothing came for a while (a live source; ask again) or that it is over: ended() tells.
  virtual base::Result<std::optional<Frame>> Next() = 0;
  virtual bool ended() const = 0;
  virtual SourceCounters counters() const = 0;
};

}  // namespace tinylcm::source
