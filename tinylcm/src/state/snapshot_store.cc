#include "tinylcm/state/snapshot_store.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>

#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "tinylcm/src/state/wire.h"

namespace tinylcm::state {

using base::Bytes;
using base::ByteView;
using base::Error;
using base::ErrorCode;
using base::Json;
using base::JsonReader;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::array<std::uint8_t, 4> kMagic = {'T', 'L', 'C', 'S'};
constexpr std::uint32_t kInline = 1;  // The blobs follow the header, as earlier versions wrote it.
constexpr std::uint32_t kShared = 2;  // They lie in blobs/.
constexpr std::string_view kFormats[] = {"", "tinylcm-snapshot/1", "tinylcm-snapshot/2"};
constexpr std::string_view kSuffix = ".tls";
constexpr std::string_view kBlobs = "blobs";
constexpr std::uint64_t kFileBytesMax = 256ull << 20;
constexpr std::size_t kHeaderBytesMax = 1u << 20;

std::string IdOf(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  return "s-" + std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits;
}

// "s-00000012" -> 12.
std::optional<std::uint64_t> NumberOf(std::string_view id) {
  if (!id.starts_with("s-") || id.size() < 10 || id.size() > 20) return std::nullopt;
  const std::string_view digits = id.substr(2);
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  const Result<std::int64_t> number = base::ParseInt(digits);
  if (!number.ok()) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

std::optional<std::uint64_t> NumberOfFile(std::string_view name) {
  if (!name.ends_with(kSuffix)) return std::nullopt;
  return NumberOf(name.substr(0, name.size() - kSuffix.size()));
}

Error Damaged(const std::string& id, std::string_view what) {
  return {ErrorCode::kCorrupt, StrCat("snapshot ", id, ": ", what)};
}

struct Opened {
  SnapshotInfo info;
  std::uint32_t version = 0;
  std::size_t blobs_begin = 0;  // kInline: where the first blob lies.
};

// A digest names a file: nothing else may.
bool IsDigest(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// `bytes`: the file, or as much of it as holds the header.
Result<Opened> ReadHeader(const std::string& id, ByteView bytes, std::uint64_t file_bytes) {
  WireReader reader(bytes);
  const ByteView magic = reader.Raw(kMagic.size());
  const std::uint32_t version = reader.U32();
  const ByteView header = reader.Blob();
  const std::size_t covered = reader.position();
  const std::uint32_t crc = reader.U32();
  if (!reader.ok() || !std::equal(magic.begin(), magic.end(), kMagic.begin())) {
    return Damaged(id, "header: not a snapshot, or cut short");
  }
  if (version != kInline && version != kShared) {
    return Error{ErrorCode::kUnsupported, StrCat("snapshot ", id, ": version ", version)};
  }
  if (crc != base::Crc32c(bytes.first(covered))) return Damaged(id, "header: CRC differs");

  Result<Json> json = Json::Parse(base::AsText(header));
  if (!json.ok()) return Damaged(id, "header: " + json.error().message);
  JsonReader fields(*json, StrCat("snapshot ", id, ": header"));
  Opened opened;
  opened.version = version;
  const std::string format = fields.String("format");
  opened.info.id = fields.String("id");
  opened.info.reason = fields.String("reason");
  const std::string created = fields.String("created");
  if (version == kShared) opened.info.is_proven = fields.Bool("proven");
  std::uint64_t blob_bytes = 0;
  bool are_digests = true;
  for (JsonReader blob : fields.Array("blobs", 10'000)) {
    BlobInfo info;
    info.name = blob.String("name");
    info.bytes = static_cast<std::uint64_t>(
        blob.Int("bytes", {.min = 0, .max = static_cast<std::int64_t>(kFileBytesMax)}));
    info.sha256 = blob.String("sha256");
    are_digests &= IsDigest(info.sha256);
    blob_bytes += info.bytes;
    opened.info.blobs.push_back(std::move(info));
  }
  if (!fields.status().ok()) return Damaged(id, fields.status().error().message);
  const Result<base::Time> time = base::ParseTime(created);
  if (format != kFormats[version] || !time.ok() || !are_digests)
    return Damaged(id, "header: wrong format");
  if (opened.info.id != id) return Damaged(id, StrCat("header says ", opened.info.id));
  opened.info.created = *time;
  opened.blobs_begin = reader.position();
  opened.info.bytes = opened.blobs_begin + blob_bytes;
  const std::uint64_t expected = version == kInline ? opened.info.bytes : opened.blobs_begin;
  if (expected != file_bytes) {
    return Damaged(id, StrCat(file_bytes, " bytes, ", expected, " expected"));
  }
  return opened;
}

}  // namespace

Result<SnapshotStore> SnapshotStore::Open(base::FileSystem& fs, const std::string& folder,
                                          const Options& options) {
  if (options.snapshots_max < 1) {
    return Error{ErrorCode::kInvalidArgument, "snapshots: snapshots_max must be at least 1"};
  }
  RETURN_IF_ERROR(fs.CreateDirectories(folder));
  SnapshotStore store(fs, folder, options);
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs.List(folder));
  for (const base::FileInfo& file : files) {
    // Damaged ones count too: their number is not given to another.
    if (const auto number = NumberOfFile(file.name)) {
      store.next_ = std::max(store.next_, *number + 1);
    } else if (file.name.ends_with(".tmp")) {
      RETURN_IF_ERROR(fs.Remove(base::JoinPath(folder, file.name)));
    }
  }
  return store;
}

SnapshotStore SnapshotStore::ToRead(base::FileSystem& fs, const std::string& folder) {
  return SnapshotStore(fs, folder, Options());
}

std::string SnapshotStore::PathOf(const std::string& id) const {
  return base::JoinPath(folder_, id + std::string(kSuffix));
}

std::string SnapshotStore::PathOfBlob(const std::string& sha256) const {
  return base::JoinPath(base::JoinPath(folder_, kBlobs), sha256);
}

// One that is there and whole is not written again; one that is there and damaged is mended.
Status SnapshotStore::KeepBlob(const std::string& sha256, ByteView bytes) {
  const std::string path = PathOfBlob(sha256);
  const Result<base::FileInfo> there = fs_->Stat(path);
  if (there.ok() && there->bytes == bytes.size()) {
    const Result<Bytes> held = base::ReadFile(*fs_, path, bytes.size());
    if (held.ok() && std::ranges::equal(*held, bytes)) return {};
  }
  return base::WriteFileDurably(*fs_, path, bytes);
}

Result<std::string> SnapshotStore::Save(base::Time now, const std::string& reason,
                                        const Blobs& blobs, bool is_proven) {
  const std::string id = IdOf(next_);
  Json listed = Json::MakeArray();
  const auto write = [&]() -> Status {
    RETURN_IF_ERROR(fs_->CreateDirectories(base::JoinPath(folder_, kBlobs)));
    for (const auto& [name, bytes] : blobs) {
      const std::string sha256 = base::Sha256Hex(bytes);
      RETURN_IF_ERROR(KeepBlob(sha256, bytes));
      listed.Append(
          Json::MakeObject({{"name", name}, {"bytes", bytes.size()}, {"sha256", sha256}}));
    }
    const Json header = Json::MakeObject({{"format", kFormats[kShared]},
                                          {"id", id},
                                          {"created", base::FormatTime(now)},
                                          {"reason", reason},
                                          {"proven", is_proven},
                                          {"blobs", std::move(listed)}});
    WireWriter writer;
    writer.Raw(kMagic);
    writer.U32(kShared);
    writer.Text(header.Write());
    writer.U32(base::Crc32c(writer.bytes()));
    return base::WriteFileDurably(*fs_, PathOf(id), writer.bytes());
  };
  const Status written = write();
  if (!written.ok()) {
    // A sheet whose folder could not be synced may be there or not; it must not be found later.
    if (base::Exists(*fs_, PathOf(id))) static_cast<void>(fs_->Remove(PathOf(id)).ok());
    static_cast<void>(RemoveUnnamedBlobs().ok());
    return written.error().Within("snapshot " + reason);
  }
  ++next_;
  // What cannot be removed now is removed by the next Save; this snapshot is there all the same.
  static_cast<void>(ApplyRetention(id).ok());
  return id;
}

Result<Blobs> SnapshotStore::Load(const std::string& id) const {
  if (!NumberOf(id)) return Error{ErrorCode::kNotFound, StrCat("snapshot ", id, ": no such id")};
  Result<Bytes> bytes = base::ReadFile(*fs_, PathOf(id), kFileBytesMax);
  if (!bytes.ok()) return bytes.error().Within("snapshot " + id);
  ASSIGN_OR_RETURN(const Opened opened, ReadHeader(id, *bytes, bytes->size()));
  Blobs blobs;
  std::size_t at = opened.blobs_begin;
  for (const BlobInfo& info : opened.info.blobs) {
    Bytes blob;
    if (opened.version == kInline) {
      const ByteView part = ByteView(*bytes).subspan(at, static_cast<std::size_t>(info.bytes));
      blob.assign(part.begin(), part.end());
      at += part.size();
    } else {
      Result<Bytes> file = base::ReadFile(*fs_, PathOfBlob(info.sha256), kFileBytesMax);
      if (!file.ok()) {
        const bool is_gone = file.error().code == ErrorCode::kNotFound;
        return is_gone ? Damaged(id, StrCat("blob ", info.name, ": is not there"))
                       : file.error().Within(StrCat("snapshot ", id, ": blob ", info.name));
      }
      blob = *std::move(file);
    }
    if (base::Sha256Hex(blob) != info.sha256) {
      return Damaged(id, StrCat("blob ", info.name, ": sha256 differs"));
    }
    blobs[info.name] = std::move(blob);
  }
  return blobs;
}

Result<SnapshotInfo> SnapshotStore::Show(const std::string& id) const {
  if (!NumberOf(id)) return Error{ErrorCode::kNotFound, StrCat("snapshot ", id, ": no such id")};
  Result<std::unique_ptr<base::ReadableFile>> file = fs_->Open(PathOf(id));
  if (!file.ok()) return file.error().Within("snapshot " + id);
  const std::uint64_t size = (*file)->size();
  Bytes head(static_cast<std::size_t>(std::min<std::uint64_t>(size, kHeaderBytesMax)));
  std::size_t read = 0;
  while (read < head.size()) {
    ASSIGN_OR_RETURN(const std::size_t count, (*file)->ReadAt(read, std::span(head).subspan(read)));
    if (count == 0) break;
    read += count;
  }
  head.resize(read);
  ASSIGN_OR_RETURN(Opened opened, ReadHeader(id, head, size));
  return std::move(opened.info);
}

Result<SnapshotStore::Listing> SnapshotStore::List() const {
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs_->List(folder_));
  Listing listing;
  std::vector<std::uint64_t> numbers;
  for (const base::FileInfo& file : files) {
    if (const auto number = NumberOfFile(file.name)) {
      numbers.push_back(*number);
      listing.bytes += file.bytes;
    }
  }
  std::sort(numbers.begin(), numbers.end());
  const auto shared = fs_->List(base::JoinPath(folder_, kBlobs));
  if (shared.ok()) {
    for (const base::FileInfo& blob : *shared) listing.bytes += blob.bytes;
  }
  for (const std::uint64_t number : numbers) {
    Result<SnapshotInfo> info = Show(IdOf(number));
    if (info.ok()) {
      listing.snapshots.push_back(*std::move(info));
    } else {
      listing.damaged.push_back(info.error().message);
    }
  }
  return listing;
}

Result<std::vector<BlobDifference>> SnapshotStore::Diff(const std::string& before,
                                                        const std::string& after) const {
  ASSIGN_OR_RETURN(const Blobs old_blobs, Load(before));
  ASSIGN_OR_RETURN(const Blobs new_blobs, Load(after));
  std::set<std::string> names;
  for (const auto& [name, bytes] : old_blobs) names.insert(name);
  for (const auto& [name, bytes] : new_blobs) names.insert(name);
  std::vector<BlobDifference> differences;
  for (const std::string& name : names) {
    const auto was = old_blobs.find(name);
    const auto is = new_blobs.find(name);
    BlobDifference difference;
    difference.name = name;
    if (was != old_blobs.end()) difference.bytes_before = was->second.size();
    if (is != new_blobs.end()) difference.bytes_after = is->second.size();
    if (was == old_blobs.end()) {
      difference.kind = BlobDifference::Kind::kAdded;
    } else if (is == new_blobs.end()) {
      difference.kind = BlobDifference::Kind::kRemoved;
    } else {
      if (was->second == is->second) continue;
      const auto [first, other] = std::mismatch(was->second.begin(), was->second.end(),
                                                is->second.begin(), is->second.end());
      difference.first_difference = static_cast<std::uint64_t>(first - was->second.begin());
    }
    differences.push_back(std::move(difference));
  }
  return differences;
}

Status SnapshotStore::Remove(const std::string& id) {
  if (!NumberOf(id)) return Error{ErrorCode::kNotFound, StrCat("snapshot ", id, ": no such id")};
  const Status removed = fs_->Remove(PathOf(id));
  if (!removed.ok()) return removed.error().Within("snapshot " + id);
  RETURN_IF_ERROR(fs_->SyncDirectory(folder_));
  return RemoveUnnamedBlobs();
}

// Those of damaged sheets go too: nothing tells what they were. A sheet that cannot be read now, or
// only by a newer agent, may name any of them: then all stay.
Status SnapshotStore::RemoveUnnamedBlobs() {
  const std::string folder = base::JoinPath(folder_, kBlobs);
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs_->List(folder));
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> sheets, fs_->List(folder_));
  std::set<std::string> named;
  for (const base::FileInfo& sheet : sheets) {
    const auto number = NumberOfFile(sheet.name);
    if (!number) continue;
    const Result<SnapshotInfo> info = Show(IdOf(*number));
    if (!info.ok() && info.error().code != ErrorCode::kCorrupt) return {};
    if (!info.ok()) continue;
    for (const BlobInfo& blob : info->blobs) named.insert(blob.sha256);
  }
  for (const base::FileInfo& file : files) {
    if (!named.contains(file.name)) RETURN_IF_ERROR(fs_->Remove(base::JoinPath(folder, file.name)));
  }
  return {};
}

Status SnapshotStore::ApplyRetention(const std::string& newest) {
  RETURN_IF_ERROR(RemoveUnnamedBlobs());
  std::string last_good;  // Sought when something must go, for it costs reading.
  while (true) {
    ASSIGN_OR_RETURN(const Listing listing, List());
    const std::size_t count = listing.snapshots.size() + listing.damaged.size();
    if (count <= options_.snapshots_max && listing.bytes <= options_.bytes_max) return {};
    for (auto it = listing.snapshots.rbegin(); last_good.empty() && it != listing.snapshots.rend();
         ++it) {
      if (it->is_proven && Load(it->id).ok()) last_good = it->id;
    }
    // Damaged ones are files like others: the oldest goes, whichever it is.
    ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs_->List(folder_));
    std::optional<std::uint64_t> oldest;
    for (const base::FileInfo& file : files) {
      const auto number = NumberOfFile(file.name);
      if (!number || IdOf(*number) == newest || IdOf(*number) == last_good) continue;
      if (!oldest || *number < *oldest) oldest = number;
    }
    if (!oldest) return {};
    RETURN_IF_ERROR(Remove(IdOf(*oldest)));
  }
}

}  // namespace tinylcm::state
