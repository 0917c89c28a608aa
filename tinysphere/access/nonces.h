// Nonces: stateless proof that a request was signed within the last ten minutes.
//
// A nonce is server time and an HMAC over device id and that time, so any replica can make and
// check one, nothing is stored, and no clock of a device matters.

#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace tinysphere::access {

inline constexpr base::Duration kNonceLife{10 * 60 * 1000};

std::string MakeNonce(base::ByteView key, std::string_view device_id, base::Time now);
// kPermissionDenied if it is not ours, another device's, older than kNonceLife or from the future.
base::Status CheckNonce(base::ByteView key, std::string_view device_id, std::string_view nonce,
                        base::Time now);

}  // namespace tinysphere::access
