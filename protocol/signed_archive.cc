#include "protocol/signed_archive.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/text.h"
#include "protocol/identifiers.h"

namespace protocol {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::size_t kChunkBytes = 32768;

base::Bytes SignedBytes(std::string_view prefix, base::ByteView manifest) {
  base::Bytes bytes = base::ToBytes(prefix);
  bytes.insert(bytes.end(), manifest.begin(), manifest.end());
  return bytes;
}

// Reads the whole current entry.
Result<base::Bytes> ReadEntry(ArchiveReader& archive, std::uint64_t bytes_max) {
  base::Bytes bytes;
  std::array<std::uint8_t, 4096> buffer;
  while (true) {
    ASSIGN_OR_RETURN(const std::size_t count, archive.Read(buffer));
    if (count == 0) return bytes;
    if (bytes.size() + count > bytes_max) {
      return Error{ErrorCode::kExhausted, StrCat("more than ", bytes_max, " bytes")};
    }
    bytes.insert(bytes.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(count));
  }
}

Error NotExpected(std::string_view path, const std::optional<std::string>& found) {
  return {ErrorCode::kCorrupt,
          StrCat("archive: ", path, " expected, found ", found ? "'" + *found + "'" : "the end")};
}

}  // namespace

Status MemorySink::Begin(const NamedFile& file) {
  files_.push_back({file.path, {}});
  // Not reserve(file.bytes): the figure is only a claim until that much has come.
  return {};
}

Status MemorySink::Append(base::ByteView bytes) {
  files_.back().bytes.insert(files_.back().bytes.end(), bytes.begin(), bytes.end());
  return {};
}

const base::Bytes* MemorySink::Find(std::string_view path) const {
  for (const ArchiveFile& file : files_) {
    if (file.path == path) return &file.bytes;
  }
  return nullptr;
}

Status FolderSink::Begin(const NamedFile& file) {
  open_path_ = base::JoinPath(folder_, file.path);
  RETURN_IF_ERROR(fs_.CreateDirectories(std::string(base::FolderOf(open_path_))));
  ASSIGN_OR_RETURN(open_, fs_.Create(open_path_, base::FileSystem::Mode::kExclusive));
  return {};
}

Status FolderSink::Append(base::ByteView bytes) { return open_->Append(bytes); }

Status FolderSink::End() {
  RETURN_IF_ERROR(open_->Sync());
  RETURN_IF_ERROR(open_->Close());
  open_.reset();
  return fs_.SyncDirectory(std::string(base::FolderOf(open_path_)));
}

Result<SignedArchiveReader> SignedArchiveReader::Open(ByteSource& source,
                                                      const ArchiveLimits& limits,
                                                      Signature signature) {
  SignedArchiveReader reader;
  ASSIGN_OR_RETURN(reader.archive_, ArchiveReader::Open(source, limits));
  ASSIGN_OR_RETURN(const std::optional<std::string> first, reader.archive_->Next());
  if (first != kManifestPath) return NotExpected(kManifestPath, first);
  Result<base::Bytes> manifest = ReadEntry(*reader.archive_, kManifestBytesMax);
  if (!manifest.ok()) return manifest.error().Within(std::string(kManifestPath));
  reader.manifest_ = std::move(manifest).value();

  ASSIGN_OR_RETURN(std::optional<std::string> second, reader.archive_->Next());
  if (second != kSignaturePath) {
    if (signature == Signature::kDemanded) return NotExpected(kSignaturePath, second);
    reader.ahead_ = std::move(second);
    return reader;
  }
  const Result<base::Bytes> bytes = ReadEntry(*reader.archive_, reader.signature_.size());
  if (!bytes.ok()) return bytes.error().Within(std::string(kSignaturePath));
  if (bytes->size() != reader.signature_.size()) {
    return Error{ErrorCode::kCorrupt, StrCat(kSignaturePath, ": not 64 bytes")};
  }
  std::copy(bytes->begin(), bytes->end(), reader.signature_.begin());
  reader.is_signed_ = true;
  return reader;
}

Status SignedArchiveReader::Verify(std::string_view prefix,
                                   const base::Ed25519PublicKey& key) const {
  if (!is_signed_) return Error{ErrorCode::kPermissionDenied, StrCat(kSignaturePath, ": missing")};
  return VerifyManifest(prefix, manifest_, signature_, key);
}

Status SignedArchiveReader::ReadFiles(std::span<const NamedFile> files, FileSink& sink) {
  std::set<std::string_view> missing;
  for (const NamedFile& file : files) missing.insert(file.path);
  base::Bytes buffer(kChunkBytes);
  while (true) {
    std::optional<std::string> path;
    if (ahead_) {
      path = std::move(*ahead_);
      ahead_.reset();
    } else {
      ASSIGN_OR_RETURN(path, archive_->Next());
    }
    if (!path) break;
    const auto file = std::find_if(files.begin(), files.end(),
                                   [&](const NamedFile& f) { return f.path == *path; });
    if (file == files.end()) {
      return Error{ErrorCode::kPermissionDenied,
                   StrCat("archive: '", *path, "': not named by the manifest")};
    }
    missing.erase(file->path);
    RETURN_IF_ERROR(sink.Begin(*file));
    base::Sha256 sha;
    std::uint64_t bytes = 0;
    while (true) {
      ASSIGN_OR_RETURN(const std::size_t count, archive_->Read(buffer));
      if (count == 0) break;
      bytes += count;
      if (bytes > file->bytes) {
        return Error{ErrorCode::kCorrupt, StrCat("archive: '", *path, "': longer than stated")};
      }
      const base::ByteView chunk = base::ByteView(buffer).first(count);
      sha.Update(chunk);
      RETURN_IF_ERROR(sink.Append(chunk));
    }
    if (bytes != file->bytes) {
      return Error{ErrorCode::kCorrupt, StrCat("archive: '", *path, "': ", bytes,
                                               " bytes, the manifest says ", file->bytes)};
    }
    if (base::HexEncode(sha.Finish()) != file->sha256) {
      return Error{ErrorCode::kCorrupt, StrCat("archive: '", *path, "': sha256 differs")};
    }
    RETURN_IF_ERROR(sink.End());
  }
  if (!missing.empty()) {
    return Error{ErrorCode::kCorrupt,
                 StrCat("archive: '", *missing.begin(), "': named by the manifest, missing")};
  }
  return {};
}

Result<base::Bytes> WriteSignedArchive(ArchiveFormat format, std::string_view prefix,
                                       const std::string& manifest_text,
                                       const base::Ed25519Key& key,
                                       std::span<const ArchiveFile> files) {
  return WriteSignedArchive(format, manifest_text,
                            SignManifest(prefix, base::AsBytes(manifest_text), key), files);
}

Result<base::Bytes> WriteSignedArchive(ArchiveFormat format, const std::string& manifest_text,
                                       const base::Ed25519Signature& signature,
                                       std::span<const ArchiveFile> files) {
  std::vector<ArchiveFile> entries;
  entries.push_back({std::string(kManifestPath), base::ToBytes(manifest_text)});
  entries.push_back({std::string(kSignaturePath), {signature.begin(), signature.end()}});
  for (const ArchiveFile& file : files) {
    if (!IsSafePath(file.path)) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("archive: '", file.path, "': a path that is not allowed")};
    }
    entries.push_back(file);
  }
  return WriteArchive(format, entries);
}

base::Ed25519Signature SignManifest(std::string_view prefix, base::ByteView manifest,
                                    const base::Ed25519Key& key) {
  return key.Sign(SignedBytes(prefix, manifest));
}

Status VerifyManifest(std::string_view prefix, base::ByteView manifest,
                      const base::Ed25519Signature& signature, const base::Ed25519PublicKey& key) {
  if (!base::VerifyEd25519(key, SignedBytes(prefix, manifest), signature)) {
    return Error{ErrorCode::kPermissionDenied,
                 StrCat(kSignaturePath, ": not signed by ", base::Fingerprint(key))};
  }
  return {};
}

}  // namespace protocol
