// Legacy tokens: how a device of the Python prototype shows who it is. Each is bound to one device
// id, and good for registering, uploading and the status of that device's own packages only.
//
// Such an id never begins with "d-": a device with a key has no way in that is weaker than its key.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::access {

// Long: to that client the end of its token is the end of its packages.
inline constexpr base::Duration kLegacyTokenLife{10LL * 365 * 24 * 60 * 60 * 1000};

struct LegacyToken {
  std::string token_id;
  std::string device_id;
  std::string created_by;
  base::Time created_at{};
  base::Time expires_at{};
};

// [A-Za-z0-9._-]{1,64}, beginning with a letter, a digit or '_', and not with "d-" or "D-".
base::Status CheckLegacyDeviceId(std::string_view device_id);
// Whether it has the form of one.
bool IsLegacyToken(std::string_view secret);

// The secret; only its hash is stored. A device may have several, so that one can follow another.
base::Result<std::string> CreateLegacyToken(store::Database& database, const std::string& device_id,
                                            base::Duration ttl, const std::string& by,
                                            base::Time now);
// The device it is bound to. kPermissionDenied: unknown, expired, or the device is revoked or
// decommissioned.
base::Result<std::string> FindLegacyToken(store::Database& database, std::string_view secret,
                                          base::Time now);
// kNotFound if none has this id.
base::Status RevokeLegacyToken(store::Database& database, const std::string& token_id,
                               const std::string& by, base::Time now);
base::Result<std::vector<LegacyToken>> ListLegacyTokens(store::Database& database);
// The id of the token with this secret, as ListLegacyTokens shows it.
std::string LegacyTokenId(std::string_view secret);

}  // namespace tinysphere::access
