#include "agent/thread_priority.h"

#include <sys/resource.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace agent {

base::Status StepBehind() {
  // Ten steps of niceness are about a tenth of the weight. On Linux "this process" is this thread.
  constexpr int kNice = 10;
  if (setpriority(PRIO_PROCESS, 0, kNice) == 0) return {};
  return base::Error{base::ErrorCode::kUnavailable,
                     base::StrCat("thread priority: ", std::strerror(errno))};
}

}  // namespace agent
