#include "agent/machine_facts.h"

#include <sys/timex.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/file_system.h"
#include "base/text.h"
#include "tinylcm/monitor/monitor.h"

namespace agent {

namespace {

std::optional<std::uint64_t> MemoryAvailable(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  for (std::string word; file >> word;) {
    std::uint64_t kilobytes = 0;
    if (word == "MemAvailable:" && file >> kilobytes) return kilobytes * 1024;
  }
  return std::nullopt;
}

std::optional<bool> ClockIsSynchronised() {
  timex asked{};  // modes = 0: only read.
  const int state = ::adjtimex(&asked);
  if (state < 0) return std::nullopt;
  return state != TIME_ERROR && (asked.status & STA_UNSYNC) == 0;
}

}  // namespace

MachineFacts ReadMachineFacts(const std::string& root) {
  const auto figures = tinylcm::monitor::ReadProcessFigures(root);
  return {.memory_available = MemoryAvailable(root),
          .clock_is_synchronised = ClockIsSynchronised(),
          .temperature_c = figures.temperature_c,
          .throttled = figures.throttled,
          .throttled_since_boot = figures.throttled_since_boot,
          .undervoltage = figures.undervoltage};
}

std::optional<std::string> FindProgram(const std::string& program) {
  if (program.empty()) return std::nullopt;
  if (program.find('/') != std::string::npos) {
    return ::access(program.c_str(), X_OK) == 0 ? std::optional(program) : std::nullopt;
  }
  const char* path = std::getenv("PATH");
  for (const std::string_view folder : base::Split(path == nullptr ? "" : path, ':')) {
    std::string candidate = base::JoinPath(folder.empty() ? "." : folder, program);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return std::nullopt;
}

}  // namespace agent
