// Server: the network side of a router. platform/beast implements it.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/logger.h"
#include "base/result.h"
#include "tinysphere/http/router.h"

namespace tinysphere::http {

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;            // 0: any free one; port() tells which.
  std::string tls_certificate_path;  // PEM. Both or none.
  std::string tls_key_path;
  std::string
      spool_folder;  // Must be on the object store's file system, so that Adopt is a rename.
  int io_threads = 2;
  // Handlers, disk and database. More than processors, for most of their time they wait for a flush
  // of the disk that they share.
  int worker_threads = 32;
  std::size_t header_bytes_max = 16 * 1024;
  int connections_max = 2048;
  // Of bodies that came and were not yet answered; more get 503.
  std::uint64_t bytes_in_flight_max = 1ull << 30;
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{30'000};  // Without one further byte.
  // A body that comes slower than this, on the whole and after a first body_timeout, is hung up on.
  std::uint64_t body_bytes_per_second_min = 512;
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds heartbeat{15'000};  // Comment lines in event streams.
  std::chrono::milliseconds drain{10'000};      // How long Stop waits for answers under way.
};

class Server {
 public:
  virtual ~Server() = default;  // Stops it.
  virtual std::uint16_t port() const = 0;
  virtual bool is_secure() const = 0;
  // Accepts nothing new, lets requests under way end, then closes everything. Returns when done.
  virtual void Stop() = 0;
};

}  // namespace tinysphere::http
