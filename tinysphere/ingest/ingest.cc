#include "tinysphere/ingest/ingest.h"

#include <iterator>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "protocol/identifiers.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/http/multipart.h"
#include "tinysphere/http/page.h"
#include "tinysphere/ingest/package_rows.h"
#include "tinysphere/store/conditions.h"

namespace tinysphere::ingest {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::Access;
using http::Answer;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;
using store::Row;

namespace {

Json StatusJson(const Row& row) {
  const std::string error = row.Text("error");
  return Json::MakeObject({{"package_id", row.Text("package_id")},
                           {"state", row.Text("state")},
                           {"error", error.empty() ? Json() : Json(error)},
                           {"received_at", base::FormatTime(row.Time("received_at"))}});
}

Json PackageJson(const Row& row) {
  const std::string error = row.Text("error");
  return Json::MakeObject({{"package_id", row.Text("package_id")},
                           {"device_id", row.Text("device_id")},
                           {"seq", row.Int("seq")},
                           {"epoch", row.Text("epoch")},
                           {"type", row.Text("type")},
                           {"bytes", row.Int("bytes")},
                           {"sha256", row.Text("sha256")},
                           {"received_at", base::FormatTime(row.Time("received_at"))},
                           {"state", row.Text("state")},
                           {"error", error.empty() ? Json() : Json(error)}});
}

constexpr std::string_view kSteps[] = {"read", "keep", "record"};

// What is known of the steps so far, each with what became of it.
Json StepsJson(const Row& row, const std::string& running) {
  const Json stored = row.Document("steps");
  const auto find = [&](std::string_view step) -> const Json* {
    if (!stored.is_array()) return nullptr;
    for (const Json& one : stored.as_array()) {
      const Json* name = one.Find("step");
      if (name != nullptr && *name == Json(step)) return &one;
    }
    return nullptr;
  };
  const auto plain = [](std::string_view step, const char* state) {
    return Json::MakeObject({{"step", step}, {"state", state}, {"at", Json()}, {"detail", Json()}});
  };
  Json receive = plain("receive", "done");
  receive.Set("at", base::FormatTime(row.Time("received_at")));
  Json::Array steps = {std::move(receive)};
  // Those before the one that is known of were done; those after it wait.
  std::size_t reached = 0;
  for (std::size_t i = 0; i < std::size(kSteps); ++i) {
    if (running.empty() ? find(kSteps[i]) != nullptr : kSteps[i] == running) reached = i;
  }
  for (std::size_t i = 0; i < std::size(kSteps); ++i) {
    if (!running.empty() && i == reached) {
      steps.push_back(plain(kSteps[i], "running"));
    } else if (const Json* known = running.empty() ? find(kSteps[i]) : nullptr) {
      steps.push_back(*known);
    } else {
      steps.push_back(plain(kSteps[i], i < reached ? "done" : "waiting"));
    }
  }
  return Json(std::move(steps));
}

std::optional<base::Ed25519PublicKey> KeyOf(const Request& request) {
  if (!request.identity.device) return std::nullopt;
  return request.identity.device->key;
}

}  // namespace

base::Result<Response> Ingest::Put(const Request& request) {
  RETURN_IF_ERROR(CheckOwnPackage(request.Param("package_id"), request.identity.id));
  // Always the whole archive: an empty body is a lost one, and so unsigned.
  if (request.body.bytes() == 0) {
    return Error{ErrorCode::kInvalidArgument, "package: the body is empty"};
  }
  Arrival arrival{.device_id = request.identity.id,
                  .package_id = request.Param("package_id"),
                  .path = "",
                  .bytes = request.body.bytes(),
                  .sha256 = base::HexEncode(request.body.sha256()),
                  .key = KeyOf(request)};
  if (request.body.is_spooled()) {
    arrival.path = request.body.path();
  } else {
    arrival.held = request.body.view();
  }
  return receiver_.Take(arrival);
}

// Content-Length said it is too large; what the body would have been, the signed digest says.
base::Result<Response> Ingest::TooLarge(const Request& request) {
  RETURN_IF_ERROR(CheckOwnPackage(request.Param("package_id"), request.identity.id));
  const auto stated = http::StatedSha256(request.headers);
  if (!stated) return Error{ErrorCode::kInvalidArgument, "Content-Digest is missing"};
  return receiver_.Refuse(
      {.device_id = request.identity.id,
       .package_id = request.Param("package_id"),
       .path = "",
       .bytes = 0,
       .sha256 = base::HexEncode(*stated),
       .key = std::nullopt},
      {ErrorCode::kExhausted,
       base::StrCat("a package may have ", kPackageBytesMax, " bytes at most")});
}

base::Result<Response> Ingest::Multipart(const Request& request) {
  const std::string path = base::JoinPath(spool_, "part-" + base::RandomHex(16));
  ASSIGN_OR_RETURN(const http::MultipartUpload upload,
                   http::ReadMultipartUpload(fs_, request, path, kPackageBytesMax));
  ASSIGN_OR_RETURN(const Json metadata, Json::Parse(upload.metadata));
  base::JsonReader reader(metadata, "metadata");
  const std::string package_id = reader.String("package_id", {.bytes_max = 200});
  RETURN_IF_ERROR(reader.status());
  RETURN_IF_ERROR(CheckOwnPackage(package_id, request.identity.id));
  if (!upload.package.is_spooled()) {
    return Error{ErrorCode::kInvalidArgument, "package: the part is empty"};
  }
  return receiver_.Take({.device_id = request.identity.id,
                         .package_id = package_id,
                         .path = upload.package.path(),
                         .bytes = upload.package.bytes(),
                         .sha256 = base::HexEncode(upload.package.sha256()),
                         .key = KeyOf(request)});
}

base::Result<Response> Ingest::Offer(const Request& request) {
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "offer");
  const std::vector<std::string> offered = reader.Strings("packages", 1000);
  RETURN_IF_ERROR(reader.status());
  return database_.Read([&](store::Transaction& transaction) -> base::Result<Response> {
    Json::Array unknown;
    for (const std::string& package_id : offered) {
      ASSIGN_OR_RETURN(const auto row, transaction.QueryOne("SELECT package_id FROM package_names "
                                                            "WHERE package_id = $1 AND "
                                                            "device_id = $2",
                                                            {package_id, request.identity.id}));
      if (!row) unknown.emplace_back(package_id);
    }
    return Response::Json(Json::MakeObject({{"unknown", std::move(unknown)}}));
  });
}

base::Result<Json> Ingest::Status(const Request& request) {
  const std::string& package_id = request.Param("package_id");
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne(base::StrCat("SELECT package_id, device_id, state, error, "
                                                   "received_at FROM packages WHERE ",
                                                   kWherePackage),
                                      {package_id}));
  // A device learns nothing of another's packages, not even that they exist.
  const bool may_see =
      row && (request.identity.is_person() || row->Text("device_id") == request.identity.id);
  if (!may_see) return Error{ErrorCode::kNotFound, "no package is called " + package_id};
  return StatusJson(*row);
}

base::Result<Json> Ingest::Progress(const std::string& package_id) {
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne(base::StrCat("SELECT package_id, device_id, type, state, "
                                                   "error, received_at, processed_at, steps "
                                                   "FROM packages WHERE ",
                                                   kWherePackage),
                                      {package_id}));
  if (!row) return Error{ErrorCode::kNotFound, "no package is called " + package_id};
  ASSIGN_OR_RETURN(const auto job,
                   database_.QueryOne("SELECT state, attempts, due_at, error FROM jobs WHERE "
                                      "kind IN ($1, $2) AND job_key = $3",
                                      {kUnpackJob, kLegacyUnpackJob, package_id}));
  std::string running;
  if (job && job->Text("state") == "claimed") {
    running = unpacker_.StepOf(package_id);
    if (running.empty()) running = "read";  // Another process has it.
  }
  const bool is_waiting = job && job->Text("state") == "waiting";
  const std::string error =
      job && row->Text("error").empty() ? job->Text("error") : row->Text("error");
  const auto processed_at = row->OptionalTime("processed_at");
  return Json::MakeObject(
      {{"package_id", package_id},
       {"device_id", row->Text("device_id")},
       {"type", row->Text("type")},
       {"state", row->Text("state")},
       {"error", error.empty() ? Json() : Json(error)},
       {"received_at", base::FormatTime(row->Time("received_at"))},
       {"processed_at", processed_at ? Json(base::FormatTime(*processed_at)) : Json()},
       {"attempts", job ? Json(job->Int("attempts")) : Json()},
       {"next_try_at", is_waiting ? Json(base::FormatTime(job->Time("due_at"))) : Json()},
       {"steps", StepsJson(*row, running)}});
}

base::Result<Json> Ingest::List(const Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  store::Conditions where;
  if (cursor) {
    where.Add("(received_at, package_id) < (?, ?)", {cursor->number, cursor->text});
  }
  if (const auto device = request.Query("device"); !device.empty()) {
    where.Add("device_id = ?", {device});
  }
  if (const auto state = request.Query("state"); !state.empty()) where.Add("state = ?", {state});
  const std::string last = where.Bind(limit + 1);
  ASSIGN_OR_RETURN(
      store::Rows rows,
      database_.Query(
          base::StrCat("SELECT package_id, device_id, seq, epoch, type, bytes, sha256, "
                       "received_at, state, error FROM packages",
                       where.sql(), " ORDER BY received_at DESC, package_id DESC LIMIT ", last),
          where.params()));
  return http::MakePage(std::move(rows), limit, PackageJson, [](const Row& row) {
    return http::Cursor{.number = row.Int("received_at"), .text = row.Text("package_id")};
  });
}

void Ingest::AddRoutes(http::Router& router) {
  router.Add({.method = Method::kPut,
              .path = "/api/v1/packages/{package_id}",
              .access = Access::kDevice,
              .body = BodyRule::Spool(kPackageBytesMax, http::BlockPool::kBlockBytes),
              .handler = [this](Request& request) { return Put(request); },
              .too_large = [this](Request& request) { return TooLarge(request); }});
  router.Add({.method = Method::kPost,
              .path = "/upload/package",
              .access = Access::kDevice,
              .body = BodyRule::Spool(kPackageBytesMax + (128u << 10)),
              .handler = [this](Request& request) { return Multipart(request); },
              .too_large = nullptr});
  // The same path as the prototype's: the kind of credential decides what is meant.
  const auto by_kind = [](http::Handler legacy, http::Handler ours) -> http::Handler {
    return [legacy = std::move(legacy), ours = std::move(ours)](Request& request) {
      return request.identity.is_legacy() && legacy ? legacy(request) : ours(request);
    };
  };
  router.Add(
      {.method = Method::kPost,
       .path = "/api/packages/upload",
       .access = Access::kDeviceOrLegacy,
       .body = BodyRule::Spool(kPackageBytesMax + (128u << 10)),
       .handler = by_kind(legacy_upload_, [this](Request& request) { return Multipart(request); }),
       .too_large = by_kind(legacy_too_large_, [](Request&) -> base::Result<Response> {
         return http::ErrorResponse(
             413, "exhausted",
             base::StrCat("a package may have ", kPackageBytesMax, " bytes at most"));
       })});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/packages/{package_id}",
              .access = Access::kDevice,
              .body = BodyRule::Memory(4096),
              .handler = [this](Request& request) { return uploads_.Create(request); },
              .too_large = nullptr});
  router.Add({.method = Method::kHead,
              .path = "/api/v1/packages/{package_id}/upload",
              .access = Access::kDevice,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return uploads_.Offset(request); },
              .too_large = nullptr});
  router.Add({.method = Method::kPatch,
              .path = "/api/v1/packages/{package_id}/upload",
              .access = Access::kDevice,
              .body = BodyRule::Spool(kPackageBytesMax),
              .handler = [this](Request& request) { return uploads_.Append(request); },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/packages/offer",
              .access = Access::kDevice,
              .body = BodyRule::Memory(256u << 10),
              .handler = [this](Request& request) { return Offer(request); },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/packages",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return Answer(List(request)); },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/packages/{package_id}/status",
              .access = Access::kDeviceOrViewer,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return Answer(Status(request)); },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/packages/{package_id}/retry",
              .access = Access::kOperator,
              .body = BodyRule::Memory(1024),
              .handler = [this](Request& request) -> base::Result<Response> {
                RETURN_IF_ERROR(unpacker_.Retry(request.Param("package_id"), clock_.Now()));
                return Answer(Status(request));
              },
              .too_large = nullptr});
  router.Add(
      {.method = Method::kGet,
       .path = "/api/v1/packages/{package_id}/progress",
       .access = Access::kViewer,
       .body = BodyRule::None(),
       .handler =
           [this](Request& request) { return Answer(Progress(request.Param("package_id"))); },
       .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/packages/retry-failed",
              .access = Access::kOperator,
              .body = BodyRule::Memory(1024),
              .handler = [this](Request& request) -> base::Result<Response> {
                ASSIGN_OR_RETURN(const std::int64_t retried,
                                 unpacker_.RetryAll(std::string(request.Query("device")),
                                                    request.identity.id, clock_.Now()));
                return Response::Json(Json::MakeObject({{"retried", retried}}));
              },
              .too_large = nullptr});
}

}  // namespace tinysphere::ingest
