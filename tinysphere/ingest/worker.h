// Worker: one thread that does some kinds of jobs of the queue, one job after the other.

#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "base/result.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::ingest {

// Does the job and completes it.
struct JobKind {
  std::string kind;
  std::function<base::Status(const store::Job&)> work;
};

class Worker {
 public:
  // What work refers to must outlive the worker. `look`, if any, runs after each job and whenever
  // there is none.
  Worker(store::Queue& queue, base::Clock& clock, base::Logger& logger, std::vector<JobKind> kinds,
         std::function<base::Status(base::Time)> look = nullptr)
      : queue_(queue),
        clock_(clock),
        logger_(logger),
        kinds_(std::move(kinds)),
        look_(std::move(look)) {}
  ~Worker() { Stop(); }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Start();
  // There may be something to do. Otherwise it looks once a second, for jobs whose pause is over.
  // Any thread.
  void Wake();
  // Lets the job under way end.
  void Stop();

 private:
  void Loop();
  // True if a job was done or failed.
  bool DoOne();
  void Look();

  store::Queue& queue_;
  base::Clock& clock_;
  base::Logger& logger_;
  std::vector<JobKind> kinds_;
  std::function<base::Status(base::Time)> look_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_woken_ = false;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tinysphere::ingest
