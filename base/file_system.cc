#include "base/file_system.h"

#include "base/text.h"

namespace base {

Result<Bytes> ReadFile(FileSystem& fs, const std::string& path, std::uint64_t bytes_max) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ReadableFile> file, fs.Open(path));
  if (file->size() > bytes_max) {
    return Error{ErrorCode::kExhausted,
                 StrCat(path, ": ", file->size(), " bytes, at most ", bytes_max, " are read")};
  }
  Bytes bytes(static_cast<std::size_t>(file->size()));
  std::size_t read = 0;
  while (read < bytes.size()) {
    ASSIGN_OR_RETURN(const std::size_t count,
                     file->ReadAt(read, std::span<std::uint8_t>(bytes).subspan(read)));
    if (count == 0) break;  // Somebody shortened it meanwhile.
    read += count;
  }
  bytes.resize(read);
  return bytes;
}

Result<std::string> ReadTextFile(FileSystem& fs, const std::string& path, std::uint64_t bytes_max) {
  ASSIGN_OR_RETURN(const Bytes bytes, ReadFile(fs, path, bytes_max));
  return std::string(AsText(bytes));
}

Status WriteFileDurably(FileSystem& fs, const std::string& path, ByteView bytes, bool owner_only) {
  const std::string temporary = path + ".tmp";
  const auto write = [&]() -> Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file,
                     fs.Create(temporary, FileSystem::Mode::kTruncate, owner_only));
    RETURN_IF_ERROR(file->Append(bytes));
    RETURN_IF_ERROR(file->Sync());
    return file->Close();
  };
  Status status = write();
  if (status.ok()) status = fs.Rename(temporary, path);
  if (!status.ok()) {
    // Best effort: what is left of it is overwritten by the next attempt anyway.
    static_cast<void>(fs.Remove(temporary));
    return status;
  }
  return fs.SyncDirectory(std::string(FolderOf(path)));
}

Status RemoveTree(FileSystem& fs, const std::string& path) {
  const Result<FileInfo> info = fs.Stat(path);
  if (!info.ok()) {
    if (info.error().code == ErrorCode::kNotFound) return {};
    return info.error();
  }
  if (info->is_directory) {
    ASSIGN_OR_RETURN(const std::vector<FileInfo> entries, fs.List(path));
    for (const FileInfo& entry : entries) {
      RETURN_IF_ERROR(RemoveTree(fs, JoinPath(path, entry.name)));
    }
  }
  return fs.Remove(path);
}

std::string JoinPath(std::string_view folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  if (folder.ends_with('/')) return StrCat(folder, name);
  return StrCat(folder, "/", name);
}

std::string_view FolderOf(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  if (slash == 0) return "/";
  return path.substr(0, slash);
}

bool Exists(FileSystem& fs, const std::string& path) { return fs.Stat(path).ok(); }

}  // namespace base
