#include "bench/figure.h"

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>

#include "base/check.h"

namespace bench {

namespace {

std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

double Slice(int calls, const std::function<void()>& call) {
  const double start = CpuNanoseconds();
  for (int i = 0; i < calls; ++i) call();
  return (CpuNanoseconds() - start) / calls;
}

}  // namespace

double CpuNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

std::vector<double> TakeTurns(const std::vector<Turn>& turns) {
  std::vector<double> best(turns.size(), 1e300);
  for (int slice = 0; slice < kSlices; ++slice) {
    for (std::size_t i = 0; i < turns.size(); ++i) {
      best[i] = std::min(best[i], Slice(turns[i].calls, turns[i].call));
    }
  }
  return best;
}

BestTimes TakeTurns(int subject_calls, const std::function<void()>& subject, int baseline_calls,
                    const std::function<void()>& baseline) {
  const std::vector<double> best =
      TakeTurns({{subject_calls, subject}, {baseline_calls, baseline}});
  return {.subject = best[0], .baseline = best[1]};
}

void Print(const Figure& figure) {
  CHECK(figure.baseline != 0.0);
  std::string more;
  const auto number = [&](const char* key, double value) {
    char text[64];
    std::snprintf(text, sizeof text, ",\"%s\":%.5g", key, value);
    if (std::isfinite(value)) more += text;
  };
  number("low", figure.low);
  number("high", figure.high);
  for (const auto& [key, value] : figure.beside) number(key.c_str(), value);
  if (!figure.target.empty()) more += ",\"target\":\"" + figure.target + "\"";
  if (figure.met) more += *figure.met ? ",\"met\":true" : ",\"met\":false";
  std::printf(
      "{\"name\":\"%s\",\"value\":%.5g,\"unit\":\"%s\",\"better\":\"%s\",\"baseline\":%.5g,"
      "\"ratio\":%.4g,\"conditions\":\"%s; %s\"%s}\n",
      figure.name.c_str(), figure.value, figure.unit.c_str(), figure.better.c_str(),
      figure.baseline, figure.value / figure.baseline, figure.conditions.c_str(),
      ProcessorName().c_str(), more.c_str());
  std::fflush(stdout);
}

}  // namespace bench
