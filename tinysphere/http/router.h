// Router: which handler answers, who may ask, and how large the body may be.
//
//   router.Add({.method = Method::kGet, .path = "/api/v1/devices/{device_id}",
//               .access = Access::kViewer, .handler = ...});
//
// A request goes through three steps, so that nobody spools a large body before it is known who
// sends it: Find (route), Authorise (needs the header only), Handle (with the body).

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "tinysphere/http/message.h"

namespace tinysphere::http {

// Who may use a route. A person's roles include the lower ones.
enum class Access {
  kOpen,
  kDevice,
  kViewer,
  kOperator,
  kAdmin,
  kDeviceOrViewer,
  kLegacy,  // Devices of the Python prototype, where they are served.
  kLegacyOrViewer,
  kDeviceOrLegacy,
};

struct BodyRule {
  enum class Kind { kNone, kMemory, kSpool };
  Kind kind = Kind::kNone;
  std::uint64_t bytes_max = 0;
  // Of a body that would be spooled: up to this size it stays in one block of memory (Body::view).
  // At most BlockPool::kBlockBytes.
  std::uint64_t held_max = 0;

  static BodyRule None() { return {}; }
  static BodyRule Memory(std::uint64_t bytes_max) { return {Kind::kMemory, bytes_max, 0}; }
  static BodyRule Spool(std::uint64_t bytes_max, std::uint64_t held_max = 0) {
    return {Kind::kSpool, bytes_max, held_max};
  }
};

using Handler = std::function<base::Result<Response>(Request&)>;

struct Route {
  Method method = Method::kGet;  // kGet also answers HEAD.
  std::string path;              // "/a/{name}"; a last part "{name...}" takes the rest.
  Access access = Access::kAdmin;
  BodyRule body = BodyRule::None();
  Handler handler{};
  // Answers a request that was authorised but whose Content-Length is over the limit (a signed 413
  // for packages); without one, a plain 413.
  Handler too_large{};
};

// Finds out who asks. Implemented by access/.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // Who sent this, judged by header only, for a route with this demand. kPermissionDenied: nobody
  // we know (401); the role is judged by the router (403).
  virtual base::Result<Identity> Authenticate(const Request& request, Access access) = 0;
};

// Built at start, then only read: Find, Authorise and Handle may be used from several threads.
class Router {
 public:
  explicit Router(Authenticator& authenticator) : authenticator_(authenticator) {}

  // Two routes for one method and path are a bug.
  void Add(Route route);
  // Everything that no route takes and that is a GET (the dashboard's files).
  void AddFallback(Handler handler);
  // In the order in which they were added.
  void ForEachRoute(const std::function<void(const Route&)>& look) const {
    for (const Entry& entry : entries_) look(entry.route);
  }
  // Asked for each request that a device signed, before its body is read: an answer ends it (held,
  // decommissioned).
  void AddDeviceGuard(std::function<base::Result<std::optional<Response>>(const Request&)> guard) {
    device_guard_ = std::move(guard);
  }
  // Called on every answer, errors too: nonce and hints in header fields.
  void OnAnswer(std::function<void(const Request&, Response&)> hook) {
    hooks_.push_back(std::move(hook));
  }

  // Gives the request its trace id (that of its `traceparent`, or a new one) and notes when it
  // began. Find does so too; call it where an answer may come before Find.
  static void Begin(Request& request);
  // The route, with request.params and request.route set; or the 404 or 405.
  std::variant<const Route*, Response> Find(Request& request) const;
  // Nothing, with request.identity set; or the 401 or 403.
  std::optional<Response> Authorise(Request& request, const Route& route) const;
  // Compares the body with its Content-Digest (where there is one), runs the handler, turns errors
  // into answers. REQUIRES: Find and Authorise said yes.
  Response Handle(Request& request, const Route& route) const;
  // The answer to a body over the limit.
  Response TooLarge(Request& request, const Route& route) const;
  // Runs the OnAnswer hooks and sets the header fields every answer has.
  void Finish(const Request& request, Response& response) const;

  // All of it at once, for tests and for callers that have the body already.
  Response Serve(Request& request) const;

 private:
  struct Entry {
    std::vector<std::string> parts;
    Route route;
  };
  Response Run(Request& request, const Handler& handler) const;

  Authenticator& authenticator_;
  std::vector<Entry> entries_;
  Route fallback_route_;
  std::function<base::Result<std::optional<Response>>(const Request&)> device_guard_;
  std::vector<std::function<void(const Request&, Response&)>> hooks_;
};

// The SHA-256 that a Content-Digest field (RFC 9530) states; nullopt without one or without
// sha-256.
std::optional<base::Sha256Digest> StatedSha256(const Headers& headers);

}  // namespace tinysphere::http
