#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tinylcm/monitor/monitor.h"

namespace tinylcm::monitor {

namespace {

namespace fs = std::filesystem;

// The folder's entries, sorted; none where it is not there.
std::vector<fs::path> Entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    entries.push_back(at->path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

std::optional<std::string> Line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<long long> Number(const fs::path& path, int base = 10) {
  const auto line = Line(path);
  if (!line) return std::nullopt;
  char* end = nullptr;
  const long long value = std::strtoll(line->c_str(), &end, base);
  if (end == line->c_str()) return std::nullopt;
  return value;
}

void ReadMemory(const std::string& root, ProcessFigures& figures) {
  std::ifstream memory(root + "/proc/self/statm");
  std::uint64_t pages = 0, resident = 0;
  if (memory >> pages >> resident) {
    figures.rss_bytes = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  std::ifstream rollup(root + "/proc/self/smaps_rollup");
  for (std::string word; rollup >> word;) {
    std::uint64_t kilobytes = 0;
    if (word == "Pss:" && rollup >> kilobytes) {
      figures.pss_bytes = kilobytes * 1024;
      break;
    }
  }
}

void ReadCpu(const std::string& root, ProcessFigures& figures) {
  // proc(5): utime and stime are fields 14 and 15; the name in field 2 may hold spaces.
  const auto line = Line(root + "/proc/self/stat");
  if (!line) return;
  const std::size_t name_end = line->rfind(')');
  if (name_end == std::string::npos) return;
  std::size_t at = name_end + 1;
  for (int field = 2; field < 13 && at != std::string::npos; ++field) at = line->find(' ', at + 1);
  if (at == std::string::npos) return;
  char* end = nullptr;
  const double user = std::strtod(line->c_str() + at, &end);
  const double system = std::strtod(end, nullptr);
  figures.cpu_seconds = (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

void ReadTemperature(const std::string& root, ProcessFigures& figures) {
  for (const fs::path& zone : Entries(root + "/sys/class/thermal")) {
    if (!zone.filename().string().starts_with("thermal_zone")) continue;
    const auto millidegrees = Number(zone / "temp");
    // Zones that are switched off say nonsense such as -274000.
    if (!millidegrees || *millidegrees < -60'000 || *millidegrees > 200'000) continue;
    const double degrees = static_cast<double>(*millidegrees) / 1000.0;
    figures.temperature_c = std::max(figures.temperature_c.value_or(degrees), degrees);
  }
}

void ReadThrottling(const std::string& root, ProcessFigures& figures) {
  // Raspberry Pi: bit 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft temperature limit;
  // from 16 on the same since boot.
  const auto bits = Number(root + "/sys/devices/platform/soc/soc:firmware/get_throttled", 16);
  if (bits) {
    figures.undervoltage = (*bits & 1) != 0;
    figures.throttled = (*bits & 0xe) != 0;
    figures.throttled_since_boot = (*bits & 0xe0000) != 0;
    return;
  }
  // Elsewhere: a cooling device that slows the processor down.
  for (const fs::path& device : Entries(root + "/sys/class/thermal")) {
    if (!device.filename().string().starts_with("cooling_device")) continue;
    const std::string type = Line(device / "type").value_or("");
    if (type.find("rocessor") == std::string::npos && type.find("cpufreq") == std::string::npos) {
      continue;
    }
    const auto state = Number(device / "cur_state");
    if (state) figures.throttled = figures.throttled.value_or(false) || *state > 0;
  }
  // x86: how often the package was slowed down.
  const auto count =
      Number(root + "/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count");
  if (count) figures.throttled_since_boot = *count > 0;
}

void ReadLink(const std::string& root, ProcessFigures& figures) {
  protocol::DeviceMetrics::Link link;
  for (const fs::path& interface : Entries(root + "/sys/class/net")) {
    const std::string name = interface.filename().string();
    if (name == "lo") continue;
    const std::string state = Line(interface / "operstate").value_or("unknown");
    if (state == "unknown") continue;  // Tunnels and the like do not say.
    if (state == "up" && !link.up.value_or(false)) link.interface = name;
    link.up = link.up.value_or(false) || state == "up";
  }
  // "wlan0: 0000   54.  -56.  -256 ...": status, quality, level in dBm (negative where it is one).
  std::ifstream wireless(root + "/proc/net/wireless");
  for (std::string line; std::getline(wireless, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    char* at = line.data() + colon + 1;
    std::strtoll(at, &at, 16);
    std::strtod(at, &at);
    const double level = std::strtod(at, &at);
    if (level < 0.0) link.signal_dbm = level;
    break;
  }
  if (link.up || link.signal_dbm) figures.link = link;
}

}  // namespace

ProcessFigures ReadProcessFigures(const std::string& root) {
  ProcessFigures figures;
  ReadMemory(root, figures);
  ReadCpu(root, figures);
  ReadTemperature(root, figures);
  ReadThrottling(root, figures);
  ReadLink(root, figures);
  return figures;
}

}  // namespace tinylcm::monitor
