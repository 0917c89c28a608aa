// Reports: what a device says of itself in its packages, kept as its newest known state.
//
// Packages may be processed out of order (one was set aside, or sent late). Each kind of report
// carries the seq of its package, and an older one never overwrites a newer.

#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "protocol/adaptation_report.h"
#include "protocol/metrics.h"
#include "protocol/update_report.h"
#include "tinysphere/store/database.h"

namespace tinysphere::fleet {

struct ReportOrigin {
  std::string device_id;
  std::string epoch;
  std::uint64_t seq = 0;
  std::string agent_version;
  base::Time at{};  // When it was true: the device's time if its clock is trusted, else ours.
};

base::Status TakeMetrics(store::Transaction& transaction, const ReportOrigin& origin,
                         const protocol::DeviceMetrics& metrics);
// Whether it was news: false if a newer report had been taken before.
base::Result<bool> TakeUpdateReport(store::Transaction& transaction, const ReportOrigin& origin,
                                    const protocol::UpdateReport& report);
base::Status TakeAdaptation(store::Transaction& transaction, const ReportOrigin& origin,
                            const protocol::AdaptationReport& report);
// A drift event came: until the device says more, it is suspect.
base::Status TakeDriftSign(store::Transaction& transaction, const ReportOrigin& origin);

}  // namespace tinysphere::fleet
