#include "tinylcm/sync/answer.h"

#include <algorithm>

#include "base/text.h"
#include "protocol/nonce.h"

namespace tinylcm::sync {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;
using protocol::Statement;
using protocol::StatementKind;

namespace {

std::optional<base::Duration> SecondsOf(const HttpAnswer& answer, std::string_view header,
                                        std::int64_t least) {
  const std::string* text = answer.Header(header);
  if (text == nullptr) return std::nullopt;
  const Result<std::int64_t> seconds = base::ParseInt(base::Trim(*text));
  if (!seconds.ok()) return std::nullopt;
  return std::chrono::seconds(std::clamp<std::int64_t>(*seconds, least, 24 * 3600));
}

// The statement that is the answer's body, if its signature holds.
std::optional<Statement> SignedBody(const HttpAnswer& answer,
                                    const base::Ed25519PublicKey& server_key, std::string* why) {
  const Result<Statement> statement = protocol::ParseStatement(answer.body);
  if (!statement.ok()) {
    *why = StrCat("HTTP ", answer.status, " without a statement");
    return std::nullopt;
  }
  if (!protocol::VerifyStatement(*statement, server_key).ok()) {
    *why = StrCat("HTTP ", answer.status, " with a statement by another key");
    return std::nullopt;
  }
  return *statement;
}

}  // namespace

const char* Name(UploadOutcome outcome) {
  switch (outcome) {
    case UploadOutcome::kStored:
      return "stored";
    case UploadOutcome::kDuplicate:
      return "duplicate";
    case UploadOutcome::kConflict:
      return "conflict";
    case UploadOutcome::kRefused:
      return "refused";
    case UploadOutcome::kHeld:
      return "held";
    case UploadOutcome::kDecommissioned:
      return "decommissioned";
    case UploadOutcome::kNoAnswer:
      return "no answer";
  }
  return "no answer";
}

UploadVerdict JudgeUpload(const HttpAnswer& answer, const base::Ed25519PublicKey& server_key,
                          const Asked& asked) {
  UploadVerdict verdict;
  verdict.is_heard = true;
  const std::optional<Statement> statement = SignedBody(answer, server_key, &verdict.why);
  if (!statement) return verdict;
  if (statement->device_id != asked.device_id) {
    verdict.why = "a statement for another device";
    return verdict;
  }
  UploadOutcome outcome = UploadOutcome::kNoAnswer;
  bool is_about_package = true;
  switch (statement->kind) {
    case StatementKind::kStored:
      outcome = UploadOutcome::kStored;
      break;
    case StatementKind::kDuplicate:
      outcome = UploadOutcome::kDuplicate;
      break;
    case StatementKind::kConflict:
      outcome = UploadOutcome::kConflict;
      break;
    case StatementKind::kRefused:
      outcome = UploadOutcome::kRefused;
      break;
    case StatementKind::kHeld:
      outcome = UploadOutcome::kHeld;
      is_about_package = false;
      break;
    case StatementKind::kDecommissioned:
      outcome = UploadOutcome::kDecommissioned;
      is_about_package = false;
      break;
    case StatementKind::kIdentity:
    case StatementKind::kEnrolled:
    case StatementKind::kPending:
    case StatementKind::kDesired:
    case StatementKind::kFeedback:
      verdict.why = StrCat("a statement of another kind (", protocol::Name(statement->kind), ")");
      return verdict;
  }
  // What is about a package must name it and have seen these very bytes; what is about our standing
  // must answer this very request, or an old one could be played back.
  if (is_about_package) {
    if (statement->subject != asked.subject) {
      verdict.why = "a statement for another package";
      return verdict;
    }
    if (statement->sha256 != asked.sha256) {
      verdict.why = "a statement for another sha256";
      return verdict;
    }
  } else if (asked.nonce.empty() || statement->subject != asked.nonce) {
    verdict.why = "a statement for another request";
    return verdict;
  }
  verdict.outcome = outcome;
  verdict.statement = statement;
  verdict.why = statement->error ? StrCat(Name(outcome), ": ", statement->error->message)
                                 : std::string(Name(outcome));
  return verdict;
}

std::optional<Statement> StandingOf(const HttpAnswer& answer,
                                    const base::Ed25519PublicKey& server_key,
                                    std::string_view device_id, std::string_view nonce) {
  std::string why;
  const std::optional<Statement> statement = SignedBody(answer, server_key, &why);
  if (!statement || statement->device_id != device_id || nonce.empty() ||
      statement->subject != nonce) {
    return std::nullopt;
  }
  if (statement->kind != StatementKind::kHeld &&
      statement->kind != StatementKind::kDecommissioned) {
    return std::nullopt;
  }
  return statement;
}

Result<Statement> DocumentStatement(const HttpAnswer& answer,
                                    const base::Ed25519PublicKey& server_key, StatementKind kind,
                                    std::string_view device_id) {
  const auto refuse = [](std::string_view why) {
    return Error{ErrorCode::kPermissionDenied, StrCat("document: ", why)};
  };
  const std::string* header = answer.Header(protocol::kHeaderStatement);
  if (header == nullptr) return refuse("unsigned");
  ASSIGN_OR_RETURN(Statement statement, protocol::ParseStatementHeader(*header));
  RETURN_IF_ERROR(protocol::VerifyStatement(statement, server_key));
  if (statement.kind != kind) return refuse("its statement is of another kind");
  if (statement.device_id != device_id) return refuse("it is for another device");
  if (statement.sha256 != base::Sha256Hex(base::AsBytes(answer.body))) {
    return refuse("its statement is for other bytes");
  }
  return statement;
}

std::optional<std::string> NonceOf(const HttpAnswer& answer) {
  const std::string* nonce = answer.Header(protocol::kHeaderNonce);
  if (nonce == nullptr || nonce->empty() || !protocol::IsNonce(*nonce)) return std::nullopt;
  return *nonce;
}

std::optional<base::Duration> RetryAfterOf(const HttpAnswer& answer) {
  return SecondsOf(answer, "retry-after", 0);
}

std::optional<base::Duration> PollAfterOf(const HttpAnswer& answer) {
  return SecondsOf(answer, protocol::kHeaderPollAfter, 5);
}

std::string DesiredEtagOf(const HttpAnswer& answer) {
  const std::string* etag = answer.Header(protocol::kHeaderDesiredEtag);
  return etag != nullptr && etag->size() <= 256 ? *etag : "";
}

}  // namespace tinylcm::sync
