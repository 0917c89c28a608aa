#include "protocol/identifiers.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/text.h"

namespace protocol {
namespace {

bool IsHexDigit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
bool IsLetterOrDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool IsHex(std::string_view text, std::size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), IsHexDigit);
}

}  // namespace

std::string DeviceIdOf(const base::Ed25519PublicKey& key) {
  return "d-" + base::Sha256Hex(key).substr(0, 32);
}

bool IsDeviceId(std::string_view text) {
  return text.starts_with("d-") && IsHex(text.substr(2), 32);
}

bool IsSha256Hex(std::string_view text) { return IsHex(text, 64); }

bool IsFingerprint(std::string_view text) {
  if (text.size() != 43) return false;
  const base::Result<base::Bytes> bytes = base::Base64UrlDecode(text);
  return bytes.ok() && bytes->size() == 32;
}

std::string PackageName::id() const {
  std::string number = std::to_string(seq);
  if (number.size() < 8) number.insert(0, 8 - number.size(), '0');
  return base::StrCat(device_id, "-", epoch, "-", number);
}

base::Result<PackageName> ParsePackageId(std::string_view text) {
  const base::Error error{base::ErrorCode::kInvalidArgument,
                          base::StrCat("'", text.substr(0, 100), "' is no package id")};
  // d-<32>-<16>-<8 or more>
  constexpr std::size_t kDevice = 34;
  constexpr std::size_t kEpoch = kDevice + 1 + 16;
  if (text.size() < kEpoch + 1 + 8 || text[kDevice] != '-' || text[kEpoch] != '-') return error;
  PackageName name;
  name.device_id = text.substr(0, kDevice);
  name.epoch = text.substr(kDevice + 1, 16);
  const base::Result<std::int64_t> seq = base::ParseInt(text.substr(kEpoch + 1));
  if (!IsDeviceId(name.device_id) || !IsHex(name.epoch, 16) || !seq.ok() || *seq < 0) return error;
  name.seq = static_cast<std::uint64_t>(*seq);
  // One name has one text.
  if (name.id() != text) return error;
  return name;
}

bool IsSafePath(std::string_view path) {
  if (path.empty() || path.size() > 200) return false;
  for (const std::string_view part : base::Split(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
    for (const char c : part) {
      if (!IsLetterOrDigit(c) && c != '.' && c != '_' && c != '-') return false;
    }
  }
  return true;
}

bool IsPlainId(std::string_view text) {
  if (text.empty() || text.size() > 128) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return IsLetterOrDigit(c) || c == '.' || c == '_' || c == ':' || c == '-';
  });
}

}  // namespace protocol
