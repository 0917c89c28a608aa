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
//
// Rows are counted in three accounts: the reference; the rows of the last moments before an alarm,
// which join the reference a block at a time while all is quiet; and those since the alarm, all of
// which are changed. Beside them each channel remembers for how long it has stood still, and for
// how long it ever did in quiet times: a channel that stands still for much longer is stuck.

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
  std::vector<MovedChannel> moved = {};   // Largest shift first; only those beyond chance.
  std::vector<std::uint32_t> stuck = {};  // Those that stand still although they used to move.
  // Of the channels looked at, how many there are and how many scatter more than before, beyond
  // chance and by 30 % at least.
  std::uint32_t looked_at = 0;
  std::uint32_t scattered = 0;
};

// Not thread-safe. No allocation per row; cost: a few operations a channel. State: 36 bytes a
// channel.
class ChannelShift {
 public:
  struct Options {
    std::uint32_t channels = 0;            // 0: nothing is watched.
    double error_rate = 0.01;              // Chance to name any channel although none moved.
    double shift_sigma_min = 0.5;          // A smaller shift is the class mix, not the channel.
    std::uint32_t samples_min = 5;         // Nothing is named from fewer rows.
    std::uint64_t reference_max = 10'000;  // The reference stops growing here.
    std::uint32_t block = 16;              // Quiet rows that join the reference together.
  };

  static base::Result<ChannelShift> Create(const Options& options);

  // A row of quiet times straight into the reference (commissioning).
  // REQUIRES: as many values as channels, all finite; nothing was observed since Reset.
  void Learn(std::span<const float> row);
  // A row of which nobody knows yet. The first one ends the learning.
  void Observe(std::span<const float> row);
  // All is quiet as of now: what was observed joins the reference as soon as it is a block.
  void Accept();
  // From here on rows are changed ones, and counted by themselves.
  void Alarm();
  // Empties the accounts of what was observed; the reference stays.
  void Discard();
  void Reset();

  // The channels that moved, largest shift first: by the rows since the alarm once they are some,
  // before by the last ones too. Allocates: not for the frame path.
  std::vector<MovedChannel> Moved() const;
  // Those, and what else is to be told. Allocates likewise.
  ChannelFindings Findings() const;

  // Rows that were observed and are not part of the reference.
  std::uint64_t recent_count() const { return before_.count + after_.count; }
  std::uint64_t reference_count() const { return reference_count_; }
  double reference_mean(std::size_t channel) const { return static_cast<double>(mean_[channel]); }
  double reference_sd(std::size_t channel) const;

  void Write(StateWriter& writer) const;
  // Of one with the same options. What is refused leaves this one in no certain state: read into a
  // spare one.
  void Read(StateReader& reader);
  void AddTo(OptionsDigest& digest) const;

 private:
  // Sums of (value - reference mean), a channel.
  struct Account {
    std::uint32_t count = 0;
    std::vector<float> sum = {};
    std::vector<float> clipped = {};  // Of the same in sigma, each cut at +-3.
    std::vector<float> squares = {};  // Of the same; of the account since the alarm for every
                                      // stride_-th channel only.
  };

  explicit ChannelShift(const Options& options);
  static void Clear(Account& account);
  void Watch(std::size_t channel, float value);  // For standing still.
  void EndLearning();
  void SettleScale();  // After the reference changed: the spreads and their floor.

  Options options_;
  std::size_t stride_ = 1;
  // What is learned.
  bool is_learning_ = true;
  bool is_alarmed_ = false;
  float likeness_ = 0.0f;  // The correlation of two rows of a spell, on average; at least 0.
  std::uint32_t spells_ = 0;
  std::uint32_t spell_rows_ = 0;  // Of the spell under way.
  std::uint64_t reference_count_ = 0;
  std::vector<float> mean_;
  std::vector<float> m2_;  // Summed squared deviations.
  // While learning `before_` is not needed and holds the means of successive spells of rows, which
  // tell how alike neighbours in time are: sum: of the spell under way; clipped: mean of the
  // spells' means; squares: their summed squared deviations.
  Account before_;
  Account after_;
  std::vector<float> last_;             // The row before.
  std::vector<std::uint8_t> still_;     // Rows for which the channel has stood still; 255: or more.
  std::vector<std::uint8_t> stillest_;  // The longest in quiet times.
  // What follows from it.
  std::vector<float> scale_;         // sd a channel, not below the floor.
  std::vector<float> scale_sorted_;  // Scratch for the median.
  bool scale_is_stale_ = true;
};

// "channels 16 to 31", "channels 3, 7 and 9 to 12"; empty for none.
std::string DescribeChannels(std::vector<std::uint32_t> indices);

}  // namespace tinylcm::drift
