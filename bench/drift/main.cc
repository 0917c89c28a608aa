// drift_quality: how good the drift engine is, every bar in one table.
//
//   drift_quality [--quick] [--threads N] [--river COMMAND] [NAME ...]
//
// NAME: a bar ("C1") or how the names of figures begin ("drift_quality.c1", "detector_ns"); none:
// all. COMMAND runs river_side.py (bench/drift/river.sh prints it); without it the comparison is
// left out and said to be. TINYMLOPS_DATA is the folder of data that is no part of the project.
// Figures go to stdout as they come, the table to stderr at the end.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "bench/drift/bars.h"
#include "bench/drift/table.h"

namespace {

using bench::drift::Settings;
using bench::drift::Table;

struct Bar {
  const char* id;
  const char* prefix;  // How the names of its figures begin.
  const char* asks;
  void (*measure)(const Settings&, Table&);
};

constexpr Bar kBars[] = {
    {"C1", "drift_quality.c1", "run length, independent samples", bench::drift::RunLengthIid},
    {"C2", "drift_quality.c2", "run length, in order of class", bench::drift::RunLengthInBlocks},
    {"C3", "drift_quality.c3", "run length, AR(1)", bench::drift::RunLengthCorrelated},
    {"C4", "drift_quality.c4", "run length, fused", bench::drift::RunLengthFused},
    {"D1", "drift_quality.d1", "delay at a run length of 1e4", bench::drift::Delay},
    {"D2", "drift_quality.d2", "real sensors that age", bench::drift::GasBatches},
    {"D3", "drift_quality.d3", "a camera that goes wrong", bench::drift::CameraDigits},
    {"D4", "drift_quality.d4", "false alarms in the long run", bench::drift::FalseAlarmsLong},
    {"D5", "drift_quality.d5", "beside river's ADWIN", bench::drift::BesideRiver},
    {"E1", "drift_quality.e1", "is the explanation right", bench::drift::Explained},
    {"A", "drift_quality.accuracy", "accuracy without labels", bench::drift::AccuracyWithoutLabels},
    {"P1", "detector_ns", "nanoseconds a value", bench::drift::Nanoseconds},
};

bool IsAsked(const Bar& bar, const std::vector<std::string>& names) {
  if (names.empty()) return true;
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name == bar.id || name.starts_with(bar.prefix) ||
           std::string_view(bar.prefix).starts_with(name);
  });
}

int Usage() {
  std::fprintf(stderr,
               "drift_quality [--quick] [--threads N] [--river COMMAND] [NAME ...]\nBars:\n");
  for (const Bar& bar : kBars) std::fprintf(stderr, "  %s  %s\n", bar.id, bar.asks);
  return 2;
}

double Seconds() {
  using std::chrono::steady_clock;
  return std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  if (const char* data = std::getenv("TINYMLOPS_DATA")) settings.data = data;
  std::vector<std::string> names;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--quick") {
      settings.quick = true;
    } else if (word == "--threads" && i + 1 < argc) {
      settings.threads = static_cast<std::size_t>(std::max(1, std::atoi(argv[++i])));
    } else if (word == "--river" && i + 1 < argc) {
      settings.river = argv[++i];
    } else if (word.starts_with("-")) {
      return Usage();
    } else {
      names.push_back(word);
    }
  }
  if (std::none_of(std::begin(kBars), std::end(kBars),
                   [&](const Bar& bar) { return IsAsked(bar, names); })) {
    return Usage();
  }

  Table table;
  const double start = Seconds();
  for (const Bar& bar : kBars) {
    if (!IsAsked(bar, names)) continue;
    const double begun = Seconds();
    std::fprintf(stderr, "%s: %s\n", bar.id, bar.asks);
    bar.measure(settings, table);
    std::fprintf(stderr, "%s: %.1f s\n", bar.id, Seconds() - begun);
  }
  std::fprintf(stderr, "\n%s\n%zu figures, %zu bars missed, %.0f s%s\n", table.Text().c_str(),
               table.size(), table.missed(), Seconds() - start,
               settings.quick ? " (--quick: too little work to quote)" : "");
  return 0;
}
