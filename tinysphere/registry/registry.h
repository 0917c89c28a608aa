// Registry: which bundles exist, under which name and version, at which stage, and where each runs.
//
// A bundle comes in only with the signature of a publisher whose key an administrator gave with an
// enrolment token. The server can neither make nor change one; it keeps the archive as it came, and
// the device checks it again.

#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/message.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::registry {

inline constexpr std::uint64_t kBundleBytesMax = 512u << 20;

struct Registered {
  base::Json version;
  bool is_new = false;
};

// May be used from several threads.
class Registry {
 public:
  // All must outlive the registry.
  Registry(store::Database& database, store::ObjectStore& objects, base::FileSystem& fs,
           base::Clock& clock, http::EventHub& events)
      : database_(database), objects_(objects), fs_(fs), clock_(clock), events_(events) {}

  // Takes a .tar.zst over; on success the file at `path` is gone. kPermissionDenied if it is
  // unsigned or signed by a key that no administrator gave, kCorrupt if it is damaged, kConflict if
  // that name and version is another bundle already.
  base::Result<Registered> Add(const std::string& path, const std::string& by);

  // Called in the transaction that registers a bundle, with its id. At most one; before the first.
  using Added = std::function<base::Status(store::Transaction&, const std::string& bundle)>;
  void OnAdded(Added added) { added_ = std::move(added); }
  // The same for a version whose stage was set.
  using Staged = std::function<base::Status(store::Transaction&, const std::string& name,
                                            const std::string& version, const std::string& stage)>;
  void OnStaged(Staged staged) { staged_ = std::move(staged); }

  base::Result<base::Json> List(const http::Request& request);
  base::Result<base::Json> SetStage(const std::string& name, const std::string& version,
                                    const std::string& stage, const std::string& by);
  base::Result<base::Json> Version(const std::string& name, const std::string& version);

  // The archive whose SHA-256 this is, as a response that honours Range.
  base::Result<http::Response> Artifact(const http::Request& request, const std::string& sha256);

  void AddRoutes(http::Router& router);

 private:
  store::Database& database_;
  store::ObjectStore& objects_;
  base::FileSystem& fs_;
  base::Clock& clock_;
  http::EventHub& events_;
  Added added_;
  Staged staged_;
};

}  // namespace tinysphere::registry
