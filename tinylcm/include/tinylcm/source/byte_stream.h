// ByteStream: bytes from a command, a FIFO, a file or stdin, as they come.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace tinylcm::source {

// One thread reads. Closing it (destruction) ends a command together with its children.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Waits at most `wait` for bytes. 0: none came in time, or it is over: ended() tells.
  virtual base::Result<std::size_t> Read(std::span<std::uint8_t> out, base::Duration wait) = 0;
  virtual bool ended() const = 0;
};

// Opens the stream, again after it has ended.
using StreamOpener = std::function<base::Result<std::unique_ptr<ByteStream>>()>;

// `command` runs under /bin/sh in its own process group; it dies when this process dies, and its
// whole group is ended when the stream is closed. Its stderr is the agent's.
base::Result<std::unique_ptr<ByteStream>> OpenCommand(const std::string& command);

// A file, a FIFO (waits for no writer) or a character device; "-" is stdin.
base::Result<std::unique_ptr<ByteStream>> OpenPath(const std::string& path);

// True if the path is a plain file: it can be read at leisure, so nothing needs to be dropped.
bool IsPlainFile(const std::string& path);

}  // namespace tinylcm::source
