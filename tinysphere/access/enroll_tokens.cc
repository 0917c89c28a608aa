#include "tinysphere/access/enroll_tokens.h"

#include <algorithm>

#include "protocol/enrolment.h"
#include "tinysphere/access/audit.h"

namespace tinysphere::access {

using base::Error;
using base::ErrorCode;

namespace {

std::string HashOf(std::string_view secret) { return base::Sha256Hex(base::AsBytes(secret)); }

// One publisher a server: a device trusts the one of its token only, so a second one would leave
// the first one's devices with bundles that they refuse.
base::Status MakeSureOfPublisher(store::Transaction& transaction, const NewEnrollToken& token,
                                 base::Time now) {
  const std::string fingerprint = base::Fingerprint(token.publisher_key);
  ASSIGN_OR_RETURN(
      const auto other,
      transaction.QueryOne("SELECT fingerprint FROM publishers WHERE fingerprint <> $1",
                           {fingerprint}));
  if (!other) return {};
  if (!token.replaces_publisher) {
    return Error{ErrorCode::kConflict,
                 "enrolment token: this server's publisher is " + other->Text("fingerprint") +
                     ", and devices that enrolled with it install nothing another one signed; "
                     "--replace-publisher puts the new one in its place"};
  }
  RETURN_IF_ERROR(
      transaction.Execute("DELETE FROM publishers WHERE fingerprint <> $1", {fingerprint}));
  RETURN_IF_ERROR(transaction.Execute(
      "DELETE FROM enroll_tokens WHERE publisher_fingerprint <> $1 AND used_at IS NULL",
      {fingerprint}));
  return WriteAudit(transaction, {.at = now,
                                  .who = token.created_by,
                                  .action = "publisher.replace",
                                  .subject = fingerprint,
                                  .detail = "instead of " + other->Text("fingerprint")});
}

}  // namespace

base::Result<std::string> CreateEnrollToken(store::Database& database, const NewEnrollToken& token,
                                            base::Time now) {
  if (token.ttl <= base::Duration(0)) {
    return Error{ErrorCode::kInvalidArgument, "enrolment token: ttl must be positive"};
  }
  const protocol::EnrolmentToken parts = {
      .secret = base::Base64UrlEncode(base::RandomBytes(24)),
      .server_fingerprint = token.server_fingerprint,
      .publisher_fingerprint = base::Fingerprint(token.publisher_key),
      .tls_pin = token.tls_pin};
  const std::string hash = HashOf(parts.secret);
  const base::Status stored = database.Write([&](store::Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(MakeSureOfPublisher(transaction, token, now));
    RETURN_IF_ERROR(RememberPublisherKey(transaction, token.publisher_key, now));
    RETURN_IF_ERROR(transaction.Execute(
        "INSERT INTO enroll_tokens (token_hash, publisher_fingerprint, created_by, created_at, "
        "expires_at) VALUES ($1, $2, $3, $4, $5)",
        {hash, parts.publisher_fingerprint, token.created_by, now, now + token.ttl}));
    return WriteAudit(transaction, {.at = now,
                                    .who = token.created_by,
                                    .action = "token.create",
                                    .subject = "enroll " + hash.substr(0, 12),
                                    .detail = "expires " + base::FormatTime(now + token.ttl)});
  });
  if (!stored.ok()) return stored.error();
  return protocol::WriteEnrolmentToken(parts);
}

base::Status UseEnrollToken(store::Transaction& transaction, std::string_view secret,
                            const std::string& device_id, base::Time now) {
  const std::string hash = HashOf(secret);
  ASSIGN_OR_RETURN(const auto row,
                   transaction.QueryOne("SELECT expires_at, used_at, used_by FROM enroll_tokens "
                                        "WHERE token_hash = $1",
                                        {hash}));
  if (!row) return Error{ErrorCode::kPermissionDenied, "enrolment token: is not known"};
  if (!row->IsNull("used_at")) {
    if (row->Text("used_by") == device_id) return {};  // Its answer was lost.
    return Error{ErrorCode::kPermissionDenied, "enrolment token: has been used"};
  }
  if (row->Time("expires_at") <= now) {
    return Error{ErrorCode::kPermissionDenied, "enrolment token: has expired"};
  }
  RETURN_IF_ERROR(transaction.Execute(
      "UPDATE enroll_tokens SET used_at = $2, used_by = $3 WHERE token_hash = $1",
      {hash, now, device_id}));
  return WriteAudit(transaction, {.at = now,
                                  .who = device_id,
                                  .action = "token.use",
                                  .subject = "enroll " + hash.substr(0, 12),
                                  .detail = ""});
}

base::Status RevokeEnrollToken(store::Database& database, const std::string& token_id,
                               const std::string& by, base::Time now) {
  return database.Write([&](store::Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const std::int64_t gone,
                     transaction.Execute("DELETE FROM enroll_tokens WHERE "
                                         "substr(token_hash, 1, 12) = $1 AND used_at IS NULL",
                                         {token_id}));
    if (gone == 0) return Error{ErrorCode::kNotFound, "no token is called " + token_id};
    return WriteAudit(transaction, {.at = now,
                                    .who = by,
                                    .action = "token.revoke",
                                    .subject = "enroll " + token_id,
                                    .detail = ""});
  });
}

base::Result<std::vector<EnrollToken>> ListEnrollTokens(store::Database& database) {
  ASSIGN_OR_RETURN(
      const store::Rows rows,
      database.Query("SELECT * FROM enroll_tokens ORDER BY created_at DESC LIMIT 1000"));
  std::vector<EnrollToken> tokens;
  for (const store::Row& row : rows) {
    tokens.push_back({.token_id = row.Text("token_hash").substr(0, 12),
                      .publisher_fingerprint = row.Text("publisher_fingerprint"),
                      .created_by = row.Text("created_by"),
                      .created_at = row.Time("created_at"),
                      .expires_at = row.Time("expires_at"),
                      .used_at = row.OptionalTime("used_at"),
                      .used_by = row.OptionalText("used_by")});
  }
  return tokens;
}

base::Status RememberPublisherKey(store::Transaction& transaction,
                                  const base::Ed25519PublicKey& key, base::Time now) {
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO publishers (fingerprint, public_key, created_at) VALUES ($1, $2, $3) "
      "ON CONFLICT (fingerprint) DO NOTHING",
      {base::Fingerprint(key), base::Base64UrlEncode(key), now}));
  return {};
}

base::Result<std::vector<base::Ed25519PublicKey>> PublisherKeys(store::Database& database) {
  ASSIGN_OR_RETURN(const store::Rows rows,
                   database.Query("SELECT public_key FROM publishers ORDER BY created_at"));
  std::vector<base::Ed25519PublicKey> keys;
  for (const store::Row& row : rows) {
    ASSIGN_OR_RETURN(const base::Ed25519PublicKey key,
                     protocol::ParseRawPublicKey(row.Text("public_key")));
    keys.push_back(key);
  }
  return keys;
}

}  // namespace tinysphere::access
