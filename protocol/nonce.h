// NonceIssuer: the nonce of signed requests, without state: an HMAC over device id and server time,
// good for ten minutes. Replicas that share the key accept each other's.

#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace protocol {

// May be used from several threads.
class NonceIssuer {
 public:
  static constexpr base::Duration kLifetime = std::chrono::minutes(10);

  // REQUIRES: at least 32 random bytes.
  explicit NonceIssuer(base::Bytes key);

  std::string Issue(std::string_view device_id, base::Time now) const;
  // kPermissionDenied if it is not ours, another device's, or older than its lifetime.
  base::Status Check(std::string_view nonce, std::string_view device_id, base::Time now) const;

 private:
  base::Bytes Seal(std::string_view device_id, base::ByteView time) const;

  base::Bytes key_;
};

// What a device accepts as a nonce: at most 128 of [A-Za-z0-9_-].
bool IsNonce(std::string_view text);

}  // namespace protocol
