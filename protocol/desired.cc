#include "protocol/desired.h"

#include "protocol/identifiers.h"
#include "protocol/json_fields.h"

namespace protocol {

using base::Json;
using base::JsonReader;

const char* Name(DesiredAction action) {
  switch (action) {
    case DesiredAction::kNone:
      return "none";
    case DesiredAction::kInstall:
      return "install";
    case DesiredAction::kRollback:
      return "rollback";
  }
  return "none";
}

Json ToJson(const Desired& desired) {
  Json requests = Json::MakeArray();
  for (const auto& request : desired.requests) {
    requests.Append(
        Json::MakeObject({{"event_id", request.event_id}, {"samples", request.samples}}));
  }
  Json target;
  if (desired.target) {
    target = Json::MakeObject({{"name", desired.target->name},
                               {"version", desired.target->version},
                               {"bundle", desired.target->bundle},
                               {"archive_sha256", desired.target->archive_sha256},
                               {"bytes", desired.target->bytes}});
  }
  return Json::MakeObject(
      {{"revision", desired.revision},
       {"deployment_id", desired.deployment_id},
       {"action", Name(desired.action)},
       {"target", std::move(target)},
       {"config", desired.config},
       {"mode", desired.mode},
       {"feedback", ToJson(desired.feedback)},
       {"requests", std::move(requests)},
       {"poll_after_s", desired.poll_after_s},
       {"requeue_dead_since", desired.requeue_dead_since
                                  ? Json(base::FormatTime(*desired.requeue_dead_since))
                                  : Json()}});
}

base::Result<Desired> ParseDesired(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseDocument(text));
  JsonReader reader(json, "desired");
  Desired desired;
  desired.revision = reader.Int("revision", {.min = 0});
  desired.deployment_id = reader.String("deployment_id");
  if (!desired.deployment_id.empty() && !IsPlainId(desired.deployment_id)) {
    reader.Refuse("deployment_id", "malformed");
  }
  const std::string action = reader.String("action");
  bool known = false;
  for (const DesiredAction candidate :
       {DesiredAction::kNone, DesiredAction::kInstall, DesiredAction::kRollback}) {
    if (action != Name(candidate)) continue;
    desired.action = candidate;
    known = true;
  }
  if (!known) reader.Refuse("action", "unknown");
  if (reader.Has("target")) {
    JsonReader target = reader.Object("target");
    desired.target =
        Desired::Target{target.String("name"), target.String("version"), target.String("bundle"),
                        target.String("archive_sha256"), ReadCount(target, "bytes")};
    if (!IsSha256Hex(desired.target->bundle)) target.Refuse("bundle", "not a digest");
    if (!IsSha256Hex(desired.target->archive_sha256)) {
      target.Refuse("archive_sha256", "not a digest");
    }
  }
  if (desired.action == DesiredAction::kInstall && !desired.target) {
    reader.Refuse("target", "missing for install");
  }
  if (reader.Has("config")) desired.config = reader.Object("config").json();
  desired.mode = reader.OptionalString("mode");
  desired.feedback = reader.Strings("feedback", 1000);
  for (const std::string& id : desired.feedback) {
    if (!IsPlainId(id)) reader.Refuse("feedback", "malformed id");
  }
  for (JsonReader& request : reader.Array("requests", 1000)) {
    desired.requests.push_back(
        {request.String("event_id"), request.Int("samples", {.min = 0, .max = 10'000})});
  }
  desired.poll_after_s = reader.Int("poll_after_s", {.min = 0});
  if (reader.Has("requeue_dead_since")) {
    desired.requeue_dead_since = ReadTime(reader, "requeue_dead_since");
  }
  RETURN_IF_ERROR(reader.status());
  return desired;
}

}  // namespace protocol
