// Layout: where things lie in an agent's data folder.

#pragma once

#include <string>

#include "base/file_system.h"

namespace agent {

struct Layout {
  explicit Layout(const std::string& folder)
      : data(folder),
        device_key(base::JoinPath(folder, "keys/device.key")),
        identity(base::JoinPath(folder, "identity.json")),
        queue(base::JoinPath(folder, "queue")),
        slots(base::JoinPath(folder, "slots")),
        lifecycle(base::JoinPath(folder, "lifecycle")),
        snapshots(base::JoinPath(folder, "lifecycle/snapshots")),
        rollback_request(base::JoinPath(folder, "rollback-request")),
        datalog(base::JoinPath(folder, "datalog")),
        downloads(base::JoinPath(folder, "downloads")),
        deployments(base::JoinPath(folder, "deployments")),
        wishes(base::JoinPath(folder, "wishes")),
        sync_state(base::JoinPath(folder, "sync")),
        status(base::JoinPath(folder, "status.json")) {}

  std::string data;
  std::string device_key;
  std::string identity;
  std::string queue;
  std::string slots;
  std::string lifecycle;
  std::string snapshots;
  std::string rollback_request;
  std::string datalog;
  std::string downloads;
  std::string deployments;
  std::string wishes;
  std::string sync_state;
  std::string status;
};

}  // namespace agent
