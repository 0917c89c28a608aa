// Signer: proves to an S3 store who sends a request, without sending the secret.
//
// The request is written down in one canonical form, hashed, and the hash signed with a key made of
// secret, day, region and service (AWS Signature Version 4). A presigned URL carries the same proof
// in its query, so that whoever holds the URL may do this one thing until it expires.
// Four to five HMACs a request.
// Source: AWS, "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace tinysphere::s3 {

using Pairs = std::vector<std::pair<std::string, std::string>>;

struct Credentials {
  std::string access_key = "";
  std::string secret_key = "";
  std::string session_token = "";  // Of temporary credentials.
};

struct Scope {
  std::string region;
  std::string service = "s3";
};

struct Unsigned {
  std::string method;
  std::string host;    // As in the Host header: with the port, unless it is the scheme's own.
  std::string path;    // Percent-encoded, as it will be sent.
  Pairs query = {};    // Not encoded.
  Pairs headers = {};  // Besides Host; all of them are signed.
};

inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

// "a=1&b=2%2F3": encoded and sorted; what is signed and what is sent.
std::string CanonicalQuery(const Pairs& query);

// The given headers, and with them X-Amz-Date, X-Amz-Content-Sha256 and Authorization (and
// X-Amz-Security-Token). `payload_sha256`: of the body, in hex.
Pairs SignedHeaders(const Unsigned& request, std::string_view payload_sha256,
                    const Credentials& credentials, const Scope& scope, base::Time now);

// The query that makes a URL of the request, good for `life` from `now` on (a week at most). The
// body is not signed.
std::string PresignedQuery(const Unsigned& request, base::Duration life,
                           const Credentials& credentials, const Scope& scope, base::Time now);

}  // namespace tinysphere::s3
