// StreamSource: frames from a camera pipe or a stream of rows, read by a thread of its own.
//
// The thread always reads, so a camera's pipe never backs up; frames wait in a small ring, and when
// the ring is full the oldest is dropped and counted.
//
//   command ─▶ bytes ─▶ framer ─▶ ring ─▶ Next ─▶ ... ─▶ Recycle ─▶ framer
//      ▲                  │
//      └── ended, or ended because it gave nothing for too long: again, after a growing pause
//
// Pauses and stalls are measured in uptime: the wall clock may jump.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/logger.h"
#include "tinylcm/source/byte_stream.h"
#include "tinylcm/source/frame.h"
#include "tinylcm/source/framer.h"

namespace tinylcm::source {

// Next, ended and counters may be called from one thread while Stop comes from another.
class StreamSource final : public Source {
 public:
  enum class Full { kDropOldest, kWait };
  struct Options {
    std::size_t ring = 4;
    Full full = Full::kDropOldest;     // kWait for files: nothing is lost, the file waits.
    bool reopen = false;               // Open again when it ends (commands, FIFOs).
    base::Duration pause_min{500};     // Before the first new start; doubles up to pause_max, until
    base::Duration pause_max{30'000};  // a frame came.
    base::Duration stall_timeout{0};   // Ended when it gave no byte for that long; 0: never.
    std::string name = "source";       // For the log: the command or the path.
    base::Duration wait{200};          // Next returns nullopt when nothing came for that long.
  };

  StreamSource(StreamOpener opener, std::unique_ptr<Framer> framer, const Options& options,
               base::Clock& clock, base::Logger& logger);
  ~StreamSource() override;  // Stops and joins the thread.

  base::Result<std::optional<Frame>> Next() override;
  bool ended() const override;
  SourceCounters counters() const override;
  void Recycle(Frame&& frame) override;

  // Makes it end soon; a Next that waits returns.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct StreamOptions {
  enum class Kind { kMjpeg, kRaw, kCsv, kJsonl } kind = Kind::kMjpeg;
  std::string command{};  // Exactly one of command and path; path "-" is stdin.
  std::string path{};
  RowOptions rows{};                             // kCsv, kJsonl.
  std::size_t frame_bytes_max = 4u << 20;        // kMjpeg.
  PictureFormat format = PictureFormat::kRgb24;  // kRaw.
  int width = 0;
  int height = 0;
  // Of a command; 0: never. Rows may rightly be seldom, so only a camera has one unless told.
  std::optional<base::Duration> stall_timeout{};
  std::size_t ring = 0;  // 0: 4 frames of a camera, 256 rows.
};

// The usual ways, put together: a command or FIFO is opened again when it ends and drops the oldest
// frame when the ring is full; a plain file or stdin is read once, at the reader's pace.
base::Result<std::unique_ptr<StreamSource>> OpenStream(const StreamOptions& options,
                                                       base::Clock& clock, base::Logger& logger);

}  // namespace tinylcm::source
