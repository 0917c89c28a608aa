#include "tinysphere/store/job_log.h"

#include "base/text.h"
#include "base/trace.h"

namespace tinysphere::store {

JobLog::Figures& JobLog::Of(const std::string& kind) {
  const std::lock_guard lock(mutex_);
  const auto found = kinds_.find(kind);
  if (found != kinds_.end()) return found->second;
  const auto counter = [&](const char* outcome) -> telemetry::Counter& {
    return telemetry_.MakeCounter("tinysphere_jobs_total",
                                  "Attempts at jobs, by what came of them.",
                                  {{"kind", kind}, {"outcome", outcome}});
  };
  return kinds_
      .emplace(kind, Figures{.done = counter("done"),
                             .failed = counter("failed"),
                             .set_aside = counter("set_aside"),
                             .seconds = telemetry_.MakeHistogram(
                                 "tinysphere_job_seconds", "How long an attempt at a job took.",
                                 {{"kind", kind}}, telemetry::SecondsBounds())})
      .first->second;
}

void JobLog::Done(const Job& job, double seconds) {
  Figures& figures = Of(job.kind);
  figures.done.Add();
  figures.seconds.Observe(seconds);
  if (!logger_.Wants(base::LogLevel::kDebug)) return;
  const base::TraceScope trace(job.trace);
  logger_.WriteFields(base::LogLevel::kDebug, "job done",
                      {{"kind", job.kind},
                       {"job", job.key},
                       {"attempt", std::int64_t{job.attempts}},
                       {"ms", seconds * 1000}});
}

void JobLog::Failed(const Job& job, std::string_view reason, bool is_set_aside, double seconds) {
  Figures& figures = Of(job.kind);
  (is_set_aside ? figures.set_aside : figures.failed).Add();
  figures.seconds.Observe(seconds);
  const base::TraceScope trace(job.trace);
  logger_.WriteFields(base::LogLevel::kWarning,
                      base::StrCat("job failed: ", job.kind, " ", job.key, ": ", reason),
                      {{"kind", job.kind},
                       {"job", job.key},
                       {"attempt", std::int64_t{job.attempts}},
                       {"set_aside", is_set_aside},
                       {"ms", seconds * 1000}});
}

}  // namespace tinysphere::store
