// What packages become for the pages: log parts, pictures, sketches, link intervals.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kSeries = "";

}  // namespace tinysphere::store::migrations
