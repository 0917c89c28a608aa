// Receiver: takes a package in, and answers with a receipt that the device may rely on.
//
// The order is the promise: the archive is found to be what the device signed, it lies in the
// object store, its row and the job that unpacks it are committed, and only then is `stored` said.
// Whatever happens before that (a crash, a full disk) leaves the device without an answer, and it
// sends again.
//
// How much of the archive is read before the answer: always its manifest and the signature over it;
// the files too where they are small or swell (kReadWholeMax, kSwellsMax). The rest is read by the
// job, which sets a bad one aside with its reason (docs/decisions/0016).

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
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
// What the files of a package may have together, expanded, to be read before it is answered.
inline constexpr std::uint64_t kReadWholeMax = 64u << 10;
// Files more than this many times their archive are read before it is answered, whatever their
// size.
inline constexpr std::uint64_t kSwellsMax = 16;
inline constexpr std::string_view kUnpackJob = "unpack";
// The same for a package of the Python prototype's client (legacy/).
inline constexpr std::string_view kLegacyUnpackJob = "unpack_legacy";

// An archive that lies in a local file or, a small one, in memory.
struct Arrival {
  std::string device_id;   // Who signed the request.
  std::string package_id;  // What it calls it.
  std::string path;        // "": it is `held`.
  std::uint64_t bytes = 0;
  std::string sha256;
  // The device's key, if whoever checked the request knows it already.
  std::optional<base::Ed25519PublicKey> key{};
  base::ByteView held{};
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
  // The object's key, once it is durable.
  base::Result<std::string> Keep(const Arrival& arrival, const protocol::PackageName& name);
  // Takes back what was kept, unless it is what the package's row names.
  base::Status DropIfUnnamed(const std::string& package_id, const std::string& key);
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
