// DriftAggregates: once a period (a day), how each model family did, as one step of a run.
//
//   drift_rate           devices that reported drift / devices that were heard of
//   accuracy             mean of what those devices estimate of themselves
//   (docs/guides/accuracy.md) accuracy_verified    labels of people that are what the model had
//   answered / labels, of drift's
//                        samples: lower than the stream's accuracy, for these were asked about
//   adaptation_success   adaptations that stood / adaptations of which one knows
//
// A job of the queue: it is done once whatever dies, days that were slept through are made up for,
// and each asks for the next. What arrives later than kGrace after the period's end is in none.

#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/experiment/recorder.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::experiment {

inline constexpr std::string_view kAggregateJob = "drift_aggregate";
inline constexpr int kPeriodsBack = 31;  // Made up for after a long sleep.

struct AggregateOptions {
  base::Duration period{24LL * 60 * 60 * 1000};  // From midnight, UTC.
  base::Duration grace{10LL * 60 * 1000};        // At most a tenth of the period is waited.
};

// May be used from several threads.
class DriftAggregates {
 public:
  // All must outlive it.
  DriftAggregates(store::Database& database, store::Queue& queue, base::Clock& clock,
                  Recorder& recorder, AggregateOptions options)
      : database_(database), queue_(queue), clock_(clock), recorder_(recorder), options_(options) {}

  // At start: the job of the period that runs is there.
  base::Status Open();
  // Does a job kAggregateJob and completes it.
  base::Status Aggregate(const store::Job& job);

 private:
  base::Status Ask(store::Transaction& transaction, base::Time starts_at);
  base::Result<std::vector<DriftPeriod>> Measure(store::Transaction& transaction,
                                                 base::Time starts_at, base::Duration length);

  store::Database& database_;
  store::Queue& queue_;
  base::Clock& clock_;
  Recorder& recorder_;
  AggregateOptions options_;
};

}  // namespace tinysphere::experiment
