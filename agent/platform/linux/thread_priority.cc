#include "agent/thread_priority.h"

#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace agent {

base::Status StepBehind() {
  // Five steps of niceness are about a third of the weight: behind the frames, yet not starved where
  // the machine has other work. On Linux "this process" is this thread.
  constexpr int kNice = 5;
  if (setpriority(PRIO_PROCESS, 0, kNice) == 0) return {};
  return base::Error{base::ErrorCode::kUnavailable,
                     base::StrCat("thread priority: ", std::strerror(errno))};
}

}  // namespace agent
