// Gate: who sent this request? A device by its signature, a person by cookie or token.

#pragma once

#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/access/people.h"
#include "tinysphere/access/server_keys.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"

namespace tinysphere::access {

// May be used from several threads.
class Gate final : public http::Authenticator {
 public:
  // All must outlive the gate.
  Gate(store::Database& database, People& people, const ServerKeys& keys, base::Clock& clock)
      : database_(database), people_(people), keys_(keys), clock_(clock) {}

  // Device routes: RFC 9421 signature, tag "tlcm/1", our audience, a fresh nonce, an enrolled and
  // unrevoked key, and everything covered that must be (PROTOCOL 1).
  // People's routes: the session cookie, with `X-Requested-With: tinysphere` on what changes
  // something, or `Authorization: Bearer`.
  // Devices of the Python prototype: `Authorization: Bearer` with a token of their own, and
  // `X-Device-ID` naming the device it is bound to; nobody, unless they are served.
  base::Result<http::Identity> Authenticate(const http::Request& request,
                                            http::Access access) override;

  // Before the first request.
  void ServeLegacyDevices() { serves_legacy_ = true; }

  // Puts TLCM-Nonce on the answer of every request that names a device. Add to Router::OnAnswer.
  void RenewNonce(const http::Request& request, http::Response& response) const;

 private:
  base::Result<http::Identity> AuthenticateDevice(const http::Request& request);
  base::Result<http::Identity> AuthenticatePerson(const http::Request& request);
  base::Result<http::Identity> AuthenticateLegacy(const http::Request& request);

  store::Database& database_;
  People& people_;
  const ServerKeys& keys_;
  base::Clock& clock_;
  bool serves_legacy_ = false;
};

// A device that presents its own key in the request (enrolment): checks the signature with that key
// and returns the device id; the nonce is checked as always.
base::Result<std::string> VerifyEnrolment(const http::Request& request,
                                          const base::Ed25519PublicKey& key, const ServerKeys& keys,
                                          base::Time now);

}  // namespace tinysphere::access
