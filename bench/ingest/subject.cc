#include "bench/ingest/subject.h"

#include <unistd.h>

#include "base/logger.h"
#include "base/text.h"
#include "bench/ingest/requests.h"
#include "protocol/identifiers.h"
#include "tinysphere/command/installation.h"
#include "tinysphere/command/sphere.h"
#include "tinysphere/http/server.h"
#include "tinysphere/platform/beast/beast_server.h"

namespace bench {

namespace {

base::Status Enrol(tinysphere::store::Database& database, int devices, base::Time now) {
  return database.Write([&](tinysphere::store::Transaction& transaction) -> base::Status {
    for (int i = 0; i < devices; ++i) {
      const base::Ed25519PublicKey key = DeviceKey(i).public_key();
      const std::string id = protocol::DeviceIdOf(key);
      RETURN_IF_ERROR(transaction.Execute(
          "INSERT INTO devices (device_id, name, state, enrolled_at, fingerprint) "
          "VALUES ($1, $2, 'active', $3, $4)",
          {id, base::StrCat("bench-", i), now, base::Fingerprint(key)}));
      RETURN_IF_ERROR(transaction.Execute(
          "INSERT INTO device_keys (device_id, key_count, public_key, created_at) "
          "VALUES ($1, 1, $2, $3)",
          {id, base::Bytes(key.begin(), key.end()), now}));
    }
    return {};
  });
}

}  // namespace

base::Status ServeSubject(const std::string& data, int devices,
                          const std::function<void(std::uint16_t)>& ready) {
  namespace command = tinysphere::command;
  base::Logger& logger = base::StderrLogger();
  ASSIGN_OR_RETURN(const auto installation,
                   command::Open({.data = data, .database = "", .objects = ""}, true, true));
  RETURN_IF_ERROR(Enrol(*installation->database, devices, installation->clock.Now()));
  const std::string spool = base::JoinPath(installation->work_folder, "spool");
  command::SphereOptions options;
  options.spool = spool;
  options.uploads = base::JoinPath(installation->work_folder, "uploads");
  options.judging.folder = base::JoinPath(installation->work_folder, "judging");
  command::Sphere sphere(*installation, options, logger);
  RETURN_IF_ERROR(sphere.uploads.Open());
  RETURN_IF_ERROR(sphere.desired_states.RefreshAll(sphere.database));
  tinysphere::http::ServerOptions listen;
  listen.spool_folder = spool;
  ASSIGN_OR_RETURN(const auto server,
                   tinysphere::beast::StartServer(listen, sphere.router, sphere.events,
                                                  installation->fs, logger));
  ready(server->port());
  for (;;) ::pause();
}

}  // namespace bench
