// DatabaseQueue: the queue as a table ("jobs") of any Database with one writer.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::store {

class DatabaseQueue final : public Queue {
 public:
  // Both must outlive the queue. The clock only notes when a job was put down.
  explicit DatabaseQueue(Database& database, const base::Clock& clock = base::SystemClock())
      : database_(database), clock_(clock) {}

  base::Status Enqueue(Transaction& transaction, const NewJob& job) override;
  base::Result<std::optional<Job>> Claim(const std::string& kind, base::Time now,
                                         base::Duration lease) override;
  base::Result<std::vector<Job>> ClaimSome(const std::string& kind, base::Time now,
                                           base::Duration lease, std::size_t limit) override;
  base::Status Complete(Transaction& transaction, const Job& job) override;
  base::Status Fail(const Job& job, const std::string& reason, Failing failing,
                    base::Time now) override;
  base::Result<std::vector<Job>> SetAside(std::size_t limit) override;
  base::Status Redrive(std::int64_t job_id, base::Time now) override;
  base::Result<JobCounts> Count() override;
  base::Status ForgetDone(base::Time before) override;

  // When the only process that works on this database starts: whoever held a claim is dead, and
  // nobody has to wait for its lease to end. The attempt still counts.
  base::Status ReleaseClaims();

 private:
  Database& database_;
  const base::Clock& clock_;
};

}  // namespace tinysphere::store
