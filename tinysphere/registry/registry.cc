#include "tinysphere/registry/registry.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/text.h"
#include "protocol/archive.h"
#include "protocol/bundle.h"
#include "protocol/identifiers.h"
#include "protocol/safetensors.h"
#include "protocol/signed_archive.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/access/enroll_tokens.h"
#include "tinysphere/http/page.h"
#include "tinysphere/store/conditions.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::registry {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

constexpr std::uint64_t kReferenceBytesMax = 64u << 20;

// Lets every file pass (the archive reader has compared its digest) and keeps the reference.
class ReferenceSink final : public protocol::FileSink {
 public:
  base::Status Begin(const protocol::NamedFile& file) override {
    is_reference_ = file.role == protocol::kRoleReference && file.bytes <= kReferenceBytesMax;
    return {};
  }
  base::Status Append(base::ByteView bytes) override {
    if (is_reference_) reference_.insert(reference_.end(), bytes.begin(), bytes.end());
    return {};
  }
  base::Status End() override { return {}; }

  const base::Bytes& reference() const { return reference_; }

 private:
  bool is_reference_ = false;
  base::Bytes reference_;
};

// What a row looked like when the bundle was fitted, for people who label rows; null for images.
Json ReferenceRow(const protocol::BundleManifest& manifest, const base::Bytes& reference) {
  if (manifest.input.kind != protocol::BundleInput::Kind::kRow) return {};
  const auto tensors = protocol::Safetensors::Parse(reference);
  if (!tensors.ok()) return {};
  const auto mean = tensors->Values<float>("channel_mean");
  const auto sd = tensors->Values<float>("channel_sd");
  if (!mean.ok() || !sd.ok() || mean->size() != sd->size()) return {};
  // JSON has no infinity; a signed bundle that holds one only loses this picture of a usual row.
  const auto is_finite = [](float value) { return std::isfinite(value); };
  if (!std::all_of(mean->begin(), mean->end(), is_finite) ||
      !std::all_of(sd->begin(), sd->end(), is_finite)) {
    return {};
  }
  Json::Array means;
  Json::Array sds;
  for (const float value : *mean) means.emplace_back(static_cast<double>(value));
  for (const float value : *sd) sds.emplace_back(static_cast<double>(value));
  return Json::MakeObject({{"row_mean", std::move(means)}, {"row_sd", std::move(sds)}});
}

constexpr std::string_view kHowToSign =
    "; sign it with: tinylcm bundle make DIR --key PUBLISHER.key --out FILE.tar.zst";

// Which of the publishers we know signed it.
base::Result<base::Ed25519PublicKey> FindSigner(
    const protocol::SignedArchiveReader& archive,
    const std::vector<base::Ed25519PublicKey>& publishers) {
  std::string known;
  for (const base::Ed25519PublicKey& key : publishers) {
    if (archive.Verify(protocol::kBundleSignaturePrefix, key).ok()) return key;
    known += (known.empty() ? "" : ", ") + base::Fingerprint(key);
  }
  return Error{ErrorCode::kPermissionDenied,
               base::StrCat("bundle: manifest.sig is not by a publisher whom this server knows (",
                            known, ")", kHowToSign)};
}

// A bundle that was read from its first byte to its last, and is what its publisher signed.
struct Checked {
  protocol::BundleManifest manifest;
  std::string manifest_text;
  std::string bundle;
  std::string publisher;
  Json reference;
};

base::Result<Checked> Check(const base::ReadableFile& file,
                            const std::vector<base::Ed25519PublicKey>& publishers) {
  protocol::FileSource source(file);
  auto archive = protocol::SignedArchiveReader::Open(source, protocol::kBundleLimits);
  if (!archive.ok()) {
    const Error error = archive.error().Within("bundle");
    // What has no signature is most often simply not signed yet; then the command helps.
    const bool is_unsigned = error.message.find(protocol::kSignaturePath) != std::string::npos;
    return is_unsigned
               ? Error{ErrorCode::kPermissionDenied,
                       base::StrCat("bundle: unsigned (", archive.error().message, ")", kHowToSign)}
               : error;
  }
  ASSIGN_OR_RETURN(const base::Ed25519PublicKey publisher, FindSigner(*archive, publishers));
  Checked checked;
  ASSIGN_OR_RETURN(checked.manifest, protocol::ParseBundleManifest(archive->manifest_bytes()));
  ReferenceSink sink;
  const base::Status files = archive->ReadFiles(checked.manifest.files, sink);
  if (!files.ok()) return files.error().Within("bundle");
  checked.manifest_text = std::string(base::AsText(archive->manifest_bytes()));
  checked.bundle = protocol::BundleIdOf(archive->manifest_bytes());
  checked.publisher = base::Fingerprint(publisher);
  checked.reference = ReferenceRow(checked.manifest, sink.reference());
  return checked;
}

constexpr std::string_view kSelectVersion =
    "SELECT v.name, v.version, v.bundle, v.archive_sha256, v.stage, v.created_at, b.bytes, "
    "b.publisher, b.manifest, (SELECT COUNT(*) FROM devices d WHERE d.bundle = v.bundle AND "
    "d.state = 'active') AS running_on FROM model_versions v "
    "JOIN bundles b ON b.bundle = v.bundle ";

Json FieldOr(const Json& document, std::string_view key, Json otherwise) {
  const Json* field = document.Find(key);
  return field == nullptr ? std::move(otherwise) : *field;
}

Json VersionJson(const Row& row) {
  const Json manifest = row.Document("manifest");
  const Json lineage = FieldOr(manifest, "lineage", Json::MakeObject());
  return Json::MakeObject(
      {{"name", row.Text("name")},
       {"version", row.Text("version")},
       {"bundle", row.Text("bundle")},
       {"archive_sha256", row.Text("archive_sha256")},
       {"bytes", row.Int("bytes")},
       {"signed", true},
       {"publisher", row.Text("publisher")},
       {"created_at", base::FormatTime(row.Time("created_at"))},
       {"stage", row.Text("stage")},
       {"running_on", row.Int("running_on")},
       {"labels", FieldOr(manifest, "labels", Json::MakeArray())},
       {"lineage",
        Json::MakeObject({{"parent", FieldOr(lineage, "parent", Json())},
                          {"data", FieldOr(lineage, "data", Json())},
                          {"taught_by", FieldOr(lineage, "taught_by", Json::MakeArray())}})}});
}

// SHA-256 of what a device learned and the bundle brings along; "" if there is nothing.
std::string TaughtBy(const protocol::BundleManifest& manifest) {
  for (const protocol::NamedFile& file : manifest.files) {
    if (file.role == protocol::kRoleAdaptation) return file.sha256;
  }
  return "";
}

// The version's rows; true if they are new.
base::Result<bool> Insert(Transaction& transaction, const Checked& checked,
                          const std::string& archive_sha256, std::uint64_t bytes,
                          const std::string& key, const std::string& by, base::Time now) {
  const protocol::BundleManifest& manifest = checked.manifest;
  ASSIGN_OR_RETURN(const auto standing,
                   transaction.QueryOne("SELECT bundle FROM model_versions WHERE name = $1 AND "
                                        "version = $2",
                                        {manifest.name, manifest.version}));
  if (standing) {
    if (standing->Text("bundle") == checked.bundle) return false;
    return Error{ErrorCode::kConflict,
                 base::StrCat("bundle: ", manifest.name, " ", manifest.version,
                              " is another bundle already (", standing->Text("bundle"),
                              "); give this one another version")};
  }
  ASSIGN_OR_RETURN(
      const auto model,
      transaction.QueryOne("SELECT model_family FROM models WHERE name = $1", {manifest.name}));
  if (model && model->Text("model_family") != manifest.model_family) {
    return Error{ErrorCode::kConflict,
                 base::StrCat("bundle: the model ", manifest.name, " is of family ",
                              model->Text("model_family"), ", not ", manifest.model_family)};
  }
  const auto model_added = transaction.Execute(
      "INSERT INTO models (name, model_family, created_at) VALUES ($1, $2, $3) "
      "ON CONFLICT (name) DO NOTHING",
      {manifest.name, manifest.model_family, now});
  if (!model_added.ok()) return model_added.error();
  const std::string reference = checked.reference.is_null() ? "" : checked.reference.Write();
  const auto bundle_added = transaction.Execute(
      "INSERT INTO bundles (bundle, archive_sha256, bytes, object_key, publisher, manifest, "
      "reference, created_at, taught) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
      "ON CONFLICT (bundle) DO NOTHING",
      {checked.bundle, archive_sha256, bytes, key, checked.publisher, checked.manifest_text,
       reference.empty() ? store::Value() : store::Value(reference), now, TaughtBy(manifest)});
  if (!bundle_added.ok()) return bundle_added.error();
  const auto version_added = transaction.Execute(
      "INSERT INTO model_versions (name, version, bundle, archive_sha256, stage, created_at, "
      "created_by) VALUES ($1, $2, $3, $4, 'staging', $5, $6)",
      {manifest.name, manifest.version, checked.bundle, archive_sha256, now, by});
  if (!version_added.ok()) return version_added.error();
  // Devices that said they run it, before anybody here knew what it was.
  const auto named = transaction.Execute(
      "UPDATE devices SET model_name = $2, model_version = $3, model_family = $4 "
      "WHERE bundle = $1",
      {checked.bundle, manifest.name, manifest.version, manifest.model_family});
  if (!named.ok()) return named.error();
  RETURN_IF_ERROR(access::WriteAudit(transaction,
                                     {.at = now,
                                      .who = by,
                                      .action = "model.add",
                                      .subject = base::StrCat(manifest.name, " ", manifest.version),
                                      .detail = checked.bundle}));
  return true;
}

}  // namespace

base::Result<Registered> Registry::Add(const std::string& path, const std::string& by) {
  ASSIGN_OR_RETURN(const auto publishers, access::PublisherKeys(database_));
  if (publishers.empty()) {
    return Error{ErrorCode::kPermissionDenied,
                 "bundle: no publisher is known here yet; say who may sign with: tinysphere token "
                 "create --kind enroll --publisher-key PUBLISHER.pub"};
  }
  std::optional<Checked> checked;
  std::string archive_sha256;
  std::uint64_t bytes = 0;
  {
    ASSIGN_OR_RETURN(const auto file, fs_.Open(path));
    bytes = file->size();
    ASSIGN_OR_RETURN(checked, Check(*file, publishers));
    ASSIGN_OR_RETURN(const base::Sha256Digest digest, base::Sha256OfFile(*file));
    archive_sha256 = base::HexEncode(digest);
  }
  const protocol::BundleManifest& manifest = checked->manifest;
  const std::string key = base::StrCat(store::kBundlesBucket, "/sha256/", archive_sha256);
  ASSIGN_OR_RETURN(const auto standing,
                   database_.QueryOne("SELECT bundle FROM model_versions WHERE name = $1 AND "
                                      "version = $2",
                                      {manifest.name, manifest.version}));
  // A version that stands keeps the archive it came with, even if the same bundle was packed anew.
  if (!standing) RETURN_IF_ERROR(objects_.Adopt(key, path));
  const base::Time now = clock_.Now();
  ASSIGN_OR_RETURN(
      const bool is_new, database_.Write([&](Transaction& transaction) -> base::Result<bool> {
        ASSIGN_OR_RETURN(const bool inserted,
                         Insert(transaction, *checked, archive_sha256, bytes, key, by, now));
        if (inserted && added_) RETURN_IF_ERROR(added_(transaction, checked->bundle));
        return inserted;
      }));
  if (is_new) events_.Publish("overview", Json::MakeObject({{"id", checked->bundle}}));
  ASSIGN_OR_RETURN(Json version, Version(manifest.name, manifest.version));
  return Registered{.version = std::move(version), .is_new = is_new};
}

base::Result<Json> Registry::Version(const std::string& name, const std::string& version) {
  ASSIGN_OR_RETURN(const auto row, database_.QueryOne(std::string(kSelectVersion) +
                                                          "WHERE v.name = $1 AND v.version = $2",
                                                      {name, version}));
  if (!row) return Error{ErrorCode::kNotFound, base::StrCat("no version ", version, " of ", name)};
  return VersionJson(*row);
}

base::Result<Json> Registry::List(const http::Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    ASSIGN_OR_RETURN(const Rows models,
                     transaction.Query("SELECT name, model_family FROM models WHERE name > $1 "
                                       "ORDER BY name LIMIT $2",
                                       {cursor ? cursor->text : "", limit + 1}));
    std::vector<std::string> names;
    for (const Row& model : models) names.push_back(model.Text("name"));
    store::Conditions where;
    where.AddIn("v.name", names);
    ASSIGN_OR_RETURN(const Rows rows,
                     transaction.Query(base::StrCat(kSelectVersion, where.sql(),
                                                    " ORDER BY v.created_at DESC, v.version DESC"),
                                       where.params()));
    std::map<std::string, Json::Array> versions;
    for (const Row& row : rows) versions[row.Text("name")].push_back(VersionJson(row));
    std::vector<std::pair<std::string, Json>> items;
    for (const Row& model : models) {
      const std::string name = model.Text("name");
      items.emplace_back(name, Json::MakeObject({{"name", name},
                                                 {"model_family", model.Text("model_family")},
                                                 {"versions", std::move(versions[name])}}));
    }
    return http::MakePage(
        std::move(items), limit, [](const auto& item) { return item.second; },
        [](const auto& item) { return http::Cursor{.number = 0, .text = item.first}; });
  });
}

base::Result<Json> Registry::SetStage(const std::string& name, const std::string& version,
                                      const std::string& stage, const std::string& by) {
  if (stage != "staging" && stage != "production" && stage != "archived") {
    return Error{ErrorCode::kInvalidArgument, "stage: staging, production or archived"};
  }
  const base::Time now = clock_.Now();
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const std::int64_t changed,
                     transaction.Execute("UPDATE model_versions SET stage = $3 WHERE name = $1 "
                                         "AND version = $2",
                                         {name, version, stage}));
    if (changed == 0) {
      return Error{ErrorCode::kNotFound, base::StrCat("no version ", version, " of ", name)};
    }
    if (staged_) RETURN_IF_ERROR(staged_(transaction, name, version, stage));
    return access::WriteAudit(transaction, {.at = now,
                                            .who = by,
                                            .action = "model.stage",
                                            .subject = base::StrCat(name, " ", version),
                                            .detail = stage});
  });
  if (!written.ok()) return written.error();
  return Version(name, version);
}

base::Result<http::Response> Registry::Artifact(const http::Request& request,
                                                const std::string& sha256) {
  if (!protocol::IsSha256Hex(sha256)) {
    return Error{ErrorCode::kInvalidArgument, "artifact: 64 lower-case hex digits are wanted"};
  }
  ASSIGN_OR_RETURN(
      const auto row,
      database_.QueryOne("SELECT object_key FROM bundles WHERE archive_sha256 = $1", {sha256}));
  std::string key = row ? row->Text("object_key") : "";
  // What one device learned is no other device's business before a publisher signed it.
  if (!row && !request.identity.is_device()) {
    ASSIGN_OR_RETURN(const auto learned,
                     database_.QueryOne("SELECT object_key FROM learned_versions WHERE "
                                        "adaptation_sha256 = $1 LIMIT 1",
                                        {sha256}));
    if (learned) key = learned->Text("object_key");
  }
  if (key.empty()) return Error{ErrorCode::kNotFound, "no artifact has the SHA-256 " + sha256};
  ASSIGN_OR_RETURN(auto file, objects_.Get(key));
  return http::Response::File(request, std::shared_ptr<const base::ReadableFile>(std::move(file)),
                              row ? "application/zstd" : "application/octet-stream", sha256,
                              /*is_immutable=*/true);
}

}  // namespace tinysphere::registry
