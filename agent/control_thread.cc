#include <algorithm>
#include <utility>

#include "agent/agent_impl.h"
#include "agent/thread_priority.h"
#include "protocol/metrics.h"
#include "protocol/sketches.h"

namespace agent {

void Agent::ControlLoop() {
  const Status behind = StepBehind();
  if (!behind.ok()) logger_.Warning("searching may slow frames down: " + behind.error().message);
  ReportRunning("");
  base::Duration next_tick = clock_.Uptime();
  const base::Duration began = clock_.Uptime();
  next_metrics_ = began + std::min(live_.sync.interval, base::Duration{10'000});
  sketches_at_ = began;
  while (true) {
    const bool is_last = frames_done_;
    rings_.seen.Wait(milliseconds(100));
    rings_.seen.Take([&](pipeline::Seen& seen) {
      lifecycle_->OnSeen(seen);
      rings_.GiveBack(seen);
      ++frames_here_;
    });
    TakeConfig();
    std::vector<Order> orders;
    {
      const std::scoped_lock lock(orders_mutex_);
      orders.swap(orders_);
    }
    for (Order& order : orders) Carry(std::move(order));
    if (!is_healthy_ && frames_here_ >= kHealthyFrames) {
      is_healthy_ = true;
      const Status told = slots_->StartedHealthy();
      if (!told.ok()) logger_.Error("slots: " + told.error().message);
    }
    const base::Duration now = clock_.Uptime();
    const std::uint64_t frames = monitor_->counts().frames;
    const bool is_enough =
        live_.sync.samples > 0 && frames - frames_at_metrics_ >= live_.sync.samples;
    if (is_enough || now >= sketches_at_ + live_.sync.interval) SendSketches(now);
    if (is_enough || now >= next_metrics_) {
      SendMetrics();
      frames_at_metrics_ = frames;
      next_metrics_ = now + live_.sync.interval;
    }
    if (now >= next_tick || is_last) {
      next_tick = now + kSecond;
      TakeRollbackRequest();
      if (!requests_.empty()) SendRequested();
      lifecycle_->Tick();
    }
    {
      const std::scoped_lock lock(status_mutex_);
      status_ = lifecycle_->status();
      bundle_ = lifecycle_->shared_bundle();
      // Another bundle's, or a class more that people opened.
      if (std::vector<std::string> labels = lifecycle_->labels(); labels != labels_) {
        labels_ = labels;
        monitor_->SetLabels(std::move(labels));
      }
    }
    if (is_last) break;
  }
  SendMetrics();
  // A few minutes' worth is not worth a package.
  const base::Duration ended = clock_.Uptime();
  if (ended - sketches_at_ >= live_.sync.interval / 10) SendSketches(ended);
  lifecycle_->SaveAll();
  if (source_ended_) {
    const Status told = slots_->StartedHealthy();  // A short file is no failed start.
    if (!told.ok()) logger_.Error("slots: " + told.error().message);
  }
}

Status Agent::Send(std::string_view type, const std::string& bundle,
                   std::vector<protocol::PackageFile> files) {
  const auto sent = maker_->Send(type, bundle, files);
  if (!sent.ok()) return sent.error();
  if (client_ != nullptr && live_.sync.on_drift) client_->RequestSend();
  return {};
}

void Agent::SendMetrics() {
  protocol::DeviceMetrics metrics =
      monitor_->TakeWindow(clock_.Now(), clock_.Uptime(), monitor::ReadProcessFigures());
  FillMetrics(metrics);
  lifecycle_->Describe(metrics);
  const std::string json = protocol::ToJson(metrics).Write();
  std::vector<protocol::PackageFile> files{
      {std::string(protocol::kMetricsPath), "application/json", base::ToBytes(json)}};
  const auto sent = maker_->Send(protocol::kTypeMetrics, metrics.bundle, files);
  if (!sent.ok()) {
    logger_.Error("metrics: " + sent.error().message);
  } else if (client_ != nullptr) {
    client_->RequestSend();
  }
}

void Agent::SendSketches(base::Duration now) {
  sketches_at_ = now;
  path_->TakeSketches([this](const protocol::Sketches& sketches) {
    const std::vector<protocol::PackageFile> files{{std::string(protocol::kSketchesPath),
                                                    "application/octet-stream",
                                                    protocol::WriteSketches(sketches)}};
    const auto sent = maker_->Send(protocol::kTypeSketches, sketches.bundle, files);
    if (!sent.ok()) logger_.Error("sketches, later again: " + sent.error().message);
    return sent.ok();
  });
}

void Agent::SendUpdateReport(const protocol::UpdateReport& report) {
  const std::string json = protocol::ToJson(report).Write();
  const Status sent =
      Send(protocol::kTypeUpdateReport, report.bundle,
           {{std::string(protocol::kUpdateReportPath), "application/json", base::ToBytes(json)}});
  if (!sent.ok()) logger_.Error("update report: " + sent.error().message);
}

void Agent::ReportRunning(const std::string& deployment_id) {
  protocol::UpdateReport report;
  report.deployment_id = deployment_id;
  report.at = clock_.Now();
  report.outcome = protocol::UpdateOutcome::kRunning;
  pipeline::NameRunning(lifecycle_->bundle(), report);
  SendUpdateReport(report);
}

bool Agent::IsSettled(const std::string& deployment_id) {
  if (deployment_id.empty()) return false;
  const std::scoped_lock lock(status_mutex_);
  return std::ranges::find(settled_, deployment_id) != settled_.end();
}

// This deployment came to an end here, good or bad; a restart must know it too.
void Agent::Settle(const std::string& deployment_id) {
  if (deployment_id.empty()) return;
  Json ids = Json::MakeArray();
  {
    const std::scoped_lock lock(status_mutex_);
    settled_.push_back(deployment_id);
    if (settled_.size() > kDeploymentsKept) settled_.erase(settled_.begin());
    for (const std::string& id : settled_) ids.Append(id);
  }
  const std::string text = ids.Write();
  const Status written = deployments_->Write(base::AsBytes(text));
  if (!written.ok()) logger_.Error("deployments: " + written.error().message);
}

Status Agent::OpenDeployments() {
  ASSIGN_OR_RETURN(tinylcm::state::TwoCopyRecord record,
                   tinylcm::state::TwoCopyRecord::Open(fs_, layout_.deployments));
  deployments_.emplace(std::move(record));
  if (!deployments_->value()) return {};
  const auto json = Json::Parse(base::AsText(*deployments_->value()));
  if (!json.ok() || !json->is_array()) return {};
  for (const Json& id : json->as_array()) {
    if (id.is_string()) settled_.push_back(id.as_string());
  }
  return {};
}

void Agent::ReportFailed(const protocol::Desired& desired, const Error& error) {
  Settle(desired.deployment_id);
  logger_.Error(StrCat("deployment ", desired.deployment_id, ": ", error.message));
  protocol::UpdateReport report;
  report.at = clock_.Now();
  report.deployment_id = desired.deployment_id;
  report.outcome = protocol::UpdateOutcome::kFailed;
  pipeline::NameRunning(lifecycle_->bundle(), report);
  if (desired.target) report.attempted_bundle = desired.target->bundle;
  report.detail = error.message;
  SendUpdateReport(report);
}

void Agent::Carry(Order order) {
  bool is_in_order = true;  // A later letter may correct one that could not be applied.
  for (const protocol::Feedback& feedback : order.feedback) {
    if (is_in_order) {
      const Status applied = lifecycle_->OnFeedback(feedback);
      if (!applied.ok()) {
        logger_.Warning("feedback, later again: " + applied.error().message);
        is_in_order = false;
      }
    }
    const std::scoped_lock lock(orders_mutex_);
    (is_in_order ? feedback_taken_ : feedback_back_).push_back(feedback.feedback_id);
  }
  if (!order.desired) return;
  if (order.failed) {
    if (!IsSettled(order.desired->deployment_id)) ReportFailed(*order.desired, *order.failed);
    return;
  }
  // A document that waited for its archive may be older than one that was carried meanwhile.
  if (order.archive.empty()) {
    Wish(*order.desired);
    requests_ = order.desired->requests;
    SendRequested();
  }
  const bool goes_back = order.desired->action == protocol::DesiredAction::kRollback;
  if (!goes_back && order.archive.empty()) {
    const bool runs_already = order.desired->target &&
                              order.desired->target->bundle == lifecycle_->bundle().bundle &&
                              !lifecycle_->swap_is_under_way();
    if (runs_already && !IsSettled(order.desired->deployment_id)) {
      Settle(order.desired->deployment_id);
      ReportRunning(order.desired->deployment_id);
    }
    return;
  }
  // Each deployment is acted on once, however often its document comes.
  if (IsSettled(order.desired->deployment_id)) return;
  if (lifecycle_->swap_is_under_way()) {
    const std::scoped_lock lock(orders_mutex_);
    orders_.push_back(std::move(order));
    return;
  }
  if (goes_back) {
    GoBack(*order.desired);
  } else {
    Install(*order.desired, order.archive);
  }
}

// What the server wants to see more of. What cannot be queued now is tried again by and by.
void Agent::SendRequested() {
  std::erase_if(requests_, [this](const protocol::Desired::Request& request) {
    const Status sent = lifecycle_->SendSamples(
        request.event_id,
        static_cast<std::uint32_t>(std::min<std::int64_t>(request.samples, 1000)));
    if (!sent.ok()) logger_.Warning("samples, later again: " + sent.error().message);
    return sent.ok();
  });
}

void Agent::Install(const protocol::Desired& desired, const std::string& archive) {
  const auto installed = slots_->Install(archive, &enrolment_->trust.publisher_key, Traits(),
                                         desired.target->archive_sha256);
  static_cast<void>(fs_.Remove(archive).ok());  // Unpacked or refused, it is of no more use.
  if (!installed.ok()) return ReportFailed(desired, installed.error());
  if (installed->bundle != desired.target->bundle) {
    return ReportFailed(desired, {ErrorCode::kCorrupt, "the archive holds another bundle"});
  }
  // A device stays with its family even where its configuration names none.
  if (installed->manifest.model_family != lifecycle_->bundle().manifest.model_family) {
    return ReportFailed(
        desired, {ErrorCode::kUnsupported,
                  StrCat("model family ", installed->manifest.model_family, ", this device runs ",
                         lifecycle_->bundle().manifest.model_family)});
  }
  SwapTo(installed->bundle, desired.deployment_id);
}

void Agent::GoBack(const protocol::Desired& desired) {
  const std::string previous =
      slots_->state().previous.empty() ? slots_->state().golden : slots_->state().previous;
  if (previous.empty() || previous == lifecycle_->bundle().bundle) {
    return ReportFailed(desired, {ErrorCode::kNotFound, "there is no bundle to go back to"});
  }
  SwapTo(previous, desired.deployment_id);
}

void Agent::SwapTo(const std::string& bundle, const std::string& deployment_id) {
  protocol::Desired about;
  about.deployment_id = deployment_id;
  about.target = protocol::Desired::Target{};
  about.target->bundle = bundle;
  auto loaded = LoadBundle(bundle);
  if (!loaded.ok()) return ReportFailed(about, loaded.error());
  const Status swapped = lifecycle_->SwapBundle(
      std::make_shared<const model::ModelBundle>(std::move(loaded).value()), deployment_id,
      [this, bundle, deployment_id](bool healthy, protocol::UpdateReport report) {
        if (healthy) {
          const Status activated = slots_->Activate(bundle);
          if (!activated.ok()) {
            // It answers now, but the next start would bring the old one: that is no success.
            report.outcome = protocol::UpdateOutcome::kFailed;
            report.detail = "runs until the next start only: " + activated.error().message;
            logger_.Error("slots: " + report.detail);
          }
          const Status told = slots_->StartedHealthy();
          if (!told.ok()) logger_.Error("slots: " + told.error().message);
        }
        const Status collected = slots_->CollectGarbage();
        if (!collected.ok()) logger_.Warning("slots: " + collected.error().message);
        Settle(deployment_id);
        SendUpdateReport(report);
      });
  if (!swapped.ok()) ReportFailed(about, swapped.error());
}

void Agent::TakeRollbackRequest() {
  const auto request = base::ReadTextFile(fs_, layout_.rollback_request, 256);
  if (!request.ok()) return;
  const Status done = lifecycle_->RollBackTo(std::string(base::Trim(*request)));
  // A new bundle is being watched; it is asked again when that is over.
  if (!done.ok() && done.error().code == ErrorCode::kUnavailable) {
    if (!std::exchange(is_rollback_put_off_, true)) {
      logger_.Warning("state rollback, later again: " + done.error().message);
    }
    return;
  }
  is_rollback_put_off_ = false;
  // Afterwards: a kill in between brings it about twice, not never.
  static_cast<void>(fs_.Remove(layout_.rollback_request).ok());
  if (!done.ok()) logger_.Error("state rollback: " + done.error().message);
}

}  // namespace agent
