#include "tinysphere/fleet/fleet.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/series/metrics_series.h"

namespace tinysphere::fleet {

using http::Access;
using http::Answer;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;

void Fleet::AddRoutes(http::Router& router) {
  router.Add({.method = Method::kPost,
              .path = "/api/v1/devices/enroll",
              .access = Access::kOpen,
              .body = BodyRule::Memory(4096),
              .handler = [this](Request& request) { return Enroll(request); },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return Answer(List(request)); },
              .too_large = nullptr});
  router.Add(
      {.method = Method::kGet,
       .path = "/api/v1/devices/{device_id}",
       .access = Access::kViewer,
       .body = BodyRule::None(),
       .handler = [this](Request& request) { return Answer(Get(request.Param("device_id"))); },
       .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices/{device_id}/timeline",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler =
                  [this](Request& request) {
                    return Answer(ReadTimeline(database_, request, request.Param("device_id")));
                  },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices/{device_id}/metrics",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler =
                  [this](Request& request) {
                    return Answer(series::ReadMetricsSeries(
                        database_, request, request.Param("device_id"), clock_.Now()));
                  },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/devices/{device_id}/accept",
              .access = Access::kAdmin,
              .body = BodyRule::Memory(1024),
              .handler =
                  [this](Request& request) {
                    return Answer(Accept(request.Param("device_id"), request.identity.id));
                  },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/devices/{device_id}/revoke",
              .access = Access::kAdmin,
              .body = BodyRule::Memory(1024),
              .handler =
                  [this](Request& request) {
                    return Answer(Revoke(request.Param("device_id"), request.identity.id));
                  },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/devices/{device_id}/decommission",
              .access = Access::kAdmin,
              .body = BodyRule::Memory(1024),
              .handler =
                  [this](Request& request) {
                    return Answer(Decommission(request.Param("device_id"), request.identity.id));
                  },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/devices/{device_id}/name",
              .access = Access::kOperator,
              .body = BodyRule::Memory(4096),
              .handler = [this](Request& request) -> base::Result<Response> {
                ASSIGN_OR_RETURN(const base::Json body, request.body.ParseJson());
                base::JsonReader reader(body, "name");
                const std::string name = reader.String("name", {.bytes_max = 100});
                RETURN_IF_ERROR(reader.status());
                return Answer(Rename(request.Param("device_id"), name, request.identity.id));
              },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/devices/{device_id}/mode",
              .access = Access::kOperator,
              .body = BodyRule::Memory(1024),
              .handler = [this](Request& request) -> base::Result<Response> {
                ASSIGN_OR_RETURN(const base::Json body, request.body.ParseJson());
                base::JsonReader reader(body, "mode");
                // Said in so many words: a null takes the wish back, a slip of the pen does not.
                if (body.Find("mode") == nullptr) reader.Refuse("mode", "missing");
                const auto mode = reader.OptionalString("mode");
                RETURN_IF_ERROR(reader.status());
                return Answer(AskForMode(request.Param("device_id"), mode, request.identity.id));
              },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/devices/preauthorise",
              .access = Access::kAdmin,
              .body = BodyRule::Memory(2u << 20),
              .handler = [this](Request& request) -> base::Result<Response> {
                ASSIGN_OR_RETURN(const base::Json body, request.body.ParseJson());
                return Answer(Preauthorise(body, request.identity.id));
              },
              .too_large = nullptr});
}

}  // namespace tinysphere::fleet
