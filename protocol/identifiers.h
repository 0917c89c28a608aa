// The small words that name things: device and package ids, digests, and paths inside an archive.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/crypto.h"
#include "base/result.h"

namespace protocol {

// "d-" and the first 32 hex digits of SHA-256(public key).
std::string DeviceIdOf(const base::Ed25519PublicKey& key);
bool IsDeviceId(std::string_view text);

bool IsSha256Hex(std::string_view text);    // 64 lower-case hex digits.
bool IsFingerprint(std::string_view text);  // base64url of 32 bytes: 43 characters.

// Who made a package and as which one: "{device_id}-{epoch}-{seq, at least 8 digits}".
struct PackageName {
  std::string device_id;
  std::string epoch;  // 16 hex digits, made once per queue directory and anew after a conflict.
  std::uint64_t seq = 0;

  std::string id() const;
  friend bool operator==(const PackageName&, const PackageName&) = default;
};
base::Result<PackageName> ParsePackageId(std::string_view text);

// "[A-Za-z0-9._/-]{1,200}", relative, no empty part, no "." and no "..".
bool IsSafePath(std::string_view path);

// Ids of events, samples, feedback, deployments: "[A-Za-z0-9._:-]{1,128}".
bool IsPlainId(std::string_view text);

}  // namespace protocol
