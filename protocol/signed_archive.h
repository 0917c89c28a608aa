// A signed archive: entry 1 manifest.json, entry 2 manifest.sig (the 64 raw bytes of an Ed25519
// signature over a prefix and the exact bytes of manifest.json), then exactly the files that the
// manifest names, in any order. Packages and bundles are both of this shape.
//
//   auto reader = SignedArchiveReader::Open(source, limits);   // Entries 1 and 2; nothing else
//   ... parse reader->manifest_bytes(), find the key, reader->Verify(prefix, key) ...
//   reader->ReadFiles(manifest.files, sink);                   // Only now are files decompressed
//
// An archive that is not signed yet has no entry 2 and is otherwise the same; who can use such a
// one (to look at it, to sign it) says so when it is opened.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/result.h"
#include "protocol/archive.h"

namespace protocol {

inline constexpr std::string_view kManifestPath = "manifest.json";
inline constexpr std::string_view kSignaturePath = "manifest.sig";
inline constexpr std::uint64_t kManifestBytesMax = 1u << 20;

// One line of a manifest's `files`.
struct NamedFile {
  std::string path;
  std::uint64_t bytes = 0;
  std::string sha256;      // Hex.
  std::string media_type;  // In a package.
  std::string role;        // In a bundle.

  friend bool operator==(const NamedFile&, const NamedFile&) = default;
};

// Receives the files of an archive. End() comes only when size and digest were as stated; after an
// error nothing more is called and what was written so far is to be thrown away.
class FileSink {
 public:
  virtual ~FileSink() = default;
  virtual base::Status Begin(const NamedFile& file) = 0;
  virtual base::Status Append(base::ByteView bytes) = 0;
  virtual base::Status End() = 0;
};

// Keeps every file in memory.
class MemorySink final : public FileSink {
 public:
  base::Status Begin(const NamedFile& file) override;
  base::Status Append(base::ByteView bytes) override;
  base::Status End() override { return {}; }

  std::vector<ArchiveFile>& files() { return files_; }
  const base::Bytes* Find(std::string_view path) const;

 private:
  std::vector<ArchiveFile> files_;
};

// Writes every file below a folder, synced; the caller syncs the folder and renames it into place.
class FolderSink final : public FileSink {
 public:
  FolderSink(base::FileSystem& fs, std::string folder) : fs_(fs), folder_(std::move(folder)) {}
  base::Status Begin(const NamedFile& file) override;
  base::Status Append(base::ByteView bytes) override;
  base::Status End() override;

 private:
  base::FileSystem& fs_;
  std::string folder_;
  std::string open_path_;
  std::unique_ptr<base::WritableFile> open_;
};

class SignedArchiveReader {
 public:
  enum class Signature { kDemanded, kOptional };

  // Reads entries 1 and 2. The source is borrowed.
  static base::Result<SignedArchiveReader> Open(ByteSource& source, const ArchiveLimits& limits,
                                                Signature signature = Signature::kDemanded);

  const base::Bytes& manifest_bytes() const { return manifest_; }
  bool is_signed() const { return is_signed_; }
  const base::Ed25519Signature& signature() const { return signature_; }  // REQUIRES: is_signed().

  // kPermissionDenied unless it is signed and the signature is `key`'s over `prefix` + the
  // manifest's bytes.
  base::Status Verify(std::string_view prefix, const base::Ed25519PublicKey& key) const;

  // Reads the rest: every file of `files` once, nothing else, each of its stated size and digest.
  base::Status ReadFiles(std::span<const NamedFile> files, FileSink& sink);

 private:
  SignedArchiveReader() = default;

  std::unique_ptr<ArchiveReader> archive_;
  base::Bytes manifest_;
  base::Ed25519Signature signature_{};
  bool is_signed_ = false;
  // Of an unsigned archive: the entry that was come upon where the signature would be.
  std::optional<std::optional<std::string>> ahead_;
};

// Signs `manifest_text` and puts the archive together in the order that readers demand.
base::Result<base::Bytes> WriteSignedArchive(ArchiveFormat format, std::string_view prefix,
                                             const std::string& manifest_text,
                                             const base::Ed25519Key& key,
                                             std::span<const ArchiveFile> files);
// The same with a signature that exists already.
base::Result<base::Bytes> WriteSignedArchive(ArchiveFormat format, const std::string& manifest_text,
                                             const base::Ed25519Signature& signature,
                                             std::span<const ArchiveFile> files);

base::Ed25519Signature SignManifest(std::string_view prefix, base::ByteView manifest,
                                    const base::Ed25519Key& key);
base::Status VerifyManifest(std::string_view prefix, base::ByteView manifest,
                            const base::Ed25519Signature& signature,
                            const base::Ed25519PublicKey& key);

}  // namespace protocol
