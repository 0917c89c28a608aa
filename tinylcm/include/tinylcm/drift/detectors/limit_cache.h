// LimitCache: limits that a Monte Carlo found, so that none is sought twice.
//
// A detector with unusual options is tried on some million values until its limit for a run length
// is known: up to some seconds. The answer depends on nothing but the options and how it is sought,
// so it is kept: in memory for the detectors a program makes, and by whoever owns a folder for the
// next start.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "base/json.h"
#include "base/result.h"

namespace tinylcm::drift {

// May be used from several threads.
class LimitCache {
 public:
  // The one that MakeDetector asks.
  static LimitCache& Shared();

  // What was found for `key` before, or what `solve` finds now; errors, and numbers that are no
  // limit (all are finite and above 0), are not kept. `key`: a digest of all that the limit depends
  // on, how it is sought included.
  base::Result<double> GetOr(std::uint64_t key, const std::function<base::Result<double>()>& solve);

  std::size_t size() const;

  // {"format": "tinylcm-limits/1", "limits": {"<key, hex>": <limit>}}
  base::Json ToJson() const;
  // Adds what another run kept. kUnsupported, kInvalidArgument, and nothing added.
  base::Status Add(const base::Json& json);

 private:
  mutable std::mutex mutex_;
  std::map<std::uint64_t, double> limits_;
};

}  // namespace tinylcm::drift
