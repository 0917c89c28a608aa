#include "tinysphere/fleet/erasures.h"

#include <array>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/store/object_key.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::fleet {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::Access;
using http::Answer;
using http::BodyRule;
using http::Method;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

constexpr std::size_t kListed = 500;  // Objects deleted between two looks.
constexpr std::size_t kRuns = 200;

// Packages come last: by them a job that begins anew finds what else there is.
constexpr std::array kErased = std::to_array<std::string_view>(
    {"timeline", "metrics_points", "metrics_rollup", "link_intervals", "logs_index", "images_index",
     "sketches", "sketch_days", "transitions", "learned_versions", "adaptation_orders", "adapted",
     "verdicts", "adaptation_reports", "drift_samples", "drift_events", "feedback",
     "legacy_packages", "legacy_devices"});
constexpr std::array kErasedLast =
    std::to_array<std::string_view>({"runs", "package_names", "package_counts", "packages"});

// The device itself is what is left of it; keys and tokens, so that a revoked one stays revoked;
// what the fleet did, without any figure of the device; and that it was erased.
constexpr std::array kKept = std::to_array<std::string_view>(
    {"devices", "device_keys", "legacy_tokens", "rollout_devices", "rollout_events", "erasures"});

constexpr std::array<std::string_view, 7> kBuckets = {
    store::kPackagesBucket,      store::kDriftBucket,    store::kDriftSamplesBucket,
    store::kDriftFeaturesBucket, store::kDataLogsBucket, store::kPredictionImagesBucket,
    store::kAdaptationsBucket};

constexpr std::array<std::string_view, 5> kOfRuns = {"run_params", "run_tags", "run_metrics",
                                                     "run_datasets", "run_artifacts"};

Json ErasureJson(const Row& row) {
  const auto finished_at = row.OptionalTime("finished_at");
  return Json::MakeObject(
      {{"device_id", row.Text("device_id")},
       {"state", row.Text("state")},
       {"asked_by", row.Text("asked_by")},
       {"asked_at", base::FormatTime(row.Time("asked_at"))},
       {"finished_at", finished_at ? Json(base::FormatTime(*finished_at)) : Json()},
       {"rows", row.Int("rows_deleted")},
       {"objects", row.Int("objects_deleted")},
       {"bytes", row.Int("bytes_deleted")}});
}

constexpr std::string_view kNewest =
    "SELECT erasure_id, device_id, state, asked_by, asked_at, finished_at, rows_deleted, "
    "objects_deleted, bytes_deleted FROM erasures WHERE device_id = $1 "
    "ORDER BY erasure_id DESC LIMIT 1";

}  // namespace

std::span<const std::string_view> ErasedTables() {
  static const std::vector<std::string_view> all = [] {
    std::vector<std::string_view> tables(kErased.begin(), kErased.end());
    tables.insert(tables.end(), kErasedLast.begin(), kErasedLast.end());
    return tables;
  }();
  return all;
}

std::span<const std::string_view> KeptTables() { return kKept; }

base::Result<Json> Erasures::Ask(const std::string& device_id, const std::string& by) {
  const base::Time now = clock_.Now();
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(
        const auto device,
        transaction.QueryOne("SELECT is_erasing FROM devices WHERE device_id = $1", {device_id}));
    if (!device) return Error{ErrorCode::kNotFound, "no device is called " + device_id};
    if (device->Bool("is_erasing")) return {};
    RETURN_IF_ERROR(transaction.Execute(
        "INSERT INTO erasures (device_id, asked_by, asked_at, state) VALUES ($1, $2, $3, "
        "'waiting')",
        {device_id, by, now}));
    RETURN_IF_ERROR(
        transaction.Execute("UPDATE devices SET is_erasing = 1 WHERE device_id = $1", {device_id}));
    ASSIGN_OR_RETURN(const auto erasure, transaction.QueryOne(kNewest, {device_id}));
    RETURN_IF_ERROR(queue_.Enqueue(transaction, {.kind = std::string(kEraseJob),
                                                 .key = base::StrCat(erasure->Int("erasure_id")),
                                                 .payload = "",
                                                 .due = {}}));
    return access::WriteAudit(
        transaction,
        {.at = now, .who = by, .action = "device.erase", .subject = device_id, .detail = "asked"});
  });
  if (!written.ok()) return written.error();
  if (woken_) woken_();
  return Get(device_id);
}

base::Result<Json> Erasures::Get(const std::string& device_id) {
  ASSIGN_OR_RETURN(const auto row, database_.QueryOne(kNewest, {device_id}));
  if (!row) {
    return Error{ErrorCode::kNotFound,
                 base::StrCat("no erasure of a device called ", device_id, " was asked for")};
  }
  return ErasureJson(*row);
}

base::Status Erasures::DeletePrefix(const std::string& prefix, Counts& counts) {
  std::string after;
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<store::ObjectInfo> found,
                     objects_.List(prefix, after, kListed));
    for (const store::ObjectInfo& object : found) {
      RETURN_IF_ERROR(objects_.Delete(object.key));
      counts.objects += 1;
      counts.bytes += static_cast<std::int64_t>(object.bytes);
    }
    if (found.size() < kListed) return {};
    after = found.back().key;
  }
}

base::Status Erasures::DeleteObjects(const std::string& device_id, Counts& counts) {
  for (const std::string_view bucket : kBuckets) {
    RETURN_IF_ERROR(
        DeletePrefix(base::StrCat(bucket, "/", store::IdKeyPart(device_id), "/"), counts));
  }
  // Ground truths are called after their feedback, which names the device.
  ASSIGN_OR_RETURN(
      const Rows feedback,
      database_.Query("SELECT feedback_id FROM feedback WHERE device_id = $1", {device_id}));
  for (const Row& row : feedback) {
    RETURN_IF_ERROR(DeletePrefix(
        base::StrCat(store::kVerdictsFolder, "/", row.Text("feedback_id"), ".jsonl"), counts));
  }
  return {};
}

base::Status Erasures::DeleteRows(const std::string& device_id, Counts& counts) {
  const auto remove = [&](const std::string& sql, const store::Params& params) -> base::Status {
    ASSIGN_OR_RETURN(const std::int64_t rows, database_.Execute(sql, params));
    counts.rows += rows;
    return {};
  };
  // Jobs first: a worker that has one finds its lease gone and stores nothing.
  RETURN_IF_ERROR(
      remove("DELETE FROM jobs WHERE kind IN ('unpack', 'unpack_legacy') AND job_key "
             "IN (SELECT package_id FROM packages WHERE device_id = $1)",
             {device_id}));
  RETURN_IF_ERROR(
      remove("DELETE FROM jobs WHERE kind = 'verdict_file' AND job_key IN (SELECT "
             "feedback_id FROM feedback WHERE device_id = $1)",
             {device_id}));
  RETURN_IF_ERROR(remove("DELETE FROM jobs WHERE job_key >= $1 AND job_key < $2",
                         {device_id + ":", device_id + ";"}));
  for (const std::string_view table : kErased) {
    RETURN_IF_ERROR(
        remove(base::StrCat("DELETE FROM ", table, " WHERE device_id = $1"), {device_id}));
  }
  // Runs with what hangs on them; what MLflow was sent of them is MLflow's, what waits is not sent.
  for (;;) {
    ASSIGN_OR_RETURN(const Rows runs, database_.Query("SELECT run_id FROM runs WHERE device_id = "
                                                      "$1 ORDER BY started_at, run_id LIMIT $2",
                                                      {device_id, kRuns}));
    if (runs.empty()) break;
    for (const Row& run : runs) {
      const std::string run_id = run.Text("run_id");
      const base::Status gone = database_.Write([&](Transaction& transaction) -> base::Status {
        for (const std::string_view table : kOfRuns) {
          RETURN_IF_ERROR(transaction.Execute(
              base::StrCat("DELETE FROM ", table, " WHERE run_id = $1"), {run_id}));
        }
        RETURN_IF_ERROR(transaction.Execute(
            "DELETE FROM outbox WHERE run_id = $1 AND state <> 'sent'", {run_id}));
        RETURN_IF_ERROR(transaction.Execute("DELETE FROM runs WHERE run_id = $1", {run_id}));
        return {};
      });
      if (!gone.ok()) return gone;
      counts.rows += 1;
    }
  }
  RETURN_IF_ERROR(remove("DELETE FROM package_names WHERE device_id = $1", {device_id}));
  RETURN_IF_ERROR(remove("DELETE FROM package_counts WHERE device_id = $1", {device_id}));
  return remove("DELETE FROM packages WHERE device_id = $1", {device_id});
}

base::Status Erasures::Erase(const store::Job& job) {
  const auto id = base::ParseInt(job.key);
  if (!id.ok()) return Error{ErrorCode::kInvalidArgument, "no erasure is called " + job.key};
  ASSIGN_OR_RETURN(
      const auto erasure,
      database_.QueryOne("SELECT device_id, asked_by, state FROM erasures WHERE erasure_id = $1",
                         {*id}));
  if (!erasure) return Error{ErrorCode::kNotFound, "no erasure is called " + job.key};
  const std::string device_id = erasure->Text("device_id");
  if (erasure->Text("state") == "done") {
    return database_.Write(
        [&](Transaction& transaction) { return queue_.Complete(transaction, job); });
  }
  Counts counts;
  RETURN_IF_ERROR(DeleteObjects(device_id, counts));
  RETURN_IF_ERROR(DeleteRows(device_id, counts));
  if (erased_) erased_(device_id);
  // What a worker put down while its job was taken from it.
  RETURN_IF_ERROR(DeleteObjects(device_id, counts));
  const base::Time now = clock_.Now();
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    // Written meanwhile (last seen, a person's word): the last of it.
    for (const std::string_view table : kErased) {
      ASSIGN_OR_RETURN(
          const std::int64_t rows,
          transaction.Execute(base::StrCat("DELETE FROM ", table, " WHERE device_id = $1"),
                              {device_id}));
      counts.rows += rows;
    }
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE devices SET is_erasing = 0, erased_at = $2, metrics = NULL, adaptation = NULL, "
        "awaits = '', mode = '', drift_state = 'learning' WHERE device_id = $1",
        {device_id, now}));
    // The name of one that goes on, and what it runs, are the fleet's: roll-outs go by them.
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE devices SET name = device_id, agent_version = '', model_family = '', "
        "model_name = '', model_version = '', bundle = '' WHERE device_id = $1 AND "
        "state <> 'active'",
        {device_id}));
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE erasures SET state = 'done', finished_at = $2, rows_deleted = rows_deleted + $3, "
        "objects_deleted = objects_deleted + $4, bytes_deleted = bytes_deleted + $5 "
        "WHERE erasure_id = $1",
        {*id, now, counts.rows, counts.objects, counts.bytes}));
    RETURN_IF_ERROR(access::WriteAudit(
        transaction, {.at = now,
                      .who = erasure->Text("asked_by"),
                      .action = "device.erase",
                      .subject = device_id,
                      .detail = base::StrCat("done: ", counts.rows, " rows, ", counts.objects,
                                             " objects, ", counts.bytes, " bytes")}));
    return queue_.Complete(transaction, job);
  });
  if (!written.ok()) return written;
  events_.Publish("device", Json::MakeObject({{"id", device_id}}));
  return {};
}

void Erasures::AddRoutes(http::Router& router) {
  router.Add({.method = Method::kDelete,
              .path = "/api/v1/devices/{device_id}/data",
              .access = Access::kAdmin,
              .body = BodyRule::None(),
              .handler =
                  [this](http::Request& request) {
                    return Answer(Ask(request.Param("device_id"), request.identity.id), 202);
                  },
              .too_large = nullptr});
  router.Add(
      {.method = Method::kGet,
       .path = "/api/v1/devices/{device_id}/erasure",
       .access = Access::kViewer,
       .body = BodyRule::None(),
       .handler =
           [this](http::Request& request) { return Answer(Get(request.Param("device_id"))); },
       .too_large = nullptr});
}

}  // namespace tinysphere::fleet
