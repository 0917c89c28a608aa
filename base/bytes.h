// Bytes and the text forms in which they travel: hex, base64 and base64url.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace base {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

inline ByteView AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view AsText(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
inline Bytes ToBytes(std::string_view text) {
  const ByteView view = AsBytes(text);
  return {view.begin(), view.end()};
}

std::string HexEncode(ByteView bytes);               // Lower case.
Result<Bytes> HexDecode(std::string_view text);      // Lower or upper case; nothing else.
std::string Base64Encode(ByteView bytes);            // RFC 4648 section 4, padded.
Result<Bytes> Base64Decode(std::string_view text);   // Strict: padding required, no white space.
std::string Base64UrlEncode(ByteView bytes);         // RFC 4648 section 5, not padded.
Result<Bytes> Base64UrlDecode(std::string_view text);

// True if equal; takes the same time wherever they differ.
bool EqualInConstantTime(ByteView a, ByteView b);

// CRC-32C (Castagnoli), as in RFC 3720 appendix B.4. `crc` continues an earlier call.
std::uint32_t Crc32c(ByteView bytes, std::uint32_t crc = 0);

}  // namespace base
