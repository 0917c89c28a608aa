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
using protocol::NamedFile;

namespace {

// Throws away what it is given: verifying needs only the checks on the way.
class NoSink final : public protocol::FileSink {
 public:
  base::Status Begin(const NamedFile&) override { return {}; }
  base::Status Append(base::ByteView) override { return {}; }
  base::Status End() override { return {}; }
};

struct Opened {
  ArchiveInfo info;
  base::Bytes manifest_bytes;
  std::optional<base::Ed25519Signature> signature;
};

base::Result<Opened> Read(const base::ReadableFile& file, const std::string& path,
                          const base::Ed25519PublicKey* publisher, const DeviceTraits& device,
                          protocol::FileSink& sink) {
  using Reader = protocol::SignedArchiveReader;
  protocol::FileSource source(file);
  ASSIGN_OR_RETURN(Reader reader,
                   Reader::Open(source, protocol::kBundleLimits, Reader::Signature::kOptional));
  if (publisher != nullptr) {
    if (!reader.is_signed()) {
      return Error{
          ErrorCode::kPermissionDenied,
          StrCat("not signed; the publisher runs: tinylcm bundle sign ", path, " --key FILE")};
    }
    if (!reader.Verify(protocol::kBundleSignaturePrefix, *publisher).ok()) {
      return Error{ErrorCode::kPermissionDenied,
                   StrCat("signed by another key than the publisher's ",
                          base::Fingerprint(*publisher), ", or changed since")};
    }
  }
  Opened opened;
  opened.manifest_bytes = reader.manifest_bytes();
  if (reader.is_signed()) opened.signature = reader.signature();
  opened.info.is_signed = reader.is_signed();
  opened.info.bundle = protocol::BundleIdOf(opened.manifest_bytes);
  ASSIGN_OR_RETURN(opened.info.manifest, protocol::ParseBundleManifest(opened.manifest_bytes));
  RETURN_IF_ERROR(CheckSuits(opened.info.manifest, device));
  RETURN_IF_ERROR(reader.ReadFiles(opened.info.manifest.files, sink));
  opened.info.bytes = file.size();
  ASSIGN_OR_RETURN(const base::Sha256Digest sha256, base::Sha256OfFile(file));
  opened.info.archive_sha256 = base::HexEncode(sha256);
  return opened;
}

base::Result<Opened> ReadWhole(base::FileSystem& fs, const std::string& archive,
                               const base::Ed25519PublicKey* publisher, const DeviceTraits& device,
                               protocol::FileSink& sink) {
  ASSIGN_OR_RETURN(const auto file, fs.Open(archive));
  auto opened = Read(*file, archive, publisher, device, sink);
  if (!opened.ok()) return opened.error().Within(archive);
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
  const auto signature =
      protocol::SignManifest(protocol::kBundleSignaturePrefix, opened.manifest_bytes, publisher);
  ASSIGN_OR_RETURN(const base::Bytes bytes,
                   Pack(opened.manifest_bytes, signature, std::move(sink.files())));
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
    if (opened.signature) {
      RETURN_IF_ERROR(base::WriteFileDurably(fs, base::JoinPath(folder, protocol::kSignaturePath),
                                             *opened.signature));
    }
    RETURN_IF_ERROR(base::WriteFileDurably(fs, base::JoinPath(folder, protocol::kManifestPath),
                                           opened.manifest_bytes));
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
