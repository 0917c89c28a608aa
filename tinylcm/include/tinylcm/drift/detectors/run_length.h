// How long a control chart runs before it alarms, and the limit for a run length one wants.
//
// A chart at height u moves with each value; from every height there is a mean time left until it
// passes the limit. These times hang together: the time left from u is one step, plus the times
// left from wherever that step may lead, weighted by how likely it leads there. That is an integral
// equation (Page 1954; Brook and Evans 1972). Taken at Gauss-Legendre points it becomes a small
// linear system (Nystrom), good to ten digits.
//
// All values are independent and normal with standard deviation 1; `mean` is what they moved by, 0
// for "nothing happened". Every chart starts at zero. What has no equation here is tried:
// monte_carlo.h.
//
// Cost: some ten microseconds a run length and half a millisecond a limit of a CUSUM or an EWMA (a
// device's start waits for it, once, when a monitor is made); Page-Hinkley as said there.
//
// Errors: kInvalidArgument names the field that is out of its range; kUnsupported where the answer
// lies beyond what doubles hold (a run of more than 1e13 values).

#pragma once

#include <cstdint>

#include "base/result.h"
#include "tinylcm/drift/detectors/monte_carlo.h"

namespace tinylcm::drift {

struct CusumChart {
  double k = 0.5;          // Allowance: what is taken off every value. >= 0.
  double h = 5.0;          // Limit. Above 0, at most 100.
  double mean = 0.0;       // Of the values.
  bool two_sided = false;  // Two charts, up and down, whichever alarms first.
};

// Mean number of values until the alarm.
base::Result<double> CusumRunLength(const CusumChart& chart);

struct CusumTarget {
  double k = 0.5;              // Above 0, at most 5.
  double run_length = 10'000;  // Mean number of values between false alarms, 2 to 1e10.
  bool two_sided = false;
};

// The limit h at which a chart on standard normal values has this run length. kInvalidArgument also
// where no limit gives it.
base::Result<double> CusumLimit(const CusumTarget& target);

// Z <- Z + lambda (value - Z); alarm past limit x sqrt(lambda / (2 - lambda)), the standard
// deviation Z has in the long run. One-sided: only upward, and Z may sink as low as it likes.
struct EwmaChart {
  double lambda = 0.1;   // Weight of the newest value, 0.001 to 1.
  double limit = 2.814;  // In standard deviations of Z. Above 0, at most 30.
  double mean = 0.0;
  bool two_sided = true;
};

base::Result<double> EwmaRunLength(const EwmaChart& chart);

struct EwmaTarget {
  double lambda = 0.1;
  double run_length = 10'000;  // 2 to 1e10.
  bool two_sided = true;
};

base::Result<double> EwmaLimit(const EwmaTarget& target);

// Alarm at the first value past the limit: 1 / P(that).
struct ShewhartChart {
  double limit = 3.0;  // In standard deviations. Above 0, at most 30.
  double mean = 0.0;
  bool two_sided = true;
};

base::Result<double> ShewhartRunLength(const ShewhartChart& chart);

struct ShewhartTarget {
  double run_length = 10'000;  // 2 to 1e10; one-sided above 2.
  bool two_sided = true;
};

base::Result<double> ShewhartLimit(const ShewhartTarget& target);

// Page-Hinkley: S <- alpha S + (value - running mean - delta); alarm when S is more than `lambda`
// above its lowest so far, from the min_instances-th value on.
//
// Without forgetting (alpha = 1) it is a CUSUM of the deviations from the running mean, and on
// normal values those are independent: the t-th has variance (t - 1) / t (Helmert 1876). So the
// equation holds, with a step that widens in time: it is followed value by value for the first
// 2,048 and held between the two charts it can still become. Less than 1 % apart at most settings.
// With forgetting the lowest S matters on its own, and the run length is tried (`work`).
struct PageHinkleyChart {
  double delta = 0.005;              // 0 to 1000.
  double lambda = 50.0;              // Above 0, at most 1000 (100 without forgetting).
  double alpha = 0.9999;             // Above 0, at most 1.
  std::uint64_t min_instances = 30;  // At most 1,000.
  bool two_sided = false;
};

// Nothing having happened. Where the equation answered, `alarms` is 0 and low and high are bounds.
base::Result<RunLengthEstimate> PageHinkleyRunLength(const PageHinkleyChart& chart,
                                                     const MonteCarlo& work = {});

// The `lambda` of a run length between 2 and 1e8 (chart.lambda is not read). kUnsupported where the
// work runs out. With forgetting some seconds: keep the answer.
base::Result<SolvedLimit> PageHinkleyLimit(const PageHinkleyChart& chart, double run_length,
                                           const MonteCarlo& work = {});

}  // namespace tinylcm::drift
