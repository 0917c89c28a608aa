// LinkIntervals: when each device was heard of, and how well.
//
//   requests ──▶ ▁▁███████▁▁▁▁▁▁▁▃▃▃▃█████   █ online  ▃ poor  ▁ offline
//
// An interval lasts while a device is heard of within three polls and the link is as good as it
// was. Only intervals in which something was heard lie in the table; what is between two of them is
// offline, or unknown where this server was away itself. The newest lie in memory and are written
// down a minute apart at most, so that a poll costs no write.
//
// Poor is: the device measures a signal of -80 dBm or less (good again from -75 on), or of its last
// requests a third came later than two polls.

#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/http/message.h"
#include "tinysphere/store/database.h"

namespace tinysphere::fleet {

// May be used from several threads.
class LinkIntervals {
 public:
  // `poll`: how often devices are asked to look in.
  explicit LinkIntervals(base::Duration poll) : poll_(poll) {}

  // Once, before the first request: since when this server was away is written down.
  base::Status Open(store::Database& database, base::Time now);
  void Saw(const std::string& device_id, base::Time at);
  // What the device measured of its own link.
  void Measured(const std::string& device_id, double signal_dbm);
  // Writes down what is due; all of it with `is_last`.
  base::Status Save(store::Database& database, base::Time now, bool is_last = false);
  // Of a device whose data was deleted.
  void Forget(const std::string& device_id);

  // ?from= and ?to= (the last 7 days): {"intervals": [{"from","until"|null,"state","requests",
  // "late","signal_dbm"}], "online_share"}, oldest first, without gaps.
  base::Result<base::Json> Read(store::Database& database, const http::Request& request,
                                const std::string& device_id, base::Time now);

  static base::Status ForgetBefore(store::Database& database, base::Time before);

 private:
  struct Interval {
    base::Time from{};
    base::Time until{};
    bool is_poor = false;
    std::int64_t requests = 0;
    std::int64_t late = 0;
    std::optional<double> signal_dbm{};  // The last one.
  };
  struct Link {
    Interval open;
    double late_share = 0.0;  // Of the last requests, the newer the heavier.
    bool is_weak = false;     // By signal.
    bool is_new = true;       // It may go on where the table ends.
    bool is_changed = false;
    base::Time saved_at{};
  };
  struct Row {
    std::string device_id;
    Interval interval;
    bool is_new = false;
  };

  void Turn(const std::string& device_id, Link& link);
  base::Duration absence() const { return 3 * poll_; }

  const base::Duration poll_;
  std::mutex mutex_;
  std::map<std::string, Link> links_;
  std::vector<Row> ended_;  // Not yet written.
};

}  // namespace tinysphere::fleet
