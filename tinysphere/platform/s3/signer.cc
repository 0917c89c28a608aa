#include "tinysphere/platform/s3/signer.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/outbound/http_client.h"

namespace tinysphere::s3 {

using base::AsBytes;
using base::StrCat;
using outbound::PercentEncode;

namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

// "20130524T000000Z"
std::string AmzDate(base::Time now) {
  std::string text = base::FormatTime(now).substr(0, 19);
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text + "Z";
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

// Without white space around it, and with one space for several.
std::string Tidy(std::string_view value) {
  std::string out;
  for (const char c : base::Trim(value)) {
    if (c == ' ' && out.ends_with(' ')) continue;
    out += c;
  }
  return out;
}

struct Canonical {
  std::string headers;  // "host:a\nrange:b\n"
  std::string names;    // "host;range"
};

Canonical CanonicalHeaders(const std::string& host, const Pairs& headers) {
  Pairs sorted = {{"host", host}};
  for (const auto& [name, value] : headers) sorted.emplace_back(LowerCase(name), Tidy(value));
  std::sort(sorted.begin(), sorted.end());
  Canonical canonical;
  for (const auto& [name, value] : sorted) {
    canonical.headers += StrCat(name, ":", value, "\n");
    if (!canonical.names.empty()) canonical.names += ';';
    canonical.names += name;
  }
  return canonical;
}

std::string CredentialScope(const std::string& day, const Scope& scope) {
  return StrCat(day, "/", scope.region, "/", scope.service, "/aws4_request");
}

std::string Signature(const Unsigned& request, const std::string& query, const Canonical& canonical,
                      std::string_view payload_sha256, const Credentials& credentials,
                      const Scope& scope, const std::string& date) {
  const std::string day = date.substr(0, 8);
  const std::string canonical_request =
      StrCat(request.method, "\n", request.path, "\n", query, "\n", canonical.headers, "\n",
             canonical.names, "\n", payload_sha256);
  const std::string to_sign = StrCat(kAlgorithm, "\n", date, "\n", CredentialScope(day, scope),
                                     "\n", base::Sha256Hex(AsBytes(canonical_request)));
  base::Sha256Digest key =
      base::HmacSha256(AsBytes(StrCat("AWS4", credentials.secret_key)), AsBytes(day));
  for (const std::string_view part :
       {std::string_view(scope.region), std::string_view(scope.service),
        std::string_view("aws4_request"), std::string_view(to_sign)}) {
    key = base::HmacSha256(key, AsBytes(part));
  }
  return base::HexEncode(key);
}

}  // namespace

std::string CanonicalQuery(const Pairs& query) {
  Pairs encoded;
  for (const auto& [name, value] : query) {
    encoded.emplace_back(PercentEncode(name), PercentEncode(value));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string out;
  for (const auto& [name, value] : encoded) {
    if (!out.empty()) out += '&';
    out += StrCat(name, "=", value);
  }
  return out;
}

Pairs SignedHeaders(const Unsigned& request, std::string_view payload_sha256,
                    const Credentials& credentials, const Scope& scope, base::Time now) {
  const std::string date = AmzDate(now);
  Pairs headers = request.headers;
  headers.emplace_back("x-amz-content-sha256", payload_sha256);
  headers.emplace_back("x-amz-date", date);
  if (!credentials.session_token.empty()) {
    headers.emplace_back("x-amz-security-token", credentials.session_token);
  }
  const Canonical canonical = CanonicalHeaders(request.host, headers);
  const std::string signature = Signature(request, CanonicalQuery(request.query), canonical,
                                          payload_sha256, credentials, scope, date);
  headers.emplace_back("Authorization",
                       StrCat(kAlgorithm, " Credential=", credentials.access_key, "/",
                              CredentialScope(date.substr(0, 8), scope),
                              ",SignedHeaders=", canonical.names, ",Signature=", signature));
  return headers;
}

std::string PresignedQuery(const Unsigned& request, base::Duration life,
                           const Credentials& credentials, const Scope& scope, base::Time now) {
  const std::string date = AmzDate(now);
  const Canonical canonical = CanonicalHeaders(request.host, request.headers);
  Pairs query = request.query;
  query.emplace_back("X-Amz-Algorithm", kAlgorithm);
  query.emplace_back("X-Amz-Credential", StrCat(credentials.access_key, "/",
                                                CredentialScope(date.substr(0, 8), scope)));
  query.emplace_back("X-Amz-Date", date);
  query.emplace_back("X-Amz-Expires", std::to_string(life.count() / 1000));
  if (!credentials.session_token.empty()) {
    query.emplace_back("X-Amz-Security-Token", credentials.session_token);
  }
  query.emplace_back("X-Amz-SignedHeaders", canonical.names);
  const std::string signed_query = CanonicalQuery(query);
  return StrCat(
      signed_query, "&X-Amz-Signature=",
      Signature(request, signed_query, canonical, kUnsignedPayload, credentials, scope, date));
}

}  // namespace tinysphere::s3
