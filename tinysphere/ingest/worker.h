// Worker: one thread that does the jobs of the queue, one after the other.

#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/logger.h"
#include "base/result.h"
#include "tinysphere/drifthub/drift_hub.h"
#include "tinysphere/ingest/unpacker.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::ingest {

class Worker {
 public:
  // All must outlive the worker.
  Worker(store::Database& database, store::Queue& queue, Unpacker& unpacker,
         drifthub::DriftHub& hub, base::Clock& clock, base::Logger& logger)
      : database_(database),
        queue_(queue),
        unpacker_(unpacker),
        hub_(hub),
        clock_(clock),
        logger_(logger) {}
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
  void MarkSetAside();
  base::Status Do(const store::Job& job);

  store::Database& database_;
  store::Queue& queue_;
  Unpacker& unpacker_;
  drifthub::DriftHub& hub_;
  base::Clock& clock_;
  base::Logger& logger_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_woken_ = false;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tinysphere::ingest
