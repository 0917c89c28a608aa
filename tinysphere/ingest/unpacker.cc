#include "tinysphere/ingest/unpacker.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "protocol/adaptation_report.h"
#include "protocol/archive.h"
#include "protocol/drift_event.h"
#include "protocol/learned_model.h"
#include "protocol/metrics.h"
#include "protocol/package.h"
#include "protocol/samples.h"
#include "protocol/update_report.h"
#include "tinysphere/fleet/reports.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/ingest/receiver.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::ingest {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Transaction;

// What the server reads of a package; every other file stays in the archive.
struct Unpacker::Documents {
  std::optional<protocol::DriftEvent> event;
  std::optional<protocol::SampleSet> samples;
  std::vector<std::vector<float>> rows;
  std::optional<protocol::DeviceMetrics> metrics;
  std::optional<protocol::UpdateReport> update_report;
  std::optional<protocol::AdaptationReport> adaptation;
  bool has_adaptation_bytes = false;  // And those of the champion, if the report names one.
  std::optional<protocol::LearnedModel> learned;
};

struct Unpacker::Package {
  std::string package_id;
  std::string device_id;
  std::string object_key;
  base::Time received_at{};
  protocol::PackageManifest manifest;

  fleet::ReportOrigin report_origin() const {
    return {.device_id = device_id,
            .epoch = manifest.name.epoch,
            .seq = manifest.name.seq,
            .agent_version = manifest.agent_version,
            .at = manifest.clock_trusted ? manifest.created_at : received_at};
  }
};

namespace {

constexpr std::uint64_t kDocumentBytesMax = 16u << 20;
constexpr std::uint64_t kAdaptationBytesMax = 64u << 20;

bool IsDocument(std::string_view path) {
  return path == protocol::kDriftEventPath || path == protocol::kSamplesPath ||
         path == protocol::kRowsPath || path == protocol::kMetricsPath ||
         path == protocol::kUpdateReportPath || path == protocol::kAdaptationPath ||
         path == protocol::kModelPath;
}

// Keeps the documents, lets the rest pass.
class DocumentSink final : public protocol::FileSink {
 public:
  base::Status Begin(const protocol::NamedFile& file) override {
    open_ = nullptr;
    if (!IsDocument(file.path)) return {};
    if (file.bytes > kDocumentBytesMax) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat(file.path, ": larger than ", kDocumentBytesMax, " bytes")};
    }
    open_ = &documents_[file.path];
    return {};
  }
  base::Status Append(base::ByteView bytes) override {
    if (open_ != nullptr) open_->append(base::AsText(bytes));
    return {};
  }
  base::Status End() override { return {}; }

  const std::string* Find(std::string_view path) const {
    const auto found = documents_.find(path);
    return found == documents_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, std::string, std::less<>> documents_;
  std::string* open_ = nullptr;
};

// Writes the files that have a key into the object store, lets the rest pass.
class MediaSink final : public protocol::FileSink {
 public:
  MediaSink(store::ObjectStore& objects, const std::map<std::string, std::string>& keys)
      : objects_(objects), keys_(keys) {}

  base::Status Begin(const protocol::NamedFile& file) override {
    writer_.reset();
    const auto key = keys_.find(file.path);
    if (key == keys_.end()) return {};
    ASSIGN_OR_RETURN(writer_, objects_.Put(key->second));
    return {};
  }
  base::Status Append(base::ByteView bytes) override {
    return writer_ == nullptr ? base::Status() : writer_->Append(bytes);
  }
  base::Status End() override { return writer_ == nullptr ? base::Status() : writer_->Commit(); }

 private:
  store::ObjectStore& objects_;
  const std::map<std::string, std::string>& keys_;
  std::unique_ptr<store::ObjectWriter> writer_;
};

std::uint64_t BytesOf(const protocol::PackageManifest& manifest, std::string_view path) {
  for (const protocol::NamedFile& file : manifest.files) {
    if (file.path == path) return file.bytes;
  }
  return 0;
}

// An id as a part of an object's key.
std::string KeyPart(std::string id) {
  std::replace(id.begin(), id.end(), ':', '=');
  return id;
}

// Parses the document at `path`, if it is there, into `out`.
template <typename T, typename Parse>
base::Status ReadDocument(const DocumentSink& sink, std::string_view path, Parse parse,
                          std::optional<T>& out) {
  const std::string* text = sink.Find(path);
  if (text == nullptr) return {};
  auto parsed = parse(std::string_view(*text));
  // Whatever is wrong with a document stays wrong: no later try will read it.
  if (!parsed.ok()) return Error{ErrorCode::kCorrupt, parsed.error().message};
  out = std::move(parsed).value();
  return {};
}

// The signature was checked when the package came in, with the key the device had then; the object
// store has kept the bytes since. Here the archive only has to be whole.
base::Result<protocol::PackageManifest> ReadFiles(store::ObjectStore& objects,
                                                  const std::string& object_key,
                                                  protocol::FileSink& sink) {
  ASSIGN_OR_RETURN(const auto file, objects.Get(object_key));
  protocol::FileSource source(*file);
  ASSIGN_OR_RETURN(auto archive,
                   protocol::SignedArchiveReader::Open(
                       source, protocol::ArchiveLimits{.compressed_bytes_max = kPackageBytesMax}));
  ASSIGN_OR_RETURN(protocol::PackageManifest manifest,
                   protocol::ParsePackageManifest(archive.manifest_bytes()));
  RETURN_IF_ERROR(archive.ReadFiles(manifest.files, sink));
  return manifest;
}

}  // namespace

bool Unpacker::IsHopeless(ErrorCode code) {
  return code != ErrorCode::kUnavailable && code != ErrorCode::kExhausted &&
         code != ErrorCode::kInternal && code != ErrorCode::kConflict;
}

base::Status Unpacker::Unpack(const store::Job& job) {
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne("SELECT device_id, object_key, received_at FROM packages "
                                      "WHERE package_id = $1",
                                      {job.key}));
  if (!row) return Error{ErrorCode::kNotFound, "no package is called " + job.key};
  Package package{.package_id = job.key,
                  .device_id = row->Text("device_id"),
                  .object_key = row->Text("object_key"),
                  .received_at = row->Time("received_at"),
                  .manifest = {}};
  DocumentSink sink;
  ASSIGN_OR_RETURN(package.manifest, ReadFiles(objects_, package.object_key, sink));

  Documents documents;
  RETURN_IF_ERROR(
      ReadDocument(sink, protocol::kDriftEventPath, protocol::ParseDriftEvent, documents.event));
  RETURN_IF_ERROR(
      ReadDocument(sink, protocol::kSamplesPath, protocol::ParseSampleSet, documents.samples));
  RETURN_IF_ERROR(
      ReadDocument(sink, protocol::kMetricsPath, protocol::ParseDeviceMetrics, documents.metrics));
  RETURN_IF_ERROR(ReadDocument(sink, protocol::kUpdateReportPath, protocol::ParseUpdateReport,
                               documents.update_report));
  RETURN_IF_ERROR(ReadDocument(sink, protocol::kAdaptationPath, protocol::ParseAdaptationReport,
                               documents.adaptation));
  RETURN_IF_ERROR(
      ReadDocument(sink, protocol::kModelPath, protocol::ParseLearnedModel, documents.learned));
  if (const std::string* csv = sink.Find(protocol::kRowsPath)) {
    ASSIGN_OR_RETURN(documents.rows, protocol::ParseRowsCsv(*csv));
  }
  ASSIGN_OR_RETURN(const auto samples, StoreMedia(package, documents));

  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(Store(transaction, package, documents, samples));
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE packages SET state = 'processed', error = '' WHERE package_id = $1",
        {package.package_id}));
    return queue_.Complete(transaction, job);
  });
  if (!written.ok()) return written;
  Tell(package, documents);
  return {};
}

// Where the bytes of an adaptation that came along are to lie. They must be those that the document
// names: by that digest a person approves them and a publisher signs them.
base::Status Unpacker::KeepAdaptation(const Package& package, Documents& documents,
                                      std::map<std::string, std::string>& keys) {
  const auto keep = [&](std::string_view path, const std::optional<std::string>& named,
                        bool& is_kept) -> base::Status {
    const auto file = std::find_if(package.manifest.files.begin(), package.manifest.files.end(),
                                   [&](const protocol::NamedFile& f) { return f.path == path; });
    is_kept = file != package.manifest.files.end() && named.has_value();
    if (!is_kept) return {};
    if (file->sha256 != *named) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat(path, ": not the bytes that the document names")};
    }
    if (file->bytes > kAdaptationBytesMax) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat(path, ": larger than ", kAdaptationBytesMax, " bytes")};
    }
    keys[std::string(path)] = adaptation::BytesKey(package.device_id, file->sha256);
    return {};
  };
  if (documents.adaptation) {
    const protocol::AdaptationReport& report = *documents.adaptation;
    bool has_champion = false;
    RETURN_IF_ERROR(keep(protocol::kAdaptationBytesPath, report.adaptation_sha256,
                         documents.has_adaptation_bytes));
    RETURN_IF_ERROR(keep(protocol::kChampionBytesPath, report.champion_sha256, has_champion));
    if (report.champion_sha256 && !has_champion) {
      // It may have come with an earlier report, as what served then.
      ASSIGN_OR_RETURN(const bool is_there, objects_.Exists(adaptation::BytesKey(
                                                package.device_id, *report.champion_sha256)));
      documents.has_adaptation_bytes = documents.has_adaptation_bytes && is_there;
    }
  }
  if (documents.learned) {
    bool is_there = false;
    RETURN_IF_ERROR(
        keep(protocol::kAdaptationBytesPath, documents.learned->adaptation_sha256, is_there));
    if (!is_there) {
      return Error{ErrorCode::kInvalidArgument, "model.json: adaptation.bin is not beside it"};
    }
  }
  return {};
}

// Puts pictures, features and what was learned where they are looked for, and says where that is.
base::Result<std::vector<drifthub::StoredSample>> Unpacker::StoreMedia(const Package& package,
                                                                       Documents& documents) {
  std::vector<drifthub::StoredSample> stored;
  std::map<std::string, std::string> keys;  // By path in the archive.
  RETURN_IF_ERROR(KeepAdaptation(package, documents, keys));
  const protocol::SampleSet none;
  const protocol::SampleSet& set = documents.samples ? *documents.samples : none;
  for (const protocol::SampleRecord& record : set.samples) {
    drifthub::StoredSample sample{.record = record, .object_key = "", .row = {}};
    if (record.is_image()) {
      const bool is_there =
          std::any_of(package.manifest.files.begin(), package.manifest.files.end(),
                      [&](const protocol::NamedFile& file) { return file.path == record.media; });
      if (!is_there) {
        return Error{ErrorCode::kInvalidArgument,
                     base::StrCat("samples.json: ", record.media, " is not in the package")};
      }
      sample.object_key = base::StrCat(store::kDriftSamplesBucket, "/", package.device_id, "/",
                                       KeyPart(record.sample_id), ".jpg");
      keys[record.media] = sample.object_key;
    } else if (const auto line = record.csv_row()) {
      if (*line >= documents.rows.size()) {
        return Error{ErrorCode::kInvalidArgument,
                     base::StrCat("samples.json: ", record.media, " is not in rows.csv")};
      }
      sample.row = documents.rows[*line];
    }
    stored.push_back(std::move(sample));
  }
  if (set.event_id) {
    keys[std::string(protocol::kFeaturesPath)] =
        base::StrCat(store::kDriftFeaturesBucket, "/", package.device_id, "/",
                     KeyPart(*set.event_id), ".safetensors");
  }
  if (keys.empty()) return stored;
  MediaSink sink(objects_, keys);
  RETURN_IF_ERROR(ReadFiles(objects_, package.object_key, sink));
  return stored;
}

base::Status Unpacker::Store(Transaction& transaction, const Package& package,
                             const Documents& documents,
                             const std::vector<drifthub::StoredSample>& samples) {
  const drifthub::Origin origin{.device_id = package.device_id,
                                .package_id = package.package_id,
                                .bundle = package.manifest.bundle,
                                .received_at = package.received_at,
                                .answers_request = package.manifest.type == protocol::kTypeSamples};
  const fleet::ReportOrigin report_origin = package.report_origin();
  if (documents.event) {
    RETURN_IF_ERROR(hub_.TakeEvent(transaction, origin, *documents.event));
    RETURN_IF_ERROR(fleet::TakeDriftSign(transaction, report_origin));
  }
  if (documents.samples) {
    RETURN_IF_ERROR(hub_.TakeSamples(transaction, origin, *documents.samples, samples));
  }
  if (documents.metrics) {
    RETURN_IF_ERROR(fleet::TakeMetrics(transaction, report_origin, *documents.metrics));
  }
  if (documents.update_report) {
    ASSIGN_OR_RETURN(const bool is_news,
                     fleet::TakeUpdateReport(transaction, report_origin, *documents.update_report));
    // What the device ran once says nothing of a rollout it has gone through since.
    if (is_news) {
      RETURN_IF_ERROR(
          rollouts_.TakeReport(transaction, package.device_id, *documents.update_report));
    }
  }
  if (documents.adaptation) {
    RETURN_IF_ERROR(fleet::TakeAdaptation(transaction, report_origin, *documents.adaptation));
    RETURN_IF_ERROR(feedbacks_.TakeOutcome(transaction, package.device_id, *documents.adaptation));
    RETURN_IF_ERROR(adaptations_.Take(transaction,
                                      {.device_id = package.device_id,
                                       .package_id = package.package_id,
                                       .bundle = package.manifest.bundle,
                                       .seq = package.manifest.name.seq,
                                       .received_at = package.received_at,
                                       .has_bytes = documents.has_adaptation_bytes},
                                      *documents.adaptation));
  }
  if (documents.learned) {
    RETURN_IF_ERROR(learned_versions_.Take(
        transaction,
        {.device_id = package.device_id,
         .package_id = package.package_id,
         .received_at = package.received_at,
         .object_key =
             adaptation::BytesKey(package.device_id, documents.learned->adaptation_sha256),
         .bytes = BytesOf(package.manifest, protocol::kAdaptationBytesPath)},
        *documents.learned));
  }
  const bool is_understood = documents.event || documents.samples || documents.metrics ||
                             documents.update_report || documents.adaptation || documents.learned;
  if (is_understood) return {};
  return fleet::Note(transaction,
                     {.at = package.received_at,
                      .device_id = package.device_id,
                      .kind = "package",
                      .text = base::StrCat("sent a package of type ", package.manifest.type),
                      .ref = package.package_id});
}

// After the commit, never before: a dashboard that asks again must find what it was told of.
void Unpacker::Tell(const Package& package, const Documents& documents) {
  const auto publish = [&](const char* name, const std::string& id) {
    events_.Publish(name, Json::MakeObject({{"id", id}}));
  };
  publish("package", package.package_id);
  publish("device", package.device_id);
  if (documents.event) publish("drift_event", documents.event->event_id);
  if (documents.samples && documents.samples->event_id) {
    publish("drift_event", *documents.samples->event_id);
  }
  if (documents.adaptation && documents.adaptation->feedback_id) {
    publish("feedback", *documents.adaptation->feedback_id);
  }
  if (documents.adaptation && documents.adaptation->event_id) {
    publish("drift_event", *documents.adaptation->event_id);
  }
  if (documents.update_report) publish("rollout", documents.update_report->deployment_id);
  publish("overview", package.package_id);
}

base::Status Unpacker::MarkSetAside(base::Time now) {
  constexpr std::string_view kUnmarked =
      "SELECT p.package_id, p.device_id, j.error FROM jobs j JOIN packages p ON p.package_id = "
      "j.job_key WHERE j.kind = $1 AND j.state = 'set_aside' AND p.state = 'stored' LIMIT 100";
  // Looking costs no flush; there is hardly ever anything to mark.
  ASSIGN_OR_RETURN(const auto seen, database_.QueryOne(kUnmarked, {kUnpackJob}));
  if (!seen) return {};
  std::vector<std::string> marked;
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    marked.clear();
    ASSIGN_OR_RETURN(const store::Rows rows, transaction.Query(kUnmarked, {kUnpackJob}));
    for (const store::Row& row : rows) {
      const std::string package_id = row.Text("package_id");
      const std::string reason = row.Text("error");
      RETURN_IF_ERROR(transaction.Execute(
          "UPDATE packages SET state = 'failed', error = $2 WHERE package_id = $1",
          {package_id, reason}));
      RETURN_IF_ERROR(
          fleet::Note(transaction, {.at = now,
                                    .device_id = row.Text("device_id"),
                                    .kind = "alert",
                                    .text = base::StrCat("a package was set aside: ", reason),
                                    .ref = package_id}));
      marked.push_back(package_id);
    }
    return {};
  });
  if (!written.ok()) return written;
  for (const std::string& package_id : marked) {
    events_.Publish("package", Json::MakeObject({{"id", package_id}}));
  }
  return {};
}

base::Status Unpacker::Retry(const std::string& package_id, base::Time now) {
  ASSIGN_OR_RETURN(const auto job,
                   database_.QueryOne("SELECT job_id, state FROM jobs WHERE kind = $1 AND "
                                      "job_key = $2",
                                      {kUnpackJob, package_id}));
  if (!job) return Error{ErrorCode::kNotFound, "no package is called " + package_id};
  if (job->Text("state") != "set_aside") {
    return Error{ErrorCode::kConflict, "package " + package_id + " was not set aside"};
  }
  // In this order: a job that is set aside while its package is `stored` would be marked again.
  RETURN_IF_ERROR(queue_.Redrive(job->Int("job_id"), now));
  RETURN_IF_ERROR(
      database_.Execute("UPDATE packages SET state = 'stored', error = '' "
                        "WHERE package_id = $1 AND state = 'failed'",
                        {package_id}));
  return {};
}

}  // namespace tinysphere::ingest
