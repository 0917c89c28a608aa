#include "tinylcm/model/bundle_verbs.h"

#include <optional>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "tinylcm/model/archive.h"
#include "tinylcm/model/bundle.h"

namespace tinylcm::model {

using base::Error;
using base::ErrorCode;
using base::Json;

namespace {

constexpr std::uint64_t kKeyFileBytesMax = 4096;

base::Result<base::Ed25519Key> ReadPrivateKey(base::FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, base::ReadTextFile(fs, path, kKeyFileBytesMax));
  auto key = base::ParsePrivateKeyText(text);
  if (!key.ok()) return key.error().Within(path);
  return key;
}

base::Result<base::Ed25519PublicKey> ReadPublicKey(base::FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, base::ReadTextFile(fs, path, kKeyFileBytesMax));
  auto key = base::ParsePublicKeyText(text);
  if (!key.ok()) return key.error().Within(path);
  return key;
}

base::Result<bool> IsFolder(base::FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(const base::FileInfo info, fs.Stat(path));
  return info.is_directory;
}

Json ManifestJson(const protocol::BundleManifest& manifest) {
  Json files = Json::MakeArray();
  for (const protocol::NamedFile& file : manifest.files) {
    files.Append(Json::MakeObject({{"path", file.path},
                                   {"role", file.role},
                                   {"bytes", file.bytes},
                                   {"sha256", file.sha256}}));
  }
  Json labels = Json::MakeArray();
  for (const std::string& label : manifest.labels) labels.Append(label);
  Json taught_by = Json::MakeArray();
  for (const std::string& device : manifest.lineage.taught_by) taught_by.Append(device);
  return Json::MakeObject(
      {{"name", manifest.name},
       {"version", manifest.version},
       {"parent", manifest.lineage.parent ? Json(*manifest.lineage.parent) : Json()},
       {"taught_by", std::move(taught_by)},
       {"model_family", manifest.model_family},
       {"labels", std::move(labels)},
       {"files", std::move(files)}});
}

Json ArchiveJson(const ArchiveInfo& info) {
  Json json = ManifestJson(info.manifest);
  json.Set("bundle", info.bundle);
  json.Set("archive_sha256", info.archive_sha256);
  json.Set("bytes", info.bytes);
  json.Set("signed", info.is_signed);
  return json;
}

// A folder's signature is checked as an archive's is.
base::Status VerifyFolderSignature(base::FileSystem& fs, const std::string& folder,
                                   const base::Ed25519PublicKey& key) {
  const std::string path = base::JoinPath(folder, protocol::kSignaturePath);
  if (!base::Exists(fs, path)) {
    return Error{ErrorCode::kPermissionDenied, folder + ": not signed"};
  }
  ASSIGN_OR_RETURN(const base::Bytes signature, base::ReadFile(fs, path, kKeyFileBytesMax));
  ASSIGN_OR_RETURN(const base::Bytes manifest,
                   base::ReadFile(fs, base::JoinPath(folder, protocol::kManifestPath),
                                  protocol::kManifestBytesMax));
  base::Bytes message = base::ToBytes(protocol::kBundleSignaturePrefix);
  message.insert(message.end(), manifest.begin(), manifest.end());
  if (!base::VerifyEd25519(key, message, signature)) {
    return Error{ErrorCode::kPermissionDenied,
                 base::StrCat(folder, ": signed by another key than ", base::Fingerprint(key),
                              ", or changed since")};
  }
  return {};
}

}  // namespace

base::Result<Json> BundleMake(base::FileSystem& fs, const BundleMakeOptions& options) {
  std::optional<base::Ed25519Key> key;
  if (!options.key_file.empty()) {
    ASSIGN_OR_RETURN(key, ReadPrivateKey(fs, options.key_file));
  }
  ASSIGN_OR_RETURN(const ArchiveInfo info,
                   MakeArchive(fs, options.folder, key ? &*key : nullptr, options.out));
  Json json = ArchiveJson(info);
  json.Set("path", options.out);
  if (key) json.Set("publisher", base::Fingerprint(key->public_key()));
  return json;
}

base::Result<Json> BundleSign(base::FileSystem& fs, const BundleSignOptions& options) {
  ASSIGN_OR_RETURN(const base::Ed25519Key key, ReadPrivateKey(fs, options.key_file));
  ASSIGN_OR_RETURN(const bool is_folder, IsFolder(fs, options.path));
  Json json;
  if (is_folder) {
    RETURN_IF_ERROR(SignFolder(fs, options.path, key));
    ASSIGN_OR_RETURN(const VerifiedFolder verified, VerifyFolder(fs, options.path));
    json = ManifestJson(verified.manifest);
    json.Set("bundle", verified.bundle);
    json.Set("signed", true);
  } else {
    ASSIGN_OR_RETURN(const ArchiveInfo info, SignArchive(fs, options.path, key));
    json = ArchiveJson(info);
  }
  json.Set("publisher", base::Fingerprint(key.public_key()));
  return json;
}

base::Result<Json> BundleVerify(base::FileSystem& fs, const BundleVerifyOptions& options) {
  std::optional<base::Ed25519PublicKey> key;
  if (!options.public_key_file.empty()) {
    ASSIGN_OR_RETURN(key, ReadPublicKey(fs, options.public_key_file));
  }
  ASSIGN_OR_RETURN(const bool is_folder, IsFolder(fs, options.path));
  Json json;
  if (is_folder) {
    // The whole of it, contents too.
    ASSIGN_OR_RETURN(const ModelBundle bundle, LoadBundle(fs, options.path, {}));
    if (key) RETURN_IF_ERROR(VerifyFolderSignature(fs, options.path, *key));
    json = ManifestJson(bundle.manifest);
    json.Set("bundle", bundle.bundle);
  } else {
    ASSIGN_OR_RETURN(const ArchiveInfo info,
                     VerifyArchive(fs, options.path, key ? &*key : nullptr));
    json = ArchiveJson(info);
  }
  json.Set("verified_signature", key.has_value());
  return json;
}

base::Result<Json> BundleShow(base::FileSystem& fs, const BundleShowOptions& options) {
  ASSIGN_OR_RETURN(const bool is_folder, IsFolder(fs, options.path));
  if (!is_folder) {
    ASSIGN_OR_RETURN(const ArchiveInfo info, VerifyArchive(fs, options.path, nullptr));
    return ArchiveJson(info);
  }
  ASSIGN_OR_RETURN(const ModelBundle bundle, LoadBundle(fs, options.path, {}));
  Json json = ManifestJson(bundle.manifest);
  json.Set("bundle", bundle.bundle);
  json.Set("signed", base::Exists(fs, base::JoinPath(options.path, protocol::kSignaturePath)));
  json.Set("kind", bundle.is_image ? "image" : "row");
  json.Set("raw", bundle.raw_count());
  json.Set("dims", bundle.feature_count());
  json.Set("anchors", bundle.anchors.size());
  json.Set("canary", bundle.canary.size());
  json.Set("golden", bundle.golden.count);
  json.Set("config", bundle.config.Write());
  return json;
}

base::Result<Json> Keygen(base::FileSystem& fs, const KeygenOptions& options) {
  const std::string private_path = options.prefix + ".key";
  const std::string public_path = options.prefix + ".pub";
  for (const std::string& path : {private_path, public_path}) {
    if (base::Exists(fs, path)) {
      return Error{ErrorCode::kConflict, path + ": is there already; a key is never replaced"};
    }
  }
  const base::Ed25519Key key = base::Ed25519Key::Generate();
  RETURN_IF_ERROR(fs.CreateDirectories(std::string(base::FolderOf(private_path))));
  RETURN_IF_ERROR(base::WriteFileDurably(fs, private_path,
                                         base::AsBytes(base::WritePrivateKeyText(key)), true));
  RETURN_IF_ERROR(base::WriteFileDurably(
      fs, public_path, base::AsBytes(base::WritePublicKeyText(key.public_key()))));
  return Json::MakeObject({{"private", private_path},
                           {"public", public_path},
                           {"fingerprint", base::Fingerprint(key.public_key())}});
}

}  // namespace tinylcm::model
