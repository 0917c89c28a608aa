// Statements: what the server says with its signature, the only thing that is final for a device
// (PROTOCOL 3).

#pragma once

#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "tinysphere/access/server_keys.h"

namespace tinysphere::access {

// The fields a statement is about; one that does not apply stays empty.
struct Saying {
  std::string kind;  // "stored", "duplicate", "conflict", "refused", "held", "decommissioned",
                     // "enrolled", "identity", "desired", "feedback"
  std::string device_id;
  std::string subject;
  std::string sha256;  // Hex.
  std::string code;    // base::Name(code) of a refusal.
};

// May be used from several threads.
class StatementSigner {
 public:
  // `keys` and `clock` must outlive the signer.
  StatementSigner(const ServerKeys& keys, std::string store_generation, base::Clock& clock)
      : keys_(keys), store_generation_(std::move(store_generation)), clock_(clock) {}

  // The statement as JSON; a receipt or refusal is this with further members beside it.
  base::Json Sign(const Saying& saying) const;
  // The same as the header TLCM-Statement carries it (base64url).
  std::string SignForHeader(const Saying& saying) const;

  const std::string& store_generation() const { return store_generation_; }
  std::string fingerprint() const { return keys_.fingerprint(); }
  const base::Ed25519PublicKey& public_key() const { return keys_.signing_key.public_key(); }

 private:
  const ServerKeys& keys_;
  std::string store_generation_;
  base::Clock& clock_;
};

}  // namespace tinysphere::access
