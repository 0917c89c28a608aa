#include "tinysphere/platform/sodium/sodium_ed25519.h"

#include <sodium.h>

#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/ed25519_engine.h"

namespace tinysphere::sodium {

namespace {

base::Ed25519Signature Sign(base::ByteView seed, const base::Ed25519PublicKey& key,
                            base::ByteView message) {
  // What libsodium calls the secret key: the seed and the public key.
  std::array<unsigned char, crypto_sign_SECRETKEYBYTES> secret;
  static_assert(crypto_sign_SECRETKEYBYTES == 64 && crypto_sign_BYTES == 64);
  CHECK(seed.size() == 32);
  std::copy(seed.begin(), seed.end(), secret.begin());
  std::copy(key.begin(), key.end(), secret.begin() + 32);
  base::Ed25519Signature signature;
  CHECK(crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(),
                             secret.data()) == 0);
  sodium_memzero(secret.data(), secret.size());
  return signature;
}

bool Verify(const base::Ed25519PublicKey& key, base::ByteView message, base::ByteView signature) {
  return crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                     key.data()) == 0;
}

}  // namespace

void UseSodiumForEd25519() {
  CHECK(sodium_init() >= 0);
  base::UseEd25519Engine({.sign = Sign, .verify = Verify});
}

}  // namespace tinysphere::sodium
