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
constexpr std::uint32_t kVersion = 1;
constexpr std::string_view kFormat = "tinylcm-snapshot/1";
constexpr std::string_view kSuffix = ".tls";
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
  std::size_t blobs_begin = 0;  // Where the first blob lies.
};

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
  if (version != kVersion) {
    return Error{ErrorCode::kUnsupported, StrCat("snapshot ", id, ": version ", version)};
  }
  if (crc != base::Crc32c(bytes.first(covered))) return Damaged(id, "header: CRC differs");

  Result<Json> json = Json::Parse(base::AsText(header));
  if (!json.ok()) return Damaged(id, "header: " + json.error().message);
  JsonReader fields(*json, StrCat("snapshot ", id, ": header"));
  Opened opened;
  const std::string format = fields.String("format");
  opened.info.id = fields.String("id");
  opened.info.reason = fields.String("reason");
  const std::string created = fields.String("created");
  std::uint64_t blob_bytes = 0;
  for (JsonReader blob : fields.Array("blobs", 10'000)) {
    BlobInfo info;
    info.name = blob.String("name");
    info.bytes = static_cast<std::uint64_t>(
        blob.Int("bytes", {.min = 0, .max = static_cast<std::int64_t>(kFileBytesMax)}));
    info.sha256 = blob.String("sha256");
    blob_bytes += info.bytes;
    opened.info.blobs.push_back(std::move(info));
  }
  if (!fields.status().ok()) return Damaged(id, fields.status().error().message);
  const Result<base::Time> time = base::ParseTime(created);
  if (format != kFormat || !time.ok()) return Damaged(id, "header: wrong format");
  if (opened.info.id != id) return Damaged(id, StrCat("header says ", opened.info.id));
  opened.info.created = *time;
  opened.info.bytes = file_bytes;
  opened.blobs_begin = reader.position();
  if (opened.blobs_begin + blob_bytes != file_bytes) {
    return Damaged(id,
                   StrCat(file_bytes, " bytes, ", opened.blobs_begin + blob_bytes, " expected"));
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

Result<std::string> SnapshotStore::Save(base::Time now, const std::string& reason,
                                        const Blobs& blobs) {
  const std::string id = IdOf(next_);
  Json listed = Json::MakeArray();
  for (const auto& [name, bytes] : blobs) {
    listed.Append(Json::MakeObject(
        {{"name", name}, {"bytes", bytes.size()}, {"sha256", base::Sha256Hex(bytes)}}));
  }
  const Json header = Json::MakeObject({{"format", kFormat},
                                        {"id", id},
                                        {"created", base::FormatTime(now)},
                                        {"reason", reason},
                                        {"blobs", std::move(listed)}});
  WireWriter writer;
  writer.Raw(kMagic);
  writer.U32(kVersion);
  writer.Text(header.Write());
  writer.U32(base::Crc32c(writer.bytes()));
  for (const auto& [name, bytes] : blobs) writer.Raw(bytes);
  RETURN_IF_ERROR(base::WriteFileDurably(*fs_, base::JoinPath(folder_, id + std::string(kSuffix)),
                                         writer.bytes()));
  ++next_;
  RETURN_IF_ERROR(ApplyRetention());
  return id;
}

Result<Blobs> SnapshotStore::Load(const std::string& id) const {
  if (!NumberOf(id)) return Error{ErrorCode::kNotFound, StrCat("snapshot ", id, ": no such id")};
  Result<Bytes> bytes =
      base::ReadFile(*fs_, base::JoinPath(folder_, id + std::string(kSuffix)), kFileBytesMax);
  if (!bytes.ok()) return bytes.error().Within("snapshot " + id);
  ASSIGN_OR_RETURN(const Opened opened, ReadHeader(id, *bytes, bytes->size()));
  Blobs blobs;
  std::size_t at = opened.blobs_begin;
  for (const BlobInfo& info : opened.info.blobs) {
    const ByteView blob = ByteView(*bytes).subspan(at, static_cast<std::size_t>(info.bytes));
    if (base::Sha256Hex(blob) != info.sha256) {
      return Damaged(id, StrCat("blob ", info.name, ": sha256 differs"));
    }
    blobs[info.name].assign(blob.begin(), blob.end());
    at += blob.size();
  }
  return blobs;
}

Result<SnapshotInfo> SnapshotStore::Show(const std::string& id) const {
  if (!NumberOf(id)) return Error{ErrorCode::kNotFound, StrCat("snapshot ", id, ": no such id")};
  Result<std::unique_ptr<base::ReadableFile>> file =
      fs_->Open(base::JoinPath(folder_, id + std::string(kSuffix)));
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
  std::vector<std::uint64_t> numbers;
  for (const base::FileInfo& file : files) {
    if (const auto number = NumberOfFile(file.name)) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  Listing listing;
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
  const Status removed = fs_->Remove(base::JoinPath(folder_, id + std::string(kSuffix)));
  if (!removed.ok()) return removed.error().Within("snapshot " + id);
  return fs_->SyncDirectory(folder_);
}

Status SnapshotStore::ApplyRetention() {
  ASSIGN_OR_RETURN(const std::vector<base::FileInfo> files, fs_->List(folder_));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> kept;  // Number and bytes.
  std::uint64_t bytes = 0;
  for (const base::FileInfo& file : files) {
    if (const auto number = NumberOfFile(file.name)) {
      kept.emplace_back(*number, file.bytes);
      bytes += file.bytes;
    }
  }
  std::sort(kept.begin(), kept.end());
  std::size_t count = kept.size();
  for (const auto& [number, size] : kept) {
    if (count <= 1 || (count <= options_.snapshots_max && bytes <= options_.bytes_max)) break;
    RETURN_IF_ERROR(Remove(IdOf(number)));
    bytes -= size;
    --count;
  }
  return {};
}

}  // namespace tinylcm::state
