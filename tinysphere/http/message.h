// What a handler gets and gives: a request, a response. No server library shows through.

#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/http/block_pool.h"
#include "tinysphere/http/events.h"

namespace tinysphere::http {

enum class Method { kGet, kHead, kPost, kPut, kPatch, kDelete, kOther };
const char* Name(Method method);  // "GET"
Method ParseMethod(std::string_view text);

// Header fields in order; names compare without regard to case.
class Headers {
 public:
  void Add(std::string name, std::string value);
  void Set(std::string_view name, std::string value);  // Replaces all of that name.
  bool Has(std::string_view name) const { return Find(name) != nullptr; }
  // The first value, "" if there is none.
  std::string_view Get(std::string_view name) const;
  // All values of that name joined by ", " (RFC 9110 5.3); nullopt if there is none.
  std::optional<std::string> Combined(std::string_view name) const;
  const std::vector<std::pair<std::string, std::string>>& fields() const { return fields_; }

 private:
  const std::string* Find(std::string_view name) const;
  std::vector<std::pair<std::string, std::string>> fields_;
};

// Who is asking, once the router has found out.
enum class Role { kViewer = 1, kOperator = 2, kAdmin = 3 };
const char* Name(Role role);  // "viewer"
base::Result<Role> ParseRole(std::string_view text);

struct Identity {
  enum class Kind { kNobody, kDevice, kLegacyDevice, kPerson };
  Kind kind = Kind::kNobody;
  std::string id;             // Device id, or the user's name ("token:<name>" for an API token).
  Role role = Role::kViewer;  // Persons only.
  std::string session_id;     // Of a signed-in browser; empty for API tokens.
  std::string nonce;          // Of a device's request: the subject of `held` statements.
  // Of a device's request: what the database said of it when its signature was checked, so that
  // nobody has to ask again.
  struct Device {
    base::Ed25519PublicKey key{};
    std::string state;         // As in the table of devices; "" for one that is not there.
    std::string desired_etag;  // Without quotes.
  };
  std::optional<Device> device{};

  bool is_device() const { return kind == Kind::kDevice; }
  // One of the Python prototype: it signs nothing, and takes any answer but 200 for a final no.
  bool is_legacy() const { return kind == Kind::kLegacyDevice; }
  bool is_person() const { return kind == Kind::kPerson; }
};

// A received body. Small ones lie in memory, as text or in a block; large ones were spooled to a
// file while they were hashed. The file is removed with this value unless somebody moved it away.
class Body {
 public:
  Body() = default;
  explicit Body(std::string text);
  Body(base::FileSystem& fs, std::string path, std::uint64_t bytes, base::Sha256Digest sha256);
  // The front of `block`.
  Body(Block block, std::size_t bytes, base::Sha256Digest sha256);
  ~Body();
  Body(Body&& other) noexcept;
  Body& operator=(Body&& other) noexcept;

  bool is_spooled() const { return !path_.empty(); }
  // REQUIRES: !is_spooled().
  base::ByteView view() const;
  // REQUIRES: !is_spooled(), and the route's BodyRule holds nothing in blocks.
  const std::string& text() const;
  // REQUIRES: is_spooled().
  const std::string& path() const;
  std::uint64_t bytes() const { return bytes_; }
  const base::Sha256Digest& sha256() const { return sha256_; }
  // The body as JSON, whatever its Content-Type says. kInvalidArgument if it is none.
  base::Result<base::Json> ParseJson() const;

 private:
  void Drop();

  base::FileSystem* fs_ = nullptr;
  std::string path_;
  std::string text_;
  Block block_;
  std::uint64_t bytes_ = 0;
  base::Sha256Digest sha256_{};
};

struct Peer {
  std::string address;  // "127.0.0.1"
  bool is_loopback = false;
  bool is_secure = false;  // Came over TLS.
};

struct Request {
  Method method = Method::kGet;
  std::string raw_path;   // As on the wire: what a signature covers.
  std::string raw_query;  // Without '?'; `has_query` tells "/a?" from "/a".
  bool has_query = false;
  std::string path;                                        // Percent-decoded.
  std::map<std::string, std::string, std::less<>> query;   // Decoded; the first of each name.
  std::map<std::string, std::string, std::less<>> params;  // From the route's {names}.
  Headers headers;
  Peer peer;
  Identity identity;
  Body body;
  // Set by the router as soon as it sees the request. In the log and in the answer's TLCM-Trace.
  std::string trace{};
  std::chrono::steady_clock::time_point begun{};
  const std::string* route =
      nullptr;  // The route's path as it was added; null while there is none.
  int tries = 0;  // How often its handler asked to be asked again (Response::AskAgain).

  // "" where there is none.
  std::string_view Query(std::string_view name) const;
  // REQUIRES: the route has {name}.
  const std::string& Param(std::string_view name) const;
  // ?limit= within [1, most], or `usual`.
  std::size_t Limit(std::size_t usual = 100, std::size_t most = 1000) const;
};

// Sets raw_path, raw_query, path and query from a request target. kInvalidArgument for a target
// that does not begin with '/', decodes badly, or holds ".." or control characters.
base::Status SetTarget(Request& request, std::string_view target);

// A stretch of something readable (an object, a file).
struct Stretch {
  std::shared_ptr<const base::ReadableFile> file;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

struct Response {
  // Out of line: inlined everywhere, the variant below makes g++ 12 warn of what is not so.
  Response();
  Response(const Response&);
  Response(Response&&) noexcept;
  Response& operator=(const Response&);
  Response& operator=(Response&&) noexcept;
  ~Response();

  int status = 200;
  Headers headers;
  // Text, a stretch of a file, or events until one side goes away.
  std::variant<std::string, Stretch, std::shared_ptr<EventSubscription>,
               base::ByteView /* lives for ever: embedded files */>
      body;

  // Set: this is no answer yet. The server waits so long, without a thread, and asks the handler
  // again.
  std::optional<std::chrono::milliseconds> again_after;
  // No answer at all: the connection is closed.
  bool hangs_up = false;

  static Response AskAgain(std::chrono::milliseconds after);
  static Response HangUp();
  static Response Json(int status, const base::Json& json);
  static Response Json(const base::Json& json) { return Json(200, json); }
  static Response NoContent();
  static Response Text(int status, std::string_view content_type, std::string text);
  // text/event-stream.
  static Response Events(std::shared_ptr<EventSubscription> subscription);
  // A readable content with ETag, If-None-Match and a single Range honoured. `etag` without quotes.
  static Response File(const Request& request, std::shared_ptr<const base::ReadableFile> file,
                       std::string_view content_type, std::string_view etag, bool is_immutable);
  // 429 with Retry-After.
  static Response TooManyRequests(std::string_view message, std::chrono::seconds retry_after);
};

// The one place where an error becomes a status and {"error":{"code","message","field"?}}.
Response ErrorResponse(const base::Error& error, std::string_view field = "");
int StatusOf(base::ErrorCode code);
// For what has no error code: 401, 405, 413, ...
Response ErrorResponse(int status, std::string_view code, std::string_view message);

}  // namespace tinysphere::http
