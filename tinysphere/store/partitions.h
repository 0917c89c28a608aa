// Partitions: tables that grow with time lie in a part for each month, where the database has that
// (PostgreSQL); on SQLite there is nothing to do.
//
// A part is made before its month begins, so that no row has to be moved; rows of months that have
// none (a device whose clock is wrong) lie in the part that takes the rest. What is older than it
// is kept goes away with its part, without touching a row.
// Source: PostgreSQL 15, 5.11 (declarative partitioning).

#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::store {

// Parts for every month of [from, to], of packages (by received_at) and metrics_points (by at).
base::Status EnsurePartitions(Database& database, base::Time from, base::Time to);
// What a server does at its start and every hour: the month before `now` to the second after.
base::Status EnsurePartitions(Database& database, base::Time now);

// Metrics of before `before`: whole parts are dropped, what is left of them row by row.
base::Status ForgetMetricsBefore(Database& database, base::Time before);

}  // namespace tinysphere::store
