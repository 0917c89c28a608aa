#include "tinylcm/sync/signed_client.h"

#include "protocol/http_signature.h"
#include "protocol/identifiers.h"
#include "protocol/statement.h"
#include "tinylcm/sync/answer.h"

namespace tinylcm::sync {

using base::Result;

SignedClient::SignedClient(Transport& transport, const base::Ed25519Key& device_key,
                           std::string audience)
    : transport_(transport),
      key_(device_key),
      device_id_(protocol::DeviceIdOf(device_key.public_key())),
      audience_(std::move(audience)) {}

Result<SignedClient::Reply> SignedClient::Do(const HttpRequest& request) {
  std::string digest;
  if (request.body != nullptr) {
    const Result<base::Sha256Digest> sha256 = base::Sha256OfFile(*request.body);
    if (!sha256.ok()) return sha256.error().Within("body");
    digest = protocol::WriteContentDigest(*sha256);
  }
  std::string nonce = nonce_;
  ASSIGN_OR_RETURN(HttpAnswer answer, Send(request, digest));
  if (answer.status == 401 && nonce_ != nonce) {
    nonce = nonce_;
    ASSIGN_OR_RETURN(answer, Send(request, digest));
  }
  return Reply{std::move(answer), std::move(nonce)};
}

Result<HttpAnswer> SignedClient::Send(const HttpRequest& request, const std::string& digest) {
  HttpRequest signed_request = request;
  if (!digest.empty()) signed_request.headers.emplace_back("content-digest", digest);
  signed_request.headers.emplace_back(protocol::kHeaderAudience, audience_);
  signed_request.headers.emplace_back(protocol::kHeaderNonce, nonce_);
  protocol::HttpRequestHead head;
  head.method = request.method;
  head.path = request.path;
  head.query = request.query;
  head.headers = signed_request.headers;
  const protocol::SignatureHeaders signature = protocol::SignRequest(head, device_id_, key_);
  signed_request.headers.emplace_back("signature-input", signature.signature_input);
  signed_request.headers.emplace_back("signature", signature.signature);
  ASSIGN_OR_RETURN(HttpAnswer answer, transport_.Do(signed_request));
  if (const std::optional<std::string> nonce = NonceOf(answer)) nonce_ = *nonce;
  return answer;
}

}  // namespace tinylcm::sync
