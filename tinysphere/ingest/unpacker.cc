#include "tinysphere/ingest/unpacker.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "base/trace.h"
#include "protocol/adaptation_report.h"
#include "protocol/archive.h"
#include "protocol/drift_event.h"
#include "protocol/learned_model.h"
#include "protocol/metrics.h"
#include "protocol/package.h"
#include "protocol/samples.h"
#include "protocol/sketches.h"
#include "protocol/update_report.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/fleet/reports.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/ingest/receiver.h"
#include "tinysphere/series/image_index.h"
#include "tinysphere/series/plain_text.h"
#include "tinysphere/series/sketch_book.h"
#include "tinysphere/store/object_key.h"
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
  std::optional<protocol::Sketches> sketches;
  std::string sketches_file;
  std::optional<series::LogPart> log_part;
  std::vector<series::SampledImage> images;
  std::vector<drifthub::StoredSample> stored_samples;
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

// A package on its way into the database.
struct Unpacker::Unpacked {
  store::Job job;
  Package package;
  Documents documents;
  std::uint64_t bytes = 0;  // Of what it takes in memory, about.
  std::string read_said{};  // What its steps say, for people.
  std::string kept_said{};
  base::Time read_at{};
  base::Time kept_at{};
};

namespace {

// A small text can become many values: of 1 MiB of JSON some 30 MB.
constexpr std::uint64_t kJsonBytesMax = 1u << 20;
constexpr std::uint64_t kSamplesBytesMax = 2u << 20;
constexpr std::uint64_t kLinesBytesMax = 4u << 20;
constexpr std::uint64_t kSketchesBytesMax = 4u << 20;
constexpr std::uint64_t kRowsBytesMax = 16u << 20;
constexpr std::uint64_t kAdaptationBytesMax = 64u << 20;
// What is put elsewhere waits in memory up to this much; beyond, the archive is read once more.
constexpr std::uint64_t kMediaBytesMax = 8u << 20;
// Packages whose rows wait to be committed together take about this much at most.
constexpr std::uint64_t kTogetherBytesMax = 4u << 20;
constexpr std::string_view kPredictionsPath = "predictions.jsonl";
constexpr std::string_view kImagesFolder = "images/";

// How large the document of that path may be; nullopt where it is none.
std::optional<std::uint64_t> DocumentBytesMax(std::string_view path) {
  if (path == protocol::kDriftEventPath || path == protocol::kMetricsPath ||
      path == protocol::kUpdateReportPath || path == protocol::kAdaptationPath ||
      path == protocol::kModelPath) {
    return kJsonBytesMax;
  }
  if (path == protocol::kSamplesPath) return kSamplesBytesMax;
  if (path == kPredictionsPath) return kLinesBytesMax;
  if (path == protocol::kSketchesPath) return kSketchesBytesMax;
  if (path == protocol::kRowsPath) return kRowsBytesMax;
  return std::nullopt;
}

// What may have to be put into the object store once the documents were read.
bool IsMedia(std::string_view path) {
  return path.starts_with(kImagesFolder) || path == protocol::kFeaturesPath ||
         path == protocol::kAdaptationBytesPath || path == protocol::kChampionBytesPath;
}

// Keeps documents and, while it has room, what goes into the object store; passes the lines of a
// log on; lets the rest pass.
class Collector final : public protocol::FileSink {
 public:
  // `log` may be nullptr: then lines are not looked for.
  Collector(const protocol::PackageManifest& manifest, series::LogPartWriter* log) : log_(log) {
    std::uint64_t media = 0;
    for (const protocol::NamedFile& file : manifest.files) {
      if (IsMedia(file.path)) media += file.bytes;
    }
    keeps_media_ = media <= kMediaBytesMax;
  }

  base::Status Begin(const protocol::NamedFile& file) override {
    open_ = nullptr;
    is_lines_ = log_ != nullptr && file.path.ends_with(".jsonl");
    if (is_lines_) return {};
    if (const auto most = DocumentBytesMax(file.path)) {
      if (file.bytes > *most) {
        return Error{ErrorCode::kInvalidArgument,
                     base::StrCat(file.path, ": larger than ", *most, " bytes")};
      }
    } else if (!keeps_media_ || !IsMedia(file.path)) {
      return {};
    }
    open_ = &files_[file.path];
    open_->reserve(file.bytes);
    bytes_ += file.bytes;
    return {};
  }
  base::Status Append(base::ByteView bytes) override {
    if (is_lines_) return log_->Append(bytes);
    if (open_ != nullptr) open_->append(base::AsText(bytes));
    return {};
  }
  base::Status End() override { return is_lines_ ? log_->EndFile() : base::Status(); }

  const std::string* Find(std::string_view path) const {
    const auto found = files_.find(path);
    return found == files_.end() ? nullptr : &found->second;
  }
  bool keeps_media() const { return keeps_media_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  series::LogPartWriter* log_;
  bool keeps_media_ = false;
  bool is_lines_ = false;
  std::uint64_t bytes_ = 0;
  std::map<std::string, std::string, std::less<>> files_;
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

// Parses the document at `path`, if it is there, into `out`.
template <typename T, typename Parse>
base::Status ReadDocument(const Collector& sink, std::string_view path, Parse parse,
                          std::optional<T>& out) {
  const std::string* text = sink.Find(path);
  if (text == nullptr) return {};
  auto parsed = parse(std::string_view(*text));
  // Whatever is wrong with a document stays wrong: no later try will read it.
  if (!parsed.ok()) return Error{ErrorCode::kCorrupt, parsed.error().message};
  out = std::move(parsed).value();
  return {};
}

// A package that is larger than its limits stays so; that a store is full passes.
Error ForGood(const Error& error) {
  return error.code == ErrorCode::kExhausted ? Error{ErrorCode::kCorrupt, error.message} : error;
}

// Tells whether it was the sink that failed.
class Watched final : public protocol::FileSink {
 public:
  explicit Watched(protocol::FileSink& sink) : sink_(sink) {}

  base::Status Begin(const protocol::NamedFile& file) override { return Noted(sink_.Begin(file)); }
  base::Status Append(base::ByteView bytes) override { return Noted(sink_.Append(bytes)); }
  base::Status End() override { return Noted(sink_.End()); }
  bool has_failed() const { return has_failed_; }

 private:
  base::Status Noted(base::Status status) {
    has_failed_ = has_failed_ || !status.ok();
    return status;
  }

  protocol::FileSink& sink_;
  bool has_failed_ = false;
};

// The signature was checked when the package came in, with the key the device had then; the object
// store has kept the bytes since. Here the archive only has to be whole.
class OpenPackage {
 public:
  static base::Result<OpenPackage> Open(store::ObjectStore& objects,
                                        const std::string& object_key) {
    OpenPackage package;
    ASSIGN_OR_RETURN(package.file_, objects.Get(object_key));
    package.source_ = std::make_unique<protocol::FileSource>(*package.file_);
    auto archive = protocol::SignedArchiveReader::Open(
        *package.source_, protocol::ArchiveLimits{.compressed_bytes_max = kPackageBytesMax});
    if (!archive.ok()) return ForGood(archive.error());
    package.archive_ = std::make_unique<protocol::SignedArchiveReader>(std::move(*archive));
    auto manifest = protocol::ParsePackageManifest(package.archive_->manifest_bytes());
    if (!manifest.ok()) return ForGood(manifest.error());
    package.manifest_ = std::move(*manifest);
    return package;
  }
  protocol::PackageManifest& manifest() { return manifest_; }
  base::Status ReadFiles(protocol::FileSink& sink) {
    Watched watched(sink);
    const base::Status read = archive_->ReadFiles(manifest_.files, watched);
    if (read.ok() || watched.has_failed()) return read;
    return ForGood(read.error());
  }

 private:
  OpenPackage() = default;

  std::unique_ptr<base::ReadableFile> file_;
  std::unique_ptr<protocol::FileSource> source_;
  std::unique_ptr<protocol::SignedArchiveReader> archive_;
  protocol::PackageManifest manifest_;
};

Json StepJson(const std::string& step, base::Time at, const std::string& detail) {
  return Json::MakeObject({{"step", step},
                           {"state", "done"},
                           {"at", base::FormatTime(at)},
                           {"detail", detail.empty() ? Json() : Json(detail)}});
}

}  // namespace

std::vector<base::Status> Unpacker::UnpackSome(std::span<const store::Job> jobs) {
  std::vector<base::Status> statuses(jobs.size());
  std::vector<std::pair<std::size_t, Unpacked>> waiting;
  std::uint64_t bytes = 0;
  const auto commit = [&] {
    std::vector<Unpacked*> packages;
    for (auto& [index, unpacked] : waiting) packages.push_back(&unpacked);
    // One that cannot be written must not keep the others out: then each is on its own.
    if (!packages.empty() && !Write(packages).ok()) {
      for (auto& [index, unpacked] : waiting) {
        Unpacked* const alone = &unpacked;
        const base::TraceScope scope(unpacked.job.trace);
        statuses[index] = Write({&alone, 1});
      }
    }
    for (const auto& [index, unpacked] : waiting) {
      if (statuses[index].ok()) {
        Tell(unpacked);
      } else {
        NoteFailure(unpacked.job.key, statuses[index].error().message);
      }
      Leave(unpacked.job.key);
    }
    waiting.clear();
    bytes = 0;
  };
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const base::TraceScope scope(jobs[i].trace);
    Enter(jobs[i].key, "read");
    auto unpacked = Read(jobs[i]);
    if (!unpacked.ok()) {
      statuses[i] = unpacked.error();
      NoteFailure(jobs[i].key, unpacked.error().message);
      Leave(jobs[i].key);
      continue;
    }
    Enter(jobs[i].key, "record");
    bytes += unpacked->bytes;
    waiting.emplace_back(i, std::move(*unpacked));
    if (bytes >= kTogetherBytesMax) commit();
  }
  commit();
  return statuses;
}

// Everything that comes before the rows: the documents are understood, and what lies elsewhere is
// there.
base::Result<Unpacker::Unpacked> Unpacker::Read(const store::Job& job) {
  ASSIGN_OR_RETURN(const auto row, parts_.database.QueryOne(
                                       "SELECT device_id, object_key, received_at FROM packages "
                                       "WHERE package_id = $1",
                                       {job.key}));
  if (!row) return Error{ErrorCode::kNotFound, "no package is called " + job.key};
  Unpacked unpacked{.job = job,
                    .package = {.package_id = job.key,
                                .device_id = row->Text("device_id"),
                                .object_key = row->Text("object_key"),
                                .received_at = row->Time("received_at"),
                                .manifest = {}},
                    .documents = {}};
  Package& package = unpacked.package;
  Documents& documents = unpacked.documents;
  ASSIGN_OR_RETURN(OpenPackage opened, OpenPackage::Open(parts_.objects, package.object_key));
  package.manifest = opened.manifest();
  package.manifest.boot = series::PlainText(package.manifest.boot);
  const protocol::PackageManifest& manifest = package.manifest;

  std::optional<series::LogPartWriter> log;
  series::LogPart part{.device_id = package.device_id,
                       .boot = manifest.boot,
                       .seq = manifest.name.seq,
                       .package_id = package.package_id,
                       .received_at = package.received_at,
                       .object_key = ""};
  if (manifest.type == protocol::kTypeOperationalLogs) {
    RETURN_IF_ERROR(parts_.log_parts.CheckFree(part));
    log.emplace(parts_.objects, series::LogPartKey(part.device_id, part.boot, part.seq));
  }
  Collector sink(manifest, log ? &*log : nullptr);
  RETURN_IF_ERROR(opened.ReadFiles(sink));

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
  RETURN_IF_ERROR(ReadDocument(
      sink, protocol::kSketchesPath,
      [](std::string_view text) { return protocol::ParseSketches(base::AsBytes(text)); },
      documents.sketches));
  if (documents.sketches) documents.sketches_file = *sink.Find(protocol::kSketchesPath);
  if (const std::string* csv = sink.Find(protocol::kRowsPath)) {
    ASSIGN_OR_RETURN(documents.rows, protocol::ParseRowsCsv(*csv));
  }
  if (manifest.type == protocol::kTypePredictionImages) {
    series::PredictionLines lines;
    if (const std::string* text = sink.Find(kPredictionsPath)) {
      ASSIGN_OR_RETURN(lines, series::PredictionLines::Parse(*text));
    }
    for (const protocol::NamedFile& file : manifest.files) {
      if (!file.path.starts_with(kImagesFolder) || !file.path.ends_with(".jpg")) continue;
      series::SampledImage image{.device_id = package.device_id,
                                 .sample_id = file.path,
                                 .label = "",
                                 .at = package.report_origin().at,
                                 .reason = "",
                                 .bundle = manifest.bundle,
                                 .bytes = file.bytes,
                                 .package_id = package.package_id,
                                 .object_key = ""};
      lines.Describe(file.path, image);
      if (!manifest.clock_trusted) image.at = package.received_at;
      documents.images.push_back(std::move(image));
    }
  }
  unpacked.read_at = parts_.clock.Now();
  unpacked.read_said = base::StrCat(manifest.files.size(), " files");
  unpacked.bytes = sink.bytes();

  Enter(job.key, "keep");
  std::map<std::string, std::string> keys;  // By path in the archive.
  RETURN_IF_ERROR(KeepAdaptation(package, documents, keys));
  RETURN_IF_ERROR(NameSamples(unpacked, keys));
  RETURN_IF_ERROR(NameImages(unpacked, keys));
  std::size_t kept = keys.size();
  if (log && !log->is_empty()) {
    RETURN_IF_ERROR(log->Commit(part));
    documents.log_part = std::move(part);
    kept += 1;
  }
  bool is_all_here = true;
  for (const auto& [path, key] : keys) is_all_here = is_all_here && sink.Find(path) != nullptr;
  if (is_all_here) {
    for (const auto& [path, key] : keys) {
      RETURN_IF_ERROR(parts_.objects.PutBytes(key, base::AsBytes(*sink.Find(path))));
    }
  } else {
    MediaSink media(parts_.objects, keys);
    ASSIGN_OR_RETURN(OpenPackage again, OpenPackage::Open(parts_.objects, package.object_key));
    RETURN_IF_ERROR(again.ReadFiles(media));
  }
  unpacked.kept_at = parts_.clock.Now();
  if (kept > 0) unpacked.kept_said = base::StrCat(kept, " objects");
  return unpacked;
}

base::Status Unpacker::Write(std::span<Unpacked* const> packages) {
  return parts_.database.Write([&](Transaction& transaction) -> base::Status {
    const base::Time now = parts_.clock.Now();
    for (const Unpacked* unpacked : packages) {
      RETURN_IF_ERROR(Store(transaction, *unpacked));
      const Json steps(Json::Array{StepJson("read", unpacked->read_at, unpacked->read_said),
                                   StepJson("keep", unpacked->kept_at, unpacked->kept_said),
                                   StepJson("record", now, "")});
      RETURN_IF_ERROR(transaction.Execute(
          "UPDATE packages SET state = 'processed', error = '', processed_at = $2, steps = $3 "
          "WHERE package_id = $1",
          {unpacked->package.package_id, now, steps.Write()}));
      RETURN_IF_ERROR(parts_.queue.Complete(transaction, unpacked->job));
    }
    return {};
  });
}

void Unpacker::Enter(const std::string& package_id, std::string step) {
  const std::lock_guard lock(mutex_);
  steps_[package_id] = std::move(step);
}

void Unpacker::Leave(const std::string& package_id) {
  const std::lock_guard lock(mutex_);
  steps_.erase(package_id);
}

// For people; that it is lost with a crash does no harm.
void Unpacker::NoteFailure(const std::string& package_id, const std::string& reason) {
  Json step = StepJson(StepOf(package_id), parts_.clock.Now(), reason);
  step.Set("state", "failed");
  const auto noted = parts_.database.Execute(
      "UPDATE packages SET steps = $2 WHERE package_id = $1 AND state = 'stored'",
      {package_id, Json(Json::Array{std::move(step)}).Write()});
  (void)noted.ok();
}

std::string Unpacker::StepOf(const std::string& package_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = steps_.find(package_id);
  return found == steps_.end() ? "" : found->second;
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
      ASSIGN_OR_RETURN(const bool is_there, parts_.objects.Exists(adaptation::BytesKey(
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

// Where pictures, rows and features of samples are looked for. Those of an event lie with it, those
// asked for later with the device.
base::Status Unpacker::NameSamples(Unpacked& unpacked, std::map<std::string, std::string>& keys) {
  const Package& package = unpacked.package;
  Documents& documents = unpacked.documents;
  if (!documents.samples) return {};
  const protocol::SampleSet& set = *documents.samples;
  std::string event_folder;
  if (documents.event && set.event_id == documents.event->event_id) {
    event_folder = base::StrCat(store::kDriftBucket, "/", package.device_id, "/",
                                store::TextKeyPart(documents.event->kind), "/",
                                store::DayKeyPart(package.report_origin().at), "/",
                                store::IdKeyPart(documents.event->event_id), "/");
    if (BytesOf(package.manifest, protocol::kRowsPath) > 0) {
      keys[std::string(protocol::kRowsPath)] = base::StrCat(event_folder, protocol::kRowsPath);
    }
  }
  std::string features;
  if (set.event_id && BytesOf(package.manifest, protocol::kFeaturesPath) > 0) {
    // Those of the event itself are never overwritten by what was asked for later.
    const std::string later =
        event_folder.empty() ? base::StrCat(".", package.manifest.name.seq) : std::string();
    features = base::StrCat(store::kDriftFeaturesBucket, "/", package.device_id, "/",
                            store::IdKeyPart(*set.event_id), later, ".safetensors");
    keys[std::string(protocol::kFeaturesPath)] = features;
  }
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
      sample.object_key =
          event_folder.empty()
              ? base::StrCat(store::kDriftSamplesBucket, "/", package.device_id, "/",
                             store::IdKeyPart(record.sample_id), ".jpg")
              : event_folder +
                    store::TextKeyPart(std::string_view(record.media).substr(kImagesFolder.size()));
      keys[record.media] = sample.object_key;
    } else if (const auto line = record.csv_row()) {
      if (*line >= documents.rows.size()) {
        return Error{ErrorCode::kInvalidArgument,
                     base::StrCat("samples.json: ", record.media, " is not in rows.csv")};
      }
      sample.row = documents.rows[*line];
    }
    if (record.feature_row && !features.empty()) {
      sample.feature = base::StrCat(features, "#", *record.feature_row);
    }
    documents.stored_samples.push_back(std::move(sample));
  }
  return {};
}

base::Status Unpacker::NameImages(Unpacked& unpacked, std::map<std::string, std::string>& keys) {
  for (series::SampledImage& image : unpacked.documents.images) {
    const std::string path = image.sample_id;
    std::string id = path.substr(kImagesFolder.size());
    id.resize(id.size() - std::string_view(".jpg").size());
    std::replace(id.begin(), id.end(), '/', ':');
    // The package's number in it: a device that lost its count counts inferences anew.
    image.sample_id = base::StrCat(id, "-", unpacked.package.manifest.name.seq);
    image.object_key = series::ImageKey(image);
    keys[path] = image.object_key;
  }
  return {};
}

base::Status Unpacker::Store(Transaction& transaction, const Unpacked& unpacked) {
  const Package& package = unpacked.package;
  const Documents& documents = unpacked.documents;
  const drifthub::Origin origin{.device_id = package.device_id,
                                .package_id = package.package_id,
                                .bundle = package.manifest.bundle,
                                .received_at = package.received_at,
                                .answers_request = package.manifest.type == protocol::kTypeSamples};
  const fleet::ReportOrigin report_origin = package.report_origin();
  if (documents.event) {
    RETURN_IF_ERROR(parts_.hub.TakeEvent(transaction, origin, *documents.event));
    RETURN_IF_ERROR(fleet::TakeDriftSign(transaction, report_origin));
  }
  if (documents.samples) {
    RETURN_IF_ERROR(
        parts_.hub.TakeSamples(transaction, origin, *documents.samples, documents.stored_samples));
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
          parts_.rollouts.TakeReport(transaction, package.device_id, *documents.update_report));
    }
  }
  if (documents.adaptation) {
    RETURN_IF_ERROR(fleet::TakeAdaptation(transaction, report_origin, *documents.adaptation));
    RETURN_IF_ERROR(
        parts_.feedbacks.TakeOutcome(transaction, package.device_id, *documents.adaptation));
    RETURN_IF_ERROR(parts_.adaptations.Take(transaction,
                                            {.device_id = package.device_id,
                                             .package_id = package.package_id,
                                             .bundle = package.manifest.bundle,
                                             .seq = package.manifest.name.seq,
                                             .received_at = package.received_at,
                                             .has_bytes = documents.has_adaptation_bytes},
                                            *documents.adaptation));
  }
  if (documents.learned) {
    RETURN_IF_ERROR(parts_.learned_versions.Take(
        transaction,
        {.device_id = package.device_id,
         .package_id = package.package_id,
         .received_at = package.received_at,
         .object_key =
             adaptation::BytesKey(package.device_id, documents.learned->adaptation_sha256),
         .bytes = BytesOf(package.manifest, protocol::kAdaptationBytesPath)},
        *documents.learned));
  }
  if (documents.sketches) {
    RETURN_IF_ERROR(series::SketchBook::Take(transaction,
                                             {.device_id = package.device_id,
                                              .epoch = package.manifest.name.epoch,
                                              .seq = package.manifest.name.seq,
                                              .package_id = package.package_id,
                                              .at = report_origin.at},
                                             *documents.sketches,
                                             base::AsBytes(documents.sketches_file)));
  }
  if (documents.log_part) {
    RETURN_IF_ERROR(series::LogParts::Take(transaction, *documents.log_part));
  }
  RETURN_IF_ERROR(series::ImageIndex::Take(transaction, documents.images));
  const bool is_understood = documents.event || documents.samples || documents.metrics ||
                             documents.update_report || documents.adaptation || documents.learned ||
                             documents.sketches || documents.log_part || !documents.images.empty();
  if (is_understood) return {};
  return fleet::Note(transaction,
                     {.at = package.received_at,
                      .device_id = package.device_id,
                      .kind = "package",
                      .text = base::StrCat("sent a package of type ", package.manifest.type),
                      .ref = package.package_id});
}

// After the commit, never before: a dashboard that asks again must find what it was told of.
void Unpacker::Tell(const Unpacked& unpacked) {
  const Package& package = unpacked.package;
  const Documents& documents = unpacked.documents;
  if (documents.metrics && measured_) measured_(package.device_id, *documents.metrics);
  const auto publish = [&](const char* name, const std::string& id) {
    parts_.events.Publish(name, Json::MakeObject({{"id", id}}));
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
      "j.job_key WHERE j.kind IN ($1, $2) AND j.state = 'set_aside' AND p.state = 'stored' LIMIT "
      "100";
  // Looking costs no flush; there is hardly ever anything to mark.
  ASSIGN_OR_RETURN(const auto seen,
                   parts_.database.QueryOne(kUnmarked, {kUnpackJob, kLegacyUnpackJob}));
  if (!seen) return {};
  std::vector<std::string> marked;
  const base::Status written = parts_.database.Write([&](Transaction& transaction) -> base::Status {
    marked.clear();
    ASSIGN_OR_RETURN(const store::Rows rows,
                     transaction.Query(kUnmarked, {kUnpackJob, kLegacyUnpackJob}));
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
    parts_.events.Publish("package", Json::MakeObject({{"id", package_id}}));
  }
  return {};
}

base::Status Unpacker::Retry(const std::string& package_id, base::Time now) {
  ASSIGN_OR_RETURN(const auto job,
                   parts_.database.QueryOne("SELECT job_id, state FROM jobs WHERE kind IN ($1, $2) "
                                            "AND job_key = $3",
                                            {kUnpackJob, kLegacyUnpackJob, package_id}));
  if (!job) return Error{ErrorCode::kNotFound, "no package is called " + package_id};
  if (job->Text("state") != "set_aside") {
    return Error{ErrorCode::kConflict, "package " + package_id + " was not set aside"};
  }
  // In this order: a job that is set aside while its package is `stored` would be marked again.
  RETURN_IF_ERROR(parts_.queue.Redrive(job->Int("job_id"), now));
  RETURN_IF_ERROR(
      parts_.database.Execute("UPDATE packages SET state = 'stored', error = '' "
                              "WHERE package_id = $1 AND state = 'failed'",
                              {package_id}));
  return {};
}

base::Result<std::int64_t> Unpacker::RetryAll(const std::string& device_id, const std::string& by,
                                              base::Time now) {
  constexpr std::size_t kTogether = 500;
  std::int64_t retried = 0;
  for (;;) {
    std::size_t seen = 0;
    const base::Status written =
        parts_.database.Write([&](Transaction& transaction) -> base::Status {
          // A job and its package change together, so that MarkSetAside finds nothing to mark.
          ASSIGN_OR_RETURN(
              const store::Rows rows,
              transaction.Query("SELECT j.job_id, j.job_key FROM jobs j JOIN packages p ON "
                                "p.package_id = j.job_key WHERE j.kind IN ($1, $2) AND "
                                "j.state = 'set_aside' AND ($3 = '' OR p.device_id = $3) "
                                "ORDER BY j.job_id LIMIT $4",
                                {kUnpackJob, kLegacyUnpackJob, device_id, kTogether}));
          seen = rows.size();
          for (const store::Row& row : rows) {
            RETURN_IF_ERROR(transaction.Execute(
                "UPDATE jobs SET state = 'waiting', attempts = 0, due_at = $2 WHERE job_id = $1",
                {row.Int("job_id"), now}));
            RETURN_IF_ERROR(transaction.Execute(
                "UPDATE packages SET state = 'stored', error = '' WHERE package_id = $1",
                {row.Text("job_key")}));
          }
          if (seen == 0) return {};
          return access::WriteAudit(transaction, {.at = now,
                                                  .who = by,
                                                  .action = "package.retry",
                                                  .subject = device_id.empty() ? "*" : device_id,
                                                  .detail = base::StrCat(seen, " packages")});
        });
    if (!written.ok()) return written.error();
    retried += static_cast<std::int64_t>(seen);
    if (seen < kTogether) return retried;
  }
}

}  // namespace tinysphere::ingest
