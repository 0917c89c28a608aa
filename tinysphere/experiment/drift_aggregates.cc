#include "tinysphere/experiment/drift_aggregates.h"

#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/text.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::experiment {

using base::Json;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

base::Time StartOf(base::Time time, base::Duration period) {
  const std::int64_t ms = time.time_since_epoch().count();
  return base::Time(base::Duration(ms - ms % std::max<std::int64_t>(1, period.count())));
}

}  // namespace

base::Status DriftAggregates::Ask(Transaction& transaction, base::Time starts_at) {
  const base::Duration grace = std::min(options_.grace, options_.period / 10);
  return queue_.Enqueue(
      transaction,
      {.kind = std::string(kAggregateJob),
       .key = base::StrCat(base::FormatDuration(options_.period), ":", base::FormatTime(starts_at)),
       .payload =
           Json::MakeObject({{"starts_at", std::int64_t{starts_at.time_since_epoch().count()}},
                             {"length", std::int64_t{options_.period.count()}}})
               .Write(),
       .due = starts_at + options_.period + grace});
}

base::Status DriftAggregates::Open() {
  return database_.Write([&](Transaction& transaction) {
    return Ask(transaction, StartOf(clock_.Now(), options_.period));
  });
}

base::Result<std::vector<DriftPeriod>> DriftAggregates::Measure(Transaction& transaction,
                                                                base::Time starts_at,
                                                                base::Duration length) {
  const base::Time end = starts_at + length;
  std::map<std::string, DriftPeriod> families;
  const auto of = [&](const Row& row) -> DriftPeriod& {
    const std::string family = row.Text("model_family");
    DriftPeriod& period = families[family];
    period.model_family = family;
    period.starts_at = starts_at;
    period.length = length;
    return period;
  };
  // Devices that were heard of, and what they last estimated of themselves.
  std::map<std::string, std::pair<double, std::int64_t>> estimates;
  ASSIGN_OR_RETURN(const Rows devices,
                   transaction.Query("SELECT model_family, metrics FROM devices WHERE "
                                     "model_family <> '' AND state = 'active' AND last_seen >= $1",
                                     {starts_at}));
  for (const Row& row : devices) {
    DriftPeriod& period = of(row);
    period.devices += 1;
    const Json metrics = row.Document("metrics");
    const Json* estimated = metrics.Find("accuracy_estimated");
    if (estimated == nullptr || !estimated->is_number()) continue;
    auto& [sum, count] = estimates[period.model_family];
    sum += estimated->as_double();
    count += 1;
  }
  for (const auto& [family, estimate] : estimates) {
    families[family].accuracy = estimate.first / static_cast<double>(estimate.second);
  }
  ASSIGN_OR_RETURN(
      const Rows events,
      transaction.Query("SELECT d.model_family, COUNT(*) AS events, COUNT(DISTINCT e.device_id) AS "
                        "drifted FROM drift_events e JOIN devices d ON d.device_id = e.device_id "
                        "WHERE e.received_at >= $1 AND e.received_at < $2 AND "
                        "d.model_family <> '' GROUP BY d.model_family",
                        {starts_at, end}));
  for (const Row& row : events) {
    DriftPeriod& period = of(row);
    period.events = row.Int("events");
    period.drifted_devices = row.Int("drifted");
    // A device that sent its event and was not heard of since was heard of.
    period.devices = std::max(period.devices, period.drifted_devices);
  }
  ASSIGN_OR_RETURN(
      const Rows labels,
      transaction.Query("SELECT d.model_family, COUNT(*) AS labels, SUM(CASE WHEN v.label = "
                        "s.prediction THEN 1 ELSE 0 END) AS agreeing FROM verdicts v "
                        "JOIN drift_samples s ON s.device_id = v.device_id AND s.sample_id = "
                        "v.sample_id JOIN devices d ON d.device_id = v.device_id WHERE "
                        "v.at >= $1 AND v.at < $2 AND v.is_current = 1 AND v.label IS NOT NULL "
                        "AND d.model_family <> '' GROUP BY d.model_family",
                        {starts_at, end}));
  for (const Row& row : labels) {
    DriftPeriod& period = of(row);
    period.labels = row.Int("labels");
    period.accuracy_verified =
        static_cast<double>(row.Int("agreeing")) / static_cast<double>(row.Int("labels"));
  }
  ASSIGN_OR_RETURN(
      const Rows adaptations,
      transaction.Query("SELECT d.model_family, COUNT(*) AS adaptations, AVG(m.value) AS success "
                        "FROM runs r JOIN devices d ON d.device_id = r.device_id LEFT JOIN "
                        "run_metrics m ON m.run_id = r.run_id AND m.name = 'adaptation_success' "
                        "WHERE r.started_at >= $1 AND r.started_at < $2 AND (r.kind = "
                        "'adaptation' OR r.kind = 'rollback') AND d.model_family <> '' "
                        "GROUP BY d.model_family",
                        {starts_at, end}));
  for (const Row& row : adaptations) {
    DriftPeriod& period = of(row);
    period.adaptations = row.Int("adaptations");
    period.adaptation_success = row.OptionalDouble("success");
  }
  std::vector<DriftPeriod> periods;
  for (auto& [family, period] : families) periods.push_back(std::move(period));
  return periods;
}

base::Status DriftAggregates::Aggregate(const store::Job& job) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(job.payload));
  base::JsonReader payload(json, "job");
  const base::Time starts_at{base::Duration(payload.Int("starts_at", {.min = 0}))};
  const base::Duration length{payload.Int("length", {.min = 1})};
  RETURN_IF_ERROR(payload.status());
  return database_.Write([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const auto periods, Measure(transaction, starts_at, length));
    for (const DriftPeriod& period : periods) {
      const std::string subject = "tinysphere/" + period.model_family;
      ASSIGN_OR_RETURN(const std::int64_t added,
                       transaction.Execute(
                           "INSERT INTO drift_periods (experiment, period_ms, starts_at) VALUES "
                           "($1, $2, $3) ON CONFLICT (experiment, period_ms, starts_at) DO NOTHING",
                           {subject, length.count(), starts_at}));
      if (added > 0) RETURN_IF_ERROR(recorder_.Drifted(transaction, period));
    }
    // The next; where many were slept through, those of the last month.
    const base::Time now = StartOf(clock_.Now(), options_.period);
    const base::Time earliest = now - kPeriodsBack * options_.period;
    const base::Time next = StartOf(starts_at + length, options_.period);
    RETURN_IF_ERROR(Ask(transaction, std::max(next, earliest)));
    return queue_.Complete(transaction, job);
  });
}

}  // namespace tinysphere::experiment
