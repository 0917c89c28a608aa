#include <utility>

#include "protocol/identifiers.h"
#include "tinysphere/adaptation/adaptations.h"
#include "tinysphere/http/answer.h"

namespace tinysphere::adaptation {

using http::Access;
using http::Answer;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;

void Adaptations::AddRoutes(http::Router& router) {
  router.Add(
      {.method = Method::kGet,
       .path = "/api/v1/devices/{device_id}/adaptations",
       .access = Access::kViewer,
       .body = BodyRule::None(),
       .handler =
           [this](Request& request) { return Answer(List(request, request.Param("device_id"))); },
       .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices/{device_id}/transitions",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler =
                  [this](Request& request) {
                    return Answer(Transitions(request, request.Param("device_id")));
                  },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/devices/{device_id}/adaptations/{adaptation_sha256}/order",
              .access = Access::kOperator,
              .body = BodyRule::Memory(1024),
              .handler = [this](Request& request) -> base::Result<Response> {
                const std::string& sha256 = request.Param("adaptation_sha256");
                if (!protocol::IsSha256Hex(sha256)) {
                  return base::Error{base::ErrorCode::kInvalidArgument,
                                     "adaptation: 64 lower-case hex digits are wanted"};
                }
                ASSIGN_OR_RETURN(const base::Json body, request.body.ParseJson());
                base::JsonReader reader(body, "order");
                const std::string name = reader.String("order");
                RETURN_IF_ERROR(reader.status());
                const auto order = protocol::ParseAdaptationOrder(name);
                if (!order.ok()) return order.error().Within("order");
                return Answer(
                    Order(request.Param("device_id"), sha256, *order, request.identity.id));
              },
              .too_large = nullptr});
}

}  // namespace tinysphere::adaptation
