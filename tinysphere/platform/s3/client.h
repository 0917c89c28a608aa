// Client: single calls to an S3 store, signed, repeated where that helps, their errors put in
// words.
//
// Every call made here may be repeated without harm. One that met a busy store or a broken
// connection is, a few times, after a random pause that doubles ("full jitter").
// Source: Amazon S3 API Reference; Brooker, "Exponential Backoff and Jitter", AWS 2015.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/result.h"
#include "tinysphere/outbound/http_client.h"
#include "tinysphere/platform/s3/location.h"
#include "tinysphere/platform/s3/signer.h"

namespace tinysphere::s3 {

// What is pointed to must outlive the call.
struct Call {
  std::string method = "GET";
  std::string bucket;    // Its whole name.
  std::string key = "";  // "" for the bucket itself.
  Pairs query = {};
  Pairs headers = {};
  base::ByteView body{};
  outbound::Stretch file{};         // Instead of `body`.
  std::string payload_sha256 = "";  // Of `file`, in hex; that of `body` is found here.
  std::size_t answer_bytes_max = 4u << 20;
};

// May be used from several threads.
class Client {
 public:
  // `clock` and `http` must outlive it.
  Client(const Location& location, outbound::HttpClient& http, base::Clock& clock);

  // The answer, whatever its status; an Error where there is none.
  base::Result<outbound::Answer> Do(const Call& call);
  // The answer if its status is 2xx, else what went wrong: kNotFound (the object), kExhausted (the
  // store is full), kUnavailable (everything that may pass or that a person has to mend: a bucket
  // that is gone, a key that is refused), kInternal (the request).
  base::Result<outbound::Answer> DoWell(const Call& call);
  base::Error Failure(const Call& call, const outbound::Answer& answer) const;

  std::string PresignedUrl(const Call& call, base::Duration life) const;

 private:
  struct Target {
    std::string host;
    std::string path;
  };
  Target TargetOf(const Call& call) const;
  std::string Where(const Call& call) const;

  const Location location_;
  outbound::HttpClient& http_;
  base::Clock& clock_;
};

}  // namespace tinysphere::s3
