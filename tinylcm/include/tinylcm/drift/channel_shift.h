// ChannelShift: which channels moved, by how much, beyond what chance and the mix of classes
// explain.
//
// Each channel has a reference (mean and spread from quiet times) and a short account of what came
// since things were last quiet. A channel is named when its account lies further from the reference
// than the luckiest of all channels would by chance (Bonferroni), and far enough to matter. How
// much chance there is was learned in quiet times too: where samples come in spells of one kind,
// whole spells differ, and an account of one spell proves less than its number of rows. Single wild
// values count for at most three sigma, or a channel that is dark but for a flash now and then
// would be named for two flashes.
//
// Not conditioned on the predicted class on purpose: under drift it is the first thing to be wrong.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

struct MovedChannel {
  std::uint32_t index = 0;
  double shift_sigma = 0.0;  // (mean now - mean before) / sd before.
};

// All that is told of the channels since the change.
struct ChannelFindings {
  std::vector<MovedChannel> moved = {};     // Largest shift first; only those beyond chance.
  std::vector<std::uint32_t> stuck = {};    // Those that stand still although they used to move.
  std::optional<double> spread_ratio = {};  // sd now / sd before, of the channel in the middle.
};

// Not thread-safe. No allocation per row; cost: a few operations a channel.
class ChannelShift {
 public:
  struct Options {
    std::uint32_t channels = 0;            // 0: nothing is watched.
    double error_rate = 0.01;              // Chance to name any channel although none moved.
    double shift_sigma_min = 0.5;          // A smaller shift is the class mix, not the channel.
    std::uint32_t samples_min = 5;         // Nothing is named from fewer rows.
    std::uint64_t reference_max = 10'000;  // The reference stops growing here.
  };

  struct State {
    std::uint64_t reference_count = 0;
    std::vector<double> reference_mean = {};
    std::vector<double> reference_m2;  // Summed squared deviations.
    // Means of successive spells of rows while learning: how alike neighbours in time are.
    std::uint64_t spells = 0;
    std::uint64_t spell_rows = 0;         // Of the spell under way.
    std::vector<double> spell_sum = {};   // Likewise.
    std::vector<double> spell_mean = {};  // Mean of the spells' means ...
    std::vector<double> spell_m2;         // ... and their summed squared deviations.
    std::uint64_t recent_count = 0;
    std::vector<double> recent_sum = {};      // Of (value - reference mean).
    std::vector<double> recent_squares = {};  // Of the same, squared.
    std::vector<double> recent_clipped = {};  // Sum of the same in sigma, each cut at +-3.
    friend bool operator==(const State&, const State&) = default;
  };

  static base::Result<ChannelShift> Create(const Options& options);

  // A row of quiet times straight into the reference (commissioning).
  // REQUIRES: as many values as channels, all finite.
  void Learn(std::span<const float> row);
  // A row of which nobody knows yet: into the recent account.
  void Observe(std::span<const float> row);
  // The recent rows were quiet: moves the account into the reference.
  void Accept();
  // Empties the recent account.
  void Discard();
  void Reset();

  // The channels that moved, largest shift first. Allocates: not for the frame path.
  std::vector<MovedChannel> Moved() const;
  // Those, and what else is to be told of the recent rows. Allocates: not for the frame path.
  ChannelFindings Findings() const;

  std::uint64_t recent_count() const { return state_.recent_count; }
  const State& state() const { return state_; }
  base::Status Restore(const State& state);  // Refuses other sizes; then nothing changed.

  void Write(StateWriter& writer) const;
  // Of one with the same options. What is refused leaves this one in no certain state: read into a
  // spare one.
  void Read(StateReader& reader);
  void AddTo(OptionsDigest& digest) const;

 private:
  explicit ChannelShift(const Options& options);
  double Likeness() const;  // The correlation of two rows of a spell, on average; at least 0.
  void SettleScale();       // After the reference changed: the spreads and their floor.

  Options options_;
  State state_;
  std::vector<double> scale_;         // sd a channel, not below the floor.
  std::vector<double> scale_sorted_;  // Scratch for the median.
  bool scale_is_stale_ = true;
};

// "channels 16 to 31", "channels 3, 7 and 9 to 12"; empty for none.
std::string DescribeChannels(std::vector<std::uint32_t> indices);

}  // namespace tinylcm::drift
