// Certificates: a self-signed one for a server without a CA, and the pin of any.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace tinysphere::openssl {

struct CertificateAndKey {
  std::string certificate_pem;
  std::string key_pem;
};

// ECDSA P-256 (which every TLS client knows), valid from a day before `now` for `days`. Names that
// are IP addresses become IP entries of the subject alternative name.
base::Result<CertificateAndKey> MakeSelfSignedCertificate(const std::vector<std::string>& names,
                                                          base::Time now, int days);

// base64url(SHA-256(SubjectPublicKeyInfo)) of the first certificate of a PEM text: what a device
// pins, and what curl calls "sha256//" in plain base64.
base::Result<std::string> SpkiPin(std::string_view certificate_pem);

}  // namespace tinysphere::openssl
