#include "tinysphere/store/object_key.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"

namespace tinysphere::store {

namespace {

constexpr std::size_t kPartMax = 100;
constexpr std::size_t kDigestDigits = 16;

bool IsPlain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-';
}

}  // namespace

std::string IdKeyPart(std::string_view id) {
  std::string part(id);
  std::replace(part.begin(), part.end(), ':', '=');
  return part;
}

std::string TextKeyPart(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string part;
  for (const char c : text) {
    // A dot that begins the part may be all of it, which is no part at all.
    if (IsPlain(c) || (c == '.' && !part.empty())) {
      part += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    part += '=';
    part += kHex[byte >> 4];
    part += kHex[byte & 15];
  }
  if (part.empty()) return "=";  // No other text gives this one.
  if (part.size() <= kPartMax) return part;
  part.resize(kPartMax - kDigestDigits - 2);
  // "==" stands in no text that was not cut.
  part += "==";
  part += base::Sha256Hex(base::AsBytes(text)).substr(0, kDigestDigits);
  return part;
}

std::string DayKeyPart(base::Time at) {
  const std::string text = base::FormatTime(at);  // "2026-11-20T..."
  return text.substr(0, 4) + text.substr(5, 2) + text.substr(8, 2);
}

}  // namespace tinysphere::store
