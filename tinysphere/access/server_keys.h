// ServerKeys: what the server signs with, and the secret behind its nonces. Made at the first start
// in DATA/keys, mode 0600; whoever has them is the server.

#pragma once

#include <string>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/file_system.h"
#include "base/result.h"

namespace tinysphere::access {

struct ServerKeys {
  base::Ed25519Key signing_key;  // DATA/keys/server.key, and server.pub beside it.
  base::Bytes nonce_key;         // DATA/keys/nonce.key; shared by replicas.

  std::string fingerprint() const { return base::Fingerprint(signing_key.public_key()); }
};

base::Result<ServerKeys> LoadOrMakeServerKeys(base::FileSystem& fs, const std::string& folder);

// DATA/keys/tls.crt and tls.key of a server without a certificate of its own.
struct TlsFiles {
  std::string certificate_path;
  std::string key_path;
};

}  // namespace tinysphere::access
