#include "tinysphere/command/installation.h"

#include <utility>

#include "base/crypto.h"
#include "base/json.h"
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

// ---- What an installation consists of
// -------------------------------------------------------------

// Says where rows and objects lie, so that a verb that forgets to say it does not make others.
constexpr std::string_view kPlaceFile = "installation.json";
constexpr std::string_view kServerKeySetting = "server_key";

// Without secrets, and without what may change: "postgresql://HOST:PORT/NAME", "s3://PREFIX".
std::string Lasting(const std::string& given, std::string_view otherwise) {
  if (given.empty()) return std::string(otherwise);
  std::string text = given.substr(0, given.find('?'));
  const std::size_t host = text.find("://");
  if (host == std::string::npos || !text.starts_with("postgres")) return text;
  const std::size_t path = text.find('/', host + 3);
  const std::size_t user_end = text.rfind('@', path);
  return base::StrCat("postgresql://",
                      text.substr(user_end == std::string::npos ? host + 3 : user_end + 1));
}

base::Json PlaceJson(const Place& place) {
  return base::Json::MakeObject({{"database", Lasting(place.database, "sqlite:DATA/tinysphere.db")},
                                 {"objects", Lasting(place.objects, "file:DATA/objects")}});
}

// kInvalidArgument where `place` names another database or other objects than were served.
base::Status CheckPlace(base::FileSystem& fs, const Place& place) {
  const std::string path = base::JoinPath(place.data, kPlaceFile);
  if (!base::Exists(fs, path)) return {};
  ASSIGN_OR_RETURN(const std::string text, base::ReadTextFile(fs, path, 64u << 10));
  const auto kept = base::Json::Parse(text);
  if (!kept.ok()) return kept.error().Within(path);
  const base::Json given = PlaceJson(place);
  for (const char* what : {"database", "objects"}) {
    const base::Json* known = kept->Find(what);
    if (known == nullptr || *known == *given.Find(what)) continue;
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("--", what, ": ", place.data, " goes with ",
                              known->is_string() ? known->as_string() : known->Write(), ", not ",
                              given.Find(what)->as_string(), " (", path, " says so)")};
  }
  return {};
}

// One server's database: a second data folder has other keys, and no device would believe both.
base::Status CheckServerKey(store::Database& database, const access::ServerKeys& keys,
                            const std::string& data) {
  return database.Write([&](store::Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const auto known, store::ReadSetting(transaction, kServerKeySetting));
    if (!known) return store::WriteSetting(transaction, kServerKeySetting, keys.fingerprint());
    if (*known == keys.fingerprint()) return {};
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("--database: it is another server's, whose key is ", *known,
                              "; the key in ", data, "/keys is ", keys.fingerprint())};
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

base::Status KeepPlace(base::FileSystem& fs, const Place& place) {
  const std::string text = PlaceJson(place).WritePretty() + "\n";
  return base::WriteFileDurably(fs, base::JoinPath(place.data, kPlaceFile), base::AsBytes(text),
                                /*owner_only=*/true);
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
  RETURN_IF_ERROR(CheckPlace(fs, place));
  sodium::UseSodiumForEd25519();
  RETURN_IF_ERROR(base::MakePrivateFolder(place.data));
  ASSIGN_OR_RETURN(access::ServerKeys keys,
                   access::LoadOrMakeServerKeys(fs, base::JoinPath(place.data, "keys")));
  ASSIGN_OR_RETURN(auto database, OpenDatabase(place));
  auto telemetry = prometheus::MakeTelemetry();
  CountCommits(*database, *telemetry);
  RETURN_IF_ERROR(store::Migrate(*database, store::Migrations(), clock.Now()));
  RETURN_IF_ERROR(store::EnsurePartitions(*database, clock.Now()));
  if (is_server) RETURN_IF_ERROR(CheckServerKey(*database, keys, place.data));
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
