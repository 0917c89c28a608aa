// MetricsSeries: a device's figures over time, every point for a while and every hour for good.
//
//   metrics ─▶ metrics_points   as they came, kept for days
//          └─▶ metrics_rollup   an hour: of each figure how many, their sum, the least, the largest
//
// A chart asks for a stretch and a step and gets a mean, a least and a largest for each step; from
// the hours where the points are too many or no longer there.

#pragma once

#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/metrics.h"
#include "tinysphere/http/message.h"
#include "tinysphere/store/database.h"

namespace tinysphere::series {

// Adds a point that was true at `at`. Idempotent by device and time: the same point counts once.
// `document` is what is kept of it.
base::Status TakeMetricsPoint(store::Transaction& transaction, const std::string& device_id,
                              base::Time at, const protocol::DeviceMetrics& metrics,
                              const std::string& document);

// Points from before `before` go; their hours stay.
base::Status ForgetMetricsPoints(store::Database& database, base::Time before);
base::Status ForgetMetricsHours(store::Database& database, base::Time before);

// ?from=, ?to= (times), ?step= ("15m"; at most 2,000 steps): {"points": [{"at", "count", figures,
// "min": {..}, "max": {..}}], "step_ms", "source": "points" | "hours"}. Without a step every point
// as it came, the newest 5,000 at most; ?since= is the older word for from.
base::Result<base::Json> ReadMetricsSeries(store::Database& database, const http::Request& request,
                                           const std::string& device_id, base::Time now);

}  // namespace tinysphere::series
