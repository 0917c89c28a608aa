#include "protocol/enrolment.h"

#include <algorithm>

#include "base/text.h"
#include "protocol/identifiers.h"
#include "protocol/nonce.h"

namespace protocol {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::JsonReader;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::string_view kTokenVersion = "tlcm1";
constexpr Json::Limits kSmall = {.bytes_max = 64u << 10, .depth_max = 8};

base::Ed25519PublicKey ReadKey(JsonReader& reader, std::string_view field) {
  const Result<base::Ed25519PublicKey> key = ParseRawPublicKey(reader.String(field));
  if (key.ok()) return *key;
  reader.Refuse(field, "not base64url of 32 bytes");
  return {};
}

}  // namespace

std::string WriteEnrolmentToken(const EnrolmentToken& token) {
  std::string text = StrCat(kTokenVersion, ".", token.secret, ".", token.server_fingerprint, ".",
                            token.publisher_fingerprint);
  if (!token.tls_pin.empty()) text += "." + token.tls_pin;
  return text;
}

// No message quotes the text: it holds the secret.
Result<EnrolmentToken> ParseEnrolmentToken(std::string_view text) {
  const std::vector<std::string_view> parts = base::Split(base::Trim(text), '.');
  if (parts.size() < 4 || parts.size() > 5 || parts[0] != kTokenVersion) {
    return Error{ErrorCode::kInvalidArgument,
                 "enrolment token: not of the form tlcm1.<secret>.<server>.<publisher>[.<pin>]"};
  }
  EnrolmentToken token{std::string(parts[1]), std::string(parts[2]), std::string(parts[3]),
                       parts.size() == 5 ? std::string(parts[4]) : ""};
  if (token.secret.empty() || token.secret.size() > 128 || !IsNonce(token.secret)) {
    return Error{ErrorCode::kInvalidArgument, "enrolment token: malformed secret"};
  }
  if (!IsFingerprint(token.server_fingerprint) || !IsFingerprint(token.publisher_fingerprint) ||
      (!token.tls_pin.empty() && !IsFingerprint(token.tls_pin))) {
    return Error{ErrorCode::kInvalidArgument, "enrolment token: malformed fingerprint"};
  }
  return token;
}

std::string IdentityText(const Identity& identity) {
  std::string text =
      StrCat("tinylcm-identity/1\n", base::Base64UrlEncode(identity.server_key), "\n",
             identity.publisher_key ? base::Base64UrlEncode(*identity.publisher_key) : "", "\n");
  for (const std::string& format : identity.formats) text += format + "\n";
  return text;
}

Identity MakeIdentity(const base::Ed25519Key& server_key,
                      const std::optional<base::Ed25519PublicKey>& publisher_key,
                      std::vector<std::string> formats, std::string_view challenge,
                      std::string_view store_generation, base::Time server_time) {
  Identity identity;
  identity.server_key = server_key.public_key();
  identity.publisher_key = publisher_key;
  identity.formats = std::move(formats);
  Statement statement;
  statement.kind = StatementKind::kIdentity;
  statement.subject = challenge;
  statement.sha256 = base::Sha256Hex(base::AsBytes(IdentityText(identity)));
  statement.store_generation = store_generation;
  statement.server_time = base::FormatTime(server_time);
  identity.statement = SignStatement(std::move(statement), server_key);
  return identity;
}

Json ToJson(const Identity& identity) {
  Json formats = Json::MakeArray();
  for (const std::string& format : identity.formats) formats.Append(format);
  return Json::MakeObject(
      {{"server_key", base::Base64UrlEncode(identity.server_key)},
       {"publisher_key",
        identity.publisher_key ? Json(base::Base64UrlEncode(*identity.publisher_key)) : Json()},
       {"formats", std::move(formats)},
       {"statement", ToJson(identity.statement)}});
}

Result<Identity> ParseIdentity(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(text, kSmall));
  JsonReader reader(json, "identity");
  Identity identity;
  identity.server_key = ReadKey(reader, "server_key");
  if (reader.Has("publisher_key")) identity.publisher_key = ReadKey(reader, "publisher_key");
  identity.formats = reader.Strings("formats", 64);
  for (const std::string& format : identity.formats) {
    // IdentityText puts one on a line; a line feed inside could make two lists one text.
    const bool is_plain =
        std::all_of(format.begin(), format.end(), [](char c) { return c > ' ' && c < '\x7f'; });
    if (format.empty() || format.size() > 64 || !is_plain) {
      reader.Refuse("formats", "malformed name");
    }
  }
  JsonReader statement = reader.Object("statement");
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(identity.statement, ParseStatement(statement.json().Write()));
  return identity;
}

Status VerifyIdentity(const Identity& identity, std::string_view challenge,
                      std::string_view server_fingerprint, std::string_view publisher_fingerprint) {
  const auto refuse = [](std::string_view reason) {
    return Error{ErrorCode::kPermissionDenied, StrCat("identity: ", reason)};
  };
  if (base::Fingerprint(identity.server_key) != server_fingerprint) {
    return refuse("this is another server than the one expected (its key differs)");
  }
  if (!identity.publisher_key ||
      base::Fingerprint(*identity.publisher_key) != publisher_fingerprint) {
    return refuse("this server names another publisher than the one expected");
  }
  RETURN_IF_ERROR(VerifyStatement(identity.statement, identity.server_key));
  if (identity.statement.kind != StatementKind::kIdentity ||
      identity.statement.subject != challenge ||
      identity.statement.sha256 != base::Sha256Hex(base::AsBytes(IdentityText(identity)))) {
    return refuse("the statement does not answer our challenge");
  }
  return {};
}

Json ToJson(const EnrolRequest& request) {
  return Json::MakeObject({{"public_key", base::Base64UrlEncode(request.public_key)},
                           {"token", request.token},
                           {"name", request.name},
                           {"agent_version", request.agent_version}});
}

Result<EnrolRequest> ParseEnrolRequest(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(text, kSmall));
  JsonReader reader(json, "enrol request");
  EnrolRequest request;
  request.public_key = ReadKey(reader, "public_key");
  request.token = reader.OptionalString("token");
  request.name = reader.String("name", {.bytes_max = 100});
  request.agent_version = reader.String("agent_version", {.bytes_max = 100});
  RETURN_IF_ERROR(reader.status());
  return request;
}

Result<base::Ed25519PublicKey> ParseRawPublicKey(std::string_view text) {
  ASSIGN_OR_RETURN(const base::Bytes bytes, base::Base64UrlDecode(text));
  base::Ed25519PublicKey key;
  if (bytes.size() != key.size()) {
    return Error{ErrorCode::kInvalidArgument, "a public key has 32 bytes"};
  }
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

}  // namespace protocol
