// The parts of crypto.h that need no library.

#include "base/crypto.h"

#include <algorithm>

#include "base/file_system.h"
#include "base/text.h"

namespace base {
namespace {

constexpr std::string_view kPrivatePrefix = "tlcm-ed25519-private-1 ";
constexpr std::string_view kPublicPrefix = "tlcm-ed25519-public-1 ";

}  // namespace

std::string Sha256Hex(ByteView bytes) { return HexEncode(Sha256Of(bytes)); }

Result<Sha256Digest> Sha256OfFile(const ReadableFile& file) {
  Sha256 sha;
  Bytes block(64u << 10);
  for (std::uint64_t done = 0; done < file.size();) {
    ASSIGN_OR_RETURN(const std::size_t count, file.ReadAt(done, block));
    if (count == 0) {
      return Error{ErrorCode::kCorrupt, StrCat("ends after ", done, " of ", file.size(), " bytes")};
    }
    sha.Update(ByteView(block).first(count));
    done += count;
  }
  return sha.Finish();
}

std::string Fingerprint(const Ed25519PublicKey& key) { return Base64UrlEncode(Sha256Of(key)); }

std::string WritePrivateKeyText(const Ed25519Key& key) {
  return StrCat(kPrivatePrefix, Base64UrlEncode(key.seed()), "\n");
}

Result<Ed25519Key> ParsePrivateKeyText(std::string_view text) {
  text = Trim(text);
  if (!text.starts_with(kPrivatePrefix)) {
    return Error{ErrorCode::kInvalidArgument, "not a tlcm-ed25519-private-1 key file"};
  }
  ASSIGN_OR_RETURN(const Bytes seed, Base64UrlDecode(text.substr(kPrivatePrefix.size())));
  return Ed25519Key::FromSeed(seed);
}

std::string WritePublicKeyText(const Ed25519PublicKey& key) {
  return StrCat(kPublicPrefix, Base64UrlEncode(key), "\n");
}

Result<Ed25519PublicKey> ParsePublicKeyText(std::string_view text) {
  text = Trim(text);
  if (!text.starts_with(kPublicPrefix)) {
    return Error{ErrorCode::kInvalidArgument, "not a tlcm-ed25519-public-1 key file"};
  }
  ASSIGN_OR_RETURN(const Bytes bytes, Base64UrlDecode(text.substr(kPublicPrefix.size())));
  Ed25519PublicKey key;
  if (bytes.size() != key.size()) {
    return Error{ErrorCode::kInvalidArgument, "a public key has 32 bytes"};
  }
  std::copy(bytes.begin(), bytes.end(), key.begin());
  return key;
}

std::string RandomHex(std::size_t bytes) { return HexEncode(RandomBytes(bytes)); }

}  // namespace base
