// Output: where a stream goes: standard output, a FIFO or a file. Never blocks in a write; a reader
// that has gone is an answer, not a signal.

#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace tinyscene {

// Not thread-safe.
class Output {
 public:
  struct Options {
    std::string path;         // "-" is standard output. A FIFO waits here for its reader.
    bool small_pipe = false;  // As little room in the pipe as the system allows (one page).
  };
  static base::Result<std::unique_ptr<Output>> Open(const Options& options);
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  struct Written {
    std::size_t bytes = 0;
    bool reader_gone = false;
  };
  // As much as fits now; perhaps nothing.
  base::Result<Written> Write(base::ByteView bytes);

  enum class Event { kWritable, kTimeout, kReaderGone };
  // Waits until there is room (only if `for_room`), the reader has gone, a signal came or the time
  // is over.
  Event Wait(bool for_room, base::Duration timeout);

 private:
  Output(int fd, bool owned) : fd_(fd), owned_(owned) {}
  int fd_;
  bool owned_;
  int flags_before_ = 0;
};

// From here on SIGPIPE is ignored, and SIGTERM and SIGINT only make StopRequested() true.
void TakeSignals();
bool StopRequested();

}  // namespace tinyscene
