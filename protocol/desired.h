// Desired state: what the server would like a device to run and to fetch. Advice: what may be
// installed is decided by the publisher's signature. docs/formats/desired.md.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace protocol {

enum class DesiredAction { kNone, kInstall, kRollback };
const char* Name(DesiredAction action);

// What a device may be asked to be; tinylcm/adapt says what each means.
inline constexpr std::string_view kModes[] = {"autonomous", "server_assisted", "monitoring_only"};

struct Desired {
  struct Target {
    std::string name;
    std::string version;
    std::string bundle;
    std::string archive_sha256;
    std::uint64_t bytes = 0;
    friend bool operator==(const Target&, const Target&) = default;
  };
  struct Request {
    std::string event_id;
    std::int64_t samples = 0;
    friend bool operator==(const Request&, const Request&) = default;
  };

  std::int64_t revision = 0;
  std::string deployment_id;  // Empty where there is none.
  DesiredAction action = DesiredAction::kNone;
  std::optional<Target> target;  // With kInstall always.
  base::Json config = base::Json::MakeObject();
  std::optional<std::string> mode;
  std::vector<std::string> feedback;
  std::vector<Request> requests;
  std::int64_t poll_after_s = 60;
  std::optional<base::Time> requeue_dead_since;

  friend bool operator==(const Desired&, const Desired&) = default;
};

base::Json ToJson(const Desired& desired);
base::Result<Desired> ParseDesired(std::string_view json);

}  // namespace protocol
