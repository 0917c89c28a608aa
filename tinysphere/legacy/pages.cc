#include "tinysphere/legacy/pages.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/http/answer.h"

namespace tinysphere::legacy {

using base::Json;
using http::Access;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;

namespace {

constexpr base::Duration kCountedFor{60'000};
constexpr std::size_t kCountedMax = 256;

}  // namespace

void Pages::Get(http::Router& router, const std::string& path, Page page) {
  router.Add({.method = Method::kGet,
              .path = path,
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this, page](Request& request) -> base::Result<Response> {
                return http::Answer((this->*page)(request));
              },
              .too_large = nullptr});
}

void Pages::Change(http::Router& router, Method method, const std::string& path, Page page) {
  router.Add({.method = method,
              .path = path,
              .access = Access::kOperator,
              .body = BodyRule::Memory(64u << 10),
              .handler = [this, page](Request& request) -> base::Result<Response> {
                return http::Answer((this->*page)(request));
              },
              .too_large = nullptr});
}

base::Result<Json> Pages::Status(const Request&) {
  return Json::MakeObject({{"status", "OK"}, {"version", "0.1.0"}, {"name", "TinySphere"}});
}

base::Result<Json> Pages::OnceAMinute(const std::string& key,
                                      const std::function<base::Result<Json>()>& count) {
  const base::Duration now = clock_.Uptime();
  {
    const std::lock_guard lock(counted_mutex_);
    const auto found = counted_.find(key);
    if (found != counted_.end() && now - found->second.at < kCountedFor) return found->second.json;
  }
  ASSIGN_OR_RETURN(Json json, count());
  const std::lock_guard lock(counted_mutex_);
  if (counted_.size() >= kCountedMax) counted_.clear();
  counted_[key] = {.at = now, .json = json};
  return json;
}

void Pages::AddRoutes(http::Router& router) {
  // The client asks this before anything else, to see whether somebody is there.
  router.Add({.method = Method::kGet,
              .path = "/api/status",
              .access = Access::kLegacyOrViewer,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return http::Answer(Status(request)); },
              .too_large = nullptr});
  AddDevicePages(router);
  AddPackagePages(router);
  AddDashboardPages(router);
  AddModelPages(router);
  AddDriftPages(router);
  AddImagePages(router);
  AddLogPages(router);
  AddNotificationPages(router);
}

std::int64_t IntQuery(const Request& request, std::string_view name, std::int64_t usual,
                      std::int64_t least, std::int64_t most) {
  const auto value = base::ParseInt(request.Query(name));
  return value.ok() ? std::clamp(*value, least, most) : usual;
}

std::int64_t NumberOf(std::string_view id) {
  const base::Sha256Digest digest = base::Sha256Of(base::AsBytes(id));
  std::int64_t number = 0;
  for (std::size_t i = 0; i < 6; ++i) number = number * 256 + digest[i];
  return number;
}

std::string DayOf(std::int64_t at_ms) {
  return base::FormatTime(base::Time(base::Duration(at_ms))).substr(0, 10);
}

std::optional<std::int64_t> DayBegins(std::string_view yyyymmdd) {
  if (yyyymmdd.size() != 8) return std::nullopt;
  const auto at = base::ParseTime(base::StrCat(yyyymmdd.substr(0, 4), "-", yyyymmdd.substr(4, 2),
                                               "-", yyyymmdd.substr(6, 2), "T00:00:00.000Z"));
  if (!at.ok()) return std::nullopt;
  return at->time_since_epoch().count();
}

Json TimeOrNull(const std::optional<base::Time>& at) {
  return at ? Json(base::FormatTime(*at)) : Json();
}

Json TextOrNull(std::string text) { return text.empty() ? Json() : Json(std::move(text)); }

Json Spread(const std::vector<double>& values) {
  if (values.empty()) {
    return Json::MakeObject({{"avg", 0}, {"min", 0}, {"max", 0}, {"count", 0}});
  }
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  const double sum = std::accumulate(values.begin(), values.end(), 0.0);
  return Json::MakeObject({{"avg", sum / static_cast<double>(values.size())},
                           {"min", *least},
                           {"max", *most},
                           {"count", static_cast<std::int64_t>(values.size())}});
}

std::optional<double> NumberIn(const Json& document, std::string_view key) {
  const Json* field = document.Find(key);
  if (field == nullptr || !field->is_number()) return std::nullopt;
  return field->as_double();
}

}  // namespace tinysphere::legacy
