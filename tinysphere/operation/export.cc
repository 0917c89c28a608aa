#include "tinysphere/operation/export.h"

#include <utility>

#include "base/text.h"
#include "tinysphere/operation/dump_digest.h"
#include "tinysphere/operation/dump_rows.h"
#include "tinysphere/operation/vitals.h"
#include "tinysphere/store/buckets.h"
#include "tinysphere/store/catalogue.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::operation {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Row;
using store::Rows;
using store::Table;
using store::Transaction;

namespace {

constexpr std::size_t kRowsAtOnce = 1000;
constexpr std::size_t kPartBytes = 4u << 20;
constexpr std::size_t kObjectsAtOnce = 20'000;
constexpr std::uint64_t kKeyBytesMax = 1u << 20;
constexpr std::size_t kBlockBytes = 256u << 10;
// Which database this is, not what is in it: the target has its own.
constexpr std::string_view kMigrationsTable = "migrations";

class Exporting {
 public:
  Exporting(const ExportSource& source, DumpWriter& writer, const Progress& progress)
      : source_(source), writer_(writer), progress_(progress) {}

  base::Result<Moved> Run() {
    moved_.dump_id = base::RandomHex(16);
    const base::Status done = source_.database.Read([&](Transaction& transaction) -> base::Status {
      ASSIGN_OR_RETURN(std::vector<Table> tables, store::Tables(transaction));
      std::erase_if(tables, [](const Table& table) { return table.name == kMigrationsTable; });
      RETURN_IF_ERROR(WriteManifest(transaction, tables));
      for (const Table& table : tables) RETURN_IF_ERROR(WriteTable(transaction, table));
      RETURN_IF_ERROR(WriteKeys());
      // Listed under the snapshot, which is older: nothing a row names was made later.
      for (const store::Bucket& bucket : store::kBuckets) {
        RETURN_IF_ERROR(WriteObjects(std::string(bucket.name) + "/"));
      }
      return {};
    });
    if (!done.ok()) return done.error();
    moved_.sha256 = digest_.Finish();
    const std::string end = moved_.ToJson().Write();
    RETURN_IF_ERROR(writer_.Begin({.name = kEndName, .bytes = end.size()}));
    RETURN_IF_ERROR(writer_.Append(base::AsBytes(end)));
    RETURN_IF_ERROR(writer_.Finish());
    return std::move(moved_);
  }

 private:
  base::Status Put(const std::string& name, base::ByteView bytes) {
    const DumpEntry entry{.name = name, .bytes = bytes.size()};
    digest_.Begin(entry);
    digest_.Append(bytes);
    RETURN_IF_ERROR(writer_.Begin(entry));
    return writer_.Append(bytes);
  }

  base::Status WriteManifest(Transaction& transaction, const std::vector<Table>& tables) {
    ASSIGN_OR_RETURN(const auto applied,
                     transaction.QueryOne("SELECT COUNT(*) AS n FROM migrations"));
    ASSIGN_OR_RETURN(const auto first,
                     transaction.QueryOne("SELECT MIN(received_at) AS at FROM packages"));
    const auto first_at = first->OptionalTime("at");
    ASSIGN_OR_RETURN(const auto generation, store::ReadSetting(transaction, "store_generation"));
    Json::Array described;
    for (const Table& table : tables) {
      Json::Array columns;
      for (const std::string& column : table.columns) columns.emplace_back(column);
      described.push_back(
          Json::MakeObject({{"name", table.name}, {"columns", std::move(columns)}}));
    }
    const Json manifest =
        Json::MakeObject({{"format", std::string(kDumpFormat)},
                          {"dump_id", moved_.dump_id},
                          {"made_at", base::FormatTime(source_.clock.Now())},
                          {"version", std::string(kVersion)},
                          {"store_generation", generation},
                          {"migration", applied->Int("n")},
                          {"packages_from", first_at ? Json(base::FormatTime(*first_at)) : Json()},
                          {"tables", std::move(described)}});
    return Put(kManifestName, base::AsBytes(manifest.Write()));
  }

  base::Status WriteTable(Transaction& transaction, const Table& table) {
    if (table.key.empty()) {
      return Error{ErrorCode::kInternal, "export: table " + table.name + " has no primary key"};
    }
    std::int64_t& count = moved_.rows[table.name];
    std::string part;
    int parts = 0;
    const auto flush = [&]() -> base::Status {
      if (part.empty()) return {};
      std::string number = std::to_string(parts++);
      number.insert(0, number.size() < 6 ? 6 - number.size() : 0, '0');
      const base::Status put =
          Put(base::StrCat(kTablesFolder, table.name, "/", number, ".jsonl"), base::AsBytes(part));
      part.clear();
      return put;
    };
    store::Params after;
    for (;;) {
      ASSIGN_OR_RETURN(const Rows rows, store::ReadTable(transaction, table, after, kRowsAtOnce));
      for (const Row& row : rows) {
        part += WriteRow(row);
        part += '\n';
        if (part.size() >= kPartBytes) RETURN_IF_ERROR(flush());
      }
      count += static_cast<std::int64_t>(rows.size());
      if (rows.size() < kRowsAtOnce) break;
      after.clear();
      for (const std::string& column : table.key) after.push_back(rows.back().value(column));
      if (count % 100'000 == 0) progress_(base::StrCat(table.name, ": ", count, " rows"));
    }
    RETURN_IF_ERROR(flush());
    if (count > 0) progress_(base::StrCat(table.name, ": ", count, " rows, all"));
    return {};
  }

  base::Status WriteKeys() {
    ASSIGN_OR_RETURN(const auto files, source_.fs.List(source_.key_folder));
    for (const base::FileInfo& file : files) {
      if (file.is_directory) continue;
      ASSIGN_OR_RETURN(
          const base::Bytes bytes,
          base::ReadFile(source_.fs, base::JoinPath(source_.key_folder, file.name), kKeyBytesMax));
      RETURN_IF_ERROR(Put(base::StrCat(kKeysFolder, file.name), bytes));
      moved_.keys += 1;
    }
    return {};
  }

  base::Status WriteObjects(const std::string& prefix) {
    std::string after;
    for (;;) {
      ASSIGN_OR_RETURN(const auto found, source_.objects.List(prefix, after, kObjectsAtOnce));
      for (const store::ObjectInfo& object : found) RETURN_IF_ERROR(WriteObject(object.key));
      if (found.size() < kObjectsAtOnce) return {};
      after = found.back().key;
    }
  }

  base::Status WriteObject(const std::string& key) {
    const auto file = source_.objects.Get(key);
    if (!file.ok() && file.error().code == ErrorCode::kNotFound) {
      moved_.vanished += 1;
      return {};
    }
    if (!file.ok()) return file.error();
    const DumpEntry entry{.name = base::StrCat(kObjectsFolder, key), .bytes = (*file)->size()};
    digest_.Begin(entry);
    RETURN_IF_ERROR(writer_.Begin(entry));
    for (std::uint64_t offset = 0; offset < entry.bytes;) {
      const std::size_t wanted =
          static_cast<std::size_t>(std::min<std::uint64_t>(block_.size(), entry.bytes - offset));
      ASSIGN_OR_RETURN(const std::size_t got,
                       (*file)->ReadAt(offset, std::span(block_).first(wanted)));
      if (got == 0) {
        return Error{ErrorCode::kUnavailable, base::StrCat("export: object ", key, ": too short")};
      }
      const base::ByteView bytes = base::ByteView(block_).first(got);
      digest_.Append(bytes);
      RETURN_IF_ERROR(writer_.Append(bytes));
      offset += got;
    }
    moved_.objects += 1;
    moved_.object_bytes += entry.bytes;
    if (moved_.objects % 10'000 == 0) progress_(base::StrCat(moved_.objects, " objects"));
    return {};
  }

  const ExportSource& source_;
  DumpWriter& writer_;
  const Progress& progress_;
  DumpDigest digest_;
  Moved moved_;
  base::Bytes block_ = base::Bytes(kBlockBytes);
};

}  // namespace

std::int64_t Moved::all_rows() const {
  std::int64_t all = 0;
  for (const auto& [table, count] : rows) all += count;
  return all;
}

Json Moved::ToJson() const {
  Json::Object by_table;
  for (const auto& [table, count] : rows) by_table.emplace_back(table, count);
  Json json = Json::MakeObject({{"dump_id", dump_id},
                                {"rows", Json(std::move(by_table))},
                                {"objects", objects},
                                {"object_bytes", static_cast<std::int64_t>(object_bytes)},
                                {"keys", keys},
                                {"vanished", vanished},
                                {"sha256", sha256}});
  if (repaired > 0) json.Set("repaired", repaired);
  if (!store_generation.empty()) json.Set("store_generation", store_generation);
  return json;
}

base::Result<Moved> Export(const ExportSource& source, DumpWriter& writer,
                           const Progress& progress) {
  return Exporting(source, writer, progress).Run();
}

}  // namespace tinysphere::operation
