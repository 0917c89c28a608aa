// What operating an installation needs: the trace that ties a job to the request it came of, when it
// was put down, the jobs that are not done, found without looking at those that are, and how many
// devices run a bundle.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kOperations = R"sql(
ALTER TABLE jobs ADD COLUMN trace TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX jobs_undone ON jobs (kind, state, created_at) WHERE state <> 'done';
CREATE INDEX devices_by_bundle ON devices (bundle, state);
)sql";

}  // namespace tinysphere::store::migrations
