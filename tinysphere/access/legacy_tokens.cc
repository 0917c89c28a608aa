#include "tinysphere/access/legacy_tokens.h"

#include <algorithm>

#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/access/audit.h"

namespace tinysphere::access {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::string_view kPrefix = "tlcmlegacy_";
constexpr std::size_t kIdLength = 12;  // Of the hash's 64 hex digits.

std::string HashOf(std::string_view secret) {
  return base::HexEncode(base::Sha256Of(base::AsBytes(secret)));
}

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

base::Status CheckLegacyDeviceId(std::string_view device_id) {
  const bool is_plain = std::all_of(device_id.begin(), device_id.end(), [](char c) {
    return IsLetterOrDigit(c) || c == '.' || c == '_' || c == '-';
  });
  if (device_id.empty() || device_id.size() > 64 || !is_plain ||
      (!IsLetterOrDigit(device_id[0]) && device_id[0] != '_')) {
    return Error{ErrorCode::kInvalidArgument,
                 "device: 1 to 64 of A-Z a-z 0-9 . _ - are wanted, the first no . or -"};
  }
  if (device_id == "verdicts") {
    return Error{ErrorCode::kInvalidArgument, "device: verdicts is the name of a folder here"};
  }
  if (device_id.starts_with("d-") || device_id.starts_with("D-")) {
    return Error{ErrorCode::kInvalidArgument,
                 "device: an id that begins with d- is a device's with a key, which has no token"};
  }
  return {};
}

bool IsLegacyToken(std::string_view secret) { return secret.starts_with(kPrefix); }

std::string LegacyTokenId(std::string_view secret) { return HashOf(secret).substr(0, kIdLength); }

base::Result<std::string> CreateLegacyToken(store::Database& database, const std::string& device_id,
                                            base::Duration ttl, const std::string& by,
                                            base::Time now) {
  RETURN_IF_ERROR(CheckLegacyDeviceId(device_id));
  std::string secret = std::string(kPrefix) + base::Base64UrlEncode(base::RandomBytes(24));
  const base::Status written = database.Write([&](store::Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(transaction.Execute(
        "INSERT INTO legacy_tokens (token_hash, token_id, device_id, created_by, created_at, "
        "expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
        {HashOf(secret), LegacyTokenId(secret), device_id, by, now, now + ttl}));
    return WriteAudit(transaction, {.at = now,
                                    .who = by,
                                    .action = "token.create",
                                    .subject = "legacy " + LegacyTokenId(secret),
                                    .detail = "device " + device_id});
  });
  if (!written.ok()) return written.error();
  return secret;
}

base::Result<std::string> FindLegacyToken(store::Database& database, std::string_view secret,
                                          base::Time now) {
  ASSIGN_OR_RETURN(
      const auto row,
      database.QueryOne("SELECT t.device_id, t.expires_at, COALESCE(d.state, 'active') AS state "
                        "FROM legacy_tokens t LEFT JOIN devices d ON d.device_id = t.device_id "
                        "WHERE t.token_hash = $1",
                        {HashOf(secret)}));
  if (!row || row->Time("expires_at") <= now) {
    return Error{ErrorCode::kPermissionDenied, "token: is not known or has expired"};
  }
  if (row->Text("state") != "active") {
    return Error{ErrorCode::kPermissionDenied, "device: is " + row->Text("state")};
  }
  return row->Text("device_id");
}

base::Status RevokeLegacyToken(store::Database& database, const std::string& token_id,
                               const std::string& by, base::Time now) {
  return database.Write([&](store::Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(
        const std::int64_t gone,
        transaction.Execute("DELETE FROM legacy_tokens WHERE token_id = $1", {token_id}));
    if (gone == 0) return Error{ErrorCode::kNotFound, "no token is called " + token_id};
    return WriteAudit(transaction, {.at = now,
                                    .who = by,
                                    .action = "token.revoke",
                                    .subject = "legacy " + token_id,
                                    .detail = ""});
  });
}

base::Result<std::vector<LegacyToken>> ListLegacyTokens(store::Database& database) {
  ASSIGN_OR_RETURN(
      const store::Rows rows,
      database.Query("SELECT token_id, device_id, created_by, created_at, expires_at FROM "
                     "legacy_tokens ORDER BY created_at DESC, token_id LIMIT 1000"));
  std::vector<LegacyToken> tokens;
  for (const store::Row& row : rows) {
    tokens.push_back({.token_id = row.Text("token_id"),
                      .device_id = row.Text("device_id"),
                      .created_by = row.Text("created_by"),
                      .created_at = row.Time("created_at"),
                      .expires_at = row.Time("expires_at")});
  }
  return tokens;
}

}  // namespace tinysphere::access
