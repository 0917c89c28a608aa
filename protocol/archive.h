// Archives as a stream of regular files: written deterministically, read without ever touching a
// disk. libarchive stands behind it (platform/libarchive).

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/result.h"

namespace protocol {

enum class ArchiveFormat { kTarGz, kZip, kTar, kTarZst };

const char* Name(ArchiveFormat format);  // "tar.gz", "zip", "tar", "tar.zst"
base::Result<ArchiveFormat> ParseArchiveFormat(std::string_view name);

// Where the bytes of an archive come from. Not thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills the front of `out`, which is not empty; 0 only at the end.
  virtual base::Result<std::size_t> Read(std::span<std::uint8_t> out) = 0;
};

// Borrows the bytes.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(base::ByteView bytes) : left_(bytes) {}
  base::Result<std::size_t> Read(std::span<std::uint8_t> out) override;

 private:
  base::ByteView left_;
};

// Borrows the file.
class FileSource final : public ByteSource {
 public:
  explicit FileSource(const base::ReadableFile& file) : file_(file) {}
  base::Result<std::size_t> Read(std::span<std::uint8_t> out) override;

 private:
  const base::ReadableFile& file_;
  std::uint64_t offset_ = 0;
};

struct ArchiveLimits {
  std::uint64_t compressed_bytes_max = 64u << 20;
  std::uint64_t expanded_bytes_max = 256u << 20;
  std::uint64_t ratio_max = 100;  // Expanded to compressed, once more than `ratio_from` came out.
  std::uint64_t ratio_from = 1u << 20;
  std::size_t files_max = 256;
};

// Reads entry after entry. Anything but a regular file with a safe path, and any path twice, is an
// error: kPermissionDenied for what no honest writer makes (a path outside, a link), kExhausted
// over a limit, kCorrupt where the archive itself is broken. Not thread-safe.
class ArchiveReader {
 public:
  // The source is borrowed. The format is recognised from the content.
  static base::Result<std::unique_ptr<ArchiveReader>> Open(ByteSource& source,
                                                           const ArchiveLimits& limits);
  virtual ~ArchiveReader() = default;

  // The path of the next entry, nullopt after the last. What was left of the one before is skipped.
  virtual base::Result<std::optional<std::string>> Next() = 0;
  // The next bytes of the current entry; 0 at its end.
  virtual base::Result<std::size_t> Read(std::span<std::uint8_t> out) = 0;
};

struct ArchiveFile {
  std::string path;
  base::Bytes bytes;
};

// The same files give the same archive, byte for byte (with the same libraries).
base::Result<base::Bytes> WriteArchive(ArchiveFormat format, std::span<const ArchiveFile> files);

}  // namespace protocol
