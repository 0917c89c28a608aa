#include "tinysphere/access/gate.h"

#include <algorithm>

#include "protocol/http_signature.h"
#include "protocol/identifiers.h"
#include "protocol/nonce.h"
#include "protocol/statement.h"
#include "tinysphere/access/legacy_tokens.h"

namespace tinysphere::access {

using base::Error;
using base::ErrorCode;

namespace {

constexpr std::string_view kBearer = "Bearer ";

protocol::HttpRequestHead HeadOf(const http::Request& request) {
  protocol::HttpRequestHead head;
  head.method = http::Name(request.method);
  head.path = request.raw_path;
  head.query = request.raw_query;
  head.authority = std::string(request.headers.Get("Host"));
  for (const auto& [name, value] : request.headers.fields()) {
    std::string lower = name;
    for (char& c : lower) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    }
    head.headers.emplace_back(std::move(lower), value);
  }
  return head;
}

// A body is announced by one of these two; the server refuses other ways.
bool HasBody(const http::Request& request) {
  const std::string_view length = request.headers.Get("Content-Length");
  return request.headers.Has("Transfer-Encoding") || (!length.empty() && length != "0");
}

base::Result<protocol::RequestSignature> ReadSignature(const http::Request& request,
                                                       const ServerKeys& keys, base::Time now) {
  ASSIGN_OR_RETURN(protocol::RequestSignature signature,
                   protocol::ParseRequestSignature(HeadOf(request), HasBody(request)));
  if (signature.audience != keys.fingerprint()) {
    return Error{ErrorCode::kPermissionDenied, "signature: made for another server"};
  }
  const protocol::NonceIssuer nonces(keys.nonce_key);
  RETURN_IF_ERROR(nonces.Check(signature.nonce, signature.device_id, now));
  return signature;
}

// The secret of `Authorization: Bearer`; "" without one.
std::string_view BearerOf(const http::Request& request) {
  const std::string_view authorization = request.headers.Get("Authorization");
  return authorization.starts_with(kBearer) ? authorization.substr(kBearer.size()) : "";
}

bool ChangesSomething(http::Method method) {
  return method != http::Method::kGet && method != http::Method::kHead;
}

// The device a request says it comes from, signed or not; "" if it says none.
std::string ClaimedDevice(const http::Request& request) {
  const std::string_view input = request.headers.Get("Signature-Input");
  constexpr std::string_view kKeyId = "keyid=\"";
  const std::size_t at = input.find(kKeyId);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = input.substr(at + kKeyId.size());
  const std::string_view device_id = rest.substr(0, rest.find('"'));
  return protocol::IsDeviceId(device_id) ? std::string(device_id) : std::string();
}

}  // namespace

base::Result<http::Identity> Gate::Authenticate(const http::Request& request, http::Access access) {
  switch (access) {
    case http::Access::kOpen:
      return http::Identity{};
    case http::Access::kDevice:
      return AuthenticateDevice(request);
    case http::Access::kDeviceOrViewer:
      if (request.headers.Has("Signature-Input")) return AuthenticateDevice(request);
      return AuthenticatePerson(request);
    case http::Access::kLegacy:
      return AuthenticateLegacy(request);
    case http::Access::kDeviceOrLegacy:
      if (BearerOf(request).empty()) return AuthenticateDevice(request);
      return AuthenticateLegacy(request);
    case http::Access::kLegacyOrViewer:
      if (IsLegacyToken(BearerOf(request))) return AuthenticateLegacy(request);
      return AuthenticatePerson(request);
    case http::Access::kViewer:
    case http::Access::kOperator:
    case http::Access::kAdmin:
      return AuthenticatePerson(request);
  }
  return Error{ErrorCode::kPermissionDenied, "nobody may use this"};
}

base::Result<http::Identity> Gate::AuthenticateDevice(const http::Request& request) {
  ASSIGN_OR_RETURN(const protocol::RequestSignature signature,
                   ReadSignature(request, keys_, clock_.Now()));
  // Also of a device that waits, was revoked or decommissioned: the device guard answers it with a
  // statement, which only the holder of the key is given.
  ASSIGN_OR_RETURN(
      const auto row,
      database_.QueryOne("SELECT k.public_key, CASE WHEN d.is_erasing = 1 THEN 'erasing' ELSE "
                         "d.state END AS state, d.desired_etag FROM device_keys k "
                         "LEFT JOIN devices d ON d.device_id = k.device_id "
                         "WHERE k.device_id = $1 ORDER BY k.key_count DESC LIMIT 1",
                         {signature.device_id}));
  if (!row) return Error{ErrorCode::kPermissionDenied, "device: is not enrolled"};
  const base::Bytes bytes = row->Blob("public_key");
  base::Ed25519PublicKey key{};
  if (bytes.size() != key.size()) {
    return Error{ErrorCode::kInternal, "device key: has another length"};
  }
  std::copy(bytes.begin(), bytes.end(), key.begin());
  RETURN_IF_ERROR(protocol::VerifyRequestSignature(signature, key));
  http::Identity identity;
  identity.kind = http::Identity::Kind::kDevice;
  identity.id = signature.device_id;
  identity.nonce = signature.nonce;
  identity.device = http::Identity::Device{
      .key = key, .state = row->Text("state"), .desired_etag = row->Text("desired_etag")};
  return identity;
}

base::Result<http::Identity> Gate::AuthenticateLegacy(const http::Request& request) {
  if (!serves_legacy_) {
    return Error{
        ErrorCode::kPermissionDenied,
        "devices of the prototype are not served here (tinysphere serve --legacy-devices)"};
  }
  ASSIGN_OR_RETURN(const std::string device_id,
                   FindLegacyToken(database_, BearerOf(request), clock_.Now()));
  // The token decides; a device that says it is another has somebody else's token.
  const std::string_view said = request.headers.Get("X-Device-ID");
  if (!said.empty() && said != device_id) {
    return Error{ErrorCode::kPermissionDenied, "X-Device-ID: this token is another device's"};
  }
  http::Identity identity;
  identity.kind = http::Identity::Kind::kLegacyDevice;
  identity.id = device_id;
  return identity;
}

base::Result<http::Identity> Gate::AuthenticatePerson(const http::Request& request) {
  const std::string_view bearer = BearerOf(request);
  if (!bearer.empty()) return people_.FindApiToken(std::string(bearer));
  const std::string cookie = CookieValue(request.headers.Get("Cookie"), kSessionCookie);
  if (cookie.empty()) return Error{ErrorCode::kPermissionDenied, "nobody is signed in"};
  // A page of another origin can send the cookie along, but not this header field.
  if (ChangesSomething(request.method) && request.headers.Get("X-Requested-With") != "tinysphere") {
    return Error{ErrorCode::kPermissionDenied, "X-Requested-With: tinysphere is missing"};
  }
  return people_.FindSession(cookie);
}

void Gate::RenewNonce(const http::Request& request, http::Response& response) const {
  const std::string device_id = ClaimedDevice(request);
  if (device_id.empty()) return;
  const protocol::NonceIssuer nonces(keys_.nonce_key);
  response.headers.Set("TLCM-Nonce", nonces.Issue(device_id, clock_.Now()));
}

base::Result<std::string> VerifyEnrolment(const http::Request& request,
                                          const base::Ed25519PublicKey& key, const ServerKeys& keys,
                                          base::Time now) {
  ASSIGN_OR_RETURN(const protocol::RequestSignature signature, ReadSignature(request, keys, now));
  if (signature.device_id != protocol::DeviceIdOf(key)) {
    return Error{ErrorCode::kPermissionDenied, "signature: keyid is not that of the public key"};
  }
  RETURN_IF_ERROR(protocol::VerifyRequestSignature(signature, key));
  return signature.device_id;
}

}  // namespace tinysphere::access
