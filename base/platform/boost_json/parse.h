// ParseJson: the grammar of RFC 8259 by Boost.JSON's streaming parser, into base::Json.

#pragma once

#include <cstddef>
#include <string_view>

#include "base/json.h"

namespace base::platform {

Result<Json> ParseJson(std::string_view text, std::size_t depth_max);

}  // namespace base::platform
