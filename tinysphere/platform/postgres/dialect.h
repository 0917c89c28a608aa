// Dialect: what differs between the shared SQL and PostgreSQL, and what its answers mean.
//
// Only statements that make tables are rewritten. Text is collated "C", so that it is compared by
// its bytes as SQLite does, whatever locale the database was made with.
// Sources: PostgreSQL 15, 8 (data types), 24.2 (collation), appendix A (SQLSTATE).

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::postgres {

// CREATE TABLE and ALTER TABLE with PostgreSQL's types; any other statement as it is.
std::string Translate(std::string_view sql);

// "23505" -> kConflict, ...
base::ErrorCode CodeOf(std::string_view sqlstate);

// A field as the server writes it in text, by the number of its type.
base::Result<store::Value> ParseField(unsigned type, std::string_view text);

// A value as the server reads it in text. REQUIRES: neither NULL nor bytes.
std::string FormatField(const store::Value& value);
// One field of a row for COPY ... FROM STDIN in text format, appended to `out`.
void AppendCopyField(std::string& out, const store::Value& value);

}  // namespace tinysphere::postgres
