#include "tinysphere/platform/folder/folder_object_store.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <vector>

#include "base/crypto.h"
#include "base/text.h"

namespace tinysphere::folder {

using base::Error;
using base::ErrorCode;

namespace {

class FolderObjectStore;

class FolderWriter final : public store::ObjectWriter {
 public:
  FolderWriter(FolderObjectStore& store, std::string key, std::string path,
               std::unique_ptr<base::WritableFile> file)
      : store_(store), key_(std::move(key)), path_(std::move(path)), file_(std::move(file)) {}
  ~FolderWriter() override;

  base::Status Append(base::ByteView bytes) override { return file_->Append(bytes); }
  base::Status Commit() override;

 private:
  FolderObjectStore& store_;
  std::string key_;
  std::string path_;
  std::unique_ptr<base::WritableFile> file_;
  bool is_committed_ = false;
};

class FolderObjectStore final : public store::ObjectStore {
 public:
  FolderObjectStore(base::FileSystem& fs, const Options& options)
      : fs_(fs),
        options_(options),
        objects_(base::JoinPath(options.root, "objects")),
        tmp_(base::JoinPath(options.root, "tmp")) {}

  base::Status Open() {
    RETURN_IF_ERROR(fs_.CreateDirectories(objects_));
    if (options_.sweeps) RETURN_IF_ERROR(base::RemoveTree(fs_, tmp_));
    RETURN_IF_ERROR(fs_.CreateDirectories(tmp_));
    RETURN_IF_ERROR(fs_.SyncDirectory(options_.root));
    return {};
  }

  base::Result<std::unique_ptr<store::ObjectWriter>> Put(const std::string& key) override {
    RETURN_IF_ERROR(store::CheckObjectKey(key));
    RETURN_IF_ERROR(CheckRoom());
    std::string path =
        base::JoinPath(tmp_, base::StrCat("put-", process_, "-", next_.fetch_add(1)));
    ASSIGN_OR_RETURN(std::unique_ptr<base::WritableFile> file,
                     fs_.Create(path, base::FileSystem::Mode::kTruncate));
    return std::unique_ptr<store::ObjectWriter>(
        std::make_unique<FolderWriter>(*this, key, std::move(path), std::move(file)));
  }

  base::Status Adopt(const std::string& key, const std::string& path) override {
    RETURN_IF_ERROR(store::CheckObjectKey(key));
    RETURN_IF_ERROR(CheckRoom());
    RETURN_IF_ERROR(fs_.Stat(path));  // Opening below would create it.
    // Opened for appending only to flush what the spool wrote.
    ASSIGN_OR_RETURN(const std::unique_ptr<base::WritableFile> file,
                     fs_.Create(path, base::FileSystem::Mode::kAppend));
    RETURN_IF_ERROR(file->Sync());
    RETURN_IF_ERROR(file->Close());
    return Place(key, path);
  }

  base::Result<std::unique_ptr<base::ReadableFile>> Get(const std::string& key) override {
    RETURN_IF_ERROR(store::CheckObjectKey(key));
    auto file = fs_.Open(PathOf(key));
    if (!file.ok() && file.error().code == ErrorCode::kNotFound) {
      return Error{ErrorCode::kNotFound, base::StrCat("object ", key, ": is not there")};
    }
    return file;
  }

  base::Status Delete(const std::string& key) override {
    RETURN_IF_ERROR(store::CheckObjectKey(key));
    const std::string path = PathOf(key);
    const base::Status removed = fs_.Remove(path);
    if (!removed.ok()) {
      if (removed.error().code == ErrorCode::kNotFound) return {};
      return removed;
    }
    return fs_.SyncDirectory(std::string(base::FolderOf(path)));
  }

  base::Result<bool> Exists(const std::string& key) override {
    RETURN_IF_ERROR(store::CheckObjectKey(key));
    const auto info = fs_.Stat(PathOf(key));
    if (info.ok()) return !info.value().is_directory;
    if (info.error().code == ErrorCode::kNotFound) return false;
    return info.error();
  }

  base::Result<std::vector<store::ObjectInfo>> List(const std::string& prefix,
                                                    const std::string& after,
                                                    std::size_t limit) override {
    std::vector<store::ObjectInfo> found;
    if (limit > 0) {
      RETURN_IF_ERROR(
          Collect(objects_, "", {.prefix = prefix, .after = after, .limit = limit}, found));
    }
    return found;
  }

  base::Status Check() override {
    RETURN_IF_ERROR(CheckRoom());
    const std::string path =
        base::JoinPath(tmp_, base::StrCat("check-", process_, "-", next_.fetch_add(1)));
    ASSIGN_OR_RETURN(const std::unique_ptr<base::WritableFile> file,
                     fs_.Create(path, base::FileSystem::Mode::kTruncate));
    RETURN_IF_ERROR(file->Append(base::AsBytes("ok")));
    RETURN_IF_ERROR(file->Close());
    return fs_.Remove(path);
  }

  // Moves a flushed file to its key and flushes every folder that changed by it.
  base::Status Place(const std::string& key, const std::string& path) {
    const std::string target = PathOf(key);
    const std::string folder(base::FolderOf(target));
    RETURN_IF_ERROR(EnsureFolder(folder));
    RETURN_IF_ERROR(fs_.Rename(path, target));
    return fs_.SyncDirectory(folder);
  }

  void Discard(const std::string& path) { (void)fs_.Remove(path).ok(); }

 private:
  std::string PathOf(const std::string& key) const { return base::JoinPath(objects_, key); }

  base::Status CheckRoom() {
    ASSIGN_OR_RETURN(const std::uint64_t free_bytes, fs_.FreeBytes(options_.root));
    if (free_bytes < options_.free_bytes_min) {
      return Error{ErrorCode::kExhausted,
                   base::StrCat("objects: only ", free_bytes, " bytes are free, ",
                                options_.free_bytes_min, " must stay")};
    }
    return {};
  }

  // A new folder is durable only when the one above it has been flushed, and so on upwards. Folders
  // that were made durable once are remembered (bounded), so the usual put flushes just one.
  base::Status EnsureFolder(const std::string& folder) {
    {
      const std::lock_guard lock(mutex_);
      if (durable_.contains(folder)) return {};
    }
    RETURN_IF_ERROR(fs_.CreateDirectories(folder));
    for (std::string at = folder; at.size() > options_.root.size(); at = base::FolderOf(at)) {
      RETURN_IF_ERROR(fs_.SyncDirectory(std::string(base::FolderOf(at))));
    }
    const std::lock_guard lock(mutex_);
    if (durable_.size() >= 10'000) durable_.clear();
    durable_.insert(folder);
    return {};
  }

  struct Wanted {
    const std::string& prefix;
    const std::string& after;
    std::size_t limit;
  };

  // Walks in the order of keys and leaves out what lies before: a page costs the folders it
  // touches. '/' sorts among the other characters of a key, so a folder stands where its name with
  // a '/' does.
  base::Status Collect(const std::string& folder, const std::string& key_of_folder,
                       const Wanted& wanted, std::vector<store::ObjectInfo>& found) {
    auto entries = fs_.List(folder);
    if (!entries.ok()) {
      if (entries.error().code == ErrorCode::kNotFound) return {};  // Deleted meanwhile.
      return entries.error();
    }
    for (base::FileInfo& entry : entries.value()) {
      if (!key_of_folder.empty()) entry.name = base::StrCat(key_of_folder, "/", entry.name);
      if (entry.is_directory) entry.name += '/';
    }
    std::sort(entries->begin(), entries->end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    for (base::FileInfo& entry : entries.value()) {
      if (found.size() >= wanted.limit) return {};
      std::string& key = entry.name;
      if (!entry.is_directory) {
        if (key.starts_with(wanted.prefix) && (wanted.after.empty() || key > wanted.after)) {
          found.push_back(
              {.key = std::move(key), .bytes = entry.bytes, .modified = entry.modified});
        }
        continue;
      }
      const std::size_t common = std::min(key.size(), wanted.prefix.size());
      if (key.compare(0, common, wanted.prefix, 0, common) != 0) continue;
      // All that lies below begins with `key`.
      if (key.compare(0, key.size(), wanted.after, 0, key.size()) < 0) continue;
      key.pop_back();
      const std::string below =
          base::JoinPath(folder, std::string_view(key).substr(key.rfind('/') + 1));
      RETURN_IF_ERROR(Collect(below, key, wanted, found));
    }
    return {};
  }

  base::FileSystem& fs_;
  Options options_;
  std::string objects_;
  std::string tmp_;
  const std::string process_ = base::RandomHex(4);  // Two programs may share the folder.
  std::atomic<std::uint64_t> next_{0};
  std::mutex mutex_;
  std::set<std::string> durable_;
};

FolderWriter::~FolderWriter() {
  if (is_committed_) return;
  file_.reset();
  store_.Discard(path_);
}

base::Status FolderWriter::Commit() {
  RETURN_IF_ERROR(file_->Sync());
  RETURN_IF_ERROR(file_->Close());
  RETURN_IF_ERROR(store_.Place(key_, path_));
  is_committed_ = true;
  return {};
}

}  // namespace

base::Result<std::unique_ptr<store::ObjectStore>> OpenObjectStore(base::FileSystem& fs,
                                                                  const Options& options) {
  auto store = std::make_unique<FolderObjectStore>(fs, options);
  RETURN_IF_ERROR(store->Open());
  return std::unique_ptr<store::ObjectStore>(std::move(store));
}

}  // namespace tinysphere::folder
