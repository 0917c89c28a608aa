#include "bench/figure.h"

#include <time.h>

#include <algorithm>
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

BestTimes TakeTurns(int subject_calls, const std::function<void()>& subject, int baseline_calls,
                    const std::function<void()>& baseline) {
  BestTimes best;
  for (int slice = 0; slice < kSlices; ++slice) {
    best.subject = std::min(best.subject, Slice(subject_calls, subject));
    best.baseline = std::min(best.baseline, Slice(baseline_calls, baseline));
  }
  return best;
}

void Print(const Figure& figure) {
  CHECK(figure.baseline != 0.0);
  std::printf(
      "{\"name\":\"%s\",\"value\":%.5g,\"unit\":\"%s\",\"better\":\"%s\",\"baseline\":%.5g,"
      "\"ratio\":%.4g,\"conditions\":\"%s; %s\"}\n",
      figure.name.c_str(), figure.value, figure.unit.c_str(), figure.better.c_str(),
      figure.baseline, figure.value / figure.baseline, figure.conditions.c_str(),
      ProcessorName().c_str());
  std::fflush(stdout);
}

}  // namespace bench
