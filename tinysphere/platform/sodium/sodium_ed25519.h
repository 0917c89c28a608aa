// Ed25519 through libsodium. It also refuses keys of small order and encodings that are not the one
// of RFC 8032, which OpenSSL lets pass; no honest key or signature is such a one.

#pragma once

namespace tinysphere::sodium {

// For the whole program: base/ed25519_engine.h.
void UseSodiumForEd25519();

}  // namespace tinysphere::sodium
