#include "agent/heap.h"

#include <malloc.h>

namespace agent {

void KeepHeapSmall() {
  ::mallopt(M_ARENA_MAX, 2);
  // Fixed, for otherwise the first large piece that is freed makes all later ones part of the pool.
  ::mallopt(M_MMAP_THRESHOLD, 128 << 10);
  ::mallopt(M_TRIM_THRESHOLD, 256 << 10);
}

void GiveBackHeap() { ::malloc_trim(0); }

}  // namespace agent
