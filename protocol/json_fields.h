// What several formats read and write alike.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace protocol {

// `format` must be there and be exactly `expected`; kUnsupported where it is another.
base::Status CheckFormat(base::JsonReader& reader, std::string_view expected);

base::Time ReadTime(base::JsonReader& reader, std::string_view key);
std::uint64_t ReadCount(base::JsonReader& reader, std::string_view key);

base::Json ToJson(const std::vector<std::string>& texts);
base::Json ToJson(const std::vector<double>& numbers);
std::vector<double> ReadNumbers(base::JsonReader& reader, std::string_view key,
                                std::size_t count_max);

// Parses a whole document with the limits that all small formats share.
base::Result<base::Json> ParseDocument(std::string_view text);

}  // namespace protocol
