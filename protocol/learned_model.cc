#include "protocol/learned_model.h"

#include "protocol/identifiers.h"
#include "protocol/json_fields.h"

namespace protocol {

using base::Json;
using base::JsonReader;

Json ToJson(const LearnedModel& model) {
  return Json::MakeObject({{"format", kModelFormat},
                           {"base_bundle", model.base_bundle},
                           {"name", model.name},
                           {"version", model.version},
                           {"model_family", model.model_family},
                           {"hypothesis", model.hypothesis},
                           {"challenger", model.challenger},
                           {"labels", model.labels},
                           {"vectors", model.vectors},
                           {"adaptation_sha256", model.adaptation_sha256},
                           {"event_id", model.event_id},
                           {"canary_before", model.canary_before},
                           {"canary_after", model.canary_after},
                           {"opened", ToJson(model.opened)},
                           {"taught_by", ToJson(model.taught_by)}});
}

base::Result<LearnedModel> ParseLearnedModel(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseDocument(text));
  JsonReader reader(json, "model.json");
  RETURN_IF_ERROR(CheckFormat(reader, kModelFormat));
  LearnedModel model;
  model.base_bundle = reader.String("base_bundle");
  if (!IsSha256Hex(model.base_bundle)) reader.Refuse("base_bundle", "not 64 lower-case hex digits");
  model.name = reader.String("name");
  model.version = reader.String("version");
  model.model_family = reader.OptionalString("model_family").value_or("");
  model.hypothesis = reader.String("hypothesis");
  model.challenger = reader.String("challenger");
  model.labels = ReadCount(reader, "labels");
  model.vectors = ReadCount(reader, "vectors");
  model.adaptation_sha256 = reader.String("adaptation_sha256");
  if (!IsSha256Hex(model.adaptation_sha256)) {
    reader.Refuse("adaptation_sha256", "not 64 lower-case hex digits");
  }
  model.event_id = reader.OptionalString("event_id");
  model.canary_before = reader.OptionalDouble("canary_before");
  model.canary_after = reader.OptionalDouble("canary_after");
  if (reader.Has("opened")) model.opened = reader.Strings("opened", 65535);
  if (reader.Has("taught_by")) model.taught_by = reader.Strings("taught_by", 10'000);
  RETURN_IF_ERROR(reader.status());
  return model;
}

}  // namespace protocol
