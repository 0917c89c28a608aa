// FrameLoop: what the frame thread does, a frame a step: takes it from the source, answers it, and
// hands on what others need of it.
//
//   source ─▶ FramePath ─▶ monitor            counted in place
//     ▲           ├──────▶ Record  ─▶ ring ─▶ main thread: the log
//     │           ├──────▶ picture ─▶ ring ─▶ main thread: some of them, as the log's policy says
//     │           └──────▶ Seen    ─▶ ring ─▶ control thread: drift, quarantine
//     └── buffers ◀── the frame, at once or when the control thread has used it
//
// Once warm a step takes nothing from the heap and waits for nobody but the source. A ring that is
// full costs a line of the log or a look of the control thread, counted, never an answer; only an
// alarm is kept until there is room.

#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "agent/handover.h"
#include "base/clock.h"
#include "base/logger.h"
#include "tinylcm/datalog/pictures.h"
#include "tinylcm/datalog/record.h"
#include "tinylcm/monitor/monitor.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/source/frame.h"

namespace agent {

// A picture the log asked for; its buffer serves again.
struct LoggedPicture {
  tinylcm::datalog::Record record;
  tinylcm::datalog::ImageReason reason = tinylcm::datalog::ImageReason::kEvery;
  base::Bytes bytes;
  tinylcm::source::PictureFormat format = tinylcm::source::PictureFormat::kCompressed;
  int width = 0;
  int height = 0;
};

// What the frame thread shares with the two that take from it.
struct FrameRings {
  static constexpr std::uint32_t kSeen = 128;
  static constexpr std::uint32_t kRecords = 2048;
  static constexpr std::uint32_t kReturned = 8;
  static constexpr std::uint32_t kPictures = 4;
  // Of frames on their way to the control thread; beyond it an answer goes without its frame.
  static constexpr std::size_t kSeenBytesMax = 4u << 20;

  // Control thread, once for each `seen` it has used: its frame's buffer goes back to the source.
  void GiveBack(tinylcm::pipeline::Seen& seen);

  Handover<tinylcm::pipeline::Seen> seen{kSeen};
  Handover<tinylcm::datalog::Record> records{kRecords};
  Handover<tinylcm::source::Frame> returned{kReturned};
  Handover<LoggedPicture> pictures{kPictures};
  std::atomic<bool> takes_pictures{true};            // The day's budget is not spent.
  std::atomic<std::uint64_t> pictures_not_taken{0};  // There was no room for them.
  std::atomic<std::size_t> seen_bytes{0};
  // That the control thread has not used yet. Until then it cannot want what comes after, so that
  // goes whole.
  std::atomic<std::uint32_t> alarms{0};
  // Answers the control thread had no room for: it got them not at all, or without the frame it
  // wanted. Each once.
  std::atomic<std::uint64_t> not_watched{0};
};

// One thread steps.
class FrameLoop {
 public:
  struct Options {
    std::uint32_t log_every = 1;  // Every which answer is logged; 0: none.
    tinylcm::datalog::ImageOptions images{};
  };
  // All must outlive it.
  struct Parts {
    tinylcm::source::Source* source = nullptr;
    tinylcm::pipeline::FramePath* path = nullptr;
    tinylcm::monitor::Monitor* monitor = nullptr;
    FrameRings* rings = nullptr;
    base::Clock* clock = nullptr;
    base::Logger* logger = nullptr;
    std::function<bool()> wants_frames;  // Does the control thread want them whole?
  };

  FrameLoop(const Options& options, Parts parts)
      : options_(options), parts_(std::move(parts)), sampler_(options.images) {}

  void SetLogEvery(std::uint32_t every) { options_.log_every = every; }

  // Waits for the next frame as long as the source does. False: there will be none.
  bool Step();

  // After the last step: hands an alarm on that has waited for room. False: there still is none.
  bool HandOnAlarm();

 private:
  void Skipped(const base::Error& error);
  void Log(const tinylcm::pipeline::Seen& seen, const tinylcm::source::Frame& frame);
  void HandOn(tinylcm::pipeline::Seen& seen, tinylcm::source::Frame& frame);

  Options options_;
  Parts parts_;
  tinylcm::datalog::ImageSampler sampler_;
  tinylcm::pipeline::Seen spare_;                 // Filled where there is no slot.
  std::optional<tinylcm::pipeline::Seen> alarm_;  // Must not be lost.
  std::optional<base::Duration> last_warning_;
  bool has_answered_ = false;
};

}  // namespace agent
