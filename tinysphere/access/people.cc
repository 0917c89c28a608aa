#include "tinysphere/access/people.h"

#include <algorithm>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::access {

using base::Error;
using base::ErrorCode;
using http::Identity;

namespace {

constexpr std::string_view kFirstAdminSetting = "first_admin";
constexpr std::string_view kApiTokenPrefix = "tsa1_";
constexpr std::string_view kTokenIdentity = "token:";
// A session's last use is written at most this often, so that reading pages costs no flush.
constexpr base::Duration kTouchEvery{60'000};

std::string HashOf(std::string_view secret) { return base::Sha256Hex(base::AsBytes(secret)); }
std::string MakeSecret() { return base::Base64UrlEncode(base::RandomBytes(32)); }

base::Status CheckUserName(const std::string& name) {
  const bool is_fine =
      !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '@' || c == '-';
      });
  if (is_fine) return {};
  return Error{ErrorCode::kInvalidArgument, "name: must be 1 to 64 of [a-z0-9._@-]"};
}

base::Status CheckPassword(const std::string& password) {
  if (password.size() >= 10 && password.size() <= 256) return {};
  return Error{ErrorCode::kInvalidArgument, "password: must have 10 to 256 bytes"};
}

base::Result<User> ReadUser(const store::Row& row) {
  ASSIGN_OR_RETURN(const http::Role role, http::ParseRole(row.Text("role")));
  return User{.name = row.Text("name"), .role = role, .created_at = row.Time("created_at")};
}

Error WrongPassword() { return {ErrorCode::kPermissionDenied, "name or password is wrong"}; }

}  // namespace

People::People(store::Database& database, PasswordHasher& hasher, base::Clock& clock)
    : database_(database),
      hasher_(hasher),
      clock_(clock),
      by_address_({.tries = 20, .refill = base::Duration(15'000), .keys_max = 10'000}),
      by_both_({.tries = 5, .refill = base::Duration(60'000), .keys_max = 10'000}),
      by_account_({.tries = 200, .refill = base::Duration(3'000), .keys_max = 10'000}) {
  const base::Result<std::string> hash = hasher_.Hash("nobody's password");
  if (hash.ok()) hash_of_nobody_ = hash.value();
}

base::Status People::InsertUser(store::Transaction& transaction, const std::string& name,
                                const std::string& hash, http::Role role, const std::string& by,
                                base::Time now) {
  const auto added = transaction.Execute(
      "INSERT INTO users (name, password_hash, role, created_at, password_changed_at) "
      "VALUES ($1, $2, $3, $4, $4)",
      {name, hash, http::Name(role), now});
  if (!added.ok()) {
    if (added.error().code != ErrorCode::kConflict) return added.error();
    return Error{ErrorCode::kConflict, base::StrCat("user ", name, ": is there already")};
  }
  return WriteAudit(
      transaction,
      {.at = now, .who = by, .action = "user.create", .subject = name, .detail = http::Name(role)});
}

base::Status People::CreateUser(const std::string& name, const std::string& password,
                                http::Role role, const std::string& by) {
  RETURN_IF_ERROR(CheckUserName(name));
  RETURN_IF_ERROR(CheckPassword(password));
  ASSIGN_OR_RETURN(const std::string hash, hasher_.Hash(password));
  return database_.Write([&](store::Transaction& transaction) {
    return InsertUser(transaction, name, hash, role, by, clock_.Now());
  });
}

base::Status People::ChangePassword(const std::string& name, const std::string& password,
                                    const std::string& by) {
  RETURN_IF_ERROR(CheckPassword(password));
  ASSIGN_OR_RETURN(const std::string hash, hasher_.Hash(password));
  const base::Time now = clock_.Now();
  return database_.Write([&](store::Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const std::int64_t changed,
                     transaction.Execute("UPDATE users SET password_hash = $2, "
                                         "password_changed_at = $3 WHERE name = $1",
                                         {name, hash, now}));
    if (changed == 0) return Error{ErrorCode::kNotFound, base::StrCat("user ", name)};
    RETURN_IF_ERROR(transaction.Execute("DELETE FROM sessions WHERE name = $1", {name}));
    return WriteAudit(
        transaction,
        {.at = now, .who = by, .action = "user.password", .subject = name, .detail = ""});
  });
}

base::Status People::RemoveUser(const std::string& name, const std::string& by) {
  return database_.Write([&](store::Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const std::int64_t gone,
                     transaction.Execute("DELETE FROM users WHERE name = $1", {name}));
    if (gone == 0) return Error{ErrorCode::kNotFound, base::StrCat("user ", name)};
    RETURN_IF_ERROR(transaction.Execute("DELETE FROM sessions WHERE name = $1", {name}));
    return WriteAudit(
        transaction,
        {.at = clock_.Now(), .who = by, .action = "user.remove", .subject = name, .detail = ""});
  });
}

base::Result<std::vector<User>> People::Users() {
  ASSIGN_OR_RETURN(const store::Rows rows,
                   database_.Query("SELECT name, role, created_at FROM users ORDER BY name"));
  std::vector<User> users;
  for (const store::Row& row : rows) {
    ASSIGN_OR_RETURN(User user, ReadUser(row));
    users.push_back(std::move(user));
  }
  return users;
}

base::Result<SignedIn> People::OpenSession(store::Transaction& transaction, const User& user,
                                           base::Time now) {
  std::string secret = MakeSecret();
  // Sessions nobody uses any more go when somebody comes.
  RETURN_IF_ERROR(
      transaction.Execute("DELETE FROM sessions WHERE last_used_at < $1", {now - kSessionIdle}));
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO sessions (session_id, name, created_at, last_used_at) VALUES ($1, $2, $3, $3)",
      {HashOf(secret), user.name, now}));
  RETURN_IF_ERROR(WriteAudit(
      transaction,
      {.at = now, .who = user.name, .action = "session.open", .subject = user.name, .detail = ""}));
  return SignedIn{.user = user, .cookie = std::move(secret)};
}

base::Result<SignedIn> People::SignIn(const std::string& name, const std::string& password,
                                      const std::string& address, base::Duration& wait) {
  const base::Time now = clock_.Now();
  wait = base::Duration(0);
  {
    const std::lock_guard lock(limiter_mutex_);
    // The account's name is whatever was typed, so its length is limited first. Who is turned away
    // by one bucket takes nothing from the next: one address must not use an account's tries up.
    const std::string account = name.substr(0, 64);
    wait = by_address_.Take(address, now);
    if (wait == base::Duration(0)) wait = by_both_.Take(base::StrCat(account, "\n", address), now);
    if (wait == base::Duration(0)) wait = by_account_.Take(account, now);
  }
  if (wait > base::Duration(0)) {
    return Error{ErrorCode::kExhausted, "too many tries; wait a while"};
  }
  if (password.size() > 256) return WrongPassword();
  ASSIGN_OR_RETURN(
      const auto row,
      database_.QueryOne("SELECT name, role, created_at, password_hash FROM users WHERE name = $1",
                         {name}));
  const std::string hash = row ? row->Text("password_hash") : hash_of_nobody_;
  if (!hasher_.Matches(hash, password) || !row) return WrongPassword();
  {
    const std::lock_guard lock(limiter_mutex_);
    by_both_.Forgive(base::StrCat(name, "\n", address));
  }
  ASSIGN_OR_RETURN(const User user, ReadUser(*row));
  return database_.Write([&](store::Transaction& transaction) -> base::Result<SignedIn> {
    // A password changed while this one was compared ends this sign-in too.
    ASSIGN_OR_RETURN(const auto still,
                     transaction.QueryOne("SELECT name FROM users WHERE name = $1 AND "
                                          "password_hash = $2",
                                          {name, hash}));
    if (!still) return WrongPassword();
    return OpenSession(transaction, user, now);
  });
}

base::Status People::SignOut(const std::string& session_id) {
  RETURN_IF_ERROR(database_.Execute("DELETE FROM sessions WHERE session_id = $1", {session_id}));
  return {};
}

base::Result<Identity> People::FindSession(const std::string& cookie) {
  const base::Time now = clock_.Now();
  const std::string session_id = HashOf(cookie);
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne("SELECT sessions.name AS name, last_used_at, role "
                                      "FROM sessions JOIN users ON users.name = sessions.name "
                                      "WHERE session_id = $1",
                                      {session_id}));
  if (!row || row->Time("last_used_at") + kSessionIdle <= now) {
    return Error{ErrorCode::kPermissionDenied, "session: has ended"};
  }
  if (row->Time("last_used_at") + kTouchEvery <= now) {
    RETURN_IF_ERROR(database_.Execute("UPDATE sessions SET last_used_at = $2 WHERE session_id = $1",
                                      {session_id, now}));
  }
  ASSIGN_OR_RETURN(const http::Role role, http::ParseRole(row->Text("role")));
  Identity identity;
  identity.kind = Identity::Kind::kPerson;
  identity.id = row->Text("name");
  identity.role = role;
  identity.session_id = session_id;
  return identity;
}

bool People::IsStillWelcome(const Identity& person) {
  const base::Time now = clock_.Now();
  if (!person.session_id.empty()) {
    const auto row = database_.QueryOne(
        "SELECT last_used_at FROM sessions JOIN users ON users.name = sessions.name "
        "WHERE session_id = $1",
        {person.session_id});
    // A database that does not answer ends no session.
    return !row.ok() || (row->has_value() && (*row)->Time("last_used_at") + kSessionIdle > now);
  }
  const auto row =
      database_.QueryOne("SELECT expires_at FROM api_tokens WHERE name = $1",
                         {person.id.substr(std::min(kTokenIdentity.size(), person.id.size()))});
  if (!row.ok()) return true;
  if (!row->has_value()) return false;
  const std::optional<base::Time> expires_at = (*row)->OptionalTime("expires_at");
  return !expires_at || *expires_at > now;
}

base::Result<std::string> People::CreateApiToken(const std::string& name, http::Role role,
                                                 base::Duration ttl, const std::string& by) {
  RETURN_IF_ERROR(CheckUserName(name));
  const base::Time now = clock_.Now();
  const std::string secret = std::string(kApiTokenPrefix) + MakeSecret();
  const std::optional<base::Time> expires_at =
      ttl > base::Duration(0) ? std::optional(now + ttl) : std::nullopt;
  RETURN_IF_ERROR(database_.Write([&](store::Transaction& transaction) -> base::Status {
    const auto added = transaction.Execute(
        "INSERT INTO api_tokens (token_hash, name, role, created_by, created_at, expires_at) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        {HashOf(secret), name, http::Name(role), by, now, expires_at});
    if (!added.ok()) {
      if (added.error().code != ErrorCode::kConflict) return added.error();
      return Error{ErrorCode::kConflict, base::StrCat("token ", name, ": is there already")};
    }
    return WriteAudit(transaction, {.at = now,
                                    .who = by,
                                    .action = "token.create",
                                    .subject = "api " + name,
                                    .detail = http::Name(role)});
  }));
  return secret;
}

base::Result<Identity> People::FindApiToken(const std::string& secret) {
  ASSIGN_OR_RETURN(
      const auto row,
      database_.QueryOne("SELECT name, role, expires_at FROM api_tokens WHERE token_hash = $1",
                         {HashOf(secret)}));
  const std::optional<base::Time> expires_at = row ? row->OptionalTime("expires_at") : std::nullopt;
  if (!row || (expires_at && *expires_at <= clock_.Now())) {
    return Error{ErrorCode::kPermissionDenied, "token: is not known or has expired"};
  }
  ASSIGN_OR_RETURN(const http::Role role, http::ParseRole(row->Text("role")));
  Identity identity;
  identity.kind = Identity::Kind::kPerson;
  identity.id = base::StrCat(kTokenIdentity, row->Text("name"));
  identity.role = role;
  return identity;
}

base::Result<std::vector<ApiToken>> People::ApiTokens() {
  ASSIGN_OR_RETURN(const store::Rows rows,
                   database_.Query("SELECT name, role, created_at, expires_at, created_by "
                                   "FROM api_tokens ORDER BY name"));
  std::vector<ApiToken> tokens;
  for (const store::Row& row : rows) {
    ASSIGN_OR_RETURN(const http::Role role, http::ParseRole(row.Text("role")));
    tokens.push_back({.name = row.Text("name"),
                      .role = role,
                      .created_at = row.Time("created_at"),
                      .expires_at = row.OptionalTime("expires_at"),
                      .created_by = row.Text("created_by")});
  }
  return tokens;
}

base::Status People::RevokeApiToken(const std::string& name, const std::string& by) {
  return database_.Write([&](store::Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const std::int64_t gone,
                     transaction.Execute("DELETE FROM api_tokens WHERE name = $1", {name}));
    if (gone == 0) return Error{ErrorCode::kNotFound, base::StrCat("token ", name)};
    return WriteAudit(transaction, {.at = clock_.Now(),
                                    .who = by,
                                    .action = "token.revoke",
                                    .subject = "api " + name,
                                    .detail = ""});
  });
}

base::Result<std::optional<std::string>> People::MakeFirstAdminSecret() {
  using Made = std::optional<std::string>;
  return database_.Write([&](store::Transaction& transaction) -> base::Result<Made> {
    ASSIGN_OR_RETURN(const auto made, store::ReadSetting(transaction, kFirstAdminSetting));
    ASSIGN_OR_RETURN(const auto users, transaction.QueryOne("SELECT COUNT(*) AS n FROM users"));
    if (made || users->Int("n") > 0) return Made();
    const std::string secret = MakeSecret();
    // "<expires>:<hash>" until it is used, then "used".
    const base::Time expires_at = clock_.Now() + kFirstAdminLife;
    RETURN_IF_ERROR(store::WriteSetting(
        transaction, kFirstAdminSetting,
        base::StrCat(expires_at.time_since_epoch().count(), ":", HashOf(secret))));
    return Made(secret);
  });
}

base::Result<SignedIn> People::UseFirstAdminSecret(const std::string& secret,
                                                   const std::string& name,
                                                   const std::string& password,
                                                   const http::Peer& peer, base::Duration& wait) {
  if (!peer.is_loopback && !peer.is_secure) {
    return Error{ErrorCode::kPermissionDenied, "first admin: only over TLS or from this machine"};
  }
  const base::Time now = clock_.Now();
  {
    const std::lock_guard lock(limiter_mutex_);
    wait = by_address_.Take(peer.address, now);
  }
  if (wait > base::Duration(0)) {
    return Error{ErrorCode::kExhausted, "too many tries; wait a while"};
  }
  RETURN_IF_ERROR(CheckUserName(name));
  RETURN_IF_ERROR(CheckPassword(password));
  ASSIGN_OR_RETURN(const std::string hash, hasher_.Hash(password));
  return database_.Write([&](store::Transaction& transaction) -> base::Result<SignedIn> {
    const Error refused{ErrorCode::kPermissionDenied,
                        "first admin: the link is not known, was used or has expired"};
    ASSIGN_OR_RETURN(const auto setting, store::ReadSetting(transaction, kFirstAdminSetting));
    if (!setting) return refused;
    const std::size_t colon = setting->find(':');
    if (colon == std::string::npos) return refused;
    const auto expires_at = base::ParseInt(std::string_view(*setting).substr(0, colon));
    const bool is_right = base::EqualInConstantTime(
        base::AsBytes(std::string_view(*setting).substr(colon + 1)), base::AsBytes(HashOf(secret)));
    if (!expires_at.ok() || !is_right || now.time_since_epoch().count() >= expires_at.value()) {
      return refused;
    }
    // Whoever was made another way is the administrator the link was for.
    ASSIGN_OR_RETURN(const auto users, transaction.QueryOne("SELECT COUNT(*) AS n FROM users"));
    if (users->Int("n") > 0) return refused;
    RETURN_IF_ERROR(store::WriteSetting(transaction, kFirstAdminSetting, "used"));
    RETURN_IF_ERROR(
        InsertUser(transaction, name, hash, http::Role::kAdmin, "first-admin link", now));
    return OpenSession(transaction, {.name = name, .role = http::Role::kAdmin, .created_at = now},
                       now);
  });
}

std::string SessionCookie(const std::string& secret, bool is_secure) {
  std::string cookie =
      base::StrCat(kSessionCookie, "=", secret, "; Path=/; HttpOnly; ", "SameSite=Strict");
  if (is_secure) cookie += "; Secure";
  if (secret.empty()) cookie += "; Max-Age=0";
  return cookie;
}

std::string CookieValue(std::string_view cookies, std::string_view name) {
  for (const std::string_view raw : base::Split(cookies, ';')) {
    const std::string_view pair = base::Trim(raw);
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
    return std::string(pair.substr(equals + 1));
  }
  return {};
}

}  // namespace tinysphere::access
