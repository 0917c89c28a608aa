#include "tinylcm/src/sync/queue_file.h"

#include <algorithm>

#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "tinylcm/sync/transport.h"

namespace tinylcm::sync {

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

// magic 4 | version 4 | meta bytes 4 | zero 4 | archive bytes 8 | SHA-256 32 | meta CRC 4 | CRC 4
constexpr std::string_view kMagic = "TLPQ";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kFixedBytes = 64;
constexpr std::size_t kMetaBytesMax = 16384;
constexpr std::uint64_t kArchiveBytesMax = std::uint64_t{1} << 32;

template <typename T>
void Put(Bytes& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    out.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

template <typename T>
T Take(ByteView bytes, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = sizeof(T); i > 0; --i) value = (value << 8) | bytes[at + i - 1];
  return static_cast<T>(value);
}

Error Damaged(std::string_view reason) {
  return {ErrorCode::kCorrupt, StrCat("queue entry: ", reason)};
}

Result<Bytes> ReadRange(const base::ReadableFile& file, std::uint64_t offset, std::size_t count) {
  Bytes bytes(count);
  std::size_t read = 0;
  while (read < count) {
    ASSIGN_OR_RETURN(const std::size_t got,
                     file.ReadAt(offset + read, std::span<std::uint8_t>(bytes).subspan(read)));
    if (got == 0) return Damaged("ends too early");
    read += got;
  }
  return bytes;
}

}  // namespace

std::string QueueFileName::key() const {
  std::string number = std::to_string(seq);
  if (number.size() < 8) number.insert(0, 8 - number.size(), '0');
  return StrCat(package_class, "-", number);
}

std::string QueueFileName::text() const {
  return acked_at ? StrCat(key(), ".", *acked_at, kQueueSuffix) : StrCat(key(), kQueueSuffix);
}

std::optional<QueueFileName> ParseQueueFileName(std::string_view text) {
  if (!text.ends_with(kQueueSuffix)) return std::nullopt;
  const std::string_view stem = text.substr(0, text.size() - kQueueSuffix.size());
  const std::size_t dash = stem.find('-');
  if (dash != 1 || stem[0] < '1' || stem[0] > '4') return std::nullopt;
  QueueFileName name;
  name.package_class = stem[0] - '0';
  std::string_view number = stem.substr(2);
  const std::size_t dot = number.find('.');
  if (dot != std::string_view::npos) {
    const Result<std::int64_t> at = base::ParseInt(number.substr(dot + 1));
    if (!at.ok()) return std::nullopt;
    name.acked_at = *at;
    number = number.substr(0, dot);
  }
  const Result<std::int64_t> seq = base::ParseInt(number);
  if (!seq.ok() || *seq < 1) return std::nullopt;
  name.seq = static_cast<std::uint64_t>(*seq);
  if (name.text() != text) return std::nullopt;
  return name;
}

Bytes WriteQueueHead(const QueuedPackage& package) {
  const std::string meta = Json::MakeObject({{"package_id", package.name.id()},
                                             {"type", package.type},
                                             {"class", package.package_class},
                                             {"format", package.format},
                                             {"created_at", base::FormatTime(package.created_at)},
                                             {"replaces", package.replaces}})
                               .Write();
  CHECK(meta.size() <= kMetaBytesMax);
  Bytes head = base::ToBytes(kMagic);
  Put<std::uint32_t>(head, kVersion);
  Put<std::uint32_t>(head, static_cast<std::uint32_t>(meta.size()));
  Put<std::uint32_t>(head, 0);
  Put<std::uint64_t>(head, package.bytes);
  const Bytes digest = base::HexDecode(package.sha256).value();
  head.insert(head.end(), digest.begin(), digest.end());
  Put<std::uint32_t>(head, base::Crc32c(base::AsBytes(meta)));
  Put<std::uint32_t>(head, base::Crc32c(head));
  CHECK(head.size() == kFixedBytes);
  head.insert(head.end(), meta.begin(), meta.end());
  return head;
}

Result<QueueHead> ReadQueueHead(const base::ReadableFile& file, std::string_view file_name) {
  const std::optional<QueueFileName> name = ParseQueueFileName(file_name);
  if (!name) return Damaged("not a name of ours");
  if (file.size() < kFixedBytes) return Damaged("shorter than its header");
  ASSIGN_OR_RETURN(const Bytes fixed, ReadRange(file, 0, kFixedBytes));
  if (base::AsText(ByteView(fixed).first(4)) != kMagic) return Damaged("wrong magic");
  if (base::Crc32c(ByteView(fixed).first(60)) != Take<std::uint32_t>(fixed, 60)) {
    return Damaged("header checksum differs");
  }
  if (Take<std::uint32_t>(fixed, 4) != kVersion) return Damaged("another version");
  const auto meta_bytes = Take<std::uint32_t>(fixed, 8);
  const auto archive_bytes = Take<std::uint64_t>(fixed, 16);
  if (meta_bytes > kMetaBytesMax || archive_bytes > kArchiveBytesMax ||
      file.size() != kFixedBytes + meta_bytes + archive_bytes) {
    return Damaged("its length is not what its header says");
  }
  ASSIGN_OR_RETURN(const Bytes meta, ReadRange(file, kFixedBytes, meta_bytes));
  if (base::Crc32c(meta) != Take<std::uint32_t>(fixed, 56)) {
    return Damaged("description checksum differs");
  }
  ASSIGN_OR_RETURN(const Json json, Json::Parse(base::AsText(meta)));
  JsonReader reader(json, "queue entry");
  QueueHead head;
  const std::string package_id = reader.String("package_id");
  head.package.type = reader.String("type");
  head.package.package_class = static_cast<int>(reader.Int("class", {.min = 1, .max = 4}));
  head.package.format = reader.String("format");
  const Result<base::Time> created = base::ParseTime(reader.String("created_at"));
  head.package.replaces = reader.String("replaces");
  if (!reader.status().ok()) return Damaged(reader.status().error().message);
  if (!created.ok()) return Damaged(created.error().message);
  const Result<protocol::PackageName> package_name = protocol::ParsePackageId(package_id);
  if (!package_name.ok()) return Damaged(package_name.error().message);
  if (package_name->seq != name->seq || head.package.package_class != name->package_class) {
    return Damaged("stands under another entry's name");
  }
  head.package.name = *package_name;
  head.package.created_at = *created;
  head.package.bytes = archive_bytes;
  head.package.sha256 = base::HexEncode(ByteView(fixed).subspan(24, 32));
  head.archive_offset = kFixedBytes + meta_bytes;
  return head;
}

Status CheckArchive(const base::ReadableFile& file, const QueueHead& head) {
  const auto sha256 = base::Sha256OfFile(FileBody(file, head.archive_offset, head.package.bytes));
  if (!sha256.ok()) {
    return sha256.error().code == ErrorCode::kCorrupt ? Damaged("ends too early") : sha256.error();
  }
  if (base::HexEncode(*sha256) != head.package.sha256) return Damaged("sha256 differs");
  return {};
}

std::string FolderPath(const std::string& root, QueueFolder folder) {
  return base::JoinPath(root, Name(folder));
}

Bytes QueueRecord::Write() const {
  Json counts = Json::MakeArray();
  for (const std::uint64_t count : evicted) counts.Append(count);
  return base::ToBytes(Json::MakeObject({{"format", "tinylcm-queue-record/1"},
                                         {"epoch", epoch},
                                         {"next_seq", next_seq},
                                         {"evicted", std::move(counts)},
                                         {"set_aside", set_aside}})
                           .Write());
}

Result<QueueRecord> QueueRecord::Parse(ByteView bytes) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(base::AsText(bytes)));
  JsonReader reader(json, "queue record");
  QueueRecord record;
  record.epoch = reader.String("epoch");
  record.next_seq = static_cast<std::uint64_t>(reader.Int("next_seq", {.min = 1}));
  std::size_t i = 0;
  for (JsonReader& count : reader.Array("evicted", record.evicted.size())) {
    record.evicted[i++] = static_cast<std::uint64_t>(std::max<std::int64_t>(0, count.AsInt()));
  }
  record.set_aside = static_cast<std::uint64_t>(reader.Int("set_aside", {.min = 0}));
  RETURN_IF_ERROR(reader.status());
  return record;
}

std::string WriteDeadReason(const QueuedPackage& package) {
  return Json::MakeObject({{"package_id", package.name.device_id.empty() ? "" : package.name.id()},
                           {"code", package.reason_code},
                           {"reason", package.reason},
                           {"at", base::FormatTime(package.dead_at)}})
      .WritePretty();
}

void ReadDeadReason(base::FileSystem& fs, const std::string& folder, QueuedPackage& package) {
  const std::string stem = package.file.substr(0, package.file.size() - kQueueSuffix.size());
  const Result<std::string> text =
      base::ReadTextFile(fs, base::JoinPath(folder, stem + ".json"), kMetaBytesMax);
  if (!text.ok()) return;
  const Result<Json> json = Json::Parse(*text);
  if (!json.ok()) return;
  JsonReader reader(*json, "reason");
  package.reason_code = reader.OptionalString("code").value_or("");
  package.reason = reader.OptionalString("reason").value_or("");
  const Result<base::Time> at = base::ParseTime(reader.OptionalString("at").value_or(""));
  if (at.ok()) package.dead_at = *at;
}

}  // namespace tinylcm::sync
