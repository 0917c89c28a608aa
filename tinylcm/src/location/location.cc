#include "tinylcm/location/location.h"

#include <cmath>
#include <utility>

#include "base/json.h"
#include "base/text.h"

namespace tinylcm::location {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;

namespace {

constexpr base::Duration kRetry{10'000};

bool IsOnEarth(double latitude, double longitude) {
  return latitude >= -90.0 && latitude <= 90.0 && longitude >= -180.0 && longitude <= 180.0;
}

class ConfiguredPlace final : public Locator {
 public:
  explicit ConfiguredPlace(Place place) : place_(std::move(place)) {}
  std::optional<Place> Where(base::Duration) override { return place_; }

 private:
  Place place_;
};

class GpsdLocator final : public Locator {
 public:
  explicit GpsdLocator(Connect connect) : connect_(std::move(connect)) {}

  std::optional<Place> Where(base::Duration now) override {
    if (connection_ == nullptr && now >= next_try_) {
      next_try_ = now + kRetry;
      auto connected = connect_();
      if (connected.ok()) connection_ = std::move(connected).value();
    }
    if (connection_ != nullptr) {
      const Result<std::string> came = connection_->Read();
      if (came.ok()) {
        feed_.Take(*came, now);
      } else {
        connection_.reset();
        feed_.Interrupted();
      }
    }
    return feed_.Where(now);
  }

 private:
  Connect connect_;
  std::unique_ptr<Connection> connection_;
  base::Duration next_try_ = base::Duration::min();
  GpsdFeed feed_;
};

std::optional<double> NumberIn(const Json& json, std::string_view key) {
  const Json* found = json.Find(key);
  if (found == nullptr || !found->is_number()) return std::nullopt;
  return found->as_double();
}

// Horizontal, 95 %: gpsd gives it whole ("eph") or by direction.
std::optional<double> AccuracyOf(const Json& report) {
  if (const auto whole = NumberIn(report, "eph")) return whole;
  const auto east = NumberIn(report, "epx");
  const auto north = NumberIn(report, "epy");
  if (east && north) return std::hypot(*east, *north);
  return std::nullopt;
}

}  // namespace

Result<std::unique_ptr<Locator>> MakeConfiguredPlace(double latitude, double longitude,
                                                     std::optional<double> accuracy_m) {
  if (!IsOnEarth(latitude, longitude) || (accuracy_m && !(*accuracy_m >= 0.0))) {
    return Error{
        ErrorCode::kInvalidArgument,
        base::StrCat("location: ", latitude, ", ", longitude,
                     " (latitude is -90 to 90, longitude -180 to 180, accuracy_m from 0)")};
  }
  Place place{.latitude = latitude,
              .longitude = longitude,
              .accuracy_m = accuracy_m,
              .age_ms = 0,
              .source = "configured"};
  return std::unique_ptr<Locator>(std::make_unique<ConfiguredPlace>(std::move(place)));
}

std::unique_ptr<Locator> MakeGpsdLocator(Connect connect) {
  return std::make_unique<GpsdLocator>(std::move(connect));
}

void GpsdFeed::Take(std::string_view bytes, base::Duration now) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view part = bytes.substr(0, end);
    if (line_.size() + part.size() > kLineBytesMax) {
      is_too_long_ = true;
      line_.clear();
    } else if (!is_too_long_) {
      line_ += part;
    }
    if (end == std::string_view::npos) return;
    if (is_too_long_) {
      ++bad_lines_;
    } else {
      Line(base::Trim(line_), now);
    }
    line_.clear();
    is_too_long_ = false;
    bytes.remove_prefix(end + 1);
  }
}

void GpsdFeed::Line(std::string_view line, base::Duration now) {
  if (line.empty()) return;
  const auto json = Json::Parse(line);
  const Json* kind = json.ok() ? json->Find("class") : nullptr;
  if (kind == nullptr || !kind->is_string()) {
    ++bad_lines_;
    return;
  }
  if (kind->as_string() != "TPV") return;  // Satellites, versions and the like.
  const auto mode = NumberIn(*json, "mode");
  if (!mode) {
    ++bad_lines_;
    return;
  }
  const auto latitude = NumberIn(*json, "lat");
  const auto longitude = NumberIn(*json, "lon");
  if (*mode < 2 || !latitude || !longitude) {  // 0 and 1: no fix.
    place_.reset();
    return;
  }
  if (!IsOnEarth(*latitude, *longitude)) {
    ++bad_lines_;
    return;
  }
  place_ = Place{.latitude = *latitude,
                 .longitude = *longitude,
                 .accuracy_m = AccuracyOf(*json),
                 .age_ms = 0,
                 .source = "gpsd"};
  measured_ = now;
}

std::optional<Place> GpsdFeed::Where(base::Duration now) const {
  if (!place_ || now - measured_ > kStale) return std::nullopt;
  Place place = *place_;
  place.age_ms = (now - measured_).count();
  return place;
}

}  // namespace tinylcm::location
