// PackageRows: what the database says of a package: its row, its name, and the counts per device.
//
// The name is unique over all of time; the row lies with those of its month (store/partitions.h),
// so whoever looks for a row by its name asks for the moment of its receipt first:
// kWherePackage.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::ingest {

struct PackageRow {
  std::string device_id;
  std::string epoch;
  std::uint64_t seq = 0;
  std::string package_id;
  std::string type;
  std::uint64_t bytes = 0;
  std::string sha256;
  std::string object_key;
  std::string bundle;
  std::optional<base::Time> created_at;
  base::Time received_at{};
};

// The package $1: by the part its row lies in, so that no other is looked at.
inline constexpr std::string_view kWherePackage =
    "package_id = $1 AND received_at = (SELECT received_at FROM package_names WHERE "
    "package_id = $1)";

// Stored and not processed yet. kConflict if there is a package of this name.
base::Status InsertPackage(store::Transaction& transaction, const PackageRow& row);
// It came once more.
base::Status CountDuplicate(store::Transaction& transaction, const std::string& package_id);

}  // namespace tinysphere::ingest
