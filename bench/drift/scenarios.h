// Scenarios: ranks of samples that a drift engine's evidence may meet, without any reference: what
// the limits are solved on, and what bars are measured on.

#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "tinylcm/drift/sample.h"

namespace bench_drift {

struct Ranks {
  std::uint16_t predicted = 0;
  std::array<float, tinylcm::drift::kSignals> u{};  // NaN where the signal is not there.
};

enum class Order {
  kMixed,   // Every class as likely at every sample.
  kBlocks,  // Two classes for some 100 samples, then two others.
  kSkewed,  // One class has two thirds of the samples, the others share the rest.
};

// Nothing changes: every rank is uniform given the past (and, below kClassMix, the class).
struct Quiet {
  std::string name;
  tinylcm::drift::SignalMask signals = 1;
  std::uint32_t classes = 1;
  double correlation = 0.0;  // Between the normal scores of any two signals, 0 to 1.
  Order order = Order::kMixed;
  // Ranks as they come of values with so many levels, ties broken by a draw that is the same for
  // all signals; 0: continuous. (They are uniform all the same.)
  unsigned levels = 0;
};

// From a moment on, the numbers (not the categories) of one or all signals are
// z -> z + shift, for a part of the samples, or z -> spread z.
struct Change {
  double shift = 0.0;
  double part = 1.0;  // Of the samples.
  double spread = 1.0;
  bool all_signals = false;  // Or the lowest one alone.
  int only_class = -1;       // Or all.
};

// Not thread-safe. Cost: some 20 ns a signal.
class RankStream {
 public:
  RankStream(const Quiet& quiet, std::uint64_t seed);
  const Ranks& Next() { return Next(Change{}); }
  const Ranks& Next(const Change& change);

 private:
  Quiet quiet_;
  std::vector<std::uint8_t> signals_;
  base::Random random_;
  Ranks ranks_;
  std::uint64_t samples_ = 0;
  std::array<std::uint16_t, 2> block_{};
};

// The quiet scenarios on which evidence of several signals must keep its promise.
std::vector<Quiet> SeveralSignals();

// The first `count` signals that are numbers.
tinylcm::drift::SignalMask Numbers(unsigned count);

}  // namespace bench_drift
