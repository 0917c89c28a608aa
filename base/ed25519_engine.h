// Which code computes Ed25519 (RFC 8032): OpenSSL's, unless a program brings a faster one. A server
// checks two signatures a package; libsodium takes half as long for them as OpenSSL 3.0.

#pragma once

#include "base/bytes.h"
#include "base/crypto.h"

namespace base {

struct Ed25519Engine {
  Ed25519Signature (*sign)(ByteView seed, const Ed25519PublicKey& key, ByteView message) = nullptr;
  // `signature` has 64 bytes.
  bool (*verify)(const Ed25519PublicKey& key, ByteView message, ByteView signature) = nullptr;
};

// For the whole program from now on. Any thread, but once is enough: at the start.
void UseEd25519Engine(const Ed25519Engine& engine);

}  // namespace base
