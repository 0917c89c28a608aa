// Enrolment: the token a person carries to the device, the server's identity, the request.
// docs/formats/enrolment.md.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/crypto.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/statement.h"

namespace protocol {

// "tlcm1.<secret>.<server key fingerprint>.<publisher key fingerprint>[.<TLS SPKI pin>]"
struct EnrolmentToken {
  std::string secret;  // base64url; never logged.
  std::string server_fingerprint;
  std::string publisher_fingerprint;
  std::string tls_pin;  // base64url(SHA-256(SPKI)), or empty.

  friend bool operator==(const EnrolmentToken&, const EnrolmentToken&) = default;
};
std::string WriteEnrolmentToken(const EnrolmentToken& token);
base::Result<EnrolmentToken> ParseEnrolmentToken(std::string_view text);

// GET /api/v1/identity?challenge=...
struct Identity {
  base::Ed25519PublicKey server_key{};
  std::optional<base::Ed25519PublicKey> publisher_key;
  std::vector<std::string> formats;
  Statement statement;  // kIdentity; subject is the challenge, sha256 that of IdentityText.

  friend bool operator==(const Identity&, const Identity&) = default;
};
// Signs over the challenge.
Identity MakeIdentity(const base::Ed25519Key& server_key,
                      const std::optional<base::Ed25519PublicKey>& publisher_key,
                      std::vector<std::string> formats, std::string_view challenge,
                      std::string_view store_generation, base::Time server_time);
std::string IdentityText(const Identity& identity);
base::Json ToJson(const Identity& identity);
base::Result<Identity> ParseIdentity(std::string_view json);
// kPermissionDenied unless both keys have these fingerprints and the statement answers `challenge`.
base::Status VerifyIdentity(const Identity& identity, std::string_view challenge,
                            std::string_view server_fingerprint,
                            std::string_view publisher_fingerprint);

// POST /api/v1/devices/enroll, answered by a statement kEnrolled or kPending whose subject is the
// key's fingerprint.
struct EnrolRequest {
  base::Ed25519PublicKey public_key{};
  std::optional<std::string> token;  // The secret only.
  std::string name;
  std::string agent_version;

  friend bool operator==(const EnrolRequest&, const EnrolRequest&) = default;
};
base::Json ToJson(const EnrolRequest& request);
base::Result<EnrolRequest> ParseEnrolRequest(std::string_view json);

// The base64url text of a raw public key, as JSON carries it.
base::Result<base::Ed25519PublicKey> ParseRawPublicKey(std::string_view text);

}  // namespace protocol
