// Statement: the server's signed word. Only a statement that verifies is final; whatever else comes
// back from the network is no answer. docs/formats/statement.md.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/result.h"

namespace protocol {

enum class StatementKind {
  kStored,          // The package is durable.
  kDuplicate,       // It was already.
  kConflict,        // Another archive has this id.
  kRefused,         // Permanently bad.
  kHeld,            // Not accepted now.
  kDecommissioned,  // Stop syncing.
  kIdentity,        // Who the server is.
  kEnrolled,
  kPending,   // Enrolled once a person has accepted it.
  kDesired,   // Beside a desired-state document.
  kFeedback,  // Beside a feedback document.
};
const char* Name(StatementKind kind);

struct StatementError {
  std::string code;
  std::string message;
  std::optional<std::string> field;

  friend bool operator==(const StatementError&, const StatementError&) = default;
};

struct Statement {
  StatementKind kind = StatementKind::kHeld;
  std::string device_id;
  std::string subject;
  std::string sha256;
  std::string code;
  std::string store_generation;
  std::string server_time;
  std::string key_id;  // Fingerprint of the server key.
  base::Ed25519Signature signature{};
  std::optional<StatementError> error;  // For a person; not signed but for its code.

  friend bool operator==(const Statement&, const Statement&) = default;
};

// Exactly what is signed.
std::string StatementText(const Statement& statement);

// Fills in key_id, code (from `error`) and signature.
// REQUIRES: no field holds a control character.
Statement SignStatement(Statement statement, const base::Ed25519Key& server_key);

// kPermissionDenied unless it is `server_key`'s.
base::Status VerifyStatement(const Statement& statement, const base::Ed25519PublicKey& server_key);

base::Json ToJson(const Statement& statement);
base::Result<Statement> ParseStatement(std::string_view json);

// The header TLCM-Statement: base64url of the JSON.
std::string WriteStatementHeader(const Statement& statement);
base::Result<Statement> ParseStatementHeader(std::string_view value);

// Header names, lower case as on HTTP/2.
inline constexpr std::string_view kHeaderStatement = "tlcm-statement";
inline constexpr std::string_view kHeaderNonce = "tlcm-nonce";
inline constexpr std::string_view kHeaderAudience = "tlcm-audience";
inline constexpr std::string_view kHeaderDesiredEtag = "tlcm-desired-etag";
inline constexpr std::string_view kHeaderPollAfter = "tlcm-poll-after";

}  // namespace protocol
