#include "tools/tinyscene/stream.h"

#include <algorithm>
#include <chrono>

#include "tools/tinyscene/delivery.h"

namespace tinyscene {
namespace {

using std::chrono::milliseconds;

// How long an ending stream waits for what it still holds to be read.
constexpr milliseconds kLastWait{1000};
// The longest single wait, so that a stop signal which came just before it is seen.
constexpr milliseconds kSlice{200};

class Run {
 public:
  Run(const StreamOptions& options, Output& output, TruthFile* truth, base::Clock& clock)
      : options_(options), output_(output), truth_(truth), clock_(clock) {}

  base::Status Begin(base::ByteView prologue) {
    while (!prologue.empty() && !over()) {
      ASSIGN_OR_RETURN(const Output::Written written, output_.Write(prologue));
      prologue = prologue.subspan(written.bytes);
      gone_ = written.reader_gone;
      if (!prologue.empty()) NoteEvent(output_.Wait(true, kSlice));
    }
    return {};
  }

  // Delivers while waiting for the moment the next shot is due.
  base::Status WaitUntil(base::Duration due) {
    while (!over()) {
      const base::Duration left = due - clock_.Uptime();
      if (left <= milliseconds{0}) break;
      NoteEvent(output_.Wait(!delivery_.idle(), std::min<base::Duration>(left, kSlice)));
      RETURN_IF_ERROR(Pump());
    }
    return {};
  }

  base::Status Push(const Shot& shot, base::ByteView bytes) {
    delivery_.Push(shot, bytes);
    RETURN_IF_ERROR(Pump());
    while (!options_.realtime && !delivery_.idle() && !over()) {
      NoteEvent(output_.Wait(true, kSlice));
      RETURN_IF_ERROR(Pump());
    }
    return {};
  }

  base::Status End() {
    const base::Duration until = clock_.Uptime() + kLastWait;
    while (!delivery_.idle() && !gone_ && clock_.Uptime() < until) {
      NoteEvent(output_.Wait(true, kSlice));
      RETURN_IF_ERROR(Pump());
    }
    delivery_.Abandon();
    RETURN_IF_ERROR(Settle());
    summary_.reader_gone = gone_;
    return {};
  }

  bool over() const { return gone_ || StopRequested(); }
  const StreamSummary& summary() const { return summary_; }

 private:
  void NoteEvent(Output::Event event) { gone_ = gone_ || event == Output::Event::kReaderGone; }

  // Writes as much as fits.
  base::Status Pump() {
    while (!delivery_.idle() && !gone_) {
      ASSIGN_OR_RETURN(const Output::Written written, output_.Write(delivery_.Pending()));
      gone_ = written.reader_gone;
      delivery_.Wrote(written.bytes);
      if (written.bytes == 0) break;
    }
    return Settle();
  }

  base::Status Settle() {
    for (const Shot& shot : delivery_.TakeDecided()) {
      ++(shot.dropped ? summary_.dropped : summary_.delivered);
      if (truth_ != nullptr) RETURN_IF_ERROR(truth_->Append(TruthLine(options_.kind, shot)));
    }
    return {};
  }

  const StreamOptions& options_;
  Output& output_;
  TruthFile* truth_;
  base::Clock& clock_;
  Delivery delivery_;
  StreamSummary summary_;
  bool gone_ = false;
};

}  // namespace

base::Result<StreamSummary> RunStream(const StreamOptions& options, Drawer& drawer,
                                      const std::function<std::optional<Shot>()>& next,
                                      Output& output, TruthFile* truth, base::Clock& clock) {
  CHECK(!options.realtime || options.fps > 0);
  Run run(options, output, truth, clock);
  const std::string prologue = drawer.Prologue();
  RETURN_IF_ERROR(run.Begin(base::AsBytes(prologue)));

  base::Duration start = clock.Uptime();
  std::uint64_t since_start = 0;
  while (!run.over()) {
    if (options.fps > 0) {
      const auto offset = static_cast<double>(since_start) * 1000 / options.fps;
      const base::Duration due = start + milliseconds(static_cast<std::int64_t>(offset));
      RETURN_IF_ERROR(run.WaitUntil(due));
      if (run.over()) break;
      // A stream that fell far behind (a slow reader, a suspended machine) does not catch up in a
      // burst.
      if (clock.Uptime() - due > milliseconds{1000}) {
        start = clock.Uptime();
        since_start = 0;
      }
      ++since_start;
    }
    const std::optional<Shot> shot = next();
    if (!shot) break;
    ASSIGN_OR_RETURN(const base::ByteView bytes, drawer.Draw(*shot));
    RETURN_IF_ERROR(run.Push(*shot, bytes));
  }
  RETURN_IF_ERROR(run.End());
  return run.summary();
}

}  // namespace tinyscene
