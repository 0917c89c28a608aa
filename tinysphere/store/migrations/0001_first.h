// Times are INTEGER milliseconds since 1970, documents TEXT holding JSON, flags 0 or 1. Every table
// that grows with the fleet begins its key with device_id or has an index that does.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kFirst = R"sql(
CREATE TABLE settings (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL);

CREATE TABLE users (
  name TEXT PRIMARY KEY,
  password_hash TEXT NOT NULL,
  role TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  password_changed_at BIGINT NOT NULL);

CREATE TABLE sessions (
  session_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  last_used_at BIGINT NOT NULL);
CREATE INDEX sessions_by_name ON sessions (name);

CREATE TABLE api_tokens (
  token_hash TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT);

CREATE TABLE enroll_tokens (
  token_hash TEXT PRIMARY KEY,
  publisher_fingerprint TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  used_at BIGINT,
  used_by TEXT);

CREATE TABLE publishers (
  fingerprint TEXT PRIMARY KEY,
  public_key TEXT NOT NULL,
  created_at BIGINT NOT NULL);

CREATE TABLE audit (
  audit_id INTEGER PRIMARY KEY,
  at BIGINT NOT NULL,
  who TEXT NOT NULL,
  action TEXT NOT NULL,
  subject TEXT NOT NULL,
  detail TEXT NOT NULL);

CREATE TABLE jobs (
  job_id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  job_key TEXT NOT NULL,
  payload TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts BIGINT NOT NULL,
  due_at BIGINT NOT NULL,
  lease TEXT NOT NULL,
  error TEXT NOT NULL,
  UNIQUE (kind, job_key));
CREATE INDEX jobs_due ON jobs (kind, state, due_at);

CREATE TABLE devices (
  device_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  state TEXT NOT NULL,
  enrolled_at BIGINT NOT NULL,
  last_seen BIGINT,
  fingerprint TEXT NOT NULL,
  publisher_fingerprint TEXT NOT NULL DEFAULT '',
  agent_version TEXT NOT NULL DEFAULT '',
  model_family TEXT NOT NULL DEFAULT '',
  model_name TEXT NOT NULL DEFAULT '',
  model_version TEXT NOT NULL DEFAULT '',
  bundle TEXT NOT NULL DEFAULT '',
  report_epoch TEXT NOT NULL DEFAULT '',
  report_seq BIGINT NOT NULL DEFAULT -1,
  metrics_seq BIGINT NOT NULL DEFAULT -1,
  adaptation_seq BIGINT NOT NULL DEFAULT -1,
  drift_seq BIGINT NOT NULL DEFAULT -1,
  drift_state TEXT NOT NULL DEFAULT 'learning',
  adaptation TEXT,
  mode TEXT NOT NULL DEFAULT '',
  metrics TEXT,
  desired_revision BIGINT NOT NULL DEFAULT 0,
  desired TEXT,
  desired_etag TEXT NOT NULL DEFAULT '');
CREATE INDEX devices_by_state ON devices (state, last_seen);

CREATE TABLE device_keys (
  device_id TEXT NOT NULL,
  key_count BIGINT NOT NULL,
  public_key BLOB NOT NULL,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT,
  PRIMARY KEY (device_id, key_count));

CREATE TABLE preauthorised (
  fingerprint TEXT PRIMARY KEY,
  name TEXT NOT NULL DEFAULT '',
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL);
CREATE TABLE counters (
  name TEXT PRIMARY KEY,
  count BIGINT NOT NULL);
CREATE TABLE packages (
  device_id TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq BIGINT NOT NULL,
  package_id TEXT NOT NULL UNIQUE,
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
  PRIMARY KEY (device_id, epoch, seq));
CREATE INDEX packages_by_time ON packages (received_at);

CREATE TABLE drift_events (
  device_id TEXT NOT NULL,
  event_id TEXT NOT NULL UNIQUE,
  package_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  sample_index BIGINT NOT NULL,
  bundle TEXT NOT NULL DEFAULT '',
  document TEXT NOT NULL,
  received_at BIGINT NOT NULL,
  state TEXT NOT NULL,
  event_verdict TEXT,
  reference TEXT,
  PRIMARY KEY (device_id, event_id));
CREATE INDEX drift_events_by_time ON drift_events (state, received_at);

CREATE TABLE drift_samples (
  device_id TEXT NOT NULL,
  sample_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  sample_index BIGINT NOT NULL,
  rank BIGINT NOT NULL DEFAULT 0,
  prediction TEXT NOT NULL,
  confidence DOUBLE PRECISION NOT NULL,
  reason TEXT NOT NULL,
  cluster_mass DOUBLE PRECISION,
  neighbours TEXT NOT NULL,
  media TEXT NOT NULL,
  object_key TEXT NOT NULL DEFAULT '',
  row_values TEXT,
  PRIMARY KEY (device_id, sample_id));
CREATE INDEX drift_samples_by_event ON drift_samples (event_id, rank);
CREATE INDEX drift_samples_by_id ON drift_samples (sample_id);

CREATE TABLE verdicts (
  verdict_id INTEGER PRIMARY KEY,
  device_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  sample_id TEXT,
  label TEXT,
  event_verdict TEXT,
  given_by TEXT NOT NULL,
  at BIGINT NOT NULL,
  feedback_id TEXT NOT NULL,
  is_current BIGINT NOT NULL DEFAULT 1);
CREATE INDEX verdicts_by_event ON verdicts (event_id, is_current);

CREATE TABLE feedback (
  feedback_id TEXT PRIMARY KEY,
  device_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  document TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  delivered_at BIGINT,
  applied_at BIGINT,
  outcome TEXT);
CREATE INDEX feedback_by_device ON feedback (device_id, state);
CREATE INDEX feedback_by_event ON feedback (event_id, created_at);

CREATE TABLE models (
  name TEXT PRIMARY KEY,
  model_family TEXT NOT NULL,
  created_at BIGINT NOT NULL);

CREATE TABLE model_versions (
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  bundle TEXT NOT NULL,
  archive_sha256 TEXT NOT NULL,
  stage TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  PRIMARY KEY (name, version));
CREATE INDEX model_versions_by_bundle ON model_versions (bundle);

CREATE TABLE bundles (
  bundle TEXT PRIMARY KEY,
  archive_sha256 TEXT NOT NULL UNIQUE,
  bytes BIGINT NOT NULL,
  object_key TEXT NOT NULL,
  publisher TEXT NOT NULL,
  manifest TEXT NOT NULL,
  reference TEXT,
  created_at BIGINT NOT NULL);

CREATE TABLE rollouts (
  rollout_id TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  bundle TEXT NOT NULL,
  state TEXT NOT NULL,
  target TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL);

CREATE TABLE rollout_devices (
  rollout_id TEXT NOT NULL,
  device_id TEXT NOT NULL,
  state TEXT NOT NULL,
  at BIGINT NOT NULL,
  detail TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (rollout_id, device_id));
CREATE INDEX rollout_devices_by_device ON rollout_devices (device_id, state);
CREATE TABLE rollout_events (
  rollout_id TEXT NOT NULL,
  entry BIGINT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  device_id TEXT NOT NULL DEFAULT '',
  bundle TEXT NOT NULL DEFAULT '',
  detail TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (rollout_id, entry));

CREATE TABLE metrics_points (
  device_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (device_id, at));

CREATE TABLE timeline (
  entry_id INTEGER PRIMARY KEY,
  device_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  ref TEXT NOT NULL DEFAULT '');
CREATE INDEX timeline_by_device ON timeline (device_id, at);
CREATE INDEX timeline_by_time ON timeline (at);
)sql";

}  // namespace tinysphere::store::migrations
