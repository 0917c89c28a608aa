#include "tinysphere/http/router.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"
#include "base/trace.h"

namespace tinysphere::http {

using base::Error;
using base::ErrorCode;

namespace {

bool IsParam(std::string_view part) { return part.starts_with('{') && part.ends_with('}'); }
bool IsRest(std::string_view part) { return part.starts_with('{') && part.ends_with("...}"); }

using Params = std::map<std::string, std::string, std::less<>>;

std::optional<Params> Match(const std::vector<std::string>& pattern,
                            const std::vector<std::string_view>& path) {
  Params params;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const std::string& part = pattern[i];
    if (i >= path.size()) return std::nullopt;
    if (IsRest(part)) {
      std::string rest(path[i]);
      for (std::size_t j = i + 1; j < path.size(); ++j) rest += base::StrCat("/", path[j]);
      params.emplace(part.substr(1, part.size() - 5), std::move(rest));
      return params;
    }
    if (IsParam(part)) {
      if (path[i].empty()) return std::nullopt;
      params.emplace(part.substr(1, part.size() - 2), std::string(path[i]));
    } else if (part != path[i]) {
      return std::nullopt;
    }
  }
  if (path.size() != pattern.size()) return std::nullopt;
  return params;
}

bool IsAllowed(const Identity& identity, Access access) {
  const auto is_person_with = [&](Role least) {
    return identity.is_person() && identity.role >= least;
  };
  switch (access) {
    case Access::kOpen:
      return true;
    case Access::kDevice:
      return identity.is_device();
    case Access::kViewer:
      return is_person_with(Role::kViewer);
    case Access::kOperator:
      return is_person_with(Role::kOperator);
    case Access::kAdmin:
      return is_person_with(Role::kAdmin);
    case Access::kDeviceOrViewer:
      return identity.is_device() || is_person_with(Role::kViewer);
    case Access::kLegacy:
      return identity.is_legacy();
    case Access::kLegacyOrViewer:
      return identity.is_legacy() || is_person_with(Role::kViewer);
    case Access::kDeviceOrLegacy:
      return identity.is_device() || identity.is_legacy();
  }
  return false;
}

// "/a/{x}/b" and "/a/{y}/b" are one path.
bool IsSamePath(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (IsParam(a[i]) != IsParam(b[i])) return false;
    if (!IsParam(a[i]) && a[i] != b[i]) return false;
  }
  return true;
}

}  // namespace

void Router::Add(Route route) {
  CHECK(route.path.starts_with('/'));
  CHECK(route.handler != nullptr);
  Entry entry;
  for (const std::string_view part : base::Split(route.path, '/')) entry.parts.emplace_back(part);
  for (const Entry& other : entries_) {
    CHECK(other.route.method != route.method || !IsSamePath(other.parts, entry.parts));
  }
  entry.route = std::move(route);
  entries_.push_back(std::move(entry));
}

void Router::AddFallback(Handler handler) {
  fallback_route_.path = std::string(1, '/');  // g++ 12 takes = "/" for an overlapping copy.
  fallback_route_.access = Access::kOpen;
  fallback_route_.handler = std::move(handler);
}

void Router::Begin(Request& request) {
  if (!request.trace.empty()) return;
  request.begun = std::chrono::steady_clock::now();
  request.trace =
      base::ParseTraceParent(request.headers.Get("traceparent")).value_or(base::MakeTraceId());
}

std::variant<const Route*, Response> Router::Find(Request& request) const {
  Begin(request);
  const std::vector<std::string_view> path = base::Split(request.path, '/');
  const Method method = request.method == Method::kHead ? Method::kGet : request.method;
  const Route* found = nullptr;
  std::size_t found_params = 0;
  std::string allowed;
  for (const Entry& entry : entries_) {
    std::optional<Params> params = Match(entry.parts, path);
    if (!params) continue;
    // A route for HEAD alone (the offset of an upload) goes before GET's.
    const bool is_exact = entry.route.method == request.method;
    if (!is_exact && entry.route.method != method) {
      if (!allowed.empty()) allowed += ", ";
      allowed += Name(entry.route.method);
      if (entry.route.method == Method::kGet) allowed += ", HEAD";
      continue;
    }
    // A fixed word goes before a parameter: "/packages/offer" before "/packages/{package_id}".
    if (found && params->size() >= found_params && !(is_exact && found->method != request.method)) {
      continue;
    }
    found = &entry.route;
    found_params = params->size();
    request.params = std::move(*params);
  }
  if (found) {
    request.route = &found->path;
    return found;
  }
  if (!allowed.empty()) {
    Response response =
        ErrorResponse(405, "unsupported", base::StrCat(request.path, " takes only ", allowed));
    response.headers.Add("Allow", allowed);
    return response;
  }
  if (fallback_route_.handler && method == Method::kGet) {
    request.route = &fallback_route_.path;
    return &fallback_route_;
  }
  return ErrorResponse(Error{ErrorCode::kNotFound, base::StrCat(request.path, ": no such page")});
}

std::optional<Response> Router::Authorise(Request& request, const Route& route) const {
  if (route.access == Access::kOpen) return std::nullopt;
  const base::TraceScope trace(request.trace);
  base::Result<Identity> identity = authenticator_.Authenticate(request, route.access);
  if (!identity.ok()) {
    if (identity.error().code != ErrorCode::kPermissionDenied) {
      const bool may_be_legacy =
          route.access == Access::kLegacy || route.access == Access::kDeviceOrLegacy;
      if (may_be_legacy && request.headers.Has("Authorization")) return Response::HangUp();
      return ErrorResponse(identity.error());
    }
    Response response = ErrorResponse(401, "permission_denied", identity.error().message);
    response.headers.Add("WWW-Authenticate",
                         route.access == Access::kDevice || route.access == Access::kDeviceOrLegacy
                             ? "Signature tag=\"tlcm/1\""
                             : "Bearer realm=\"tinysphere\"");
    return response;
  }
  request.identity = std::move(identity).value();
  if (IsAllowed(request.identity, route.access)) {
    if (!request.identity.is_device() || !device_guard_) return std::nullopt;
    base::Result<std::optional<Response>> guarded = device_guard_(request);
    if (!guarded.ok()) return ErrorResponse(guarded.error());
    return std::move(guarded).value();
  }
  return ErrorResponse(
      Error{ErrorCode::kPermissionDenied, base::StrCat(request.identity.id, " may not do this")});
}

Response Router::Handle(Request& request, const Route& route) const {
  const std::string_view stated_text = request.headers.Get("Content-Digest");
  if (!stated_text.empty()) {
    const std::optional<base::Sha256Digest> stated = StatedSha256(request.headers);
    if (!stated) {
      return ErrorResponse(
          Error{ErrorCode::kInvalidArgument, "Content-Digest: holds no well-formed sha-256"});
    }
    if (*stated != request.body.sha256() &&
        !(request.body.bytes() == 0 && !request.body.is_spooled() &&
          *stated == base::Sha256Of({}))) {
      return ErrorResponse(
          Error{ErrorCode::kInvalidArgument, "Content-Digest: the body differs from it"});
    }
  }
  return Run(request, route.handler);
}

Response Router::TooLarge(Request& request, const Route& route) const {
  if (route.too_large) return Run(request, route.too_large);
  return ErrorResponse(413, "exhausted",
                       base::StrCat("the body may have ", route.body.bytes_max, " bytes at most"));
}

Response Router::Run(Request& request, const Handler& handler) const {
  const base::TraceScope trace(request.trace);
  base::Result<Response> response = handler(request);
  if (!response.ok()) return ErrorResponse(response.error());
  return std::move(response).value();
}

void Router::Finish(const Request& request, Response& response) const {
  const base::TraceScope trace(request.trace);
  if (!request.trace.empty()) response.headers.Set("TLCM-Trace", request.trace);
  for (const auto& hook : hooks_) hook(request, response);
  if (!response.headers.Has("X-Content-Type-Options")) {
    response.headers.Add("X-Content-Type-Options", "nosniff");
  }
  if (!response.headers.Has("Cache-Control")) response.headers.Add("Cache-Control", "no-store");
  if (!response.headers.Has("Content-Security-Policy")) {
    response.headers.Add("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
  }
}

Response Router::Serve(Request& request) const {
  const auto answer = [&]() -> Response {
    std::variant<const Route*, Response> found = Find(request);
    if (Response* refused = std::get_if<Response>(&found)) return std::move(*refused);
    const Route& route = *std::get<const Route*>(found);
    if (std::optional<Response> refused = Authorise(request, route)) return std::move(*refused);
    if (request.body.bytes() > route.body.bytes_max) return TooLarge(request, route);
    return Handle(request, route);
  };
  Response response = answer();
  Finish(request, response);
  return response;
}

std::optional<base::Sha256Digest> StatedSha256(const Headers& headers) {
  const std::optional<std::string> field = headers.Combined("Content-Digest");
  if (!field) return std::nullopt;
  for (const std::string_view raw : base::Split(*field, ',')) {
    std::string_view member = base::Trim(raw);
    constexpr std::string_view kPrefix = "sha-256=:";
    if (!member.starts_with(kPrefix) || !member.ends_with(':')) continue;
    if (member.size() <= kPrefix.size()) continue;
    member = member.substr(kPrefix.size(), member.size() - kPrefix.size() - 1);
    const base::Result<base::Bytes> bytes = base::Base64Decode(member);
    base::Sha256Digest digest{};
    if (!bytes.ok() || bytes->size() != digest.size()) continue;
    std::copy(bytes->begin(), bytes->end(), digest.begin());
    return digest;
  }
  return std::nullopt;
}

}  // namespace tinysphere::http
