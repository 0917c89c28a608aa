// What a person asks a device to be; empty: as its own configuration says.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kDesiredMode = R"sql(
ALTER TABLE devices ADD COLUMN desired_mode TEXT NOT NULL DEFAULT '';
)sql";

}  // namespace tinysphere::store::migrations
