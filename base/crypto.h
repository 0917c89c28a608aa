// Hashes, signatures and randomness, as values. OpenSSL stands behind them (platform/openssl).

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace base {

class ReadableFile;

using Sha256Digest = std::array<std::uint8_t, 32>;

// Streaming SHA-256 (FIPS 180-4). Not thread-safe.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void Update(ByteView bytes);
  Sha256Digest Finish();  // REQUIRES: called once.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

Sha256Digest Sha256Of(ByteView bytes);
std::string Sha256Hex(ByteView bytes);
// Of all size() bytes; kCorrupt where they end earlier.
Result<Sha256Digest> Sha256OfFile(const ReadableFile& file);
Sha256Digest HmacSha256(ByteView key, ByteView message);  // RFC 2104.

// Ed25519 (RFC 8032).
using Ed25519PublicKey = std::array<std::uint8_t, 32>;
using Ed25519Signature = std::array<std::uint8_t, 64>;

// The private key as its 32-byte seed. Wiped on destruction. Copyable on purpose only by Clone-ing
// through the seed file.
class Ed25519Key {
 public:
  static Ed25519Key Generate();
  static Result<Ed25519Key> FromSeed(ByteView seed);  // kInvalidArgument unless 32 bytes.
  ~Ed25519Key();
  Ed25519Key(Ed25519Key&&) noexcept = default;
  Ed25519Key& operator=(Ed25519Key&&) noexcept;

  const Ed25519PublicKey& public_key() const { return public_key_; }
  const Bytes& seed() const { return seed_; }
  Ed25519Signature Sign(ByteView message) const;

 private:
  Ed25519Key() = default;
  Bytes seed_;
  Ed25519PublicKey public_key_{};
};

bool VerifyEd25519(const Ed25519PublicKey& key, ByteView message, ByteView signature);

// base64url(SHA-256(raw 32-byte public key)): how a key is named to a person and in a token.
std::string Fingerprint(const Ed25519PublicKey& key);

// Key files. Private: "tlcm-ed25519-private-1 <base64url seed>\n"; public:
// "tlcm-ed25519-public-1 <base64url key>\n".
std::string WritePrivateKeyText(const Ed25519Key& key);
Result<Ed25519Key> ParsePrivateKeyText(std::string_view text);
std::string WritePublicKeyText(const Ed25519PublicKey& key);
Result<Ed25519PublicKey> ParsePublicKeyText(std::string_view text);

// From the system's generator.
Bytes RandomBytes(std::size_t count);
std::string RandomHex(std::size_t bytes);

}  // namespace base
