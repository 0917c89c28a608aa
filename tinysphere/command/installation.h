// Installation: one server's data on this machine, opened: DATA/keys, the database, the objects.
//
// The server opens it, and so does every other verb, beside a running server too: the database
// arbitrates between them.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinysphere/access/password_hasher.h"
#include "tinysphere/access/server_keys.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"
#include "tinysphere/telemetry/telemetry.h"

namespace tinysphere::command {

struct Place {
  std::string data;           // --data
  std::string database;       // --database sqlite:FILE or postgresql://...; "": DATA/tinysphere.db
  std::string objects;        // --objects file:DIR or s3://PREFIX?..; "" for DATA/objects
  bool is_importing = false;  // What an import has not yet made whole is opened for nobody else.
};

// Lives as long as the program.
struct Installation {
  base::FileSystem& fs;
  base::Clock& clock;
  std::string data;
  std::string work_folder;  // Of what is under way: objects.h.
  access::ServerKeys keys;
  std::string store_generation;
  std::unique_ptr<telemetry::Telemetry> telemetry;  // Outlives what counts with it.
  std::unique_ptr<store::Database> database;
  std::unique_ptr<store::ObjectStore> objects;
  std::unique_ptr<access::PasswordHasher> hasher;

  std::string key_folder() const { return base::JoinPath(data, "keys"); }
  // The link that makes the first administrator, while there is none.
  std::string first_admin_path() const { return base::JoinPath(data, "first-admin"); }
  // Of the certificate the server last served with, if no CA vouches for it; "" otherwise.
  // nullopt if no server has run here yet.
  base::Result<std::optional<std::string>> tls_pin() const;
};

// The database that `place` names, as it is. kUnsupported for another kind than we have.
base::Result<std::unique_ptr<store::Database>> OpenDatabase(const Place& place);

// Opens what is there, or makes it (`may_make`), and brings the schema up to date. kInvalidArgument
// where there is none and none may be made: the folder is mistyped. `is_server`: the one process
// that sweeps up after a crash; it holds the folder's lock. The data folder is its owner's only,
// and so is what the process makes.
base::Result<std::unique_ptr<Installation>> Open(const Place& place, bool may_make, bool is_server);

// Writes down which database and objects the data folder goes with, so that Open refuses others.
// For a server that is about to serve: one that was started wrongly leaves no such word.
base::Status KeepPlace(base::FileSystem& fs, const Place& place);

inline constexpr std::string_view kTlsPinSetting = "tls_pin";

}  // namespace tinysphere::command
