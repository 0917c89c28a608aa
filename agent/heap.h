// Heap: how much memory the process holds beside what it uses.

#pragma once

namespace agent {

// Few pools for many threads, and what is large goes back to the system at once. Before the first
// thread; costs some microseconds a large piece, of which the frame path takes none.
void KeepHeapSmall();

// What was freed goes back to the system: after a start or a change of bundle, which take much and
// free most of it.
void GiveBackHeap();

}  // namespace agent
