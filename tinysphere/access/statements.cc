#include "tinysphere/access/statements.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/check.h"

namespace tinysphere::access {

using protocol::StatementKind;

namespace {

StatementKind ParseKind(const std::string& name) {
  constexpr std::array kKinds = {
      StatementKind::kStored,   StatementKind::kDuplicate, StatementKind::kConflict,
      StatementKind::kRefused,  StatementKind::kHeld,      StatementKind::kDecommissioned,
      StatementKind::kIdentity, StatementKind::kEnrolled,  StatementKind::kPending,
      StatementKind::kDesired,  StatementKind::kFeedback};
  const auto* found = std::find_if(kKinds.begin(), kKinds.end(), [&](StatementKind kind) {
    return name == protocol::Name(kind);
  });
  CHECK(found != kKinds.end());
  return *found;
}

}  // namespace

protocol::Statement StatementSigner::Say(const Saying& saying) const {
  protocol::Statement statement;
  statement.kind = ParseKind(saying.kind);
  statement.device_id = saying.device_id;
  statement.subject = saying.subject;
  statement.sha256 = saying.sha256;
  statement.store_generation = store_generation_;
  statement.server_time = base::FormatTime(clock_.Now());
  if (!saying.code.empty()) {
    statement.error = protocol::StatementError{
        .code = saying.code,
        .message = saying.message,
        .field = saying.field.empty() ? std::nullopt : std::optional<std::string>(saying.field)};
  }
  return protocol::SignStatement(std::move(statement), keys_.signing_key);
}

base::Json StatementSigner::Sign(const Saying& saying) const {
  return protocol::ToJson(Say(saying));
}

std::string StatementSigner::SignForHeader(const Saying& saying) const {
  return protocol::WriteStatementHeader(Say(saying));
}

}  // namespace tinysphere::access
