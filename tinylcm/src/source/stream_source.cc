#include "tinylcm/source/stream_source.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "base/text.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

namespace {

constexpr base::Duration kPauseSlice{50};
constexpr base::Duration kCameraStall{10'000};
constexpr std::size_t kReturnedMore = 8;

}  // namespace

struct StreamSource::Impl {
  // What came of one opening of the stream.
  struct Opening {
    bool gave_byte = false;
    bool gave_frame = false;
    bool stalled = false;
  };

  Impl(StreamOpener open, std::unique_ptr<Framer> cut, const Options& given, base::Clock& time,
       base::Logger& log)
      : opener(std::move(open)), framer(std::move(cut)), options(given), clock(time), logger(log) {
    options.ring = std::max<std::size_t>(options.ring, 1);
    ring.resize(options.ring);
    returned.reserve(options.ring + kReturnedMore);
  }

  // With `mutex`: the ring, a frame or an error a place.
  base::Result<Frame>& Front() { return *ring[first]; }
  void Push(base::Result<Frame> next) {
    ring[(first + count) % ring.size()] = std::move(next);
    ++count;
  }
  void Pop() {
    first = (first + 1) % ring.size();
    --count;
  }

  void TakeBack() {
    for (Frame& frame : returned) framer->Recycle(std::move(frame));
    returned.clear();
  }

  // Takes what the framer has. False: stop.
  bool Deliver(bool& gave_frame) {
    while (auto next = framer->Next()) {
      const base::Time now = clock.Now();
      std::unique_lock lock(mutex);
      if (options.full == Full::kWait) {
        room.wait(lock, [&] { return stopping || count < ring.size(); });
      } else if (count == ring.size()) {
        if (Front().ok()) framer->Recycle(std::move(Front().value()));
        Pop();
        ++counters.overflow;
      }
      if (stopping) return false;
      TakeBack();
      if (next->ok()) {
        gave_frame = true;
        next->value().time = now;
      }
      Push(std::move(*next));
      arrived.notify_one();
    }
    return true;
  }

  // Reads one opening of the stream until it ends or stalls. False: stop.
  bool ReadToEnd(ByteStream& stream, Opening& opening) {
    base::Duration last_byte = clock.Uptime();
    while (true) {
      {
        const std::lock_guard lock(mutex);
        if (stopping) return false;
        TakeBack();
      }
      const auto got = stream.Read(block, base::Duration(100));
      if (!got.ok()) {
        logger.Warning(base::StrCat("source: ", got.error().message));
        break;
      }
      if (*got > 0) {
        last_byte = clock.Uptime();
        opening.gave_byte = true;
        framer->Take(base::ByteView(block).first(*got));
        if (!Deliver(opening.gave_frame)) return false;
      } else if (stream.ended()) {
        break;
      } else if (options.stall_timeout.count() > 0 &&
                 clock.Uptime() - last_byte >= options.stall_timeout) {
        opening.stalled = true;
        break;
      }
    }
    // A silent camera is the log's matter, an empty file the reader's.
    if (options.reopen && !opening.gave_byte) return true;
    framer->End();
    return Deliver(opening.gave_frame);
  }

  // False: stop.
  bool Pause(base::Duration pause) {
    const base::Duration until = clock.Uptime() + pause;
    std::unique_lock lock(mutex);
    while (!stopping && clock.Uptime() < until) {
      // In slices, for the clock that counts may be another than the one that waits.
      room.wait_for(lock, std::clamp(until - clock.Uptime(), base::Duration(1), kPauseSlice),
                    [&] { return stopping; });
    }
    return !stopping;
  }

  void Run() {
    base::Duration pause = options.pause_min;
    bool is_first = true;
    std::uint32_t tries = 0;  // Since the last frame.
    while (true) {
      Opening opening;
      if (!is_first) framer->Restart();
      is_first = false;
      const base::Duration began = clock.Uptime();
      auto stream = opener();
      if (!stream.ok()) {
        logger.Warning(base::StrCat("source: ", stream.error().message));
        if (!options.reopen) {
          const std::lock_guard lock(mutex);
          Push(stream.error());
          arrived.notify_all();
          break;
        }
      } else if (!ReadToEnd(**stream, opening)) {
        break;
      }
      if (!options.reopen) break;
      if (stream.ok()) stream->reset();  // Ends the command before the pause.
      if (opening.gave_frame) {
        pause = options.pause_min;
        tries = 0;
      }
      ++tries;
      if (opening.stalled) {
        const std::lock_guard lock(mutex);
        ++counters.stalls;
      }
      if (stream.ok()) {
        const std::string fate =
            opening.stalled
                ? base::StrCat("gave nothing for ", base::FormatDuration(options.stall_timeout),
                               " and was ended")
                : base::StrCat("ended after ", base::FormatDuration(clock.Uptime() - began));
        logger.Warning(base::StrCat("source: ", options.name, ": ", fate, "; starting again in ",
                                    base::FormatDuration(pause), ", try ", tries));
      }
      if (!Pause(pause)) break;
      {
        const std::lock_guard lock(mutex);
        ++counters.restarts;
      }
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
  std::vector<std::uint8_t> block = std::vector<std::uint8_t>(64u << 10);  // The thread's.

  mutable std::mutex mutex;  // Guards all below.
  std::condition_variable arrived;
  std::condition_variable room;
  std::vector<std::optional<base::Result<Frame>>> ring;  // `count` of them, from `first` on.
  std::size_t first = 0;
  std::size_t count = 0;
  std::vector<Frame> returned;  // On their way back to the framer.
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
                        [&] { return impl.count > 0 || impl.over || impl.stopping; });
  if (impl.count == 0) return std::optional<Frame>();
  base::Result<Frame> next = std::move(impl.Front());
  impl.Pop();
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
  return impl_->count == 0 && (impl_->over || impl_->stopping);
}

void StreamSource::Recycle(Frame&& frame) {
  const std::lock_guard lock(impl_->mutex);
  if (impl_->returned.size() < impl_->returned.capacity()) {
    impl_->returned.push_back(std::move(frame));
  }
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
  const bool is_images =
      options.kind == StreamOptions::Kind::kMjpeg || options.kind == StreamOptions::Kind::kRaw;
  const bool is_live =
      !options.command.empty() || (options.path != "-" && !IsPlainFile(options.path));
  StreamSource::Options stream;
  stream.ring = options.ring != 0 ? options.ring : is_images ? 4 : 256;
  stream.full = is_live ? StreamSource::Full::kDropOldest : StreamSource::Full::kWait;
  stream.reopen = is_live;
  stream.name = options.command.empty() ? options.path : "\"" + options.command + "\"";
  if (!options.command.empty()) {
    stream.stall_timeout =
        options.stall_timeout.value_or(is_images ? kCameraStall : base::Duration(0));
  }

  RowOptions rows = options.rows;
  if (rows.name == "stdin" && options.path != "-") {
    rows.name = options.path.empty() ? "command" : options.path;
  }
  // Of a file, an error names it; of a camera, what it should have been.
  const bool is_file = !is_live && options.path != "-";
  std::unique_ptr<Framer> framer;
  switch (options.kind) {
    case StreamOptions::Kind::kMjpeg:
      framer = std::make_unique<MjpegSplitter>(MjpegSplitter::Options{
          .frame_bytes_max = options.frame_bytes_max, .name = is_file ? options.path : "mjpeg"});
      break;
    case StreamOptions::Kind::kRaw: {
      ASSIGN_OR_RETURN(framer, RawFramer::Create({.format = options.format,
                                                  .width = options.width,
                                                  .height = options.height,
                                                  .name = is_file ? options.path : "raw frames"}));
      break;
    }
    case StreamOptions::Kind::kCsv:
      framer = std::make_unique<CsvFramer>(std::move(rows));
      break;
    case StreamOptions::Kind::kJsonl:
      framer = std::make_unique<JsonlFramer>(std::move(rows));
      break;
  }

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

  return std::make_unique<StreamSource>(std::move(opener), std::move(framer), stream, clock,
                                        logger);
}

}  // namespace tinylcm::source
