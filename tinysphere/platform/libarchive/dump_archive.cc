#include "tinysphere/platform/libarchive/dump_archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace tinysphere::libarchive {

using base::Error;
using base::ErrorCode;
using operation::DumpEntry;

namespace {

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

class ArchiveWriter final : public operation::DumpWriter {
 public:
  ArchiveWriter(base::FileSystem& fs, std::string path)
      : fs_(fs),
        path_(std::move(path)),
        partial_(path_ + ".partial"),
        archive_(archive_write_new()),
        entry_(archive_entry_new()) {
    CHECK(archive_ != nullptr && entry_ != nullptr);
  }

  ~ArchiveWriter() override {
    if (is_finished_) return;
    // Writes what it still holds; into a file that is still there.
    archive_.reset();
    file_.reset();
    (void)fs_.Remove(partial_).ok();
  }

  base::Status Open() {
    if (base::Exists(fs_, path_)) {
      return Error{ErrorCode::kConflict, path_ + ": is there already"};
    }
    ASSIGN_OR_RETURN(file_, fs_.Create(partial_, base::FileSystem::Mode::kTruncate, true));
    archive* a = archive_.get();
    // Not padded to tape blocks of 10 KiB, behind which a decompressor would find no frame.
    archive_write_set_bytes_per_block(a, 256 << 10);
    archive_write_set_bytes_in_last_block(a, 1);
    if (archive_write_set_format_pax_restricted(a) != ARCHIVE_OK ||
        archive_write_add_filter_zstd(a) != ARCHIVE_OK ||
        archive_write_open(a, this, nullptr, &ArchiveWriter::AppendTo, nullptr) != ARCHIVE_OK) {
      return Failure();
    }
    return {};
  }

  base::Status Begin(const DumpEntry& entry) override {
    archive_entry* e = archive_entry_clear(entry_.get());
    archive_entry_set_pathname(e, entry.name.c_str());
    archive_entry_set_size(e, static_cast<la_int64_t>(entry.bytes));
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0600);
    archive_entry_set_mtime(e, 0, 0);
    if (archive_write_header(archive_.get(), e) != ARCHIVE_OK) return Failure();
    return {};
  }

  base::Status Append(base::ByteView bytes) override {
    if (bytes.empty()) return {};
    const la_ssize_t written = archive_write_data(archive_.get(), bytes.data(), bytes.size());
    if (written < 0 || static_cast<std::size_t>(written) != bytes.size()) return Failure();
    return {};
  }

  base::Status Finish() override {
    if (archive_write_close(archive_.get()) != ARCHIVE_OK) return Failure();
    RETURN_IF_ERROR(file_->Sync());
    RETURN_IF_ERROR(file_->Close());
    RETURN_IF_ERROR(fs_.Rename(partial_, path_));
    is_finished_ = true;
    return fs_.SyncDirectory(std::string(base::FolderOf(path_)));
  }

 private:
  static la_ssize_t AppendTo(archive* a, void* self_pointer, const void* data, std::size_t count) {
    auto* self = static_cast<ArchiveWriter*>(self_pointer);
    const base::Status written =
        self->file_->Append({static_cast<const std::uint8_t*>(data), count});
    if (written.ok()) return static_cast<la_ssize_t>(count);
    self->file_error_ = written.error();
    archive_set_error(a, EIO, "%s", written.error().message.c_str());
    return -1;
  }

  Error Failure() const {
    if (file_error_) return *file_error_;
    return {ErrorCode::kInternal, base::StrCat(path_, ": ", Reason(archive_.get()))};
  }

  base::FileSystem& fs_;
  const std::string path_;
  const std::string partial_;
  std::unique_ptr<base::WritableFile> file_;
  std::optional<Error> file_error_;
  std::unique_ptr<archive, FreeWriter> archive_;
  std::unique_ptr<archive_entry, FreeEntry> entry_;
  bool is_finished_ = false;
};

class ArchiveReader final : public operation::DumpReader {
 public:
  ArchiveReader(std::string path, std::unique_ptr<base::ReadableFile> file)
      : path_(std::move(path)),
        file_(std::move(file)),
        block_(256u << 10),
        archive_(archive_read_new()) {
    CHECK(archive_ != nullptr);
  }

  base::Status Open() {
    archive* a = archive_.get();
    archive_read_support_filter_none(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_format_tar(a);
    if (archive_read_open(a, this, nullptr, &ArchiveReader::ReadFrom, nullptr) != ARCHIVE_OK) {
      return Failure("is no export");
    }
    return {};
  }

  base::Result<bool> Next(DumpEntry& entry) override {
    archive_entry* next = nullptr;
    const int code = archive_read_next_header(archive_.get(), &next);
    if (code == ARCHIVE_EOF && !file_error_) return false;
    if (code != ARCHIVE_OK) return Failure("broken header");
    const char* name = archive_entry_pathname(next);
    if (name == nullptr || archive_entry_filetype(next) != AE_IFREG ||
        !archive_entry_size_is_set(next) || archive_entry_hardlink(next) != nullptr) {
      return Error{ErrorCode::kCorrupt, path_ + ": holds what is no plain file"};
    }
    entry.name = name;
    entry.bytes = static_cast<std::uint64_t>(archive_entry_size(next));
    return true;
  }

  base::Result<std::size_t> Read(std::span<std::uint8_t> out) override {
    const la_ssize_t count = archive_read_data(archive_.get(), out.data(), out.size());
    if (count < 0) return Failure("broken content");
    return static_cast<std::size_t>(count);
  }

 private:
  static la_ssize_t ReadFrom(archive* a, void* self_pointer, const void** buffer) {
    auto* self = static_cast<ArchiveReader*>(self_pointer);
    const auto count = self->file_->ReadAt(self->offset_, self->block_);
    if (!count.ok()) {
      self->file_error_ = count.error();
      archive_set_error(a, EIO, "%s", count.error().message.c_str());
      return -1;
    }
    self->offset_ += *count;
    *buffer = self->block_.data();
    return static_cast<la_ssize_t>(*count);
  }

  Error Failure(std::string_view what) const {
    if (file_error_) return *file_error_;
    return {ErrorCode::kCorrupt, base::StrCat(path_, ": ", what, ": ", Reason(archive_.get()))};
  }

  const std::string path_;
  std::unique_ptr<base::ReadableFile> file_;
  base::Bytes block_;
  std::uint64_t offset_ = 0;
  std::optional<Error> file_error_;
  std::unique_ptr<archive, FreeReader> archive_;
};

}  // namespace

base::Result<std::unique_ptr<operation::DumpWriter>> WriteDumpArchive(base::FileSystem& fs,
                                                                      const std::string& path) {
  auto writer = std::make_unique<ArchiveWriter>(fs, path);
  RETURN_IF_ERROR(writer->Open());
  return std::unique_ptr<operation::DumpWriter>(std::move(writer));
}

base::Result<std::unique_ptr<operation::DumpReader>> ReadDumpArchive(base::FileSystem& fs,
                                                                     const std::string& path) {
  ASSIGN_OR_RETURN(auto file, fs.Open(path));
  auto reader = std::make_unique<ArchiveReader>(path, std::move(file));
  RETURN_IF_ERROR(reader->Open());
  return std::unique_ptr<operation::DumpReader>(std::move(reader));
}

}  // namespace tinysphere::libarchive
