// What an answer means: only a statement that verifies, is about us and about what we asked is
// final; everything else, whatever its status, is no answer.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/crypto.h"
#include "protocol/statement.h"
#include "tinylcm/sync/transport.h"

namespace tinylcm::sync {

// Whom the device trusts, from enrolment.
struct Trust {
  base::Ed25519PublicKey server_key{};
  base::Ed25519PublicKey publisher_key{};
};

enum class UploadOutcome {
  kStored,
  kDuplicate,
  kConflict,
  kRefused,
  kHeld,
  kDecommissioned,
  kNoAnswer,
};
const char* Name(UploadOutcome outcome);

// What was asked, as far as an answer must repeat it.
struct Asked {
  std::string device_id;
  std::string subject;  // The package id.
  std::string sha256;   // Of the archive, hex.
  std::string nonce;    // Of the request.
};

struct UploadVerdict {
  UploadOutcome outcome = UploadOutcome::kNoAnswer;
  std::optional<protocol::Statement> statement;  // Unless kNoAnswer.
  std::string why;                               // For the log.
  bool is_heard = false;                         // Some HTTP answer came back.
};
UploadVerdict JudgeUpload(const HttpAnswer& answer, const base::Ed25519PublicKey& server_key,
                          const Asked& asked);

// kHeld or kDecommissioned in answer to this very request, of any kind.
std::optional<protocol::Statement> StandingOf(const HttpAnswer& answer,
                                              const base::Ed25519PublicKey& server_key,
                                              std::string_view device_id, std::string_view nonce);

// The statement beside a document (header TLCM-Statement): right kind, ours, of these very bytes.
base::Result<protocol::Statement> DocumentStatement(const HttpAnswer& answer,
                                                    const base::Ed25519PublicKey& server_key,
                                                    protocol::StatementKind kind,
                                                    std::string_view device_id);

// Hints: unsigned, therefore bounded.
std::optional<std::string> NonceOf(const HttpAnswer& answer);
std::optional<base::Duration> RetryAfterOf(const HttpAnswer& answer);  // 0 s .. 24 h
std::optional<base::Duration> PollAfterOf(const HttpAnswer& answer);   // 5 s .. 24 h
std::string DesiredEtagOf(const HttpAnswer& answer);                   // Empty if there is none.

}  // namespace tinylcm::sync
