#include "protocol/package.h"

#include "base/json.h"
#include "base/text.h"
#include "protocol/json_fields.h"
#include "protocol/manifest_files.h"

namespace protocol {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::JsonReader;
using base::Result;
using base::StrCat;

namespace {

// Manifest and signature are entries, too.
constexpr std::size_t kFilesMax = ArchiveLimits{}.files_max - 2;

Result<ReadPackageResult> ReadHead(SignedArchiveReader& reader, const PackageKeyOf& key_of) {
  ReadPackageResult result;
  result.manifest_bytes = reader.manifest_bytes();
  result.signature = reader.signature();
  ASSIGN_OR_RETURN(result.manifest, ParsePackageManifest(result.manifest_bytes));
  ASSIGN_OR_RETURN(const base::Ed25519PublicKey key, key_of(result.manifest));
  RETURN_IF_ERROR(reader.Verify(kPackageSignaturePrefix, key));
  return result;
}

}  // namespace

int PackageClass(std::string_view type) {
  if (type == kTypeMetrics || type == kTypeUpdateReport || type == kTypeAdaptation) return 1;
  if (type == kTypeDriftEvent || type == kTypeSamples || type == kTypeModel) return 2;
  if (type == kTypePredictionImages) return 4;
  return 3;
}

std::string WritePackageManifest(const PackageManifest& manifest) {
  return Json::MakeObject({{"format", kPackageFormat},
                           {"package_id", manifest.name.id()},
                           {"device_id", manifest.name.device_id},
                           {"epoch", manifest.name.epoch},
                           {"seq", manifest.name.seq},
                           {"type", manifest.type},
                           {"created_at", base::FormatTime(manifest.created_at)},
                           {"clock_trusted", manifest.clock_trusted},
                           {"boot", manifest.boot},
                           {"uptime_ms", manifest.uptime_ms},
                           {"agent_version", manifest.agent_version},
                           {"bundle", manifest.bundle},
                           {"config_sha256", manifest.config_sha256},
                           {"files", FilesToJson(manifest.files, "media_type")}})
      .Write();
}

Result<PackageManifest> ParsePackageManifest(base::ByteView text) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(base::AsText(text),
                                                {.bytes_max = kManifestBytesMax, .depth_max = 8}));
  JsonReader reader(json, "manifest.json");
  RETURN_IF_ERROR(CheckFormat(reader, kPackageFormat));
  PackageManifest manifest;
  manifest.name.device_id = reader.String("device_id");
  manifest.name.epoch = reader.String("epoch");
  manifest.name.seq = static_cast<std::uint64_t>(reader.Int("seq", {.min = 0}));
  const std::string package_id = reader.String("package_id");
  const Result<PackageName> name = ParsePackageId(package_id);
  if (!name.ok() || *name != manifest.name) {
    reader.Refuse("package_id", "is not device_id, epoch and seq");
  }
  manifest.type = reader.String("type", {.bytes_max = 64});
  if (!IsPlainId(manifest.type)) reader.Refuse("type", "malformed");
  manifest.created_at = ReadTime(reader, "created_at");
  manifest.clock_trusted = reader.Bool("clock_trusted");
  manifest.boot = reader.String("boot", {.bytes_max = 64});
  manifest.uptime_ms = reader.Int("uptime_ms", {.min = 0});
  manifest.agent_version = reader.String("agent_version", {.bytes_max = 100});
  manifest.bundle = reader.String("bundle");
  if (!manifest.bundle.empty() && !IsSha256Hex(manifest.bundle)) {
    reader.Refuse("bundle", "not 64 lower-case hex digits");
  }
  manifest.config_sha256 = reader.String("config_sha256");
  if (!manifest.config_sha256.empty() && !IsSha256Hex(manifest.config_sha256)) {
    reader.Refuse("config_sha256", "not 64 lower-case hex digits");
  }
  manifest.files = ReadFilesList(reader, "media_type", kFilesMax);
  RETURN_IF_ERROR(reader.status());
  return manifest;
}

Result<base::Bytes> BuildPackage(PackageManifest manifest, std::span<const PackageFile> files,
                                 const base::Ed25519Key& device_key, ArchiveFormat format) {
  if (files.size() > kFilesMax) {
    return Error{ErrorCode::kExhausted,
                 StrCat("package: ", files.size(), " files, at most ", kFilesMax, " are allowed")};
  }
  std::uint64_t total = 0;
  std::vector<ArchiveFile> entries;
  manifest.files.clear();
  for (const PackageFile& file : files) {
    total += file.bytes.size();
    manifest.files.push_back(
        {file.path, file.bytes.size(), base::Sha256Hex(file.bytes), file.media_type, ""});
    entries.push_back({file.path, file.bytes});
  }
  if (total > ArchiveLimits{}.expanded_bytes_max) {
    return Error{ErrorCode::kExhausted, StrCat("package: ", total, " bytes are too many")};
  }
  const std::string text = WritePackageManifest(manifest);
  // What no reader would take is found out here, not at the server.
  RETURN_IF_ERROR(ParsePackageManifest(base::AsBytes(text)));
  ASSIGN_OR_RETURN(base::Bytes archive,
                   WriteSignedArchive(format, kPackageSignaturePrefix, text, device_key, entries));
  if (archive.size() > ArchiveLimits{}.compressed_bytes_max) {
    return Error{ErrorCode::kExhausted,
                 StrCat("package: ", archive.size(), " bytes compressed are too many")};
  }
  return archive;
}

Result<ReadPackageResult> ReadPackage(ByteSource& source, const ArchiveLimits& limits,
                                      const PackageKeyOf& key_of, FileSink& sink) {
  ASSIGN_OR_RETURN(SignedArchiveReader reader, SignedArchiveReader::Open(source, limits));
  ASSIGN_OR_RETURN(ReadPackageResult result, ReadHead(reader, key_of));
  RETURN_IF_ERROR(reader.ReadFiles(result.manifest.files, sink));
  return result;
}

Result<ReadPackageResult> ReadPackageManifest(ByteSource& source, const ArchiveLimits& limits,
                                              const PackageKeyOf& key_of) {
  ASSIGN_OR_RETURN(SignedArchiveReader reader, SignedArchiveReader::Open(source, limits));
  return ReadHead(reader, key_of);
}

}  // namespace protocol
