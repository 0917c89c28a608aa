#include "agent/upload.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/text.h"
#include "protocol/archive.h"
#include "protocol/bundle.h"

namespace agent {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::StrCat;

namespace {

constexpr std::uint64_t kFileBytesMax = 256u << 20;
constexpr std::size_t kFilesMax = 200'000;

// Every file below `folder`, by path, with its digest.
base::Status AddFiles(base::FileSystem& fs, const std::string& folder, const std::string& below,
                      Json::Array& files) {
  ASSIGN_OR_RETURN(const auto entries, fs.List(base::JoinPath(folder, below)));
  for (const base::FileInfo& entry : entries) {
    const std::string path = below.empty() ? entry.name : base::JoinPath(below, entry.name);
    if (entry.is_directory) {
      RETURN_IF_ERROR(AddFiles(fs, folder, path, files));
      continue;
    }
    if (files.size() >= kFilesMax) {
      return Error{ErrorCode::kExhausted, StrCat(folder, ": more than ", kFilesMax, " files")};
    }
    ASSIGN_OR_RETURN(const auto file, fs.Open(base::JoinPath(folder, path)));
    ASSIGN_OR_RETURN(const base::Sha256Digest digest, base::Sha256OfFile(*file));
    files.push_back(Json::MakeObject(
        {{"path", path}, {"bytes", file->size()}, {"sha256", base::HexEncode(digest)}}));
  }
  return {};
}

// Of the path; where it lies on the trainer's machine is nobody's business.
std::string LastPart(std::string path) {
  while (path.ends_with('/')) path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

// How many pictures a class; nothing for rows, whose labels are a column.
Json ClassesOf(const Json::Array& files) {
  Json classes = Json::MakeObject();
  for (const Json& file : files) {
    const std::string& path = file.Find("path")->as_string();
    const std::size_t slash = path.find('/');
    if (slash == std::string::npos) continue;
    const std::string label = path.substr(0, slash);
    const Json* before = classes.Find(label);
    classes.Set(label, (before == nullptr ? 0 : before->as_int()) + 1);
  }
  return classes;
}

Json ParamsOf(const tinylcm::model::RunFitOptions& options) {
  const auto& fit = options.fit;
  const auto text = [](const auto& value) { return Json(StrCat(value)); };
  Json params = Json::MakeObject({{"seed", text(fit.seed)},
                                  {"k", text(fit.k)},
                                  {"project", text(fit.project)},
                                  {"standardise", fit.standardise ? "true" : "false"},
                                  {"anchors_per_class", text(fit.anchors_per_class)},
                                  {"canary_fraction", text(fit.canary_fraction)},
                                  {"held_out_fraction", text(fit.held_out_fraction)},
                                  {"knn_scan", fit.knn_scan}});
  if (!options.images.empty()) params.Set("resize", options.resize);
  if (!options.label_column.empty()) params.Set("label_column", options.label_column);
  return params;
}

Json MetricsOf(const tinylcm::model::FitReport& report) {
  const auto count = [](std::size_t value) { return Json(static_cast<std::int64_t>(value)); };
  return Json::MakeObject({{"accuracy", report.held_out_accuracy},
                           {"leave_one_out_accuracy", report.leave_one_out_accuracy},
                           {"canary_accuracy", report.canary_accuracy},
                           {"ece", report.ece},
                           {"samples", count(report.samples)},
                           {"skipped", count(report.skipped)},
                           {"anchors", count(report.anchors)},
                           {"held_out", count(report.held_out)},
                           {"canary", count(report.canary)},
                           {"dims", count(report.dims)}});
}

}  // namespace

base::Result<base::Bytes> MakeTraining(const tinylcm::model::RunFitOptions& options,
                                       const tinylcm::model::FitReport& report,
                                       base::FileSystem& fs) {
  ASSIGN_OR_RETURN(
      const base::Bytes manifest_text,
      base::ReadFile(fs, base::JoinPath(options.out, protocol::kManifestPath), 1u << 20));
  ASSIGN_OR_RETURN(const protocol::BundleManifest manifest,
                   protocol::ParseBundleManifest(manifest_text));
  Json::Array files;
  const std::string data = options.images.empty() ? options.rows : options.images;
  if (!options.images.empty()) {
    RETURN_IF_ERROR(AddFiles(fs, options.images, "", files));
  } else if (!options.rows.empty()) {
    ASSIGN_OR_RETURN(const auto file, fs.Open(options.rows));
    ASSIGN_OR_RETURN(const base::Sha256Digest digest, base::Sha256OfFile(*file));
    files.push_back(Json::MakeObject({{"path", LastPart(options.rows)},
                                      {"bytes", file->size()},
                                      {"sha256", base::HexEncode(digest)}}));
  }
  Json dataset;
  if (manifest.lineage.data && !files.empty()) {
    std::int64_t bytes = 0;
    for (const Json& file : files) bytes += file.Find("bytes")->as_int();
    dataset = Json::MakeObject({{"name", manifest.model_family},
                                {"sha256", *manifest.lineage.data},
                                {"source", LastPart(data)},
                                {"files", files.size()},
                                {"bytes", bytes},
                                {"classes", ClassesOf(files)}});
  }
  const Json training = Json::MakeObject({{"format", "tinylcm-training/1"},
                                          {"name", manifest.name},
                                          {"version", manifest.version},
                                          {"model_family", manifest.model_family},
                                          {"bundle", protocol::BundleIdOf(manifest_text)},
                                          {"params", ParamsOf(options)},
                                          {"metrics", MetricsOf(report)},
                                          {"dataset", dataset}});
  std::vector<protocol::ArchiveFile> entries;
  entries.push_back({"training.json", base::ToBytes(training.WritePretty())});
  const Json list =
      Json::MakeObject({{"format", "tinylcm-dataset/1"}, {"files", std::move(files)}});
  entries.push_back({"dataset.json", base::ToBytes(list.Write())});
  entries.push_back({"bundle/manifest.json", manifest_text});
  for (const protocol::NamedFile& file : manifest.files) {
    ASSIGN_OR_RETURN(base::Bytes bytes,
                     base::ReadFile(fs, base::JoinPath(options.out, file.path), kFileBytesMax));
    entries.push_back({"bundle/" + file.path, std::move(bytes)});
  }
  return protocol::WriteArchive(protocol::ArchiveFormat::kTarZst, entries);
}

base::Result<Json> SendTraining(tinylcm::sync::Transport& transport, const std::string& token,
                                base::ByteView archive) {
  const tinylcm::sync::MemoryBody body(archive);
  tinylcm::sync::HttpRequest request;
  request.method = "POST";
  request.path = "/api/v1/trainings";
  request.headers = {{"authorization", "Bearer " + token},
                     {"content-type", "application/zstd"},
                     {"accept", "application/json"}};
  request.body = &body;
  request.timeout = std::chrono::minutes(10);
  ASSIGN_OR_RETURN(const auto answer, transport.Do(request));
  const auto parsed = Json::Parse(answer.body);
  if (answer.status == 200 || answer.status == 201) {
    if (!parsed.ok()) return parsed.error().Within("upload: the server's answer");
    return parsed;
  }
  std::string said;
  if (parsed.ok()) {
    const Json* error = parsed->Find("error");
    const Json* message = error == nullptr ? nullptr : error->Find("message");
    if (message != nullptr && message->is_string()) said = ": " + message->as_string();
  }
  const bool is_refused = answer.status == 401 || answer.status == 403;
  return Error{is_refused             ? ErrorCode::kPermissionDenied
               : answer.status >= 500 ? ErrorCode::kUnavailable
                                      : ErrorCode::kInvalidArgument,
               StrCat("upload: the server answered ", answer.status, said,
                      is_refused ? "; an operator's API token is wanted (tinysphere token create "
                                   "--kind api --role operator)"
                                 : "")};
}

base::Result<Json> Upload(const UploadOptions& upload, const tinylcm::model::RunFitOptions& options,
                          const tinylcm::model::FitReport& report, base::FileSystem& fs) {
  if (upload.token_file.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--upload: --token-file FILE is wanted, too"};
  }
  ASSIGN_OR_RETURN(const std::string text, base::ReadTextFile(fs, upload.token_file, 4096));
  const std::string token(base::Trim(text.substr(0, text.find('\n'))));
  if (token.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--token-file " + upload.token_file + ": empty"};
  }
  ASSIGN_OR_RETURN(
      const auto transport,
      tinylcm::sync::MakeCurlTransport(
          {.server = upload.server, .tls_pin = upload.tls_pin, .ca_file = upload.ca_file}));
  ASSIGN_OR_RETURN(const base::Bytes archive, MakeTraining(options, report, fs));
  return SendTraining(*transport, token, archive);
}

}  // namespace agent
