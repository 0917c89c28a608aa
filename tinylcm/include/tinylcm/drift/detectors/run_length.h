// How long a CUSUM chart runs before it alarms, exactly, and the limit for a run length one wants.
//
// A chart at height u moves with each value; from every height there is a mean time left until it
// passes the limit. These times hang together: the time left from u is one step, plus the times
// left from wherever that step may lead, weighted by how likely it leads there. That is an integral
// equation (Page 1954; Brook and Evans 1972). Taken at Gauss-Legendre points it becomes a small
// linear system (Nystrom), good to ten digits.
//
// Cost: some ten microseconds a run length and half a millisecond a limit: a device's start waits
// for it. Done once, when a monitor is made.

#pragma once

#include "base/result.h"

namespace tinylcm::drift {

struct CusumChart {
  double k = 0.5;          // Allowance: what is taken off every value.
  double h = 5.0;          // Limit.
  double mean = 0.0;       // Mean of the values (normal, sd 1): 0 is "nothing happened".
  bool two_sided = false;  // Two charts, up and down, whichever alarms first.
};

// Mean number of values until the alarm, the chart starting at zero.
// kInvalidArgument unless k >= 0, 0 < h <= 100 and the mean is finite.
base::Result<double> CusumRunLength(const CusumChart& chart);

struct CusumTarget {
  double k = 0.5;
  double run_length = 10'000;  // Mean number of values between false alarms.
  bool two_sided = false;
};

// The limit h at which a chart on standard normal values has this run length.
// kInvalidArgument unless 0 < k <= 5 and 2 <= run_length <= 1e10, or where no limit gives it.
base::Result<double> CusumLimit(const CusumTarget& target);

}  // namespace tinylcm::drift
