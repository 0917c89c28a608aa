// Packages and metrics by time: partitions where the database has them, and the keys that stay
// unique across them.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kPartitions = "";

}  // namespace tinysphere::store::migrations
