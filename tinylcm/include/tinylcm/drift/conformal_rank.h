// ConformalRank: turns any number into a standard normal one, whatever its distribution.
//
// Picture a row of people the newcomer is measured against. Where he stands among them (his rank)
// is as likely to be any place as any other while he is one of their kind, whether heights are
// spread normally or wildly: so a false-alarm rate solved for normal numbers holds for every
// signal. There is one row a predicted class (Mondrian), for a busy class must not make a rare one
// look odd, and each newcomer later joins his row (self-starting), so no training data is needed.
//
// Newcomers wait in a side room first (hold-back): they are measured against as well, so that
// successive ranks stay independent, but join the row only when `hold_back` more have come and no
// alarm was raised. After an alarm the side room is emptied into the street.
//
// Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World" (2005), 4.1 and 4.5.

#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace tinylcm::drift {

// Not thread-safe. No allocation per value; cost: one scan of a class's reference.
class ConformalRank {
 public:
  struct Options {
    std::uint32_t classes = 2;
    std::uint32_t reservoir = 256;        // Values kept a class; a uniform sample once it is full.
    std::uint32_t hold_back = 64;         // Values that wait before they join; 0: join at once.
    std::uint32_t live_samples_min = 20;  // A class with fewer is filled up from the factory's.
    std::uint64_t seed = 1;
    // Held-out values a class, made when the bundle was fitted (never from training data, which the
    // model has seen). Empty: none. May hold fewer classes than `classes`.
    std::vector<std::vector<float>> factory = {};
  };

  struct State {
    struct Waiting {
      std::uint16_t label = 0;
      float value = 0.0f;
      friend bool operator==(const Waiting&, const Waiting&) = default;
    };
    std::vector<std::vector<float>> reservoirs = {};  // One a class.
    std::vector<std::uint64_t> seen = {};             // Values a class that asked to join it.
    std::vector<Waiting> waiting = {};                // Oldest first.
    std::uint64_t random = 0;
    friend bool operator==(const State&, const State&) = default;
  };

  static base::Result<ConformalRank> Create(const Options& options);

  // The normal score of `value` among those seen for this class: standard normal while nothing has
  // changed, large when the value is unusually large. Then takes the value in, to wait.
  //
  // REQUIRES: label < classes, value is finite.
  double Observe(std::uint16_t label, float value);

  // The same score, but nothing is taken in.
  double Score(std::uint16_t label, float value);

  // Lets everyone who waits join now: the values are known to be good (commissioning).
  void Release();
  // Forgets everyone who waits: an alarm followed.
  void DiscardWaiting();
  // Forgets everything but the factory's values and goes on with its random numbers.
  void Reset();

  // How many values the class is measured against now, without the factory's.
  std::size_t live_samples(std::uint16_t label) const;

  State state() const;
  // kInvalidArgument, and nothing changed, for a state no monitor with these options could have.
  base::Status Restore(const State& state);

 private:
  explicit ConformalRank(const Options& options);
  void Join(std::uint16_t label, float value);

  Options options_;
  std::vector<std::vector<float>> reservoirs_;
  std::vector<std::uint64_t> seen_;
  std::vector<State::Waiting> waiting_;  // A ring of hold_back entries.
  std::size_t waiting_first_ = 0;
  std::size_t waiting_count_ = 0;
  base::Random random_;
};

}  // namespace tinylcm::drift
