#include "tinysphere/ingest/worker.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "base/text.h"
#include "base/trace.h"

namespace tinysphere::ingest {

namespace {

// A worker that dies holds a job no longer than this.
constexpr base::Duration kLease{5 * 60 * 1000};

}  // namespace

void Worker::Start() {
  for (int i = 0; i < std::max(options_.threads, 1); ++i) {
    threads_.emplace_back([this] { Loop(); });
  }
}

void Worker::Wake() {
  {
    const std::lock_guard lock(mutex_);
    wakes_ += 1;
  }
  changed_.notify_one();
}

void Worker::Stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Worker::Loop() {
  while (true) {
    std::uint64_t seen = 0;
    {
      const std::lock_guard lock(mutex_);
      if (is_stopping_) return;
      seen = wakes_;
    }
    if (DoSome()) continue;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(1),
                      [&] { return wakes_ != seen || is_stopping_; });
  }
}

void Worker::Look() {
  if (!look_) return;
  const base::Status looked = look_(clock_.Now());
  if (!looked.ok()) logger_.Error("jobs: " + looked.error().message);
}

bool Worker::DoSome() {
  for (const JobKind& kind : kinds_) {
    const auto claimed = queue_.ClaimSome(kind.kind, clock_.Now(), kLease, kind.some);
    if (!claimed.ok()) {
      logger_.Error("jobs: " + claimed.error().message);
      return false;
    }
    if (claimed->empty()) continue;
    // There may be more, and another thread may have nothing to do.
    if (claimed->size() == kind.some && threads_.size() > 1) Wake();
    return Do(kind, *claimed);
  }
  Look();
  return false;
}

bool Worker::Do(const JobKind& kind, std::span<const store::Job> jobs) {
  const base::Duration begun = clock_.Uptime();
  std::vector<base::Status> done;
  if (kind.work_some) {
    done = kind.work_some(jobs);
    CHECK(done.size() == jobs.size());
  } else {
    for (const store::Job& job : jobs) {
      const base::TraceScope scope(job.trace);
      done.push_back(kind.work(job));
    }
  }
  const double seconds = std::chrono::duration<double>(clock_.Uptime() - begun).count() /
                         static_cast<double>(jobs.size());
  bool has_failed = false;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const store::Job& job = jobs[i];
    const base::TraceScope scope(job.trace);
    if (done[i].ok()) {
      if (options_.log != nullptr) options_.log->Done(job, seconds);
      continue;
    }
    has_failed = true;
    const std::string& reason = done[i].error().message;
    const store::Failing failing = store::FailingOf(done[i].error().code);
    if (options_.log != nullptr) {
      options_.log->Failed(job, reason, store::IsSetAside(job, failing), seconds);
    } else {
      logger_.Warning(base::StrCat(job.kind, " ", job.key, ": ", reason));
    }
    const base::Status failed = queue_.Fail(job, reason, failing, clock_.Now());
    if (!failed.ok()) {
      logger_.Error("jobs: " + failed.error().message);
      return false;
    }
  }
  if (has_failed) Look();
  return true;
}

}  // namespace tinysphere::ingest
