#include <utility>

#include "tinysphere/http/answer.h"
#include "tinysphere/registry/registry.h"

namespace tinysphere::registry {

using http::Access;
using http::Answer;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;

void Registry::AddRoutes(http::Router& router) {
  router.Add({.method = Method::kGet,
              .path = "/api/v1/models",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return Answer(List(request)); },
              .too_large = nullptr});
  router.Add(
      {.method = Method::kPost,
       .path = "/api/v1/bundles",
       .access = Access::kOperator,
       .body = BodyRule::Spool(kBundleBytesMax),
       .handler = [this](Request& request) -> base::Result<Response> {
         if (!request.body.is_spooled()) {
           return base::Error{base::ErrorCode::kInvalidArgument, "bundle: the body is empty"};
         }
         ASSIGN_OR_RETURN(Registered registered, Add(request.body.path(), request.identity.id));
         return Response::Json(registered.is_new ? 201 : 200, registered.version);
       },
       .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/models/{name}/versions/{version}/stage",
              .access = Access::kOperator,
              .body = BodyRule::Memory(1024),
              .handler = [this](Request& request) -> base::Result<Response> {
                ASSIGN_OR_RETURN(const base::Json body, request.body.ParseJson());
                base::JsonReader reader(body, "stage");
                const std::string stage = reader.String("stage");
                RETURN_IF_ERROR(reader.status());
                return Answer(SetStage(request.Param("name"), request.Param("version"), stage,
                                       request.identity.id));
              },
              .too_large = nullptr});
  router.Add(
      {.method = Method::kGet,
       .path = "/artifacts/{sha256}",
       .access = Access::kDeviceOrViewer,
       .body = BodyRule::None(),
       .handler = [this](Request& request) { return Artifact(request, request.Param("sha256")); },
       .too_large = nullptr});
}

}  // namespace tinysphere::registry
