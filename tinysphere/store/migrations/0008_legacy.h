// Devices of the Python prototype: their tokens, and the notifications their dashboard reads.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kLegacy = "";

}  // namespace tinysphere::store::migrations
