#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include "tinylcm/monitor/monitor.h"

namespace tinylcm::monitor {

ProcessFigures ReadProcessFigures() {
  ProcessFigures figures;
  std::ifstream memory("/proc/self/statm");
  std::uint64_t pages = 0, resident = 0;
  if (memory >> pages >> resident) {
    figures.rss_bytes = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  // proc(5): utime and stime are fields 14 and 15; the name in field 2 may hold spaces.
  std::ifstream stat("/proc/self/stat");
  std::string line;
  if (std::getline(stat, line)) {
    const std::size_t name_end = line.rfind(')');
    if (name_end != std::string::npos) {
      std::size_t at = name_end + 1;
      for (int field = 2; field < 13 && at != std::string::npos; ++field) {
        at = line.find(' ', at + 1);
      }
      if (at != std::string::npos) {
        char* end = nullptr;
        const double user = std::strtod(line.c_str() + at, &end);
        const double system = std::strtod(end, nullptr);
        figures.cpu_seconds = (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
      }
    }
  }
  std::ifstream thermal("/sys/class/thermal/thermal_zone0/temp");
  double millidegrees = 0.0;
  if (thermal >> millidegrees) figures.temperature_c = millidegrees / 1000.0;
  return figures;
}

}  // namespace tinylcm::monitor
