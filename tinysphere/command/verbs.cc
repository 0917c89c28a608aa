#include "tinysphere/command/verbs.h"

#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <utility>

#include "base/crypto.h"
#include "base/logger.h"
#include "base/private_folder.h"
#include "base/text.h"
#include "tinysphere/access/enroll_tokens.h"
#include "tinysphere/access/legacy_tokens.h"
#include "tinysphere/access/people.h"
#include "tinysphere/command/sphere.h"
#include "tinysphere/platform/openssl/certificate.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::command {

using base::Error;
using base::ErrorCode;
using base::Json;

namespace {

constexpr const char* kBy = "command line";
constexpr std::uint64_t kSmallFile = 1u << 20;

// What is there. Only what may come before the first server makes it: a mistyped --data must not
// become a new server in silence.
base::Result<std::unique_ptr<Installation>> OpenBeside(const Place& place) {
  return Open(place, /*may_make=*/false, /*is_server=*/false);
}

base::Result<std::string> ReadPassword(const std::string& verb) {
  std::string password;
  std::getline(std::cin, password);
  if (!password.empty()) return password;
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat(verb,
                            ": the password is read from stdin, and there was none (--generate "
                            "makes one)")};
}

// The server's parts, without a server: what they promise holds here as well.
std::unique_ptr<Sphere> Build(Installation& installation) {
  return std::make_unique<Sphere>(installation, SphereOptions{}, base::NullLogger());
}

void Print(const std::string& line) { std::printf("%s\n", line.c_str()); }

std::string Text(const Json& object, const char* key) {
  const Json* field = object.Find(key);
  if (field == nullptr || field->is_null()) return "-";
  if (field->is_string()) return field->as_string();
  return field->Write();
}

http::Request FirstPage() {
  http::Request request;
  request.query["limit"] = "500";
  return request;
}

const Json::Array& Items(const Json& page) {
  const Json* items = page.Find("items");
  CHECK(items != nullptr);
  return items->as_array();
}

void PrintVersion(const Json& version) {
  Print(base::StrCat(Text(version, "name"), " ", Text(version, "version"), "  ",
                     Text(version, "stage"), "  runs on ", Text(version, "running_on"), "  bundle ",
                     Text(version, "bundle")));
}

void PrintRollout(const Json& rollout) {
  const Json* counts = rollout.Find("counts");
  CHECK(counts != nullptr);
  Print(base::StrCat(Text(rollout, "rollout_id"), "  ", Text(rollout, "name"), " ",
                     Text(rollout, "version"), "  ", Text(rollout, "state"), "  ",
                     Text(*counts, "running"), " of ", Text(*counts, "total"), " run it, ",
                     Text(*counts, "failed"), " failed"));
}

}  // namespace

base::Status MigrateDatabase(const Place& place) {
  RETURN_IF_ERROR(base::MakePrivateFolder(place.data));
  ASSIGN_OR_RETURN(const auto database, OpenDatabase(place));
  ASSIGN_OR_RETURN(const int applied,
                   store::Migrate(*database, store::Migrations(), base::SystemClock().Now()));
  Print(base::StrCat(applied, " migrations applied, ", store::Migrations().size(), " in all"));
  return {};
}

base::Status CreateUser(const Place& place, const NewUser& user) {
  ASSIGN_OR_RETURN(const http::Role role, http::ParseRole(user.role));
  std::string password;
  if (user.generates) {
    password = base::Base64UrlEncode(base::RandomBytes(15));
  } else {
    ASSIGN_OR_RETURN(password, ReadPassword("user create"));
  }
  ASSIGN_OR_RETURN(const auto installation, Open(place, /*may_make=*/true, /*is_server=*/false));
  access::People people(*installation->database, *installation->hasher, installation->clock);
  RETURN_IF_ERROR(people.CreateUser(user.name, password, role, kBy));
  // Somebody is there now: the link that makes the first administrator has no more use.
  (void)installation->fs.Remove(installation->first_admin_path()).ok();
  Print(user.generates ? password : base::StrCat(user.name, " is ", http::Name(role)));
  return {};
}

base::Status ChangePassword(const Place& place, const NewUser& user) {
  std::string password = base::Base64UrlEncode(base::RandomBytes(15));
  if (!user.generates) {
    ASSIGN_OR_RETURN(password, ReadPassword("user password"));
  }
  ASSIGN_OR_RETURN(const auto installation, OpenBeside(place));
  access::People people(*installation->database, *installation->hasher, installation->clock);
  RETURN_IF_ERROR(people.ChangePassword(user.name, password, kBy));
  Print(user.generates ? password : base::StrCat(user.name, " has a new password"));
  return {};
}

base::Status RemoveUser(const Place& place, const std::string& name) {
  ASSIGN_OR_RETURN(const auto installation, OpenBeside(place));
  access::People people(*installation->database, *installation->hasher, installation->clock);
  RETURN_IF_ERROR(people.RemoveUser(name, kBy));
  Print(name + " is gone");
  return {};
}

base::Status ListUsers(const Place& place, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, Open(place, false, false));
  access::People people(*installation->database, *installation->hasher, installation->clock);
  ASSIGN_OR_RETURN(const auto users, people.Users());
  Json::Array items;
  for (const access::User& user : users) {
    if (!as_json) Print(base::StrCat(user.name, "  ", http::Name(user.role)));
    items.push_back(Json::MakeObject({{"name", user.name},
                                      {"role", http::Name(user.role)},
                                      {"created_at", base::FormatTime(user.created_at)}}));
  }
  if (as_json) Print(Json(std::move(items)).Write());
  return {};
}

base::Status CreateToken(const Place& place, const NewToken& token) {
  base::Duration ttl = token.kind == "enroll"   ? std::chrono::hours(24)
                       : token.kind == "legacy" ? access::kLegacyTokenLife
                                                : std::chrono::hours(24 * 90);
  if (!token.ttl.empty()) {
    const auto given = base::ParseDuration(token.ttl);
    if (!given.ok()) return given.error().Within("--ttl");
    ttl = *given;
    if (ttl <= base::Duration(0)) {
      return Error{ErrorCode::kInvalidArgument, "--ttl: must be more than nothing"};
    }
  }
  base::FileSystem& fs = base::SystemFileSystem();
  if (token.kind == "legacy") {
    if (token.device.empty()) {
      return Error{ErrorCode::kInvalidArgument, "token create: --device is missing"};
    }
    ASSIGN_OR_RETURN(const auto installation, OpenBeside(place));
    ASSIGN_OR_RETURN(const std::string secret,
                     access::CreateLegacyToken(*installation->database, token.device, ttl, kBy,
                                               installation->clock.Now()));
    Print(secret);
    return {};
  }
  if (token.kind == "api") {
    if (token.name.empty()) {
      return Error{ErrorCode::kInvalidArgument, "token create: --name is missing"};
    }
    ASSIGN_OR_RETURN(const http::Role role, http::ParseRole(token.role));
    ASSIGN_OR_RETURN(const auto installation, OpenBeside(place));
    access::People people(*installation->database, *installation->hasher, installation->clock);
    ASSIGN_OR_RETURN(const std::string secret, people.CreateApiToken(token.name, role, ttl, kBy));
    Print(secret);
    return {};
  }
  if (token.publisher_key.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "token create: --publisher-key FILE.pub is missing; the server does not choose "
                 "who may sign bundles"};
  }
  ASSIGN_OR_RETURN(const std::string key_text,
                   base::ReadTextFile(fs, token.publisher_key, kSmallFile));
  const auto publisher = base::ParsePublicKeyText(key_text);
  if (!publisher.ok()) return publisher.error().Within(token.publisher_key);
  ASSIGN_OR_RETURN(const auto installation, OpenBeside(place));
  std::string pin;
  if (!token.tls_cert.empty()) {
    ASSIGN_OR_RETURN(const std::string pem, base::ReadTextFile(fs, token.tls_cert, kSmallFile));
    const auto read = openssl::SpkiPin(pem);
    if (!read.ok()) return read.error().Within(token.tls_cert);
    pin = *read;
  } else {
    ASSIGN_OR_RETURN(const auto known, installation->tls_pin());
    if (known) {
      pin = *known;
    } else {
      std::fprintf(stderr,
                   "tinysphere: no server has run on this data yet, so this token pins no TLS "
                   "certificate; start the server and make the token anew if it serves with "
                   "--tls-self-signed\n");
    }
  }
  ASSIGN_OR_RETURN(
      const std::string secret,
      access::CreateEnrollToken(*installation->database,
                                {.server_fingerprint = installation->keys.fingerprint(),
                                 .publisher_key = *publisher,
                                 .tls_pin = pin,
                                 .replaces_publisher = token.replaces_publisher,
                                 .ttl = ttl,
                                 .created_by = kBy},
                                installation->clock.Now()));
  Print(secret);
  return {};
}

base::Status RevokeToken(const Place& place, const std::string& token) {
  ASSIGN_OR_RETURN(const auto installation, OpenBeside(place));
  access::People people(*installation->database, *installation->hasher, installation->clock);
  base::Status revoked = people.RevokeApiToken(token, kBy);
  if (!revoked.ok() && revoked.error().code == ErrorCode::kNotFound) {
    revoked =
        access::RevokeEnrollToken(*installation->database, token, kBy, installation->clock.Now());
  }
  if (!revoked.ok() && revoked.error().code == ErrorCode::kNotFound) {
    revoked =
        access::RevokeLegacyToken(*installation->database, token, kBy, installation->clock.Now());
  }
  RETURN_IF_ERROR(revoked);
  Print(token + " is revoked");
  return {};
}

base::Status ListPackages(const Place& place, bool only_failed, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, OpenBeside(place));
  const auto sphere = Build(*installation);
  http::Request request = FirstPage();
  if (only_failed) request.query["state"] = "failed";
  ASSIGN_OR_RETURN(const Json page, sphere->ingest.List(request));
  if (as_json) {
    Print(Json(Items(page)).Write());
    return {};
  }
  for (const Json& package : Items(page)) {
    Print(base::StrCat(Text(package, "package_id"), "  ", Text(package, "type"), "  ",
                       Text(package, "state"), "  ", Text(package, "error")));
  }
  return {};
}

base::Status RetryPackage(const Place& place, const std::string& package_id, bool all_failed) {
  if (all_failed == !package_id.empty()) {
    return Error{ErrorCode::kInvalidArgument, "package retry: one package, or --all-failed"};
  }
  ASSIGN_OR_RETURN(const auto installation, OpenBeside(place));
  const auto sphere = Build(*installation);
  if (all_failed) {
    ASSIGN_OR_RETURN(const std::int64_t retried,
                     sphere->unpacker.RetryAll("", kBy, installation->clock.Now()));
    Print(base::StrCat(retried, " packages are tried once more"));
    return {};
  }
  RETURN_IF_ERROR(sphere->unpacker.Retry(package_id, installation->clock.Now()));
  Print(package_id + " is tried once more");
  return {};
}

base::Status EraseDevice(const Place& place, const std::string& device_id, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, OpenBeside(place));
  const auto sphere = Build(*installation);
  base::Clock& clock = installation->clock;
  RETURN_IF_ERROR(sphere->erasures.Ask(device_id, kBy));
  constexpr base::Duration kLease{5 * 60 * 1000};
  constexpr base::Duration kLookAgain{200};
  for (;;) {
    ASSIGN_OR_RETURN(const Json erasure, sphere->erasures.Get(device_id));
    if (Text(erasure, "state") == "done") {
      Print(as_json ? erasure.Write()
                    : base::StrCat(device_id, " is erased: ", Text(erasure, "rows"), " rows, ",
                                   Text(erasure, "objects"), " objects, ", Text(erasure, "bytes"),
                                   " bytes"));
      return {};
    }
    ASSIGN_OR_RETURN(const auto job,
                     sphere->queue.Claim(std::string(fleet::kEraseJob), clock.Now(), kLease));
    if (!job) {
      clock.SleepUntil(clock.Uptime() + kLookAgain);  // The server has it, or will.
      continue;
    }
    const base::Status done = sphere->erasures.Erase(*job);
    if (done.ok()) continue;
    // A person looks on: whatever is wrong, the job stays for the next try.
    const bool passes = store::FailingOf(done.error().code) == store::Failing::kPassing;
    RETURN_IF_ERROR(sphere->queue.Fail(*job, done.error().message,
                                       passes ? store::Failing::kPassing : store::Failing::kAgain,
                                       clock.Now()));
    return done;
  }
}

base::Status ListTokens(const Place& place, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, Open(place, false, false));
  ASSIGN_OR_RETURN(const auto tokens, access::ListEnrollTokens(*installation->database));
  access::People people(*installation->database, *installation->hasher, installation->clock);
  ASSIGN_OR_RETURN(const auto api_tokens, people.ApiTokens());
  Json::Array items;
  for (const access::EnrollToken& token : tokens) {
    const std::string state = token.used_at ? "used by " + token.used_by.value_or("") : "unused";
    if (!as_json) {
      Print(base::StrCat("enroll  ", token.token_id, "  until ", base::FormatTime(token.expires_at),
                         "  ", state));
    }
    items.push_back(Json::MakeObject({{"kind", "enroll"},
                                      {"token_id", token.token_id},
                                      {"expires_at", base::FormatTime(token.expires_at)},
                                      {"used_by", token.used_by}}));
  }
  for (const access::ApiToken& token : api_tokens) {
    const std::optional<std::string> until =
        token.expires_at ? std::optional(base::FormatTime(*token.expires_at)) : std::nullopt;
    if (!as_json) {
      Print(base::StrCat("api  ", token.name, "  ", http::Name(token.role), "  until ",
                         until.value_or("revoked")));
    }
    items.push_back(Json::MakeObject({{"kind", "api"},
                                      {"token_id", token.name},
                                      {"role", http::Name(token.role)},
                                      {"expires_at", until}}));
  }
  ASSIGN_OR_RETURN(const auto legacy_tokens, access::ListLegacyTokens(*installation->database));
  for (const access::LegacyToken& token : legacy_tokens) {
    if (!as_json) {
      Print(base::StrCat("legacy  ", token.token_id, "  until ", base::FormatTime(token.expires_at),
                         "  of ", token.device_id));
    }
    items.push_back(Json::MakeObject({{"kind", "legacy"},
                                      {"token_id", token.token_id},
                                      {"device_id", token.device_id},
                                      {"expires_at", base::FormatTime(token.expires_at)}}));
  }
  if (as_json) Print(Json(std::move(items)).Write());
  return {};
}

base::Status AddModel(const Place& place, const std::string& file, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, Open(place, false, false));
  base::FileSystem& fs = installation->fs;
  // The registry takes the file over; the administrator keeps theirs.
  const std::string copy =
      base::JoinPath(installation->work_folder, "model-" + base::RandomHex(8) + ".tmp");
  ASSIGN_OR_RETURN(const auto source, fs.Open(file));
  {
    ASSIGN_OR_RETURN(const auto target, fs.Create(copy, base::FileSystem::Mode::kExclusive));
    base::Bytes block(256u << 10);
    for (std::uint64_t offset = 0;;) {
      ASSIGN_OR_RETURN(const std::size_t count, source->ReadAt(offset, block));
      if (count == 0) break;
      RETURN_IF_ERROR(target->Append({block.data(), count}));
      offset += count;
    }
    RETURN_IF_ERROR(target->Close());
  }
  const auto sphere = Build(*installation);
  const auto added = sphere->registry.Add(copy, kBy);
  (void)fs.Remove(copy).ok();  // There only if it was refused or known already.
  if (!added.ok()) return added.error().Within(file);
  if (as_json) {
    Print(added->version.Write());
  } else {
    PrintVersion(added->version);
  }
  return {};
}

base::Status ListModels(const Place& place, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, Open(place, false, false));
  const auto sphere = Build(*installation);
  ASSIGN_OR_RETURN(const Json page, sphere->registry.List(FirstPage()));
  if (as_json) {
    Print(Json(Items(page)).Write());
    return {};
  }
  for (const Json& model : Items(page)) {
    for (const Json& version : model.Find("versions")->as_array()) PrintVersion(version);
  }
  return {};
}

base::Status StartRollout(const Place& place, const NewRollout& rollout, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, Open(place, false, false));
  const auto sphere = Build(*installation);
  rollout::NewRollout started{
      .name = rollout.name, .version = rollout.version, .devices = std::nullopt, .by = kBy};
  if (!rollout.devices.empty()) started.devices = rollout.devices;
  ASSIGN_OR_RETURN(const Json json, sphere->rollouts.Start(started));
  if (as_json) {
    Print(json.Write());
  } else {
    PrintRollout(json);
  }
  return {};
}

base::Status ListRollouts(const Place& place, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, Open(place, false, false));
  const auto sphere = Build(*installation);
  ASSIGN_OR_RETURN(const Json page, sphere->rollouts.List(FirstPage()));
  if (as_json) {
    Print(Json(Items(page)).Write());
    return {};
  }
  for (const Json& rollout : Items(page)) PrintRollout(rollout);
  return {};
}

base::Status OrderRollout(const Place& place, const std::string& rollout_id,
                          const std::string& order, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, Open(place, false, false));
  const auto sphere = Build(*installation);
  rollout::Rollouts& rollouts = sphere->rollouts;
  ASSIGN_OR_RETURN(const Json json, order == "pause"    ? rollouts.Pause(rollout_id, kBy)
                                    : order == "resume" ? rollouts.Resume(rollout_id, kBy)
                                                        : rollouts.Halt(rollout_id, kBy));
  if (as_json) {
    Print(json.Write());
  } else {
    PrintRollout(json);
  }
  return {};
}

base::Status ListRoutes(const Place& place) {
  ASSIGN_OR_RETURN(const auto installation, OpenBeside(place));
  const auto sphere = Build(*installation);
  sphere->router.ForEachRoute([](const http::Route& route) {
    const char* who = "";
    switch (route.access) {
      case http::Access::kOpen:
        who = "anyone";
        break;
      case http::Access::kDevice:
        who = "device";
        break;
      case http::Access::kViewer:
        who = "viewer";
        break;
      case http::Access::kOperator:
        who = "operator";
        break;
      case http::Access::kAdmin:
        who = "admin";
        break;
      case http::Access::kDeviceOrViewer:
        who = "device or viewer";
        break;
      case http::Access::kLegacy:
        who = "legacy device";
        break;
      case http::Access::kLegacyOrViewer:
        who = "legacy device or viewer";
        break;
      case http::Access::kDeviceOrLegacy:
        who = "device or legacy device";
        break;
    }
    // "{key...}" takes the rest of the path; OpenAPI has no word for that.
    std::string path = route.path;
    if (const std::size_t dots = path.find("...}"); dots != std::string::npos) path.erase(dots, 3);
    Print(base::StrCat(http::Name(route.method), " ", path, "  ", who));
  });
  return {};
}

}  // namespace tinysphere::command
