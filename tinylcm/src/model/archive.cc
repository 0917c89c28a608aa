#include "tinylcm/model/archive.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/text.h"
#include "protocol/archive.h"
#include "protocol/signed_archive.h"

namespace tinylcm::model {

using base::Error;
using base::ErrorCode;
using base::StrCat;
using protocol::ArchiveFile;
using protocol::ArchiveReader;
using protocol::NamedFile;

namespace {

// Throws away what it is given: verifying needs only the checks on the way.
class NoSink final : public protocol::FileSink {
 public:
  base::Status Begin(const NamedFile&) override { return {}; }
  base::Status Append(base::ByteView) override { return {}; }
  base::Status End() override { return {}; }
};

base::Result<std::string> DigestOf(const base::ReadableFile& file) {
  base::Sha256 sha;
  std::vector<std::uint8_t> block(64u << 10);
  for (std::uint64_t offset = 0; offset < file.size();) {
    ASSIGN_OR_RETURN(const std::size_t count, file.ReadAt(offset, block));
    if (count == 0) break;
    sha.Update(base::ByteView(block).first(count));
    offset += count;
  }
  return base::HexEncode(sha.Finish());
}

// Whether the second entry is a signature.
base::Result<bool> IsSigned(const base::ReadableFile& file) {
  protocol::FileSource source(file);
  ASSIGN_OR_RETURN(auto archive, ArchiveReader::Open(source, protocol::kBundleLimits));
  ASSIGN_OR_RETURN(const auto first, archive->Next());
  if (first != protocol::kManifestPath) {
    return Error{ErrorCode::kCorrupt, "its first entry is not manifest.json"};
  }
  ASSIGN_OR_RETURN(const auto second, archive->Next());
  return second == protocol::kSignaturePath;
}

base::Result<base::Bytes> ReadEntry(ArchiveReader& archive, std::uint64_t bytes_max) {
  base::Bytes bytes;
  std::vector<std::uint8_t> block(64u << 10);
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t count, archive.Read(block));
    if (count == 0) return bytes;
    if (bytes.size() + count > bytes_max) {
      return Error{ErrorCode::kCorrupt, "longer than stated"};
    }
    bytes.insert(bytes.end(), block.begin(), block.begin() + static_cast<std::ptrdiff_t>(count));
  }
}

struct Contents {
  base::Bytes manifest_bytes;
  protocol::BundleManifest manifest;
  std::optional<base::Ed25519Signature> signature;
};

// An archive without a signature: the same checks but the one.
base::Result<Contents> ReadUnsigned(const base::ReadableFile& file, const DeviceTraits& device,
                                    protocol::FileSink& sink) {
  protocol::FileSource source(file);
  ASSIGN_OR_RETURN(auto archive, ArchiveReader::Open(source, protocol::kBundleLimits));
  Contents contents;
  RETURN_IF_ERROR(archive->Next());
  ASSIGN_OR_RETURN(contents.manifest_bytes, ReadEntry(*archive, protocol::kManifestBytesMax));
  ASSIGN_OR_RETURN(contents.manifest, protocol::ParseBundleManifest(contents.manifest_bytes));
  RETURN_IF_ERROR(CheckSuits(contents.manifest, device));
  std::vector<const NamedFile*> missing;
  for (const NamedFile& named : contents.manifest.files) missing.push_back(&named);
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<std::string> path, archive->Next());
    if (!path) break;
    const auto named = std::find_if(missing.begin(), missing.end(),
                                    [&](const NamedFile* f) { return f->path == *path; });
    if (named == missing.end()) {
      return Error{ErrorCode::kPermissionDenied,
                   StrCat("'", *path, "': not named by the manifest")};
    }
    auto bytes = ReadEntry(*archive, (*named)->bytes);
    if (!bytes.ok()) return bytes.error().Within("'" + *path + "'");
    if (bytes->size() != (*named)->bytes || base::Sha256Hex(*bytes) != (*named)->sha256) {
      return Error{ErrorCode::kCorrupt, StrCat("'", *path, "': size or sha256 differs")};
    }
    RETURN_IF_ERROR(sink.Begin(**named));
    RETURN_IF_ERROR(sink.Append(*bytes));
    RETURN_IF_ERROR(sink.End());
    missing.erase(named);
  }
  if (!missing.empty()) {
    return Error{ErrorCode::kCorrupt, StrCat("'", missing[0]->path, "' is missing")};
  }
  return contents;
}

base::Result<Contents> ReadSigned(const base::ReadableFile& file,
                                  const base::Ed25519PublicKey* publisher,
                                  const DeviceTraits& device, protocol::FileSink& sink) {
  protocol::FileSource source(file);
  ASSIGN_OR_RETURN(auto reader,
                   protocol::SignedArchiveReader::Open(source, protocol::kBundleLimits));
  if (publisher != nullptr) {
    if (!reader.Verify(protocol::kBundleSignaturePrefix, *publisher).ok()) {
      return Error{ErrorCode::kPermissionDenied,
                   StrCat("signed by another key than the publisher's ",
                          base::Fingerprint(*publisher), ", or changed since")};
    }
  }
  Contents contents;
  contents.manifest_bytes = reader.manifest_bytes();
  contents.signature = reader.signature();
  ASSIGN_OR_RETURN(contents.manifest, protocol::ParseBundleManifest(contents.manifest_bytes));
  RETURN_IF_ERROR(CheckSuits(contents.manifest, device));
  RETURN_IF_ERROR(reader.ReadFiles(contents.manifest.files, sink));
  return contents;
}

struct Opened {
  ArchiveInfo info;
  Contents contents;
};

base::Result<Opened> ReadWhole(base::FileSystem& fs, const std::string& archive,
                               const base::Ed25519PublicKey* publisher, const DeviceTraits& device,
                               protocol::FileSink& sink) {
  ASSIGN_OR_RETURN(const auto file, fs.Open(archive));
  Opened opened;
  opened.info.bytes = file->size();
  auto is_signed = IsSigned(*file);
  if (!is_signed.ok()) return is_signed.error().Within(archive);
  opened.info.is_signed = *is_signed;
  if (publisher != nullptr && !*is_signed) {
    return Error{ErrorCode::kPermissionDenied,
                 StrCat(archive, ": not signed; the publisher runs: tinylcm bundle sign ", archive,
                        " --key FILE")};
  }
  auto contents =
      *is_signed ? ReadSigned(*file, publisher, device, sink) : ReadUnsigned(*file, device, sink);
  if (!contents.ok()) return contents.error().Within(archive);
  opened.contents = std::move(contents).value();
  opened.info.bundle = protocol::BundleIdOf(opened.contents.manifest_bytes);
  opened.info.manifest = opened.contents.manifest;
  ASSIGN_OR_RETURN(opened.info.archive_sha256, DigestOf(*file));
  return opened;
}

base::Result<std::optional<base::Ed25519Signature>> SignatureIn(base::FileSystem& fs,
                                                                const std::string& folder) {
  const std::string path = base::JoinPath(folder, protocol::kSignaturePath);
  if (!base::Exists(fs, path)) return std::optional<base::Ed25519Signature>();
  ASSIGN_OR_RETURN(const base::Bytes bytes, base::ReadFile(fs, path, 1024));
  base::Ed25519Signature signature{};
  if (bytes.size() != signature.size()) {
    return Error{ErrorCode::kCorrupt, path + ": not 64 bytes"};
  }
  std::copy(bytes.begin(), bytes.end(), signature.begin());
  return std::optional<base::Ed25519Signature>(signature);
}

// manifest.json, then manifest.sig if there is one, then the files.
base::Result<base::Bytes> Pack(const base::Bytes& manifest_bytes,
                               const std::optional<base::Ed25519Signature>& signature,
                               std::vector<ArchiveFile> files) {
  constexpr auto kFormat = protocol::ArchiveFormat::kTarZst;
  if (signature) {
    return protocol::WriteSignedArchive(kFormat, std::string(base::AsText(manifest_bytes)),
                                        *signature, files);
  }
  files.insert(files.begin(), {std::string(protocol::kManifestPath), manifest_bytes});
  return protocol::WriteArchive(kFormat, files);
}

}  // namespace

base::Result<ArchiveInfo> MakeArchive(base::FileSystem& fs, const std::string& folder,
                                      const base::Ed25519Key* publisher,
                                      const std::string& archive) {
  ASSIGN_OR_RETURN(const VerifiedFolder verified, VerifyFolder(fs, folder));
  ASSIGN_OR_RETURN(const base::Bytes manifest_bytes,
                   base::ReadFile(fs, base::JoinPath(folder, protocol::kManifestPath),
                                  protocol::kManifestBytesMax));
  std::vector<ArchiveFile> files;
  for (const NamedFile& file : verified.manifest.files) {
    ASSIGN_OR_RETURN(base::Bytes bytes,
                     base::ReadFile(fs, base::JoinPath(folder, file.path), file.bytes));
    files.push_back({file.path, std::move(bytes)});
  }
  std::optional<base::Ed25519Signature> signature;
  if (publisher != nullptr) {
    signature =
        protocol::SignManifest(protocol::kBundleSignaturePrefix, manifest_bytes, *publisher);
  } else {
    ASSIGN_OR_RETURN(signature, SignatureIn(fs, folder));
  }
  ASSIGN_OR_RETURN(const base::Bytes bytes, Pack(manifest_bytes, signature, std::move(files)));
  RETURN_IF_ERROR(fs.CreateDirectories(std::string(base::FolderOf(archive))));
  RETURN_IF_ERROR(base::WriteFileDurably(fs, archive, bytes));
  return ArchiveInfo{verified.bundle, base::Sha256Hex(bytes), bytes.size(), verified.manifest,
                     signature.has_value()};
}

base::Status SignFolder(base::FileSystem& fs, const std::string& folder,
                        const base::Ed25519Key& publisher) {
  RETURN_IF_ERROR(VerifyFolder(fs, folder));
  ASSIGN_OR_RETURN(const base::Bytes manifest_bytes,
                   base::ReadFile(fs, base::JoinPath(folder, protocol::kManifestPath),
                                  protocol::kManifestBytesMax));
  return base::WriteFileDurably(
      fs, base::JoinPath(folder, protocol::kSignaturePath),
      protocol::SignManifest(protocol::kBundleSignaturePrefix, manifest_bytes, publisher));
}

base::Result<ArchiveInfo> SignArchive(base::FileSystem& fs, const std::string& archive,
                                      const base::Ed25519Key& publisher) {
  protocol::MemorySink sink;
  ASSIGN_OR_RETURN(Opened opened, ReadWhole(fs, archive, nullptr, {}, sink));
  const auto signature = protocol::SignManifest(protocol::kBundleSignaturePrefix,
                                                opened.contents.manifest_bytes, publisher);
  ASSIGN_OR_RETURN(const base::Bytes bytes,
                   Pack(opened.contents.manifest_bytes, signature, std::move(sink.files())));
  RETURN_IF_ERROR(base::WriteFileDurably(fs, archive, bytes));
  opened.info.is_signed = true;
  opened.info.bytes = bytes.size();
  opened.info.archive_sha256 = base::Sha256Hex(bytes);
  return opened.info;
}

base::Result<ArchiveInfo> VerifyArchive(base::FileSystem& fs, const std::string& archive,
                                        const base::Ed25519PublicKey* publisher) {
  NoSink sink;
  ASSIGN_OR_RETURN(Opened opened, ReadWhole(fs, archive, publisher, {}, sink));
  return opened.info;
}

base::Result<ArchiveInfo> UnpackArchive(base::FileSystem& fs, const std::string& archive,
                                        const std::string& folder,
                                        const base::Ed25519PublicKey* publisher,
                                        const DeviceTraits& device) {
  if (base::Exists(fs, folder)) {
    return Error{ErrorCode::kConflict, folder + ": is there already"};
  }
  RETURN_IF_ERROR(fs.CreateDirectories(folder));
  const auto unpack = [&]() -> base::Result<ArchiveInfo> {
    protocol::FolderSink sink(fs, folder);
    ASSIGN_OR_RETURN(Opened opened, ReadWhole(fs, archive, publisher, device, sink));
    if (opened.contents.signature) {
      RETURN_IF_ERROR(base::WriteFileDurably(fs, base::JoinPath(folder, protocol::kSignaturePath),
                                             *opened.contents.signature));
    }
    RETURN_IF_ERROR(base::WriteFileDurably(fs, base::JoinPath(folder, protocol::kManifestPath),
                                           opened.contents.manifest_bytes));
    return opened.info;
  };
  auto info = unpack();
  if (!info.ok()) {
    const base::Status removed = base::RemoveTree(fs, folder);
    if (!removed.ok()) {
      return Error{info.error().code, info.error().message + "; and " + removed.error().message};
    }
  }
  return info;
}

}  // namespace tinylcm::model
