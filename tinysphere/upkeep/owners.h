// Owners: whose the objects of a bucket are, by the second part of their keys.

#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::upkeep {

// "d-1" of "packages/d-1/e1/7"; "" where there is no such part.
std::string_view OwnerOf(std::string_view object_key);

// Every device, by what stands for it in a key.
base::Result<std::map<std::string, std::string>> ReadOwners(store::Database& database);

}  // namespace tinysphere::upkeep
