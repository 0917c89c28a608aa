#include "tinysphere/operation/import.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/json.h"
#include "base/private_folder.h"
#include "base/text.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/operation/dump_digest.h"
#include "tinysphere/operation/dump_rows.h"
#include "tinysphere/store/buckets.h"
#include "tinysphere/store/catalogue.h"
#include "tinysphere/store/partitions.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::operation {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Params;
using store::Rows;
using store::Table;
using store::Transaction;

namespace {

constexpr const char* kMarker = "importing";
constexpr std::string_view kGeneration = "store_generation";
constexpr std::size_t kSmallMax = 16u << 20;
constexpr std::size_t kRowsAtOnce = 1000;
constexpr std::size_t kBlockBytes = 256u << 10;

struct DumpTable {
  std::string name;
  std::vector<std::string> columns;
};

struct Manifest {
  std::string dump_id;
  std::size_t migrations = 0;  // How many were applied.
  std::vector<DumpTable> tables;
  std::optional<base::Time> packages_from;  // When the oldest package came.
};

base::Result<Manifest> ParseManifest(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(text));
  base::JsonReader reader(json, kManifestName);
  Manifest manifest;
  const std::string format = reader.String("format");
  manifest.dump_id = reader.String("dump_id");
  manifest.migrations = static_cast<std::size_t>(reader.Int("migration", {.min = 0}));
  for (base::JsonReader table : reader.Array("tables")) {
    std::string name = table.String("name");
    manifest.tables.push_back({.name = std::move(name), .columns = table.Strings("columns")});
  }
  const std::optional<std::string> from = reader.OptionalString("packages_from");
  RETURN_IF_ERROR(reader.status());
  if (from) {
    ASSIGN_OR_RETURN(manifest.packages_from, base::ParseTime(*from));
  }
  if (format != kDumpFormat) {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat("export: format ", format, ": this program reads ", kDumpFormat)};
  }
  return manifest;
}

base::Result<base::Bytes> ReadWhole(DumpReader& dump, const DumpEntry& entry) {
  if (entry.bytes > kSmallMax) {
    return Error{ErrorCode::kCorrupt, base::StrCat("export: ", entry.name, ": is too large")};
  }
  base::Bytes bytes(static_cast<std::size_t>(entry.bytes));
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    ASSIGN_OR_RETURN(const std::size_t got, dump.Read(std::span(bytes).subspan(filled)));
    if (got == 0) {
      return Error{ErrorCode::kCorrupt, base::StrCat("export: ", entry.name, ": ends early")};
    }
    filled += got;
  }
  return bytes;
}

class Importing {
 public:
  Importing(base::FileSystem& fs, base::Clock& clock, const ImportOptions& options,
            const Progress& progress)
      : fs_(fs), clock_(clock), options_(options), progress_(progress) {}

  base::Result<Moved> Run() {
    RETURN_IF_ERROR(ReadManifest());
    RETURN_IF_ERROR(Begin());
    // Everything is looked at before a row is written: a dump that is torn changes nothing here.
    RETURN_IF_ERROR(Verify());
    progress_("the export is whole");
    RETURN_IF_ERROR(TakeKeys());
    const auto target = options_.open_target();
    if (!target.ok()) return Undone(target.error());
    const base::Status fits = CheckTarget(*target);
    if (!fits.ok()) return Undone(fits.error());
    if (!has_rows_) {
      RETURN_IF_ERROR(TakeObjects(target->objects));
      // So that old packages lie in the parts of their months.
      if (manifest_.packages_from) {
        RETURN_IF_ERROR(
            store::EnsurePartitions(target->database, *manifest_.packages_from, clock_.Now()));
      }
      RETURN_IF_ERROR(TakeRows(target->database));
    }
    RETURN_IF_ERROR(fs_.Remove(marker()));
    RETURN_IF_ERROR(fs_.SyncDirectory(options_.data));
    return std::move(moved_);
  }

 private:
  std::string marker() const { return base::JoinPath(options_.data, kMarker); }
  std::string key_folder() const { return base::JoinPath(options_.data, "keys"); }

  // What is refused leaves nothing behind, unless an earlier try already had.
  Error Undone(const Error& error) {
    if (!is_again_) {
      (void)base::RemoveTree(fs_, key_folder()).ok();
      (void)fs_.Remove(marker()).ok();
    }
    return error;
  }

  base::Status ReadManifest() {
    ASSIGN_OR_RETURN(const auto dump, options_.open_dump());
    DumpEntry entry;
    ASSIGN_OR_RETURN(const bool is_there, dump->Next(entry));
    if (!is_there || entry.name != kManifestName) {
      return Error{ErrorCode::kCorrupt, "export: does not begin with its manifest"};
    }
    ASSIGN_OR_RETURN(const base::Bytes bytes, ReadWhole(*dump, entry));
    ASSIGN_OR_RETURN(manifest_, ParseManifest(base::AsText(bytes)));
    moved_.dump_id = manifest_.dump_id;
    // Some migrations read differently on another database, so their numbers are compared, and then
    // every table's columns.
    const std::size_t ours = store::Migrations().size();
    if (manifest_.migrations != ours) {
      return Error{ErrorCode::kUnsupported,
                   base::StrCat("export: was made at migration ", manifest_.migrations,
                                ", this program is at ", ours,
                                "; export once more with this program, after `tinysphere "
                                "migrate`, or import with the one that made it")};
    }
    return {};
  }

  base::Status Begin() {
    RETURN_IF_ERROR(base::MakePrivateFolder(options_.data));
    if (base::Exists(fs_, marker())) {
      ASSIGN_OR_RETURN(const std::string text, base::ReadTextFile(fs_, marker(), kSmallMax));
      if (base::Trim(text) != manifest_.dump_id) {
        return Error{ErrorCode::kConflict,
                     base::StrCat(options_.data,
                                  ": an import of another export has not ended here; run that one "
                                  "again, or begin with an empty folder")};
      }
      is_again_ = true;
      return {};
    }
    if (base::Exists(fs_, key_folder())) {
      return Error{ErrorCode::kConflict,
                   base::StrCat(options_.data,
                                ": there is a server's data already; an import needs an empty "
                                "folder")};
    }
    return {};
  }

  base::Status Verify() {
    ASSIGN_OR_RETURN(const auto dump, options_.open_dump());
    DumpDigest digest;
    DumpEntry entry;
    for (;;) {
      ASSIGN_OR_RETURN(const bool is_there, dump->Next(entry));
      if (!is_there) return Error{ErrorCode::kCorrupt, "export: ends early"};
      if (entry.name == kEndName) {
        ASSIGN_OR_RETURN(const base::Bytes bytes, ReadWhole(*dump, entry));
        ASSIGN_OR_RETURN(const Json end, Json::Parse(base::AsText(bytes)));
        const Json* stated = end.Find("sha256");
        moved_.sha256 = digest.Finish();
        if (stated == nullptr || !stated->is_string() || stated->as_string() != moved_.sha256) {
          return Error{ErrorCode::kCorrupt, "export: its contents are not what was written"};
        }
        return {};
      }
      digest.Begin(entry);
      if (entry.name.starts_with(kObjectsFolder)) {
        moved_.objects += 1;
        moved_.object_bytes += entry.bytes;
      }
      std::uint64_t read = 0;
      while (read < entry.bytes) {
        ASSIGN_OR_RETURN(const std::size_t got, dump->Read(block_));
        if (got == 0) {
          return Error{ErrorCode::kCorrupt, base::StrCat("export: ", entry.name, ": ends early")};
        }
        digest.Append(base::ByteView(block_).first(got));
        read += got;
      }
    }
  }

  base::Status TakeKeys() {
    RETURN_IF_ERROR(
        base::WriteFileDurably(fs_, marker(), base::AsBytes(manifest_.dump_id + "\n"), true));
    RETURN_IF_ERROR(fs_.CreateDirectories(key_folder()));
    ASSIGN_OR_RETURN(const auto dump, options_.open_dump());
    DumpEntry entry;
    for (;;) {
      ASSIGN_OR_RETURN(const bool is_there, dump->Next(entry));
      if (!is_there || entry.name.starts_with(kObjectsFolder)) break;
      if (!entry.name.starts_with(kKeysFolder)) continue;
      const std::string name = entry.name.substr(kKeysFolder.size());
      if (name.empty() || name.find('/') != std::string::npos || name.starts_with('.')) {
        return Error{ErrorCode::kCorrupt, base::StrCat("export: ", entry.name, ": is no key")};
      }
      ASSIGN_OR_RETURN(const base::Bytes bytes, ReadWhole(*dump, entry));
      RETURN_IF_ERROR(base::WriteFileDurably(fs_, base::JoinPath(key_folder(), name), bytes,
                                             /*owner_only=*/true));
      moved_.keys += 1;
    }
    return {};
  }

  // An earlier try may have committed all rows and ended before it could take the marker away: the
  // audit says so, in whose words this import is committed with them.
  base::Status LookForRows(Transaction& transaction) {
    ASSIGN_OR_RETURN(const auto committed,
                     transaction.QueryOne("SELECT audit_id FROM audit WHERE action = 'import' AND "
                                          "subject = $1 LIMIT 1",
                                          {manifest_.dump_id}));
    if (!committed) return {};
    has_rows_ = true;
    for (const DumpTable& table : manifest_.tables) {
      ASSIGN_OR_RETURN(const auto row, transaction.QueryOne(
                                           base::StrCat("SELECT COUNT(*) AS n FROM ", table.name)));
      moved_.rows[table.name] = row->Int("n");
    }
    ASSIGN_OR_RETURN(const auto generation, store::ReadSetting(transaction, kGeneration));
    moved_.store_generation = generation.value_or("");
    progress_("all of it was here already");
    return {};
  }

  base::Status CheckTarget(const ImportTarget& target) {
    RETURN_IF_ERROR(target.database.Read([&](Transaction& transaction) -> base::Status {
      if (is_again_) {
        const base::Status looked = LookForRows(transaction);
        if (!looked.ok() || has_rows_) return looked;
      }
      ASSIGN_OR_RETURN(const std::vector<Table> tables, store::Tables(transaction));
      for (const Table& table : tables) {
        if (table.name == "migrations" || table.name == "settings") continue;
        ASSIGN_OR_RETURN(const auto row, transaction.QueryOne(base::StrCat(
                                             "SELECT 1 AS one FROM ", table.name, " LIMIT 1")));
        if (row) {
          return Error{ErrorCode::kConflict,
                       base::StrCat("import: the database is not empty: there are ", table.name)};
        }
      }
      for (const DumpTable& given : manifest_.tables) {
        const auto known = std::find_if(tables.begin(), tables.end(), [&](const Table& table) {
          return table.name == given.name;
        });
        if (known == tables.end()) {
          return Error{ErrorCode::kUnsupported,
                       base::StrCat("import: the database knows no table ", given.name)};
        }
        std::vector<std::string> ours = known->columns;
        std::vector<std::string> theirs = given.columns;
        std::sort(ours.begin(), ours.end());
        std::sort(theirs.begin(), theirs.end());
        if (ours != theirs) {
          return Error{ErrorCode::kUnsupported,
                       base::StrCat("import: table ", given.name, " has other columns here")};
        }
        tables_.push_back(*known);
      }
      return {};
    }));
    if (is_again_) return {};
    for (const store::Bucket& bucket : store::kBuckets) {
      ASSIGN_OR_RETURN(const auto found,
                       target.objects.List(std::string(bucket.name) + "/", "", 1));
      if (!found.empty()) {
        return Error{
            ErrorCode::kConflict,
            base::StrCat("import: the object store is not empty: there is ", found.front().key)};
      }
    }
    return {};
  }

  base::Status TakeObjects(store::ObjectStore& objects) {
    ASSIGN_OR_RETURN(const auto dump, options_.open_dump());
    DumpEntry entry;
    std::int64_t taken = 0;
    for (;;) {
      ASSIGN_OR_RETURN(const bool is_there, dump->Next(entry));
      if (!is_there) return {};
      if (!entry.name.starts_with(kObjectsFolder)) continue;
      const std::string key = entry.name.substr(kObjectsFolder.size());
      RETURN_IF_ERROR(store::CheckObjectKey(key));
      ASSIGN_OR_RETURN(const auto writer, objects.Put(key));
      std::uint64_t read = 0;
      while (read < entry.bytes) {
        ASSIGN_OR_RETURN(const std::size_t got, dump->Read(block_));
        if (got == 0) return Error{ErrorCode::kCorrupt, "export: changed while it was read"};
        RETURN_IF_ERROR(writer->Append(base::ByteView(block_).first(got)));
        read += got;
      }
      RETURN_IF_ERROR(writer->Commit());
      taken += 1;
      if (taken % 10'000 == 0) progress_(base::StrCat(taken, " objects"));
    }
  }

  // Everything or nothing, and from the beginning should the database run the work again.
  base::Status TakeRows(store::Database& database) {
    return database.Write([&](Transaction& transaction) -> base::Status {
      moved_.rows.clear();
      moved_.repaired = 0;
      for (const DumpTable& table : manifest_.tables) moved_.rows[table.name] = 0;
      RETURN_IF_ERROR(transaction.Execute("DELETE FROM settings"));
      ASSIGN_OR_RETURN(const auto dump, options_.open_dump());
      DumpEntry entry;
      for (;;) {
        ASSIGN_OR_RETURN(const bool is_there, dump->Next(entry));
        if (!is_there || entry.name.starts_with(kKeysFolder) ||
            entry.name.starts_with(kObjectsFolder) || entry.name == kEndName) {
          break;
        }
        if (entry.name.starts_with(kTablesFolder)) {
          RETURN_IF_ERROR(TakePart(transaction, *dump, entry));
        }
      }
      moved_.store_generation = base::RandomHex(8);
      RETURN_IF_ERROR(store::WriteSetting(transaction, kGeneration, moved_.store_generation));
      return access::WriteAudit(transaction, {.at = clock_.Now(),
                                              .who = options_.by,
                                              .action = "import",
                                              .subject = manifest_.dump_id,
                                              .detail = base::StrCat(moved_.all_rows(), " rows, ",
                                                                     moved_.objects, " objects")});
    });
  }

  base::Status TakePart(Transaction& transaction, DumpReader& dump, const DumpEntry& entry) {
    const std::vector<std::string_view> path = base::Split(entry.name, '/');
    const auto table =
        std::find_if(manifest_.tables.begin(), manifest_.tables.end(),
                     [&](const DumpTable& t) { return path.size() == 3 && t.name == path[1]; });
    if (table == manifest_.tables.end()) {
      return Error{ErrorCode::kCorrupt, base::StrCat("export: ", entry.name, ": of no table")};
    }
    std::vector<Params> rows;
    const auto flush = [&]() -> base::Status {
      if (rows.empty()) return {};
      RETURN_IF_ERROR(transaction.CopyIn(table->name, table->columns, rows));
      const std::int64_t before = moved_.rows[table->name];
      moved_.rows[table->name] += static_cast<std::int64_t>(rows.size());
      if (before / 100'000 != moved_.rows[table->name] / 100'000) {
        progress_(base::StrCat(table->name, ": ", moved_.rows[table->name], " rows"));
      }
      rows.clear();
      return {};
    };
    std::string text;
    for (std::uint64_t read = 0; read < entry.bytes;) {
      ASSIGN_OR_RETURN(const std::size_t got, dump.Read(block_));
      if (got == 0) return Error{ErrorCode::kCorrupt, "export: changed while it was read"};
      read += got;
      text += base::AsText(base::ByteView(block_).first(got));
      std::size_t begin = 0;
      for (std::size_t end = text.find('\n'); end != std::string::npos;
           end = text.find('\n', begin)) {
        auto row =
            ReadRow(std::string_view(text).substr(begin, end - begin), table->columns.size());
        if (!row.ok()) return row.error().Within(base::StrCat("export: ", entry.name));
        moved_.repaired += RepairTexts(*row);
        rows.push_back(std::move(row).value());
        begin = end + 1;
        if (rows.size() >= kRowsAtOnce) RETURN_IF_ERROR(flush());
      }
      text.erase(0, begin);
    }
    if (!text.empty()) {
      return Error{ErrorCode::kCorrupt, base::StrCat("export: ", entry.name, ": ends early")};
    }
    return flush();
  }

  base::FileSystem& fs_;
  base::Clock& clock_;
  const ImportOptions& options_;
  const Progress& progress_;
  Manifest manifest_;
  std::vector<Table> tables_;  // Ours, of those in the dump.
  bool is_again_ = false;      // An earlier try did not end.
  bool has_rows_ = false;      // It ended, but for its marker.
  Moved moved_;
  base::Bytes block_ = base::Bytes(kBlockBytes);
};

}  // namespace

base::Result<Moved> Import(base::FileSystem& fs, base::Clock& clock, const ImportOptions& options,
                           const Progress& progress) {
  return Importing(fs, clock, options, progress).Run();
}

base::Status CheckNotImporting(base::FileSystem& fs, const std::string& data) {
  if (!base::Exists(fs, base::JoinPath(data, kMarker))) return {};
  return Error{ErrorCode::kConflict,
               base::StrCat("--data ", data,
                            ": an import has not ended here; run `tinysphere import` again")};
}

}  // namespace tinysphere::operation
