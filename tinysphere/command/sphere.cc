#include "tinysphere/command/sphere.h"

#include "tinysphere/http/answer.h"
#include "tinysphere/platform/posix/child_program.h"
#include "tinysphere/platform/posix/process_figures.h"
#include "tinysphere/web/web_files.h"

namespace tinysphere::command {

Sphere::Sphere(Installation& i, const SphereOptions& options, base::Logger& logger)
    : database(*i.database),
      queue(database, i.clock),
      job_log(*i.telemetry, logger),
      signer(i.keys, i.store_generation, i.clock),
      people(database, *i.hasher, i.clock),
      gate(database, people, i.keys, i.clock),
      access_routes(database, people, i.keys, i.fs, i.clock, options.tls_pin, i.first_admin_path()),
      presence(options.poll),
      links(options.poll),
      fleet(database, i.clock, events, signer, i.keys, presence),
      registry(database, *i.objects, i.fs, i.clock, events),
      desired_states(options.poll),
      rollouts(database, i.clock, events, desired_states, signer),
      feedbacks(database, i.clock, desired_states, signer),
      adaptations(database, i.clock, events, queue, feedbacks),
      learned_versions(database),
      drift_hub(database, *i.objects, queue, i.clock, events, feedbacks, adaptations,
                desired_states),
      program(posix::MakeChildProgram(options.tinylcm, "tinylcm", "--tinylcm FILE")),
      judging(database, *i.objects, queue, i.fs, i.clock, events, adaptations, *program,
              options.judging),
      log_parts(database, *i.objects),
      image_index(database, *i.objects),
      sketch_book(database),
      erasures(database, *i.objects, queue, i.clock, events, [this] { worker.Wake(); }),
      unpacker({.database = database,
                .objects = *i.objects,
                .queue = queue,
                .clock = i.clock,
                .events = events,
                .hub = drift_hub,
                .feedbacks = feedbacks,
                .adaptations = adaptations,
                .learned_versions = learned_versions,
                .rollouts = rollouts,
                .log_parts = log_parts}),
      legacy_unpacking(database, *i.objects, queue, i.clock, events, drift_hub),
      worker(queue, i.clock, logger,
             {{.kind = std::string(ingest::kUnpackJob),
               .work = nullptr,
               .some = ingest::kUnpackedTogether,
               .work_some =
                   [this](std::span<const store::Job> jobs) { return unpacker.UnpackSome(jobs); }},
              {std::string(ingest::kLegacyUnpackJob),
               [this](const store::Job& job) { return legacy_unpacking.Unpack(job); }},
              {std::string(drifthub::kVerdictFileJob),
               [this](const store::Job& job) { return drift_hub.KeepVerdictFile(job); }},
              {std::string(fleet::kEraseJob),
               [this](const store::Job& job) { return erasures.Erase(job); }}},
             [this](base::Time now) { return unpacker.MarkSetAside(now); },
             {.threads = options.workers, .log = &job_log}),
      judging_worker(queue, i.clock, logger,
                     {{std::string(adaptation::kJudgeJob),
                       [this](const store::Job& job) { return judging.Judge(job); }}},
                     nullptr, {.log = &job_log}),
      receiver(database, *i.objects, queue, i.fs, i.clock, events, signer,
               [this] { worker.Wake(); }),
      uploads(i.fs, options.uploads, i.clock, receiver),
      rates(options.rates),
      ingest(database, i.fs, i.clock, receiver, uploads, unpacker, options.spool),
      insight(database, i.clock, events, people, signer, i.keys, presence),
      recorder(options.recorder),
      mlflow_mirror(database, events),
      experiments(database, *i.objects, i.fs, i.clock, events, recorder, mlflow_mirror),
      drift_aggregates(database, queue, i.clock, recorder, options.aggregates),
      aggregate_worker(
          queue, i.clock, logger,
          {{std::string(experiment::kAggregateJob),
            [this](const store::Job& job) { return drift_aggregates.Aggregate(job); }}}),
      vitals(database, *i.objects, i.clock, *i.telemetry, gate, signer, presence,
             posix::ReadProcessFigures, !options.is_behind_proxy),
      request_log(*i.telemetry, logger),
      legacy_devices(
          database, *i.objects, queue, i.fs, i.clock, events, presence, [this] { worker.Wake(); },
          options.spool),
      legacy_pages(database, *i.objects, i.clock, presence, registry, drift_hub, unpacker),
      router(gate) {
  presence.OnSaw([this](const std::string& device_id, base::Time at) { links.Saw(device_id, at); });
  unpacker.OnMeasured([this](const std::string& device_id, const protocol::DeviceMetrics& metrics) {
    if (metrics.link && metrics.link->signal_dbm) {
      links.Measured(device_id, *metrics.link->signal_dbm);
    }
  });
  erasures.OnErased([this](const std::string& device_id) { links.Forget(device_id); });
  fleet.OnGone(
      [this](store::Transaction& transaction, const std::string& device_id,
             const std::string& how) { return rollouts.Leave(transaction, device_id, how); });
  fleet.OnAsked([this](store::Transaction& transaction, const std::string& device_id) {
    return desired_states.Refresh(transaction, device_id);
  });
  // What stood on a bundle that nobody here knew can be replayed now.
  registry.OnAdded(
      [this, &i](store::Transaction& transaction, const std::string& bundle) -> base::Status {
        RETURN_IF_ERROR(recorder.Imported(transaction, bundle, i.clock.Now()));
        return adaptations.WantVoidJudgements(transaction, bundle);
      });
  registry.OnStaged([this, &i](store::Transaction& transaction, const std::string& name,
                               const std::string& version, const std::string& stage) {
    return recorder.Staged(transaction, name, version, stage, i.clock.Now());
  });
  adaptations.OnTaken([this](store::Transaction& transaction, const adaptation::Origin& origin,
                             const protocol::AdaptationReport& report) {
    return recorder.Adapted(transaction, origin.device_id, origin.bundle, report,
                            origin.received_at);
  });
  judging.OnJudged([this, &i](store::Transaction& transaction, const std::string& device_id,
                              const std::string& bundle, const std::string& adaptation_sha256,
                              std::int64_t number, const protocol::Judgement& judgement) {
    return recorder.Evaluated(transaction, device_id, bundle, adaptation_sha256, number, judgement,
                              i.clock.Now());
  });
  rollouts.OnChanged([this, &i](store::Transaction& transaction, const std::string& rollout_id) {
    return recorder.RolledOut(transaction, rollout_id, i.clock.Now());
  });
  insight.OnJudging([this] { return judging.StateJson(); });
  if (options.serves_legacy) gate.ServeLegacyDevices();
  access_routes.AddRoutes(router);
  fleet.AddRoutes(router);
  erasures.AddRoutes(router);
  router.Add({.method = http::Method::kGet,
              .path = "/api/v1/devices/{device_id}/links",
              .access = http::Access::kViewer,
              .body = http::BodyRule::None(),
              .handler =
                  [this, &clock = i.clock](http::Request& request) {
                    return http::Answer(
                        links.Read(database, request, request.Param("device_id"), clock.Now()));
                  },
              .too_large = nullptr});
  registry.AddRoutes(router);
  rollouts.AddRoutes(router);
  feedbacks.AddRoutes(router);
  drift_hub.AddRoutes(router);
  adaptations.AddRoutes(router);
  learned_versions.AddRoutes(router);
  ingest.OnLegacyUpload(
      [this](http::Request& request) -> base::Result<http::Response> {
        return legacy_devices.Upload(request);
      },
      [this](http::Request& request) -> base::Result<http::Response> {
        return legacy_devices.TooLarge(request);
      });
  ingest.AddRoutes(router);
  log_parts.AddRoutes(router);
  image_index.AddRoutes(router);
  sketch_book.AddRoutes(router);
  legacy_devices.AddRoutes(router);
  legacy_pages.AddRoutes(router);
  insight.AddRoutes(router);
  experiments.AddRoutes(router);
  vitals.AddRoutes(router);
  router.AddFallback(
      [](http::Request& request) { return http::ServeWebFile(web::WebFiles(), request); });
  router.AddDeviceGuard(
      [this, &i](const http::Request& request) -> base::Result<std::optional<http::Response>> {
        ASSIGN_OR_RETURN(auto turned_away, fleet.TurnAway(request));
        if (turned_away) return turned_away;
        return rates.Slow(request, i.clock.Uptime());
      });
  router.OnAnswer([this](const http::Request& request, http::Response& response) {
    gate.RenewNonce(request, response);
    rollouts.AddHints(request, response);
    request_log.Note(request, response);
  });
}

base::Status Sphere::OpenMlflow(Installation& i, const SphereOptions& options,
                                base::Logger& logger) {
  if (!options.mlflow) return {};
  ASSIGN_OR_RETURN(mlflow_http, outbound::MakeHttpClient({.ca_file = options.mlflow_ca}));
  ASSIGN_OR_RETURN(mlflow::Client client, mlflow::Client::Create(*mlflow_http, *options.mlflow));
  // Servers that came back together must not come to MLflow together.
  const auto seed = static_cast<std::uint64_t>(i.clock.Now().time_since_epoch().count());
  mlflow_bridge = std::make_unique<experiment::MlflowBridge>(
      database, *i.objects, i.clock, logger, *mlflow_http, std::move(client), mlflow_mirror,
      experiment::BridgeOptions{.look_every = options.mlflow_look, .seed = seed}, *i.telemetry);
  experiments.OnState([this] { return mlflow_bridge->StateJson(); });
  experiments.OnWaiting([this] { mlflow_bridge->Wake(); });
  return {};
}

}  // namespace tinysphere::command
