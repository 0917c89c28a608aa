#include "tinylcm/source/stream_source.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

struct StreamSource::Impl {
  Impl(StreamOpener open, std::unique_ptr<Framer> cut, const Options& given, base::Clock& time,
       base::Logger& log)
      : opener(std::move(open)), framer(std::move(cut)), options(given), clock(time), logger(log) {
    options.ring = std::max<std::size_t>(options.ring, 1);
  }

  // Takes what the framer has. False: stop.
  bool Deliver(bool& gave_frame) {
    while (auto next = framer->Next()) {
      const base::Time now = clock.Now();
      std::unique_lock lock(mutex);
      if (options.full == Full::kWait) {
        room.wait(lock, [&] { return stopping || ring.size() < options.ring; });
      } else if (ring.size() >= options.ring) {
        ring.pop_front();
        ++counters.overflow;
      }
      if (stopping) return false;
      if (next->ok()) {
        gave_frame = true;
        next->value().time = now;
      }
      ring.push_back(std::move(*next));
      arrived.notify_one();
    }
    return true;
  }

  // Reads one opening of the stream until it ends. False: stop.
  bool ReadToEnd(ByteStream& stream, bool& gave_frame) {
    std::vector<std::uint8_t> block(64u << 10);
    while (true) {
      {
        const std::lock_guard lock(mutex);
        if (stopping) return false;
      }
      const auto count = stream.Read(block, base::Duration(100));
      if (!count.ok()) {
        logger.Warning(base::StrCat("source: ", count.error().message));
        break;
      }
      if (*count > 0) {
        framer->Take(base::ByteView(block).first(*count));
        if (!Deliver(gave_frame)) return false;
      } else if (stream.ended()) {
        break;
      }
    }
    framer->End();
    return Deliver(gave_frame);
  }

  void Run() {
    base::Duration pause = options.pause_min;
    bool first = true;
    while (true) {
      bool gave_frame = false;
      if (!first) framer->Restart();
      first = false;
      auto stream = opener();
      if (!stream.ok()) {
        logger.Warning(base::StrCat("source: ", stream.error().message));
        if (!options.reopen) {
          const std::lock_guard lock(mutex);
          ring.push_back(stream.error());
          arrived.notify_all();
          break;
        }
      } else if (!ReadToEnd(**stream, gave_frame)) {
        break;
      }
      if (!options.reopen) break;
      if (stream.ok()) stream->reset();  // Ends the command before the pause.
      if (gave_frame) pause = options.pause_min;
      logger.Info(base::StrCat("source: ended; starting again in ", base::FormatDuration(pause)));
      std::unique_lock lock(mutex);
      if (room.wait_for(lock, pause, [&] { return stopping; })) break;
      ++counters.restarts;
      pause = std::min(pause * 2, options.pause_max);
    }
    const std::lock_guard lock(mutex);
    over = true;
    arrived.notify_all();
  }

  StreamOpener opener;
  std::unique_ptr<Framer> framer;  // The thread's.
  Options options;
  base::Clock& clock;
  base::Logger& logger;

  mutable std::mutex mutex;  // Guards all below.
  std::condition_variable arrived;
  std::condition_variable room;
  std::deque<base::Result<Frame>> ring;
  SourceCounters counters;
  std::uint64_t index = 0;
  bool stopping = false;
  bool over = false;

  std::thread thread;
};

StreamSource::StreamSource(StreamOpener opener, std::unique_ptr<Framer> framer,
                           const Options& options, base::Clock& clock, base::Logger& logger)
    : impl_(std::make_unique<Impl>(std::move(opener), std::move(framer), options, clock, logger)) {
  impl_->thread = std::thread([impl = impl_.get()] { impl->Run(); });
}

StreamSource::~StreamSource() {
  Stop();
  impl_->thread.join();
}

void StreamSource::Stop() {
  const std::lock_guard lock(impl_->mutex);
  impl_->stopping = true;
  impl_->arrived.notify_all();
  impl_->room.notify_all();
}

base::Result<std::optional<Frame>> StreamSource::Next() {
  Impl& impl = *impl_;
  std::unique_lock lock(impl.mutex);
  impl.arrived.wait_for(lock, impl.options.wait,
                        [&] { return !impl.ring.empty() || impl.over || impl.stopping; });
  if (impl.ring.empty()) return std::optional<Frame>();
  base::Result<Frame> next = std::move(impl.ring.front());
  impl.ring.pop_front();
  impl.room.notify_one();
  ++impl.counters.frames;
  const std::uint64_t index = impl.index++;
  if (!next.ok()) {
    ++impl.counters.skipped;
    return next.error();
  }
  next->index = index;
  return std::optional<Frame>(std::move(next).value());
}

bool StreamSource::ended() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->ring.empty() && (impl_->over || impl_->stopping);
}

SourceCounters StreamSource::counters() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->counters;
}

base::Result<std::unique_ptr<StreamSource>> OpenStream(const StreamOptions& options,
                                                       base::Clock& clock, base::Logger& logger) {
  if (options.command.empty() == options.path.empty()) {
    return Error{ErrorCode::kInvalidArgument, "source: exactly one of command and path is needed"};
  }
  const bool is_images = options.kind == StreamOptions::Kind::kMjpeg;
  const bool is_live =
      !options.command.empty() || (options.path != "-" && !IsPlainFile(options.path));
  StreamSource::Options stream;
  stream.ring = options.ring != 0 ? options.ring : is_images ? 4 : 256;
  stream.full = is_live ? StreamSource::Full::kDropOldest : StreamSource::Full::kWait;
  stream.reopen = is_live;

  StreamOpener opener;
  if (!options.command.empty()) {
    opener = [command = options.command] { return OpenCommand(command); };
  } else {
    // A path that cannot be read is the caller's mistake, said now and not by the thread.
    auto opened = OpenPath(options.path);
    if (!opened.ok()) return opened.error();
    opener = [path = options.path,
              held = std::make_shared<std::unique_ptr<ByteStream>>(
                  std::move(opened).value())]() -> base::Result<std::unique_ptr<ByteStream>> {
      if (*held) return std::move(*held);
      return OpenPath(path);
    };
  }

  RowOptions rows = options.rows;
  if (rows.name == "stdin" && options.path != "-") {
    rows.name = options.path.empty() ? "command" : options.path;
  }
  std::unique_ptr<Framer> framer;
  switch (options.kind) {
    case StreamOptions::Kind::kMjpeg:
      framer = std::make_unique<MjpegSplitter>(
          MjpegSplitter::Options{.frame_bytes_max = options.frame_bytes_max});
      break;
    case StreamOptions::Kind::kCsv:
      framer = std::make_unique<CsvFramer>(std::move(rows));
      break;
    case StreamOptions::Kind::kJsonl:
      framer = std::make_unique<JsonlFramer>(std::move(rows));
      break;
  }
  return std::make_unique<StreamSource>(std::move(opener), std::move(framer), stream, clock,
                                        logger);
}

}  // namespace tinylcm::source
