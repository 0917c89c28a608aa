// Client: sends prepared requests over some connections, each connection one after the other, and
// reads the answers. One thread, so that it costs what both servers are compared with little.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace bench {

struct Prepared {
  std::string head;  // Request line and header fields.
  base::Bytes body;
};

struct Sent {
  double seconds = 0;        // From the first byte to the last answer.
  std::string first_answer;  // Head and body.
};

// An error if any answer is not `status`.
base::Result<Sent> SendAll(std::uint16_t port, int connections,
                           const std::vector<Prepared>& requests, int status);

}  // namespace bench
