// Sphere: everything the server consists of, built in order, the most general first.

#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/logger.h"
#include "tinysphere/access/gate.h"
#include "tinysphere/access/people.h"
#include "tinysphere/access/routes.h"
#include "tinysphere/access/statements.h"
#include "tinysphere/adaptation/adaptations.h"
#include "tinysphere/adaptation/judging.h"
#include "tinysphere/adaptation/program.h"
#include "tinysphere/command/installation.h"
#include "tinysphere/drifthub/drift_hub.h"
#include "tinysphere/experiment/drift_aggregates.h"
#include "tinysphere/experiment/experiments.h"
#include "tinysphere/experiment/mlflow_bridge.h"
#include "tinysphere/experiment/mlflow_mirror.h"
#include "tinysphere/experiment/recorder.h"
#include "tinysphere/feedback/feedbacks.h"
#include "tinysphere/fleet/erasures.h"
#include "tinysphere/fleet/fleet.h"
#include "tinysphere/fleet/link_intervals.h"
#include "tinysphere/fleet/presence.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/request_log.h"
#include "tinysphere/http/router.h"
#include "tinysphere/ingest/ingest.h"
#include "tinysphere/ingest/rates.h"
#include "tinysphere/ingest/receiver.h"
#include "tinysphere/ingest/unpacker.h"
#include "tinysphere/ingest/uploads.h"
#include "tinysphere/ingest/worker.h"
#include "tinysphere/insight/insight.h"
#include "tinysphere/legacy/devices.h"
#include "tinysphere/legacy/pages.h"
#include "tinysphere/legacy/unpacking.h"
#include "tinysphere/operation/vitals.h"
#include "tinysphere/registry/learned_versions.h"
#include "tinysphere/registry/registry.h"
#include "tinysphere/rollout/desired_states.h"
#include "tinysphere/rollout/rollouts.h"
#include "tinysphere/series/image_index.h"
#include "tinysphere/series/log_parts.h"
#include "tinysphere/series/sketch_book.h"
#include "tinysphere/store/database_queue.h"
#include "tinysphere/store/job_log.h"

namespace tinysphere::command {

struct SphereOptions {
  base::Duration poll{10'000};  // How often devices are asked to look in.
  std::string spool;            // Bodies on their way in.
  std::string uploads;          // Partial uploads.
  std::string tls_pin;
  adaptation::JudgingOptions judging;
  int workers = 1;      // Threads that unpack packages.
  std::string tinylcm;  // The program that replays adaptations; "" for the one beside this one.
  ingest::RateOptions rates{};  // How much a device may send.
  experiment::RecorderOptions recorder{};
  experiment::AggregateOptions aggregates{};
  std::optional<mlflow::ClientOptions> mlflow{};  // None: no MLflow.
  std::string mlflow_ca{};                        // PEM file.
  base::Duration mlflow_look{45'000};             // How often its registry is looked at.
  bool is_behind_proxy = false;                   // So that an address says nothing about who asks.
  bool serves_legacy = false;                     // Devices of the Python prototype.
};

struct Sphere {
  // `installation` and `logger` must outlive it.
  Sphere(Installation& installation, const SphereOptions& options, base::Logger& logger);

  // The bridge, where the options name an MLflow. kInvalidArgument for an address that is none.
  base::Status OpenMlflow(Installation& installation, const SphereOptions& options,
                          base::Logger& logger);

  store::Database& database;
  store::DatabaseQueue queue;
  store::JobLog job_log;
  http::EventHub events;
  access::StatementSigner signer;
  access::People people;
  access::Gate gate;
  access::AccessRoutes access_routes;
  fleet::Presence presence;
  fleet::LinkIntervals links;
  fleet::Fleet fleet;
  registry::Registry registry;
  rollout::DesiredStates desired_states;
  rollout::Rollouts rollouts;
  feedback::Feedbacks feedbacks;
  adaptation::Adaptations adaptations;
  registry::LearnedVersions learned_versions;
  drifthub::DriftHub drift_hub;
  std::unique_ptr<adaptation::Program> program;
  adaptation::Judging judging;
  series::LogParts log_parts;
  series::ImageIndex image_index;
  series::SketchBook sketch_book;
  fleet::Erasures erasures;
  ingest::Unpacker unpacker;
  legacy::Unpacking legacy_unpacking;
  ingest::Worker worker;
  ingest::Worker judging_worker;  // A replay takes its time, and packages do not wait for it.
  ingest::Receiver receiver;
  ingest::Uploads uploads;
  ingest::Rates rates;
  ingest::Ingest ingest;
  insight::Insight insight;
  experiment::Recorder recorder;
  experiment::MlflowMirror mlflow_mirror;
  experiment::Experiments experiments;
  experiment::DriftAggregates drift_aggregates;
  ingest::Worker aggregate_worker;  // Reads much, once a day.
  std::unique_ptr<outbound::HttpClient> mlflow_http;
  std::unique_ptr<experiment::MlflowBridge> mlflow_bridge;  // None without an MLflow.
  operation::Vitals vitals;
  http::RequestLog request_log;
  legacy::Devices legacy_devices;
  legacy::Pages legacy_pages;
  http::Router router;
};

}  // namespace tinysphere::command
