// Parts of an object's key made of what people and devices call things.

#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace tinysphere::store {

// An id ([A-Za-z0-9._:-]) as a part of a key: a colon becomes '='.
std::string IdKeyPart(std::string_view id);

// Any text as one safe part of a key, at most 100 bytes, two different texts never the same: what a
// key may not hold is written =XX (hex of the byte), a long text ends with a part of its digest.
std::string TextKeyPart(std::string_view text);

// yyyymmdd, UTC.
std::string DayKeyPart(base::Time at);

}  // namespace tinysphere::store
