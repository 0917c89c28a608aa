// The verb `serve`: API, dashboard and workers in one process, until it is told to stop.

#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "tinysphere/command/installation.h"

namespace tinysphere::command {

struct ServeOptions {
  Place place;
  std::string listen = "127.0.0.1:8443";
  std::string public_url;  // How devices and browsers reach it, if that is not --listen.
  std::string tls_cert;
  std::string tls_key;
  bool tls_self_signed = false;
  bool insecure_http_on_any_address = false;
  std::string poll = "10s";
  std::int64_t workers = 0;         // Threads that unpack packages; 0: as many as processors.
  std::string tinylcm;              // Replays adaptations; "" for the one beside this program.
  bool rolls_back_harmful = false;  // What was judged harmful, without a person.
  std::string mlflow;               // URL; "" for none.
  std::string mlflow_ca;            // Certificates to trust, PEM.
  std::string mlflow_experiments = "family";  // Or "device".
  std::string mlflow_look = "45s";            // How often its registry is looked at.
  std::string aggregate = "1d";               // Over what drift is aggregated into runs.
  std::string log_level = "info";
  std::string log_format = "text";
  bool legacy_devices = false;  // Devices of the Python prototype are served.
};

// Prints "ready https://HOST:PORT" once it serves. Returns after SIGTERM or SIGINT, drained.
base::Status Serve(const ServeOptions& options);

}  // namespace tinysphere::command
