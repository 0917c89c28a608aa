// Pages: the prototype's reading routes below /api/, answered from what this server knows of every
// device, signed or not. Its dashboard and people's scripts go on working; each asks with a session
// or an API token, for nothing here is open.
//
// The shapes are the prototype's, with RFC 3339 times; the numeric `id` that some of them have is
// 48 bits of the SHA-256 of the text id. Figures over all packages are counted once a minute at
// most. Where the prototype's word has no counterpart here, the route's comment says what stands
// for it.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/drifthub/drift_hub.h"
#include "tinysphere/fleet/presence.h"
#include "tinysphere/http/message.h"
#include "tinysphere/http/router.h"
#include "tinysphere/ingest/unpacker.h"
#include "tinysphere/registry/registry.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::legacy {

// May be used from several threads.
class Pages {
 public:
  // All must outlive it.
  Pages(store::Database& database, store::ObjectStore& objects, base::Clock& clock,
        fleet::Presence& presence, registry::Registry& registry, drifthub::DriftHub& hub,
        ingest::Unpacker& unpacker)
      : database_(database),
        objects_(objects),
        clock_(clock),
        presence_(presence),
        registry_(registry),
        hub_(hub),
        unpacker_(unpacker) {}

  void AddRoutes(http::Router& router);

 private:
  using Page = base::Result<base::Json> (Pages::*)(const http::Request&);
  void Get(http::Router& router, const std::string& path, Page page);
  void Change(http::Router& router, http::Method method, const std::string& path, Page page);

  void AddDevicePages(http::Router& router);
  void AddPackagePages(http::Router& router);
  void AddDashboardPages(http::Router& router);
  void AddModelPages(http::Router& router);
  void AddDriftPages(http::Router& router);
  void AddImagePages(http::Router& router);
  void AddLogPages(http::Router& router);
  void AddNotificationPages(http::Router& router);

  // device_pages.cc
  base::Result<base::Json> Devices(const http::Request& request);
  base::Result<base::Json> Platforms(const http::Request& request);
  base::Result<base::Json> DebugLocations(const http::Request& request);
  base::Result<base::Json> Locations(const http::Request& request);
  base::Result<base::Json> DeviceMetrics(const http::Request& request);
  base::Result<base::Json> Trends(const http::Request& request);
  base::Result<base::Json> TopDevices(const http::Request& request);
  base::Result<base::Json> Device(const http::Request& request);
  base::Result<base::Json> DeviceLocation(const http::Request& request);
  base::Json DeviceJson(const store::Row& row) const;

  // package_pages.cc
  base::Result<base::Json> Packages(const http::Request& request);
  base::Result<base::Json> PackagesOfDevice(const http::Request& request);
  base::Result<base::Json> Package(const http::Request& request);
  base::Result<base::Json> PackageStatus(const http::Request& request);
  base::Result<base::Json> PackageProgress(const http::Request& request);
  base::Result<base::Json> Process(const http::Request& request);
  base::Result<base::Json> ProcessPending(const http::Request& request);
  base::Result<base::Json> MlflowDiagnostics(const http::Request& request);
  base::Result<store::Row> FindPackage(const http::Request& request);

  // dashboard_pages.cc
  base::Result<base::Json> SystemStatus(const http::Request& request);
  base::Result<base::Json> DeviceSummaries(const http::Request& request);
  base::Result<base::Json> ModelSummaries(const http::Request& request);
  base::Result<base::Json> ModelsOfDevice(const http::Request& request);
  base::Result<base::Json> Activity(const http::Request& request);
  base::Result<base::Json> PackageStatistics(const http::Request& request);
  base::Result<base::Json> PackageTimeline(const http::Request& request);
  base::Result<base::Json> ModelPerformance(const http::Request& request);

  // model_pages.cc
  base::Result<base::Json> Models(const http::Request& request);
  base::Result<base::Json> Versions(const http::Request& request);
  base::Result<base::Json> Transition(const http::Request& request);
  base::Result<base::Json> ModelMetrics(const http::Request& request);
  base::Result<base::Json> Compare(const http::Request& request);
  base::Result<base::Json> FiguresOfBundle(const std::string& bundle, std::string& run_id);

  // drift_pages.cc
  base::Result<base::Json> DriftEvents(const http::Request& request);
  base::Result<base::Json> DriftEvent(const http::Request& request);
  base::Result<base::Json> CreateDriftEvent(const http::Request& request);
  base::Result<base::Json> CreateDriftEventFromPackage(const http::Request& request);
  base::Result<base::Json> SetDriftStatus(const http::Request& request);
  base::Result<base::Json> DriftSamples(const http::Request& request);
  base::Result<base::Json> DriftSample(const http::Request& request);
  base::Result<base::Json> Validate(const http::Request& request);
  base::Result<base::Json> PendingValidations(const http::Request& request);
  base::Result<base::Json> Acknowledge(const http::Request& request);
  base::Result<base::Json> DriftStatistics(const http::Request& request);
  base::Result<base::Json> Repair(const http::Request& request);
  base::Result<base::Json> Diagnose(const http::Request& request);
  base::Result<base::Json> DeviceDriftMetrics(const http::Request& request);
  base::Result<base::Json> DriftByDevice(const http::Request& request);
  base::Result<base::Json> DriftTimeline(const http::Request& request);
  base::Result<base::Json> EventById(const std::string& event_id);

  // object_pages.cc
  base::Result<base::Json> ImageDevices(const http::Request& request);
  base::Result<base::Json> ImageTypes(const http::Request& request);
  base::Result<base::Json> ImageDates(const http::Request& request);
  base::Result<base::Json> Images(const http::Request& request);
  base::Result<base::Json> DriftImageDevices(const http::Request& request);
  base::Result<base::Json> DriftImageTypes(const http::Request& request);
  base::Result<base::Json> DriftImageDates(const http::Request& request);
  base::Result<base::Json> DriftImages(const http::Request& request);
  base::Result<base::Json> LogDevices(const http::Request& request);
  base::Result<base::Json> LogSessions(const http::Request& request);
  base::Result<base::Json> LogTypes(const http::Request& request);
  base::Result<base::Json> Logs(const http::Request& request);
  base::Result<base::Json> DeleteLogs(const http::Request& request);
  void AddObjectRoutes(http::Router& router, const std::string& root, const std::string& what,
                       std::vector<std::string_view> buckets);

  // notification_pages.cc
  struct Notification;
  base::Result<std::vector<Notification>> ReadNotifications();
  base::Result<base::Json> Notifications(const http::Request& request);
  base::Result<base::Json> NotificationCount(const http::Request& request);
  base::Result<base::Json> NotificationById(const http::Request& request);
  base::Result<base::Json> PostNotification(const http::Request& request);
  base::Result<base::Json> PatchNotification(const http::Request& request);
  base::Result<base::Json> DeleteNotification(const http::Request& request);
  base::Result<base::Json> NotificationActions(const http::Request& request);

  base::Result<base::Json> Status(const http::Request& request);

  // What `count` gives, at most a minute old.
  base::Result<base::Json> OnceAMinute(const std::string& key,
                                       const std::function<base::Result<base::Json>()>& count);

  store::Database& database_;
  store::ObjectStore& objects_;
  base::Clock& clock_;
  fleet::Presence& presence_;
  registry::Registry& registry_;
  drifthub::DriftHub& hub_;
  ingest::Unpacker& unpacker_;

  struct Counted {
    base::Duration at{};  // Uptime.
    base::Json json;
  };
  std::mutex counted_mutex_;
  std::map<std::string, Counted> counted_;
};

// ---- what the pages share --------------------------------------------------------------------

inline constexpr std::int64_t kDayMs = 24LL * 60 * 60 * 1000;

// ?name= within [least, most], or `usual` where it is missing or no number.
std::int64_t IntQuery(const http::Request& request, std::string_view name, std::int64_t usual,
                      std::int64_t least, std::int64_t most);
inline std::int64_t SkipOf(const http::Request& request) {
  return IntQuery(request, "skip", IntQuery(request, "offset", 0, 0, 1'000'000), 0, 1'000'000);
}
// 48 bits of the SHA-256 of `id`.
std::int64_t NumberOf(std::string_view id);
// "2026-11-21" of milliseconds since 1970.
std::string DayOf(std::int64_t at_ms);
// "20261121" -> milliseconds since 1970 at which it began; nullopt where it is none.
std::optional<std::int64_t> DayBegins(std::string_view yyyymmdd);
base::Json TimeOrNull(const std::optional<base::Time>& at);
base::Json TextOrNull(std::string text);
// {"avg","min","max","count"} of what there is; zeros without any.
base::Json Spread(const std::vector<double>& values);
// The number at `key`; nullopt where there is none.
std::optional<double> NumberIn(const base::Json& document, std::string_view key);

}  // namespace tinysphere::legacy
