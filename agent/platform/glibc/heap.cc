#include "agent/heap.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

// The program's own code, as the linker names it.
extern "C" const char __executable_start[];
extern "C" const char etext[];

namespace agent {

void KeepHeapSmall() {
  ::mallopt(M_ARENA_MAX, 2);
  // Nothing is mapped by itself and nothing given back at once; untouched pages cost nothing.
  ::mallopt(M_MMAP_THRESHOLD, 64 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 64 << 20);
  ::mallopt(M_TOP_PAD, 16 << 20);
}

void GiveBackHeap() { ::malloc_trim(0); }

void ForgetUnusedCode() {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(__executable_start) & ~(page - 1);
  const std::uintptr_t end = reinterpret_cast<std::uintptr_t>(etext) & ~(page - 1);
  if (end > begin) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace agent
