#include <utility>

#include "tinysphere/drifthub/drift_hub.h"
#include "tinysphere/http/answer.h"

namespace tinysphere::drifthub {

using http::Access;
using http::Answer;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;

namespace {

base::Result<Verdicts> ReadVerdicts(const Request& request) {
  ASSIGN_OR_RETURN(const base::Json body, request.body.ParseJson());
  base::JsonReader reader(body, "verdicts");
  Verdicts verdicts;
  for (base::JsonReader label : reader.Array("labels", 1000)) {
    Verdict verdict;
    verdict.sample_id = label.String("sample_id", {.bytes_max = 128});
    verdict.label = label.OptionalString("label");
    verdict.opens_class = label.OptionalBool("opens_class").value_or(false);
    verdicts.labels.push_back(std::move(verdict));
  }
  const std::optional<std::string> event_verdict = reader.OptionalString("event_verdict");
  RETURN_IF_ERROR(reader.status());
  if (event_verdict) {
    ASSIGN_OR_RETURN(verdicts.event_verdict, protocol::ParseEventVerdict(*event_verdict));
  }
  return verdicts;
}

}  // namespace

void DriftHub::AddRoutes(http::Router& router) {
  router.Add({.method = Method::kGet,
              .path = "/api/v1/drift-events",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return Answer(List(request)); },
              .too_large = nullptr});
  router.Add(
      {.method = Method::kGet,
       .path = "/api/v1/drift-events/{event_id}",
       .access = Access::kViewer,
       .body = BodyRule::None(),
       .handler = [this](Request& request) { return Answer(Get(request.Param("event_id"))); },
       .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/drift-events/{event_id}/verdicts",
              .access = Access::kOperator,
              .body = BodyRule::Memory(1u << 20),
              .handler = [this](Request& request) -> base::Result<Response> {
                ASSIGN_OR_RETURN(const Verdicts verdicts, ReadVerdicts(request));
                return Answer(Give(request.Param("event_id"), verdicts, request.identity.id));
              },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/drift-events/{event_id}/request-samples",
              .access = Access::kOperator,
              .body = BodyRule::Memory(1024),
              .handler = [this](Request& request) -> base::Result<Response> {
                ASSIGN_OR_RETURN(const base::Json body, request.body.ParseJson());
                base::JsonReader reader(body, "request");
                const std::int64_t samples = reader.Int("samples");
                RETURN_IF_ERROR(reader.status());
                return Answer(AskForMore(request.Param("event_id"), samples, request.identity.id));
              },
              .too_large = nullptr});
  router.Add(
      {.method = Method::kGet,
       .path = "/api/v1/samples/{sample_id}/image",
       .access = Access::kViewer,
       .body = BodyRule::None(),
       .handler = [this](Request& request) { return Image(request, request.Param("sample_id")); },
       .too_large = nullptr});
}

}  // namespace tinysphere::drifthub
