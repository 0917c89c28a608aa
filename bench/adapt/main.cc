// adapt_quality: how good adaptation is, every bar in one table, beside doing nothing, blind
// alignment and self-training.
//
//   adapt_quality [--quick] [--seeds A..B] [--only BAR] [--stream NAME] [--labels N]
//                 [--threads N] [--each] [NAME ...]
//   adapt_quality --calibrate [--seeds A..B] [--stream blur]
//
// NAME: a bar ("A1") or how the names of figures begin ("adapt_quality.a1"); --only BAR is the
// same.
// --stream: only streams whose name starts so ("rows.", "camera.light"). Seeds 1 to 20 are for
// reporting, 1000 and up for tuning. TINYMLOPS_DATA is the folder of data that are no part of the
// project; without it those streams are left out and said to be. Figures go to stdout as they come,
// two tables to stderr at the end.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "bench/adapt/bars.h"

namespace {

using bench::adapt::Report;
using bench::adapt::Settings;

struct Bar {
  const char* id;
  const char* prefix;  // How the names of its figures begin.
  const char* asks;
  void (*measure)(const Settings&, Report&);
};

constexpr Bar kBars[] = {
    {"A1", "adapt_quality.a1", "where nothing is wrong nothing gets worse", bench::adapt::NoHarm},
    {"A2", "adapt_quality.a2", "where nothing helps a person is asked", bench::adapt::Escalates},
    {"A3", "adapt_quality.a3.rows", "sensor rows come back with labels",
     bench::adapt::RowsBroughtBack},
    {"A3", "adapt_quality.a3.camera", "a camera is put right without labels",
     bench::adapt::InputPutRight},
    {"A4", "adapt_quality.a4", "gas sensors come back with labels", bench::adapt::GasBroughtBack},
    {"A5", "adapt_quality.a5", "labels that lie are found out", bench::adapt::PoisonFound},
    {"A6", "adapt_quality.a6", "what was met before", bench::adapt::ConceptsMetAgain},
    {"A7", "adapt_quality.a7", "a class nobody knew", bench::adapt::UnseenClass},
    {"X", "adapt_quality.x", "other streams, only reported", bench::adapt::OtherStreams},
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
               "adapt_quality [--quick] [--seeds A..B] [--only BAR] [--stream NAME] [--labels N]\n"
               "              [--threads N] [--each] [--calibrate] [NAME ...]\nBars:\n");
  for (const Bar& bar : kBars) std::fprintf(stderr, "  %s  %s\n", bar.id, bar.asks);
  return 2;
}

double Seconds() {
  using std::chrono::steady_clock;
  return std::chrono::duration<double>(steady_clock::now().time_since_epoch()).count();
}

bool ParseSeeds(const std::string& text, Settings& settings) {
  const std::size_t dots = text.find("..");
  const auto first = base::ParseInt(text.substr(0, dots));
  const auto last = dots == std::string::npos ? first : base::ParseInt(text.substr(dots + 2));
  if (!first.ok() || !last.ok() || *first < 0 || *last < *first) return false;
  settings.first_seed = static_cast<std::uint64_t>(*first);
  settings.last_seed = static_cast<std::uint64_t>(*last);
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  if (const char* data = std::getenv("TINYMLOPS_DATA")) settings.data = data;
  std::vector<std::string> names;
  bool is_quick = false;
  bool calibrates = false;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool has_more = i + 1 < argc;
    if (word == "--quick") {
      is_quick = true;
      settings.last_seed = settings.first_seed + 2;
    } else if (word == "--each") {
      settings.each = true;
    } else if (word == "--calibrate") {
      calibrates = true;
    } else if (word == "--seeds" && has_more) {
      if (!ParseSeeds(argv[++i], settings)) return Usage();
    } else if (word == "--only" && has_more) {
      names.emplace_back(argv[++i]);
    } else if (word == "--stream" && has_more) {
      settings.stream = argv[++i];
    } else if (word == "--labels" && has_more) {
      settings.labels = static_cast<std::uint32_t>(std::max(1, std::atoi(argv[++i])));
    } else if (word == "--threads" && has_more) {
      settings.threads = static_cast<std::size_t>(std::max(1, std::atoi(argv[++i])));
    } else if (word.starts_with("-")) {
      return Usage();
    } else {
      names.push_back(word);
    }
  }
  if (calibrates) {
    bench::adapt::Calibrate(settings);
    return 0;
  }
  if (std::none_of(std::begin(kBars), std::end(kBars),
                   [&](const Bar& bar) { return IsAsked(bar, names); })) {
    return Usage();
  }

  Report report;
  const double start = Seconds();
  for (const Bar& bar : kBars) {
    if (!IsAsked(bar, names)) continue;
    const double begun = Seconds();
    std::fprintf(stderr, "%s: %s\n", bar.id, bar.asks);
    bar.measure(settings, report);
    std::fprintf(stderr, "%s: %.1f s\n", bar.id, Seconds() - begun);
  }
  std::fprintf(stderr, "\n%s\n%s\n%zu figures, %zu bars missed, %.0f s%s\n",
               report.streams.Text().c_str(), report.figures.Text().c_str(), report.figures.size(),
               report.figures.missed(), Seconds() - start,
               is_quick ? " (--quick: too few seeds to quote)" : "");
  return 0;
}
