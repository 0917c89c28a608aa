#include "tinylcm/datalog/datalog.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace tinylcm::datalog {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::size_t kBundlesKept = 16;  // Records wait for a second at most.

struct Named {
  std::uint64_t number = 0;
  std::optional<Format> format;  // Nothing: pictures.
};

// "00000012.jsonl"
std::optional<Named> ParseName(std::string_view name) {
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const auto number = base::ParseInt(name.substr(0, dot));
  if (!number.ok() || *number < 0) return std::nullopt;
  Named named{.number = static_cast<std::uint64_t>(*number), .format = std::nullopt};
  const std::string_view ending = name.substr(dot);
  if (ending == kPicturesEnding) return named;
  for (const Format format : {Format::kJsonl, Format::kCsv, Format::kBinary}) {
    if (ending != Ending(format)) continue;
    named.format = format;
    return named;
  }
  return std::nullopt;
}

void CutFront(std::string& buffer, std::vector<std::size_t>& ends, std::size_t bytes) {
  buffer.erase(0, bytes);
  std::erase_if(ends, [&](std::size_t end) { return end <= bytes; });
  for (std::size_t& end : ends) end -= bytes;
}

}  // namespace

Datalog::Datalog(base::FileSystem& fs, std::string folder, const Options& options)
    : fs_(&fs),
      folder_(std::move(folder)),
      options_(options),
      encoder_(MakeEncoder(options.format)) {
  options_.file_bytes_max = std::min(options.file_bytes_max, options.bytes_max / 4);
}

Result<Datalog> Datalog::Open(base::FileSystem& fs, const std::string& folder,
                              const Options& options) {
  RETURN_IF_ERROR(fs.CreateDirectories(folder));
  Datalog log(fs, folder, options);
  ASSIGN_OR_RETURN(const auto entries, fs.List(folder));
  for (const base::FileInfo& entry : entries) {
    const auto named = ParseName(entry.name);
    if (!named) continue;
    const Kind kind = named->format ? kLines : kPictures;
    log.files_.push_back({named->number, kind, entry.name, entry.bytes});
    log.bytes_[kind] += entry.bytes;
    log.next_ = std::max(log.next_, named->number + 1);
  }
  std::ranges::sort(log.files_, {}, &File::number);
  return log;
}

void Datalog::SetBundle(BundleLabels bundle) {
  const std::uint32_t generation = bundle.generation;
  BundleLabels& kept = bundles_[generation] = std::move(bundle);
  Stream& lines = streams_[kLines];
  if (lines.file != nullptr) {
    const std::size_t before = lines.buffer.size();
    encoder_->AddBundle(kept, lines.buffer);
    if (lines.buffer.size() > before) lines.ends.push_back(lines.buffer.size());
  }
  if (bundles_.size() > kBundlesKept) bundles_.erase(bundles_.begin());
}

std::string_view Datalog::LabelOf(const Record& record) const {
  const auto found = bundles_.find(record.bundle);
  if (found == bundles_.end() || record.label >= found->second.labels.size()) return "unknown";
  return found->second.labels[record.label];
}

std::string_view Datalog::BundleOf(const Record& record) const {
  const auto found = bundles_.find(record.bundle);
  return found == bundles_.end() ? std::string_view() : found->second.bundle;
}

bool Datalog::Append(const Record& record) {
  std::string& buffer = streams_[kLines].buffer;
  if (buffer.size() >= options_.buffer_bytes_max) {
    ++dropped_lines_;
    return false;
  }
  encoder_->Append(record, LabelOf(record), buffer);
  streams_[kLines].ends.push_back(buffer.size());
  return true;
}

bool Datalog::AppendPicture(const Record& record, ImageReason reason, base::ByteView jpeg) {
  std::string& buffer = streams_[kPictures].buffer;
  if (buffer.size() + jpeg.size() > options_.picture_bytes_max) {
    ++dropped_pictures_;
    return false;
  }
  AppendPictureEntry(record.index, reason, record.time, jpeg, buffer);
  streams_[kPictures].ends.push_back(buffer.size());
  return true;
}

Datalog::File& Datalog::Current(Kind kind) {
  const auto found = std::ranges::find(files_, streams_[kind].number, &File::number);
  CHECK(found != files_.end());
  return *found;
}

Status Datalog::BeginFile(Kind kind) {
  const std::string digits = std::to_string(next_);
  const std::string name =
      StrCat(std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0'), digits,
             kind == kLines ? std::string_view(Ending(options_.format)) : kPicturesEnding);
  const std::string path = base::JoinPath(folder_, name);
  ASSIGN_OR_RETURN(auto file, fs_->Create(path, base::FileSystem::Mode::kExclusive, true));
  std::string head;
  if (kind == kLines) {
    encoder_->Begin(head);
    for (const auto& [generation, bundle] : bundles_) encoder_->AddBundle(bundle, head);
  }
  if (!head.empty()) {
    const Status written = file->Append(base::AsBytes(head));
    if (!written.ok()) {
      // Without its head nobody could read it; and no second of a full disk leaves a file behind.
      file.reset();
      static_cast<void>(fs_->Remove(path));
      return written;
    }
  }
  streams_[kind].file = std::move(file);
  streams_[kind].number = next_;
  files_.push_back({next_, kind, name, head.size()});
  bytes_[kind] += head.size();
  ++next_;
  return {};
}

Status Datalog::EndFile(Kind kind) {
  Stream& stream = streams_[kind];
  if (stream.file == nullptr) return {};
  const Status synced = stream.file->Sync();
  const Status closed = stream.file->Close();
  stream.file.reset();
  RETURN_IF_ERROR(synced);
  return closed;
}

void Datalog::Evict() {
  while (bytes() > options_.bytes_max) {
    const Kind first = bytes_[kPictures] > options_.bytes_max / 2 ? kPictures : kLines;
    const Kind second = first == kLines ? kPictures : kLines;
    const auto oldest = [&](Kind kind) {
      return std::ranges::find_if(files_, [&](const File& file) {
        const Stream& stream = streams_[kind];
        return file.kind == kind && (stream.file == nullptr || file.number != stream.number);
      });
    };
    auto found = oldest(first);
    if (found == files_.end()) found = oldest(second);
    if (found == files_.end()) return;
    if (!fs_->Remove(base::JoinPath(folder_, found->name)).ok()) return;
    bytes_[found->kind] -= found->bytes;
    ++evicted_files_;
    files_.erase(found);
  }
}

// The next flush begins a file of its own, so what is left of an entry begun in this one is of no
// use to anybody.
void Datalog::GiveUpFile(Kind kind) {
  Stream& stream = streams_[kind];
  stream.file.reset();
  if (!std::exchange(stream.is_torn, false)) return;
  CutFront(stream.buffer, stream.ends, stream.ends.front());
  ++(kind == kLines ? dropped_lines_ : dropped_pictures_);
}

// A full disk takes the first part of a write: the next flush goes on behind it, in the same file,
// so that no line is there twice and no second leaves a file behind.
void Datalog::KeepWhatIsMissing(Kind kind) {
  Stream& stream = streams_[kind];
  File& last = Current(kind);
  const auto info = fs_->Stat(base::JoinPath(folder_, last.name));
  if (!info.ok() || info->bytes < last.bytes || info->bytes - last.bytes > stream.buffer.size()) {
    GiveUpFile(kind);  // Not to be known: the file is left and a new one begun.
    return;
  }
  const std::uint64_t taken = info->bytes - last.bytes;
  if (taken > 0) {
    stream.is_torn = !std::ranges::binary_search(stream.ends, taken);
    CutFront(stream.buffer, stream.ends, static_cast<std::size_t>(taken));
  }
  last.bytes += taken;
  bytes_[kind] += taken;
}

Status Datalog::FlushStream(Kind kind) {
  Stream& stream = streams_[kind];
  if (stream.buffer.empty()) return {};
  if (stream.file != nullptr && !stream.is_torn && Current(kind).bytes >= options_.file_bytes_max) {
    RETURN_IF_ERROR(EndFile(kind));
  }
  if (stream.file == nullptr) RETURN_IF_ERROR(BeginFile(kind));
  const Status appended = stream.file->Append(base::AsBytes(stream.buffer));
  if (!appended.ok()) {
    KeepWhatIsMissing(kind);
    return appended;
  }
  Current(kind).bytes += stream.buffer.size();
  bytes_[kind] += stream.buffer.size();
  stream.buffer.clear();
  stream.ends.clear();
  stream.is_torn = false;
  return {};
}

Status Datalog::Flush() {
  const Status lines = FlushStream(kLines);
  const Status pictures = FlushStream(kPictures);
  Evict();
  const Status& failed = lines.ok() ? pictures : lines;
  last_error_ = failed.ok() ? "" : failed.error().message;
  if (failed.ok()) return {};
  return failed.error().Within("datalog");
}

Status Datalog::Close() {
  const Status flushed = Flush();
  const Status lines = EndFile(kLines);
  const Status pictures = EndFile(kPictures);
  RETURN_IF_ERROR(flushed);
  RETURN_IF_ERROR(lines);
  return pictures;
}

Result<std::vector<LogFile>> ListLog(base::FileSystem& fs, const std::string& folder) {
  ASSIGN_OR_RETURN(const auto entries, fs.List(folder));
  std::vector<std::pair<std::uint64_t, LogFile>> found;
  for (const base::FileInfo& entry : entries) {
    const auto named = ParseName(entry.name);
    if (!named) continue;
    found.push_back(
        {named->number, {base::JoinPath(folder, entry.name), entry.bytes, named->format}});
  }
  std::ranges::sort(found, {}, [](const auto& file) { return file.first; });
  std::vector<LogFile> files;
  for (auto& [number, file] : found) files.push_back(std::move(file));
  return files;
}

Result<LogFile> LogFileAt(base::FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(const base::FileInfo info, fs.Stat(path));
  LogFile file{path, info.bytes, std::nullopt};
  if (path.ends_with(kPicturesEnding)) return file;
  for (const Format format : {Format::kJsonl, Format::kCsv, Format::kBinary}) {
    if (!path.ends_with(Ending(format))) continue;
    file.format = format;
    return file;
  }
  return Error{ErrorCode::kInvalidArgument,
               StrCat(path, ": no log: .jsonl, .csv, .tlog or .tar is asked")};
}

}  // namespace tinylcm::datalog
