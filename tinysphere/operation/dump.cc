#include "tinysphere/operation/dump.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"

namespace tinysphere::operation {

using base::Error;
using base::ErrorCode;

namespace {

constexpr const char* kIndex = "index";
constexpr std::size_t kLineMax = 4096;

// A name is a path below the dump's folder and nowhere else, whoever wrote the index.
bool IsSafeName(std::string_view name) {
  if (name.empty() || name.size() > 1024 || name == kIndex) return false;
  for (const std::string_view part : base::Split(name, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return std::all_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f && c != '\\';
  });
}

class FolderWriter final : public DumpWriter {
 public:
  FolderWriter(base::FileSystem& fs, std::string path)
      : fs_(fs), path_(std::move(path)), partial_(path_ + ".partial") {}

  ~FolderWriter() override {
    if (is_finished_) return;
    file_.reset();
    index_.reset();
    (void)base::RemoveTree(fs_, partial_).ok();
  }

  base::Status Open() {
    if (base::Exists(fs_, path_)) {
      is_finished_ = true;  // Nothing of ours to remove.
      return Error{ErrorCode::kConflict, path_ + ": is there already"};
    }
    RETURN_IF_ERROR(base::RemoveTree(fs_, partial_));
    RETURN_IF_ERROR(fs_.CreateDirectories(partial_));
    folders_.insert(partial_);
    ASSIGN_OR_RETURN(index_, fs_.Create(base::JoinPath(partial_, kIndex),
                                        base::FileSystem::Mode::kExclusive, true));
    return {};
  }

  base::Status Begin(const DumpEntry& entry) override {
    RETURN_IF_ERROR(CloseFile());
    CHECK(IsSafeName(entry.name));
    const std::string path = base::JoinPath(partial_, entry.name);
    const std::string folder(base::FolderOf(path));
    if (folders_.insert(folder).second) RETURN_IF_ERROR(fs_.CreateDirectories(folder));
    ASSIGN_OR_RETURN(file_, fs_.Create(path, base::FileSystem::Mode::kExclusive, true));
    return index_->Append(base::AsBytes(base::StrCat(entry.bytes, " ", entry.name, "\n")));
  }

  base::Status Append(base::ByteView bytes) override { return file_->Append(bytes); }

  base::Status Finish() override {
    RETURN_IF_ERROR(CloseFile());
    RETURN_IF_ERROR(index_->Sync());
    RETURN_IF_ERROR(index_->Close());
    for (const std::string& folder : folders_) RETURN_IF_ERROR(fs_.SyncDirectory(folder));
    RETURN_IF_ERROR(fs_.Rename(partial_, path_));
    is_finished_ = true;
    return fs_.SyncDirectory(std::string(base::FolderOf(path_)));
  }

 private:
  base::Status CloseFile() {
    if (!file_) return {};
    RETURN_IF_ERROR(file_->Sync());
    RETURN_IF_ERROR(file_->Close());
    file_.reset();
    return {};
  }

  base::FileSystem& fs_;
  const std::string path_;
  const std::string partial_;
  std::set<std::string> folders_;
  std::unique_ptr<base::WritableFile> index_;
  std::unique_ptr<base::WritableFile> file_;
  bool is_finished_ = false;
};

class FolderReader final : public DumpReader {
 public:
  FolderReader(base::FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}

  base::Status Open() {
    auto index = fs_.Open(base::JoinPath(path_, kIndex));
    if (!index.ok()) return index.error().Within(path_ + ": is no export");
    index_ = std::move(index).value();
    return {};
  }

  base::Result<bool> Next(DumpEntry& entry) override {
    std::string line;
    ASSIGN_OR_RETURN(const bool is_there, NextLine(line));
    if (!is_there) return false;
    const std::size_t space = line.find(' ');
    const auto bytes = base::ParseInt(std::string_view(line).substr(0, space));
    if (space == std::string::npos || !bytes.ok() || *bytes < 0 ||
        !IsSafeName(std::string_view(line).substr(space + 1))) {
      return Error{ErrorCode::kCorrupt, base::StrCat(path_, "/", kIndex, ": a malformed line")};
    }
    entry.name = line.substr(space + 1);
    entry.bytes = static_cast<std::uint64_t>(*bytes);
    ASSIGN_OR_RETURN(file_, fs_.Open(base::JoinPath(path_, entry.name)));
    if (file_->size() != entry.bytes) {
      return Error{ErrorCode::kCorrupt, base::StrCat(path_, "/", entry.name, ": has ",
                                                     file_->size(), " bytes, not ", entry.bytes)};
    }
    offset_ = 0;
    return true;
  }

  base::Result<std::size_t> Read(std::span<std::uint8_t> out) override {
    ASSIGN_OR_RETURN(const std::size_t count, file_->ReadAt(offset_, out));
    offset_ += count;
    return count;
  }

 private:
  // False at the end.
  base::Result<bool> NextLine(std::string& line) {
    for (;;) {
      const std::size_t end = text_.find('\n');
      if (end != std::string::npos) {
        line = text_.substr(0, end);
        text_.erase(0, end + 1);
        return true;
      }
      base::Bytes block(64u << 10);
      ASSIGN_OR_RETURN(const std::size_t count, index_->ReadAt(index_offset_, block));
      if (count == 0 && text_.empty()) return false;
      if (count == 0 || text_.size() > kLineMax) {
        return Error{ErrorCode::kCorrupt, base::StrCat(path_, "/", kIndex, ": a malformed line")};
      }
      index_offset_ += count;
      text_ += base::AsText(base::ByteView(block).first(count));
    }
  }

  base::FileSystem& fs_;
  const std::string path_;
  std::unique_ptr<base::ReadableFile> index_;
  std::uint64_t index_offset_ = 0;
  std::string text_;
  std::unique_ptr<base::ReadableFile> file_;
  std::uint64_t offset_ = 0;
};

}  // namespace

base::Result<std::unique_ptr<DumpWriter>> WriteDumpFolder(base::FileSystem& fs,
                                                          const std::string& path) {
  auto writer = std::make_unique<FolderWriter>(fs, path);
  RETURN_IF_ERROR(writer->Open());
  return std::unique_ptr<DumpWriter>(std::move(writer));
}

base::Result<std::unique_ptr<DumpReader>> ReadDumpFolder(base::FileSystem& fs,
                                                         const std::string& path) {
  auto reader = std::make_unique<FolderReader>(fs, path);
  RETURN_IF_ERROR(reader->Open());
  return std::unique_ptr<DumpReader>(std::move(reader));
}

}  // namespace tinysphere::operation
