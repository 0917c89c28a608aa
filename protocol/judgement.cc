#include "protocol/judgement.h"

#include "base/text.h"
#include "protocol/identifiers.h"
#include "protocol/json_fields.h"

namespace protocol {

using base::Json;
using base::JsonReader;
using base::Result;

namespace {

constexpr std::size_t kSamplesMax = 10'000;
constexpr std::size_t kRowMax = 65536;

}  // namespace

Json ToJson(const ValidationSet& set) {
  Json samples = Json::MakeArray();
  for (const auto& sample : set.samples) {
    samples.Append(
        Json::MakeObject({{"sample_id", sample.sample_id},
                          {"label", sample.label},
                          {"picture", sample.picture.empty() ? Json() : Json(sample.picture)},
                          {"row", sample.row.empty() ? Json() : ToJson(sample.row)}}));
  }
  return Json::MakeObject({{"format", kValidationFormat}, {"samples", std::move(samples)}});
}

Result<ValidationSet> ParseValidationSet(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(text, {.bytes_max = 64u << 20, .depth_max = 16}));
  JsonReader reader(json, "samples");
  RETURN_IF_ERROR(CheckFormat(reader, kValidationFormat));
  ValidationSet set;
  for (JsonReader& entry : reader.Array("samples", kSamplesMax)) {
    ValidationSet::Sample sample;
    sample.sample_id = entry.String("sample_id");
    if (!IsPlainId(sample.sample_id)) entry.Refuse("sample_id", "malformed");
    sample.label = entry.String("label");
    sample.picture = entry.OptionalString("picture").value_or("");
    if (!sample.picture.empty() && !IsSafePath(sample.picture)) {
      entry.Refuse("picture", "not a path below this folder");
    }
    if (entry.Has("row")) sample.row = ReadNumbers(entry, "row", kRowMax);
    if (sample.picture.empty() == sample.row.empty()) {
      entry.Refuse("picture", "exactly one of picture and row is wanted");
    }
    set.samples.push_back(std::move(sample));
  }
  RETURN_IF_ERROR(reader.status());
  return set;
}

const char* Name(JudgementKind kind) {
  switch (kind) {
    case JudgementKind::kHelped:
      return "helped";
    case JudgementKind::kHarmless:
      return "harmless";
    case JudgementKind::kHarmful:
      return "harmful";
    case JudgementKind::kUnknown:
      return "unknown";
  }
  return "unknown";
}

Result<JudgementKind> ParseJudgementKind(std::string_view name) {
  for (const JudgementKind kind : {JudgementKind::kHelped, JudgementKind::kHarmless,
                                   JudgementKind::kHarmful, JudgementKind::kUnknown}) {
    if (name == Name(kind)) return kind;
  }
  return base::Error{base::ErrorCode::kInvalidArgument,
                     base::StrCat("'", name, "' is none of helped, harmless, harmful, unknown")};
}

Json ToJson(const Judgement& judgement) {
  Json samples = Json::MakeArray();
  for (const auto& sample : judgement.samples) {
    samples.Append(Json::MakeObject({{"sample_id", sample.sample_id},
                                     {"label", sample.label},
                                     {"before", sample.before},
                                     {"after", sample.after},
                                     {"left_out", sample.left_out}}));
  }
  Json interval;
  if (judgement.interval) {
    interval = Json(Json::Array{(*judgement.interval)[0], (*judgement.interval)[1]});
  }
  return Json::MakeObject({{"format", kJudgementFormat},
                           {"judgement", Name(judgement.judgement)},
                           {"labels", judgement.labels},
                           {"right_before", judgement.right_before},
                           {"right_after", judgement.right_after},
                           {"difference", judgement.difference},
                           {"interval", std::move(interval)},
                           {"reason", judgement.reason},
                           {"samples", std::move(samples)}});
}

Result<Judgement> ParseJudgement(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseDocument(text));
  JsonReader reader(json, "judgement");
  RETURN_IF_ERROR(CheckFormat(reader, kJudgementFormat));
  Judgement judgement;
  const std::string name = reader.String("judgement");
  if (const auto kind = ParseJudgementKind(name); kind.ok()) {
    judgement.judgement = *kind;
  } else {
    reader.Refuse("judgement", kind.error().message);
  }
  judgement.labels = reader.Int("labels", {.min = 0});
  const JsonReader::IntRange of_labels{.min = 0, .max = judgement.labels};
  judgement.right_before = reader.OptionalInt("right_before", of_labels);
  judgement.right_after = reader.OptionalInt("right_after", of_labels);
  judgement.difference = reader.OptionalDouble("difference");
  if (reader.Has("interval")) {
    const std::vector<double> ends = ReadNumbers(reader, "interval", 2);
    if (ends.size() == 2 && ends[0] <= ends[1]) {
      judgement.interval = {ends[0], ends[1]};
    } else {
      reader.Refuse("interval", "not a low and a high end");
    }
  }
  if (judgement.judgement != JudgementKind::kUnknown) {
    for (const char* key : {"right_before", "right_after", "difference", "interval"}) {
      if (!reader.Has(key)) reader.Refuse(key, "a judgement without its figures");
    }
  }
  judgement.reason = reader.String("reason");
  for (JsonReader& entry : reader.Array("samples", kSamplesMax)) {
    Judgement::Sample sample;
    sample.sample_id = entry.String("sample_id");
    sample.label = entry.String("label");
    sample.before = entry.String("before");
    sample.after = entry.String("after");
    sample.left_out = entry.Bool("left_out");
    judgement.samples.push_back(std::move(sample));
  }
  RETURN_IF_ERROR(reader.status());
  return judgement;
}

}  // namespace protocol
