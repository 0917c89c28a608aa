#include "tinysphere/ingest/rates.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/text.h"
#include "tinysphere/ingest/receiver.h"

namespace tinysphere::ingest {

void Rates::Refill(Buckets& buckets, base::Duration uptime) const {
  const double seconds = std::max(0.0, static_cast<double>((uptime - buckets.at).count()) / 1000.0);
  buckets.requests =
      std::min(options_.requests, buckets.requests + seconds * options_.requests_a_second);
  buckets.bytes = std::min(options_.bytes, buckets.bytes + seconds * options_.bytes_a_second);
  buckets.at = std::max(buckets.at, uptime);
}

base::Duration Rates::Take(const std::string& device_id, std::uint64_t bytes,
                           base::Duration uptime) {
  const std::lock_guard lock(mutex_);
  auto found = devices_.find(device_id);
  if (found == devices_.end()) {
    if (devices_.size() >= options_.devices_max) MakeRoom(uptime);
    found = devices_.emplace(device_id, Buckets{options_.requests, options_.bytes, uptime}).first;
  }
  Buckets& buckets = found->second;
  Refill(buckets, uptime);
  const double wanted = static_cast<double>(bytes);
  const double needed = std::min(wanted, options_.bytes);
  // A little less, so that rounding does not ask for one more millisecond.
  const double slack = 1e-9;
  double wait_s = 0;
  if (buckets.requests < 1.0 - slack) {
    wait_s = (1.0 - buckets.requests) / options_.requests_a_second;
  }
  if (buckets.bytes < needed - slack * options_.bytes) {
    wait_s = std::max(wait_s, (needed - buckets.bytes) / options_.bytes_a_second);
  }
  if (wait_s > 0) {
    return base::Duration(std::max<std::int64_t>(1, std::llround(std::ceil(wait_s * 1000.0))));
  }
  buckets.requests -= 1.0;
  buckets.bytes -= wanted;
  return base::Duration(0);
}

std::optional<http::Response> Rates::Slow(const http::Request& request, base::Duration uptime) {
  const auto length = base::ParseInt(request.headers.Get("Content-Length"));
  std::uint64_t bytes = 0;
  if (length.ok() && *length > 0) bytes = static_cast<std::uint64_t>(*length);
  if (request.headers.Has("Transfer-Encoding")) bytes = kPackageBytesMax;
  const base::Duration wait = Take(request.identity.id, bytes, uptime);
  if (wait == base::Duration(0)) return std::nullopt;
  return http::Response::TooManyRequests("this device sends too much at a time",
                                         std::chrono::ceil<std::chrono::seconds>(wait));
}

void Rates::MakeRoom(base::Duration uptime) {
  // Full buckets hold nothing that a new device's would not.
  std::erase_if(devices_, [&](const auto& entry) {
    Buckets buckets = entry.second;
    Refill(buckets, uptime);
    return buckets.requests >= options_.requests && buckets.bytes >= options_.bytes;
  });
  if (devices_.size() < options_.devices_max) return;
  // As many devices at work as there is room for: a tenth of them begins anew.
  std::size_t too_many = devices_.size() / 10 + 1;
  for (auto at = devices_.begin(); at != devices_.end() && too_many > 0; --too_many) {
    at = devices_.erase(at);
  }
}

}  // namespace tinysphere::ingest
