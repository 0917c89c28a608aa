#include "tools/tinyscene/settings.h"

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace tinyscene {

using base::Error;
using base::ErrorCode;
using base::StrCat;

base::Status CheckStrength(std::string_view name, double strength) {
  if (strength >= 0 && strength <= 1) return {};
  return Error{ErrorCode::kInvalidArgument,
               StrCat(name, ": ", strength, " is not a strength from 0 to 1")};
}

base::Result<Settings> ParseControl(std::string_view text, Kind kind, Pool default_pool) {
  ASSIGN_OR_RETURN(const base::Json json, base::Json::Parse(text, {.bytes_max = 4096}));
  if (!json.is_object()) return Error{ErrorCode::kInvalidArgument, "not a JSON object"};
  Settings settings{.pool = default_pool, .drifts = {}, .unseen = 0, .stop = false};
  const std::span<const NamedDrift> drifts = DriftsOf(kind);
  for (const auto& [key, value] : json.as_object()) {
    const auto drift = std::ranges::find_if(
        drifts, [&key = key](const NamedDrift& known) { return key == known.name; });
    if (key == "pool") {
      if (!value.is_string()) return Error{ErrorCode::kInvalidArgument, "pool: not a text"};
      ASSIGN_OR_RETURN(settings.pool, ParsePool(value.as_string()));
    } else if (key == "stop") {
      if (!value.is_bool()) return Error{ErrorCode::kInvalidArgument, "stop: not true or false"};
      settings.stop = value.as_bool();
    } else if (key == "unseen" || drift != drifts.end()) {
      if (!value.is_number()) {
        return Error{ErrorCode::kInvalidArgument, StrCat(key, ": not a number")};
      }
      RETURN_IF_ERROR(CheckStrength(key, value.as_double()));
      (drift != drifts.end() ? settings.drifts.*drift->strength : settings.unseen) =
          value.as_double();
    } else {
      return Error{ErrorCode::kInvalidArgument, StrCat(key, ": unknown")};
    }
  }
  return settings;
}

base::Result<std::optional<Settings>> ControlFile::Poll() {
  const auto text = base::ReadTextFile(fs_, path_, 4096);
  const std::string seen = text.ok() ? *text : text.error().message;
  if (seen == last_) return std::optional<Settings>();
  last_ = seen;
  const std::string where = StrCat("control file ", path_);
  if (!text.ok()) return text.error().Within(where);
  const auto settings = ParseControl(*text, kind_, default_pool_);
  if (!settings.ok()) return settings.error().Within(where);
  return std::optional<Settings>(*settings);
}

}  // namespace tinyscene
