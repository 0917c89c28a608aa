#include "tinysphere/platform/posix/process_figures.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

namespace tinysphere::posix {

namespace {

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

operation::ProcessFigures ReadProcessFigures() {
  operation::ProcessFigures figures;
  rusage usage{};
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    figures.cpu_seconds = Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
  }
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> statm(std::fopen("/proc/self/statm", "re"),
                                                              std::fclose);
  unsigned long pages = 0;  // NOLINT: what %lu reads
  if (statm && std::fscanf(statm.get(), "%*u %lu", &pages) == 1) {
    figures.resident_bytes =
        std::uint64_t{pages} * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> files(opendir("/proc/self/fd"), closedir);
  while (files) {
    const dirent* entry = readdir(files.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] != '.') ++figures.open_files;
  }
  // The one that read the folder is not counted.
  if (figures.open_files > 0) --figures.open_files;
  return figures;
}

}  // namespace tinysphere::posix
