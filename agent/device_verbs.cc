#include "agent/device_verbs.h"

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "agent/config.h"
#include "agent/layout.h"
#include "agent/verbs.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/private_folder.h"
#include "base/text.h"
#include "protocol/enrolment.h"
#include "protocol/identifiers.h"
#include "tinylcm/sync/enrol.h"
#include "tinylcm/sync/package_queue.h"
#include "tinylcm/sync/transport.h"

namespace agent {

namespace sync = tinylcm::sync;

using base::Error;
using base::ErrorCode;
using base::Fail;
using base::Json;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

Signals signals;

void RequestStop(int) { signals.stop.store(true); }
void RequestReload(int) { signals.reload.store(true); }

// A peer that has gone is an error of a write, not the end of the program. (The camera's program
// gets the usual way back when it is started.)
void IgnoreBrokenPipes() { std::signal(SIGPIPE, SIG_IGN); }

// Calls `action` with a configuration that was read.
template <typename F>
int With(Result<Config> config, F action) {
  if (!config.ok()) return Fail(kProgram, config.error());
  const Status done = action(*config);
  return done.ok() ? base::kExitDone : Fail(kProgram, done.error());
}

template <typename F>
int WithConfig(const std::string& path, F action) {
  return With(ReadConfig(Disk(), path), action);
}

template <typename F>
int WithConfigOfDevice(const std::string& path, F action) {
  return With(ReadConfigOfDevice(Disk(), path), action);
}

// ---- enroll -----------------------------------------------------------------------------------

struct EnrollArguments {
  std::string config;
  std::string server;
  std::string token_file;
  std::string name;
  std::string server_key;
  std::string publisher_key;
  std::string tls_pin;
  bool insecure_http = false;
  bool again = false;
};

// A fingerprint as it is, or that of a public key's file.
Result<std::string> FingerprintOf(const std::string& given, std::string_view option) {
  if (protocol::IsFingerprint(given)) return given;
  const auto text = base::ReadTextFile(Disk(), given, 4096);
  if (!text.ok()) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat(option, ": neither a fingerprint nor a readable file: ", given)};
  }
  auto key = base::ParsePublicKeyText(*text);
  if (!key.ok()) return key.error().Within(given);
  return base::Fingerprint(*key);
}

Result<std::string> ReadToken(const EnrollArguments& given) {
  if (given.token_file == "-") {
    std::string token;
    std::getline(std::cin, token);
    return std::string(base::Trim(token));
  }
  if (!given.token_file.empty()) {
    ASSIGN_OR_RETURN(const std::string text, base::ReadTextFile(Disk(), given.token_file, 4096));
    return std::string(base::Trim(text));
  }
  // Not from the command line, where every user of the machine could read it.
  const char* token = std::getenv("TINYLCM_TOKEN");
  return std::string(token == nullptr ? "" : base::Trim(token));
}

Status Enroll(const EnrollArguments& given, const Config& config) {
  const Layout layout(config.data);
  if (base::Exists(Disk(), layout.identity) && !given.again) {
    return Error{ErrorCode::kConflict, StrCat("enroll: ", config.data,
                                              " is enrolled already (--again to ask once more)")};
  }
  ASSIGN_OR_RETURN(const std::string token_text, ReadToken(given));
  sync::EnrolOptions options;
  std::string pin = given.tls_pin;
  if (!token_text.empty()) {
    ASSIGN_OR_RETURN(const protocol::EnrolmentToken token,
                     protocol::ParseEnrolmentToken(token_text));
    options = sync::FromToken(token);
    if (pin.empty()) pin = token.tls_pin;
  } else if (given.server_key.empty() || given.publisher_key.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "enroll: without a token (TINYLCM_TOKEN, --token-file) both --server-key and "
                 "--publisher-key are asked: a device never learns whom to trust from the server "
                 "it asks"};
  }
  if (!given.server_key.empty()) {
    ASSIGN_OR_RETURN(options.server_fingerprint, FingerprintOf(given.server_key, "--server-key"));
  }
  if (!given.publisher_key.empty()) {
    ASSIGN_OR_RETURN(options.publisher_fingerprint,
                     FingerprintOf(given.publisher_key, "--publisher-key"));
  }
  options.name = given.name.empty() ? config.name : given.name;
  options.agent_version = kVersion;
  RETURN_IF_ERROR(base::MakePrivateFolder(config.data));
  RETURN_IF_ERROR(base::MakePrivateFolder(base::JoinPath(config.data, "keys")));
  ASSIGN_OR_RETURN(const base::Ed25519Key key,
                   sync::LoadOrMakeDeviceKey(Disk(), layout.device_key));
  sync::CurlOptions curl;
  curl.server = given.server.empty() ? config.sync.server : given.server;
  if (curl.server.empty()) {
    return Error{ErrorCode::kInvalidArgument, "enroll: --server is asked (https://host:port)"};
  }
  curl.tls_pin = pin;
  curl.allow_insecure_http = given.insecure_http || config.sync.insecure_http;
  ASSIGN_OR_RETURN(const std::unique_ptr<sync::Transport> transport, sync::MakeCurlTransport(curl));
  auto enrolment = sync::Enrol(*transport, key, options);
  if (!enrolment.ok()) return enrolment.error().Within("enroll");
  enrolment->server = curl.server;
  enrolment->tls_pin = pin;
  RETURN_IF_ERROR(sync::WriteEnrolment(Disk(), layout.identity, *enrolment));
  std::cout << enrolment->device_id << " is "
            << (enrolment->is_pending ? "pending: an admin accepts it by its fingerprint "
                                      : "enrolled; its key's fingerprint is ")
            << base::Fingerprint(key.public_key()) << '\n';
  return {};
}

// ---- status -----------------------------------------------------------------------------------

Result<Json> ReadStatus(const Config& config) {
  const Layout layout(config.data);
  Json status = Json::MakeObject();
  const auto written = base::ReadTextFile(Disk(), layout.status, 4u << 20);
  if (written.ok()) {
    ASSIGN_OR_RETURN(status, Json::Parse(*written));
    const Json* at = status.Find("written_at");
    const auto time = at != nullptr && at->is_string() ? base::ParseTime(at->as_string())
                                                       : Result<base::Time>(base::Time{});
    // A killed agent could not say that it no longer runs.
    if (!time.ok() || base::SystemClock().Now() - *time > base::Duration{10'000}) {
      status.Set("running", false);
    }
  } else {
    status.Set("name", config.name);
    status.Set("running", false);
  }
  const auto key = base::ReadTextFile(Disk(), layout.device_key, 4096);
  if (key.ok()) {
    auto parsed = base::ParsePrivateKeyText(*key);
    if (!parsed.ok()) return parsed.error().Within(layout.device_key);
    status.Set("device_id", protocol::DeviceIdOf(parsed->public_key()));
    status.Set("fingerprint", base::Fingerprint(parsed->public_key()));
  }
  status.Set("enrolled", base::Exists(Disk(), layout.identity));
  return status;
}

std::string TextOf(const Json& status, std::string_view key) {
  const Json* value = status.Find(key);
  if (value == nullptr || value->is_null()) return "-";
  return value->is_string() ? value->as_string() : value->Write();
}

// "; row_gain + none waits for approval".
std::string ProposedLine(const Json& status) {
  const Json* proposed = status.Find("proposed");
  if (proposed == nullptr || !proposed->is_object()) return "";
  return "; " + TextOf(*proposed, "name") + " waits for approval";
}

// "watching 6 signals, evidence 12.5 of the 1e+06 an alarm takes".
std::string DriftLine(const Json& drift) {
  const std::string phase = TextOf(drift, "phase");
  const auto count = [&](std::string_view key) {
    const Json* list = drift.Find(key);
    return list != nullptr && list->is_array() ? list->as_array().size() : 0;
  };
  const auto figure = [&](std::string_view key) {
    const Json* value = drift.Find(key);
    return base::FormatShort(value != nullptr && value->is_number() ? value->as_double() : 0.0);
  };
  std::string line = phase;
  if (phase == "learning") {
    line += StrCat(", ", TextOf(drift, "learned"), " of ", TextOf(drift, "commission"), " samples");
  } else if (phase == "watching") {
    line += StrCat(" ", count("signals") - count("unwatched"), " signals, evidence ",
                   figure("evidence"), " of the ", figure("limit"), " an alarm takes");
  }
  if (TextOf(drift, "not_finite") != "0" && TextOf(drift, "not_finite") != "-") {
    line += StrCat(", ", TextOf(drift, "not_finite"), " values were not finite");
  }
  return line;
}

void PrintStatus(const Json& status) {
  const Json empty = Json::MakeObject();
  const auto part = [&](std::string_view key) -> const Json& {
    const Json* found = status.Find(key);
    return found != nullptr && found->is_object() ? *found : empty;
  };
  const bool running = TextOf(status, "running") == "true";
  std::cout << TextOf(status, "name") << " (" << TextOf(status, "device_id") << ") "
            << (running ? "runs" : "does not run") << '\n'
            << "  fingerprint " << TextOf(status, "fingerprint") << '\n'
            << "  enrolled    " << TextOf(status, "enrolled") << '\n';
  if (status.Find("state") == nullptr) return;
  std::cout << "  bundle      " << TextOf(part("bundle"), "name") << ' '
            << TextOf(part("bundle"), "version") << '\n'
            << "  state       " << TextOf(status, "state") << ", mode " << TextOf(status, "mode")
            << " (by the " << TextOf(status, "mode_source") << ")\n"
            << "  serves      hypothesis " << TextOf(part("adaptation"), "hypothesis")
            << ", challenger " << TextOf(part("adaptation"), "challenger") << ProposedLine(status)
            << '\n'
            << "  drift       " << DriftLine(part("drift")) << '\n'
            << "  frames      " << TextOf(status, "frames") << " answered, "
            << TextOf(status, "skipped") << " bad, " << TextOf(status, "dropped") << " dropped\n"
            << "  source      started again " << TextOf(status, "source_restarts")
            << " times, of these silent " << TextOf(status, "source_stalls") << '\n'
            << "  queue       " << TextOf(part("queue"), "waiting") << " waiting, "
            << TextOf(part("queue"), "dead") << " refused, " << TextOf(part("queue"), "evicted")
            << " evicted\n"
            << "  log         " << TextOf(part("log"), "bytes") << " bytes in "
            << TextOf(part("log"), "files") << " files, " << TextOf(status, "log_dropped")
            << " answers not logged";
  const std::string log_error = TextOf(part("log"), "last_error");
  std::cout << (log_error.empty() || log_error == "-" ? "" : ", now: " + log_error) << '\n';
  if (const std::string error = TextOf(part("config"), "last_error");
      !error.empty() && error != "-") {
    std::cout << "  config      not taken over: " << error << '\n';
  }
  if (const Json* place = status.Find("location"); place != nullptr && place->is_object()) {
    std::cout << "  place       " << TextOf(*place, "latitude") << ", "
              << TextOf(*place, "longitude") << " (" << TextOf(*place, "source") << ", accuracy "
              << TextOf(*place, "accuracy_m") << " m, age " << TextOf(*place, "age_ms") << " ms)\n";
  }
  if (status.Find("sync") != nullptr) {
    std::cout << "  server      " << TextOf(part("sync"), "server") << ", last heard "
              << TextOf(part("sync"), "last_contact");
    const std::string error = TextOf(part("sync"), "last_error");
    std::cout << (error.empty() || error == "-" ? "" : ", now: " + error) << '\n';
  }
  const Json* events = status.Find("events");
  if (events == nullptr || !events->is_array()) return;
  for (const Json& event : events->as_array()) {
    std::cout << "  drift       at " << TextOf(event, "index") << ": " << TextOf(event, "text")
              << '\n';
  }
}

// ---- queue ------------------------------------------------------------------------------------

Json ToJson(const sync::QueuedPackage& package) {
  Json json = Json::MakeObject({{"package_id", package.name.id()},
                                {"folder", sync::Name(package.folder)},
                                {"type", package.type},
                                {"bytes", package.bytes},
                                {"created_at", base::FormatTime(package.created_at)}});
  if (!package.reason.empty()) json.Set("reason", package.reason);
  return json;
}

Status ListPackages(const Config& config, bool as_json) {
  ASSIGN_OR_RETURN(const sync::QueueListing listing,
                   sync::ListQueue(Disk(), Layout(config.data).queue));
  std::int64_t waiting = 0, acked = 0, dead = 0;
  Json packages = Json::MakeArray();
  for (const sync::QueuedPackage& package : listing.packages) {
    (package.folder == sync::QueueFolder::kQueue   ? waiting
     : package.folder == sync::QueueFolder::kAcked ? acked
                                                   : dead) += 1;
    packages.Append(ToJson(package));
  }
  if (as_json) {
    std::cout << Json::MakeObject({{"epoch", listing.epoch},
                                   {"seq_last", listing.seq_last},
                                   {"waiting", waiting},
                                   {"acked", acked},
                                   {"dead", dead},
                                   {"packages", std::move(packages)}})
                     .WritePretty()
              << '\n';
    return {};
  }
  for (const sync::QueuedPackage& package : listing.packages) {
    std::cout << sync::Name(package.folder) << '\t' << package.name.id() << '\t' << package.type
              << '\t' << package.bytes << " bytes"
              << (package.reason.empty() ? "" : "\t" + package.reason) << '\n';
  }
  std::cout << waiting << " waiting, " << acked << " acknowledged and kept, " << dead
            << " refused or damaged; " << listing.seq_last << " ever made\n";
  return {};
}

Status VerifyPackages(const Config& config) {
  const std::string folder = Layout(config.data).queue;
  ASSIGN_OR_RETURN(const sync::QueueListing listing, sync::ListQueue(Disk(), folder));
  std::size_t bad = 0;
  for (const sync::QueuedPackage& package : listing.packages) {
    const Status verified = sync::VerifyQueued(Disk(), folder, package);
    if (verified.ok()) continue;
    ++bad;
    std::cout << package.file << ": " << verified.error().message << '\n';
  }
  std::cout << listing.packages.size() - bad << " of " << listing.packages.size()
            << " packages are whole\n";
  if (bad > 0) return Error{ErrorCode::kConflict, StrCat("queue: ", bad, " packages are damaged")};
  return {};
}

Result<sync::QueuedPackage> FindPackage(const Config& config, const std::string& id) {
  ASSIGN_OR_RETURN(const sync::QueueListing listing,
                   sync::ListQueue(Disk(), Layout(config.data).queue));
  for (const sync::QueuedPackage& package : listing.packages) {
    if (package.name.id() == id || package.file == id) return package;
  }
  return Error{ErrorCode::kNotFound, "queue: no package " + id};
}

}  // namespace

void AddRun(base::CommandLine& line) {
  struct Arguments {
    std::string config;
    std::string server;
    bool verbose = false;
  };
  auto given = std::make_shared<Arguments>();
  base::Command& run = line.Add("run", "The agent: run until told to stop");
  run.Text("--config", given->config, "The agent's configuration").Required();
  run.Text("--server", given->server, "Another server address than the configuration's");
  run.Flag("--verbose", given->verbose, "Say more on stderr");
  run.Action([given] {
    IgnoreBrokenPipes();
    std::signal(SIGINT, RequestStop);
    std::signal(SIGTERM, RequestStop);
    std::signal(SIGHUP, RequestReload);
    const ConfigReader reread = [given]() -> Result<Config> {
      ASSIGN_OR_RETURN(Config config, ReadConfig(Disk(), given->config));
      if (!given->server.empty()) config.sync.server = given->server;
      return config;
    };
    const auto config = reread();
    if (!config.ok()) return Fail(kProgram, config.error());
    if (config->bundle.empty()) {
      return Fail(
          kProgram,
          Error{ErrorCode::kInvalidArgument,
                StrCat(given->config, ": names no bundle; make one of the prototype's model: ",
                       "tinylcm fit --config ", given->config,
                       " --images PICTURES --out BUNDLE, and name it in \"bundle\"")});
    }
    base::Logger& logger =
        base::StderrLogger(given->verbose ? base::LogLevel::kDebug : base::LogLevel::kInfo);
    for (const std::string& warning : config->warnings) {
      logger.Warning(StrCat(given->config, ": ", warning));
    }
    const Status done = RunAgent(*config, reread, Disk(), base::SystemClock(), logger, signals);
    return done.ok() ? base::kExitDone : Fail(kProgram, done.error());
  });
}

void AddEnroll(base::CommandLine& line) {
  auto given = std::make_shared<EnrollArguments>();
  base::Command& enroll = line.Add(
      "enroll", "Make this device known to a server; the token comes from TINYLCM_TOKEN or a file");
  enroll.Text("--config", given->config, "The agent's configuration").Required();
  enroll.Text("--server", given->server, "https://host:port");
  enroll.Text("--token-file", given->token_file, "File with the token, - for stdin");
  enroll.Text("--name", given->name, "What people call the device; default: the configuration's");
  enroll.Text("--server-key", given->server_key, "Fingerprint or file; overrides the token");
  enroll.Text("--publisher-key", given->publisher_key, "Fingerprint or file; overrides the token");
  enroll.Text("--tls-pin", given->tls_pin, "SPKI pin of the server's certificate");
  enroll.Flag("--insecure-http", given->insecure_http, "Plain HTTP to another machine");
  enroll.Flag("--again", given->again, "Even if this folder is enrolled");
  enroll.Action([given] {
    IgnoreBrokenPipes();
    return WithConfig(given->config, [&](Config& config) { return Enroll(*given, config); });
  });
}

void AddStatus(base::CommandLine& line) {
  struct Arguments {
    std::string config;
    bool json = false;
  };
  auto given = std::make_shared<Arguments>();
  base::Command& verb = line.Add("status", "How the device does");
  verb.Text("--config", given->config, "The agent's configuration").Required();
  verb.Flag("--json", given->json, "As JSON");
  verb.Action([given] {
    return WithConfig(given->config, [&](Config& config) -> Status {
      ASSIGN_OR_RETURN(const Json status, ReadStatus(config));
      if (given->json) {
        std::cout << status.WritePretty() << '\n';
      } else {
        PrintStatus(status);
      }
      return {};
    });
  });
}

void AddQueue(base::CommandLine& line) {
  struct Arguments {
    std::string config;
    std::string id;
    std::string out;
    bool json = false;
  };
  auto given = std::make_shared<Arguments>();
  base::Command& queue =
      line.Add("queue", "Packages that wait, were acknowledged, or were refused");
  const auto verb = [&](const char* name, const char* about) -> base::Command& {
    base::Command& command = queue.Add(name, about);
    command.Text("--config", given->config, "The agent's configuration").Required();
    return command;
  };
  base::Command& ls = verb("ls", "List them");
  ls.Flag("--json", given->json, "As JSON");
  ls.Action([given] {
    return WithConfigOfDevice(given->config,
                              [&](Config& config) { return ListPackages(config, given->json); });
  });
  verb("verify", "Check every digest").Action([given] {
    return WithConfigOfDevice(given->config, [](Config& config) { return VerifyPackages(config); });
  });
  base::Command& export_verb = verb("export", "Copy one package's archive to a file");
  export_verb.Text("package", given->id, "Package id").Required();
  export_verb.Text("--out", given->out, "File").Required();
  export_verb.Action([given] {
    return WithConfigOfDevice(given->config, [&](Config& config) -> Status {
      ASSIGN_OR_RETURN(const sync::QueuedPackage package, FindPackage(config, given->id));
      return sync::ExportQueued(Disk(), Layout(config.data).queue, package, given->out);
    });
  });
  base::Command& requeue = verb("requeue", "Send a refused package again");
  requeue.Text("package", given->id, "Package id").Required();
  requeue.Action([given] {
    return WithConfigOfDevice(given->config, [&](Config& config) -> Status {
      ASSIGN_OR_RETURN(const sync::QueuedPackage package, FindPackage(config, given->id));
      return sync::RequeueDead(Disk(), Layout(config.data).queue, package);
    });
  });
}

}  // namespace agent
