#include "tinylcm/drift/detectors/limit_cache.h"

#include <charconv>
#include <cmath>

#include "base/text.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;
using base::Json;

namespace {

constexpr char kFormat[] = "tinylcm-limits/1";

// Every detector's limit is a finite number above 0.
bool IsLimit(double limit) { return limit > 0.0 && std::isfinite(limit); }

std::string Hex(std::uint64_t value) {
  char text[16];
  return {text, std::to_chars(text, text + sizeof text, value, 16).ptr};
}

std::optional<std::uint64_t> ParseHex(std::string_view text) {
  std::uint64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (end.ec != std::errc{} || end.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

LimitCache& LimitCache::Shared() {
  static LimitCache cache;
  return cache;
}

base::Result<double> LimitCache::GetOr(std::uint64_t key,
                                       const std::function<base::Result<double>()>& solve) {
  {
    const std::scoped_lock lock(mutex_);
    if (const auto found = limits_.find(key); found != limits_.end()) return found->second;
  }
  ASSIGN_OR_RETURN(const double limit, solve());
  if (!IsLimit(limit)) return limit;
  const std::scoped_lock lock(mutex_);
  return limits_.emplace(key, limit).first->second;
}

std::size_t LimitCache::size() const {
  const std::scoped_lock lock(mutex_);
  return limits_.size();
}

Json LimitCache::ToJson() const {
  const std::scoped_lock lock(mutex_);
  Json limits = Json::MakeObject();
  for (const auto& [key, limit] : limits_) limits.Set(Hex(key), limit);
  return Json::MakeObject({{"format", kFormat}, {"limits", std::move(limits)}});
}

base::Status LimitCache::Add(const Json& json) {
  const Json* format = json.Find("format");
  if (format == nullptr || *format != Json(kFormat)) {
    return Error{ErrorCode::kUnsupported, "limits: not of the format tinylcm-limits/1"};
  }
  const Json* limits = json.Find("limits");
  if (limits == nullptr || !limits->is_object()) {
    return Error{ErrorCode::kInvalidArgument, "limits: limits: must be an object"};
  }
  std::map<std::uint64_t, double> read;
  for (const auto& [name, limit] : limits->as_object()) {
    const auto key = ParseHex(name);
    if (!key || !limit.is_number() || !IsLimit(limit.as_double())) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("limits: limits.", name, ": must be a number above 0")};
    }
    read[*key] = limit.as_double();
  }
  const std::scoped_lock lock(mutex_);
  limits_.merge(read);
  return {};
}

}  // namespace tinylcm::drift
