#include "tinysphere/command/serve.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/folder_lock.h"
#include "base/logger.h"
#include "base/private_folder.h"
#include "base/text.h"
#include "tinysphere/command/sphere.h"
#include "tinysphere/http/server.h"
#include "tinysphere/platform/beast/beast_server.h"
#include "tinysphere/platform/openssl/certificate.h"
#include "tinysphere/series/metrics_series.h"
#include "tinysphere/store/partitions.h"
#include "tinysphere/store/schema.h"
#include "tinysphere/upkeep/retention.h"

namespace tinysphere::command {

using base::Error;
using base::ErrorCode;

namespace {

constexpr base::Duration kLookAtSignals{50};
constexpr base::Duration kSavePresence{10'000};  // And look whose event stream has to end.
constexpr base::Duration kTidy{60LL * 60 * 1000};
constexpr base::Duration kKept{30LL * 24 * 60 * 60 * 1000};  // Figures, and jobs that are done.
constexpr base::Duration kHoursKept{2 * 366LL * 24 * 60 * 60 * 1000};
constexpr int kSelfSignedDays = 3650;
constexpr int kWorkersMax = 64;

// Lock-free, so that a signal handler may set it.
std::atomic<bool> is_told_to_stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void OnSignal(int) { is_told_to_stop.store(true); }

struct Address {
  std::string host;
  std::uint16_t port = 0;

  bool is_loopback() const {
    return host == "localhost" || host == "::1" || host.starts_with("127.");
  }
};

base::Result<Address> ParseListen(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const Error wrong{ErrorCode::kInvalidArgument,
                    base::StrCat("--listen ", text, ": HOST:PORT is wanted, [HOST]:PORT for IPv6")};
  if (colon == std::string::npos || colon == 0) return wrong;
  Address address;
  address.host = text.substr(0, colon);
  if (address.host.starts_with('[') && address.host.ends_with(']')) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  const auto port = base::ParseInt(std::string_view(text).substr(colon + 1));
  if (!port.ok() || *port < 0 || *port > 65535) return wrong;
  address.port = static_cast<std::uint16_t>(*port);
  return address;
}

// What the server shows who it is with. No paths: plain HTTP.
struct Tls {
  std::string certificate_path;
  std::string key_path;
  std::string pin;  // For enrolment tokens, where no CA vouches for the certificate.

  bool is_on() const { return !certificate_path.empty(); }
};

std::string HostOf(std::string_view url) {
  const std::size_t scheme = url.find("://");
  if (scheme != std::string_view::npos) url.remove_prefix(scheme + 3);
  return std::string(url.substr(0, url.find_first_of(":/")));
}

base::Result<Tls> PrepareTls(const ServeOptions& options, const Address& address,
                             Installation& installation) {
  if (options.tls_cert.empty() != options.tls_key.empty()) {
    return Error{ErrorCode::kInvalidArgument, "--tls-cert and --tls-key go together"};
  }
  if (options.tls_self_signed && !options.tls_cert.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "--tls-self-signed and --tls-cert exclude each other"};
  }
  if (!options.tls_cert.empty()) {
    return Tls{.certificate_path = options.tls_cert, .key_path = options.tls_key, .pin = ""};
  }
  if (!options.tls_self_signed) {
    if (address.is_loopback() || options.insecure_http_on_any_address) return Tls{};
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("--listen ", options.listen,
                              ": plain HTTP is served on loopback only; give --tls-cert and "
                              "--tls-key, --tls-self-signed, or "
                              "--insecure-http-on-any-address")};
  }
  Tls tls{.certificate_path = base::JoinPath(installation.key_folder(), "tls.crt"),
          .key_path = base::JoinPath(installation.key_folder(), "tls.key"),
          .pin = ""};
  // Kept from start to start: devices have pinned it.
  if (!base::Exists(installation.fs, tls.certificate_path)) {
    std::vector<std::string> names = {"localhost", "127.0.0.1", "::1"};
    if (!address.is_loopback()) names.push_back(address.host);
    if (!options.public_url.empty()) names.push_back(HostOf(options.public_url));
    ASSIGN_OR_RETURN(
        const openssl::CertificateAndKey made,
        openssl::MakeSelfSignedCertificate(names, installation.clock.Now(), kSelfSignedDays));
    RETURN_IF_ERROR(base::WriteFileDurably(installation.fs, tls.key_path,
                                           base::AsBytes(made.key_pem), /*owner_only=*/true));
    RETURN_IF_ERROR(base::WriteFileDurably(installation.fs, tls.certificate_path,
                                           base::AsBytes(made.certificate_pem)));
  }
  ASSIGN_OR_RETURN(const std::string pem,
                   base::ReadTextFile(installation.fs, tls.certificate_path, 1u << 20));
  ASSIGN_OR_RETURN(tls.pin, openssl::SpkiPin(pem));
  return tls;
}

// The way in for whoever can read the data folder, while there is no user.
base::Status WriteFirstAdminLink(Installation& installation, access::People& people,
                                 const std::string& url, base::Logger& logger) {
  ASSIGN_OR_RETURN(const auto secret, people.MakeFirstAdminSecret());
  if (!secret) return {};
  const std::string path = installation.first_admin_path();
  // After '#', so that the secret stays out of the logs of whatever stands in between.
  const std::string link = base::StrCat(url, "/first-admin#link=", *secret, "\n");
  RETURN_IF_ERROR(base::WriteFileDurably(installation.fs, path, base::AsBytes(link),
                                         /*owner_only=*/true));
  logger.Info("no user yet: the link in " + path + " makes the first administrator, for an hour");
  return {};
}

int WorkersOf(const ServeOptions& options) {
  if (options.workers > 0) return static_cast<int>(options.workers);
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

void Tidy(Sphere& sphere, base::Clock& clock, base::Logger& logger) {
  const base::Time now = clock.Now();
  const base::Time before = now - kKept;
  for (const base::Status& done :
       {sphere.uploads.Sweep(), sphere.queue.ForgetDone(before),
        store::EnsurePartitions(sphere.database, now),
        series::ForgetMetricsPoints(sphere.database, before),
        series::SketchBook::Forget(sphere.database, before),
        fleet::LinkIntervals::ForgetBefore(sphere.database, now - kHoursKept),
        series::ForgetMetricsHours(sphere.database, now - kHoursKept),
        sphere.experiments.ForgetSent(before)}) {
    if (!done.ok()) logger.Warning("tidying up: " + done.error().message);
  }
}

// Removes what is older than its bucket keeps it, once a day, on a thread of its own: it may take
// long.
class DailySweep {
 public:
  DailySweep(Installation& installation, base::Logger& logger)
      : retention_(*installation.database, *installation.objects, installation.clock),
        logger_(logger) {}
  ~DailySweep() {
    is_told_to_stop_.store(true);
    if (thread_.joinable()) thread_.join();
  }
  DailySweep(const DailySweep&) = delete;
  DailySweep& operator=(const DailySweep&) = delete;

  // Now and then.
  void Look() {
    if (is_running_.exchange(true)) return;
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread([this] {
      Run();
      is_running_.store(false);
    });
  }

 private:
  void Run() {
    const auto swept = retention_.RunDaily([this] { return is_told_to_stop_.load(); });
    if (!swept.ok()) {
      logger_.Warning("retention: " + swept.error().message);
      return;
    }
    if (!swept->has_value()) return;
    for (const upkeep::Swept& one : **swept) {
      if (one.objects == 0) continue;
      logger_.Info(base::StrCat("retention: ", one.objects, " objects (", one.bytes, " bytes) of ",
                                one.bucket, " went"));
    }
  }

  upkeep::Retention retention_;
  base::Logger& logger_;
  std::atomic<bool> is_told_to_stop_{false};
  std::atomic<bool> is_running_{false};
  std::thread thread_;
};

void RunUntilTold(Sphere& sphere, DailySweep& sweep, base::Clock& clock, base::Logger& logger) {
  base::Duration save_at = clock.Uptime() + kSavePresence;
  base::Duration tidy_at = clock.Uptime();
  while (!is_told_to_stop.load()) {
    clock.SleepUntil(clock.Uptime() + kLookAtSignals);
    if (clock.Uptime() < save_at) continue;
    save_at = clock.Uptime() + kSavePresence;
    sphere.events.CloseUnwelcome();
    const base::Status linked = sphere.links.Save(sphere.database, clock.Now());
    if (!linked.ok()) logger.Warning("links: " + linked.error().message);
    const base::Status saved = sphere.presence.Save(sphere.database);
    if (!saved.ok()) logger.Warning("last seen: " + saved.error().message);
    if (clock.Uptime() < tidy_at) continue;
    tidy_at = clock.Uptime() + kTidy;
    Tidy(sphere, clock, logger);
    sweep.Look();
  }
}

// As MLflow's own clients read them.
std::optional<mlflow::ClientOptions> MlflowOptions(const ServeOptions& options) {
  if (options.mlflow.empty()) return std::nullopt;
  const auto read = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  return mlflow::ClientOptions{.url = options.mlflow,
                               .username = read("MLFLOW_TRACKING_USERNAME"),
                               .password = read("MLFLOW_TRACKING_PASSWORD"),
                               .token = read("MLFLOW_TRACKING_TOKEN"),
                               .workspace = read("MLFLOW_WORKSPACE")};
}

}  // namespace

base::Status Serve(const ServeOptions& options) {
  ASSIGN_OR_RETURN(const base::LogLevel log_level, base::ParseLogLevel(options.log_level));
  ASSIGN_OR_RETURN(const base::LogFormat log_format, base::ParseLogFormat(options.log_format));
  base::Logger& logger = base::StderrLogger(log_level, log_format);
  std::signal(SIGTERM, OnSignal);
  std::signal(SIGINT, OnSignal);
  std::signal(SIGPIPE, SIG_IGN);

  ASSIGN_OR_RETURN(const Address address, ParseListen(options.listen));
  ASSIGN_OR_RETURN(const base::Duration poll, base::ParseDuration(options.poll));
  if (poll < std::chrono::seconds(1)) {
    return Error{ErrorCode::kInvalidArgument, "--poll: at least 1s"};
  }
  if (options.workers < 0 || options.workers > kWorkersMax) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("--workers: 1 to ", kWorkersMax, ", 0 for as many as processors")};
  }
  ASSIGN_OR_RETURN(const base::Duration aggregate, base::ParseDuration(options.aggregate));
  ASSIGN_OR_RETURN(const base::Duration mlflow_look, base::ParseDuration(options.mlflow_look));
  if (aggregate < std::chrono::seconds(1) || mlflow_look < std::chrono::seconds(1)) {
    return Error{ErrorCode::kInvalidArgument, "--aggregate, --mlflow-look: at least 1s"};
  }
  // Before anything is swept: what lies there may be a running server's.
  RETURN_IF_ERROR(base::MakePrivateFolder(options.place.data));
  const auto lock = base::FolderLock::Take(options.place.data, "server");
  if (!lock.ok()) return Error{ErrorCode::kUnavailable, lock.error().message};
  ASSIGN_OR_RETURN(const auto installation,
                   Open(options.place, /*may_make=*/true, /*is_server=*/true));
  ASSIGN_OR_RETURN(const Tls tls, PrepareTls(options, address, *installation));
  RETURN_IF_ERROR(installation->database->Write([&](store::Transaction& transaction) {
    return store::WriteSetting(transaction, kTlsPinSetting, tls.pin);
  }));

  const std::string spool = base::JoinPath(installation->work_folder, "spool");
  RETURN_IF_ERROR(base::RemoveTree(installation->fs, spool));
  RETURN_IF_ERROR(installation->fs.CreateDirectories(spool));
  const SphereOptions sphere_options{
      .poll = poll,
      .spool = spool,
      .uploads = base::JoinPath(installation->work_folder, "uploads"),
      .tls_pin = tls.pin,
      .judging = {.folder = base::JoinPath(installation->work_folder, "judging"),
                  .rolls_back_harmful = options.rolls_back_harmful},
      .workers = WorkersOf(options),
      .tinylcm = options.tinylcm,
      .recorder = {.is_per_device = options.mlflow_experiments == "device"},
      .aggregates = {.period = aggregate},
      .mlflow = MlflowOptions(options),
      .mlflow_ca = options.mlflow_ca,
      .mlflow_look = mlflow_look,
      .is_behind_proxy = !options.public_url.empty(),
      .serves_legacy = options.legacy_devices};
  Sphere sphere(*installation, sphere_options, logger);
  RETURN_IF_ERROR(sphere.OpenMlflow(*installation, sphere_options, logger));
  if (!options.tinylcm.empty() || options.rolls_back_harmful) {
    // Asked for, so not to be had in silence: nothing would ever be judged.
    const base::Status there = sphere.program->Check();
    if (!there.ok()) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat(options.tinylcm.empty() ? "--roll-back-harmful: " : "--tinylcm: ",
                                there.error().message)};
    }
  }
  RETURN_IF_ERROR(sphere.uploads.Open());
  RETURN_IF_ERROR(sphere.desired_states.RefreshAll(sphere.database));
  RETURN_IF_ERROR(sphere.queue.ReleaseClaims());
  RETURN_IF_ERROR(sphere.links.Open(sphere.database, installation->clock.Now()));
  RETURN_IF_ERROR(sphere.judging.Open(logger));
  RETURN_IF_ERROR(sphere.experiments.RecordEarlierBundles());
  RETURN_IF_ERROR(sphere.drift_aggregates.Open());
  sphere.worker.Start();
  sphere.judging_worker.Start();
  sphere.aggregate_worker.Start();
  if (sphere.mlflow_bridge) sphere.mlflow_bridge->Start();

  ASSIGN_OR_RETURN(const auto server,
                   beast::StartServer({.host = address.host,
                                       .port = address.port,
                                       .tls_certificate_path = tls.certificate_path,
                                       .tls_key_path = tls.key_path,
                                       .spool_folder = spool},
                                      sphere.router, sphere.events, installation->fs, logger));
  const bool is_ipv6 = address.host.find(':') != std::string::npos;
  const std::string url =
      base::StrCat(server->is_secure() ? "https://" : "http://", is_ipv6 ? "[" : "", address.host,
                   is_ipv6 ? "]" : "", ":", server->port());
  RETURN_IF_ERROR(WriteFirstAdminLink(
      *installation, sphere.people, options.public_url.empty() ? url : options.public_url, logger));
  RETURN_IF_ERROR(KeepPlace(installation->fs, options.place));
  std::printf("ready %s\n", url.c_str());
  std::fflush(stdout);

  {
    DailySweep sweep(*installation, logger);
    RunUntilTold(sphere, sweep, installation->clock, logger);
  }

  logger.Info("told to stop: no new requests, those under way end");
  sphere.events.CloseAll();
  server->Stop();
  if (sphere.mlflow_bridge) sphere.mlflow_bridge->Stop();
  sphere.aggregate_worker.Stop();
  sphere.program->Stop();
  sphere.judging_worker.Stop();
  sphere.worker.Stop();
  RETURN_IF_ERROR(sphere.links.Save(sphere.database, installation->clock.Now(), true));
  RETURN_IF_ERROR(sphere.presence.Save(sphere.database));
  return {};
}

}  // namespace tinysphere::command
