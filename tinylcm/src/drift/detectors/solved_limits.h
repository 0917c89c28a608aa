// Limits for a run length where there is no equation: what a seeded Monte Carlo found.
//
// For the options as they usually are the answers stand in a table (solved_limits_table.inc, made
// by make_solved_limits.cc) and are interpolated in the logarithm of the run length. For others the
// same Monte Carlo runs when the detector is made, unless LimitCache knows the answer: a fraction of
// a second to some seconds. Work is counted beforehand from what the options cost, so it ends
// wherever it runs; what would take longer is refused at once.

#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "tinylcm/drift/detectors/adwin.h"
#include "tinylcm/drift/detectors/ddm.h"
#include "tinylcm/drift/detectors/hddm.h"
#include "tinylcm/drift/detectors/js_distribution.h"
#include "tinylcm/drift/detectors/kswin.h"
#include "tinylcm/drift/detectors/mmd_rff.h"
#include "tinylcm/drift/detectors/monte_carlo.h"
#include "tinylcm/drift/detectors/page_hinkley.h"
#include "tinylcm/drift/detectors/quanttree_ewma.h"
#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

// Each gives the number that the options' limit is to be; the limit in the options is not read.
// kUnsupported names the longest run length there is a limit for. Errors name no detector: the
// caller does.
base::Result<double> PageHinkleyThreshold(const PageHinkley::Options& options, double run_length);
base::Result<double> AdwinDelta(const Adwin::Options& options, double run_length);
base::Result<double> KswinAlpha(const Kswin::Options& options, double run_length);
base::Result<double> HddmAConfidence(const HddmA::Options& options, double error_rate,
                                     double run_length);
base::Result<double> HddmWConfidence(const HddmW::Options& options, double error_rate,
                                     double run_length);
base::Result<double> DdmThreshold(const Ddm::Options& options, double error_rate,
                                  double run_length);
base::Result<double> EddmBeta(const Eddm::Options& options, double error_rate, double run_length);
base::Result<double> JsThreshold(const JsDistribution::Options& options, double run_length);
base::Result<double> QuantTreeThreshold(const QuantTreeEwma::Options& options, double run_length);
base::Result<double> MmdThreshold(const MmdRff::Options& options, double run_length);

// What LimitCache knows a limit by: all that it depends on. A program that seeks it otherwise than
// the one before finds nothing under its own key.
std::uint64_t LimitKey(std::string_view detector, double run_length, OptionsDigest options,
                       const MonteCarlo& work);

// The same by Monte Carlo alone, whatever the table says.
struct LimitsByTrial {
  MonteCarlo work;

  base::Result<double> PageHinkleyThreshold(PageHinkley::Options options, double run_length) const;
  base::Result<double> AdwinDelta(Adwin::Options options, double run_length) const;
  base::Result<double> KswinAlpha(Kswin::Options options, double run_length) const;
  base::Result<double> HddmAConfidence(HddmA::Options options, double error_rate,
                                       double run_length) const;
  base::Result<double> HddmWConfidence(HddmW::Options options, double error_rate,
                                       double run_length) const;
  base::Result<double> DdmThreshold(Ddm::Options options, double error_rate,
                                    double run_length) const;
  base::Result<double> EddmBeta(Eddm::Options options, double error_rate, double run_length) const;
  base::Result<double> JsThreshold(JsDistribution::Options options, double run_length) const;
  base::Result<double> QuantTreeThreshold(QuantTreeEwma::Options options, double run_length) const;
  base::Result<double> MmdThreshold(MmdRff::Options options, double run_length) const;
};

}  // namespace tinylcm::drift
