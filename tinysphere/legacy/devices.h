// Devices: the Python prototype's clients, let in and taken care of.
//
// That client forgets a package on any answer but 200, and keeps it where there is no answer at
// all. So it is answered 200 whenever its package lies safe here, bad or good; what would be a 429
// or a 503 to another is a wait, and after a minute a connection closed without a word.
//
// What it sends is unsigned. Its packages lie under its own device id, which no signing device can
// have, as epoch "legacy", and are understood by Unpacking.

#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/fleet/presence.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/message.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::legacy {

inline constexpr std::string_view kEpoch = "legacy";  // Of every package of such a device.

// How often a device that has to wait is looked at again, a second apart.
inline constexpr int kWaitsMax = 60;

// May be used from several threads.
class Devices {
 public:
  // All must outlive it. `stored` is called after each package that is new. `spool`: where
  // multipart bodies are taken apart.
  Devices(store::Database& database, store::ObjectStore& objects, store::Queue& queue,
          base::FileSystem& fs, base::Clock& clock, http::EventHub& events,
          fleet::Presence& presence, std::function<void()> stored, std::string spool)
      : database_(database),
        objects_(objects),
        queue_(queue),
        fs_(fs),
        clock_(clock),
        events_(events),
        presence_(presence),
        stored_(std::move(stored)),
        spool_(std::move(spool)) {}

  // POST /api/devices/register
  http::Response Register(const http::Request& request);
  // POST /api/packages/upload by a legacy device.
  http::Response Upload(const http::Request& request);
  // The same, announced as larger than a package may be.
  http::Response TooLarge(const http::Request& request);

  void AddRoutes(http::Router& router);

 private:
  struct Parcel;

  base::Result<Parcel> Open(const http::Request& request);
  base::Result<base::Json> Keep(Parcel& parcel);
  base::Result<base::Json> Insert(store::Transaction& transaction, const Parcel& parcel,
                                  const std::string& package_id, const std::string& object_key,
                                  base::Time now);

  store::Database& database_;
  store::ObjectStore& objects_;
  store::Queue& queue_;
  base::FileSystem& fs_;
  base::Clock& clock_;
  http::EventHub& events_;
  fleet::Presence& presence_;
  std::function<void()> stored_;
  const std::string spool_;
};

// `text` as one line of at most `bytes_max` bytes for a person to read: control characters and NUL
// become spaces, and no character is cut in two.
std::string OneLine(std::string_view text, std::size_t bytes_max);

}  // namespace tinysphere::legacy
