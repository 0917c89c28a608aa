// The verbs beside `serve`: what an administrator does from a shell, beside a running server or
// without one. Each gives an exit code and prints to stdout what was asked for.

#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "tinysphere/command/installation.h"

namespace tinysphere::command {

base::Status MigrateDatabase(const Place& place);

struct NewUser {
  std::string name;
  std::string role = "viewer";
  bool generates = false;  // Otherwise the password is the first line of stdin.
};
base::Status CreateUser(const Place& place, const NewUser& user);
// Ends every session of that user; the password as in CreateUser.
base::Status ChangePassword(const Place& place, const NewUser& user);
base::Status RemoveUser(const Place& place, const std::string& name);
base::Status ListUsers(const Place& place, bool as_json);

struct NewToken {
  std::string kind;
  std::string publisher_key;        // File; enroll.
  bool replaces_publisher = false;  // enroll.
  std::string tls_cert;             // File to pin instead of the server's own; enroll.
  std::string name;                 // api.
  std::string role = "viewer";      // api.
  std::string device;               // legacy.
  std::string ttl;
};
base::Status CreateToken(const Place& place, const NewToken& token);
// `token`: an API token's name or another token's id, as ListTokens shows them.
base::Status RevokeToken(const Place& place, const std::string& token);
base::Status ListTokens(const Place& place, bool as_json);

base::Status ListPackages(const Place& place, bool only_failed, bool as_json);
// What was set aside is unpacked once more, by the server that runs.
base::Status RetryPackage(const Place& place, const std::string& package_id, bool all_failed);

// Asks for it and does it, unless the server that runs was quicker; returns when it is done.
base::Status EraseDevice(const Place& place, const std::string& device_id, bool as_json);

base::Status AddModel(const Place& place, const std::string& file, bool as_json);
base::Status ListModels(const Place& place, bool as_json);

struct NewRollout {
  std::string name;
  std::string version;
  std::vector<std::string> devices;  // Empty: all of the model family.
};
base::Status StartRollout(const Place& place, const NewRollout& rollout, bool as_json);
base::Status ListRollouts(const Place& place, bool as_json);
// "pause", "resume" or "halt".
base::Status OrderRollout(const Place& place, const std::string& rollout_id,
                          const std::string& order, bool as_json);

// Every route and who may use it, a line each.
base::Status ListRoutes(const Place& place);

base::Status ListRetention(const Place& place, bool as_json);
// `age`: "30d", or "never".
base::Status SetRetention(const Place& place, const std::string& bucket, const std::string& age);
base::Status RunRetention(const Place& place, bool is_dry, bool as_json);
// kConflict if something was found.
base::Status CheckStores(const Place& place, bool is_quick, bool as_json);

}  // namespace tinysphere::command
