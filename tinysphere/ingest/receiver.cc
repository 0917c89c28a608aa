#include "tinysphere/ingest/receiver.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "protocol/archive.h"
#include "protocol/package.h"
#include "protocol/signed_archive.h"
#include "tinysphere/ingest/package_rows.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::ingest {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Transaction;

// What the manifest says, once the device's signature over it held.
struct Verified {
  protocol::PackageManifest manifest;
};

namespace {

// Lets every file pass; the reader has compared size and digest.
class PassSink final : public protocol::FileSink {
 public:
  base::Status Begin(const protocol::NamedFile&) override { return {}; }
  base::Status Append(base::ByteView) override { return {}; }
  base::Status End() override { return {}; }
};

// Whether what reading the archive said is about its contents, for ever, rather than about us now.
bool IsPermanent(ErrorCode code) {
  return code != ErrorCode::kUnavailable && code != ErrorCode::kInternal &&
         code != ErrorCode::kNotFound;
}

// PROTOCOL 3: a permanent refusal is one of 400, 413, 415, 422.
int RefusalStatus(ErrorCode code) {
  switch (code) {
    case ErrorCode::kCorrupt:
      return 400;
    case ErrorCode::kExhausted:
      return 413;
    case ErrorCode::kUnsupported:
      return 415;
    default:
      return 422;
  }
}

base::Result<base::Ed25519PublicKey> KeyOf(store::Database& database,
                                           const std::string& device_id) {
  ASSIGN_OR_RETURN(const auto row,
                   database.QueryOne("SELECT public_key FROM device_keys WHERE device_id = $1 "
                                     "ORDER BY key_count DESC LIMIT 1",
                                     {device_id}));
  base::Ed25519PublicKey key{};
  if (!row || row->Blob("public_key").size() != key.size()) {
    return Error{ErrorCode::kPermissionDenied, "manifest.sig: no key of " + device_id};
  }
  const base::Bytes bytes = row->Blob("public_key");
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

// Entries 1 and 2, and the files too where they are small or swell: kReadWholeMax, kSwellsMax.
base::Result<Verified> Verify(const Arrival& arrival, const protocol::PackageName& name,
                              protocol::ByteSource& source, const base::Ed25519PublicKey& key) {
  const protocol::ArchiveLimits limits{.compressed_bytes_max = kPackageBytesMax};
  ASSIGN_OR_RETURN(protocol::SignedArchiveReader reader,
                   protocol::SignedArchiveReader::Open(source, limits));
  Verified verified;
  ASSIGN_OR_RETURN(verified.manifest, protocol::ParsePackageManifest(reader.manifest_bytes()));
  if (!(verified.manifest.name == name)) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("manifest.json: package_id: is ", verified.manifest.name.id(),
                              ", sent as ", arrival.package_id)};
  }
  RETURN_IF_ERROR(reader.Verify(protocol::kPackageSignaturePrefix, key));
  std::uint64_t total = 0;
  for (const protocol::NamedFile& file : verified.manifest.files) {
    // No overflow: a file over the limit ends this.
    total += file.bytes;
    if (file.bytes > limits.expanded_bytes_max || total > limits.expanded_bytes_max) {
      return Error{ErrorCode::kExhausted,
                   base::StrCat("manifest.json: files: more than ", limits.expanded_bytes_max,
                                " bytes together")};
    }
  }
  if (total > kReadWholeMax && total <= kSwellsMax * arrival.bytes) return verified;
  PassSink sink;
  RETURN_IF_ERROR(reader.ReadFiles(verified.manifest.files, sink));
  return verified;
}

}  // namespace

base::Status CheckOwnPackage(const std::string& package_id, const std::string& device_id) {
  ASSIGN_OR_RETURN(const protocol::PackageName name, protocol::ParsePackageId(package_id));
  if (name.device_id == device_id) return {};
  return Error{ErrorCode::kPermissionDenied,
               base::StrCat("package ", package_id, " is not ", device_id, "'s to send")};
}

http::Response Receiver::Say(int status, const std::string& kind, const std::string& device_id,
                             const std::string& package_id, const std::string& sha256) const {
  return http::Response::Json(
      status, signer_.Sign(
                  {.kind = kind, .device_id = device_id, .subject = package_id, .sha256 = sha256}));
}

http::Response Receiver::Refuse(const Arrival& arrival, const Error& error,
                                const std::string& field) {
  Count("refused");
  return http::Response::Json(RefusalStatus(error.code),
                              signer_.Sign({.kind = "refused",
                                            .device_id = arrival.device_id,
                                            .subject = arrival.package_id,
                                            .sha256 = arrival.sha256,
                                            .code = base::Name(error.code),
                                            .message = error.message,
                                            .field = field}));
}

// Figures for people; one that is lost with a crash does no harm.
void Receiver::Count(std::string_view counter) {
  const auto counted = database_.Execute(
      "INSERT INTO counters (name, count) VALUES ($1, 1) "
      "ON CONFLICT (name) DO UPDATE SET count = counters.count + 1",
      {counter});
  (void)counted.ok();
}

base::Result<std::optional<http::Response>> Receiver::Answered(const std::string& device_id,
                                                               const std::string& package_id,
                                                               const std::string& sha256) {
  ASSIGN_OR_RETURN(const auto row, database_.QueryOne("SELECT device_id, sha256 FROM "
                                                      "package_names WHERE package_id = $1",
                                                      {package_id}));
  if (!row) return std::optional<http::Response>();
  if (row->Text("device_id") == device_id && row->Text("sha256") == sha256) {
    RETURN_IF_ERROR(database_.Write(
        [&](Transaction& transaction) { return CountDuplicate(transaction, package_id); }));
    return std::optional(Say(200, "duplicate", device_id, package_id, sha256));
  }
  Count("conflicts");
  return std::optional(
      http::Response::Json(409, signer_.Sign({.kind = "conflict",
                                              .device_id = device_id,
                                              .subject = package_id,
                                              .sha256 = sha256,
                                              .code = base::Name(ErrorCode::kConflict),
                                              .message = "another archive has this id"})));
}

base::Result<std::string> Receiver::Keep(const Arrival& arrival,
                                         const protocol::PackageName& name) {
  // The digest in the key: should two archives with one id arrive at the same moment, neither can
  // overwrite the other, and the row says which of them is the package.
  std::string key = base::StrCat(store::kPackagesBucket, "/", name.device_id, "/", name.epoch, "/",
                                 name.seq, "-", arrival.sha256.substr(0, 16));
  if (arrival.path.empty()) return objects_.Keep(key, arrival.held);
  RETURN_IF_ERROR(objects_.Adopt(key, arrival.path));
  return key;
}

base::Status Receiver::DropIfUnnamed(const std::string& package_id, const std::string& key) {
  ASSIGN_OR_RETURN(
      const auto row,
      database_.QueryOne(base::StrCat("SELECT object_key FROM packages WHERE ", kWherePackage),
                         {package_id}));
  // A store that makes no places of its own gave both the same key.
  if (!row || row->Text("object_key") == key) return {};
  return objects_.Delete(key);
}

base::Status Receiver::Insert(Transaction& transaction, const Arrival& arrival,
                              const protocol::PackageName& name, const Verified& verified,
                              const std::string& key, base::Time now) {
  RETURN_IF_ERROR(InsertPackage(transaction, {.device_id = arrival.device_id,
                                              .epoch = name.epoch,
                                              .seq = name.seq,
                                              .package_id = arrival.package_id,
                                              .type = verified.manifest.type,
                                              .bytes = arrival.bytes,
                                              .sha256 = arrival.sha256,
                                              .object_key = key,
                                              .bundle = verified.manifest.bundle,
                                              .created_at = verified.manifest.created_at,
                                              .received_at = now}));
  return queue_.Enqueue(
      transaction,
      {.kind = std::string(kUnpackJob), .key = arrival.package_id, .payload = "", .due = {}});
}

base::Result<http::Response> Receiver::Take(const Arrival& arrival) {
  const auto name = protocol::ParsePackageId(arrival.package_id);
  CHECK(name.ok() && name->device_id == arrival.device_id);
  ASSIGN_OR_RETURN(auto answered, Answered(arrival.device_id, arrival.package_id, arrival.sha256));
  if (answered) return std::move(*answered);

  // What fails up to here is our own trouble, so it goes out unsigned and the device tries again; a
  // spool file that is gone is no exception.
  base::Ed25519PublicKey key{};
  if (arrival.key) {
    key = *arrival.key;
  } else {
    ASSIGN_OR_RETURN(key, KeyOf(database_, arrival.device_id));
  }
  base::Result<Verified> verified = [&]() -> base::Result<Verified> {
    if (arrival.path.empty()) {
      protocol::MemorySource source(arrival.held);
      return Verify(arrival, *name, source, key);
    }
    const auto file = fs_.Open(arrival.path);
    if (!file.ok()) return Error{ErrorCode::kUnavailable, file.error().message};
    protocol::FileSource source(**file);
    return Verify(arrival, *name, source, key);
  }();
  if (!verified.ok()) {
    if (!IsPermanent(verified.error().code)) return verified.error();
    return Refuse(arrival, verified.error());
  }

  ASSIGN_OR_RETURN(const std::string object_key, Keep(arrival, *name));
  const base::Time now = clock_.Now();
  const base::Status written = database_.Write([&](Transaction& transaction) {
    return Insert(transaction, arrival, *name, *verified, object_key, now);
  });
  if (!written.ok()) {
    if (written.error().code != ErrorCode::kConflict) return written.error();
    // The same package came on two ways at once; the other one was first.
    RETURN_IF_ERROR(DropIfUnnamed(arrival.package_id, object_key));
    ASSIGN_OR_RETURN(answered, Answered(arrival.device_id, arrival.package_id, arrival.sha256));
    if (answered) return std::move(*answered);
    return written.error();
  }
  events_.Publish("package", Json::MakeObject({{"id", arrival.package_id}}));
  stored_();
  return Say(201, "stored", arrival.device_id, arrival.package_id, arrival.sha256);
}

}  // namespace tinysphere::ingest
