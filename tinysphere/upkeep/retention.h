// Retention: what grew older than its bucket keeps it is removed from the object store.
//
// Nothing expires until somebody says so (table settings, "retention.<bucket>"). An object's age is
// the store's: since it was put. The rows that point to it say so first, then it goes: what an
// interrupted run left, the next one finds by its age again. A package that waits to be unpacked
// stays however old it is, and people's verdicts stay for good.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::upkeep {

// An object is put a moment before the row that points to it.
inline constexpr base::Duration kKeptAtLeast{60LL * 60 * 1000};

struct Kept {
  std::string bucket;
  std::string what;
  bool may_expire = false;
  std::optional<base::Duration> age;  // nullopt: for good.
};

struct Swept {
  std::string bucket;
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  std::uint64_t waiting = 0;  // Old enough, but packages that are not unpacked yet.
};

// May be used from several threads.
class Retention {
 public:
  // All must outlive it.
  Retention(store::Database& database, store::ObjectStore& objects, base::Clock& clock)
      : database_(database), objects_(objects), clock_(clock) {}

  // Every bucket.
  base::Result<std::vector<Kept>> Read();
  // nullopt keeps for good. kInvalidArgument: no such bucket, one that keeps for good, or less than
  // kKeptAtLeast.
  base::Status Set(const std::string& bucket, std::optional<base::Duration> age,
                   const std::string& by);

  // Removes what is due; `is_dry` only counts it. The buckets that expire, each with what went.
  // `is_told_to_stop` is asked between pages of a thousand objects.
  base::Result<std::vector<Swept>> Run(
      bool is_dry, const std::function<bool()>& is_told_to_stop = [] { return false; });
  // The same unless it was done within the last day, whichever process did it. nullopt: it was.
  base::Result<std::optional<std::vector<Swept>>> RunDaily(
      const std::function<bool()>& is_told_to_stop);

 private:
  base::Result<Swept> Sweep(const std::string& bucket, base::Time before, bool is_dry,
                            const std::function<bool()>& is_told_to_stop);

  store::Database& database_;
  store::ObjectStore& objects_;
  base::Clock& clock_;
};

}  // namespace tinysphere::upkeep
