#include "tinysphere/store/database_queue.h"

#include <algorithm>

#include "base/crypto.h"
#include "base/text.h"
#include "base/trace.h"

namespace tinysphere::store {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::int64_t kPauseMs = 5'000;
constexpr base::Duration kPassingPause{60'000};

base::Duration PauseAfter(int attempts, Failing failing) {
  if (failing == Failing::kPassing && attempts > 1) return kPassingPause;
  return base::Duration(kPauseMs << std::min(attempts - 1, kJobAttemptsMax));
}

constexpr std::string_view kColumns =
    "job_id, kind, job_key, payload, attempts, state, error, lease, trace";

Job ReadJob(const Row& row) {
  return {.job_id = row.Int("job_id"),
          .kind = row.Text("kind"),
          .key = row.Text("job_key"),
          .payload = row.Text("payload"),
          .attempts = static_cast<int>(row.Int("attempts")),
          .state = row.Text("state"),
          .error = row.Text("error"),
          .lease = row.Text("lease"),
          .trace = row.Text("trace")};
}

}  // namespace

base::Status DatabaseQueue::Enqueue(Transaction& transaction, const NewJob& job) {
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO jobs (kind, job_key, payload, state, attempts, due_at, lease, error, "
      "trace, created_at) VALUES ($1, $2, $3, 'waiting', 0, $4, '', '', $5, $6) "
      "ON CONFLICT (kind, job_key) DO NOTHING",
      {job.kind, job.key, job.payload, job.due,
       job.trace.empty() ? base::CurrentTrace() : job.trace, clock_.Now()}));
  return {};
}

base::Result<std::optional<Job>> DatabaseQueue::Claim(const std::string& kind, base::Time now,
                                                      base::Duration lease) {
  ASSIGN_OR_RETURN(std::vector<Job> jobs, ClaimSome(kind, now, lease, 1));
  if (jobs.empty()) return std::optional<Job>();
  return std::optional<Job>(std::move(jobs.front()));
}

base::Result<std::vector<Job>> DatabaseQueue::ClaimSome(const std::string& kind, base::Time now,
                                                        base::Duration lease, std::size_t limit) {
  // Looking costs no flush; only a worker that sees something takes the writer.
  ASSIGN_OR_RETURN(const std::optional<Row> seen,
                   database_.QueryOne("SELECT job_id FROM jobs WHERE kind = $1 AND state IN "
                                      "('waiting', 'claimed') AND due_at <= $2 LIMIT 1",
                                      {kind, now}));
  if (!seen) return std::vector<Job>();
  const auto claim = [&](Transaction& transaction) -> base::Result<std::vector<Job>> {
    // Workers of several processes pass by what another one is just taking.
    const std::string_view locked =
        transaction.dialect() == Dialect::kPostgres ? " FOR UPDATE SKIP LOCKED" : "";
    // While a job is claimed, due_at is the end of its lease. The plus keeps the query on the index
    // that is in the order of job_id: those whose time has not come are few.
    ASSIGN_OR_RETURN(Rows rows,
                     transaction.Query(base::StrCat("SELECT ", kColumns,
                                                    " FROM jobs WHERE kind = $1 AND state = "
                                                    "'claimed' AND due_at <= $2 "
                                                    "ORDER BY due_at, job_id LIMIT 1",
                                                    locked),
                                       {kind, now}));
    if (rows.empty()) {
      ASSIGN_OR_RETURN(
          rows, transaction.Query(base::StrCat("SELECT ", kColumns,
                                               " FROM jobs WHERE kind = $1 AND state = 'waiting' "
                                               "AND +due_at <= $2 ORDER BY job_id LIMIT $3",
                                               locked),
                                  {kind, now, limit}));
    }
    std::vector<Job> jobs;
    const std::string given = base::RandomHex(8);
    for (const Row& row : rows) {
      Job job = ReadJob(row);
      if (job.attempts >= kJobAttemptsMax) {
        // Its worker died every time: the job may be what kills it.
        RETURN_IF_ERROR(transaction.Execute(
            "UPDATE jobs SET state = 'set_aside', lease = '', error = $2 WHERE job_id = $1",
            {job.job_id, "the worker ended during every attempt"}));
        continue;
      }
      if (job.attempts > 0 && !jobs.empty()) continue;
      job.attempts += 1;
      job.state = "claimed";
      job.lease = given;
      RETURN_IF_ERROR(transaction.Execute(
          "UPDATE jobs SET state = 'claimed', attempts = $2, lease = $3, due_at = $4 "
          "WHERE job_id = $1",
          {job.job_id, job.attempts, job.lease, now + lease}));
      jobs.push_back(std::move(job));
      if (jobs.back().attempts > 1) break;
    }
    return jobs;
  };
  // A claim that is lost with a crash of the database is made again: nobody waits for a flush.
  return database_.WriteBeside(claim, Durability::kSoon);
}

base::Status DatabaseQueue::ReleaseClaims() {
  RETURN_IF_ERROR(database_.Execute("UPDATE jobs SET due_at = 0 WHERE state = 'claimed'"));
  return {};
}

base::Status DatabaseQueue::Complete(Transaction& transaction, const Job& job) {
  ASSIGN_OR_RETURN(const std::int64_t changed,
                   transaction.Execute("UPDATE jobs SET state = 'done', lease = '', error = '' "
                                       "WHERE job_id = $1 AND state = 'claimed' AND lease = $2",
                                       {job.job_id, job.lease}));
  if (changed == 0) {
    return Error{ErrorCode::kConflict,
                 base::StrCat("job ", job.job_id, ": another worker took it over")};
  }
  return {};
}

Failing FailingOf(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnavailable:
    case ErrorCode::kExhausted:
      return Failing::kPassing;
    case ErrorCode::kInternal:
    case ErrorCode::kConflict:
      return Failing::kAgain;
    default:
      return Failing::kForGood;
  }
}

base::Status DatabaseQueue::Fail(const Job& job, const std::string& reason, Failing failing,
                                 base::Time now) {
  const bool is_last = IsSetAside(job, failing);
  // Not below one: what was tried is claimed alone. An attempt in which the worker dies counts
  // whatever the others failed of.
  const int attempts = failing == Failing::kPassing ? std::max(job.attempts - 1, 1) : job.attempts;
  return database_.WriteBeside([&](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE jobs SET state = $3, lease = '', error = $4, due_at = $5, attempts = $6 "
        "WHERE job_id = $1 AND state = 'claimed' AND lease = $2",
        {job.job_id, job.lease, is_last ? "set_aside" : "waiting", reason,
         now + PauseAfter(job.attempts, failing), attempts}));
    return {};
  });
}

base::Result<std::vector<Job>> DatabaseQueue::SetAside(std::size_t limit) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query(base::StrCat("SELECT ", kColumns,
                                                " FROM jobs WHERE state = 'set_aside' "
                                                "ORDER BY job_id DESC LIMIT $1"),
                                   {limit}));
  std::vector<Job> jobs;
  for (const Row& row : rows) jobs.push_back(ReadJob(row));
  return jobs;
}

base::Status DatabaseQueue::Redrive(std::int64_t job_id, base::Time now) {
  ASSIGN_OR_RETURN(const std::int64_t changed,
                   database_.Execute("UPDATE jobs SET state = 'waiting', attempts = 0, due_at = $2 "
                                     "WHERE job_id = $1 AND state = 'set_aside'",
                                     {job_id, now}));
  if (changed == 0) {
    return Error{ErrorCode::kNotFound, base::StrCat("job ", job_id, ": is not set aside")};
  }
  return {};
}

base::Status DatabaseQueue::ForgetDone(base::Time before) {
  // due_at of a job that is done is the end of its last lease.
  RETURN_IF_ERROR(
      database_.Execute("DELETE FROM jobs WHERE state = 'done' AND due_at < $1", {before}));
  return {};
}

base::Result<JobCounts> DatabaseQueue::Count() {
  ASSIGN_OR_RETURN(const Rows rows, database_.Query("SELECT state, COUNT(*) AS jobs FROM jobs "
                                                    "WHERE state <> 'done' GROUP BY state"));
  JobCounts counts;
  for (const Row& row : rows) {
    (row.Text("state") == "set_aside" ? counts.set_aside : counts.waiting) += row.Int("jobs");
  }
  return counts;
}

}  // namespace tinysphere::store
