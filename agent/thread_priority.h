// The thread that searches, judges and keeps steps behind the one that answers frames.

#pragma once

#include "base/result.h"

namespace agent {

// From now on the calling thread (not the others of its process) runs when no thread of usual
// priority wants its core; on an idle machine that changes nothing. kUnavailable where the system
// does not let it.
base::Status StepBehind();

}  // namespace agent
