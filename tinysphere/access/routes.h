// Routes for people: signing in and out, users, tokens.

#pragma once

#include <string>

#include "base/clock.h"
#include "tinysphere/access/people.h"
#include "tinysphere/access/server_keys.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"

namespace tinysphere::access {

// May be used from several threads.
class AccessRoutes {
 public:
  // All must outlive it. `tls_pin`: of a certificate that no CA vouches for, "" otherwise; it goes
  // into enrolment tokens.
  AccessRoutes(store::Database& database, People& people, const ServerKeys& keys,
               base::Clock& clock, std::string tls_pin)
      : database_(database),
        people_(people),
        keys_(keys),
        clock_(clock),
        tls_pin_(std::move(tls_pin)) {}

  void AddRoutes(http::Router& router);

 private:
  base::Result<http::Response> SignIn(const http::Request& request);
  base::Result<http::Response> FirstAdmin(const http::Request& request);
  base::Result<base::Json> Users(const http::Request& request);
  base::Result<http::Response> CreateUser(const http::Request& request);
  base::Result<base::Json> Tokens(const http::Request& request);
  base::Result<http::Response> CreateToken(const http::Request& request);

  store::Database& database_;
  People& people_;
  const ServerKeys& keys_;
  base::Clock& clock_;
  const std::string tls_pin_;
};

}  // namespace tinysphere::access
