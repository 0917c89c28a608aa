#include "tinylcm/source/folder_source.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

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

}  // namespace

base::Result<std::unique_ptr<FolderSource>> FolderSource::Open(base::FileSystem& fs,
                                                               base::Clock& clock,
                                                               const std::string& folder,
                                                               const Options& options) {
  std::unique_ptr<FolderSource> source(new FolderSource(fs, clock, options));
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
  ++counters_.frames;
  auto bytes = base::ReadFile(fs_, path_, options_.file_bytes_max);
  if (!bytes.ok()) {
    ++counters_.skipped;
    return bytes.error();
  }
  Frame frame;
  frame.index = index;
  frame.time = clock_.Now();
  frame.picture = std::move(bytes).value();
  frame.label = entries_[index].label;
  return std::optional<Frame>(std::move(frame));
}

}  // namespace tinylcm::source
