#include "tinylcm/sync/package_queue.h"

#include <algorithm>
#include <set>

#include "base/crypto.h"
#include "base/text.h"
#include "protocol/package.h"
#include "tinylcm/src/sync/queue_file.h"

namespace tinylcm::sync {

using base::Bytes;
using base::ByteView;
using base::Error;
using base::ErrorCode;
using base::FileInfo;
using base::FileSystem;
using base::Result;
using base::Status;
using base::StrCat;
using protocol::PackageName;

namespace {

constexpr std::string_view kCorruptCode = "corrupt";

std::string KeyOf(const QueuedPackage& package) {
  const std::optional<QueueFileName> name = ParseQueueFileName(package.file);
  CHECK(name.has_value());
  return name->key();
}

bool IsSentBefore(const QueuedPackage& a, const QueuedPackage& b) {
  if (a.package_class != b.package_class) return a.package_class < b.package_class;
  return a.name.seq < b.name.seq;
}

// One entry of a folder as far as it can be read; damaged ones have reason_code "corrupt".
QueuedPackage ReadListed(FileSystem& fs, const std::string& root, QueueFolder folder,
                         const std::string& file) {
  QueuedPackage package;
  const std::string folder_path = FolderPath(root, folder);
  const auto opened = fs.Open(base::JoinPath(folder_path, file));
  Error error;
  if (opened.ok()) {
    Result<QueueHead> head = ReadQueueHead(**opened, file);
    if (head.ok()) {
      package = head->package;
    } else {
      error = head.error();
    }
  } else {
    error = opened.error();
  }
  package.folder = folder;
  package.file = file;
  if (!error.message.empty()) {
    const std::optional<QueueFileName> name = ParseQueueFileName(file);
    if (name) {
      package.package_class = name->package_class;
      package.name.seq = name->seq;
    }
    const Result<FileInfo> info = fs.Stat(base::JoinPath(folder_path, file));
    if (info.ok()) package.bytes = info->bytes;
    package.reason_code = kCorruptCode;
    package.reason = error.message;
  }
  if (folder == QueueFolder::kDead) ReadDeadReason(fs, folder_path, package);
  return package;
}

}  // namespace

const char* Name(QueueFolder folder) {
  switch (folder) {
    case QueueFolder::kQueue:
      return "queue";
    case QueueFolder::kAcked:
      return "acked";
    case QueueFolder::kDead:
      return "dead";
  }
  return "queue";
}

std::uint64_t PackageQueue::Counts::evicted_total() const {
  std::uint64_t total = 0;
  for (const std::uint64_t count : evicted) total += count;
  return total;
}

PackageQueue::PackageQueue(FileSystem& fs, base::Clock& clock, base::Logger& logger,
                           const Options& options, state::TwoCopyRecord record)
    : fs_(fs), clock_(clock), logger_(logger), options_(options), record_(std::move(record)) {}

Result<std::unique_ptr<PackageQueue>> PackageQueue::Open(FileSystem& fs, base::Clock& clock,
                                                         base::Logger& logger,
                                                         const Options& options) {
  for (const QueueFolder folder : {QueueFolder::kQueue, QueueFolder::kAcked, QueueFolder::kDead}) {
    RETURN_IF_ERROR(fs.CreateDirectories(sync::FolderPath(options.folder, folder)));
  }
  RETURN_IF_ERROR(fs.CreateDirectories(base::JoinPath(options.folder, "tmp")));
  const std::string record_path = base::JoinPath(options.folder, "record");
  Result<state::TwoCopyRecord> record = state::TwoCopyRecord::Open(fs, record_path);
  if (!record.ok() && record.error().code == ErrorCode::kCorrupt) {
    // Both copies are damaged. The packages are whole all the same; a new epoch keeps their
    // successors from being mistaken for others.
    logger.Error(StrCat("queue: ", record.error().message, "; a new epoch begins"));
    RETURN_IF_ERROR(base::RemoveTree(fs, record_path + ".a"));
    RETURN_IF_ERROR(base::RemoveTree(fs, record_path + ".b"));
    record = state::TwoCopyRecord::Open(fs, record_path);
  }
  if (!record.ok()) return record.error().Within("queue");
  std::unique_ptr<PackageQueue> queue(
      new PackageQueue(fs, clock, logger, options, std::move(record).value()));
  RETURN_IF_ERROR(queue->Load());
  return queue;
}

Status PackageQueue::Load() {
  const std::lock_guard lock(mutex_);
  // What is in tmp/ was never promised to anyone.
  const auto leftovers = fs_.List(base::JoinPath(options_.folder, "tmp"));
  if (leftovers.ok()) {
    for (const FileInfo& file : *leftovers) {
      static_cast<void>(
          fs_.Remove(base::JoinPath(base::JoinPath(options_.folder, "tmp"), file.name)));
    }
  }
  bool is_new = !record_.value().has_value();
  if (!is_new) {
    const Result<QueueRecord> record = QueueRecord::Parse(*record_.value());
    if (record.ok()) {
      epoch_ = record->epoch;
      next_seq_ = record->next_seq;
      evicted_ = record->evicted;
      set_aside_ = record->set_aside;
    } else {
      logger_.Error(StrCat("queue: ", record.error().message, "; a new epoch begins"));
      is_new = true;
    }
  }
  // A power cut between two folders leaves an entry in both; it had been moved away from queue/.
  LoadFolderLocked(QueueFolder::kDead);
  LoadFolderLocked(QueueFolder::kAcked);
  LoadFolderLocked(QueueFolder::kQueue);
  // The rename that enqueued the last package may have been the last thing that happened.
  next_seq_ = std::max(next_seq_, LastSeqLocked() + 1);
  if (is_new) epoch_ = base::RandomHex(8);

  // A package that was made anew under another name while its old self was still there.
  std::set<std::string> replaced;
  for (const auto& [key, package] : entries_) {
    if (!package.replaces.empty()) replaced.insert(package.replaces);
  }
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const QueuedPackage& package = entry->second;
    if (package.folder == QueueFolder::kQueue && replaced.contains(package.name.id()) &&
        fs_.Remove(PathOf(package.folder, package.file)).ok()) {
      entry = entries_.erase(entry);
    } else {
      ++entry;
    }
  }
  return SaveRecordLocked();
}

void PackageQueue::LoadFolderLocked(QueueFolder folder) {
  const auto files = fs_.List(FolderPath(folder));
  if (!files.ok()) {
    logger_.Error(StrCat("queue: ", files.error().message));
    return;
  }
  for (const FileInfo& file : *files) {
    const std::optional<QueueFileName> name = ParseQueueFileName(file.name);
    if (!name) {
      // Reasons stand beside the dead; whatever else is here is not ours to judge.
      if (folder != QueueFolder::kDead) {
        logger_.Warning(StrCat("queue: ", file.name, ": not a name of ours, left alone"));
      }
      continue;
    }
    if (entries_.contains(name->key())) {
      static_cast<void>(fs_.Remove(PathOf(folder, file.name)));
      continue;
    }
    QueuedPackage package = ReadListed(fs_, options_.folder, folder, file.name);
    if (package.reason_code == kCorruptCode && folder != QueueFolder::kDead) {
      SetAsideLocked(folder, file.name, package.reason);
    } else {
      entries_.emplace(name->key(), std::move(package));
    }
  }
}

// The entry goes to dead/ with its reason. Whatever fails here, nothing else is held up.
void PackageQueue::SetAsideLocked(QueueFolder from, const std::string& file,
                                  const std::string& reason) {
  const std::optional<QueueFileName> name = ParseQueueFileName(file);
  CHECK(name.has_value());
  QueueFileName dead_name = *name;
  dead_name.acked_at.reset();
  QueuedPackage package = ReadListed(fs_, options_.folder, from, file);
  package.folder = QueueFolder::kDead;
  package.file = dead_name.text();
  package.reason_code = kCorruptCode;
  package.reason = reason;
  package.dead_at = clock_.Now();
  logger_.Error(StrCat("queue: ", file, ": set aside: ", reason));
  const std::string target = PathOf(QueueFolder::kDead, package.file);
  static_cast<void>(base::WriteFileDurably(fs_,
                                           PathOf(QueueFolder::kDead, dead_name.key() + ".json"),
                                           base::AsBytes(WriteDeadReason(package))));
  Status moved = fs_.Rename(PathOf(from, file), target);
  if (moved.ok()) moved = fs_.SyncDirectory(FolderPath(QueueFolder::kDead));
  if (moved.ok()) moved = fs_.SyncDirectory(FolderPath(from));
  if (!moved.ok()) logger_.Error(StrCat("queue: ", moved.error().message));
  set_aside_ += 1;
  record_is_stale_ = true;
  newly_set_aside_.push_back(package);
  entries_.insert_or_assign(name->key(), std::move(package));
}

Status PackageQueue::SaveRecordLocked() {
  QueueRecord record;
  record.epoch = epoch_;
  record.next_seq = next_seq_;
  record.evicted = evicted_;
  record.set_aside = set_aside_;
  const Status written = record_.Write(record.Write());
  record_is_stale_ = !written.ok();
  return written;
}

std::string PackageQueue::FolderPath(QueueFolder folder) const {
  return sync::FolderPath(options_.folder, folder);
}

std::string PackageQueue::PathOf(QueueFolder folder, const std::string& file) const {
  return base::JoinPath(FolderPath(folder), file);
}

std::uint64_t PackageQueue::BytesLocked() const {
  std::uint64_t bytes = 0;
  for (const auto& [key, package] : entries_) bytes += package.bytes;
  return bytes;
}

std::uint64_t PackageQueue::LastSeqLocked() const {
  std::uint64_t last = 0;
  for (const auto& [key, package] : entries_) last = std::max(last, package.name.seq);
  return last;
}

// Makes room by one entry; false if nothing may go for a package of this class.
bool PackageQueue::EvictOneLocked(int incoming_class) {
  const auto order = [&](const QueuedPackage& package) {
    // Smaller goes first: acked, then waiting from class 4 down, then dead.
    if (package.folder == QueueFolder::kAcked) return 0;
    if (package.folder == QueueFolder::kDead) return 9;
    return 5 - package.package_class;
  };
  const QueuedPackage* first = nullptr;
  for (const auto& [key, package] : entries_) {
    if (package.folder == QueueFolder::kQueue && package.package_class < incoming_class) continue;
    if (first == nullptr ||
        std::pair(order(package), package.name.seq) < std::pair(order(*first), first->name.seq)) {
      first = &package;
    }
  }
  if (first == nullptr) return false;
  const QueuedPackage victim = *first;
  // Its seq must not be given again, so the record comes first.
  if (record_is_stale_) static_cast<void>(SaveRecordLocked());
  const Status removed = fs_.Remove(PathOf(victim.folder, victim.file));
  if (!removed.ok() && removed.error().code != ErrorCode::kNotFound) {
    logger_.Error(StrCat("queue: ", removed.error().message));
    return false;
  }
  if (victim.folder == QueueFolder::kDead) {
    static_cast<void>(fs_.Remove(PathOf(victim.folder, KeyOf(victim) + ".json")));
  }
  static_cast<void>(fs_.SyncDirectory(FolderPath(victim.folder)));
  entries_.erase(KeyOf(victim));
  if (victim.folder != QueueFolder::kAcked) {
    evicted_[static_cast<std::size_t>(victim.package_class)] += 1;
    record_is_stale_ = true;
    logger_.Warning(StrCat("queue: no room: ", victim.file, " (", victim.type, ") evicted"));
  }
  return true;
}

bool PackageQueue::MakeRoomLocked(std::uint64_t bytes, int incoming_class) {
  while (BytesLocked() + bytes > options_.bytes_max ||
         entries_.size() + 1 > options_.packages_max) {
    if (!EvictOneLocked(incoming_class)) return false;
  }
  return true;
}

Status PackageQueue::WriteEntry(const std::string& temporary, const QueuedPackage& package,
                                ByteView archive) {
  ASSIGN_OR_RETURN(const auto file, fs_.Create(temporary, FileSystem::Mode::kTruncate));
  RETURN_IF_ERROR(file->Append(WriteQueueHead(package)));
  RETURN_IF_ERROR(file->Append(archive));
  RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

Result<PackageName> PackageQueue::Add(const NewPackage& wanted, const Make& make) {
  const std::lock_guard add_lock(add_mutex_);
  QueuedPackage package;
  {
    const std::lock_guard lock(mutex_);
    package.name = {options_.device_id, epoch_, next_seq_};
  }
  package.type = wanted.type;
  package.package_class = protocol::PackageClass(wanted.type);
  package.format = wanted.format;
  package.replaces = wanted.replaces;
  package.created_at = clock_.Now();
  ASSIGN_OR_RETURN(const Bytes archive, make(package.name));
  package.bytes = archive.size();
  package.sha256 = base::Sha256Hex(archive);
  QueueFileName file_name{package.package_class, package.name.seq, std::nullopt};
  package.file = file_name.text();

  const auto no_room_locked = [&]() -> Error {
    evicted_[static_cast<std::size_t>(package.package_class)] += 1;
    record_is_stale_ = true;
    return {ErrorCode::kExhausted,
            StrCat("queue: no room for ", archive.size(), " bytes (", package.type, ")")};
  };
  {
    const std::lock_guard lock(mutex_);
    if (archive.size() > options_.bytes_max ||
        !MakeRoomLocked(archive.size(), package.package_class)) {
      return no_room_locked();
    }
  }

  // A failed sync is believed: that file is given up and made anew, once. A full disk makes room
  // entry by entry.
  const std::string folder = base::JoinPath(options_.folder, "tmp");
  std::string temporary;
  Status written;
  bool tried_anew = false;
  for (int attempt = 0;; ++attempt) {
    temporary = base::JoinPath(folder, StrCat(package.file, ".", attempt));
    written = WriteEntry(temporary, package, archive);
    if (written.ok()) break;
    static_cast<void>(fs_.Remove(temporary));
    if (written.error().code == ErrorCode::kExhausted) {
      const std::lock_guard lock(mutex_);
      if (EvictOneLocked(package.package_class)) continue;
      break;
    }
    if (tried_anew) break;
    tried_anew = true;
  }
  if (!written.ok()) {
    if (written.error().code != ErrorCode::kExhausted) return written.error().Within("queue");
    const std::lock_guard lock(mutex_);
    return no_room_locked();
  }

  const std::lock_guard lock(mutex_);
  const Status renamed = fs_.Rename(temporary, PathOf(QueueFolder::kQueue, package.file));
  if (!renamed.ok()) {
    static_cast<void>(fs_.Remove(temporary));
    return renamed.error().Within("queue");
  }
  const PackageName name = package.name;
  // From here on it may be there after a restart, so the seq is used, whatever comes.
  next_seq_ += 1;
  entries_.emplace(file_name.key(), std::move(package));
  const Status synced = fs_.SyncDirectory(FolderPath(QueueFolder::kQueue));
  const Status saved = SaveRecordLocked();
  if (!saved.ok()) logger_.Error(StrCat("queue: ", saved.error().message));
  if (!synced.ok()) {
    // It will be sent, but a power cut may take it first; the caller is not told it is safe. It is
    // not made again: that would be a second package with the same content.
    logger_.Error(StrCat("queue: ", synced.error().message));
  }
  return name;
}

std::vector<QueuedPackage> PackageQueue::In(QueueFolder folder) const {
  const std::lock_guard lock(mutex_);
  std::vector<QueuedPackage> packages;
  for (const auto& [key, package] : entries_) {
    if (package.folder == folder) packages.push_back(package);
  }
  std::sort(packages.begin(), packages.end(), IsSentBefore);
  return packages;
}

std::vector<QueuedPackage> PackageQueue::Waiting() const { return In(QueueFolder::kQueue); }

Result<QueuedArchive> PackageQueue::OpenArchive(const QueuedPackage& package) {
  ASSIGN_OR_RETURN(auto file, fs_.Open(PathOf(package.folder, package.file)));
  const Result<QueueHead> head = ReadQueueHead(*file, package.file);
  Status status = head.ok() ? CheckArchive(*file, *head) : Status(head.error());
  if (status.ok() && (head->package.sha256 != package.sha256)) {
    status = Error{ErrorCode::kCorrupt, "queue entry: another one stands in its place"};
  }
  if (!status.ok()) {
    // Read errors (a bad sector) are damage, too: what cannot be read cannot be sent.
    const std::lock_guard lock(mutex_);
    SetAsideLocked(package.folder, package.file, status.error().message);
    return Error{ErrorCode::kCorrupt, StrCat(package.file, ": ", status.error().message)};
  }
  return QueuedArchive{std::move(file), head->archive_offset, head->package.bytes};
}

Result<Bytes> PackageQueue::ReadArchive(const QueuedPackage& package) {
  ASSIGN_OR_RETURN(const QueuedArchive archive, OpenArchive(package));
  Bytes bytes(static_cast<std::size_t>(archive.bytes));
  std::size_t read = 0;
  while (read < bytes.size()) {
    ASSIGN_OR_RETURN(
        const std::size_t count,
        archive.file->ReadAt(archive.offset + read, std::span<std::uint8_t>(bytes).subspan(read)));
    if (count == 0) return Error{ErrorCode::kCorrupt, package.file + ": ends too early"};
    read += count;
  }
  return bytes;
}

Status PackageQueue::MoveLocked(const std::string& key, QueueFolder to, const std::string& file) {
  const auto entry = entries_.find(key);
  if (entry == entries_.end()) return {};
  QueuedPackage& package = entry->second;
  if (package.folder == to) return {};
  const QueueFolder from = package.folder;
  const Status renamed = fs_.Rename(PathOf(from, package.file), PathOf(to, file));
  if (!renamed.ok()) {
    if (renamed.error().code == ErrorCode::kNotFound) entries_.erase(entry);
    return renamed.error().Within("queue");
  }
  package.folder = to;
  package.file = file;
  // The new place first: a power cut in between leaves it in both, never in neither.
  RETURN_IF_ERROR(fs_.SyncDirectory(FolderPath(to)));
  return fs_.SyncDirectory(FolderPath(from));
}

Status PackageQueue::MarkAcked(const QueuedPackage& package) {
  const std::lock_guard lock(mutex_);
  std::optional<QueueFileName> name = ParseQueueFileName(package.file);
  CHECK(name.has_value());
  name->acked_at =
      std::chrono::duration_cast<std::chrono::seconds>(clock_.Now().time_since_epoch()).count();
  return MoveLocked(name->key(), QueueFolder::kAcked, name->text());
}

Status PackageQueue::MarkDead(const QueuedPackage& package, const std::string& code,
                              const std::string& reason) {
  const std::lock_guard lock(mutex_);
  const std::string key = KeyOf(package);
  const auto entry = entries_.find(key);
  if (entry == entries_.end()) return {};
  QueuedPackage& dead = entry->second;
  dead.reason_code = code;
  dead.reason = reason;
  dead.dead_at = clock_.Now();
  // The reason first; without it the entry would be there and nobody would know why.
  const Status written = base::WriteFileDurably(fs_, PathOf(QueueFolder::kDead, key + ".json"),
                                                base::AsBytes(WriteDeadReason(dead)));
  if (!written.ok()) logger_.Error(StrCat("queue: ", written.error().message));
  logger_.Error(StrCat("queue: ", package.name.id(), " (", package.type,
                       "): refused for good: ", code, ": ", reason));
  return MoveLocked(key, QueueFolder::kDead, key + std::string(kQueueSuffix));
}

Status PackageQueue::Requeue(const QueuedPackage& package) {
  const std::lock_guard lock(mutex_);
  const std::string key = KeyOf(package);
  RETURN_IF_ERROR(MoveLocked(key, QueueFolder::kQueue, key + std::string(kQueueSuffix)));
  if (package.folder == QueueFolder::kDead) {
    static_cast<void>(fs_.Remove(PathOf(QueueFolder::kDead, key + ".json")));
  }
  const auto entry = entries_.find(key);
  if (entry != entries_.end()) {
    entry->second.reason_code.clear();
    entry->second.reason.clear();
  }
  return {};
}

Status PackageQueue::Remove(const QueuedPackage& package) {
  const std::lock_guard lock(mutex_);
  if (record_is_stale_) RETURN_IF_ERROR(SaveRecordLocked());
  const std::string key = KeyOf(package);
  const auto entry = entries_.find(key);
  if (entry == entries_.end()) return {};
  RETURN_IF_ERROR(fs_.Remove(PathOf(entry->second.folder, entry->second.file)));
  const QueueFolder folder = entry->second.folder;
  entries_.erase(entry);
  return fs_.SyncDirectory(FolderPath(folder));
}

Status PackageQueue::ForkEpoch() {
  const std::lock_guard add_lock(add_mutex_);  // No package is being made under the old one.
  const std::lock_guard lock(mutex_);
  const std::string before = epoch_;
  epoch_ = base::RandomHex(8);
  const Status saved = SaveRecordLocked();
  if (!saved.ok()) {
    epoch_ = before;
    return saved.error().Within("queue");
  }
  logger_.Warning(StrCat("queue: epoch ", before, " is known to the server with other packages; ",
                         epoch_, " begins"));
  return {};
}

std::string PackageQueue::epoch() const {
  const std::lock_guard lock(mutex_);
  return epoch_;
}

void PackageQueue::Refresh() {
  const std::lock_guard lock(mutex_);
  if (record_is_stale_) static_cast<void>(SaveRecordLocked());
  const auto files = fs_.List(FolderPath(QueueFolder::kQueue));
  if (!files.ok()) return;
  for (const FileInfo& file : *files) {
    const std::optional<QueueFileName> name = ParseQueueFileName(file.name);
    if (!name) continue;
    const auto entry = entries_.find(name->key());
    if (entry != entries_.end() && entry->second.folder == QueueFolder::kQueue) continue;
    QueuedPackage package = ReadListed(fs_, options_.folder, QueueFolder::kQueue, file.name);
    if (package.reason_code == kCorruptCode) {
      SetAsideLocked(QueueFolder::kQueue, file.name, package.reason);
    } else {
      entries_.insert_or_assign(name->key(), std::move(package));
    }
  }
  // Acked entries live a while, in case the server loses them.
  const std::int64_t now =
      std::chrono::duration_cast<std::chrono::seconds>(clock_.Now().time_since_epoch()).count();
  const std::int64_t keep =
      std::chrono::duration_cast<std::chrono::seconds>(options_.acked_keep).count();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const QueuedPackage& package = entry->second;
    const std::optional<QueueFileName> name = ParseQueueFileName(package.file);
    const bool is_old = package.folder == QueueFolder::kAcked && name && name->acked_at &&
                        now - *name->acked_at > keep;
    if (is_old && fs_.Remove(PathOf(package.folder, package.file)).ok()) {
      entry = entries_.erase(entry);
    } else {
      ++entry;
    }
  }
}

std::vector<QueuedPackage> PackageQueue::TakeSetAside() {
  const std::lock_guard lock(mutex_);
  return std::exchange(newly_set_aside_, {});
}

PackageQueue::Counts PackageQueue::counts() const {
  const std::lock_guard lock(mutex_);
  Counts counts;
  for (const auto& [key, package] : entries_) {
    counts.bytes += package.bytes;
    if (package.folder == QueueFolder::kQueue) {
      counts.waiting += 1;
      counts.waiting_bytes += package.bytes;
    } else if (package.folder == QueueFolder::kAcked) {
      counts.acked += 1;
    } else {
      counts.dead += 1;
    }
  }
  counts.made = next_seq_ - 1;
  counts.evicted = evicted_;
  counts.set_aside = set_aside_;
  return counts;
}

Result<QueueListing> ListQueue(FileSystem& fs, const std::string& folder) {
  QueueListing listing;
  // A queue that was never opened is empty, and asking must not make one.
  if (!base::Exists(fs, folder)) return listing;
  const Result<state::TwoCopyRecord> record =
      state::TwoCopyRecord::Open(fs, base::JoinPath(folder, "record"));
  if (record.ok() && record->value()) {
    const Result<QueueRecord> parsed = QueueRecord::Parse(*record->value());
    if (parsed.ok()) {
      listing.epoch = parsed->epoch;
      listing.seq_last = parsed->next_seq - 1;
    }
  }
  for (const QueueFolder in : {QueueFolder::kQueue, QueueFolder::kAcked, QueueFolder::kDead}) {
    const auto files = fs.List(FolderPath(folder, in));
    if (!files.ok()) {
      if (files.error().code == ErrorCode::kNotFound) continue;
      return files.error();
    }
    for (const FileInfo& file : *files) {
      if (!ParseQueueFileName(file.name)) continue;
      // The agent may have moved it on since the folder was read.
      if (!base::Exists(fs, base::JoinPath(FolderPath(folder, in), file.name))) continue;
      QueuedPackage package = ReadListed(fs, folder, in, file.name);
      // Seen in both places: it was moved while we looked.
      std::erase_if(listing.packages,
                    [&](const QueuedPackage& other) { return KeyOf(other) == KeyOf(package); });
      listing.packages.push_back(std::move(package));
      listing.seq_last = std::max(listing.seq_last, listing.packages.back().name.seq);
    }
  }
  return listing;
}

Status VerifyQueued(FileSystem& fs, const std::string& folder, const QueuedPackage& package) {
  ASSIGN_OR_RETURN(const auto file,
                   fs.Open(base::JoinPath(FolderPath(folder, package.folder), package.file)));
  ASSIGN_OR_RETURN(const QueueHead head, ReadQueueHead(*file, package.file));
  return CheckArchive(*file, head);
}

Status ExportQueued(FileSystem& fs, const std::string& folder, const QueuedPackage& package,
                    const std::string& path) {
  ASSIGN_OR_RETURN(const auto file,
                   fs.Open(base::JoinPath(FolderPath(folder, package.folder), package.file)));
  ASSIGN_OR_RETURN(const QueueHead head, ReadQueueHead(*file, package.file));
  RETURN_IF_ERROR(CheckArchive(*file, head));
  Bytes archive(static_cast<std::size_t>(head.package.bytes));
  std::size_t read = 0;
  while (read < archive.size()) {
    ASSIGN_OR_RETURN(
        const std::size_t count,
        file->ReadAt(head.archive_offset + read, std::span<std::uint8_t>(archive).subspan(read)));
    if (count == 0) return Error{ErrorCode::kCorrupt, package.file + ": ends too early"};
    read += count;
  }
  return base::WriteFileDurably(fs, path, archive);
}

bool MayHoldPictures(FileSystem& fs, const std::string& folder, const QueuedPackage& package) {
  const auto manifest = [&]() -> Result<protocol::PackageManifest> {
    ASSIGN_OR_RETURN(const auto file,
                     fs.Open(base::JoinPath(FolderPath(folder, package.folder), package.file)));
    ASSIGN_OR_RETURN(const QueueHead head, ReadQueueHead(*file, package.file));
    Bytes archive(static_cast<std::size_t>(head.package.bytes));
    ASSIGN_OR_RETURN(const std::size_t read, file->ReadAt(head.archive_offset, archive));
    archive.resize(read);
    protocol::MemorySource source(archive);
    ASSIGN_OR_RETURN(const auto reader, protocol::SignedArchiveReader::Open(source, {}));
    return protocol::ParsePackageManifest(reader.manifest_bytes());
  }();
  if (!manifest.ok()) return true;
  return std::ranges::any_of(manifest->files, [](const protocol::NamedFile& file) {
    return file.path.starts_with("images/");
  });
}

Status EraseQueued(FileSystem& fs, const std::string& folder, const QueuedPackage& package) {
  const std::string where = FolderPath(folder, package.folder);
  RETURN_IF_ERROR(fs.Remove(base::JoinPath(where, package.file)));
  if (package.folder == QueueFolder::kDead) {
    static_cast<void>(fs.Remove(base::JoinPath(where, KeyOf(package) + ".json")));
  }
  return fs.SyncDirectory(where);
}

Status RequeueDead(FileSystem& fs, const std::string& folder, const QueuedPackage& package) {
  if (package.folder != QueueFolder::kDead) {
    return Error{ErrorCode::kInvalidArgument, package.file + ": not dead"};
  }
  Status whole = VerifyQueued(fs, folder, package);
  if (!whole.ok()) return whole;
  const std::string dead = FolderPath(folder, QueueFolder::kDead);
  const std::string queue = FolderPath(folder, QueueFolder::kQueue);
  RETURN_IF_ERROR(
      fs.Rename(base::JoinPath(dead, package.file), base::JoinPath(queue, package.file)));
  RETURN_IF_ERROR(fs.SyncDirectory(queue));
  RETURN_IF_ERROR(fs.SyncDirectory(dead));
  static_cast<void>(fs.Remove(base::JoinPath(dead, KeyOf(package) + ".json")));
  return {};
}

}  // namespace tinylcm::sync
