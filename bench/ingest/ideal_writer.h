// IdealWriter: the least a server could do that still keeps every body: a thread a connection, each
// receives, hashes, writes a file, flushes it, and says 201. No signature, no row, no receipt.

#pragma once

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"

namespace bench {

class IdealWriter {
 public:
  // Files are made below `folder`.
  explicit IdealWriter(std::string folder) : folder_(std::move(folder)) {}
  ~IdealWriter();
  IdealWriter(const IdealWriter&) = delete;
  IdealWriter& operator=(const IdealWriter&) = delete;

  base::Status Start();  // On loopback, any free port.
  std::uint16_t port() const { return port_; }

 private:
  void Accept();
  void Serve(int socket, int number);

  std::string folder_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::thread acceptor_;
};

}  // namespace bench
