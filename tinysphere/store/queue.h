// Queue: work that must be done once a fact is stored, however often the process dies in between.
//
// A job is put down in the transaction that stores the fact, claimed under a lease, and completed.
// A lease that runs out (the worker died) makes the job claimable again, so work must be
// idempotent. What fails is tried again with growing pauses; what fails too often is set aside with
// its reason, seen by people, and can be driven again. What fails for a reason that passes without
// anybody touching the job (a store is away or full) is tried for as long as that takes. Unbounded
// in number (it is on disk), bounded in tries.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::store {

struct NewJob {
  std::string kind;       // "unpack"
  std::string key;        // Within the kind; a second job with the same key is the same job.
  std::string payload{};  // JSON or nothing; what the worker needs.
  base::Time due{};       // Not before; the epoch means at once.
  std::string trace{};    // Of the request it came of; "" for the calling thread's.
};

struct Job {
  std::int64_t job_id = 0;
  std::string kind;
  std::string key;
  std::string payload;
  int attempts = 0;   // Counting this one.
  std::string state;  // "waiting", "claimed", "done", "set_aside"
  std::string error;  // Why the last attempt failed.
  std::string lease;  // Of this claim; Complete and Fail of an older claim change nothing.
  std::string trace;  // Of the request that it came of; "" if none.

  friend bool operator==(const Job&, const Job&) = default;
};

// What a failure says of the job.
enum class Failing {
  kAgain,    // It may be the job's fault: the attempt counts, the last one sets it aside.
  kPassing,  // It is not the job's fault: the attempt is given back.
  kForGood,  // It can never be done: it is set aside.
};

// What an error of a job's work says of it: kUnavailable and kExhausted (of a store) pass.
Failing FailingOf(base::ErrorCode code);

struct JobCounts {
  std::int64_t waiting = 0;  // Also those claimed.
  std::int64_t set_aside = 0;
};

// May be used from several threads and, on a shared database, from several processes.
class Queue {
 public:
  virtual ~Queue() = default;
  // Idempotent by (kind, key): an existing job, done or not, is left as it is.
  virtual base::Status Enqueue(Transaction& transaction, const NewJob& job) = 0;
  // The oldest job of `kind` that is due, now leased for `lease`; nullopt if there is none.
  virtual base::Result<std::optional<Job>> Claim(const std::string& kind, base::Time now,
                                                 base::Duration lease) = 0;
  // Up to `limit` of them at once, oldest first, under one lease. Only jobs that were never tried
  // come together: one that was is given alone, so that what kills its worker takes no others with
  // it into being set aside.
  virtual base::Result<std::vector<Job>> ClaimSome(const std::string& kind, base::Time now,
                                                   base::Duration lease, std::size_t limit) = 0;
  // In the transaction that stores the work's result. kConflict if the lease was lost meanwhile;
  // return it, so that nothing of the work is stored.
  virtual base::Status Complete(Transaction& transaction, const Job& job) = 0;
  // Back into the queue with a pause: 5 s, doubling with each attempt; kPassing: 5 s, then a minute
  // each time. Set aside if it is kForGood, or kAgain in the last attempt.
  virtual base::Status Fail(const Job& job, const std::string& reason, Failing failing,
                            base::Time now) = 0;
  virtual base::Result<std::vector<Job>> SetAside(std::size_t limit) = 0;
  // A job set aside starts anew with all its attempts. kNotFound if it is not set aside.
  virtual base::Status Redrive(std::int64_t job_id, base::Time now) = 0;
  virtual base::Result<JobCounts> Count() = 0;
  // Forgets what was done before `before`; the same job would then be a new one.
  virtual base::Status ForgetDone(base::Time before) = 0;
};

inline constexpr int kJobAttemptsMax = 8;

// Whether Fail sets it aside.
inline bool IsSetAside(const Job& job, Failing failing) {
  return failing == Failing::kForGood ||
         (failing == Failing::kAgain && job.attempts >= kJobAttemptsMax);
}

}  // namespace tinysphere::store
