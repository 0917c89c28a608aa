// Location: where the device is, as it was told or as a receiver says: never guessed, never asked
// of anybody outside. There is no switch for a look-up by address or by wireless networks.
//
//   configured place ─────────────────────────▶ Where(now) ─▶ place, accuracy, age; or nothing
//   gpsd, 127.0.0.1:2947 ─lines of JSON─▶ fix ─┘   a fix older than a minute is nothing
//
// Source: gpsd's JSON protocol, gpsd_json(5).

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "protocol/metrics.h"

namespace tinylcm::location {

using Place = protocol::DeviceMetrics::Location;

// Not thread-safe.
class Locator {
 public:
  virtual ~Locator() = default;
  // About once a second; never waits.
  virtual std::optional<Place> Where(base::Duration now) = 0;
};

// What a person wrote into the configuration. kInvalidArgument for a place that is not on Earth.
base::Result<std::unique_ptr<Locator>> MakeConfiguredPlace(double latitude, double longitude,
                                                           std::optional<double> accuracy_m);

// Understands what gpsd sends, in pieces of any size. Not thread-safe.
class GpsdFeed {
 public:
  static constexpr std::size_t kLineBytesMax = 64u << 10;  // Longer ones are passed over.
  static constexpr base::Duration kStale{60'000};

  void Take(std::string_view bytes, base::Duration now);
  // The connection went: half a line of it is no line.
  void Interrupted() { line_.clear(); }
  // The last fix, if there is one and it is fresh. A receiver that says it has lost its fix has
  // none.
  std::optional<Place> Where(base::Duration now) const;
  std::uint64_t bad_lines() const { return bad_lines_; }

 private:
  void Line(std::string_view line, base::Duration now);

  std::string line_;
  bool is_too_long_ = false;
  std::uint64_t bad_lines_ = 0;
  std::optional<Place> place_;
  base::Duration measured_{0};
};

// A connection that never waits.
class Connection {
 public:
  virtual ~Connection() = default;
  // What has come since the last call; empty: nothing yet. kUnavailable: it is over.
  virtual base::Result<std::string> Read() = 0;
};
using Connect = std::function<base::Result<std::unique_ptr<Connection>>()>;

// Asks a gpsd; tries again after ten seconds when it is not there.
std::unique_ptr<Locator> MakeGpsdLocator(Connect connect);

// To gpsd at "127.0.0.1:2947": a number address and a port, "localhost" or "[::1]:2947"; names are
// not looked up. kInvalidArgument for anything else. Implemented by platform/tcp.
base::Result<Connect> ConnectToGpsd(const std::string& host_and_port);

}  // namespace tinylcm::location
