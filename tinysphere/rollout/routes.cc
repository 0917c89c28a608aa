#include <utility>

#include "tinysphere/http/answer.h"
#include "tinysphere/rollout/rollouts.h"

namespace tinysphere::rollout {

using http::Access;
using http::Answer;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;

namespace {

base::Result<NewRollout> ReadNewRollout(const Request& request) {
  ASSIGN_OR_RETURN(const base::Json body, request.body.ParseJson());
  base::JsonReader reader(body, "rollout");
  NewRollout rollout;
  rollout.name = reader.String("name", {.bytes_max = 200});
  rollout.version = reader.String("version", {.bytes_max = 100});
  rollout.by = request.identity.id;
  if (reader.Has("devices")) rollout.devices = reader.Strings("devices");
  RETURN_IF_ERROR(reader.status());
  return rollout;
}

}  // namespace

void Rollouts::AddRoutes(http::Router& router) {
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices/{device_id}/desired",
              .access = Access::kDevice,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return Desired(request); },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/rollouts",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return Answer(List(request)); },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/rollouts",
              .access = Access::kOperator,
              .body = BodyRule::Memory(1u << 20),
              .handler = [this](Request& request) -> base::Result<Response> {
                ASSIGN_OR_RETURN(const NewRollout rollout, ReadNewRollout(request));
                return Answer(Start(rollout), 201);
              },
              .too_large = nullptr});
  router.Add(
      {.method = Method::kGet,
       .path = "/api/v1/rollouts/{rollout_id}",
       .access = Access::kViewer,
       .body = BodyRule::None(),
       .handler = [this](Request& request) { return Answer(Get(request.Param("rollout_id"))); },
       .too_large = nullptr});
  const std::pair<const char*,
                  base::Result<base::Json> (Rollouts::*)(const std::string&, const std::string&)>
      orders[] = {
          {"pause", &Rollouts::Pause}, {"resume", &Rollouts::Resume}, {"halt", &Rollouts::Halt}};
  for (const auto& [verb, order] : orders) {
    router.Add({.method = Method::kPost,
                .path = std::string("/api/v1/rollouts/{rollout_id}/") + verb,
                .access = Access::kOperator,
                .body = BodyRule::Memory(1024),
                .handler =
                    [this, order = order](Request& request) {
                      return Answer(
                          (this->*order)(request.Param("rollout_id"), request.identity.id));
                    },
                .too_large = nullptr});
  }
}

}  // namespace tinysphere::rollout
