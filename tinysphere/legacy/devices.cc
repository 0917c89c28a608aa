#include "tinysphere/legacy/devices.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/http/multipart.h"
#include "tinysphere/ingest/package_rows.h"
#include "tinysphere/ingest/receiver.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::legacy {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::Access;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;
using store::Transaction;

// A package on its way in. `problem`: why it will be set aside; it is kept all the same.
struct Devices::Parcel {
  std::string device_id;
  std::string named;  // By the client; "" if it gave no usable name.
  std::string type = "unknown";
  std::string file_name;
  std::string said_hash;
  std::string problem;
  http::Body package;                 // Spooled, unless nothing could be taken out of the body.
  const http::Body* whole = nullptr;  // The body as it came, where it is that which is kept.

  const http::Body& kept() const { return whole != nullptr ? *whole : package; }
};

namespace {

constexpr std::size_t kInfoBytesMax = 16 * 1024;

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

// Whether a client's name for a package can be ours. "d-" is a signing device's, "legacy-" made
// here.
bool IsPackageName(std::string_view name) {
  return !name.empty() && name.size() <= 100 && name[0] != '.' && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), IsNameCharacter) && !name.starts_with("d-") &&
         !name.starts_with("D-") && !name.starts_with("legacy-");
}

std::string TypeOf(std::string_view said) {
  const bool is_plain =
      !said.empty() && said.size() <= 64 && std::all_of(said.begin(), said.end(), IsNameCharacter);
  return is_plain ? std::string(said) : "unknown";
}

// What is about the bytes that came, for ever, rather than about us now.
bool IsPermanent(ErrorCode code) {
  return code == ErrorCode::kInvalidArgument || code == ErrorCode::kCorrupt ||
         code == ErrorCode::kUnsupported || code == ErrorCode::kPermissionDenied;
}

Response WaitOrHangUp(const Request& request) {
  if (request.tries >= kWaitsMax) return Response::HangUp();
  return Response::AskAgain(std::chrono::seconds(1));
}

// A field as text, whatever the client put there.
std::string TextAt(const Json& object, std::string_view key, std::size_t bytes_max = 200) {
  const Json* field = object.Find(key);
  if (field == nullptr || field->is_null()) return "";
  return OneLine(field->is_string() ? field->as_string() : field->Write(), bytes_max);
}

std::optional<double> NumberAt(const Json& object, std::string_view key, double min, double max) {
  const Json* field = object.Find(key);
  if (field == nullptr || !field->is_number()) return std::nullopt;
  const double value = field->as_double();
  return value >= min && value <= max ? std::optional(value) : std::nullopt;
}

// What a client says of itself: the fields of its registration, else of its `device_info`.
struct Said {
  const Json& top;
  const Json& info;

  std::string Text(std::string_view key) const {
    const std::string outer = TextAt(top, key);
    return outer.empty() ? TextAt(info, key) : outer;
  }
  std::optional<double> Place(std::string_view key, std::string_view inner, double min,
                              double max) const {
    const std::optional<double> outer = NumberAt(top, key, min, max);
    const Json* location = info.Find("location");
    if (outer || location == nullptr) return outer;
    return NumberAt(*location, inner, min, max);
  }
};

// The device's rows, made if it has none. Whether they were new.
base::Result<bool> EnsureDevice(Transaction& transaction, const std::string& device_id,
                                const std::string& name, base::Time now) {
  ASSIGN_OR_RETURN(
      const std::int64_t added,
      transaction.Execute("INSERT INTO devices (device_id, name, state, enrolled_at, last_seen, "
                          "fingerprint) VALUES ($1, $2, 'active', $3, $3, '') "
                          "ON CONFLICT (device_id) DO NOTHING",
                          {device_id, name.empty() ? device_id : name, now}));
  RETURN_IF_ERROR(
      transaction.Execute("INSERT INTO legacy_devices (device_id, registered_at) VALUES ($1, $2) "
                          "ON CONFLICT (device_id) DO NOTHING",
                          {device_id, now}));
  if (added == 0) return false;
  RETURN_IF_ERROR(fleet::Note(
      transaction, {.at = now,
                    .device_id = device_id,
                    .kind = "enrolled",
                    .text = "registered as a device of the prototype; what it sends is unsigned",
                    .ref = ""}));
  return true;
}

Json Receipt(const std::string& package_id, const std::string& status, const std::string& message,
             bool is_kept) {
  return Json::MakeObject({{"package_id", package_id},
                           {"server_id", package_id},
                           {"status", status},
                           {"message", message},
                           {"uploaded", is_kept}});
}

Response Registered(const std::string& device_id, bool is_registered, const std::string& message) {
  return Response::Json(Json::MakeObject({{"device_id", device_id},
                                          {"status", is_registered ? "success" : "error"},
                                          {"registered", is_registered},
                                          {"message", message}}));
}

}  // namespace

std::string OneLine(std::string_view text, std::size_t bytes_max) {
  std::string line(text.substr(0, bytes_max));
  if (text.size() > bytes_max) {
    // Back to the last byte that begins a character.
    std::size_t end = bytes_max;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) end -= 1;
    line.resize(end);
  }
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

Response Devices::Register(const Request& request) {
  const std::string& device_id = request.identity.id;
  const auto answer = [&](bool is_registered, const std::string& message) {
    return Registered(device_id, is_registered, message);
  };
  const base::Result<Json> body = request.body.ParseJson();
  if (!body.ok()) return answer(false, body.error().message);
  if (!body->is_object()) return answer(false, "registration: a JSON object is wanted");
  const std::string named = TextAt(*body, "device_id");
  if (named != device_id) {
    return answer(false, "device_id: this token is good for " + device_id + " only");
  }
  const Json* inner = body->Find("device_info");
  const Json info = inner != nullptr && inner->is_object() ? *inner : Json::MakeObject();
  const Said said{.top = *body, .info = info};
  std::string document = info.Write();
  if (document.size() > kInfoBytesMax) document = "{}";
  const std::string version = said.Text("tinylcm_version");

  const base::Time now = clock_.Now();
  bool is_new = false;
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(is_new, EnsureDevice(transaction, device_id, said.Text("hostname"), now));
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE legacy_devices SET hostname = $2, ip_address = $3, platform = $4, "
        "platform_version = $5, device_model = $6, python_version = $7, tinylcm_version = $8, "
        "device_info = $9, latitude = COALESCE($10, latitude), "
        "longitude = COALESCE($11, longitude), geo_accuracy = COALESCE($12, geo_accuracy) "
        "WHERE device_id = $1",
        {device_id, said.Text("hostname"), said.Text("ip_address"), said.Text("platform"),
         said.Text("platform_version"), said.Text("device_model"), said.Text("python_version"),
         version, document, said.Place("latitude", "latitude", -90, 90),
         said.Place("longitude", "longitude", -180, 180),
         said.Place("geo_accuracy", "accuracy", 0, 1e8)}));
    RETURN_IF_ERROR(
        transaction.Execute("UPDATE devices SET agent_version = $2 WHERE device_id = $1",
                            {device_id, version.empty() ? "" : "prototype " + version}));
    return {};
  });
  if (!written.ok()) return WaitOrHangUp(request);
  presence_.Saw(device_id, now);
  events_.Publish("device", Json::MakeObject({{"id", device_id}}));
  return answer(true,
                is_new ? "registered" : "known; what it says of itself was brought up to date");
}

// Takes the body apart. An error is ours and may pass; what is wrong with the body is a problem.
base::Result<Devices::Parcel> Devices::Open(const Request& request) {
  Parcel parcel;
  parcel.device_id = request.identity.id;
  const std::string path = base::JoinPath(spool_, "part-" + base::RandomHex(16));
  base::Result<http::MultipartUpload> upload =
      http::ReadMultipartUpload(fs_, request, path, ingest::kPackageBytesMax);
  if (!upload.ok()) {
    if (!IsPermanent(upload.error().code)) return upload.error();
    parcel.problem = upload.error().message;
    parcel.whole = &request.body;
    return parcel;
  }
  parcel.package = std::move(upload->package);
  const base::Result<Json> metadata = Json::Parse(upload->metadata);
  if (!metadata.ok() || !metadata->is_object()) {
    parcel.problem = "metadata: " + (metadata.ok() ? "no JSON object" : metadata.error().message);
    return parcel;
  }
  const std::string named = TextAt(*metadata, "package_id");
  const std::string device_id = TextAt(*metadata, "device_id");
  parcel.type = TypeOf(TextAt(*metadata, "package_type"));
  parcel.said_hash = TextAt(*metadata, "hash");
  parcel.file_name = TextAt(*metadata, "file_name");
  if (IsPackageName(named)) {
    parcel.named = named;
  } else {
    parcel.problem = "metadata: package_id: is not a name that a package can have";
  }
  if (device_id != parcel.device_id) {
    parcel.problem = "metadata: device_id: is not the device whose token this is";
  }
  return parcel;
}

base::Result<Json> Devices::Insert(Transaction& transaction, const Parcel& parcel,
                                   const std::string& package_id, const std::string& object_key,
                                   base::Time now) {
  RETURN_IF_ERROR(EnsureDevice(transaction, parcel.device_id, "", now));
  RETURN_IF_ERROR(
      transaction.Execute("UPDATE legacy_devices SET packages = packages + 1 WHERE device_id = $1",
                          {parcel.device_id}));
  ASSIGN_OR_RETURN(const auto count,
                   transaction.QueryOne("SELECT packages FROM legacy_devices WHERE device_id = $1",
                                        {parcel.device_id}));
  const std::string sha256 = base::HexEncode(parcel.kept().sha256());
  RETURN_IF_ERROR(ingest::InsertPackage(
      transaction, {.device_id = parcel.device_id,
                    .epoch = std::string(kEpoch),
                    .seq = static_cast<std::uint64_t>(count->Int("packages") - 1),
                    .package_id = package_id,
                    .type = parcel.type,
                    .bytes = parcel.kept().bytes(),
                    .sha256 = sha256,
                    .object_key = object_key,
                    .bundle = "",
                    .created_at = std::nullopt,
                    .received_at = now}));
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO legacy_packages (package_id, device_id, named, sha256, file_name, said_hash, "
      "problem) VALUES ($1, $2, $3, $4, $5, $6, $7)",
      {package_id, parcel.device_id, parcel.named, sha256, parcel.file_name, parcel.said_hash,
       parcel.problem}));
  RETURN_IF_ERROR(queue_.Enqueue(
      transaction, {.kind = std::string(ingest::kLegacyUnpackJob), .key = package_id}));
  return parcel.problem.empty()
             ? Receipt(package_id, "queued", "stored; it waits to be processed", true)
             : Receipt(package_id, "error", "stored and set aside: " + parcel.problem, true);
}

base::Result<Json> Devices::Keep(Parcel& parcel) {
  const std::string sha256 = base::HexEncode(parcel.kept().sha256());
  std::string package_id = parcel.named;
  // Its second coming, or another package under the same name?
  if (!parcel.named.empty()) {
    ASSIGN_OR_RETURN(const store::Rows same,
                     database_.Query("SELECT package_id, sha256 FROM legacy_packages WHERE "
                                     "device_id = $1 AND named = $2",
                                     {parcel.device_id, parcel.named}));
    for (const store::Row& row : same) {
      if (row.Text("sha256") != sha256) continue;
      const base::Status counted = database_.Write([&](Transaction& transaction) {
        return ingest::CountDuplicate(transaction, row.Text("package_id"));
      });
      if (!counted.ok()) return counted.error();
      return Receipt(row.Text("package_id"), "duplicate", "is here already", true);
    }
    if (!same.empty()) {
      package_id.clear();
      if (parcel.problem.empty())
        parcel.problem = "another package of this device has this package_id";
    } else {
      ASSIGN_OR_RETURN(
          const auto taken,
          database_.QueryOne("SELECT device_id FROM package_names WHERE package_id = $1",
                             {parcel.named}));
      if (taken) package_id.clear();  // By another device: both are kept, under two names.
    }
  }
  if (package_id.empty()) {
    const std::string what = base::StrCat(parcel.device_id, "\n", parcel.named, "\n", sha256);
    package_id = "legacy-" + base::HexEncode(base::Sha256Of(base::AsBytes(what))).substr(0, 32);
    ASSIGN_OR_RETURN(const auto known,
                     database_.QueryOne("SELECT package_id FROM legacy_packages WHERE "
                                        "package_id = $1",
                                        {package_id}));
    if (known) return Receipt(package_id, "duplicate", "is here already", true);
  }
  const std::string object_key = base::StrCat(store::kPackagesBucket, "/", parcel.device_id, "/",
                                              kEpoch, "/", package_id, "-", sha256.substr(0, 16));
  RETURN_IF_ERROR(objects_.Adopt(object_key, parcel.kept().path()));
  const base::Time now = clock_.Now();
  const auto receipt = database_.Write([&](Transaction& transaction) -> base::Result<Json> {
    return Insert(transaction, parcel, package_id, object_key, now);
  });
  if (!receipt.ok()) return receipt.error();
  events_.Publish("package", Json::MakeObject({{"id", package_id}}));
  stored_();
  return receipt;
}

Response Devices::Upload(const Request& request) {
  presence_.Saw(request.identity.id, clock_.Now());
  // Nothing came: nothing to keep, and nothing that a second try would bring.
  if (!request.body.is_spooled()) {
    return Response::Json(Receipt("", "error", "the body is empty", false));
  }
  base::Result<Parcel> parcel = Open(request);
  if (!parcel.ok()) return WaitOrHangUp(request);
  if (!parcel->kept().is_spooled()) {
    return Response::Json(Receipt(parcel->named, "error", "package: the part is empty", false));
  }
  const base::Result<Json> receipt = Keep(*parcel);
  if (!receipt.ok()) return WaitOrHangUp(request);
  return Response::Json(*receipt);
}

Response Devices::TooLarge(const Request& request) {
  const std::string message =
      base::StrCat("a package may have ", ingest::kPackageBytesMax, " bytes at most");
  const base::Time now = clock_.Now();
  const base::Status noted = database_.Write([&](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(EnsureDevice(transaction, request.identity.id, "", now));
    return fleet::Note(transaction, {.at = now,
                                     .device_id = request.identity.id,
                                     .kind = "alert",
                                     .text = "a package was not taken: " + message,
                                     .ref = ""});
  });
  if (!noted.ok()) return Response::HangUp();
  return Response::Json(Receipt("", "error", message, false));
}

void Devices::AddRoutes(http::Router& router) {
  router.Add(
      {.method = Method::kPost,
       .path = "/api/devices/register",
       .access = Access::kLegacy,
       .body = BodyRule::Memory(64u << 10),
       .handler = [this](Request& request) -> base::Result<Response> { return Register(request); },
       .too_large = [](Request& request) -> base::Result<Response> {
         return Registered(request.identity.id, false, "registration: is too large");
       }});
}

}  // namespace tinysphere::legacy
