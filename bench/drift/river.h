// river (the Python library) on the same numbers, through river_side.py.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/drift/table.h"

namespace bench::drift {

// At which values of each stream ADWIN alarms, defaults, from the first value on. Nothing where
// Settings::river is empty or fails (said on stderr).
std::optional<std::vector<std::vector<std::uint64_t>>> RiverAdwinAlarms(
    const Settings& settings, const std::vector<std::vector<double>>& streams);

// Nanoseconds an update: "page_hinkley", "adwin", "kswin", "ddm", "eddm", "hddm_a", "hddm_w".
// Empty where there is no river.
std::map<std::string, double> RiverNanoseconds(const Settings& settings);

}  // namespace bench::drift
