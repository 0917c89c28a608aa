#include "tinylcm/source/folder_source.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

namespace {

bool IsPicture(const std::string& name) {
  std::string lower = name;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower.ends_with(".jpg") || lower.ends_with(".jpeg") || lower.ends_with(".png");
}

// The file's bytes, if they begin as a picture does.
base::Result<base::Bytes> ReadPicture(base::FileSystem& fs, const std::string& path,
                                      std::uint64_t bytes_max) {
  ASSIGN_OR_RETURN(base::Bytes bytes, base::ReadFile(fs, path, bytes_max));
  if (const auto size = ReadSize({.bytes = bytes}); !size.ok()) return size.error().Within(path);
  return bytes;
}

}  // namespace

base::Result<std::unique_ptr<FolderSource>> FolderSource::Open(base::FileSystem& fs,
                                                               base::Clock& clock,
                                                               const std::string& folder,
                                                               const Options& options) {
  std::unique_ptr<FolderSource> source(new FolderSource(fs, clock, options));
  ASSIGN_OR_RETURN(const base::FileInfo given, fs.Stat(folder));
  if (!given.is_directory) {
    source->entries_.push_back({folder, ""});
    return source;
  }
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> entries, fs.List(folder));
  for (const base::FileInfo& entry : entries) {
    const std::string path = base::JoinPath(folder, entry.name);
    if (!entry.is_directory) {
      if (IsPicture(entry.name)) source->entries_.push_back({path, ""});
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs.List(path));
    const std::size_t before = source->entries_.size();
    for (const base::FileInfo& file : files) {
      if (!file.is_directory && IsPicture(file.name)) {
        source->entries_.push_back({base::JoinPath(path, file.name), entry.name});
      }
    }
    if (source->entries_.size() > before) source->labels_.push_back(entry.name);
  }
  if (source->entries_.empty()) {
    return Error{ErrorCode::kNotFound, folder + ": no .jpg, .jpeg or .png in it"};
  }
  return source;
}

base::Result<std::optional<Frame>> FolderSource::Next() {
  if (ended()) return std::optional<Frame>();
  const std::size_t index = next_++;
  path_ = entries_[index].path;
  auto bytes = ReadPicture(fs_, path_, options_.file_bytes_max);
  {
    const std::scoped_lock lock(mutex_);
    ++counters_.frames;
    if (!bytes.ok()) ++counters_.skipped;
  }
  if (!bytes.ok()) {
    return bytes.error();
  }
  Frame frame;
  frame.index = index;
  frame.time = clock_.Now();
  frame.picture = std::move(bytes).value();
  frame.label = entries_[index].label;
  return std::optional<Frame>(std::move(frame));
}

WatchedFolder::WatchedFolder(base::FileSystem& fs, base::Clock& clock, base::Logger& logger,
                             const std::string& folder, std::unique_ptr<FolderWatch> watch,
                             const Options& options)
    : fs_(fs),
      clock_(clock),
      logger_(logger),
      folder_(folder),
      watch_(std::move(watch)),
      options_(options) {}

base::Result<std::unique_ptr<WatchedFolder>> WatchedFolder::Open(
    base::FileSystem& fs, base::Clock& clock, base::Logger& logger, const std::string& folder,
    std::unique_ptr<FolderWatch> watch, const Options& options) {
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs.List(folder));
  std::unique_ptr<WatchedFolder> source(
      new WatchedFolder(fs, clock, logger, folder, std::move(watch), options));
  for (const base::FileInfo& file : files) {
    if (!file.is_directory) source->Note(file.name);
  }
  return source;
}

base::Result<std::unique_ptr<WatchedFolder>> WatchedFolder::Open(base::FileSystem& fs,
                                                                 base::Clock& clock,
                                                                 base::Logger& logger,
                                                                 const std::string& folder) {
  ASSIGN_OR_RETURN(const base::FileInfo given, fs.Stat(folder));
  if (!given.is_directory) return Error{ErrorCode::kInvalidArgument, folder + ": is no folder"};
  auto watch = WatchFolder(folder);
  if (!watch.ok()) {
    logger.Warning(base::StrCat("source: ", watch.error().message, "; looking once a second"));
    watch = std::unique_ptr<FolderWatch>(new PollingWatch(fs, clock, folder));
  }
  return Open(fs, clock, logger, folder, std::move(watch).value(), Options{});
}

void WatchedFolder::Note(const std::string& name) {
  if (name.starts_with(".") || name.ends_with(".tmp") || name.ends_with(".part")) return;
  // Still to be read: then what is new will be read with it.
  if (std::find(waiting_.begin(), waiting_.end(), name) != waiting_.end()) return;
  if (waiting_.size() >= options_.waiting_max) {
    waiting_.pop_front();
    Count(&SourceCounters::overflow);
  }
  waiting_.push_back(name);
}

void WatchedFolder::Count(std::uint64_t SourceCounters::* which) {
  const std::scoped_lock lock(mutex_);
  ++(counters_.*which);
}

base::Result<std::optional<Frame>> WatchedFolder::Next() {
  news_.clear();
  const base::Duration wait = waiting_.empty() ? options_.wait : base::Duration(0);
  if (const base::Status taken = watch_->Take(wait, news_); !taken.ok()) {
    logger_.Warning(base::StrCat("source: ", taken.error().message, "; looking once a second"));
    watch_ = std::make_unique<PollingWatch>(fs_, clock_, folder_);
  }
  if (watch_->TakeOverflow()) Count(&SourceCounters::overflow);
  for (const std::string& name : news_) Note(name);
  if (waiting_.empty()) return std::optional<Frame>();

  const std::string path = base::JoinPath(folder_, waiting_.front());
  const bool is_picture = IsPicture(waiting_.front());
  waiting_.pop_front();
  Count(&SourceCounters::frames);
  const std::uint64_t index = index_++;
  auto bytes = is_picture
                   ? ReadPicture(fs_, path, options_.file_bytes_max)
                   : Error{ErrorCode::kInvalidArgument, path + ": is no .jpg, .jpeg or .png"};
  if (!bytes.ok()) {
    Count(&SourceCounters::skipped);
    return bytes.error();
  }
  Frame frame;
  frame.index = index;
  frame.time = clock_.Now();
  frame.picture = std::move(bytes).value();
  return std::optional<Frame>(std::move(frame));
}

SourceCounters WatchedFolder::counters() const {
  const std::scoped_lock lock(mutex_);
  return counters_;
}

}  // namespace tinylcm::source
