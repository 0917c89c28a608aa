// Receiver: takes a package in, and answers with a receipt that the device may rely on.
//
// The order is the promise: the archive is read to its end and found to be what the device signed,
// it lies in the object store, its row and the job that unpacks it are committed, and only then is
// `stored` said. Whatever happens before that (a crash, a full disk) leaves the device without an
// answer, and it sends again.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/identifiers.h"
#include "tinysphere/access/statements.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/message.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::ingest {

inline constexpr std::uint64_t kPackageBytesMax = 64u << 20;
inline constexpr std::string_view kUnpackJob = "unpack";
// The same for a package of the Python prototype's client (legacy/).
inline constexpr std::string_view kLegacyUnpackJob = "unpack_legacy";

// An archive that lies in a local file.
struct Arrival {
  std::string device_id;   // Who signed the request.
  std::string package_id;  // What it calls it.
  std::string path;
  std::uint64_t bytes = 0;
  std::string sha256;
};

// Whether `package_id` is one, and this device's to send. Asked before anything else, and answered
// unsigned: a text that is no id must never become the subject of a statement.
base::Status CheckOwnPackage(const std::string& package_id, const std::string& device_id);

// May be used from several threads.
class Receiver {
 public:
  // All must outlive the receiver. `stored` is called after each package that is new.
  Receiver(store::Database& database, store::ObjectStore& objects, store::Queue& queue,
           base::FileSystem& fs, base::Clock& clock, http::EventHub& events,
           const access::StatementSigner& signer, std::function<void()> stored)
      : database_(database),
        objects_(objects),
        queue_(queue),
        fs_(fs),
        clock_(clock),
        events_(events),
        signer_(signer),
        stored_(std::move(stored)) {}

  // The whole of PROTOCOL 3: `stored`, `duplicate`, `conflict` or `refused`, signed; an Error where
  // there is no answer yet (the disk is full). On `stored` the file at arrival.path is gone.
  // REQUIRES: CheckOwnPackage held.
  base::Result<http::Response> Take(const Arrival& arrival);

  // The answer for a package that is here already (`duplicate` or `conflict`); nullopt if it is
  // not.
  base::Result<std::optional<http::Response>> Answered(const std::string& device_id,
                                                       const std::string& package_id,
                                                       const std::string& sha256);
  // A permanent refusal. REQUIRES: CheckOwnPackage held.
  http::Response Refuse(const Arrival& arrival, const base::Error& error,
                        const std::string& field = "");

 private:
  base::Status Insert(store::Transaction& transaction, const Arrival& arrival,
                      const protocol::PackageName& name, const struct Verified& verified,
                      const std::string& key, base::Time now);
  http::Response Say(int status, const std::string& kind, const std::string& device_id,
                     const std::string& package_id, const std::string& sha256) const;
  base::Result<struct Verified> Verify(const Arrival& arrival, const protocol::PackageName& name,
                                       const base::ReadableFile& file,
                                       const base::Ed25519PublicKey& key);
  void Count(std::string_view counter);

  store::Database& database_;
  store::ObjectStore& objects_;
  store::Queue& queue_;
  base::FileSystem& fs_;
  base::Clock& clock_;
  http::EventHub& events_;
  const access::StatementSigner& signer_;
  std::function<void()> stored_;
};

}  // namespace tinysphere::ingest
