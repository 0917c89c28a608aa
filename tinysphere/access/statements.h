// Statements: what the server says with its signature, the only thing that is final for a device
// (PROTOCOL 3; docs/formats/statement.md).

#pragma once

#include <string>
#include <utility>

#include "base/clock.h"
#include "base/json.h"
#include "protocol/statement.h"
#include "tinysphere/access/server_keys.h"

namespace tinysphere::access {

// What a statement is about; a field that does not apply stays empty.
struct Saying {
  std::string kind;  // As protocol::Name(StatementKind): "stored", "refused", "held", ...
  std::string device_id{};
  std::string subject{};
  std::string sha256{};   // Hex.
  std::string code{};     // base::Name(code) of a refusal.
  std::string message{};  // Of a refusal, for a person; not signed.
  std::string field{};    // The same.
};

// May be used from several threads.
class StatementSigner {
 public:
  // `keys` and `clock` must outlive the signer.
  StatementSigner(const ServerKeys& keys, std::string store_generation, base::Clock& clock)
      : keys_(keys), store_generation_(std::move(store_generation)), clock_(clock) {}

  // REQUIRES: `kind` is one of protocol's, and no field holds a control character.
  protocol::Statement Say(const Saying& saying) const;
  // The same as JSON; a receipt or refusal is this, maybe with further members beside it.
  base::Json Sign(const Saying& saying) const;
  // The same as the header TLCM-Statement carries it.
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
