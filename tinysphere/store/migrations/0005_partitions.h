// Packages and metrics by time. PostgreSQL keeps a part for each month (store/partitions.h); what
// must be unique over all of them is the narrow table of names, and what pages count is counted as
// it comes in, for nobody can count ten million rows while a person waits.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kPartitions = R"sql(
CREATE TABLE package_names (
  package_id TEXT PRIMARY KEY,
  device_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  received_at BIGINT NOT NULL);
INSERT INTO package_names (package_id, device_id, sha256, received_at)
  SELECT package_id, device_id, sha256, received_at FROM packages;

CREATE TABLE package_counts (
  device_id TEXT NOT NULL,
  epoch TEXT NOT NULL,
  packages BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  seq_min BIGINT NOT NULL,
  seq_max BIGINT NOT NULL,
  duplicates BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (device_id, epoch));
INSERT INTO package_counts (device_id, epoch, packages, bytes, seq_min, seq_max, duplicates, last_at)
  SELECT device_id, epoch, COUNT(*), SUM(bytes), MIN(seq), MAX(seq), SUM(duplicates), MAX(received_at)
  FROM packages GROUP BY device_id, epoch;

DROP INDEX packages_by_time;
CREATE INDEX packages_by_time ON packages (received_at, package_id);
CREATE INDEX packages_by_device ON packages (device_id, received_at, package_id);
CREATE INDEX packages_by_state ON packages (state, received_at, package_id);
CREATE INDEX metrics_points_by_time ON metrics_points (at);
CREATE INDEX devices_by_name ON devices (name, device_id);
CREATE INDEX drift_events_newest ON drift_events (received_at, event_id);
CREATE INDEX drift_events_of_device ON drift_events (device_id, received_at, event_id);
CREATE INDEX verdicts_by_feedback ON verdicts (feedback_id, verdict_id);
CREATE INDEX feedback_by_state ON feedback (state, created_at);
CREATE INDEX rollouts_by_time ON rollouts (created_at, rollout_id);
CREATE INDEX timeline_of_device ON timeline (device_id, entry_id);
CREATE INDEX verdicts_labelled ON verdicts (event_id, sample_id)
  WHERE is_current = 1 AND label IS NOT NULL;
CREATE INDEX adapted_void ON adapted (received_at) WHERE is_void = 1;
CREATE INDEX learned_versions_by_adaptation ON learned_versions (adaptation_sha256);
CREATE INDEX learned_versions_newest ON learned_versions (received_at, package_id);
CREATE INDEX jobs_done ON jobs (due_at) WHERE state = 'done';
)sql";

// No installation has stood on PostgreSQL before this, so there is nothing to take over.
inline constexpr std::string_view kPartitionsOnPostgres = R"sql(
CREATE TABLE package_names (
  package_id TEXT PRIMARY KEY,
  device_id TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  received_at BIGINT NOT NULL);

CREATE TABLE package_counts (
  device_id TEXT NOT NULL,
  epoch TEXT NOT NULL,
  packages BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  seq_min BIGINT NOT NULL,
  seq_max BIGINT NOT NULL,
  duplicates BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (device_id, epoch)) WITH (fillfactor = 70);

DROP TABLE packages;
CREATE TABLE packages (
  device_id TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq BIGINT NOT NULL,
  package_id TEXT NOT NULL,
  type TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  sha256 TEXT NOT NULL,
  object_key TEXT NOT NULL,
  bundle TEXT NOT NULL DEFAULT '',
  created_at BIGINT,
  received_at BIGINT NOT NULL,
  state TEXT NOT NULL,
  error TEXT NOT NULL DEFAULT '',
  duplicates BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (received_at, package_id)) PARTITION BY RANGE (received_at);
CREATE TABLE packages_rest PARTITION OF packages DEFAULT;
CREATE INDEX packages_by_name ON packages (package_id);
CREATE INDEX packages_by_device ON packages (device_id, received_at, package_id);
CREATE INDEX packages_by_state ON packages (state, received_at, package_id);

DROP TABLE metrics_points;
CREATE TABLE metrics_points (
  device_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (device_id, at)) PARTITION BY RANGE (at);
CREATE TABLE metrics_points_rest PARTITION OF metrics_points DEFAULT;
CREATE INDEX metrics_points_by_time ON metrics_points (at);

CREATE INDEX devices_by_name ON devices (name, device_id);
CREATE INDEX drift_events_newest ON drift_events (received_at, event_id);
CREATE INDEX drift_events_of_device ON drift_events (device_id, received_at, event_id);
CREATE INDEX verdicts_by_feedback ON verdicts (feedback_id, verdict_id);
CREATE INDEX feedback_by_state ON feedback (state, created_at);
CREATE INDEX rollouts_by_time ON rollouts (created_at, rollout_id);
CREATE INDEX timeline_of_device ON timeline (device_id, entry_id);
CREATE INDEX verdicts_labelled ON verdicts (event_id, sample_id)
  WHERE is_current = 1 AND label IS NOT NULL;
CREATE INDEX adapted_void ON adapted (received_at) WHERE is_void = 1;
CREATE INDEX learned_versions_by_adaptation ON learned_versions (adaptation_sha256);
CREATE INDEX learned_versions_newest ON learned_versions (received_at, package_id);
CREATE INDEX jobs_done ON jobs (due_at) WHERE state = 'done';
)sql";

}  // namespace tinysphere::store::migrations
