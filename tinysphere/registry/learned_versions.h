// LearnedVersions: what devices learned and sent as `model`, waiting for a publisher's signature.
//
// Picture a shelf of drafts: a device wrote each, a person may read it, and only what the publisher
// makes of one and signs becomes a version that can be rolled out. A draft is none: no rollout
// finds it, whatever it is called.

#pragma once

#include <string>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/learned_model.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"

namespace tinysphere::registry {

struct LearnedOrigin {
  std::string device_id;
  std::string package_id;
  base::Time received_at{};
  std::string object_key;  // Of adaptation.bin, whose digest was compared.
  std::uint64_t bytes = 0;
};

// What the publisher may call the bundle made of it: the base's version and a part of the digest.
std::string SuggestedVersion(const std::string& base_version, const std::string& sha256);

// May be used from several threads.
class LearnedVersions {
 public:
  explicit LearnedVersions(store::Database& database) : database_(database) {}

  // In the transaction of the package. Idempotent.
  base::Status Take(store::Transaction& transaction, const LearnedOrigin& origin,
                    const protocol::LearnedModel& model);

  // ?model=NAME: of that model only.
  base::Result<base::Json> List(const http::Request& request);

  void AddRoutes(http::Router& router);

 private:
  store::Database& database_;
};

}  // namespace tinysphere::registry
