// Rows as lines of a dump: a JSON array a row, each value with its type.
//
//   [41,"d-1",{"d":"0.1"},{"b":"AAEC"},null]   integer, text, real, bytes, null
//
// A real is written as the shortest text that reads back to the same value, so that neither its
// last bit nor its type (1.0 is no integer) is lost on the way.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::operation {

// Without the end of the line.
std::string WriteRow(const store::Row& row);
// kCorrupt unless the line is an array of `columns` values.
base::Result<store::Params> ReadRow(std::string_view line, std::size_t columns);
// Puts U+FFFD for each byte of a text that no database takes (store::CheckText), as releases before
// migration 5 stored it. How many values of the row that were.
std::int64_t RepairTexts(store::Params& row);

}  // namespace tinysphere::operation
