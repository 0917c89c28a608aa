// Requests: packages as devices would send them, built and signed before the clock runs.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "bench/ingest/client.h"

namespace bench {

// Device `number`, the same in every process.
base::Ed25519Key DeviceKey(int number);

// What a request needs to know of the server.
struct ServerFace {
  std::string fingerprint;
  base::Bytes nonce_key;
};

class Requests {
 public:
  // Packages of devices 0 to `devices` - 1 in turn; `seed` for what is in them.
  Requests(ServerFace server, int devices, std::uint64_t seed);

  // `count` signed PUTs of archives of `bytes` each (to 1 %): one picture, as far as gzip can tell.
  std::vector<Prepared> Make(int count, std::size_t bytes);

 private:
  ServerFace server_;
  std::vector<base::Ed25519Key> keys_;
  std::vector<std::string> ids_;
  base::Bytes noise_;
  std::string epoch_;
  std::uint64_t next_ = 0;
};

}  // namespace bench
