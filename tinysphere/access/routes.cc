#include "tinysphere/access/routes.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinysphere/access/enroll_tokens.h"
#include "tinysphere/access/legacy_tokens.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/http/page.h"

namespace tinysphere::access {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::Access;
using http::Answer;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;

namespace {

constexpr base::Duration kEnrollTokenLife{24LL * 60 * 60 * 1000};
constexpr base::Duration kApiTokenLife{90LL * 24 * 60 * 60 * 1000};

Json SessionJson(const std::string& name, http::Role role) {
  return Json::MakeObject({{"name", name}, {"role", http::Name(role)}});
}

Response Welcome(const SignedIn& signed_in, const Request& request) {
  Response response = Response::Json(SessionJson(signed_in.user.name, signed_in.user.role));
  response.headers.Add("Set-Cookie", SessionCookie(signed_in.cookie, request.peer.is_secure));
  return response;
}

Json UserJson(const User& user) {
  return Json::MakeObject({{"name", user.name},
                           {"role", http::Name(user.role)},
                           {"created_at", base::FormatTime(user.created_at)}});
}

Json TimeOrNull(const std::optional<base::Time>& time) {
  return time ? Json(base::FormatTime(*time)) : Json();
}

struct TokenItem {
  base::Time created_at{};
  std::string id;
  Json json;
};

TokenItem ItemOf(const EnrollToken& token, base::Time now) {
  const char* state = token.used_at ? "used" : token.expires_at <= now ? "expired" : "good";
  return {.created_at = token.created_at,
          .id = token.token_id,
          .json = Json::MakeObject({{"token_id", token.token_id},
                                    {"kind", "enroll"},
                                    {"role", nullptr},
                                    {"name", token.used_by},
                                    {"created_by", token.created_by},
                                    {"created_at", base::FormatTime(token.created_at)},
                                    {"expires_at", base::FormatTime(token.expires_at)},
                                    {"used_at", TimeOrNull(token.used_at)},
                                    {"state", state}})};
}

TokenItem ItemOf(const ApiToken& token, base::Time now) {
  const bool is_over = token.expires_at && *token.expires_at <= now;
  return {.created_at = token.created_at,
          .id = token.name,
          .json = Json::MakeObject({{"token_id", token.name},
                                    {"kind", "api"},
                                    {"role", http::Name(token.role)},
                                    {"name", token.name},
                                    {"created_by", token.created_by},
                                    {"created_at", base::FormatTime(token.created_at)},
                                    {"expires_at", TimeOrNull(token.expires_at)},
                                    {"used_at", nullptr},
                                    {"state", is_over ? "expired" : "good"}})};
}

TokenItem ItemOf(const LegacyToken& token, base::Time now) {
  return {.created_at = token.created_at,
          .id = token.token_id,
          .json = Json::MakeObject({{"token_id", token.token_id},
                                    {"kind", "legacy"},
                                    {"role", nullptr},
                                    {"name", token.device_id},
                                    {"created_by", token.created_by},
                                    {"created_at", base::FormatTime(token.created_at)},
                                    {"expires_at", base::FormatTime(token.expires_at)},
                                    {"used_at", nullptr},
                                    {"state", token.expires_at <= now ? "expired" : "good"}})};
}

}  // namespace

base::Result<Response> AccessRoutes::SignIn(const Request& request) {
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "session");
  const std::string name = reader.String("name", {.bytes_max = 100});
  const std::string password = reader.String("password", {.bytes_max = 1000});
  RETURN_IF_ERROR(reader.status());
  base::Duration wait{};
  const auto signed_in = people_.SignIn(name, password, request.peer.address, wait);
  if (signed_in.ok()) return Welcome(*signed_in, request);
  if (signed_in.error().code == ErrorCode::kExhausted) {
    return Response::TooManyRequests(signed_in.error().message,
                                     std::chrono::ceil<std::chrono::seconds>(wait));
  }
  if (signed_in.error().code == ErrorCode::kPermissionDenied) {
    return http::ErrorResponse(401, "unauthenticated", signed_in.error().message);
  }
  return signed_in.error();
}

base::Result<Response> AccessRoutes::FirstAdmin(const Request& request) {
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "first-admin");
  const std::string link = reader.String("link", {.bytes_max = 200});
  const std::string name = reader.String("name", {.bytes_max = 100});
  const std::string password = reader.String("password", {.bytes_max = 1000});
  RETURN_IF_ERROR(reader.status());
  base::Duration wait{};
  const auto signed_in = people_.UseFirstAdminSecret(link, name, password, request.peer, wait);
  if (!signed_in.ok() && signed_in.error().code == ErrorCode::kExhausted) {
    return Response::TooManyRequests(signed_in.error().message,
                                     std::chrono::ceil<std::chrono::seconds>(wait));
  }
  if (!signed_in.ok()) return signed_in.error();
  (void)fs_.Remove(first_admin_path_).ok();  // Good for nothing any more, whether it goes or not.
  return Welcome(*signed_in, request);
}

base::Result<Json> AccessRoutes::Users(const Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  ASSIGN_OR_RETURN(std::vector<User> users, people_.Users());
  const std::string after = cursor ? cursor->text : "";
  std::erase_if(users, [&](const User& user) { return user.name <= after; });
  std::sort(users.begin(), users.end(),
            [](const User& a, const User& b) { return a.name < b.name; });
  return http::MakePage(std::move(users), limit, UserJson, [](const User& user) {
    return http::Cursor{.number = 0, .text = user.name};
  });
}

base::Result<Response> AccessRoutes::CreateUser(const Request& request) {
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "user");
  const std::string name = reader.String("name", {.bytes_max = 100});
  const std::string password = reader.String("password", {.bytes_max = 1000});
  const std::string role_name = reader.String("role");
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(const http::Role role, http::ParseRole(role_name));
  RETURN_IF_ERROR(people_.CreateUser(name, password, role, request.identity.id));
  return Response::Json(201, UserJson({.name = name, .role = role, .created_at = clock_.Now()}));
}

base::Result<Json> AccessRoutes::Tokens(const Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  const base::Time now = clock_.Now();
  std::vector<TokenItem> items;
  ASSIGN_OR_RETURN(const auto enroll_tokens, ListEnrollTokens(database_));
  for (const EnrollToken& token : enroll_tokens) items.push_back(ItemOf(token, now));
  ASSIGN_OR_RETURN(const auto api_tokens, people_.ApiTokens());
  for (const ApiToken& token : api_tokens) items.push_back(ItemOf(token, now));
  ASSIGN_OR_RETURN(const auto legacy_tokens, ListLegacyTokens(database_));
  for (const LegacyToken& token : legacy_tokens) items.push_back(ItemOf(token, now));

  const auto place = [](const TokenItem& item) {
    return std::pair(item.created_at.time_since_epoch().count(), item.id);
  };
  std::sort(items.begin(), items.end(),
            [&](const TokenItem& a, const TokenItem& b) { return place(a) > place(b); });
  if (cursor) {
    const std::pair<std::int64_t, std::string> last(cursor->number, cursor->text);
    std::erase_if(items, [&](const TokenItem& item) { return place(item) >= last; });
  }
  if (items.size() > limit + 1)
    items.erase(items.begin() + static_cast<std::ptrdiff_t>(limit) + 1, items.end());
  return http::MakePage(
      std::move(items), limit, [](const TokenItem& item) { return item.json; },
      [&](const TokenItem& item) {
        return http::Cursor{.number = place(item).first, .text = item.id};
      });
}

base::Result<Response> AccessRoutes::CreateToken(const Request& request) {
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "token");
  const std::string kind = reader.String("kind");
  const std::optional<std::string> role_name = reader.OptionalString("role");
  const std::optional<std::string> name = reader.OptionalString("name");
  const std::optional<std::string> device = reader.OptionalString("device");
  const std::optional<std::string> ttl_text = reader.OptionalString("ttl");
  RETURN_IF_ERROR(reader.status());
  base::Duration ttl = kind == "enroll"   ? kEnrollTokenLife
                       : kind == "legacy" ? kLegacyTokenLife
                                          : kApiTokenLife;
  if (ttl_text) {
    ASSIGN_OR_RETURN(ttl, base::ParseDuration(*ttl_text));
    if (ttl <= base::Duration(0)) {
      return Error{ErrorCode::kInvalidArgument, "token: ttl: must be more than nothing"};
    }
  }
  const base::Time now = clock_.Now();
  const auto answer = [&](const std::string& id, const std::string& secret) {
    return Response::Json(201, Json::MakeObject({{"token_id", id},
                                                 {"token", secret},
                                                 {"expires_at", base::FormatTime(now + ttl)}}));
  };
  if (kind == "enroll") {
    ASSIGN_OR_RETURN(const auto publishers, PublisherKeys(database_));
    if (publishers.empty()) {
      return Error{ErrorCode::kInvalidArgument,
                   "token: no publisher is known here yet; make the first one with: tinysphere "
                   "token create --kind enroll --publisher-key PUBLISHER.pub"};
    }
    ASSIGN_OR_RETURN(const std::string token,
                     CreateEnrollToken(database_,
                                       {.server_fingerprint = keys_.fingerprint(),
                                        .publisher_key = publishers.back(),
                                        .tls_pin = tls_pin_,
                                        .ttl = ttl,
                                        .created_by = request.identity.id},
                                       now));
    ASSIGN_OR_RETURN(const auto tokens, ListEnrollTokens(database_));
    const auto newest = std::max_element(
        tokens.begin(), tokens.end(),
        [](const EnrollToken& a, const EnrollToken& b) { return a.created_at < b.created_at; });
    return answer(newest == tokens.end() ? "" : newest->token_id, token);
  }
  if (kind == "legacy") {
    if (!device) return Error{ErrorCode::kInvalidArgument, "token: device: missing"};
    ASSIGN_OR_RETURN(const std::string secret,
                     CreateLegacyToken(database_, *device, ttl, request.identity.id, now));
    return answer(LegacyTokenId(secret), secret);
  }
  if (kind != "api") {
    return Error{ErrorCode::kInvalidArgument, "token: kind: enroll, api or legacy"};
  }
  if (!name) return Error{ErrorCode::kInvalidArgument, "token: name: missing"};
  ASSIGN_OR_RETURN(const http::Role role, http::ParseRole(role_name.value_or("viewer")));
  ASSIGN_OR_RETURN(const std::string secret,
                   people_.CreateApiToken(*name, role, ttl, request.identity.id));
  return answer(*name, secret);
}

void AccessRoutes::AddRoutes(http::Router& router) {
  router.Add({.method = Method::kPost,
              .path = "/api/v1/session",
              .access = Access::kOpen,
              .body = BodyRule::Memory(4096),
              .handler = [this](Request& request) { return SignIn(request); },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/session",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [](Request& request) -> base::Result<Response> {
                return Response::Json(SessionJson(request.identity.id, request.identity.role));
              },
              .too_large = nullptr});
  router.Add({.method = Method::kDelete,
              .path = "/api/v1/session",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this](Request& request) -> base::Result<Response> {
                if (!request.identity.session_id.empty()) {
                  RETURN_IF_ERROR(people_.SignOut(request.identity.session_id));
                }
                Response response = Response::NoContent();
                response.headers.Add("Set-Cookie", SessionCookie("", request.peer.is_secure));
                return response;
              },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/first-admin",
              .access = Access::kOpen,
              .body = BodyRule::Memory(4096),
              .handler = [this](Request& request) { return FirstAdmin(request); },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/users",
              .access = Access::kAdmin,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return Answer(Users(request)); },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/users",
              .access = Access::kAdmin,
              .body = BodyRule::Memory(4096),
              .handler = [this](Request& request) { return CreateUser(request); },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/tokens",
              .access = Access::kAdmin,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return Answer(Tokens(request)); },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/tokens",
              .access = Access::kAdmin,
              .body = BodyRule::Memory(4096),
              .handler = [this](Request& request) { return CreateToken(request); },
              .too_large = nullptr});
}

}  // namespace tinysphere::access
