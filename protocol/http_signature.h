// HTTP message signatures (RFC 9421) as device requests carry them: tag "tlcm/1", Ed25519.
// docs/formats/request_signature.md.

#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/result.h"

namespace protocol {

inline constexpr std::string_view kRequestTag = "tlcm/1";

// The parts of a request that can be signed. Header names are lower case; a name may repeat.
struct HttpRequestHead {
  std::string method;     // "PUT"
  std::string path;       // "/api/v1/packages/x", as sent.
  std::string query;      // Without "?"; empty if there is none.
  std::string authority;  // Host and port; only needed where it is covered.
  std::vector<std::pair<std::string, std::string>> headers;

  // The field's value as RFC 9421 combines it; false where there is none.
  bool Header(std::string_view name, std::string* value) const;
};

// The two header fields that carry a signature.
struct SignatureHeaders {
  std::string signature_input;
  std::string signature;
};

// The signature base of RFC 9421 section 2.5. `parameters` is the value of @signature-params after
// the list, ";keyid=..." and so on. kInvalidArgument where a component is not in the request.
base::Result<std::string> SignatureBase(const HttpRequestHead& request,
                                        std::span<const std::string> components,
                                        std::string_view parameters);

// Signs what a device request must cover: @method @path @query, content-digest, upload-offset and
// upload-complete where present, tlcm-audience and tlcm-nonce (which may be empty at first
// contact). REQUIRES: the request has the headers tlcm-audience and tlcm-nonce.
SignatureHeaders SignRequest(const HttpRequestHead& request, std::string_view device_id,
                             const base::Ed25519Key& key);

// A signature that covers enough, not yet verified.
struct RequestSignature {
  std::string device_id;  // keyid
  std::string audience;
  std::string nonce;
  std::string base;  // The bytes that were signed.
  base::Ed25519Signature signature{};
};

// Reads the fields signature-input and signature of `request`. kPermissionDenied unless there is
// one signature with our tag that covers what it must (`has_body`: content-digest too).
base::Result<RequestSignature> ParseRequestSignature(const HttpRequestHead& request, bool has_body);
// kPermissionDenied unless it is `key`'s.
base::Status VerifyRequestSignature(const RequestSignature& signature,
                                    const base::Ed25519PublicKey& key);

// Content-Digest (RFC 9530): "sha-256=:...:".
std::string WriteContentDigest(const base::Sha256Digest& digest);
base::Result<base::Sha256Digest> ParseContentDigest(std::string_view value);

}  // namespace protocol
