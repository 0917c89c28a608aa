// HttpClient: this server as somebody else's client: of an object store, of MLflow, of a webhook.
//
// One call is one request and its whole answer. Bodies are streamed both ways where they are large:
// out of a file, into a sink. What a failed call did on the other side is unknown unless it is
// idempotent; nothing is repeated here but what never left on a connection that was found closed.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"

namespace tinysphere::outbound {

using Headers = std::vector<std::pair<std::string, std::string>>;

// Where an answer's body goes as it comes. Not thread-safe.
class BodySink {
 public:
  virtual ~BodySink() = default;
  virtual base::Status Append(base::ByteView bytes) = 0;  // An error ends the call with it.
};

// `bytes` of `file` from `offset` on.
struct Stretch {
  const base::ReadableFile* file = nullptr;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

// What is pointed to must outlive the call.
struct Request {
  std::string method = "GET";
  // http[s]://HOST[:PORT]/PATH[?QUERY], percent-encoded: goes out as it stands here.
  std::string url;
  Headers headers = {};   // No name twice; Host and Content-Length come by themselves.
  base::ByteView body{};  // Or `file`, if that is given.
  Stretch file{};
  BodySink* sink = nullptr;  // Takes the body of an answer 2xx instead of Answer::body.
  std::size_t answer_bytes_max = 1u << 20;  // Of Answer::body; more is an error.
  // Of the whole call; 0 leaves it to `stall`, as for a body of unknown size.
  base::Duration timeout{30'000};
  base::Duration stall{60'000};  // Nothing came or went for so long (in whole seconds).
  // On a connection of its own that is closed afterwards: no doubt whether a call that must not
  // happen twice met a connection that the other side was about to close.
  bool own_connection = false;
};

struct Answer {
  int status = 0;
  Headers headers;  // Names in lower case.
  std::string body;

  // "" if it is not there.
  std::string_view Header(std::string_view name) const;
};

// Redirects are answers like others. Errors: kInvalidArgument (the request), kUnavailable (no
// answer, or not whole), kPermissionDenied (the certificate is not trusted), and what a file or
// sink said. Messages name host and path, never the query, a header or a body: secrets stand there.
// May be used from several threads.
class HttpClient {
 public:
  virtual ~HttpClient() = default;
  virtual base::Result<Answer> Do(const Request& request) = 0;
  // For good: calls under way end soon with kUnavailable, and so does every later one.
  virtual void Stop() = 0;
};

struct ClientOptions {
  std::string ca_file = "";  // PEM; instead of the machine's. "" for those.
  base::Duration connect_timeout{10'000};
  // A connection idle for longer is not used again (in whole seconds). Below what the other side
  // closes after: MLflow's uvicorn after 5 s.
  base::Duration idle_max{4'000};
  std::size_t idle_connections_max = 16;
  std::string user_agent = "tinysphere";
};

// On libcurl (platform/curl). Proxies as the environment says, never to this machine itself.
base::Result<std::unique_ptr<HttpClient>> MakeHttpClient(const ClientOptions& options);

// RFC 3986 2.1: everything but unreserved characters as %XX, '/' too unless `keeps_slashes`.
std::string PercentEncode(std::string_view text, bool keeps_slashes = false);

}  // namespace tinysphere::outbound
