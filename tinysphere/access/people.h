// People: users, their passwords and sessions, API tokens, and the first administrator.

#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinysphere/access/attempt_limiter.h"
#include "tinysphere/access/password_hasher.h"
#include "tinysphere/http/message.h"
#include "tinysphere/store/database.h"

namespace tinysphere::access {

inline constexpr base::Duration kSessionIdle{12LL * 60 * 60 * 1000};
inline constexpr base::Duration kFirstAdminLife{60LL * 60 * 1000};
inline constexpr std::string_view kSessionCookie = "tinysphere_session";

struct User {
  std::string name;
  http::Role role = http::Role::kViewer;
  base::Time created_at{};
};

struct SignedIn {
  User user;
  std::string cookie;  // The secret; only its hash is stored.
};

struct ApiToken {
  std::string name;
  http::Role role = http::Role::kViewer;
  base::Time created_at{};
  std::optional<base::Time> expires_at;
  std::string created_by;
};

// May be used from several threads.
class People {
 public:
  People(store::Database& database, PasswordHasher& hasher, base::Clock& clock);

  // Names: [a-z0-9._@-]{1,64}; passwords: 10 to 256 bytes. kConflict if the name is taken.
  base::Status CreateUser(const std::string& name, const std::string& password, http::Role role,
                          const std::string& by);
  // Ends every session of that user.
  base::Status ChangePassword(const std::string& name, const std::string& password,
                              const std::string& by);
  // Ends every session of that user. kNotFound.
  base::Status RemoveUser(const std::string& name, const std::string& by);
  base::Result<std::vector<User>> Users();

  // kPermissionDenied for a wrong name or password (which of them is not told); kExhausted, with
  // `wait` set, when too many were tried for this account or from this address.
  base::Result<SignedIn> SignIn(const std::string& name, const std::string& password,
                                const std::string& address, base::Duration& wait);
  base::Status SignOut(const std::string& session_id);
  // The person behind a cookie's value; moves the idle end on. kPermissionDenied.
  base::Result<http::Identity> FindSession(const std::string& cookie);
  // Whether who was let in once would be now. Unlike FindSession it keeps no session alive.
  bool IsStillWelcome(const http::Identity& person);

  // Prints once: the secret. `ttl` zero: never ends.
  base::Result<std::string> CreateApiToken(const std::string& name, http::Role role,
                                           base::Duration ttl, const std::string& by);
  base::Result<http::Identity> FindApiToken(const std::string& secret);
  base::Result<std::vector<ApiToken>> ApiTokens();
  base::Status RevokeApiToken(const std::string& name, const std::string& by);

  // Once per database, while there is no user: makes the secret of the first-admin link. nullopt if
  // it has been made, or somebody is there already. The caller writes it to DATA/first-admin
  // (0600).
  base::Result<std::optional<std::string>> MakeFirstAdminSecret();
  // Uses it up: creates the administrator and signs in. Over loopback or TLS only, and only while
  // there is no user. The caller removes the file. kExhausted: too many tries, `wait` says how long
  // to wait.
  base::Result<SignedIn> UseFirstAdminSecret(const std::string& secret, const std::string& name,
                                             const std::string& password, const http::Peer& peer,
                                             base::Duration& wait);

 private:
  base::Result<SignedIn> OpenSession(store::Transaction& transaction, const User& user,
                                     base::Time now);
  base::Status InsertUser(store::Transaction& transaction, const std::string& name,
                          const std::string& hash, http::Role role, const std::string& by,
                          base::Time now);

  store::Database& database_;
  PasswordHasher& hasher_;
  base::Clock& clock_;
  std::string hash_of_nobody_;  // Compared for unknown names, so that they take as long.
  std::mutex limiter_mutex_;
  AttemptLimiter by_address_;
  AttemptLimiter by_both_;     // An account from one address: strict.
  AttemptLimiter by_account_;  // From everywhere: loose, so that a stranger locks nobody out.
};

// The Set-Cookie value for a session, or for its end (empty secret).
std::string SessionCookie(const std::string& secret, bool is_secure);
// The value of one cookie of a Cookie header; "" if it is not there.
std::string CookieValue(std::string_view cookies, std::string_view name);

}  // namespace tinysphere::access
