// The schema, as numbered migrations compiled in. A migration that was ever released is never
// changed: its checksum is kept in the database and compared at every start.

#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::store {

struct Migration {
  int number = 0;
  std::string_view name;
  std::string_view sql;            // Statements separated by ";\n".
  std::string_view postgres = {};  // What PostgreSQL gets in their place, if it is not the same.
};

// All of them, in order.
std::span<const Migration> Migrations();

// Brings the database up to the last migration, each in a transaction of its own. Returns how many
// were applied. kCorrupt if an applied one differs from ours, kUnsupported if the database has been
// used by a newer program.
base::Result<int> Migrate(Database& database, std::span<const Migration> migrations,
                          base::Time now);

// Buckets of the object store (the first part of a key).
inline constexpr std::string_view kPackagesBucket = "packages";           // <device>/<epoch>/<seq>
inline constexpr std::string_view kBundlesBucket = "bundles";             // sha256/<hex of archive>
inline constexpr std::string_view kDriftSamplesBucket = "drift-samples";  // <device>/<sample>
// <feedback>.jsonl: each validated ground truth, never rewritten. No device is called "verdicts".
inline constexpr std::string_view kVerdictsFolder = "drift-samples/verdicts";
inline constexpr std::string_view kDriftBucket = "drift";  // <device>/<kind>/<day>/<event>/<file>
inline constexpr std::string_view kDriftFeaturesBucket = "drift-features";  // <device>/<event>...
// <device>/<label>/<day>/<sample>.jpg
inline constexpr std::string_view kPredictionImagesBucket = "prediction-images";
inline constexpr std::string_view kDataLogsBucket = "data-logs";  // <device>/<boot>/<seq>.jsonl
inline constexpr std::string_view kAdaptationsBucket = "adaptations";  // <device>/<sha256 hex>

// Small facts about the whole installation (table settings): "store_generation", ...
base::Result<std::optional<std::string>> ReadSetting(Transaction& transaction,
                                                     std::string_view name);
base::Status WriteSetting(Transaction& transaction, std::string_view name, std::string_view value);

}  // namespace tinysphere::store
