// Subject: the server that is measured: everything `tinysphere serve` consists of, on SQLite and a
// folder, except that nobody unpacks what came (that is processing, which has a figure of its own).

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"

namespace bench {

// Serves on loopback, with devices 0 to `devices` - 1 enrolled, until the process is ended.
// `ready` is called with the port.
base::Status ServeSubject(const std::string& data, int devices,
                          const std::function<void(std::uint16_t)>& ready);

}  // namespace bench
