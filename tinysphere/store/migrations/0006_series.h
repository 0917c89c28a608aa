// What packages become for the pages: log parts, pictures, sketches, hours of figures, link
// intervals; how far each package is; and what was erased.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

// packages.steps: JSON [{"step","state","at","detail"}], written with the row's other changes, so
// that progress costs no row of its own.
// logs_index: a part per package, never rewritten. first_at and last_at are what its lines say;
// NULL where none does.
// images_index: sampled pictures; `label` as the device said it, `day` is yyyymmdd of `at`.
// sketches: as they came; content is the file (safetensors). sketch_days: a device's sketches of
// one bundle and one day, added up; `day` is the time it began, UTC.
// metrics_rollup: a device's figures of an hour; document is {figure: [count, sum, min, max]}.
// link_intervals: `state` is online, poor, offline or unknown (this server was away); until_at is
// NULL while it lasts. `late`: gaps of more than two polls that were no absence.
// erasures: what is left of a device whose data was deleted.
inline constexpr std::string_view kSeries = R"sql(
ALTER TABLE packages ADD COLUMN processed_at BIGINT;
ALTER TABLE packages ADD COLUMN steps TEXT;
ALTER TABLE drift_samples ADD COLUMN feature TEXT NOT NULL DEFAULT '';
ALTER TABLE devices ADD COLUMN is_erasing BIGINT NOT NULL DEFAULT 0;
ALTER TABLE devices ADD COLUMN erased_at BIGINT;

CREATE INDEX jobs_in_order ON jobs (kind, state, job_id);

CREATE TABLE logs_index (
  device_id TEXT NOT NULL,
  boot TEXT NOT NULL,
  seq BIGINT NOT NULL,
  package_id TEXT NOT NULL,
  lines BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  first_at BIGINT,
  last_at BIGINT,
  received_at BIGINT NOT NULL,
  object_key TEXT NOT NULL,
  PRIMARY KEY (device_id, boot, seq));
CREATE INDEX logs_index_by_device ON logs_index (device_id, seq);

CREATE TABLE images_index (
  device_id TEXT NOT NULL,
  sample_id TEXT NOT NULL,
  label TEXT NOT NULL,
  day BIGINT NOT NULL,
  at BIGINT NOT NULL,
  sample_index BIGINT,
  confidence DOUBLE PRECISION,
  distance DOUBLE PRECISION,
  reason TEXT NOT NULL DEFAULT '',
  bundle TEXT NOT NULL DEFAULT '',
  bytes BIGINT NOT NULL,
  object_key TEXT NOT NULL,
  package_id TEXT NOT NULL,
  PRIMARY KEY (device_id, sample_id));
CREATE INDEX images_index_by_time ON images_index (device_id, at, sample_id);
CREATE INDEX images_index_by_label ON images_index (device_id, label, at, sample_id);

CREATE TABLE sketches (
  device_id TEXT NOT NULL,
  epoch TEXT NOT NULL,
  seq BIGINT NOT NULL,
  bundle TEXT NOT NULL,
  package_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  first_index BIGINT NOT NULL,
  last_index BIGINT NOT NULL,
  samples BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (device_id, epoch, seq));
CREATE INDEX sketches_by_time ON sketches (device_id, at);
CREATE INDEX sketches_oldest ON sketches (at);

CREATE TABLE sketch_days (
  device_id TEXT NOT NULL,
  bundle TEXT NOT NULL,
  day BIGINT NOT NULL,
  sketches BIGINT NOT NULL,
  samples BIGINT NOT NULL,
  bytes BIGINT NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (device_id, bundle, day));
CREATE INDEX sketch_days_by_bundle ON sketch_days (bundle, day);
CREATE INDEX sketch_days_by_day ON sketch_days (device_id, day);

CREATE TABLE metrics_rollup (
  device_id TEXT NOT NULL,
  at BIGINT NOT NULL,
  points BIGINT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY (device_id, at));
CREATE INDEX metrics_rollup_by_time ON metrics_rollup (at);

CREATE TABLE link_intervals (
  device_id TEXT NOT NULL,
  from_at BIGINT NOT NULL,
  until_at BIGINT,
  state TEXT NOT NULL,
  requests BIGINT NOT NULL DEFAULT 0,
  late BIGINT NOT NULL DEFAULT 0,
  signal_dbm DOUBLE PRECISION,
  PRIMARY KEY (device_id, from_at));
CREATE INDEX link_intervals_open ON link_intervals (until_at);

CREATE TABLE erasures (
  erasure_id INTEGER PRIMARY KEY,
  device_id TEXT NOT NULL,
  asked_by TEXT NOT NULL,
  asked_at BIGINT NOT NULL,
  state TEXT NOT NULL,
  finished_at BIGINT,
  rows_deleted BIGINT NOT NULL DEFAULT 0,
  objects_deleted BIGINT NOT NULL DEFAULT 0,
  bytes_deleted BIGINT NOT NULL DEFAULT 0);
CREATE INDEX erasures_by_device ON erasures (device_id, erasure_id);
)sql";

}  // namespace tinysphere::store::migrations
