#include "protocol/nonce.h"

#include <algorithm>

#include "base/crypto.h"
#include "base/text.h"

namespace protocol {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::size_t kTimeBytes = 8;
constexpr std::size_t kSealBytes = 16;
// Replicas' clocks are synchronised, but not to the millisecond.
constexpr base::Duration kSkewMax = std::chrono::minutes(1);

}  // namespace

NonceIssuer::NonceIssuer(base::Bytes key) : key_(std::move(key)) { CHECK(key_.size() >= 32); }

base::Bytes NonceIssuer::Seal(std::string_view device_id, base::ByteView time) const {
  base::Bytes message = base::ToBytes(base::StrCat("tinylcm-nonce/1\n", device_id, "\n"));
  message.insert(message.end(), time.begin(), time.end());
  const base::Sha256Digest mac = base::HmacSha256(key_, message);
  return base::Bytes(mac.begin(), mac.begin() + kSealBytes);
}

std::string NonceIssuer::Issue(std::string_view device_id, base::Time now) const {
  const auto milliseconds = static_cast<std::uint64_t>(now.time_since_epoch().count());
  base::Bytes bytes;
  for (unsigned shift = 64; shift > 0; shift -= 8) {
    bytes.push_back(static_cast<std::uint8_t>(milliseconds >> (shift - 8)));
  }
  const base::Bytes seal = Seal(device_id, bytes);
  bytes.insert(bytes.end(), seal.begin(), seal.end());
  return base::Base64UrlEncode(bytes);
}

base::Status NonceIssuer::Check(std::string_view nonce, std::string_view device_id,
                                base::Time now) const {
  const Error not_ours{ErrorCode::kPermissionDenied, "nonce: not ours or not this device's"};
  const base::Result<base::Bytes> bytes = base::Base64UrlDecode(nonce);
  if (!bytes.ok() || bytes->size() != kTimeBytes + kSealBytes) return not_ours;
  const base::ByteView time = base::ByteView(*bytes).first(kTimeBytes);
  if (!base::EqualInConstantTime(Seal(device_id, time),
                                 base::ByteView(*bytes).subspan(kTimeBytes))) {
    return not_ours;
  }
  std::uint64_t milliseconds = 0;
  for (const std::uint8_t byte : time) milliseconds = (milliseconds << 8) | byte;
  const base::Time issued{base::Duration(static_cast<std::int64_t>(milliseconds))};
  if (now - issued > kLifetime || issued - now > kSkewMax) {
    return Error{ErrorCode::kPermissionDenied, "nonce: older than ten minutes"};
  }
  return {};
}

bool IsNonce(std::string_view text) {
  return text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '_' || c == '-';
         });
}

}  // namespace protocol
