// Heap: how much memory the process holds beside what it uses.

#pragma once

namespace agent {

// Few pools for many threads, and what is freed is used again before the system is asked for more:
// a start takes and frees megabytes, and each page asked for anew costs as much as a neighbour.
// Before the first thread; GiveBackHeap is its other half.
void KeepHeapSmall();

// What was freed goes back to the system. Once after the start and now and then: some hundred
// microseconds on a thread that nobody waits for.
void GiveBackHeap();

// Pages of the program's code leave the process; those it goes on with come back from the file's
// cache as they are run. After the start, whose code is not needed again.
void ForgetUnusedCode();

}  // namespace agent
