// protocol/archive.h on libarchive: only the formats of docs/formats/package.md are switched on,
// and only its streaming calls are used; nothing is ever extracted to a disk.

#include "protocol/archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>

#include "base/text.h"
#include "protocol/identifiers.h"

namespace protocol {
namespace {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

struct FreeReader {
  void operator()(archive* a) const { archive_read_free(a); }
};
struct FreeWriter {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};

std::string Reason(archive* a) {
  const char* text = archive_error_string(a);
  return text != nullptr ? text : "malformed";
}

class LibarchiveReader final : public ArchiveReader {
 public:
  LibarchiveReader(ByteSource& source, const ArchiveLimits& limits)
      : source_(source), limits_(limits), archive_(archive_read_new()) {
    CHECK(archive_ != nullptr);
  }

  Status Start() {
    archive* a = archive_.get();
    archive_read_support_filter_none(a);
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_format_tar(a);
    // By its local headers, as a stream; the central directory at the end is never consulted, so
    // the two cannot be made to disagree.
    archive_read_support_format_zip_streamable(a);
    // Broken is broken: a member or header with a wrong checksum ends the archive.
    if (archive_read_open(a, this, nullptr, &LibarchiveReader::ReadSource, nullptr) != ARCHIVE_OK) {
      return Failure("not an archive");
    }
    return {};
  }

  Result<std::optional<std::string>> Next() override {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(archive_.get(), &entry);
    if (code == ARCHIVE_EOF) {
      // "No entries" is what libarchive also says of an empty input.
      if (source_error_) return *source_error_;
      return std::optional<std::string>();
    }
    if (code != ARCHIVE_OK) return Failure("broken header");
    RETURN_IF_ERROR(CheckLimits());
    const char* raw = archive_entry_pathname(entry);
    const std::string path = raw != nullptr ? raw : "";
    if (!IsSafePath(path)) return Refused(path, "a path that is not allowed");
    if (archive_entry_hardlink(entry) != nullptr || archive_entry_symlink(entry) != nullptr ||
        archive_entry_filetype(entry) != AE_IFREG) {
      return Refused(path, "not a regular file");
    }
    if (archive_entry_sparse_count(entry) > 0) return Refused(path, "a sparse file");
    if (archive_entry_is_encrypted(entry) != 0) return Refused(path, "encrypted");
    if (!seen_.insert(path).second) return Refused(path, "there twice");
    if (seen_.size() > limits_.files_max) {
      return Error{ErrorCode::kExhausted,
                   StrCat("archive: more than ", limits_.files_max, " files")};
    }
    return std::optional<std::string>(path);
  }

  Result<std::size_t> Read(std::span<std::uint8_t> out) override {
    CHECK(!out.empty());
    const la_ssize_t count = archive_read_data(archive_.get(), out.data(), out.size());
    if (count < 0) return Failure("broken data");
    expanded_ += static_cast<std::uint64_t>(count);
    RETURN_IF_ERROR(CheckLimits());
    return static_cast<std::size_t>(count);
  }

 private:
  static la_ssize_t ReadSource(archive* a, void* self_pointer, const void** buffer) {
    auto* self = static_cast<LibarchiveReader*>(self_pointer);
    const Result<std::size_t> count = self->source_.Read(self->buffer_);
    if (!count.ok()) {
      self->source_error_ = count.error();
      archive_set_error(a, EIO, "%s", count.error().message.c_str());
      return -1;
    }
    self->compressed_ += *count;
    if (self->compressed_ > self->limits_.compressed_bytes_max) {
      self->source_error_ =
          Error{ErrorCode::kExhausted,
                StrCat("archive: more than ", self->limits_.compressed_bytes_max, " bytes")};
      return -1;
    }
    *buffer = self->buffer_.data();
    return static_cast<la_ssize_t>(*count);
  }

  // What came out of the decompressor counts, headers and padding too.
  Status CheckLimits() {
    const la_int64_t filtered = archive_filter_bytes(archive_.get(), 0);
    const std::uint64_t out =
        std::max(expanded_, filtered > 0 ? static_cast<std::uint64_t>(filtered) : 0);
    if (out > limits_.expanded_bytes_max) {
      return Error{ErrorCode::kExhausted,
                   StrCat("archive: expands to more than ", limits_.expanded_bytes_max, " bytes")};
    }
    if (out > limits_.ratio_from && out / limits_.ratio_max > compressed_) {
      return Error{ErrorCode::kExhausted,
                   StrCat("archive: expands more than ", limits_.ratio_max, " times")};
    }
    return {};
  }

  Error Failure(std::string_view what) const {
    if (source_error_) return *source_error_;
    return {ErrorCode::kCorrupt, StrCat("archive: ", what, ": ", Reason(archive_.get()))};
  }

  static Error Refused(const std::string& path, std::string_view why) {
    // The path is an attacker's; show the beginning of it only.
    return {ErrorCode::kPermissionDenied, StrCat("archive: '", path.substr(0, 100), "': ", why)};
  }

  ByteSource& source_;
  ArchiveLimits limits_;
  std::unique_ptr<archive, FreeReader> archive_;
  std::array<std::uint8_t, 32768> buffer_{};
  std::optional<Error> source_error_;
  std::set<std::string> seen_;
  std::uint64_t compressed_ = 0;
  std::uint64_t expanded_ = 0;
};

la_ssize_t AppendTo(archive*, void* bytes_pointer, const void* data, std::size_t count) {
  auto* bytes = static_cast<base::Bytes*>(bytes_pointer);
  const auto* from = static_cast<const std::uint8_t*>(data);
  bytes->insert(bytes->end(), from, from + count);
  return static_cast<la_ssize_t>(count);
}

}  // namespace

Result<std::unique_ptr<ArchiveReader>> ArchiveReader::Open(ByteSource& source,
                                                           const ArchiveLimits& limits) {
  auto reader = std::make_unique<LibarchiveReader>(source, limits);
  RETURN_IF_ERROR(reader->Start());
  return std::unique_ptr<ArchiveReader>(std::move(reader));
}

Result<base::Bytes> WriteArchive(ArchiveFormat format, std::span<const ArchiveFile> files) {
  base::Bytes bytes;
  const std::unique_ptr<archive, FreeWriter> writer(archive_write_new());
  archive* a = writer.get();
  CHECK(a != nullptr);
  const auto failure = [&](std::string_view what) {
    return Error{ErrorCode::kInternal, StrCat("archive: ", what, ": ", Reason(a))};
  };
  int code = ARCHIVE_OK;
  if (format == ArchiveFormat::kZip) {
    code = archive_write_set_format_zip(a);
  } else {
    code = archive_write_set_format_pax_restricted(a);
  }
  if (code == ARCHIVE_OK && format == ArchiveFormat::kTarGz) {
    code = archive_write_add_filter_gzip(a);
    // Else the header holds the time of writing.
    if (code == ARCHIVE_OK) code = archive_write_set_filter_option(a, "gzip", "timestamp", nullptr);
  }
  if (code == ARCHIVE_OK && format == ArchiveFormat::kTarZst) {
    code = archive_write_add_filter_zstd(a);
  }
  if (code != ARCHIVE_OK) return failure("format");
  // Not padded to tape blocks of 10 KiB.
  archive_write_set_bytes_per_block(a, 4096);
  archive_write_set_bytes_in_last_block(a, 1);
  if (archive_write_open(a, &bytes, nullptr, &AppendTo, nullptr) != ARCHIVE_OK) {
    return failure("open");
  }
  const std::unique_ptr<archive_entry, FreeEntry> entry(archive_entry_new());
  for (const ArchiveFile& file : files) {
    archive_entry_clear(entry.get());
    archive_entry_set_pathname(entry.get(), file.path.c_str());
    archive_entry_set_size(entry.get(), static_cast<la_int64_t>(file.bytes.size()));
    archive_entry_set_filetype(entry.get(), AE_IFREG);
    archive_entry_set_perm(entry.get(), 0644);
    archive_entry_set_mtime(entry.get(), 0, 0);
    if (archive_write_header(a, entry.get()) != ARCHIVE_OK) return failure(file.path);
    if (!file.bytes.empty()) {
      const la_ssize_t written = archive_write_data(a, file.bytes.data(), file.bytes.size());
      if (written < 0 || static_cast<std::size_t>(written) != file.bytes.size()) {
        return failure(file.path);
      }
    }
    if (archive_write_finish_entry(a) != ARCHIVE_OK) return failure(file.path);
  }
  if (archive_write_close(a) != ARCHIVE_OK) return failure("close");
  return bytes;
}

}  // namespace protocol
