// Does the drift monitor keep its one promise, the mean number of samples between false alarms?
//
// Log-normal distances of ten classes at their own levels, nothing ever changes, commissioned anew
// after each alarm; once in any order, once in blocks of 200 samples of two classes. Prints how
// many samples there were to an alarm, as a share of what was asked for (1 is right), with its
// standard error. Seeds are 1001, 1002, ...
//
//   false_alarms [devices] [samples a device] [false_alarm_every]

#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/random.h"
#include "base/text.h"
#include "bench/figure.h"
#include "tinylcm/drift/drift_monitor.h"

namespace {

using tinylcm::drift::DriftMonitor;
using tinylcm::drift::DriftSignal;

struct Count {
  double alarms = 0.0;
  double watched = 0.0;
};

Count Run(std::uint64_t device, std::uint64_t samples, double every, bool in_blocks) {
  base::Random random(1001 + device);
  auto made = DriftMonitor::Create({.classes = 10, .false_alarm_every = every, .seed = 1 + device});
  DriftMonitor& monitor = made.value();
  Count count;
  std::uint64_t pair[2] = {0, 1};
  for (std::uint64_t i = 0; i < samples; ++i) {
    if (i % 200 == 0) {
      pair[0] = random.Below(10);
      pair[1] = (pair[0] + 1 + random.Below(9)) % 10;
    }
    const auto label =
        static_cast<std::uint16_t>(in_blocks ? pair[random.Below(2)] : random.Below(10));
    const auto distance = static_cast<float>(std::exp(0.5 * random.Normal() + 0.3 * label));
    const DriftSignal signal = monitor.Observe(
        tinylcm::drift::OneSignal(i, label, tinylcm::drift::Signal::kAnchorDistance, distance));
    if (signal != DriftSignal::kLearning) count.watched += 1.0;
    if (signal == DriftSignal::kDrift) {
      count.alarms += 1.0;
      monitor.Rebaseline();
    }
  }
  return count;
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t devices = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100;
  const std::uint64_t samples = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 200'000;
  const double every = argc > 3 ? std::strtod(argv[3], nullptr) : 1e4;
  for (const bool in_blocks : {false, true}) {
    Count sum;
    for (std::uint64_t device = 0; device < devices; ++device) {
      const Count one = Run(device, samples, every, in_blocks);
      sum.alarms += one.alarms;
      sum.watched += one.watched;
    }
    if (sum.alarms == 0.0) {
      std::fprintf(stderr, "no alarm in %.0f samples: give it more\n", sum.watched);
      return 1;
    }
    const double measured = sum.watched / sum.alarms;
    const double error_percent = 100.0 / std::sqrt(sum.alarms);
    bench::Print(
        {.name = base::StrCat("drift_quality.false_alarms.", in_blocks ? "blocks" : "any_order"),
         .value = measured / every,
         .unit = "ratio",
         .better = "one",
         .baseline = 1.0,
         .conditions =
             base::StrCat("samples to an alarm as a share of the ", every, " asked for; ",
                          sum.alarms, " alarms, standard error ", std::round(error_percent),
                          " %, seeds 1001 to ", 1000 + devices)});
  }
  return 0;
}
