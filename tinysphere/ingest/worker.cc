#include "tinysphere/ingest/worker.h"

#include <chrono>

#include "base/text.h"
#include "tinysphere/ingest/unpacker.h"

namespace tinysphere::ingest {

namespace {

// A worker that dies holds a job no longer than this.
constexpr base::Duration kLease{5 * 60 * 1000};

}  // namespace

void Worker::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void Worker::Wake() {
  {
    const std::lock_guard lock(mutex_);
    is_woken_ = true;
  }
  changed_.notify_one();
}

void Worker::Stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Worker::Loop() {
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (is_stopping_) return;
      is_woken_ = false;
    }
    if (DoOne()) continue;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(1), [this] { return is_woken_ || is_stopping_; });
  }
}

void Worker::Look() {
  if (!look_) return;
  const base::Status looked = look_(clock_.Now());
  if (!looked.ok()) logger_.Error("jobs: " + looked.error().message);
}

bool Worker::DoOne() {
  for (const JobKind& kind : kinds_) {
    const auto claimed = queue_.Claim(kind.kind, clock_.Now(), kLease);
    if (!claimed.ok()) {
      logger_.Error("jobs: " + claimed.error().message);
      return false;
    }
    if (!claimed->has_value()) continue;
    const store::Job& job = **claimed;
    const base::Status done = kind.work(job);
    if (done.ok()) return true;
    const std::string& reason = done.error().message;
    const bool is_hopeless = Unpacker::IsHopeless(done.error().code);
    logger_.Warning(base::StrCat(job.kind, " ", job.key, ": ", reason));
    const base::Status failed = queue_.Fail(job, reason, is_hopeless, clock_.Now());
    if (!failed.ok()) {
      logger_.Error("jobs: " + failed.error().message);
      return false;
    }
    Look();
    return true;
  }
  Look();
  return false;
}

}  // namespace tinysphere::ingest
