#include "tinysphere/command/installation.h"

#include <utility>

#include "base/crypto.h"
#include "base/private_folder.h"
#include "base/text.h"
#include "tinysphere/command/objects.h"
#include "tinysphere/operation/import.h"
#include "tinysphere/platform/postgres/postgres_database.h"
#include "tinysphere/platform/prometheus/prometheus_telemetry.h"
#include "tinysphere/platform/sodium/sodium_ed25519.h"
#include "tinysphere/platform/sodium/sodium_password_hasher.h"
#include "tinysphere/platform/sqlite/sqlite_database.h"
#include "tinysphere/store/counted_objects.h"
#include "tinysphere/store/partitions.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::command {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::string_view kGenerationSetting = "store_generation";

// "sqlite:FILE" -> "FILE"; an option of another kind is one this build does not have.
base::Result<std::string> After(std::string_view kind, const std::string& given,
                                std::string otherwise, std::string_view option) {
  if (given.empty()) return otherwise;
  if (given.starts_with(kind) && given.size() > kind.size()) return given.substr(kind.size());
  return Error{
      ErrorCode::kUnsupported,
      base::StrCat(option, " ", given.substr(0, given.find(':')), ": this build knows ", kind,
                   "... ", option == "--database" ? "and postgresql://..." : "only")};
}

base::Result<std::string> ReadGeneration(store::Database& database) {
  return database.Write([](store::Transaction& transaction) -> base::Result<std::string> {
    ASSIGN_OR_RETURN(const auto known, store::ReadSetting(transaction, kGenerationSetting));
    if (known) return *known;
    const std::string made = base::RandomHex(8);
    RETURN_IF_ERROR(store::WriteSetting(transaction, kGenerationSetting, made));
    return made;
  });
}

void CountCommits(store::Database& database, telemetry::Telemetry& telemetry) {
  telemetry::Histogram& writes =
      telemetry.MakeHistogram("tinysphere_database_commit_writes",
                              "Writes that were committed together.", {}, telemetry::CountBounds());
  telemetry::Histogram& seconds = telemetry.MakeHistogram(
      "tinysphere_database_commit_seconds", "How long a commit took, with the writes it held.", {},
      telemetry::SecondsBounds());
  database.OnCommit([&writes, &seconds](std::size_t works, double took) {
    writes.Observe(static_cast<double>(works));
    seconds.Observe(took);
  });
}

}  // namespace

base::Result<std::unique_ptr<store::Database>> OpenDatabase(const Place& place) {
  if (place.database.starts_with("postgresql://") || place.database.starts_with("postgres://")) {
    return postgres::OpenDatabase({.url = place.database});
  }
  ASSIGN_OR_RETURN(
      const std::string file,
      After("sqlite:", place.database, base::JoinPath(place.data, "tinysphere.db"), "--database"));
  return sqlite::OpenDatabase({.path = file});
}

base::Result<std::optional<std::string>> Installation::tls_pin() const {
  ASSIGN_OR_RETURN(const auto row, database->QueryOne("SELECT value FROM settings WHERE name = $1",
                                                      {kTlsPinSetting}));
  return row ? std::optional(row->Text("value")) : std::nullopt;
}

base::Result<std::unique_ptr<Installation>> Open(const Place& place, bool may_make,
                                                 bool is_server) {
  base::FileSystem& fs = base::SystemFileSystem();
  base::Clock& clock = base::SystemClock();
  if (!may_make && !base::Exists(fs, base::JoinPath(place.data, "keys"))) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("--data ", place.data,
                              ": no server has been started on this data; start it "
                              "with: tinysphere serve --data ",
                              place.data)};
  }
  if (!place.is_importing) RETURN_IF_ERROR(operation::CheckNotImporting(fs, place.data));
  sodium::UseSodiumForEd25519();
  RETURN_IF_ERROR(base::MakePrivateFolder(place.data));
  ASSIGN_OR_RETURN(access::ServerKeys keys,
                   access::LoadOrMakeServerKeys(fs, base::JoinPath(place.data, "keys")));
  ASSIGN_OR_RETURN(auto database, OpenDatabase(place));
  auto telemetry = prometheus::MakeTelemetry();
  CountCommits(*database, *telemetry);
  RETURN_IF_ERROR(store::Migrate(*database, store::Migrations(), clock.Now()));
  RETURN_IF_ERROR(store::EnsurePartitions(*database, clock.Now()));
  ASSIGN_OR_RETURN(std::string generation, ReadGeneration(*database));
  ASSIGN_OR_RETURN(Objects objects, OpenObjects(fs, clock, place.data, place.objects, is_server));
  objects.store = store::CountObjects(std::move(objects.store), *telemetry);
  return std::unique_ptr<Installation>(new Installation{
      .fs = fs,
      .clock = clock,
      .data = place.data,
      .work_folder = std::move(objects.work_folder),
      .keys = std::move(keys),
      .store_generation = std::move(generation),
      .telemetry = std::move(telemetry),
      .database = std::move(database),
      .objects = std::move(objects.store),
      .hasher = sodium::MakePasswordHasher(),
  });
}

}  // namespace tinysphere::command
