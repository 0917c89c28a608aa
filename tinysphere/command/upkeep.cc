// The verbs `retention` and `fsck`.

#include <cstdio>
#include <optional>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "tinysphere/command/installation.h"
#include "tinysphere/command/verbs.h"
#include "tinysphere/upkeep/fsck.h"
#include "tinysphere/upkeep/retention.h"

namespace tinysphere::command {

using base::Error;
using base::ErrorCode;
using base::Json;

namespace {

constexpr const char* kBy = "command line";

void Print(const std::string& line) { std::printf("%s\n", line.c_str()); }

}  // namespace

base::Status ListRetention(const Place& place, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, Open(place, false, false));
  upkeep::Retention retention(*installation->database, *installation->objects, installation->clock);
  ASSIGN_OR_RETURN(const auto all, retention.Read());
  Json::Array items;
  for (const upkeep::Kept& kept : all) {
    const std::optional<std::string> age =
        kept.age ? std::optional(base::FormatDuration(*kept.age)) : std::nullopt;
    if (!as_json) {
      Print(base::StrCat(kept.bucket, "  ", kept.what, "  ",
                         !kept.may_expire ? "for good" : age.value_or("never expires")));
    }
    items.push_back(Json::MakeObject({{"bucket", kept.bucket},
                                      {"what", kept.what},
                                      {"may_expire", kept.may_expire},
                                      {"age", age}}));
  }
  if (as_json) Print(Json(std::move(items)).Write());
  return {};
}

base::Status SetRetention(const Place& place, const std::string& bucket, const std::string& age) {
  std::optional<base::Duration> kept;
  if (age != "never") {
    const auto given = base::ParseDuration(age);
    if (!given.ok()) return given.error().Within("retention set");
    kept = *given;
  }
  ASSIGN_OR_RETURN(const auto installation, Open(place, false, false));
  upkeep::Retention retention(*installation->database, *installation->objects, installation->clock);
  RETURN_IF_ERROR(retention.Set(bucket, kept, kBy));
  Print(kept ? base::StrCat(bucket, " is kept for ", base::FormatDuration(*kept))
             : base::StrCat(bucket, " never expires"));
  return {};
}

base::Status RunRetention(const Place& place, bool is_dry, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, Open(place, false, false));
  upkeep::Retention retention(*installation->database, *installation->objects, installation->clock);
  ASSIGN_OR_RETURN(const auto all, retention.Run(is_dry));
  Json::Array items;
  for (const upkeep::Swept& swept : all) {
    if (!as_json) {
      Print(base::StrCat(swept.bucket, ": ", swept.objects, " objects, ", swept.bytes, " bytes ",
                         is_dry ? "would go" : "went",
                         swept.waiting == 0
                             ? ""
                             : base::StrCat("; ", swept.waiting, " wait to be unpacked and stay")));
    }
    items.push_back(Json::MakeObject({{"bucket", swept.bucket},
                                      {"objects", swept.objects},
                                      {"bytes", swept.bytes},
                                      {"waiting", swept.waiting}}));
  }
  if (as_json) {
    Print(Json(std::move(items)).Write());
  } else if (all.empty()) {
    Print("no bucket expires; see: tinysphere retention set");
  }
  return {};
}

base::Status CheckStores(const Place& place, bool is_quick, bool as_json) {
  ASSIGN_OR_RETURN(const auto installation, Open(place, false, false));
  Json::Array problems;
  upkeep::FsckOptions options{.reads_contents = !is_quick};
  options.found = [&](const upkeep::Problem& problem) {
    if (as_json) {
      problems.push_back(Json::MakeObject({{"kind", upkeep::Name(problem.kind)},
                                           {"object_key", problem.object_key},
                                           {"detail", problem.detail}}));
    } else {
      Print(
          base::StrCat(upkeep::Name(problem.kind), "  ", problem.object_key, "  ", problem.detail));
    }
  };
  ASSIGN_OR_RETURN(
      const upkeep::FsckCounts counts,
      upkeep::Fsck(*installation->database, *installation->objects, installation->clock, options));
  if (as_json) {
    Print(Json::MakeObject({{"rows", counts.rows},
                            {"objects", counts.objects},
                            {"bytes", counts.bytes},
                            {"hashed", counts.hashed},
                            {"missing", counts.missing},
                            {"orphans", counts.orphans},
                            {"damaged", counts.damaged},
                            {"problems", std::move(problems)}})
              .Write());
  } else {
    Print(base::StrCat(counts.rows, " rows, ", counts.objects, " objects, ", counts.bytes,
                       " bytes, ", counts.hashed, " read and hashed: ", counts.missing,
                       " missing, ", counts.orphans, " orphans, ", counts.damaged, " damaged"));
  }
  if (counts.problems() == 0) return {};
  return Error{ErrorCode::kConflict,
               base::StrCat("fsck: database and objects differ in ", counts.problems(), " places")};
}

}  // namespace tinysphere::command
