// What the operation of an installation keeps.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kOperations = "";

}  // namespace tinysphere::store::migrations
