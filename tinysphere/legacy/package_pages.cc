#include <utility>

#include "base/text.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/legacy/pages.h"

namespace tinysphere::legacy {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::Access;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;
using store::Row;
using store::Rows;

namespace {

constexpr std::string_view kSelectPackage =
    "SELECT p.package_id, p.device_id, p.epoch, p.seq, p.type, p.bytes, p.sha256, p.object_key, "
    "p.received_at, p.processed_at, p.state, p.error, p.steps, p.duplicates, l.named, "
    "l.file_name, l.said_hash FROM packages p "
    "LEFT JOIN legacy_packages l ON l.package_id = p.package_id ";

// Ours: stored, processed, failed.
std::string StatusOf(const Row& row) {
  const std::string state = row.Text("state");
  return state == "processed" ? "success" : state == "failed" ? "error" : "pending";
}

Json PackageJson(const Row& row) {
  const std::string package_id = row.Text("package_id");
  std::string file_name = row.Text("file_name");
  if (file_name.empty()) file_name = package_id;
  return Json::MakeObject(
      {{"id", NumberOf(package_id)},
       {"package_id", package_id},
       {"device_id", row.Text("device_id")},
       {"package_type", row.Text("type")},
       {"filename", std::move(file_name)},
       {"file_path", row.Text("object_key")},
       {"file_hash", row.Text("sha256")},
       {"file_size", row.Int("bytes")},
       {"uploaded_at", base::FormatTime(row.Time("received_at"))},
       {"processed_at", TimeOrNull(row.OptionalTime("processed_at"))},
       {"is_processed", row.Text("state") == "processed"},
       {"processing_status", StatusOf(row)},
       {"processing_error", TextOrNull(row.Text("error"))},
       {"package_metadata", Json::MakeObject({{"epoch", row.Text("epoch")},
                                              {"seq", row.Int("seq")},
                                              {"duplicates", row.Int("duplicates")},
                                              {"signed", row.Text("epoch") != "legacy"}})}});
}

Json ListOf(const Rows& rows) {
  Json::Array packages;
  for (const Row& row : rows) packages.push_back(PackageJson(row));
  return Json(std::move(packages));
}

Json ProgressJson(const Row& row) {
  const std::string state = row.Text("state");
  const bool is_complete = state != "stored";
  const Json steps = row.Document("steps");
  const auto processed_at = row.OptionalTime("processed_at");
  const Json elapsed =
      processed_at
          ? Json(static_cast<double>((*processed_at - row.Time("received_at")).count()) / 1000)
          : Json();
  return Json::MakeObject({{"status", StatusOf(row)},
                           {"progress", is_complete ? 1.0 : 0.0},
                           {"is_complete", is_complete},
                           {"started_at", base::FormatTime(row.Time("received_at"))},
                           {"elapsed_seconds", elapsed},
                           {"eta_seconds", nullptr},
                           {"message", state == "processed" ? "processed"
                                       : state == "failed"  ? row.Text("error")
                                                            : std::string("waits to be processed")},
                           {"error", TextOrNull(row.Text("error"))},
                           {"steps", steps.is_array() ? steps : Json::MakeArray()}});
}

}  // namespace

base::Result<Row> Pages::FindPackage(const Request& request) {
  const std::string& package_id = request.Param("package_id");
  ASSIGN_OR_RETURN(
      auto row,
      database_.QueryOne(std::string(kSelectPackage) + "WHERE p.package_id = $1", {package_id}));
  const bool is_legacy = request.identity.is_legacy();
  if (!row && is_legacy) {
    // It knows a package by the name it gave it, which may have been another device's already.
    ASSIGN_OR_RETURN(row, database_.QueryOne(std::string(kSelectPackage) +
                                                 "WHERE l.device_id = $1 AND l.named = $2 LIMIT 1",
                                             {request.identity.id, package_id}));
  }
  if (!row || (is_legacy && row->Text("device_id") != request.identity.id)) {
    return Error{ErrorCode::kNotFound, "no package is called " + package_id};
  }
  return *row;
}

base::Result<Json> Pages::Packages(const Request& request) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query(std::string(kSelectPackage) +
                                       "ORDER BY p.received_at DESC, p.package_id DESC "
                                       "LIMIT $1 OFFSET $2",
                                   {request.Limit(100, 1000), SkipOf(request)}));
  return ListOf(rows);
}

base::Result<Json> Pages::PackagesOfDevice(const Request& request) {
  ASSIGN_OR_RETURN(
      const Rows rows,
      database_.Query(std::string(kSelectPackage) +
                          "WHERE p.device_id = $1 ORDER BY p.epoch, p.seq DESC "
                          "LIMIT $2 OFFSET $3",
                      {request.Param("device_id"), request.Limit(100, 1000), SkipOf(request)}));
  return ListOf(rows);
}

base::Result<Json> Pages::Package(const Request& request) {
  ASSIGN_OR_RETURN(const Row row, FindPackage(request));
  return PackageJson(row);
}

base::Result<Json> Pages::PackageStatus(const Request& request) {
  ASSIGN_OR_RETURN(const Row row, FindPackage(request));
  return Json::MakeObject({{"package_id", row.Text("package_id")},
                           {"device_id", row.Text("device_id")},
                           {"package_type", row.Text("type")},
                           {"is_processed", row.Text("state") == "processed"},
                           {"processing_status", StatusOf(row)},
                           {"uploaded_at", base::FormatTime(row.Time("received_at"))},
                           {"processed_at", TimeOrNull(row.OptionalTime("processed_at"))},
                           {"error", TextOrNull(row.Text("error"))},
                           {"detailed_progress", ProgressJson(row)}});
}

base::Result<Json> Pages::PackageProgress(const Request& request) {
  ASSIGN_OR_RETURN(const Row row, FindPackage(request));
  return ProgressJson(row);
}

// What was set aside is tried again; every other package is processed without being asked to.
base::Result<Json> Pages::Process(const Request& request) {
  ASSIGN_OR_RETURN(const Row row, FindPackage(request));
  const std::string package_id = row.Text("package_id");
  if (row.Text("state") == "failed") RETURN_IF_ERROR(unpacker_.Retry(package_id, clock_.Now()));
  return Json::MakeObject({{"package_id", package_id},
                           {"status", "accepted"},
                           {"message", row.Text("state") == "processed"
                                           ? "it has been processed"
                                           : "it is processed as soon as its turn comes"}});
}

base::Result<Json> Pages::ProcessPending(const Request&) {
  ASSIGN_OR_RETURN(const auto waiting,
                   database_.QueryOne("SELECT COUNT(*) AS n FROM jobs WHERE kind IN ('unpack', "
                                      "'unpack_legacy') AND state IN ('waiting', 'claimed')"));
  return Json::MakeObject({{"status", "accepted"},
                           {"count", waiting->Int("n")},
                           {"message", "packages are processed without being asked to"}});
}

// What is on its way to MLflow. Nothing is written there to find out.
base::Result<Json> Pages::MlflowDiagnostics(const Request&) {
  ASSIGN_OR_RETURN(const Rows entries,
                   database_.Query("SELECT state, COUNT(*) AS n FROM outbox GROUP BY state"));
  Json outbox = Json::MakeObject({{"waiting", 0}, {"sent", 0}, {"set_aside", 0}});
  for (const Row& row : entries) outbox.Set(row.Text("state"), row.Int("n"));
  ASSIGN_OR_RETURN(
      const Rows experiments,
      database_.Query("SELECT name FROM experiments WHERE mlflow_id <> '' ORDER BY name "
                      "LIMIT 100"));
  Json::Array names;
  for (const Row& row : experiments) names.push_back(row.Text("name"));
  const bool is_known = !names.empty();
  return Json::MakeObject({{"status", is_known ? "success" : "error"},
                           {"message", is_known ? "experiments are recorded in MLflow"
                                                : "no experiment has reached an MLflow server"},
                           {"experiments", std::move(names)},
                           {"outbox", std::move(outbox)}});
}

void Pages::AddPackagePages(http::Router& router) {
  Get(router, "/api/packages", &Pages::Packages);
  Get(router, "/api/packages/", &Pages::Packages);
  Get(router, "/api/packages/mlflow-diagnostics", &Pages::MlflowDiagnostics);
  Get(router, "/api/packages/{package_id}", &Pages::Package);
  Get(router, "/api/packages/{package_id}/progress", &Pages::PackageProgress);
  Get(router, "/api/packages/device/{device_id}", &Pages::PackagesOfDevice);
  router.Add({.method = Method::kGet,
              .path = "/api/packages/{package_id}/status",
              .access = Access::kLegacyOrViewer,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return http::Answer(PackageStatus(request)); },
              .too_large = nullptr});
  Change(router, Method::kPost, "/api/packages/{package_id}/process", &Pages::Process);
  Change(router, Method::kPost, "/api/packages/process-pending", &Pages::ProcessPending);
}

}  // namespace tinysphere::legacy
