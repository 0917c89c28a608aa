// Routes for people: signing in and out, users, tokens.

#pragma once

#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "tinysphere/access/people.h"
#include "tinysphere/access/server_keys.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"

namespace tinysphere::access {

// May be used from several threads.
class AccessRoutes {
 public:
  // All must outlive it. `tls_pin`: of a certificate that no CA vouches for, "" otherwise; it goes
  // into enrolment tokens. `first_admin_path`: the file with the first-admin link; removed with its
  // use.
  AccessRoutes(store::Database& database, People& people, const ServerKeys& keys,
               base::FileSystem& fs, base::Clock& clock, std::string tls_pin,
               std::string first_admin_path)
      : database_(database),
        people_(people),
        keys_(keys),
        fs_(fs),
        clock_(clock),
        tls_pin_(std::move(tls_pin)),
        first_admin_path_(std::move(first_admin_path)) {}

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
  base::FileSystem& fs_;
  base::Clock& clock_;
  const std::string tls_pin_;
  const std::string first_admin_path_;
};

}  // namespace tinysphere::access
