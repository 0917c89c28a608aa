// Experiments, runs and their figures, and the outbox that brings them to MLflow.
//
// A run is found by its key (what it is about: "import:<bundle>"), named by its id (32 hex of the
// key's SHA-256). An outbox entry holds all that is to be sent, so that what changes here later
// changes nothing of it; `progress` is what MLflow has of it already.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kExperiments = R"sql(
CREATE TABLE experiments (
  name TEXT PRIMARY KEY,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  mlflow_id TEXT NOT NULL DEFAULT '');

CREATE TABLE runs (
  run_id TEXT PRIMARY KEY,
  run_key TEXT NOT NULL UNIQUE,
  experiment TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  device_id TEXT NOT NULL DEFAULT '',
  bundle TEXT NOT NULL DEFAULT '',
  parent_run_id TEXT NOT NULL DEFAULT '',
  started_at BIGINT NOT NULL,
  ended_at BIGINT,
  mlflow_id TEXT NOT NULL DEFAULT '');
CREATE INDEX runs_by_time ON runs (started_at, run_id);
CREATE INDEX runs_by_experiment ON runs (experiment, started_at, run_id);
CREATE INDEX runs_by_device ON runs (device_id, started_at, run_id);

CREATE TABLE run_params (
  run_id TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (run_id, name));

CREATE TABLE run_tags (
  run_id TEXT NOT NULL,
  name TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (run_id, name));

CREATE TABLE run_metrics (
  run_id TEXT NOT NULL,
  name TEXT NOT NULL,
  step BIGINT NOT NULL,
  at BIGINT NOT NULL,
  value DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (run_id, name, step));

CREATE TABLE datasets (
  digest TEXT NOT NULL,
  name TEXT NOT NULL,
  source TEXT NOT NULL,
  profile TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL,
  PRIMARY KEY (name, digest));

CREATE TABLE run_datasets (
  run_id TEXT NOT NULL,
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  context TEXT NOT NULL,
  PRIMARY KEY (run_id, name, digest));

CREATE TABLE run_artifacts (
  run_id TEXT NOT NULL,
  path TEXT NOT NULL,
  object_key TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  sha256 TEXT NOT NULL,
  PRIMARY KEY (run_id, path));

CREATE TABLE outbox (
  entry_id INTEGER PRIMARY KEY,
  experiment TEXT NOT NULL,
  run_id TEXT NOT NULL,
  document TEXT NOT NULL,
  state TEXT NOT NULL,
  progress TEXT NOT NULL DEFAULT '',
  attempts BIGINT NOT NULL DEFAULT 0,
  due_at BIGINT NOT NULL DEFAULT 0,
  error TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL,
  sent_at BIGINT);
CREATE INDEX outbox_by_state ON outbox (state, entry_id);
CREATE INDEX outbox_by_experiment ON outbox (experiment, state, entry_id);
CREATE INDEX outbox_by_run ON outbox (run_id, state);

CREATE INDEX verdicts_by_time ON verdicts (at);
CREATE INDEX drift_events_by_arrival ON drift_events (received_at);

CREATE TABLE drift_periods (
  experiment TEXT NOT NULL,
  period_ms BIGINT NOT NULL,
  starts_at BIGINT NOT NULL,
  PRIMARY KEY (experiment, period_ms, starts_at));

CREATE TABLE mlflow_versions (
  name TEXT NOT NULL,
  version BIGINT NOT NULL,
  holds TEXT NOT NULL,
  bundle TEXT NOT NULL DEFAULT '',
  aliases TEXT NOT NULL,
  source TEXT NOT NULL,
  mlflow_run_id TEXT NOT NULL DEFAULT '',
  description TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (name, version));

CREATE TABLE rollout_proposals (
  proposal_id TEXT PRIMARY KEY,
  model TEXT NOT NULL,
  mlflow_version BIGINT NOT NULL,
  alias TEXT NOT NULL,
  fleet_group TEXT NOT NULL,
  bundle TEXT NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  state TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL);
CREATE INDEX rollout_proposals_by_time ON rollout_proposals (created_at, proposal_id);
)sql";

}  // namespace tinysphere::store::migrations
