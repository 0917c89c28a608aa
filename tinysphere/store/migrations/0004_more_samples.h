// How many samples beyond its question people asked for of an event, in all, and whether the device
// still owes the answer.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kMoreSamples = R"sql(
ALTER TABLE drift_events ADD COLUMN more_asked BIGINT NOT NULL DEFAULT 0;
ALTER TABLE drift_events ADD COLUMN is_more_awaited BIGINT NOT NULL DEFAULT 0;
CREATE INDEX drift_events_by_device ON drift_events (device_id, is_more_awaited);
)sql";

}  // namespace tinysphere::store::migrations
