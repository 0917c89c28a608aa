// A new configuration, and what the server wishes.
//
//   SIGHUP ─▶ main thread: read, check, compare ─▶ control thread: take over, all at once
//                   └─ anything wrong, or a key that needs a restart: nothing changes, status says
//                   why
//
// The server may wish for a mode. Its wish holds, over restarts and whatever the configuration
// says, until it is taken back.

#include "agent/agent_impl.h"
#include "agent/config_keys.h"

namespace agent {

namespace adapt = tinylcm::adapt;

void Agent::Reload() {
  const auto refuse = [&](const std::string& why) {
    logger_.Error("configuration: nothing is changed: " + why);
    const std::scoped_lock lock(status_mutex_);
    config_status_.last_error = why;
  };
  auto read = reread_();
  if (!read.ok()) return refuse(read.error().message);
  std::string restart, changed;
  for (const ConfigKey* key : Differences(newest_, *read)) {
    std::string& names = key->reload == Reload::kRestart ? restart : changed;
    names += StrCat(names.empty() ? "" : ", ", key->path);
  }
  if (newest_.prototype != read->prototype) {
    restart +=
        StrCat(restart.empty() ? "" : ", ", "the prototype's model, processor or classifier");
  }
  if (!restart.empty()) return refuse(restart + " can only change with a restart");
  logger_.Info(StrCat("configuration: read anew: ", changed.empty() ? "no difference" : changed));
  newest_ = std::move(read).value();
  next_pictures_ = std::min(next_pictures_, clock_.Uptime() + newest_.sync.interval);
  const std::scoped_lock lock(orders_mutex_);
  accepted_ = newest_;
}

void Agent::TakeConfig() {
  {
    const std::scoped_lock lock(orders_mutex_);
    if (!accepted_) return;
    live_ = std::move(*accepted_);
    accepted_.reset();
  }
  ApplyMode();
  next_metrics_ = std::min(next_metrics_, clock_.Uptime() + live_.sync.interval);
  if (client_ != nullptr) client_->SetPace(live_.sync.interval, live_.sync.poll);
  maker_->SetConfigSha256(live_.sha256);
  log_every_ = live_.datalog_every;
  const std::scoped_lock lock(status_mutex_);
  config_status_ = {.sha256 = live_.sha256, .loaded_at = clock_.Now(), .last_error = ""};
}

Status Agent::OpenWishes() {
  config_status_ = {.sha256 = config_.sha256, .loaded_at = clock_.Now(), .last_error = ""};
  ASSIGN_OR_RETURN(tinylcm::state::TwoCopyRecord record,
                   tinylcm::state::TwoCopyRecord::Open(fs_, layout_.wishes));
  wishes_.emplace(std::move(record));
  if (!wishes_->value()) return {};
  const auto json = Json::Parse(base::AsText(*wishes_->value()));
  const Json* mode = json.ok() ? json->Find("mode") : nullptr;
  if (mode == nullptr || !mode->is_string()) return {};
  const auto parsed = adapt::ParseMode(mode->as_string());
  if (parsed.ok()) wished_mode_ = *parsed;
  mode_is_wished_ = wished_mode_.has_value();
  return {};
}

void Agent::Wish(const protocol::Desired& desired) {
  std::optional<adapt::Mode> mode;
  if (desired.mode) {
    const auto parsed = adapt::ParseMode(*desired.mode);
    if (!parsed.ok()) {
      logger_.Warning("the server's wish is not followed: " + parsed.error().message);
      return;
    }
    mode = *parsed;
  }
  if (mode == wished_mode_) return;
  // Durable first: after a kill in between the device is at most one document ahead.
  const std::string text =
      Json::MakeObject({{"mode", mode ? Json(adapt::Name(*mode)) : Json()}}).Write();
  const Status written = wishes_->Write(base::AsBytes(text));
  if (!written.ok()) logger_.Error("wishes: " + written.error().message);
  wished_mode_ = mode;
  mode_is_wished_ = mode.has_value();
  ApplyMode();
}

void Agent::ApplyMode() {
  const adapt::Mode mode = wished_mode_.value_or(live_.mode);
  if (lifecycle_->status().mode == adapt::Name(mode)) return;
  logger_.Info(StrCat("mode: ", adapt::Name(mode),
                      wished_mode_ ? ", as the server asks" : ", as the configuration says"));
  lifecycle_->SetMode(mode);
}

}  // namespace agent
