#include "tinylcm/state/record.h"

#include <array>
#include <utility>

#include "base/text.h"
#include "tinylcm/src/state/wire.h"

namespace tinylcm::state {

using base::Bytes;
using base::ByteView;
using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::array<std::uint8_t, 4> kMagic = {'T', 'L', 'C', 'R'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kFrame = 4 + 4 + 8 + 4 + 4;  // Magic, version, generation, length, CRC.

struct Copy {
  std::uint64_t generation = 0;
  Bytes value;
};

Bytes Write(std::uint64_t generation, ByteView value) {
  WireWriter writer;
  writer.Raw(kMagic);
  writer.U32(kVersion);
  writer.U64(generation);
  writer.Blob(value);
  writer.U32(base::Crc32c(writer.bytes()));
  return writer.Take();
}

std::optional<Copy> Read(ByteView bytes) {
  if (bytes.size() < kFrame) return std::nullopt;
  WireReader reader(bytes);
  const ByteView magic = reader.Raw(kMagic.size());
  const std::uint32_t version = reader.U32();
  Copy copy;
  copy.generation = reader.U64();
  const ByteView value = reader.Blob();
  const std::size_t covered = reader.position();
  const std::uint32_t crc = reader.U32();
  if (!reader.ok() || !reader.at_end() || version != kVersion ||
      !std::equal(magic.begin(), magic.end(), kMagic.begin()) ||
      crc != base::Crc32c(bytes.first(covered))) {
    return std::nullopt;
  }
  copy.value.assign(value.begin(), value.end());
  return copy;
}

Status WriteInPlace(base::FileSystem& fs, const std::string& path, ByteView bytes) {
  ASSIGN_OR_RETURN(std::unique_ptr<base::WritableFile> file,
                   fs.Create(path, base::FileSystem::Mode::kTruncate));
  RETURN_IF_ERROR(file->Append(bytes));
  RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

}  // namespace

Result<TwoCopyRecord> TwoCopyRecord::Open(base::FileSystem& fs, const std::string& path) {
  RETURN_IF_ERROR(fs.CreateDirectories(std::string(base::FolderOf(path))));
  TwoCopyRecord record(fs, path);
  int whole = 0;
  for (std::size_t copy = 0; copy < 2; ++copy) {
    Result<Bytes> bytes = base::ReadFile(fs, record.PathOf(copy), kBytesMax + kFrame);
    if (!bytes.ok() && bytes.error().code == ErrorCode::kNotFound) continue;
    // A disk that cannot read now may be able to later: the other copy is older, so taking it would
    // turn back the clock without need. Only a copy that was read and is wrong is passed over.
    if (!bytes.ok() && bytes.error().code != ErrorCode::kExhausted) return bytes.error();
    std::optional<Copy> found = bytes.ok() ? Read(*bytes) : std::nullopt;
    if (!found) {
      ++record.damaged_copies_;
      continue;
    }
    ++whole;
    if (whole == 1 || found->generation > record.generation_) {
      record.generation_ = found->generation;
      record.value_ = std::move(found->value);
      record.newest_ = copy;
    }
  }
  if (whole == 0 && record.damaged_copies_ > 0) {
    return Error{ErrorCode::kCorrupt, StrCat(path, ": no copy is whole")};
  }
  record.tried_ = record.generation_;
  return record;
}

Status TwoCopyRecord::CheckSize(ByteView value) const {
  if (value.size() <= kBytesMax) return {};
  return Error{ErrorCode::kInvalidArgument,
               StrCat(path_, ": ", value.size(), " bytes, at most ", kBytesMax)};
}

Status TwoCopyRecord::Prepare(ByteView value) {
  RETURN_IF_ERROR(CheckSize(value));
  prepared_.reset();
  // Newer than what holds; a Write in between takes a higher number still.
  const std::uint64_t generation = ++tried_;
  RETURN_IF_ERROR(base::WriteFileDurably(*fs_, path_ + ".next", state::Write(generation, value)));
  prepared_.emplace(Prepared{generation, Bytes(value.begin(), value.end())});
  return {};
}

Status TwoCopyRecord::Turn() {
  CHECK(prepared_.has_value());
  Prepared prepared = *std::exchange(prepared_, std::nullopt);
  const std::size_t older = 1 - newest_;
  RETURN_IF_ERROR(fs_->Rename(path_ + ".next", PathOf(older)));
  RETURN_IF_ERROR(fs_->SyncDirectory(std::string(base::FolderOf(path_))));
  generation_ = prepared.generation;
  newest_ = older;
  value_ = std::move(prepared.value);
  return {};
}

Status TwoCopyRecord::Write(ByteView value) {
  RETURN_IF_ERROR(CheckSize(value));
  prepared_.reset();
  const std::size_t older = 1 - newest_;
  const std::string path = PathOf(older);
  // One that failed may lie on the disk whole all the same, so its number is not used again.
  const Bytes bytes = state::Write(++tried_, value);
  // A first copy comes by rename, so that a copy that is there and not whole always means damage,
  // never a first write cut short.
  const Status written = base::Exists(*fs_, path) ? WriteInPlace(*fs_, path, bytes)
                                                  : base::WriteFileDurably(*fs_, path, bytes);
  if (!written.ok()) {
    // Believed: whatever the disk holds of it must not come back as the newest after a restart.
    if (base::Exists(*fs_, path)) {
      const Status removed = fs_->Remove(path);
      if (removed.ok()) {
        const Status synced = fs_->SyncDirectory(std::string(base::FolderOf(path)));
        static_cast<void>(synced.ok());  // Nothing more can be done; the caller knows already.
      }
    }
    return written;
  }
  generation_ = tried_;
  newest_ = older;
  value_.emplace(value.begin(), value.end());
  return {};
}

}  // namespace tinylcm::state
