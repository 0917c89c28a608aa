// Makes the tables in tinylcm/src/drift/detectors/bets.cc: how much longer evidence runs, on
// average, before it reaches a limit than the limit says.
//
//   solve_limits [--values N] [--seed S] [--limit-min L] [--limit-max L] [NAME ...]
//
// Between two alarms the evidence W grows by one a sample on average, so the mean time T to a limit
// is the mean of W when it is reached. Both are measured; their difference has the mean zero and
// steadies the estimate (a control variate, its factor fitted from the same runs).
//
// One line a scenario and limit: limit, run length over limit with its standard error, runs.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "base/text.h"
#include "bench/drift/scenarios.h"
#include "tinylcm/drift/detectors/shiryaev_roberts.h"
#include "tinylcm/drift/evidence.h"

namespace {

using bench_drift::Order;
using bench_drift::Quiet;
using bench_drift::RankStream;
using tinylcm::drift::Bit;
using tinylcm::drift::Evidence;
using tinylcm::drift::ShiryaevRoberts;
using tinylcm::drift::Signal;

struct Ratio {
  double mean = 0.0;
  double error = 0.0;
  std::uint64_t runs = 0;
};

// Mean run length over `limit`: `restart()` begins a run, `next()` gives what the statistic is
// after one more sample. At least 50 runs, then until `values` are spent.
template <typename Restart, typename Next>
Ratio Measure(double limit, std::uint64_t values, const Restart& restart, const Next& next) {
  double n = 0, t = 0, d = 0, tt = 0, td = 0, dd = 0;
  for (std::uint64_t spent = 0; spent < values || n < 50;) {
    restart();
    std::uint64_t length = 0;
    double statistic = 0.0;
    do {
      statistic = next();
      ++length;
    } while (statistic < limit);
    spent += length;
    const double time = static_cast<double>(length) / limit;
    const double excess = time - statistic / limit;  // Mean zero.
    n += 1, t += time, d += excess, tt += time * time, td += time * excess, dd += excess * excess;
  }
  t /= n, d /= n;
  const double covariance = td / n - t * d;
  const double variance = dd / n - d * d;
  const double factor = variance > 0.0 ? covariance / variance : 0.0;
  const double left = tt / n - t * t - factor * covariance;
  return {t - factor * d, std::sqrt(std::max(left, 0.0) / n), static_cast<std::uint64_t>(n)};
}

Ratio OfEvidence(const Quiet& quiet, double limit, std::uint64_t values, std::uint64_t seed) {
  Evidence evidence =
      Evidence::Create(
          {.classes = quiet.classes, .signals = quiet.signals, .false_alarm_every = 1e12})
          .value();
  RankStream stream(quiet, seed);
  return Measure(
      limit, values, [&] { evidence.Reset(); },
      [&] {
        const bench_drift::Ranks& ranks = stream.Next();
        return evidence.Observe(ranks.predicted, ranks.u).statistic;
      });
}

Ratio OfOneSide(double limit, std::uint64_t values, std::uint64_t seed) {
  ShiryaevRoberts detector =
      ShiryaevRoberts::Create({.limit = 1e20, .side = ShiryaevRoberts::Side::kUp}).value();
  base::Random random(seed);
  return Measure(
      limit, values, [&] { detector.Reset(); },
      [&] {
        detector.Observe(random.Normal());
        return detector.statistic();
      });
}

void Print(double limit, const Ratio& ratio) {
  std::printf("  %10.0f  %.4f +- %.4f  (%llu runs)\n", limit, ratio.mean, ratio.error,
              static_cast<unsigned long long>(ratio.runs));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  double values = 2e7;
  std::uint64_t seed = 20261121;
  double limit_min = 10.0;
  double limit_max = 1e5;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--values" && i + 1 < argc) {
      values = base::ParseDouble(argv[++i]).value();
    } else if (argument == "--seed" && i + 1 < argc) {
      seed = static_cast<std::uint64_t>(base::ParseDouble(argv[++i]).value());
    } else if (argument == "--limit-min" && i + 1 < argc) {
      limit_min = base::ParseDouble(argv[++i]).value();
    } else if (argument == "--limit-max" && i + 1 < argc) {
      limit_max = base::ParseDouble(argv[++i]).value();
    } else {
      names.push_back(argument);
    }
  }
  std::vector<Quiet> all = {
      {"one number", Bit(Signal::kBrightness), 1, 0.0, Order::kMixed, 0},
      {"one number, 2 classes", Bit(Signal::kAnchorDistance), 2, 0.0, Order::kMixed, 0},
      {"one number, 10 classes", Bit(Signal::kAnchorDistance), 10, 0.0, Order::kMixed, 0},
      {"one number, 10 classes, one frequent", Bit(Signal::kAnchorDistance), 10, 0.0,
       Order::kSkewed, 0},
      {"one number, 10 classes in blocks", Bit(Signal::kAnchorDistance), 10, 0.0, Order::kBlocks,
       0},
      {"one number, 100 classes", Bit(Signal::kAnchorDistance), 100, 0.0, Order::kMixed, 0},
      {"one category", Bit(Signal::kClassMix), 10, 0.0, Order::kMixed, 0},
      {"one category, 10 classes", Bit(Signal::kQuantTree), 10, 0.0, Order::kMixed, 0},
  };
  for (const Quiet& quiet : bench_drift::SeveralSignals()) all.push_back(quiet);
  for (const Quiet& quiet : all) {
    bool wanted = names.empty();
    for (const std::string& name : names) wanted = wanted || quiet.name.starts_with(name);
    if (!wanted) continue;
    std::printf("%s\n", quiet.name.c_str());
    for (double limit = limit_min; limit <= limit_max * 1.001; limit *= std::sqrt(10.0)) {
      Print(limit, OfEvidence(quiet, limit, static_cast<std::uint64_t>(values), seed));
    }
  }
  bool one_side = names.empty();
  for (const std::string& name : names) one_side = one_side || name == "one side";
  if (one_side) {
    std::printf("one side\n");
    for (double limit = limit_min; limit <= limit_max * 1.001; limit *= std::sqrt(10.0)) {
      Print(limit, OfOneSide(limit, static_cast<std::uint64_t>(values), seed));
    }
  }
  return 0;
}
