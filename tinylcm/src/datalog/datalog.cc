#include "tinylcm/datalog/datalog.h"

#include <utility>

#include "base/text.h"

namespace tinylcm::datalog {

using base::Result;
using base::Status;

Result<Datalog> Datalog::Open(base::FileSystem& fs, const std::string& folder,
                              const Options& options) {
  RETURN_IF_ERROR(fs.CreateDirectories(folder));
  Datalog log(fs, folder, options);
  ASSIGN_OR_RETURN(const auto entries, fs.List(folder));
  for (const base::FileInfo& entry : entries) {
    if (!entry.name.ends_with(".jsonl")) continue;
    const auto number =
        base::ParseInt(std::string_view(entry.name).substr(0, entry.name.size() - 6));
    if (!number.ok() || *number < 0) continue;
    log.files_.push_back({entry.name, entry.bytes});
    log.bytes_ += entry.bytes;
    log.next_ = static_cast<std::uint64_t>(*number) + 1;
  }
  return log;
}

bool Datalog::Append(std::string_view line) {
  if (buffer_.size() + line.size() + 1 > options_.buffer_bytes_max) {
    ++dropped_lines_;
    return false;
  }
  buffer_ += line;
  buffer_ += '\n';
  return true;
}

Status Datalog::BeginFile() {
  const std::string digits = std::to_string(next_);
  const std::string name =
      std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits + ".jsonl";
  ASSIGN_OR_RETURN(file_,
                   fs_->Create(base::JoinPath(folder_, name), base::FileSystem::Mode::kExclusive));
  ++next_;
  files_.push_back({name, 0});
  return {};
}

void Datalog::Evict() {
  while (bytes_ > options_.bytes_max && files_.size() > 1) {
    const File& oldest = files_.front();
    if (!fs_->Remove(base::JoinPath(folder_, oldest.name)).ok()) return;
    bytes_ -= oldest.bytes;
    ++evicted_files_;
    files_.pop_front();
  }
}

// A full disk takes the first part of a write: the next flush goes on behind it, in the same file,
// so that no line is there twice and no second leaves a file behind.
void Datalog::KeepWhatIsMissing() {
  File& last = files_.back();
  const auto info = fs_->Stat(base::JoinPath(folder_, last.name));
  if (!info.ok() || info->bytes < last.bytes || info->bytes - last.bytes > buffer_.size()) {
    file_.reset();  // Not to be known: the file is left and a new one begun.
    return;
  }
  const std::uint64_t taken = info->bytes - last.bytes;
  buffer_.erase(0, static_cast<std::size_t>(taken));
  last.bytes += taken;
  bytes_ += taken;
}

Status Datalog::Flush() {
  if (buffer_.empty()) return {};
  if (file_ != nullptr && files_.back().bytes >= options_.file_bytes_max) {
    const Status closed = file_->Close();
    file_.reset();
    RETURN_IF_ERROR(closed);
  }
  if (file_ == nullptr) RETURN_IF_ERROR(BeginFile());
  const Status appended = file_->Append(base::AsBytes(buffer_));
  if (!appended.ok()) {
    KeepWhatIsMissing();
    return appended.error().Within("datalog");
  }
  files_.back().bytes += buffer_.size();
  bytes_ += buffer_.size();
  buffer_.clear();
  Evict();
  return {};
}

Status Datalog::Close() {
  RETURN_IF_ERROR(Flush());
  if (file_ == nullptr) return {};
  RETURN_IF_ERROR(file_->Sync());
  const Status closed = file_->Close();
  file_.reset();
  return closed;
}

}  // namespace tinylcm::datalog
