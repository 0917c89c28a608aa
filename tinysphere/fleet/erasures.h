// Erasures: a device's data deleted whole, rows and objects, because somebody has a right to that.
//
//   asked ─▶ a job: objects below <bucket>/<device>/, ground truths, rows table by table ─▶ done
//
// What stays is a tombstone: the device's id, key and state (so that a revoked key stays revoked),
// when it was erased, and the audit of who asked. A person's name for it goes, too. While the job
// is under way the device is told to come again later. The job may be done twice or be taken up
// where another worker died: everything it does is deleting.

#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::fleet {

inline constexpr std::string_view kEraseJob = "erase";

// Tables whose rows of a device go, and those with a device_id whose rows stay. Together all that
// have one: a test holds the schema against them.
std::span<const std::string_view> ErasedTables();
std::span<const std::string_view> KeptTables();

// May be used from several threads.
class Erasures {
 public:
  // All must outlive it. `woken` is called when there is a job.
  Erasures(store::Database& database, store::ObjectStore& objects, store::Queue& queue,
           base::Clock& clock, http::EventHub& events, std::function<void()> woken = nullptr)
      : database_(database),
        objects_(objects),
        queue_(queue),
        clock_(clock),
        events_(events),
        woken_(std::move(woken)) {}

  // kNotFound for a device that is not known. One that is being erased is not asked for twice.
  base::Result<base::Json> Ask(const std::string& device_id, const std::string& by);
  // The newest erasure of a device; kNotFound where there was none.
  base::Result<base::Json> Get(const std::string& device_id);

  // Does a job kEraseJob and completes it.
  base::Status Erase(const store::Job& job);

  // Called with the device's id when its rows are gone. At most one; before the first job.
  void OnErased(std::function<void(const std::string&)> erased) { erased_ = std::move(erased); }

  void AddRoutes(http::Router& router);

 private:
  struct Counts {
    std::int64_t rows = 0;
    std::int64_t objects = 0;
    std::int64_t bytes = 0;
  };
  base::Status DeleteObjects(const std::string& device_id, Counts& counts);
  base::Status DeletePrefix(const std::string& prefix, Counts& counts);
  base::Status DeleteRows(const std::string& device_id, Counts& counts);

  store::Database& database_;
  store::ObjectStore& objects_;
  store::Queue& queue_;
  base::Clock& clock_;
  http::EventHub& events_;
  std::function<void()> woken_;
  std::function<void(const std::string&)> erased_;
};

}  // namespace tinysphere::fleet
