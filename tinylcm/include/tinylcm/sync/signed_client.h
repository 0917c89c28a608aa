// SignedClient: sends requests signed by the device key and keeps the nonce that the server renews
// in every answer. A 401 with a new nonce costs one more round trip, at once.

#pragma once

#include <string>

#include "base/crypto.h"
#include "base/result.h"
#include "tinylcm/sync/transport.h"

namespace tinylcm::sync {

// Not thread-safe.
class SignedClient {
 public:
  // References must outlive it. `audience`: the server key's fingerprint.
  SignedClient(Transport& transport, const base::Ed25519Key& device_key, std::string audience);

  struct Reply {
    HttpAnswer answer;
    std::string nonce;  // Of the request that was answered.
  };
  // Adds content-digest (with a body), tlcm-audience, tlcm-nonce and the signature.
  base::Result<Reply> Do(const HttpRequest& request);

  const std::string& device_id() const { return device_id_; }

 private:
  base::Result<HttpAnswer> Send(const HttpRequest& request, const std::string& digest);

  Transport& transport_;
  const base::Ed25519Key& key_;
  std::string device_id_;
  std::string audience_;
  std::string nonce_;
};

}  // namespace tinylcm::sync
