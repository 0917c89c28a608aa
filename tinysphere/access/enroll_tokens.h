// EnrollTokens: one-time permission for one device to join (PROTOCOL 1).

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::access {

struct EnrollToken {
  std::string token_id;  // First 12 hex digits of the secret's hash; what people see.
  std::string publisher_fingerprint;
  std::string created_by;
  base::Time created_at{};
  base::Time expires_at{};
  std::optional<base::Time> used_at;
  std::optional<std::string> used_by;  // Device id.
};

struct NewEnrollToken {
  std::string server_fingerprint;
  base::Ed25519PublicKey publisher_key{};
  std::string tls_pin;  // "" where devices check against a CA.
  bool replaces_publisher = false;
  base::Duration ttl{24LL * 60 * 60 * 1000};
  std::string created_by;
};

// "tlcm1.<secret>.<server>.<publisher>[.<pin>]"; only the secret's hash is stored. Remembers the
// publisher's public key for the identity answer. A server has one publisher, for a device trusts
// one: kConflict if another is known here, unless `replaces_publisher`, which forgets that one and
// revokes its unused tokens.
base::Result<std::string> CreateEnrollToken(store::Database& database, const NewEnrollToken& token,
                                            base::Time now);

// Uses the secret for this device. The same device may use it again (its answer was lost).
// kPermissionDenied: unknown, expired, or another device's.
base::Status UseEnrollToken(store::Transaction& transaction, std::string_view secret,
                            const std::string& device_id, base::Time now);

// kNotFound if no unused token has this id.
base::Status RevokeEnrollToken(store::Database& database, const std::string& token_id,
                               const std::string& by, base::Time now);

base::Result<std::vector<EnrollToken>> ListEnrollTokens(store::Database& database);

// The publisher's public key; empty before the first token was made.
base::Result<std::vector<base::Ed25519PublicKey>> PublisherKeys(store::Database& database);
base::Status RememberPublisherKey(store::Transaction& transaction,
                                  const base::Ed25519PublicKey& key, base::Time now);

}  // namespace tinysphere::access
