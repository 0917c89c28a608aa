#include "tinysphere/legacy/unpacking.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/text.h"
#include "protocol/archive.h"
#include "protocol/samples.h"
#include "tinysphere/fleet/reports.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/ingest/receiver.h"
#include "tinysphere/legacy/devices.h"
#include "tinysphere/series/image_index.h"
#include "tinysphere/series/log_parts.h"
#include "tinysphere/store/object_key.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::legacy {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Transaction;

struct Unpacking::Package {
  std::string package_id;
  std::string device_id;
  std::string type;
  std::string object_key;
  std::string sha256;
  std::uint64_t seq = 0;
  base::Time received_at{};
  std::string agent_version;
  store::Row device;  // Where it says it is.

  std::string event_id() const { return base::StrCat(device_id, ":", sha256.substr(0, 16)); }
};

struct Unpacking::Contents {
  std::optional<Json> metrics;
  std::optional<Json> event;
  std::optional<Json> pictures;  // prediction_images.json
  std::optional<Json> logs;      // logs_metadata.json
  std::size_t files = 0;
  bool has_model = false;
  std::string event_picture;  // Object key.
  std::vector<series::SampledImage> images;
  std::optional<series::LogPart> log;
};

namespace {

constexpr std::size_t kDocumentBytesMax = 4u << 20;
constexpr std::size_t kOriginalBytesMax = 16u << 10;
constexpr std::string_view kLogSession = "legacy";  // Where a package does not name its session.

bool EndsWithAny(std::string_view name, std::initializer_list<std::string_view> ends) {
  return std::any_of(ends.begin(), ends.end(),
                     [&](std::string_view end) { return name.ends_with(end); });
}
bool IsPicture(std::string_view name) { return EndsWithAny(name, {".jpg", ".jpeg", ".png"}); }
bool IsLog(std::string_view name) { return name.ends_with(".jsonl"); }
bool IsModel(std::string_view name) {
  return EndsWithAny(name, {".tflite", ".onnx", ".pt", ".pth", ".pkl", ".h5"});
}
bool IsMetrics(std::string_view name) {
  return name.starts_with("metrics") && name.ends_with(".json");
}
bool IsEvent(std::string_view name) { return name.starts_with("drift") && name.ends_with(".json"); }

std::string_view FileName(std::string_view path) { return path.substr(path.rfind('/') + 1); }

// "a.b" of nested objects; nullptr where there is none.
const Json* At(const Json& json, std::string_view path) {
  const Json* found = &json;
  for (const std::string_view part : base::Split(path, '.')) {
    found = found->Find(part);
    if (found == nullptr) return nullptr;
  }
  return found;
}

std::optional<double> Number(const Json& json, std::string_view path) {
  const Json* field = At(json, path);
  if (field == nullptr || !field->is_number()) return std::nullopt;
  return field->as_double();
}

std::optional<double> Number(const Json& json, std::string_view path, double min, double max) {
  const std::optional<double> value = Number(json, path);
  return value && *value >= min && *value <= max ? value : std::nullopt;
}

std::uint64_t Count(const Json& json, std::string_view path) {
  return static_cast<std::uint64_t>(Number(json, path, 0, 9e15).value_or(0));
}

std::string Text(const Json& json, std::string_view path, std::size_t bytes_max) {
  const Json* field = At(json, path);
  return field != nullptr && field->is_string() ? OneLine(field->as_string(), bytes_max) : "";
}

// A number as Python's time.time() gives it, if a device could mean it: its clock may be wrong, and
// what lies in the future or before the prototype was made is no time of a picture.
base::Time TimeOr(const Json& json, std::string_view path, base::Time received_at) {
  constexpr double kNotBefore = 1'600'000'000;  // 2020
  const double now = static_cast<double>(received_at.time_since_epoch().count()) / 1000;
  const std::optional<double> seconds = Number(json, path, kNotBefore, now + 24 * 3600);
  if (!seconds) return received_at;
  return base::Time(base::Duration(std::llround(*seconds * 1000)));
}

// A name as a part of an object's key or of a sample's id.
std::string IdPart(std::string_view name) {
  std::string part(name.substr(0, 80));
  for (char& c : part) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!is_plain) c = '_';
  }
  return part;
}

// The confidence in "<class>_<HHMMSS>_<hundredths>_<n>.jpg".
std::optional<double> ConfidenceOf(std::string_view name) {
  const std::vector<std::string_view> parts = base::Split(name.substr(0, name.rfind('.')), '_');
  if (parts.size() < 4) return std::nullopt;
  const auto hundredths = base::ParseInt(parts[parts.size() - 2]);
  if (!hundredths.ok() || *hundredths < 0 || *hundredths > 100) return std::nullopt;
  return static_cast<double>(*hundredths) / 100;
}

Json Step(const char* step, base::Time at, std::string detail) {
  return Json::MakeObject({{"step", step},
                           {"state", "done"},
                           {"at", base::FormatTime(at)},
                           {"detail", std::move(detail)}});
}

}  // namespace

std::string DriftTypeOf(std::string_view detector) {
  std::string name(detector);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  const auto holds = [&](std::string_view part) { return name.find(part) != std::string::npos; };
  if (holds("confidence")) return "confidence";
  if (holds("distribution") || holds("class_mix")) return "distribution";
  if (holds("knn") || holds("distance")) return "knn_distance";
  if (holds("feature")) return "feature";
  if (holds("outlier")) return "outlier";
  return "unknown";
}

protocol::DeviceMetrics MetricsOf(const Json& figures, base::Time at) {
  protocol::DeviceMetrics metrics;
  metrics.at = at;
  metrics.frames = Count(figures, "total_inferences");
  metrics.confidence_mean = Number(figures, "confidence.mean", 0, 1);
  metrics.latency_ms_p50 = Number(figures, "latency.median", 0, 1e9);
  metrics.latency_ms_p95 = Number(figures, "latency.p95", 0, 1e9);
  metrics.latency_ms_p99 = Number(figures, "latency.p99", 0, 1e9);
  if (const auto uptime_s = Number(figures, "uptime", 0, 1e10); uptime_s && *uptime_s > 0) {
    metrics.fps = static_cast<double>(metrics.frames) / *uptime_s;
  }
  if (const Json* mix = At(figures, "prediction_distribution"); mix && mix->is_object()) {
    for (const auto& [label, count] : mix->as_object()) {
      if (!count.is_number() || count.as_double() < 0 || metrics.class_mix.size() >= 1000) continue;
      metrics.class_mix.push_back(
          {.label = OneLine(label, 128), .count = static_cast<std::uint64_t>(count.as_double())});
    }
  }
  // Each figure is {current, avg, max}.
  metrics.cpu_percent = Number(figures, "system.cpu_percent.current", 0, 1e5);
  if (const auto mb = Number(figures, "system.process_memory_mb.current", 0, 1e9)) {
    metrics.rss_bytes = static_cast<std::uint64_t>(*mb * 1024 * 1024);
  }
  if (const auto gb = Number(figures, "system.disk_free_gb.current", 0, 1e9)) {
    metrics.disk_free_bytes = static_cast<std::uint64_t>(*gb * 1024 * 1024 * 1024);
  }
  return metrics;
}

protocol::DriftEvent EventOf(const Json& event, const std::string& event_id) {
  const std::string detector = Text(event, "detector_name", 100);
  std::string type = Text(event, "drift_type", 32);
  if (type.empty() || type == "unknown") type = DriftTypeOf(detector);
  protocol::DriftEvent ours;
  ours.event_id = event_id;
  ours.kind = type == "distribution" ? "class_mix" : "unknown";
  ours.signals.push_back({.name = detector.empty() ? type : detector, .share = 1.0});
  ours.text = Text(event, "reason", 1000);
  if (ours.text.empty()) ours.text = base::StrCat(ours.signals[0].name, " reported drift");
  return ours;
}

base::Status Unpacking::Read(const Package& package, Contents& contents) {
  ASSIGN_OR_RETURN(const auto file, objects_.Get(package.object_key));
  protocol::FileSource source(*file);
  ASSIGN_OR_RETURN(
      const auto archive,
      protocol::ArchiveReader::Open(
          source, protocol::ArchiveLimits{.compressed_bytes_max = ingest::kPackageBytesMax}));
  base::Bytes block(64u << 10);
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<std::string> path, archive->Next());
    if (!path) break;
    contents.files += 1;
    const std::string_view name = FileName(*path);
    contents.has_model = contents.has_model || IsModel(name);
    std::optional<Json>* target = IsMetrics(name)                    ? &contents.metrics
                                  : IsEvent(name)                    ? &contents.event
                                  : name == "prediction_images.json" ? &contents.pictures
                                  : name == "logs_metadata.json"     ? &contents.logs
                                                                     : nullptr;
    // Every file is read to its end, so that a broken archive is found here.
    std::string text;
    for (;;) {
      ASSIGN_OR_RETURN(const std::size_t count, archive->Read(block));
      if (count == 0) break;
      if (target == nullptr) continue;
      if (text.size() + count > kDocumentBytesMax) {
        return Error{ErrorCode::kInvalidArgument,
                     base::StrCat(name, ": larger than ", kDocumentBytesMax, " bytes")};
      }
      text.append(base::AsText(base::ByteView(block).first(count)));
    }
    if (target == nullptr || target->has_value()) continue;
    base::Result<Json> document = Json::Parse(text);
    // Whatever is wrong with a document stays wrong: no later try will read it.
    if (!document.ok()) {
      return Error{ErrorCode::kCorrupt, base::StrCat(name, ": ", document.error().message)};
    }
    if (!document->is_object()) {
      return Error{ErrorCode::kCorrupt, base::StrCat(name, ": no JSON object")};
    }
    *target = std::move(document).value();
  }
  if (contents.files == 0) return Error{ErrorCode::kCorrupt, "archive: holds no file"};
  return {};
}

// Pictures and lines into the object store, under keys made here; the rows come with Store.
base::Status Unpacking::KeepFiles(const Package& package, Contents& contents) {
  const Json none;
  const Json& said = contents.pictures ? *contents.pictures : none;
  const std::string label = Text(said, "prediction", 128);
  const base::Time at = TimeOr(said, "timestamp", package.received_at);
  std::string session = contents.logs ? IdPart(Text(*contents.logs, "session_id", 64)) : "";
  if (session.empty() || session.starts_with('.')) session = kLogSession;
  series::LogPart part{.device_id = package.device_id,
                       .boot = session,
                       .seq = package.seq,
                       .package_id = package.package_id,
                       .received_at = package.received_at,
                       .object_key = series::LogPartKey(package.device_id, session, package.seq)};
  series::LogPartWriter log(objects_, part.object_key);

  ASSIGN_OR_RETURN(const auto file, objects_.Get(package.object_key));
  protocol::FileSource source(*file);
  ASSIGN_OR_RETURN(
      const auto archive,
      protocol::ArchiveReader::Open(
          source, protocol::ArchiveLimits{.compressed_bytes_max = ingest::kPackageBytesMax}));
  base::Bytes block(64u << 10);
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<std::string> path, archive->Next());
    if (!path) break;
    const std::string_view name = FileName(*path);
    std::unique_ptr<store::ObjectWriter> writer;
    series::SampledImage image;
    if (IsPicture(name) && contents.event && contents.event_picture.empty()) {
      contents.event_picture = base::StrCat(
          store::kDriftBucket, "/", package.device_id, "/",
          legacy::EventOf(*contents.event, "").kind, "/", store::DayKeyPart(package.received_at),
          "/", store::IdKeyPart(package.event_id()), "/", store::TextKeyPart(name));
      ASSIGN_OR_RETURN(writer, objects_.Put(contents.event_picture));
    } else if (IsPicture(name) && !contents.event) {
      image = {.device_id = package.device_id,
               .sample_id = base::StrCat(package.package_id, ":", IdPart(name)),
               .label = label.empty() ? "unknown" : label,
               .at = at,
               .confidence = ConfidenceOf(name),
               .reason = "every",
               .bundle = "",
               .bytes = 0,
               .package_id = package.package_id,
               .object_key = ""};
      image.object_key = series::ImageKey(image);
      ASSIGN_OR_RETURN(writer, objects_.Put(image.object_key));
    }
    for (;;) {
      ASSIGN_OR_RETURN(const std::size_t count, archive->Read(block));
      if (count == 0) break;
      const base::ByteView bytes = base::ByteView(block).first(count);
      image.bytes += count;
      if (writer) RETURN_IF_ERROR(writer->Append(bytes));
      if (IsLog(name)) RETURN_IF_ERROR(log.Append(bytes));
    }
    if (writer) RETURN_IF_ERROR(writer->Commit());
    if (IsLog(name)) RETURN_IF_ERROR(log.EndFile());
    if (!image.object_key.empty()) contents.images.push_back(std::move(image));
  }
  if (log.is_empty()) return {};
  RETURN_IF_ERROR(log.Commit(part));
  contents.log = std::move(part);
  return {};
}

base::Status Unpacking::StoreEvent(Transaction& transaction, const Package& package,
                                   const Contents& contents) {
  const Json& said = *contents.event;
  const drifthub::Origin origin{.device_id = package.device_id,
                                .package_id = package.package_id,
                                .bundle = "",
                                .received_at = package.received_at};
  const protocol::DriftEvent event = EventOf(said, package.event_id());
  RETURN_IF_ERROR(hub_.TakeEvent(transaction, origin, event));

  const Json* sample = said.Find("sample");
  const std::string prediction = Text(said, "sample.prediction", 128);
  const bool has_sample = sample != nullptr && sample->is_object() && !prediction.empty();
  if (has_sample || !contents.event_picture.empty()) {
    protocol::SampleSet set;
    set.event_id = event.event_id;
    // What people may call it: the classes this device has answered with.
    ASSIGN_OR_RETURN(const auto newest,
                     transaction.QueryOne("SELECT metrics FROM devices WHERE device_id = $1",
                                          {package.device_id}));
    if (newest) {
      const Json metrics = newest->Document("metrics");
      if (const Json* mix = metrics.Find("class_mix"); mix && mix->is_array()) {
        for (const Json& one : mix->as_array()) set.labels.push_back(Text(one, "label", 128));
      }
    }
    std::erase(set.labels, "");
    if (!prediction.empty() &&
        std::find(set.labels.begin(), set.labels.end(), prediction) == set.labels.end()) {
      set.labels.push_back(prediction);
    }
    protocol::SampleRecord record;
    record.sample_id = event.event_id + ":0";
    record.prediction = prediction.empty() ? "unknown" : prediction;
    record.confidence = Number(said, "sample.confidence", 0, 1).value_or(0);
    record.reason = "drift";
    const std::vector<drifthub::StoredSample> stored = {
        {.record = record, .object_key = contents.event_picture, .row = {}}};
    RETURN_IF_ERROR(hub_.TakeSamples(transaction, origin, set, stored));
  }
  // As it came, for the pages that speak the prototype's words.
  if (said.Write().size() > kOriginalBytesMax) return {};
  ASSIGN_OR_RETURN(const auto row,
                   transaction.QueryOne("SELECT reference FROM drift_events WHERE event_id = $1",
                                        {event.event_id}));
  Json reference = row ? row->Document("reference") : Json();
  if (!reference.is_object()) reference = Json::MakeObject();
  reference.Set("prototype", said);
  RETURN_IF_ERROR(transaction.Execute("UPDATE drift_events SET reference = $2 WHERE event_id = $1",
                                      {event.event_id, reference.Write()}));
  return {};
}

base::Status Unpacking::Store(Transaction& transaction, const Package& package,
                              const Contents& contents) {
  std::vector<std::string> what;
  if (contents.event) {
    RETURN_IF_ERROR(StoreEvent(transaction, package, contents));
    what.emplace_back("a drift event");
  }
  // A device of the prototype never says that all is well again: it is while no event waits.
  ASSIGN_OR_RETURN(const auto open,
                   transaction.QueryOne("SELECT event_id FROM drift_events WHERE device_id = $1 "
                                        "AND state = 'open' LIMIT 1",
                                        {package.device_id}));
  RETURN_IF_ERROR(transaction.Execute("UPDATE devices SET drift_state = $2 WHERE device_id = $1",
                                      {package.device_id, open ? "suspect" : "stable"}));
  if (contents.metrics) {
    protocol::DeviceMetrics metrics = MetricsOf(*contents.metrics, package.received_at);
    const auto latitude = package.device.OptionalDouble("latitude");
    const auto longitude = package.device.OptionalDouble("longitude");
    if (latitude && longitude) {
      metrics.location = protocol::DeviceMetrics::Location{
          .latitude = *latitude,
          .longitude = *longitude,
          .accuracy_m = package.device.OptionalDouble("geo_accuracy"),
          .source = "registration"};
    }
    RETURN_IF_ERROR(fleet::TakeMetrics(transaction,
                                       {.device_id = package.device_id,
                                        .epoch = std::string(kEpoch),
                                        .seq = package.seq,
                                        .agent_version = package.agent_version,
                                        .at = package.received_at},
                                       metrics));
    what.emplace_back("figures");
  }
  if (contents.log) {
    RETURN_IF_ERROR(series::LogParts::Take(transaction, *contents.log));
    what.push_back(base::StrCat(contents.log->lines, " lines of log"));
  }
  if (!contents.images.empty()) {
    RETURN_IF_ERROR(series::ImageIndex::Take(transaction, contents.images));
    what.push_back(base::StrCat(contents.images.size(), " pictures"));
  }
  std::string detail;
  for (const std::string& one : what) detail += (detail.empty() ? "" : ", ") + one;
  if (what.empty()) {
    detail = contents.has_model ? "a model; it is unsigned and stays in its package"
                                : base::StrCat("a package of type ", package.type);
    RETURN_IF_ERROR(fleet::Note(transaction, {.at = package.received_at,
                                              .device_id = package.device_id,
                                              .kind = "package",
                                              .text = "sent " + detail,
                                              .ref = package.package_id}));
  }
  const base::Time now = clock_.Now();
  const Json steps(Json::Array{Step("read", now, base::StrCat(contents.files, " files")),
                               Step("record", now, detail)});
  RETURN_IF_ERROR(
      transaction.Execute("UPDATE packages SET state = 'processed', error = '', processed_at = $2, "
                          "steps = $3 WHERE package_id = $1",
                          {package.package_id, now, steps.Write()}));
  return {};
}

base::Status Unpacking::Unpack(const store::Job& job) {
  ASSIGN_OR_RETURN(
      const auto row,
      database_.QueryOne("SELECT p.device_id, p.type, p.object_key, p.sha256, p.seq, "
                         "p.received_at, l.problem, d.agent_version, g.latitude, g.longitude, "
                         "g.geo_accuracy FROM packages p "
                         "JOIN legacy_packages l ON l.package_id = p.package_id "
                         "JOIN devices d ON d.device_id = p.device_id "
                         "JOIN legacy_devices g ON g.device_id = p.device_id "
                         "WHERE p.package_id = $1",
                         {job.key}));
  if (!row) return Error{ErrorCode::kNotFound, "no package is called " + job.key};
  if (const std::string problem = row->Text("problem"); !problem.empty()) {
    return Error{ErrorCode::kCorrupt, problem};
  }
  const Package package{.package_id = job.key,
                        .device_id = row->Text("device_id"),
                        .type = row->Text("type"),
                        .object_key = row->Text("object_key"),
                        .sha256 = row->Text("sha256"),
                        .seq = static_cast<std::uint64_t>(row->Int("seq")),
                        .received_at = row->Time("received_at"),
                        .agent_version = row->Text("agent_version"),
                        .device = *row};
  Contents contents;
  RETURN_IF_ERROR(Read(package, contents));
  RETURN_IF_ERROR(KeepFiles(package, contents));
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(Store(transaction, package, contents));
    return queue_.Complete(transaction, job);
  });
  if (!written.ok()) return written;
  const auto publish = [&](const char* name, const std::string& id) {
    events_.Publish(name, Json::MakeObject({{"id", id}}));
  };
  publish("package", package.package_id);
  publish("device", package.device_id);
  if (contents.event) publish("drift_event", package.event_id());
  publish("overview", package.package_id);
  return {};
}

}  // namespace tinysphere::legacy
