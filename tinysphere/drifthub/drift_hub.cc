#include "tinysphere/drifthub/drift_hub.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "base/text.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/feedback/consensus.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/http/page.h"
#include "tinysphere/store/conditions.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::drifthub {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::FieldOrNull;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

constexpr std::size_t kLabelBytesMax = 128;

constexpr std::string_view kSelectEvent =
    "SELECT e.device_id, e.event_id, e.package_id, e.bundle, e.document, e.received_at, e.state, "
    "e.event_verdict, e.reference, e.more_asked, e.is_more_awaited, COALESCE(d.name, e.device_id) "
    "AS device_name, "
    "b.manifest, b.reference AS bundle_reference, v.name AS model_name, "
    "v.version AS model_version, "
    "(SELECT COUNT(*) FROM drift_samples s WHERE s.event_id = e.event_id) AS samples_total, "
    "(SELECT COUNT(DISTINCT w.sample_id) FROM verdicts w WHERE w.event_id = e.event_id AND "
    "w.is_current = 1 AND w.sample_id IS NOT NULL AND w.label IS NOT NULL) AS samples_labelled "
    "FROM drift_events e LEFT JOIN devices d ON d.device_id = e.device_id "
    "LEFT JOIN bundles b ON b.bundle = e.bundle "
    "LEFT JOIN model_versions v ON v.bundle = e.bundle ";

Json OptionalText(const Row& row, std::string_view column) {
  const auto text = row.OptionalText(column);
  return text && !text->empty() ? Json(*text) : Json();
}

// What a sample may be called: what the device said; else what the bundle says.
Json LabelsOf(const Row& row) {
  for (const Json& document : {row.Document("reference"), row.Document("manifest")}) {
    const Json* labels = document.Find("labels");
    if (labels != nullptr && labels->is_array() && !labels->as_array().empty()) return *labels;
  }
  return Json::MakeArray();
}

Json ReferenceOf(const Row& row, std::string_view key) {
  for (const Json& document : {row.Document("reference"), row.Document("bundle_reference")}) {
    const Json* values = document.Find(key);
    if (values != nullptr && values->is_array()) return *values;
  }
  return {};
}

bool Holds(const Json& labels, const std::string& label) {
  const Json::Array& all = labels.as_array();
  return std::find(all.begin(), all.end(), Json(label)) != all.end();
}

bool IsPlain(const std::string& label) {
  return std::none_of(label.begin(), label.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

// A member that the screen relies on, whatever an older device left out.
void Ensure(Json& object, const char* key, Json otherwise) {
  if (object.Find(key) == nullptr) object.Set(key, std::move(otherwise));
}

Json RowJson(const Row& sample) {
  const Json values = sample.Document("row_values");
  return values.is_array() ? values : Json();
}

// Everybody's word about the samples of an event, oldest first.
struct Words {
  std::map<std::string, std::vector<feedback::Word>> by_sample;
  std::set<std::string> opened;  // Classes that somebody meant to open.
};

using ByEvent = std::map<std::string, Words>;

base::Result<ByEvent> ReadWords(Transaction& transaction,
                                const std::vector<std::string>& event_ids) {
  store::Conditions where;
  where.AddIn("event_id", event_ids);
  where.Add("is_current = 1 AND sample_id IS NOT NULL AND label IS NOT NULL", {});
  ASSIGN_OR_RETURN(
      const Rows rows,
      transaction.Query(base::StrCat("SELECT event_id, sample_id, label, given_by, at, opens_class "
                                     "FROM verdicts",
                                     where.sql(), " ORDER BY verdict_id"),
                        where.params()));
  ByEvent by_event;
  for (const Row& row : rows) {
    Words& words = by_event[row.Text("event_id")];
    words.by_sample[row.Text("sample_id")].push_back(
        {.by = row.Text("given_by"), .label = row.Text("label"), .at = row.Time("at")});
    if (row.Bool("opens_class")) words.opened.insert(row.Text("label"));
  }
  return by_event;
}

base::Result<Words> ReadWords(Transaction& transaction, const std::string& event_id) {
  ASSIGN_OR_RETURN(ByEvent by_event, ReadWords(transaction, std::vector{event_id}));
  return std::move(by_event[event_id]);
}

// The newest feedback of each event that has one.
base::Result<std::map<std::string, Json>> ReadFeedback(Transaction& transaction,
                                                       const std::vector<std::string>& event_ids) {
  store::Conditions where;
  where.AddIn("event_id", event_ids);
  ASSIGN_OR_RETURN(const Rows rows,
                   transaction.Query(base::StrCat("SELECT event_id, feedback_id, state, applied_at "
                                                  "FROM feedback",
                                                  where.sql(), " ORDER BY created_at, feedback_id"),
                                     where.params()));
  std::map<std::string, Json> newest;
  for (const Row& row : rows) {
    const auto applied_at = row.OptionalTime("applied_at");
    newest[row.Text("event_id")] = Json::MakeObject(
        {{"feedback_id", row.Text("feedback_id")},
         {"state", row.Text("state")},
         {"applied_at", applied_at ? Json(base::FormatTime(*applied_at)) : Json()}});
  }
  return newest;
}

Json VerdictJson(const std::vector<feedback::Word>& words) {
  const auto agreed = feedback::Agree(words);
  if (!agreed) return {};
  Json::Array reviewers;
  for (auto word = words.rbegin(); word != words.rend(); ++word) {
    reviewers.push_back(Json::MakeObject(
        {{"by", word->by}, {"label", word->label}, {"at", base::FormatTime(word->at)}}));
  }
  return Json::MakeObject({{"label", agreed->label},
                           {"by", agreed->by},
                           {"at", base::FormatTime(agreed->at)},
                           {"weight", agreed->weight},
                           {"reviewers", std::move(reviewers)}});
}

Json SampleJson(const Row& row, const Words& words) {
  Json verdict;
  const auto said = words.by_sample.find(row.Text("sample_id"));
  if (said != words.by_sample.end()) verdict = VerdictJson(said->second);
  const std::string media = row.Text("media");
  return Json::MakeObject({{"sample_id", row.Text("sample_id")},
                           {"index", row.Int("sample_index")},
                           {"prediction", row.Text("prediction")},
                           {"confidence", row.Double("confidence")},
                           {"reason", row.Text("reason")},
                           {"cluster_mass", row.OptionalDouble("cluster_mass")},
                           {"cluster_accuracy", row.OptionalDouble("cluster_accuracy")},
                           {"novelty", row.OptionalDouble("novelty")},
                           {"neighbours", row.Document("neighbours")},
                           {"media", media.empty() ? Json() : Json(media)},
                           {"row", RowJson(row)},
                           {"verdict", std::move(verdict)},
                           {"outcome", OptionalText(row, "outcome")}});
}

}  // namespace

base::Status DriftHub::TakeEvent(Transaction& transaction, const Origin& origin,
                                 const protocol::DriftEvent& event) {
  ASSIGN_OR_RETURN(const auto standing,
                   transaction.QueryOne("SELECT device_id FROM drift_events WHERE event_id = $1",
                                        {event.event_id}));
  if (standing) {
    if (standing->Text("device_id") == origin.device_id) return {};
    return Error{ErrorCode::kInvalidArgument,
                 "drift event " + event.event_id + ": another device has used that id"};
  }
  Json document = protocol::ToJson(event);
  const auto added = transaction.Execute(
      "INSERT INTO drift_events (device_id, event_id, package_id, kind, sample_index, bundle, "
      "document, received_at, state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open')",
      {origin.device_id, event.event_id, origin.package_id, event.kind, event.sample_index,
       origin.bundle, document.Write(), origin.received_at});
  if (!added.ok()) return added.error();
  return fleet::Note(transaction, {.at = origin.received_at,
                                   .device_id = origin.device_id,
                                   .kind = "drift",
                                   .text = event.text.empty() ? "drift: " + event.kind : event.text,
                                   .ref = event.event_id});
}

base::Status DriftHub::TakeSamples(Transaction& transaction, const Origin& origin,
                                   const protocol::SampleSet& set,
                                   const std::vector<StoredSample>& samples) {
  const std::string event_id = set.event_id.value_or("");
  if (!event_id.empty()) {
    ASSIGN_OR_RETURN(
        const auto event,
        transaction.QueryOne("SELECT device_id FROM drift_events WHERE event_id = $1", {event_id}));
    if (!event) {
      return Error{ErrorCode::kUnavailable, "samples: the event " + event_id + " is not here yet"};
    }
    if (event->Text("device_id") != origin.device_id) {
      return Error{ErrorCode::kInvalidArgument,
                   "samples: the event " + event_id + " is another device's"};
    }
    Json reference = Json::MakeObject();
    Json labels = Json::MakeArray();
    for (const std::string& label : set.labels) labels.Append(label);
    reference.Set("labels", std::move(labels));
    const auto keep = [&](const char* key, const std::optional<std::vector<double>>& values) {
      if (!values) return;
      Json::Array array(values->begin(), values->end());
      reference.Set(key, std::move(array));
    };
    keep("row_mean", set.reference_row_mean);
    keep("row_sd", set.reference_row_sd);
    // An empty answer about an event of long ago knows nothing of the bundle that ran then.
    if (!samples.empty()) {
      RETURN_IF_ERROR(
          transaction.Execute("UPDATE drift_events SET reference = $2 WHERE event_id = $1",
                              {event_id, reference.Write()}));
    }
    if (origin.answers_request) {
      RETURN_IF_ERROR(transaction.Execute(
          "UPDATE drift_events SET is_more_awaited = 0 WHERE event_id = $1", {event_id}));
      RETURN_IF_ERROR(desired_.Refresh(transaction, origin.device_id));
    }
  }
  // Samples that were asked for later stand behind those that are there.
  ASSIGN_OR_RETURN(const auto last,
                   transaction.QueryOne("SELECT COALESCE(MAX(rank) + 1, 0) AS next FROM "
                                        "drift_samples WHERE event_id = $1 AND device_id = $2",
                                        {event_id, origin.device_id}));
  std::int64_t rank = event_id.empty() ? 0 : last->Int("next");
  std::int64_t added = 0;
  for (const StoredSample& sample : samples) {
    const protocol::SampleRecord& record = sample.record;
    ASSIGN_OR_RETURN(const auto taken,
                     transaction.QueryOne("SELECT device_id FROM drift_samples WHERE "
                                          "sample_id = $1 AND device_id <> $2",
                                          {record.sample_id, origin.device_id}));
    if (taken) {
      return Error{ErrorCode::kInvalidArgument,
                   "sample " + record.sample_id + ": another device has used that id"};
    }
    Json::Array neighbours;
    for (const auto& neighbour : record.neighbours) {
      neighbours.push_back(Json::MakeObject({{"anchor", neighbour.anchor},
                                             {"label", neighbour.label},
                                             {"distance", neighbour.distance}}));
    }
    store::Value row_values;
    if (!sample.row.empty()) {
      Json::Array values;
      for (const float value : sample.row) values.emplace_back(static_cast<double>(value));
      row_values = Json(std::move(values)).Write();
    }
    const char* media = !sample.object_key.empty() ? "image" : !sample.row.empty() ? "row" : "";
    ASSIGN_OR_RETURN(
        const std::int64_t changed,
        transaction.Execute(
            "INSERT INTO drift_samples (device_id, sample_id, event_id, sample_index, rank, "
            "prediction, confidence, reason, cluster_mass, neighbours, media, object_key, "
            "row_values, cluster_accuracy, novelty, feature) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) "
            "ON CONFLICT (device_id, sample_id) DO NOTHING",
            {origin.device_id, record.sample_id, event_id, record.index, rank, record.prediction,
             record.confidence, record.reason, record.cluster_mass,
             Json(std::move(neighbours)).Write(), media, sample.object_key, row_values,
             record.cluster_accuracy, record.novelty, sample.feature}));
    rank += 1;
    added += changed;
  }
  if (added == 0) {
    if (!origin.answers_request) return {};
    return fleet::Note(transaction, {.at = origin.received_at,
                                     .device_id = origin.device_id,
                                     .kind = "evidence",
                                     .text = "has no more samples of the event",
                                     .ref = event_id});
  }
  return fleet::Note(transaction, {.at = origin.received_at,
                                   .device_id = origin.device_id,
                                   .kind = "evidence",
                                   .text = base::StrCat(added, " samples wait for a person's look"),
                                   .ref = event_id});
}

namespace {

Json EventJson(const Row& row, const Words& words, Json feedback) {
  Json model;
  const std::string bundle = row.Text("bundle");
  if (!bundle.empty()) {
    model = Json::MakeObject({{"name", OptionalText(row, "model_name")},
                              {"version", OptionalText(row, "model_version")},
                              {"bundle", bundle}});
  }
  Json event = Json::MakeObject({{"event_id", row.Text("event_id")},
                                 {"device_id", row.Text("device_id")},
                                 {"device_name", row.Text("device_name")},
                                 {"received_at", base::FormatTime(row.Time("received_at"))},
                                 {"state", row.Text("state")}});
  const Json document = row.Document("document");
  for (const char* key : {"sample_index", "kind", "severity", "evidence", "change_point", "signals",
                          "classes", "channels", "text", "suppressed_since_last"}) {
    event.Set(key, FieldOrNull(document, key));
  }
  event.Set("model", std::move(model));
  Json labels = LabelsOf(row);
  Json opened = Json::MakeArray();
  for (const std::string& label : words.opened) {
    if (Holds(labels, label)) continue;
    labels.Append(label);
    opened.Append(label);
  }
  event.Set("labels", std::move(labels));
  event.Set("opened", std::move(opened));
  event.Set("samples_total", row.Int("samples_total"));
  event.Set("samples_labelled", row.Int("samples_labelled"));
  event.Set("event_verdict", OptionalText(row, "event_verdict"));
  event.Set("feedback", std::move(feedback));
  Ensure(event, "signals", Json::MakeArray());
  return event;
}

}  // namespace

base::Result<Json> DriftHub::List(const http::Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  std::string state(request.Query("state"));
  if (state.empty() || state == "all") {
    state.clear();
  } else if (state != "open" && state != "answered") {
    return Error{ErrorCode::kInvalidArgument, "state: open, answered or all"};
  }
  const std::string device(request.Query("device"));
  store::Conditions where;
  if (cursor) {
    where.Add("(e.received_at, e.event_id) < (?, ?)", {cursor->number, cursor->text});
  }
  if (!state.empty()) where.Add("e.state = ?", {state});
  if (!device.empty()) where.Add("e.device_id = ?", {device});
  const std::string last = where.Bind(limit + 1);
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    ASSIGN_OR_RETURN(const Rows rows,
                     transaction.Query(
                         base::StrCat(kSelectEvent, where.sql(),
                                      " ORDER BY e.received_at DESC, e.event_id DESC LIMIT ", last),
                         where.params()));
    std::vector<std::string> event_ids;
    for (const Row& row : rows) event_ids.push_back(row.Text("event_id"));
    ASSIGN_OR_RETURN(ByEvent words, ReadWords(transaction, event_ids));
    ASSIGN_OR_RETURN(auto feedback, ReadFeedback(transaction, event_ids));
    std::vector<std::pair<http::Cursor, Json>> items;
    for (const Row& row : rows) {
      const std::string event_id = row.Text("event_id");
      items.emplace_back(http::Cursor{.number = row.Int("received_at"), .text = event_id},
                         EventJson(row, words[event_id], std::move(feedback[event_id])));
    }
    return http::MakePage(
        std::move(items), limit, [](const auto& item) { return item.second; },
        [](const auto& item) { return item.first; });
  });
}

base::Result<Json> DriftHub::SamplesJson(Transaction& transaction, const std::string& event_id) {
  ASSIGN_OR_RETURN(const Rows rows,
                   transaction.Query("SELECT sample_id, sample_index, prediction, confidence, "
                                     "reason, cluster_mass, cluster_accuracy, novelty, neighbours, "
                                     "media, row_values, outcome FROM drift_samples "
                                     "WHERE event_id = $1 ORDER BY rank, sample_id",
                                     {event_id}));
  ASSIGN_OR_RETURN(const Words words, ReadWords(transaction, event_id));
  Json::Array samples;
  for (const Row& row : rows) samples.push_back(SampleJson(row, words));
  return Json(std::move(samples));
}

base::Result<Json> DriftHub::Get(const std::string& event_id) {
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    ASSIGN_OR_RETURN(
        const auto row,
        transaction.QueryOne(std::string(kSelectEvent) + "WHERE e.event_id = $1", {event_id}));
    if (!row) return Error{ErrorCode::kNotFound, "no drift event is called " + event_id};
    ASSIGN_OR_RETURN(const Words words, ReadWords(transaction, event_id));
    ASSIGN_OR_RETURN(auto feedback, ReadFeedback(transaction, {event_id}));
    Json event = EventJson(*row, words, std::move(feedback[event_id]));
    ASSIGN_OR_RETURN(Json samples, SamplesJson(transaction, event_id));
    event.Set("samples", std::move(samples));
    ASSIGN_OR_RETURN(Json adaptations, adaptations_.OfEvent(transaction, event_id));
    event.Set("adaptations", std::move(adaptations));
    const std::int64_t asked = row->Int("more_asked");
    event.Set("more_samples", Json::MakeObject({{"asked", asked},
                                                {"is_awaited", row->Bool("is_more_awaited")},
                                                {"left", kMoreSamplesMax - asked}}));
    event.Set("reference_row_mean", ReferenceOf(*row, "row_mean"));
    event.Set("reference_row_sd", ReferenceOf(*row, "row_sd"));
    return event;
  });
}

base::Result<http::Response> DriftHub::Image(const http::Request& request,
                                             const std::string& sample_id) {
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne("SELECT object_key FROM drift_samples WHERE sample_id = $1 "
                                      "AND object_key <> '' LIMIT 1",
                                      {sample_id}));
  if (!row) return Error{ErrorCode::kNotFound, "no picture of sample " + sample_id};
  ASSIGN_OR_RETURN(auto file, objects_.Get(row->Text("object_key")));
  return http::Response::File(request, std::shared_ptr<const base::ReadableFile>(std::move(file)),
                              "image/jpeg", sample_id, /*is_immutable=*/false);
}

base::Status DriftHub::CheckVerdicts(Transaction& transaction, const Row& event,
                                     const Verdicts& verdicts) {
  const Json labels = LabelsOf(event);
  ASSIGN_OR_RETURN(const Words words, ReadWords(transaction, event.Text("event_id")));
  for (const Verdict& verdict : verdicts.labels) {
    ASSIGN_OR_RETURN(const auto sample,
                     transaction.QueryOne("SELECT event_id FROM drift_samples WHERE "
                                          "sample_id = $1 AND device_id = $2",
                                          {verdict.sample_id, event.Text("device_id")}));
    if (!sample || sample->Text("event_id") != event.Text("event_id")) {
      return Error{ErrorCode::kInvalidArgument,
                   "verdicts: sample " + verdict.sample_id + " is no sample of this event"};
    }
    if (!verdict.label) continue;
    const std::string& label = *verdict.label;
    if (label.empty() || label.size() > kLabelBytesMax || !IsPlain(label)) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("verdicts: a label has 1 to ", kLabelBytesMax,
                                " bytes and no control characters")};
    }
    // A typing error must not become a class: who means one says so.
    const bool is_known = labels.as_array().empty() || Holds(labels, label) ||
                          words.opened.contains(label) || verdict.opens_class;
    if (!is_known) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("verdicts: \"", label,
                                "\" is no label of this model; opens_class says that it is meant "
                                "to become one")};
    }
  }
  return {};
}

// What was said before stays in the table, no longer current.
base::Status DriftHub::Record(Transaction& transaction, const Row& event, const Verdicts& verdicts,
                              const std::string& by, base::Time now) {
  const std::string event_id = event.Text("event_id");
  const std::string device_id = event.Text("device_id");
  const Json labels = LabelsOf(event);
  for (const Verdict& verdict : verdicts.labels) {
    // A person's newest word replaces their own; one that takes the label back, everybody's.
    const auto before = transaction.Execute(
        "UPDATE verdicts SET is_current = 0 WHERE event_id = $1 AND sample_id = $2 AND "
        "is_current = 1 AND ($3 = '' OR given_by = $3 OR label IS NULL)",
        {event_id, verdict.sample_id, verdict.label ? by : std::string()});
    if (!before.ok()) return before.error();
    const bool opens =
        verdict.label && !Holds(labels, *verdict.label) && !labels.as_array().empty();
    const auto added = transaction.Execute(
        "INSERT INTO verdicts (device_id, event_id, sample_id, label, given_by, at, feedback_id, "
        "opens_class) VALUES ($1, $2, $3, $4, $5, $6, '', $7)",
        {device_id, event_id, verdict.sample_id, verdict.label, by, now, opens});
    if (!added.ok()) return added.error();
  }
  if (verdicts.event_verdict) {
    const auto before = transaction.Execute(
        "UPDATE verdicts SET is_current = 0 WHERE event_id = $1 AND sample_id IS NULL AND "
        "is_current = 1",
        {event_id});
    if (!before.ok()) return before.error();
    const auto added = transaction.Execute(
        "INSERT INTO verdicts (device_id, event_id, event_verdict, given_by, at, feedback_id) "
        "VALUES ($1, $2, $3, $4, $5, '')",
        {device_id, event_id, protocol::Name(*verdicts.event_verdict), by, now});
    if (!added.ok()) return added.error();
  }
  const auto answered = transaction.Execute(
      "UPDATE drift_events SET state = 'answered', event_verdict = COALESCE($2, event_verdict) "
      "WHERE event_id = $1",
      {event_id, verdicts.event_verdict ? store::Value(protocol::Name(*verdicts.event_verdict))
                                        : store::Value()});
  if (!answered.ok()) return answered.error();
  return {};
}

// All that is said about the event now.
base::Result<feedback::Said> DriftHub::Gather(Transaction& transaction, const Row& event) {
  feedback::Said said{.device_id = event.Text("device_id"),
                      .event_id = event.Text("event_id"),
                      .bundle = event.Text("bundle"),
                      .labels = {},
                      .event_verdict = std::nullopt};
  ASSIGN_OR_RETURN(const auto verdict,
                   transaction.QueryOne("SELECT event_verdict FROM verdicts WHERE event_id = $1 "
                                        "AND is_current = 1 AND sample_id IS NULL",
                                        {said.event_id}));
  if (verdict) {
    ASSIGN_OR_RETURN(said.event_verdict,
                     protocol::ParseEventVerdict(verdict->Text("event_verdict")));
  }
  ASSIGN_OR_RETURN(const Words words, ReadWords(transaction, said.event_id));
  for (const auto& [sample_id, spoken] : words.by_sample) {
    const auto agreed = feedback::Agree(spoken);
    if (!agreed) continue;
    said.labels[sample_id] = {.label = agreed->label,
                              .weight = agreed->weight,
                              .reviewers = agreed->reviewers,
                              .opens_class = words.opened.contains(agreed->label)};
  }
  return said;
}

base::Result<Json> DriftHub::Give(const std::string& event_id, const Verdicts& verdicts,
                                  const std::string& by) {
  if (verdicts.labels.empty() && !verdicts.event_verdict) {
    return Error{ErrorCode::kInvalidArgument, "verdicts: neither a label nor a verdict is given"};
  }
  const base::Time now = clock_.Now();
  std::string device_id;
  std::string feedback_id;
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    feedback_id.clear();
    ASSIGN_OR_RETURN(
        const auto event,
        transaction.QueryOne(std::string(kSelectEvent) + "WHERE e.event_id = $1", {event_id}));
    if (!event) return Error{ErrorCode::kNotFound, "no drift event is called " + event_id};
    device_id = event->Text("device_id");
    RETURN_IF_ERROR(CheckVerdicts(transaction, *event, verdicts));
    RETURN_IF_ERROR(Record(transaction, *event, verdicts, by, now));
    ASSIGN_OR_RETURN(const feedback::Said said, Gather(transaction, *event));
    ASSIGN_OR_RETURN(const auto letter, feedbacks_.Make(transaction, said));
    if (!letter) return {};
    feedback_id = letter->feedback_id;
    const auto tied = transaction.Execute(
        "UPDATE verdicts SET feedback_id = $2 WHERE event_id = $1 AND feedback_id = ''",
        {event_id, feedback_id});
    if (!tied.ok()) return tied.error();
    RETURN_IF_ERROR(queue_.Enqueue(
        transaction,
        {.kind = std::string(kVerdictFileJob), .key = feedback_id, .payload = "", .due = {}}));
    // More labels judge what serves better.
    RETURN_IF_ERROR(adaptations_.WantJudgement(transaction, event_id));
    const std::string what =
        letter->labels.empty() && letter->retract.empty()
            ? base::StrCat(by, " called it ", protocol::Name(letter->events.front().verdict))
            : base::StrCat(by, " labelled ", letter->labels.size(), " samples",
                           letter->retract.empty()
                               ? std::string()
                               : base::StrCat(" and took back ", letter->retract.size()));
    RETURN_IF_ERROR(fleet::Note(
        transaction,
        {.at = now, .device_id = device_id, .kind = "labels", .text = what, .ref = event_id}));
    return access::WriteAudit(transaction, {.at = now,
                                            .who = by,
                                            .action = "verdicts.give",
                                            .subject = event_id,
                                            .detail = feedback_id});
  });
  if (!written.ok()) return written.error();
  events_.Publish("drift_event", Json::MakeObject({{"id", event_id}}));
  if (feedback_id.empty()) return Json::MakeObject({{"feedback_id", nullptr}});
  events_.Publish("feedback", Json::MakeObject({{"id", feedback_id}}));
  events_.Publish("device", Json::MakeObject({{"id", device_id}}));
  return Json::MakeObject({{"feedback_id", feedback_id}});
}

base::Result<Json> DriftHub::AskForMore(const std::string& event_id, std::int64_t samples,
                                        const std::string& by) {
  if (samples < 1 || samples > kMoreSamplesMax) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("samples: 1 to ", kMoreSamplesMax, " are wanted")};
  }
  const base::Time now = clock_.Now();
  std::string device_id;
  std::int64_t asked = 0;
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const auto event,
                     transaction.QueryOne("SELECT device_id, more_asked, is_more_awaited FROM "
                                          "drift_events WHERE event_id = $1",
                                          {event_id}));
    if (!event) return Error{ErrorCode::kNotFound, "no drift event is called " + event_id};
    device_id = event->Text("device_id");
    asked = event->Int("more_asked");
    if (event->Bool("is_more_awaited")) return {};
    if (asked >= kMoreSamplesMax) {
      return Error{ErrorCode::kConflict,
                   base::StrCat("samples: ", asked, " more of this event were asked for already")};
    }
    asked = std::min(asked + samples, kMoreSamplesMax);
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE drift_events SET more_asked = $2, is_more_awaited = 1 WHERE event_id = $1",
        {event_id, asked}));
    RETURN_IF_ERROR(desired_.Refresh(transaction, device_id));
    RETURN_IF_ERROR(fleet::Note(transaction, {.at = now,
                                              .device_id = device_id,
                                              .kind = "labels",
                                              .text = by + " asked for more samples",
                                              .ref = event_id}));
    return access::WriteAudit(transaction, {.at = now,
                                            .who = by,
                                            .action = "samples.request",
                                            .subject = event_id,
                                            .detail = base::StrCat(asked, " in all")});
  });
  if (!written.ok()) return written.error();
  events_.Publish("drift_event", Json::MakeObject({{"id", event_id}}));
  events_.Publish("device", Json::MakeObject({{"id", device_id}}));
  return Json::MakeObject(
      {{"asked", asked}, {"is_awaited", true}, {"left", kMoreSamplesMax - asked}});
}

base::Status DriftHub::KeepVerdictFile(const store::Job& job) {
  const std::string& feedback_id = job.key;
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT device_id, event_id, sample_id, label, event_verdict, "
                                   "given_by, at FROM verdicts WHERE feedback_id = $1 "
                                   "ORDER BY verdict_id",
                                   {feedback_id}));
  std::string lines;
  for (const Row& row : rows) {
    lines += Json::MakeObject({{"feedback_id", feedback_id},
                               {"device_id", row.Text("device_id")},
                               {"event_id", row.Text("event_id")},
                               {"sample_id", OptionalText(row, "sample_id")},
                               {"label", OptionalText(row, "label")},
                               {"event_verdict", OptionalText(row, "event_verdict")},
                               {"by", row.Text("given_by")},
                               {"at", base::FormatTime(row.Time("at"))}})
                 .Write() +
             "\n";
  }
  RETURN_IF_ERROR(objects_.PutBytes(
      base::StrCat(store::kVerdictsFolder, "/", feedback_id, ".jsonl"), base::AsBytes(lines)));
  return database_.Write(
      [&](Transaction& transaction) { return queue_.Complete(transaction, job); });
}

}  // namespace tinysphere::drifthub
