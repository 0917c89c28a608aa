// Ingest: the routes by which packages come in and are looked at.

#pragma once

#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinysphere/http/router.h"
#include "tinysphere/ingest/receiver.h"
#include "tinysphere/ingest/unpacker.h"
#include "tinysphere/ingest/uploads.h"
#include "tinysphere/store/database.h"

namespace tinysphere::ingest {

// May be used from several threads.
class Ingest {
 public:
  // All must outlive it. `spool`: where multipart uploads are taken apart.
  Ingest(store::Database& database, base::FileSystem& fs, base::Clock& clock, Receiver& receiver,
         Uploads& uploads, Unpacker& unpacker, std::string spool)
      : database_(database),
        fs_(fs),
        clock_(clock),
        receiver_(receiver),
        uploads_(uploads),
        unpacker_(unpacker),
        spool_(std::move(spool)) {}

  // The packages, newest first; ?device= and ?state= choose.
  base::Result<base::Json> List(const http::Request& request);
  // How far a package is, step by step.
  base::Result<base::Json> Progress(const std::string& package_id);

  // What POST /api/packages/upload is to a legacy device, and its answer to what is too large. At
  // most one; before AddRoutes.
  void OnLegacyUpload(http::Handler upload, http::Handler too_large) {
    legacy_upload_ = std::move(upload);
    legacy_too_large_ = std::move(too_large);
  }

  void AddRoutes(http::Router& router);

 private:
  base::Result<http::Response> Put(const http::Request& request);
  base::Result<http::Response> Multipart(const http::Request& request);
  base::Result<http::Response> TooLarge(const http::Request& request);
  base::Result<http::Response> Offer(const http::Request& request);
  base::Result<base::Json> Status(const http::Request& request);

  store::Database& database_;
  base::FileSystem& fs_;
  base::Clock& clock_;
  Receiver& receiver_;
  Uploads& uploads_;
  Unpacker& unpacker_;
  const std::string spool_;
  http::Handler legacy_upload_;
  http::Handler legacy_too_large_;
};

}  // namespace tinysphere::ingest
