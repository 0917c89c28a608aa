// JobLog: what became of each job, counted, and in the log under the trace of the request that the
// job came of: at debug where it was done, as a warning where it failed.

#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/logger.h"
#include "tinysphere/store/queue.h"
#include "tinysphere/telemetry/telemetry.h"

namespace tinysphere::store {

// May be used from several threads.
class JobLog {
 public:
  // Both must outlive it.
  JobLog(telemetry::Telemetry& telemetry, base::Logger& logger)
      : telemetry_(telemetry), logger_(logger) {}

  void Done(const Job& job, double seconds);
  // `is_set_aside`: it is not tried again by itself.
  void Failed(const Job& job, std::string_view reason, bool is_set_aside, double seconds);

 private:
  // Of one kind of job; kinds are constants of the program.
  struct Figures {
    telemetry::Counter& done;
    telemetry::Counter& failed;
    telemetry::Counter& set_aside;
    telemetry::Histogram& seconds;
  };
  Figures& Of(const std::string& kind);

  telemetry::Telemetry& telemetry_;
  base::Logger& logger_;
  std::mutex mutex_;
  std::map<std::string, Figures> kinds_;
};

}  // namespace tinysphere::store
