// Record: what the log keeps of one answered frame, as plain numbers.
//
//   frame thread: fills one, copies it into a ring ─▶ writer's thread: label's name, digits, file
//
// No part of it lies on the heap, so handing it over allocates nothing; 72 bytes.

#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>

#include "base/clock.h"
#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::datalog {

struct Record {
  std::uint64_t index = 0;       // Which inference of this device; goes on across restarts.
  std::uint64_t adaptation = 0;  // Revision of what answered; 0 for the bundle alone.
  base::Time time{};
  std::optional<std::uint32_t> frame_number;  // The sender's own count, where it sends one.
  std::uint32_t bundle = 0;  // Counts the bundles that answered since the start: whose labels.
  std::uint16_t label = 0;   // Index among that bundle's labels; one beyond them is "unknown".
  drift::DriftSignal signal = drift::DriftSignal::kSteady;
  float confidence = 0.0f;
  float distance = 0.0f;
  // Microseconds: the whole frame, and of it each stage.
  float total_us = 0.0f;
  float decode_us = 0.0f;
  float model_us = 0.0f;
  float classify_us = 0.0f;

  friend bool operator==(const Record&, const Record&) = default;
};

static_assert(std::is_trivially_copyable_v<Record>);
static_assert(sizeof(Record) <= 80);

}  // namespace tinylcm::datalog
