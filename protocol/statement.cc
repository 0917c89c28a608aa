#include "protocol/statement.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"

namespace protocol {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::JsonReader;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::array<std::pair<StatementKind, const char*>, 11> kKinds = {
    {{StatementKind::kStored, "stored"},
     {StatementKind::kDuplicate, "duplicate"},
     {StatementKind::kConflict, "conflict"},
     {StatementKind::kRefused, "refused"},
     {StatementKind::kHeld, "held"},
     {StatementKind::kDecommissioned, "decommissioned"},
     {StatementKind::kIdentity, "identity"},
     {StatementKind::kEnrolled, "enrolled"},
     {StatementKind::kPending, "pending"},
     {StatementKind::kDesired, "desired"},
     {StatementKind::kFeedback, "feedback"}}};

std::array<const std::string*, 7> SignedFields(const Statement& statement) {
  return {&statement.device_id,        &statement.subject,     &statement.sha256, &statement.code,
          &statement.store_generation, &statement.server_time, &statement.key_id};
}

bool HasControlCharacter(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) == 0x7f;
  });
}

bool IsClean(const Statement& statement) {
  for (const std::string* field : SignedFields(statement)) {
    if (HasControlCharacter(*field)) return false;
  }
  return true;
}

}  // namespace

const char* Name(StatementKind kind) {
  for (const auto& [known, name] : kKinds) {
    if (known == kind) return name;
  }
  return "held";
}

std::string StatementText(const Statement& statement) {
  std::string text = StrCat("tinylcm-statement/1\n", Name(statement.kind), "\n");
  for (const std::string* field : SignedFields(statement)) {
    text += *field;
    text += '\n';
  }
  return text;
}

Statement SignStatement(Statement statement, const base::Ed25519Key& server_key) {
  statement.key_id = base::Fingerprint(server_key.public_key());
  if (statement.error) statement.code = statement.error->code;
  CHECK(IsClean(statement));
  statement.signature = server_key.Sign(base::AsBytes(StatementText(statement)));
  return statement;
}

Status VerifyStatement(const Statement& statement, const base::Ed25519PublicKey& server_key) {
  // A control character could make two different statements have one text.
  if (!IsClean(statement) ||
      !base::VerifyEd25519(server_key, base::AsBytes(StatementText(statement)),
                           statement.signature)) {
    return Error{ErrorCode::kPermissionDenied, "statement: not signed by the server's key"};
  }
  return {};
}

Json ToJson(const Statement& statement) {
  Json json = Json::MakeObject({{"kind", Name(statement.kind)},
                                {"device_id", statement.device_id},
                                {"subject", statement.subject},
                                {"sha256", statement.sha256},
                                {"code", statement.code},
                                {"store_generation", statement.store_generation},
                                {"server_time", statement.server_time},
                                {"key_id", statement.key_id},
                                {"signature", base::Base64UrlEncode(statement.signature)}});
  if (statement.error) {
    Json error =
        Json::MakeObject({{"code", statement.error->code}, {"message", statement.error->message}});
    if (statement.error->field) error.Set("field", *statement.error->field);
    json.Set("error", std::move(error));
  }
  return json;
}

Result<Statement> ParseStatement(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(text, {.bytes_max = 64u << 10, .depth_max = 8}));
  JsonReader reader(json, "statement");
  Statement statement;
  const std::string kind = reader.String("kind");
  const auto known = std::find_if(kKinds.begin(), kKinds.end(),
                                  [&](const auto& entry) { return kind == entry.second; });
  if (known == kKinds.end()) {
    reader.Refuse("kind", "unknown");
  } else {
    statement.kind = known->first;
  }
  statement.device_id = reader.String("device_id");
  statement.subject = reader.String("subject");
  statement.sha256 = reader.String("sha256");
  statement.code = reader.String("code");
  statement.store_generation = reader.String("store_generation");
  statement.server_time = reader.String("server_time");
  statement.key_id = reader.String("key_id");
  const Result<base::Bytes> signature = base::Base64UrlDecode(reader.String("signature"));
  if (signature.ok() && signature->size() == statement.signature.size()) {
    std::copy(signature->begin(), signature->end(), statement.signature.begin());
  } else {
    reader.Refuse("signature", "not base64url of 64 bytes");
  }
  if (reader.Has("error")) {
    JsonReader error = reader.Object("error");
    statement.error = StatementError{error.String("code"), error.String("message"),
                                     error.OptionalString("field")};
  }
  if (!IsClean(statement)) reader.Refuse("", "a field holds a control character");
  RETURN_IF_ERROR(reader.status());
  return statement;
}

std::string WriteStatementHeader(const Statement& statement) {
  return base::Base64UrlEncode(base::AsBytes(ToJson(statement).Write()));
}

Result<Statement> ParseStatementHeader(std::string_view value) {
  ASSIGN_OR_RETURN(const base::Bytes json, base::Base64UrlDecode(base::Trim(value)));
  return ParseStatement(base::AsText(json));
}

}  // namespace protocol
