// History: the last samples as the drift engine saw them, so that an alarm can be explained.
//
// A strip chart of fixed length. Each sample leaves its index, the class it was taken for, and for
// each signal two small marks: where the value ranks among those that were usual (u, 0 to 1, what
// the alarm rests on) and how many of the usual standard deviations it lies off (effect, which does
// not saturate where a rank does). A mark is one byte, a float with 3 bits of mantissa: the mean of
// twenty says more than any of them, and 512 samples of 7 signals are 10 KiB.
//
// Full: the oldest sample makes room. Not thread-safe. No allocation after Create; Add costs a few
// operations a signal.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "tinylcm/drift/sample.h"
#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

class History {
 public:
  struct Options {
    std::uint32_t samples = 512;  // 16 to 65536.
    std::uint32_t classes = 2;
    SignalMask signals = 0;  // Which are kept.
  };

  static base::Result<History> Create(const Options& options);

  // One sample. `u` and `effect` by At(signal); NaN (or a signal that is not kept): not there.
  //
  // REQUIRES: index grows, predicted < classes, u within [0, 1] where it is a number.
  void Add(std::uint64_t index, std::uint16_t predicted, std::span<const float, kSignals> u,
           std::span<const float, kSignals> effect);
  // Forgets all samples.
  void Clear();

  std::size_t size() const { return count_; }
  std::size_t capacity() const { return indices_.size(); }
  std::uint32_t classes() const { return options_.classes; }
  SignalMask signals() const { return options_.signals; }

  // Oldest first. REQUIRES: i < size().
  std::uint64_t index(std::size_t i) const;
  std::uint16_t predicted(std::size_t i) const { return predicted_[Slot(i)]; }
  // The rank, within (0, 1), to about 6 % of the distance to the nearer end; nullopt: not there.
  std::optional<double> rank(std::size_t i, Signal signal) const;
  // The rank as a standard normal number.
  std::optional<double> score(std::size_t i, Signal signal) const;
  // Standard deviations from the class's usual mean, to 6 %, at most 480; nullopt: not there.
  std::optional<double> effect(std::size_t i, Signal signal) const;

  void Write(StateWriter& writer) const;
  // Of a history with the same options. What is refused leaves this one in no certain state: read
  // into a spare one.
  void Read(StateReader& reader);
  void AddTo(OptionsDigest& digest) const;

 private:
  explicit History(const Options& options);
  std::size_t Slot(std::size_t i) const {
    return (next_ + indices_.size() - count_ + i) % indices_.size();
  }
  const std::uint8_t* Mark(const std::vector<std::uint8_t>& marks, std::size_t i,
                           Signal signal) const;

  Options options_;
  std::size_t kept_ = 0;                           // Signals.
  std::array<std::uint8_t, kSignals> place_of_{};  // Of a signal among those kept.
  std::vector<std::uint32_t> indices_;             // The lower half; `last_index_` has the rest.
  std::vector<std::uint16_t> predicted_;
  std::vector<std::uint8_t> ranks_;    // [sample][signal]
  std::vector<std::uint8_t> effects_;  // Likewise.
  std::uint64_t last_index_ = 0;
  std::size_t next_ = 0;
  std::size_t count_ = 0;
};

}  // namespace tinylcm::drift
