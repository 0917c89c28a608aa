// DriftSignal: what a detector answers.

#pragma once

namespace tinylcm::drift {

// How the stream looks now. A person's label is a "verdict"; a detector's answer is never called
// so.
enum class DriftSignal {
  kSteady,    // As usual.
  kLearning,  // What is usual is not known yet.
  kWarning,   // Something is under way: nothing to act on, worth keeping samples.
  kDrift,     // It changed. Said once a change.
};

// "steady", "learning", "warning", "drift".
const char* Name(DriftSignal signal);

}  // namespace tinylcm::drift
