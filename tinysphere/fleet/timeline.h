// Timeline: what happened to a device, a line each, for a person to read.

#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/http/message.h"
#include "tinysphere/store/database.h"

namespace tinysphere::fleet {

// enrolled, drift, evidence, labels, feedback, adaptation, update, rollback, alert, package
struct Happening {
  base::Time at{};
  std::string device_id;
  std::string kind;
  std::string text;
  std::string ref;  // The id of what it is about; "" if there is none.
};

// In the transaction of what happened.
base::Status Note(store::Transaction& transaction, const Happening& happening);

// The page that `request` asks for, newest first; of one device, or of all with "".
base::Result<base::Json> ReadTimeline(store::Database& database, const http::Request& request,
                                      const std::string& device_id);
// The newest `count` of the fleet, as a JSON array.
base::Result<base::Json> RecentHappenings(store::Transaction& transaction, std::size_t count);

}  // namespace tinysphere::fleet
