#include "tinysphere/store/packed_objects.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/crypto.h"
#include "base/text.h"

namespace tinysphere::store {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::uint64_t kUnit = 512;  // What a record begins at; also a header's size.
constexpr std::string_view kPackEnd = ".pack";
constexpr std::string_view kMagic = "tinypack/1 ";
constexpr std::size_t kKeyMax = 300;  // So that it fits into a header, and the place into the key.
constexpr std::size_t kBatchMax = 64;
constexpr std::size_t kScanBytes = 64 * 1024;
// A pack that was not written to for so long is written to no more; one that holds nothing and was
// not touched for twice as long is nobody's, whichever process began it.
constexpr base::Duration kPackOpenMax = std::chrono::hours(24);

std::uint64_t RoundUp(std::uint64_t bytes) { return (bytes + kUnit - 1) / kUnit * kUnit; }

struct Place {
  std::string pack;  // 16 hex digits.
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

struct Record {
  std::string key;  // Without the place.
  std::uint64_t bytes = 0;
  base::Time at{};
};

std::string WithPlace(const std::string& key, const Place& place) {
  return base::StrCat(key, "=", place.pack, ".", place.offset / kUnit, ".", place.bytes);
}

// The key as it was asked for, and where it lies; nullopt for a key that says no place.
std::optional<std::pair<std::string, Place>> SplitPlace(const std::string& key) {
  const std::size_t mark = key.rfind('=');
  if (mark == std::string::npos) return std::nullopt;
  const std::vector<std::string_view> parts =
      base::Split(std::string_view(key).substr(mark + 1), '.');
  if (parts.size() != 3 || parts[0].size() != 16 ||
      parts[0].find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return std::nullopt;
  }
  const auto unit = base::ParseInt(parts[1]);
  const auto bytes = base::ParseInt(parts[2]);
  if (!unit.ok() || !bytes.ok() || *unit < 0 || *bytes < 0 || *unit > (1LL << 40)) {
    return std::nullopt;
  }
  return std::pair(key.substr(0, mark), Place{.pack = std::string(parts[0]),
                                              .offset = static_cast<std::uint64_t>(*unit) * kUnit,
                                              .bytes = static_cast<std::uint64_t>(*bytes)});
}

// Over all that a header says and where it stands: a content that looks like a header is none,
// for it cannot know the pack's random name.
std::string Seal(const std::string& pack, std::uint64_t offset, const Record& record) {
  const std::string text = base::StrCat(pack, "\n", offset, "\n", record.bytes, "\n",
                                        record.at.time_since_epoch().count(), "\n", record.key);
  return base::Sha256Hex(base::AsBytes(text)).substr(0, 16);
}

std::string WriteHeader(const std::string& pack, std::uint64_t offset, const Record& record) {
  std::string header = base::StrCat(kMagic, record.bytes, " ", record.at.time_since_epoch().count(),
                                    " ", Seal(pack, offset, record), " ", record.key, "\n");
  CHECK(header.size() <= kUnit);
  header.resize(kUnit, '\0');
  return header;
}

std::optional<Record> ReadHeader(const std::string& pack, std::uint64_t offset,
                                 base::ByteView bytes) {
  const std::string_view text = base::AsText(bytes);
  if (!text.starts_with(kMagic)) return std::nullopt;
  const std::vector<std::string_view> words =
      base::Split(text.substr(kMagic.size(), text.find('\n') - kMagic.size()), ' ');
  if (words.size() != 4) return std::nullopt;
  const auto size = base::ParseInt(words[0]);
  const auto at = base::ParseInt(words[1]);
  if (!size.ok() || !at.ok() || *size < 0) return std::nullopt;
  Record record{.key = std::string(words[3]),
                .bytes = static_cast<std::uint64_t>(*size),
                .at = base::Time(base::Duration(*at))};
  if (Seal(pack, offset, record) != words[2]) return std::nullopt;
  return record;
}

// A content within a pack.
class PackedFile final : public base::ReadableFile {
 public:
  PackedFile(std::unique_ptr<base::ReadableFile> pack, std::uint64_t offset, std::uint64_t bytes)
      : pack_(std::move(pack)), offset_(offset), bytes_(bytes) {}

  std::uint64_t size() const override { return bytes_; }
  base::Result<std::size_t> ReadAt(std::uint64_t offset,
                                   std::span<std::uint8_t> out) const override {
    if (offset >= bytes_) return std::size_t{0};
    const auto wanted =
        static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), bytes_ - offset));
    return pack_->ReadAt(offset_ + offset, out.first(wanted));
  }

 private:
  std::unique_ptr<base::ReadableFile> pack_;
  std::uint64_t offset_;
  std::uint64_t bytes_;
};

class PackedObjects final : public ObjectStore {
 public:
  PackedObjects(std::unique_ptr<ObjectStore> objects, base::FileSystem& fs, base::Clock& clock,
                EraseRange erase, PackOptions options)
      : objects_(std::move(objects)),
        fs_(fs),
        clock_(clock),
        erase_(std::move(erase)),
        options_(std::move(options)) {}

  base::Status Open() { return fs_.CreateDirectories(options_.folder); }

  base::Result<std::string> Keep(const std::string& key, base::ByteView bytes) override {
    RETURN_IF_ERROR(CheckObjectKey(key));
    if (bytes.size() > options_.content_max || key.size() > kKeyMax ||
        !key.starts_with(options_.bucket + "/")) {
      return objects_->Keep(key, bytes);
    }
    Waiting waiting(key, bytes);
    bool writes = false;
    {
      std::unique_lock lock(mutex_);
      waiting_.push_back(&waiting);
      // Whoever comes while nobody writes does it for all that came by then; those that come
      // meanwhile are one of theirs' to write.
      if (!is_writing_) {
        is_writing_ = true;
        waiting.turn = Turn::kWrite;
      }
      waiting.woken.wait(lock, [&] { return waiting.turn != Turn::kWait; });
      writes = waiting.turn == Turn::kWrite;
    }
    if (writes) WriteTheWaiting();
    if (!waiting.status.ok()) return waiting.status.error();
    return WithPlace(key, waiting.place);
  }

  base::Result<std::unique_ptr<base::ReadableFile>> Get(const std::string& key) override {
    if (const auto split = SplitPlace(key)) {
      ASSIGN_OR_RETURN(auto found, Find(split->first, split->second));
      if (found) return found;
    }
    return objects_->Get(key);
  }

  base::Status Delete(const std::string& key) override {
    if (const auto split = SplitPlace(key)) {
      ASSIGN_OR_RETURN(const auto found, Find(split->first, split->second));
      if (found) {
        RETURN_IF_ERROR(erase_(PathOf(split->second.pack), split->second.offset,
                               kUnit + RoundUp(split->second.bytes)));
        const std::lock_guard lock(ahead_mutex_);
        if (ahead_) ahead_->records.erase(key);
        return {};
      }
    }
    return objects_->Delete(key);
  }

  base::Result<bool> Exists(const std::string& key) override {
    if (const auto split = SplitPlace(key)) {
      ASSIGN_OR_RETURN(const auto found, Find(split->first, split->second));
      if (found) return true;
    }
    return objects_->Exists(key);
  }

  base::Result<std::vector<ObjectInfo>> List(const std::string& prefix, const std::string& after,
                                             std::size_t limit) override {
    ASSIGN_OR_RETURN(std::vector<ObjectInfo> found, objects_->List(prefix, after, limit));
    const std::string bucket = options_.bucket + "/";
    const std::size_t common = std::min(bucket.size(), prefix.size());
    if (bucket.compare(0, common, prefix, 0, common) != 0) return found;
    ASSIGN_OR_RETURN(const std::vector<ObjectInfo> packed, ListPacked(prefix, after, limit));
    std::vector<ObjectInfo> all;
    std::merge(found.begin(), found.end(), packed.begin(), packed.end(), std::back_inserter(all),
               [](const auto& a, const auto& b) { return a.key < b.key; });
    if (all.size() < limit && !all.empty()) EndListing(all.back().key);
    if (all.size() > limit) all.resize(limit);
    return all;
  }

  base::Result<std::unique_ptr<ObjectWriter>> Put(const std::string& key) override {
    return objects_->Put(key);
  }
  base::Status Adopt(const std::string& key, const std::string& path) override {
    return objects_->Adopt(key, path);
  }
  base::Status Check() override { return objects_->Check(); }
  base::Result<std::optional<std::string>> Presign(const std::string& key, Presigned what,
                                                   base::Duration life) override {
    return objects_->Presign(key, what, life);
  }

 private:
  enum class Turn { kWait, kWrite, kDone };
  struct Waiting {
    Waiting(const std::string& k, base::ByteView b) : key(k), bytes(b) {}
    const std::string& key;
    base::ByteView bytes;
    Place place{};
    base::Status status{};
    Turn turn = Turn::kWait;
    std::condition_variable woken;
  };

  // How far a pack was read.
  struct Read {
    std::uint64_t bytes = 0;  // Its size then.
    std::uint64_t end = 0;    // What comes later begins here.
    bool is_empty = true;     // Nothing is in it, other than what a crash tore at its end.
  };

  // The next records of a listing, so that not every page reads all packs.
  struct Ahead {
    std::string prefix;
    std::string after;                          // All records behind it are here,
    bool is_all = true;                         // or as many as fit: up to the last of `records`.
    std::map<std::string, ObjectInfo> records;  // By key.
    std::map<std::string, Read> packs;
  };

  std::string PathOf(const std::string& pack) const {
    return base::JoinPath(options_.folder, base::StrCat(pack, kPackEnd));
  }

  // Writes what waits, the caller's own among it, and hands the turn on.
  void WriteTheWaiting() {
    std::vector<Waiting*> batch;
    {
      const std::lock_guard lock(mutex_);
      const std::size_t count = std::min(waiting_.size(), kBatchMax);
      batch.assign(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(count));
    }
    const base::Status written = WriteBatch(batch);
    if (!written.ok()) {
      for (Waiting* waiting : batch) waiting->status = written;
    }
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      is_writing_ = false;
    } else {
      waiting_.front()->turn = Turn::kWrite;
      waiting_.front()->woken.notify_one();
    }
    for (Waiting* waiting : batch) {
      // The one that wrote is this thread's.
      if (waiting->turn == Turn::kWrite) continue;
      waiting->turn = Turn::kDone;
      waiting->woken.notify_one();
    }
  }

  // One flush for all of them. After any failure the pack is left as it is and another begun: what
  // a failed flush left on the disk is not known.
  base::Status WriteBatch(const std::vector<Waiting*>& batch) {
    ASSIGN_OR_RETURN(const std::uint64_t free_bytes, fs_.FreeBytes(options_.folder));
    if (free_bytes < options_.free_bytes_min) {
      return Error{ErrorCode::kExhausted,
                   base::StrCat("objects: only ", free_bytes, " bytes are free, ",
                                options_.free_bytes_min, " must stay")};
    }
    const base::Status written = Append(batch);
    if (!written.ok()) file_.reset();
    return written;
  }

  base::Status Append(const std::vector<Waiting*>& batch) {
    const base::Time now = clock_.Now();
    const bool is_stale = now < written_at_ || now - written_at_ > kPackOpenMax;
    if (!file_ || offset_ >= options_.pack_bytes || is_stale) {
      file_.reset();
      pack_ = base::RandomHex(8);
      ASSIGN_OR_RETURN(file_, fs_.Create(PathOf(pack_), base::FileSystem::Mode::kExclusive));
      RETURN_IF_ERROR(fs_.SyncDirectory(options_.folder));
      offset_ = 0;
      padding_ = 0;
    }
    written_at_ = now;
    for (Waiting* waiting : batch) {
      const Record record{.key = waiting->key, .bytes = waiting->bytes.size(), .at = now};
      waiting->place = {.pack = pack_, .offset = offset_, .bytes = record.bytes};
      // What the record before left of its last unit, and this one's header, in one write.
      std::string lead(padding_, '\0');
      lead += WriteHeader(pack_, offset_, record);
      RETURN_IF_ERROR(file_->Append(base::AsBytes(lead)));
      RETURN_IF_ERROR(file_->Append(waiting->bytes));
      const std::uint64_t rounded = RoundUp(record.bytes);
      padding_ = static_cast<std::size_t>(rounded - record.bytes);
      offset_ += kUnit + rounded;
    }
    return file_->Sync();
  }

  // Null where there is no such record.
  base::Result<std::unique_ptr<base::ReadableFile>> Find(const std::string& key,
                                                         const Place& place) const {
    auto file = fs_.Open(PathOf(place.pack));
    if (!file.ok()) {
      if (file.error().code == ErrorCode::kNotFound) return std::unique_ptr<base::ReadableFile>();
      return file.error();
    }
    std::array<std::uint8_t, kUnit> header;
    ASSIGN_OR_RETURN(const std::size_t got, (*file)->ReadAt(place.offset, header));
    if (got < kUnit) return std::unique_ptr<base::ReadableFile>();
    const auto record = ReadHeader(place.pack, place.offset, header);
    if (!record || record->key != key || record->bytes != place.bytes ||
        !IsWhole(place.offset, place.bytes, (*file)->size())) {
      return std::unique_ptr<base::ReadableFile>();
    }
    return std::unique_ptr<base::ReadableFile>(
        std::make_unique<PackedFile>(std::move(*file), place.offset + kUnit, place.bytes));
  }

  // Not while it is being written, and never if a crash tore it.
  static bool IsWhole(std::uint64_t offset, std::uint64_t bytes, std::uint64_t pack_bytes) {
    return offset + kUnit <= pack_bytes && bytes <= pack_bytes - offset - kUnit;
  }

  // Every whole record of a pack from `read.end` on, whatever stands between them: what was
  // deleted, what a crash left.
  base::Status Scan(const std::string& pack, Read& read,
                    const std::function<void(const Record&, std::uint64_t offset)>& see) const {
    auto file = fs_.Open(PathOf(pack));
    if (!file.ok()) {
      if (file.error().code == ErrorCode::kNotFound) return {};
      return file.error();
    }
    read.bytes = (*file)->size();
    base::Bytes window(kScanBytes);
    std::uint64_t window_at = 0;
    std::size_t window_bytes = 0;
    std::size_t wanted = kUnit;
    while (read.end + kUnit <= read.bytes) {
      if (read.end < window_at || read.end + kUnit > window_at + window_bytes) {
        window_at = read.end;
        ASSIGN_OR_RETURN(window_bytes, (*file)->ReadAt(read.end, std::span(window).first(wanted)));
        if (window_bytes < kUnit) return {};
      }
      const base::ByteView header =
          base::ByteView(window).subspan(static_cast<std::size_t>(read.end - window_at), kUnit);
      const auto record = ReadHeader(pack, read.end, header);
      // Packs only grow: what reaches past the end is the last, and may be whole the next time.
      if (record && !IsWhole(read.end, record->bytes, read.bytes)) return {};
      if (record) see(*record, read.end);
      if (record ||
          std::any_of(header.begin(), header.end(), [](auto byte) { return byte != 0; })) {
        read.is_empty = false;
      }
      read.end += kUnit + (record ? RoundUp(record->bytes) : 0);
      // Of large contents the headers alone; of small ones and of holes many at once.
      wanted = record && record->bytes >= kScanBytes / 4 ? kUnit : kScanBytes;
    }
    return {};
  }

  // Takes what the packs have got since `ahead` was read; all of it the first time.
  base::Status ReadOn(Ahead& ahead, std::size_t records_max) const {
    ASSIGN_OR_RETURN(const auto files, fs_.List(options_.folder));
    for (const base::FileInfo& file : files) {
      if (!file.name.ends_with(kPackEnd)) continue;
      const std::string pack = file.name.substr(0, file.name.size() - kPackEnd.size());
      const auto [at, is_new] = ahead.packs.try_emplace(pack);
      Read& read = at->second;
      if (!is_new && read.bytes == file.bytes) continue;
      RETURN_IF_ERROR(Scan(pack, read, [&](const Record& record, std::uint64_t offset) {
        std::string key =
            WithPlace(record.key, {.pack = pack, .offset = offset, .bytes = record.bytes});
        if (key <= ahead.after || !key.starts_with(ahead.prefix)) return;
        if (!ahead.is_all && (ahead.records.empty() || key > ahead.records.rbegin()->first)) return;
        ahead.records[key] = {.key = key, .bytes = record.bytes, .modified = record.at};
        if (ahead.records.size() <= records_max) return;
        ahead.records.erase(std::prev(ahead.records.end()));
        ahead.is_all = false;
      }));
      if (is_new && read.is_empty && clock_.Now() - file.modified > 2 * kPackOpenMax) {
        // What cannot be removed here (an export that may only read) the server removes.
        (void)fs_.Remove(PathOf(pack)).ok();
      }
    }
    return {};
  }

  // The first page of a listing reads all packs; those that follow take what it read ahead, so long
  // as that lasts, and what was kept meanwhile.
  base::Result<std::vector<ObjectInfo>> ListPacked(const std::string& prefix,
                                                   const std::string& after, std::size_t limit) {
    const std::lock_guard lock(ahead_mutex_);
    const std::size_t records_max = std::max(limit, options_.listed_ahead);
    std::vector<ObjectInfo> page;
    const bool goes_on =
        ahead_ && !after.empty() && ahead_->prefix == prefix && after >= ahead_->after;
    for (bool is_afresh = !goes_on;; is_afresh = true) {
      if (is_afresh) ahead_ = Ahead{.prefix = prefix, .after = after, .records = {}, .packs = {}};
      if (const base::Status read = ReadOn(*ahead_, records_max); !read.ok()) {
        ahead_.reset();
        return read.error();
      }
      // A walk does not come back.
      ahead_->records.erase(ahead_->records.begin(), ahead_->records.upper_bound(after));
      ahead_->after = after;
      if (is_afresh || ahead_->is_all || ahead_->records.size() >= limit) break;
    }
    for (const auto& [key, info] : ahead_->records) {
      if (page.size() == limit) break;
      page.push_back(info);
    }
    return page;
  }

  // After the last page only how far the packs were read is kept, for who asks once more.
  void EndListing(const std::string& last) {
    const std::lock_guard lock(ahead_mutex_);
    if (!ahead_ || !ahead_->is_all || last < ahead_->after) return;
    ahead_->records.erase(ahead_->records.begin(), ahead_->records.upper_bound(last));
    ahead_->after = last;
  }

  std::unique_ptr<ObjectStore> objects_;
  base::FileSystem& fs_;
  base::Clock& clock_;
  EraseRange erase_;
  const PackOptions options_;

  std::mutex mutex_;
  std::vector<Waiting*> waiting_;  // At most one a calling thread.
  bool is_writing_ = false;

  // Whose turn it is to write.
  std::unique_ptr<base::WritableFile> file_;
  std::string pack_;
  std::uint64_t offset_ = 0;
  std::size_t padding_ = 0;
  base::Time written_at_{};

  std::mutex ahead_mutex_;
  std::optional<Ahead> ahead_;  // Of the listing that was asked for last.
};

}  // namespace

base::Result<std::unique_ptr<ObjectStore>> PackObjects(std::unique_ptr<ObjectStore> objects,
                                                       base::FileSystem& fs, base::Clock& clock,
                                                       EraseRange erase,
                                                       const PackOptions& options) {
  auto packed =
      std::make_unique<PackedObjects>(std::move(objects), fs, clock, std::move(erase), options);
  RETURN_IF_ERROR(packed->Open());
  return std::unique_ptr<ObjectStore>(std::move(packed));
}

}  // namespace tinysphere::store
