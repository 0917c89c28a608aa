// What devices did about drift and with labels, how it was judged, and what they learned.
// `wanted` counts how often a judgement was asked for, `judged` up to which it was given; one that
// is void came of no replay (no program, a time limit) and is asked for again at the next start.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kAdaptations = R"sql(
ALTER TABLE verdicts ADD COLUMN opens_class BIGINT NOT NULL DEFAULT 0;
ALTER TABLE drift_samples ADD COLUMN cluster_accuracy DOUBLE PRECISION;
ALTER TABLE drift_samples ADD COLUMN novelty DOUBLE PRECISION;
ALTER TABLE drift_samples ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
ALTER TABLE drift_samples ADD COLUMN outcome_seq BIGINT NOT NULL DEFAULT -1;
ALTER TABLE devices ADD COLUMN awaits TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN awaits_seq BIGINT NOT NULL DEFAULT -1;
ALTER TABLE bundles ADD COLUMN taught TEXT NOT NULL DEFAULT '';
CREATE INDEX bundles_by_taught ON bundles (taught);

CREATE TABLE adaptation_reports (
  device_id TEXT NOT NULL,
  adaptation_id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  package_id TEXT NOT NULL,
  event_id TEXT NOT NULL DEFAULT '',
  adaptation_sha256 TEXT NOT NULL DEFAULT '',
  bundle TEXT NOT NULL DEFAULT '',
  document TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (device_id, adaptation_id));
CREATE INDEX adaptation_reports_by_device ON adaptation_reports (device_id, seq);
CREATE INDEX adaptation_reports_by_event ON adaptation_reports (event_id, seq);

CREATE TABLE adapted (
  device_id TEXT NOT NULL,
  adaptation_sha256 TEXT NOT NULL,
  champion_sha256 TEXT NOT NULL DEFAULT '',
  event_id TEXT NOT NULL DEFAULT '',
  bundle TEXT NOT NULL DEFAULT '',
  received_at BIGINT NOT NULL,
  wanted BIGINT NOT NULL DEFAULT 0,
  judged BIGINT NOT NULL DEFAULT 0,
  judgement TEXT,
  judged_at BIGINT,
  is_void BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (device_id, adaptation_sha256));
CREATE INDEX adapted_by_event ON adapted (event_id);

CREATE TABLE adaptation_orders (
  order_id INTEGER PRIMARY KEY,
  device_id TEXT NOT NULL,
  adaptation_sha256 TEXT NOT NULL,
  order_name TEXT NOT NULL,
  given_by TEXT NOT NULL,
  at BIGINT NOT NULL,
  feedback_id TEXT NOT NULL,
  outcome TEXT NOT NULL DEFAULT '');
CREATE INDEX adaptation_orders_by_device ON adaptation_orders (device_id, adaptation_sha256);
CREATE INDEX adaptation_orders_by_feedback ON adaptation_orders (feedback_id);

CREATE TABLE transitions (
  transition_id INTEGER PRIMARY KEY,
  device_id TEXT NOT NULL,
  sample_index BIGINT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  why TEXT NOT NULL,
  reported_at BIGINT NOT NULL,
  UNIQUE (device_id, sample_index, from_state, to_state));

CREATE TABLE learned_versions (
  device_id TEXT NOT NULL,
  adaptation_sha256 TEXT NOT NULL,
  package_id TEXT NOT NULL,
  base_bundle TEXT NOT NULL,
  name TEXT NOT NULL,
  document TEXT NOT NULL,
  object_key TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  received_at BIGINT NOT NULL,
  PRIMARY KEY (device_id, adaptation_sha256));
CREATE INDEX learned_versions_by_time ON learned_versions (received_at);
)sql";

}  // namespace tinysphere::store::migrations
