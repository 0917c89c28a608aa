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

namespace {

// What the prototype calls active: heard of within half an hour.
constexpr base::Duration kActive{30LL * 60 * 1000};

constexpr std::string_view kSelectDevice =
    "SELECT d.device_id, d.name, d.state, d.enrolled_at, d.last_seen, d.agent_version, d.metrics, "
    "g.hostname, g.ip_address, g.platform, g.platform_version, g.device_model, g.python_version, "
    "g.tinylcm_version, g.device_info, g.latitude, g.longitude, g.geo_accuracy "
    "FROM devices d LEFT JOIN legacy_devices g ON g.device_id = d.device_id ";

// Where a device is: as it registered, or as its figures say; null three times if nobody said.
struct Place {
  std::optional<double> latitude;
  std::optional<double> longitude;
  std::optional<double> accuracy_m;
};

Place PlaceOf(const Row& row) {
  Place place{.latitude = row.OptionalDouble("latitude"),
              .longitude = row.OptionalDouble("longitude"),
              .accuracy_m = row.OptionalDouble("geo_accuracy")};
  if (place.latitude && place.longitude) return place;
  const Json metrics = row.Document("metrics");
  const Json* location = metrics.Find("location");
  if (location == nullptr) return {};
  return {.latitude = NumberIn(*location, "latitude"),
          .longitude = NumberIn(*location, "longitude"),
          .accuracy_m = NumberIn(*location, "accuracy_m")};
}

void Collect(const Json& document, std::string_view key, double scale, std::vector<double>& to) {
  if (const auto value = NumberIn(document, key)) to.push_back(*value * scale);
}

}  // namespace

Json Pages::DeviceJson(const Row& row) const {
  const std::string device_id = row.Text("device_id");
  const auto last_seen = presence_.LastSeen(device_id, row.OptionalTime("last_seen"));
  const Place place = PlaceOf(row);
  const std::string hostname = row.Text("hostname");
  std::string version = row.Text("tinylcm_version");
  if (version.empty()) version = row.Text("agent_version");
  return Json::MakeObject({{"id", NumberOf(device_id)},
                           {"device_id", device_id},
                           {"hostname", hostname.empty() ? row.Text("name") : hostname},
                           {"ip_address", TextOrNull(row.Text("ip_address"))},
                           {"platform", TextOrNull(row.Text("platform"))},
                           {"platform_version", TextOrNull(row.Text("platform_version"))},
                           {"device_model", TextOrNull(row.Text("device_model"))},
                           {"python_version", TextOrNull(row.Text("python_version"))},
                           {"tinylcm_version", TextOrNull(std::move(version))},
                           {"device_info", row.Document("device_info")},
                           {"latitude", place.latitude},
                           {"longitude", place.longitude},
                           {"geo_accuracy", place.accuracy_m},
                           {"registration_time", base::FormatTime(row.Time("enrolled_at"))},
                           {"last_sync_time", TimeOrNull(last_seen)},
                           {"is_active", row.Text("state") == "active" && last_seen &&
                                             clock_.Now() - *last_seen < kActive}});
}

base::Result<Json> Pages::Devices(const Request& request) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query(std::string(kSelectDevice) +
                                       "WHERE d.state <> 'pending' ORDER BY d.device_id "
                                       "LIMIT $1 OFFSET $2",
                                   {request.Limit(100, 1000), SkipOf(request)}));
  Json::Array devices;
  for (const Row& row : rows) devices.push_back(DeviceJson(row));
  return Json(std::move(devices));
}

base::Result<Json> Pages::Device(const Request& request) {
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne(std::string(kSelectDevice) + "WHERE d.device_id = $1",
                                      {request.Param("device_id")}));
  if (!row) {
    return Error{ErrorCode::kNotFound, "no device is called " + request.Param("device_id")};
  }
  return DeviceJson(*row);
}

base::Result<Json> Pages::Platforms(const Request&) {
  return OnceAMinute("platforms", [&]() -> base::Result<Json> {
    ASSIGN_OR_RETURN(const Rows rows,
                     database_.Query("SELECT COALESCE(g.platform, '') AS platform, COUNT(*) AS n "
                                     "FROM devices d LEFT JOIN legacy_devices g ON "
                                     "g.device_id = d.device_id GROUP BY COALESCE(g.platform, '') "
                                     "ORDER BY COUNT(*) DESC"));
    Json::Array platforms;
    for (const Row& row : rows) {
      const std::string name = row.Text("platform");
      platforms.push_back(
          Json::MakeObject({{"name", name.empty() ? "unknown" : name}, {"value", row.Int("n")}}));
    }
    return Json(std::move(platforms));
  });
}

base::Result<Json> Pages::Locations(const Request& request) {
  ASSIGN_OR_RETURN(
      const Rows rows,
      database_.Query(std::string(kSelectDevice) +
                          "WHERE g.latitude IS NOT NULL OR d.metrics LIKE '%\"location\":{%' "
                          "ORDER BY d.device_id LIMIT $1 OFFSET $2",
                      {request.Limit(100, 1000), SkipOf(request)}));
  ASSIGN_OR_RETURN(const Json total, OnceAMinute("located", [&]() -> base::Result<Json> {
                     ASSIGN_OR_RETURN(
                         const auto counted,
                         database_.QueryOne("SELECT COUNT(*) AS n FROM devices d LEFT JOIN "
                                            "legacy_devices g ON g.device_id = d.device_id WHERE "
                                            "g.latitude IS NOT NULL OR d.metrics LIKE "
                                            "'%\"location\":{%'"));
                     return Json(counted->Int("n"));
                   }));
  Json::Array locations;
  for (const Row& row : rows) {
    const Place place = PlaceOf(row);
    if (!place.latitude || !place.longitude) continue;
    const std::string hostname = row.Text("hostname");
    locations.push_back(
        Json::MakeObject({{"device_id", row.Text("device_id")},
                          {"hostname", hostname.empty() ? row.Text("name") : hostname},
                          {"latitude", place.latitude},
                          {"longitude", place.longitude},
                          {"geo_accuracy", place.accuracy_m}}));
  }
  return Json::MakeObject({{"total", total}, {"locations", std::move(locations)}});
}

base::Result<Json> Pages::DebugLocations(const Request& request) {
  ASSIGN_OR_RETURN(const Json page, Locations(request));
  const Json locations = http::FieldOrNull(page, "locations");
  return Json::MakeObject({{"count", static_cast<std::int64_t>(locations.as_array().size())},
                           {"locations", locations}});
}

// memory_usage is the process's, in MiB; inference_time milliseconds; cpu_usage percent of a core.
base::Result<Json> Pages::DeviceMetrics(const Request& request) {
  const std::string device_id(request.Query("device_id"));
  ASSIGN_OR_RETURN(
      const Rows rows,
      device_id.empty()
          ? database_.Query("SELECT metrics AS document FROM devices WHERE state = 'active' AND "
                            "metrics IS NOT NULL ORDER BY last_seen DESC LIMIT 500")
          : database_.Query("SELECT document FROM metrics_points WHERE device_id = $1 "
                            "ORDER BY at DESC LIMIT 500",
                            {device_id}));
  std::vector<double> latency;
  std::vector<double> cpu;
  std::vector<double> memory;
  for (const Row& row : rows) {
    const Json metrics = row.Document("document");
    Collect(metrics, "latency_ms_p50", 1, latency);
    Collect(metrics, "cpu_percent", 1, cpu);
    Collect(metrics, "rss_bytes", 1.0 / (1 << 20), memory);
  }
  return Json::MakeObject({{"inference_time", Spread(latency)},
                           {"cpu_usage", Spread(cpu)},
                           {"memory_usage", Spread(memory)}});
}

// active: sent a package that day. total: had been enrolled by its end.
base::Result<Json> Pages::Trends(const Request& request) {
  const std::int64_t days = IntQuery(request, "days", 7, 1, 90);
  return OnceAMinute(base::StrCat("trends ", days), [&]() -> base::Result<Json> {
    const std::int64_t today = clock_.Now().time_since_epoch().count() / kDayMs;
    const std::int64_t first = today - days + 1;
    return database_.Read([&](store::Transaction& transaction) -> base::Result<Json> {
      ASSIGN_OR_RETURN(
          const Rows active,
          transaction.Query("SELECT received_at / 86400000 AS day, COUNT(DISTINCT device_id) AS n "
                            "FROM packages WHERE received_at >= $1 GROUP BY received_at / 86400000",
                            {first * kDayMs}));
      ASSIGN_OR_RETURN(
          const Rows enrolled,
          transaction.Query("SELECT enrolled_at / 86400000 AS day, COUNT(*) AS n FROM devices "
                            "WHERE state <> 'pending' GROUP BY enrolled_at / 86400000"));
      std::map<std::int64_t, std::int64_t> active_on;
      for (const Row& row : active) active_on[row.Int("day")] = row.Int("n");
      Json::Array trend;
      for (std::int64_t day = first; day <= today; ++day) {
        std::int64_t total = 0;
        for (const Row& row : enrolled) total += row.Int("day") <= day ? row.Int("n") : 0;
        trend.push_back(Json::MakeObject(
            {{"date", DayOf(day * kDayMs)}, {"active", active_on[day]}, {"total", total}}));
      }
      return Json(std::move(trend));
    });
  });
}

base::Result<Json> Pages::TopDevices(const Request& request) {
  const std::size_t limit = request.Limit(5, 100);
  return OnceAMinute(base::StrCat("top ", limit), [&]() -> base::Result<Json> {
    ASSIGN_OR_RETURN(
        const Rows rows,
        database_.Query(
            "SELECT p.device_id, COALESCE(d.name, p.device_id) AS name, p.n FROM "
            "(SELECT device_id, SUM(packages) AS n FROM package_counts GROUP BY device_id "
            "ORDER BY SUM(packages) DESC, device_id LIMIT $1) p "
            "LEFT JOIN devices d ON d.device_id = p.device_id "
            "ORDER BY p.n DESC, p.device_id",
            {limit}));
    Json::Array top;
    for (const Row& row : rows) {
      top.push_back(Json::MakeObject({{"device_id", row.Text("device_id")},
                                      {"name", row.Text("name")},
                                      {"packages", row.Int("n")}}));
    }
    return Json(std::move(top));
  });
}

base::Result<Json> Pages::DeviceLocation(const Request& request) {
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne(std::string(kSelectDevice) + "WHERE d.device_id = $1",
                                      {request.Param("device_id")}));
  if (!row) {
    return Error{ErrorCode::kNotFound, "no device is called " + request.Param("device_id")};
  }
  const Place place = PlaceOf(*row);
  const Json device = DeviceJson(*row);
  return Json::MakeObject({{"device_id", row->Text("device_id")},
                           {"name", row->Text("name")},
                           {"location_name", nullptr},
                           {"latitude", place.latitude},
                           {"longitude", place.longitude},
                           {"geo_accuracy", place.accuracy_m},
                           {"accuracy", place.accuracy_m},
                           {"is_active", http::FieldOrNull(device, "is_active")},
                           {"last_update", http::FieldOrNull(device, "last_sync_time")}});
}

void Pages::AddDevicePages(http::Router& router) {
  Get(router, "/api/devices", &Pages::Devices);
  Get(router, "/api/devices/", &Pages::Devices);
  Get(router, "/api/devices/platforms", &Pages::Platforms);
  Get(router, "/api/devices/debug-locations", &Pages::DebugLocations);
  Get(router, "/api/devices/locations", &Pages::Locations);
  Get(router, "/api/devices/metrics", &Pages::DeviceMetrics);
  Get(router, "/api/devices/trends", &Pages::Trends);
  Get(router, "/api/devices/top", &Pages::TopDevices);
  Get(router, "/api/devices/{device_id}", &Pages::Device);
  Get(router, "/api/devices/{device_id}/location", &Pages::DeviceLocation);
}

}  // namespace tinysphere::legacy
