#include <cmath>

#include "agent/agent_impl.h"
#include "agent/alarm_rule.h"
#include "agent/source_of.h"
#include "base/private_folder.h"
#include "protocol/identifiers.h"
#include "tinylcm/drift/detectors/limit_cache.h"
#include "tinylcm/model/engine.h"

namespace agent {

Status Agent::Open() {
  RETURN_IF_ERROR(base::MakePrivateFolder(base::JoinPath(config_.data, "keys")));
  const base::Ed25519PublicKey* publisher = nullptr;
  RETURN_IF_ERROR(OpenSync(&publisher));

  auto slots = model::Slots::Open(fs_, layout_.slots);
  if (!slots.ok() && slots.error().code == ErrorCode::kCorrupt) {
    // The bundle the device came with is still named in the configuration.
    logger_.Error("slots are set aside, the first bundle is installed again: " +
                  slots.error().message);
    RETURN_IF_ERROR(base::RemoveTree(fs_, layout_.slots + ".damaged"));
    RETURN_IF_ERROR(fs_.Rename(layout_.slots, layout_.slots + ".damaged"));
    slots = model::Slots::Open(fs_, layout_.slots);
  }
  if (!slots.ok()) return slots.error();
  slots_.emplace(std::move(slots).value());
  if (slots_->state().current.empty()) {
    ASSIGN_OR_RETURN(const base::FileInfo info, fs_.Stat(config_.bundle));
    std::string installed;
    if (info.is_directory) {
      ASSIGN_OR_RETURN(installed, slots_->InstallFolder(config_.bundle, Traits()));
    } else {
      ASSIGN_OR_RETURN(const model::ArchiveInfo archive,
                       slots_->Install(config_.bundle, publisher, Traits(), std::nullopt));
      installed = archive.bundle;
    }
    RETURN_IF_ERROR(slots_->Activate(installed));
  }
  RETURN_IF_ERROR(OpenWishes());
  RETURN_IF_ERROR(OpenSlots());
  RETURN_IF_ERROR(OpenDeployments());
  monitor_ = std::make_unique<monitor::Monitor>(bundle_->manifest.labels, clock_.Uptime());
  RETURN_IF_ERROR(OpenLog());
  ASSIGN_OR_RETURN(source_, OpenSource());
  return {};
}

// The log, the exporters and whoever knows where the device is.
Status Agent::OpenLog() {
  ASSIGN_OR_RETURN(const LogWriter::Options options, LogOptionsOf(config_));
  ASSIGN_OR_RETURN(LogWriter log,
                   LogWriter::Open(fs_, layout_.datalog, options, [this](std::uint32_t generation) {
                     return path_->BundleOf(generation);
                   }));
  log_.emplace(std::move(log));
  ASSIGN_OR_RETURN(Exports exports, Exports::Open(config_.metrics, fs_, logger_));
  exports_.emplace(std::move(exports));
  const LocationConfig& place = config_.location;
  if (!place.gpsd.empty()) {
    ASSIGN_OR_RETURN(location::Connect connect, location::ConnectToGpsd(place.gpsd));
    locator_ = location::MakeGpsdLocator(std::move(connect));
  } else if (place.latitude && place.longitude) {
    ASSIGN_OR_RETURN(locator_, location::MakeConfiguredPlace(*place.latitude, *place.longitude,
                                                             place.accuracy_m));
  }
  return {};
}

namespace {

// A threshold taken over from the prototype: how often it alarms here, where nothing changes.
void SayRunLength(const Config& config, const model::ModelBundle& bundle, base::Logger& logger) {
  if (config.detector || !config.prototype || config.prototype->detectors.empty()) return;
  double count = 0.0;
  double mean = 0.0;
  double squares = 0.0;
  for (const auto& held_out :
       bundle.reference.held_out[tinylcm::drift::At(tinylcm::drift::Signal::kAnchorDistance)]) {
    for (const float distance : held_out) {
      count += 1.0;
      const double away = distance - mean;
      mean += away / count;
      squares += away * (distance - mean);
    }
  }
  if (!(squares > 0.0)) return;
  logger.Warning("drift_detectors: " + RunLengthSentence(config.prototype->detectors.front(),
                                                         std::sqrt(squares / (count - 1.0))));
}

std::string LimitsPath(const std::string& folder) { return base::JoinPath(folder, "limits.json"); }

// What earlier starts found by trial: this one need not wait for it again.
void LoadLimits(base::FileSystem& fs, const std::string& folder, base::Logger& logger) {
  const auto text = base::ReadTextFile(fs, LimitsPath(folder), 1u << 20);
  if (!text.ok()) return;  // Most often there is none.
  const auto json = base::Json::Parse(*text);
  const Status added = json.ok() ? tinylcm::drift::LimitCache::Shared().Add(*json) : json.error();
  if (!added.ok()) logger.Warning("limits are sought anew: " + added.error().message);
}

void KeepLimits(base::FileSystem& fs, const std::string& folder, base::Logger& logger) {
  const std::string text = tinylcm::drift::LimitCache::Shared().ToJson().Write();
  const Status kept = base::WriteFileDurably(fs, LimitsPath(folder), base::AsBytes(text));
  if (!kept.ok()) logger.Warning("limits are not kept: " + kept.error().message);
}

}  // namespace

// Loads what the slots say; after three failed starts in a row they say something older.
Status Agent::OpenSlots() {
  std::optional<Error> last;
  LoadLimits(fs_, layout_.lifecycle, logger_);
  const std::size_t limits_known = tinylcm::drift::LimitCache::Shared().size();
  for (std::uint32_t tries = 0; tries <= 3 * model::Slots::kFailedStartsMax; ++tries) {
    ASSIGN_OR_RETURN(const std::string current, slots_->BeginStart());
    auto loaded = LoadBundle(current);
    if (loaded.ok()) {
      loaded->golden = {};  // Only a bundle that is about to take over is asked for it.
      auto bundle = std::make_shared<const model::ModelBundle>(std::move(loaded).value());
      pipeline::LifecycleOptions options;
      options.mode = wished_mode_.value_or(config_.mode);
      options.false_alarm_every = FalseAlarmEvery(config_);
      ASSIGN_OR_RETURN(options.alarm, AlarmRuleOf(config_));
      SayRunLength(config_, *bundle, logger_);
      options.commission = static_cast<std::uint32_t>(config_.commission);
      options.cycle = config_.cycle;
      options.hold_back = config_.hold_back;
      options.quarantine_samples = config_.quarantine_samples;
      options.labels_per_event = config_.labels_per_event;
      options.patience_samples = config_.patience;
      options.pseudo_labels = config_.pseudo_labels;
      options.send_images = config_.consent_images;
      for (const MaskConfig& mask : config_.datalog_images.masks) {
        options.masks.push_back({mask.x, mask.y, mask.width, mask.height});
      }
      options.barcode = config_.source.barcode;
      options.seed = config_.seed;
      options.folder = layout_.lifecycle;
      pipeline::Lifecycle::Parts parts;
      parts.fs = &fs_;
      parts.clock = &clock_;
      parts.logger = &logger_;
      parts.outbox = this;
      parts.open_engine = model::OpenEngine;
      parts.make_id = [] { return base::RandomHex(8); };
      auto lifecycle = pipeline::Lifecycle::Open(options, parts, bundle);
      if (lifecycle.ok()) {
        lifecycle_ = std::move(lifecycle).value();
        path_ = std::make_unique<pipeline::FramePath>(lifecycle_->TakeFirstStage(),
                                                      lifecycle_->first_index());
        lifecycle_->Attach(*path_);
        bundle_ = std::move(bundle);
        status_ = lifecycle_->status();
        if (tinylcm::drift::LimitCache::Shared().size() > limits_known) {
          KeepLimits(fs_, layout_.lifecycle, logger_);
        }
        return {};
      }
      last = lifecycle.error();
      // An engine that is not there is not the bundle's fault.
      if (last->code == ErrorCode::kUnavailable) return *last;
    } else {
      last = loaded.error();
    }
    logger_.Error(StrCat("bundle ", current.substr(0, 12), " does not start: ", last->message));
  }
  return *last;
}

Status Agent::OpenSync(const base::Ed25519PublicKey** publisher) {
  ASSIGN_OR_RETURN(base::Ed25519Key key, sync::LoadOrMakeDeviceKey(fs_, layout_.device_key));
  key_.emplace(std::move(key));
  device_id_ = protocol::DeviceIdOf(key_->public_key());
  if (base::Exists(fs_, layout_.identity)) {
    ASSIGN_OR_RETURN(enrolment_, sync::ReadEnrolment(fs_, layout_.identity));
    *publisher = &enrolment_->trust.publisher_key;
  }
  sync::PackageQueue::Options queue;
  queue.folder = layout_.queue;
  queue.device_id = device_id_;
  queue.bytes_max = config_.sync.quota_bytes;
  ASSIGN_OR_RETURN(queue_, sync::PackageQueue::Open(fs_, clock_, logger_, queue));
  sync::PackageMaker::Options maker;
  maker.agent_version = kVersion;
  maker.boot = base::RandomHex(8);
  maker.config_sha256 = config_.sha256;
  maker.format = config_.sync.format;
  if (enrolment_ && !enrolment_->Takes(protocol::Name(maker.format))) {
    logger_.Warning(
        StrCat("the server does not take ", protocol::Name(maker.format), ", tar.gz is sent"));
    maker.format = protocol::ArchiveFormat::kTarGz;
  }
  maker_ = std::make_unique<sync::PackageMaker>(*queue_, clock_, *key_, maker);

  const std::string server = !config_.sync.server.empty() ? config_.sync.server
                             : enrolment_                 ? enrolment_->server
                                                          : "";
  if (!enrolment_ || server.empty()) {
    logger_.Info("not enrolled: working alone; packages wait in the queue");
    return {};
  }
  sync::CurlOptions curl;
  curl.server = server;
  curl.tls_pin = enrolment_->tls_pin;
  curl.allow_insecure_http = config_.sync.insecure_http;
  ASSIGN_OR_RETURN(transport_, sync::MakeCurlTransport(curl));
  sync::SyncClient::Options client;
  client.interval = config_.sync.interval;
  client.poll_most = config_.sync.poll;
  client.poll_least = std::min(client.poll_least, config_.sync.poll);
  client.backoff = {.least = config_.sync.backoff_min, .most = config_.sync.backoff_max};
  client.seed = config_.seed;
  ASSIGN_OR_RETURN(
      client_, sync::SyncClient::Open(fs_, clock_, logger_, *transport_, *queue_, *maker_, *key_,
                                      enrolment_->trust, layout_.sync_state, client));
  return {};
}

Result<model::ModelBundle> Agent::LoadBundle(const std::string& bundle) {
  ASSIGN_OR_RETURN(model::ModelBundle loaded,
                   model::LoadBundle(fs_, slots_->FolderOf(bundle), Traits()));
  if (config_.threads > 0) loaded.config.threads = config_.threads;
  return loaded;
}

Result<std::unique_ptr<source::Source>> Agent::OpenSource() {
  return OpenSourceOf(config_, fs_, clock_, logger_);
}

}  // namespace agent
