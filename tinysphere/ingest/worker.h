// Worker: threads that do some kinds of jobs of the queue.
//
// Each thread takes a job, or some at once where a kind can be done so, does them, and looks for
// more. Jobs of one kind may be under way at the same time on several threads.

#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "base/result.h"
#include "tinysphere/store/job_log.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::ingest {

// Does the job and completes it; or, where `some` is more than one, up to so many at once: the i-th
// status is that of the i-th job.
struct JobKind {
  std::string kind;
  std::function<base::Status(const store::Job&)> work;
  std::size_t some = 1;
  std::function<std::vector<base::Status>(std::span<const store::Job>)> work_some{};
};

struct WorkerOptions {
  int threads = 1;
  store::JobLog* log = nullptr;  // Failures go to the logger without one.
};

class Worker {
 public:
  // What work refers to must outlive the worker. `look`, if any, runs after each job that failed
  // and whenever there is none.
  Worker(store::Queue& queue, base::Clock& clock, base::Logger& logger, std::vector<JobKind> kinds,
         std::function<base::Status(base::Time)> look = nullptr, WorkerOptions options = {})
      : queue_(queue),
        clock_(clock),
        logger_(logger),
        kinds_(std::move(kinds)),
        look_(std::move(look)),
        options_(options) {}
  ~Worker() { Stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Start();
  // There may be something to do. Otherwise it looks once a second, for jobs whose pause is over.
  // Any thread.
  void Wake();
  // Lets the jobs under way end.
  void Stop();

 private:
  void Loop();
  // True if a job was done or failed.
  bool DoSome();
  bool Do(const JobKind& kind, std::span<const store::Job> jobs);
  void Look();

  store::Queue& queue_;
  base::Clock& clock_;
  base::Logger& logger_;
  std::vector<JobKind> kinds_;
  std::function<base::Status(base::Time)> look_;
  const WorkerOptions options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t wakes_ = 0;
  bool is_stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace tinysphere::ingest
