#include <map>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/legacy/pages.h"

namespace tinysphere::legacy {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::Request;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

base::Result<Json> CountsBy(Transaction& transaction, std::string_view sql,
                            const store::Params& params = {}) {
  ASSIGN_OR_RETURN(const Rows rows, transaction.Query(sql, params));
  Json counts = Json::MakeObject();
  for (const Row& row : rows) counts.Set(row.Text("name"), row.Int("n"));
  return counts;
}

// The prototype's word for a package's state here.
const char* StatusOf(std::string_view state) {
  return state == "processed" ? "success" : state == "failed" ? "error" : "pending";
}

// The stages of the prototype's registry begin with a capital.
std::string StageName(std::string stage) {
  if (stage.empty()) return "None";
  if (stage[0] >= 'a' && stage[0] <= 'z') stage[0] = static_cast<char>(stage[0] - 32);
  return stage;
}

// The column of the prototype's timeline that a package of `type` counts in; nullptr: none.
const char* TimelineColumn(std::string_view type) {
  if (type == "model") return "models";
  if (type == "metrics") return "metrics";
  if (type == "operational_logs" || type == "data_log") return "data_logs";
  if (type == "drift_event") return "drift_events";
  if (type == "prediction_images") return "prediction_images";
  return nullptr;
}

}  // namespace

base::Result<Json> Pages::SystemStatus(const Request&) {
  return OnceAMinute("status", [&]() -> base::Result<Json> {
    const base::Time active_since = clock_.Now() - base::Duration(30LL * 60 * 1000);
    return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
      ASSIGN_OR_RETURN(const auto devices,
                       transaction.QueryOne("SELECT COUNT(*) AS n, COALESCE(SUM(CASE WHEN "
                                            "last_seen >= $1 THEN 1 ELSE 0 END), 0) AS active "
                                            "FROM devices WHERE state = 'active'",
                                            {active_since}));
      ASSIGN_OR_RETURN(const Rows states,
                       transaction.Query("SELECT state, type, COUNT(*) AS n FROM packages "
                                         "GROUP BY state, type"));
      std::int64_t total = 0;
      std::map<std::string, std::int64_t> by_state;
      std::map<std::string, std::int64_t> by_type;
      for (const Row& row : states) {
        total += row.Int("n");
        by_state[row.Text("state")] += row.Int("n");
        by_type[row.Text("type")] += row.Int("n");
      }
      Json types = Json::MakeObject();
      for (const auto& [type, count] : by_type) types.Set(type, count);
      ASSIGN_OR_RETURN(const auto experiments,
                       transaction.QueryOne("SELECT COUNT(*) AS n, COALESCE(SUM(CASE WHEN "
                                            "mlflow_id <> '' THEN 1 ELSE 0 END), 0) AS sent FROM "
                                            "experiments"));
      ASSIGN_OR_RETURN(const auto waiting, transaction.QueryOne("SELECT entry_id FROM outbox WHERE "
                                                                "state = 'waiting' LIMIT 1"));
      const char* mlflow = experiments->Int("sent") == 0 ? "not_connected"
                           : waiting                     ? "behind"
                                                         : "connected";
      return Json::MakeObject(
          {{"status", "operational"},
           {"statistics", Json::MakeObject({{"total_devices", devices->Int("n")},
                                            {"active_devices", devices->Int("active")},
                                            {"total_packages", total},
                                            {"processed_packages", by_state["processed"]},
                                            {"pending_packages", by_state["stored"]},
                                            {"package_types", std::move(types)},
                                            {"mlflow_status", mlflow},
                                            {"mlflow_experiments", experiments->Int("n")}})}});
    });
  });
}

// mlflow_metrics: a device's newest 50 figures, from here; MLflow is not asked.
base::Result<Json> Pages::DeviceSummaries(const Request& request) {
  const std::size_t limit = request.Limit(50, 100);
  const base::Time now = clock_.Now();
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    ASSIGN_OR_RETURN(
        const Rows devices,
        transaction.Query("SELECT d.device_id, d.name, d.last_seen, g.hostname, g.platform, "
                          "(SELECT COALESCE(SUM(c.packages), 0) FROM package_counts c "
                          "WHERE c.device_id = d.device_id) AS "
                          "packages FROM (SELECT device_id, name, last_seen FROM devices WHERE "
                          "state = 'active' ORDER BY last_seen DESC LIMIT $1) d "
                          "LEFT JOIN legacy_devices g ON g.device_id = d.device_id "
                          "ORDER BY d.last_seen DESC",
                          {limit}));
    Json::Array summaries;
    for (const Row& device : devices) {
      const std::string device_id = device.Text("device_id");
      ASSIGN_OR_RETURN(const Rows points,
                       transaction.Query("SELECT document FROM metrics_points WHERE "
                                         "device_id = $1 ORDER BY at DESC LIMIT 50",
                                         {device_id}));
      std::vector<double> latency;
      std::vector<double> cpu;
      std::vector<double> memory;
      for (const Row& point : points) {
        const Json metrics = point.Document("document");
        if (const auto value = NumberIn(metrics, "latency_ms_p50")) latency.push_back(*value);
        if (const auto value = NumberIn(metrics, "cpu_percent")) cpu.push_back(*value);
        if (const auto value = NumberIn(metrics, "rss_bytes")) {
          memory.push_back(*value / (1 << 20));
        }
      }
      Json::Array available;
      if (!latency.empty()) available.emplace_back("inference_time");
      if (!cpu.empty()) available.emplace_back("cpu_usage");
      if (!memory.empty()) available.emplace_back("memory_usage");
      ASSIGN_OR_RETURN(const auto newest,
                       transaction.QueryOne("SELECT package_id, type, received_at FROM packages "
                                            "WHERE device_id = $1 ORDER BY received_at DESC, package_id "
                                            "DESC LIMIT 1",
                                            {device_id}));
      Json package;
      if (newest) {
        package =
            Json::MakeObject({{"package_id", newest->Text("package_id")},
                              {"package_type", newest->Text("type")},
                              {"uploaded_at", base::FormatTime(newest->Time("received_at"))}});
      }
      const auto last_seen = presence_.LastSeen(device_id, device.OptionalTime("last_seen"));
      const std::string hostname = device.Text("hostname");
      summaries.push_back(Json::MakeObject(
          {{"device_id", device_id},
           {"hostname", hostname.empty() ? device.Text("name") : hostname},
           {"platform", TextOrNull(device.Text("platform"))},
           {"is_active", last_seen && now - *last_seen < base::Duration(30LL * 60 * 1000)},
           {"last_sync_time", TimeOrNull(last_seen)},
           {"package_count", device.Int("packages")},
           {"latest_package", std::move(package)},
           {"mlflow_metrics", Json::MakeObject({{"inference_time", Spread(latency)},
                                                {"cpu_usage", Spread(cpu)},
                                                {"memory_usage", Spread(memory)},
                                                {"drift_score", Json::MakeArray()},
                                                {"available_metrics", std::move(available)}})}}));
    }
    return Json(std::move(summaries));
  });
}

base::Result<Json> Pages::ModelSummaries(const Request&) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT name, version, stage, created_at FROM model_versions "
                                   "ORDER BY name, created_at DESC, version DESC LIMIT 5000"));
  std::vector<std::pair<std::string, std::vector<Row>>> models;
  for (const Row& row : rows) {
    if (models.empty() || models.back().first != row.Text("name")) {
      models.emplace_back(row.Text("name"), std::vector<Row>());
    }
    models.back().second.push_back(row);
  }
  Json::Array summaries;
  for (const auto& [name, versions] : models) {
    Json production;
    Json staging;
    for (const Row& version : versions) {
      const std::string stage = version.Text("stage");
      if (stage == "production" && production.is_null()) production = version.Text("version");
      if (stage == "staging" && staging.is_null()) staging = version.Text("version");
    }
    summaries.push_back(
        Json::MakeObject({{"name", name},
                          {"total_versions", static_cast<std::int64_t>(versions.size())},
                          {"latest_version", versions.front().Text("version")},
                          {"has_production", !production.is_null()},
                          {"has_staging", !staging.is_null()},
                          {"production_version", production},
                          {"staging_version", staging},
                          {"device_id", nullptr}}));
  }
  return Json(std::move(summaries));
}

// The version that the device says it runs.
base::Result<Json> Pages::ModelsOfDevice(const Request& request) {
  const std::string& device_id = request.Param("device_id");
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne("SELECT d.bundle, d.model_name, d.model_version, v.stage, "
                                      "v.created_at FROM devices d LEFT JOIN model_versions v ON "
                                      "v.bundle = d.bundle WHERE d.device_id = $1 LIMIT 1",
                                      {device_id}));
  if (!row) return Error{ErrorCode::kNotFound, "no device is called " + device_id};
  Json::Array models;
  if (!row->Text("bundle").empty()) {
    models.push_back(Json::MakeObject({{"name", row->Text("model_name")},
                                       {"version", row->Text("model_version")},
                                       {"stage", StageName(row->Text("stage"))},
                                       {"bundle", row->Text("bundle")},
                                       {"created_at", TimeOrNull(row->OptionalTime("created_at"))},
                                       {"device_id", device_id}}));
  }
  return Json(std::move(models));
}

base::Result<Json> Pages::Activity(const Request& request) {
  ASSIGN_OR_RETURN(
      const Rows rows,
      database_.Query("SELECT p.package_id, p.device_id, COALESCE(d.name, p.device_id) AS name, "
                      "p.type, p.received_at, p.processed_at, p.state FROM packages p "
                      "LEFT JOIN devices d ON d.device_id = p.device_id "
                      "ORDER BY p.received_at DESC, p.package_id DESC LIMIT $1",
                      {request.Limit(10, 500)}));
  Json::Array packages;
  for (const Row& row : rows) {
    packages.push_back(
        Json::MakeObject({{"package_id", row.Text("package_id")},
                          {"device_id", row.Text("device_id")},
                          {"device_name", row.Text("name")},
                          {"package_type", row.Text("type")},
                          {"uploaded_at", base::FormatTime(row.Time("received_at"))},
                          {"processed_at", TimeOrNull(row.OptionalTime("processed_at"))},
                          {"is_processed", row.Text("state") == "processed"},
                          {"processing_status", StatusOf(row.Text("state"))}}));
  }
  return Json(std::move(packages));
}

// devices: the 100 that sent most. monthly_uploads: the last twelve months, by thirty days.
base::Result<Json> Pages::PackageStatistics(const Request&) {
  return OnceAMinute("statistics", [&]() -> base::Result<Json> {
    const std::int64_t now = clock_.Now().time_since_epoch().count();
    return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
      ASSIGN_OR_RETURN(Json types, CountsBy(transaction,
                                            "SELECT type AS name, COUNT(*) AS n FROM "
                                            "packages GROUP BY type"));
      ASSIGN_OR_RETURN(Json states, CountsBy(transaction,
                                             "SELECT state AS name, COUNT(*) AS n "
                                             "FROM packages GROUP BY state"));
      Json statuses = Json::MakeObject();
      for (const auto& [state, count] : states.as_object()) statuses.Set(StatusOf(state), count);
      ASSIGN_OR_RETURN(Json devices, CountsBy(transaction,
                                              "SELECT device_id AS name, COUNT(*) AS n FROM "
                                              "packages GROUP BY device_id ORDER BY COUNT(*) DESC "
                                              "LIMIT 100"));
      ASSIGN_OR_RETURN(
          const Rows days,
          transaction.Query("SELECT received_at / 86400000 AS day, COUNT(*) AS n FROM packages "
                            "WHERE received_at >= $1 GROUP BY received_at / 86400000",
                            {now - 366 * kDayMs}));
      std::map<std::string, std::int64_t> months;
      for (const Row& row : days) {
        months[DayOf(row.Int("day") * kDayMs).substr(0, 7)] += row.Int("n");
      }
      Json monthly = Json::MakeObject();
      for (const auto& [month, count] : months) monthly.Set(month, count);
      return Json::MakeObject({{"package_types", std::move(types)},
                               {"processing_status", std::move(statuses)},
                               {"devices", std::move(devices)},
                               {"monthly_uploads", std::move(monthly)}});
    });
  });
}

// day: the last 24 hours by the hour; week and month: 7 and 30 days by the day.
base::Result<Json> Pages::PackageTimeline(const Request& request) {
  std::string period(request.Query("period"));
  if (period.empty()) period = "week";
  if (period != "day" && period != "week" && period != "month") {
    return Error{ErrorCode::kInvalidArgument, "period: day, week or month"};
  }
  return OnceAMinute("timeline " + period, [&]() -> base::Result<Json> {
    const std::int64_t step = period == "day" ? kDayMs / 24 : kDayMs;
    const std::int64_t steps = period == "day" ? 24 : period == "week" ? 7 : 30;
    const std::int64_t last = clock_.Now().time_since_epoch().count() / step;
    const std::int64_t first = last - steps + 1;
    ASSIGN_OR_RETURN(const Rows rows,
                     database_.Query("SELECT received_at / $1 AS step, type, COUNT(*) AS n FROM "
                                     "packages WHERE received_at >= $2 "
                                     "GROUP BY 1, type",
                                     {step, first * step}));
    std::map<std::pair<std::int64_t, std::string>, std::int64_t> counts;
    for (const Row& row : rows) {
      const char* column = TimelineColumn(row.Text("type"));
      if (column != nullptr) counts[{row.Int("step"), column}] += row.Int("n");
    }
    Json::Array timeline;
    for (std::int64_t at = first; at <= last; ++at) {
      const std::string time = base::FormatTime(base::Time(base::Duration(at * step)));
      Json point = Json::MakeObject({{"date", period == "day" ? time : time.substr(0, 10)}});
      for (const char* column :
           {"models", "metrics", "data_logs", "drift_events", "prediction_images"}) {
        point.Set(column, counts[{at, column}]);
      }
      timeline.push_back(std::move(point));
    }
    return Json(std::move(timeline));
  });
}

// From the newest 2,000 runs that are about a version known here. For the metric "accuracy" also
// what the devices estimate of theirs now, the mean for each version.
base::Result<Json> Pages::ModelPerformance(const Request& request) {
  std::string metric(request.Query("metric"));
  if (metric.empty()) metric = "accuracy";
  const std::string model(request.Query("model_name"));
  const std::int64_t days = IntQuery(request, "days", 36'500, 1, 36'500);
  const base::Time since = clock_.Now() - base::Duration(days * kDayMs);
  const std::size_t limit = request.Limit(100, 1000);
  const bool has_operational = request.Query("include_operational_metrics") != "false";
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    ASSIGN_OR_RETURN(
        const Rows rows,
        transaction.Query("SELECT v.name, v.version, v.stage, m.value, m.at, r.run_id FROM "
                          "(SELECT run_id, bundle FROM runs ORDER BY started_at DESC, run_id DESC "
                          "LIMIT 2000) r "
                          "JOIN run_metrics m ON m.run_id = r.run_id AND m.name = $1 "
                          "JOIN model_versions v ON v.bundle = r.bundle "
                          "WHERE m.at >= $2 AND ($3 = '' OR v.name = $3) "
                          "ORDER BY m.at DESC LIMIT $4",
                          {metric, since, model, limit}));
    Json::Array points;
    const auto add = [&](const Row& row, double value, base::Time at, Json run_id) {
      points.push_back(Json::MakeObject({{"model_name", row.Text("name")},
                                         {"version", row.Text("version")},
                                         {"stage", StageName(row.Text("stage"))},
                                         {"metric_name", metric},
                                         {"value", value},
                                         {"timestamp", base::FormatTime(at)},
                                         {"run_id", std::move(run_id)}}));
    };
    for (const Row& row : rows) {
      add(row, row.Double("value"), row.Time("at"), row.Text("run_id"));
    }
    if (metric != "accuracy" || !has_operational) return Json(std::move(points));
    ASSIGN_OR_RETURN(
        const Rows devices,
        transaction.Query("SELECT v.name, v.version, v.stage, v.bundle, d.metrics FROM "
                          "(SELECT bundle, metrics FROM devices WHERE state = 'active' AND "
                          "metrics IS NOT NULL ORDER BY last_seen DESC LIMIT 500) d "
                          "JOIN model_versions v ON v.bundle = d.bundle "
                          "WHERE $1 = '' OR v.name = $1 ORDER BY v.bundle",
                          {model}));
    for (std::size_t i = 0; i < devices.size();) {
      const std::string bundle = devices[i].Text("bundle");
      const Row& first = devices[i];
      double sum = 0;
      std::int64_t count = 0;
      for (; i < devices.size() && devices[i].Text("bundle") == bundle; ++i) {
        const auto estimate = NumberIn(devices[i].Document("metrics"), "accuracy_estimated");
        if (!estimate) continue;
        sum += *estimate;
        count += 1;
      }
      if (count > 0) add(first, sum / static_cast<double>(count), clock_.Now(), Json());
    }
    return Json(std::move(points));
  });
}

void Pages::AddDashboardPages(http::Router& router) {
  Get(router, "/api/dashboard/status", &Pages::SystemStatus);
  Get(router, "/api/dashboard/devices/summary", &Pages::DeviceSummaries);
  Get(router, "/api/dashboard/models/summary", &Pages::ModelSummaries);
  Get(router, "/api/dashboard/models/device/{device_id}", &Pages::ModelsOfDevice);
  Get(router, "/api/dashboard/packages/activity", &Pages::Activity);
  Get(router, "/api/dashboard/packages/statistics", &Pages::PackageStatistics);
  Get(router, "/api/dashboard/packages/timeline", &Pages::PackageTimeline);
  Get(router, "/api/dashboard/models/performance", &Pages::ModelPerformance);
}

}  // namespace tinysphere::legacy
