// Devices of the Python prototype: their tokens, what they say of themselves, the packages as they
// named them; and what people did with notifications and with the state of drift events.
//
// notification_marks: what people did with an entry of the timeline, by its entry_id; a negative
// one is no entry but a message that was posted here.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kLegacy = R"sql(
CREATE TABLE legacy_tokens (
  token_hash TEXT PRIMARY KEY,
  token_id TEXT NOT NULL UNIQUE,
  device_id TEXT NOT NULL,
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL);

CREATE TABLE legacy_devices (
  device_id TEXT PRIMARY KEY,
  hostname TEXT NOT NULL DEFAULT '',
  ip_address TEXT NOT NULL DEFAULT '',
  platform TEXT NOT NULL DEFAULT '',
  platform_version TEXT NOT NULL DEFAULT '',
  device_model TEXT NOT NULL DEFAULT '',
  python_version TEXT NOT NULL DEFAULT '',
  tinylcm_version TEXT NOT NULL DEFAULT '',
  device_info TEXT NOT NULL DEFAULT '{}',
  latitude DOUBLE PRECISION,
  longitude DOUBLE PRECISION,
  geo_accuracy DOUBLE PRECISION,
  registered_at BIGINT NOT NULL,
  packages BIGINT NOT NULL DEFAULT 0);

CREATE TABLE legacy_packages (
  package_id TEXT PRIMARY KEY,
  device_id TEXT NOT NULL,
  named TEXT NOT NULL,
  sha256 TEXT NOT NULL,
  file_name TEXT NOT NULL DEFAULT '',
  said_hash TEXT NOT NULL DEFAULT '',
  problem TEXT NOT NULL DEFAULT '');
CREATE INDEX legacy_packages_by_name ON legacy_packages (device_id, named);

CREATE TABLE notification_marks (
  entry_id BIGINT PRIMARY KEY,
  message TEXT NOT NULL DEFAULT '',
  created_at BIGINT NOT NULL DEFAULT 0,
  read_at BIGINT,
  is_deleted BIGINT NOT NULL DEFAULT 0,
  notification_type TEXT NOT NULL DEFAULT '',
  source TEXT NOT NULL DEFAULT '',
  source_id TEXT NOT NULL DEFAULT '',
  details TEXT NOT NULL DEFAULT '');

CREATE TABLE drift_resolutions (
  event_id TEXT PRIMARY KEY,
  status TEXT NOT NULL,
  notes TEXT NOT NULL DEFAULT '',
  resolved_by TEXT NOT NULL,
  resolved_at BIGINT NOT NULL);
)sql";

}  // namespace tinysphere::store::migrations
