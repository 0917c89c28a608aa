// MetricsSocket: the Prometheus text, for whoever on this machine asks.
//
//   curl --unix-socket /run/tinylcm/metrics.sock http://device/metrics
//
// A Unix socket that only the agent's user and group may open; nothing listens on the network. One
// question is answered at a time, within a fifth of a second, so a client that hangs costs no more.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace tinylcm::monitor {

// Not thread-safe.
class MetricsSocket {
 public:
  virtual ~MetricsSocket() = default;
  // Answers one client that waits, if one does, with text(). GET of any path; anything else gets
  // 405 and is closed.
  virtual void Serve(const std::function<std::string()>& text) = 0;
};

// Listens on `path`, which is removed at the end. A socket that nobody listens on any more is
// replaced; kConflict where somebody does, or where something else lies there. Implemented by
// platform/unix_socket.
base::Result<std::unique_ptr<MetricsSocket>> OpenMetricsSocket(const std::string& path);

}  // namespace tinylcm::monitor
