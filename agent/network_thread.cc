#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "agent/agent_impl.h"

namespace agent {

void Agent::NetworkLoop() {
  std::optional<protocol::Desired> wanted;  // Whose archive is still to be fetched.
  int tries = 0;                            // At it.
  std::set<std::string> handed_on;          // Feedback the control thread works on.
  while (!client_->is_stopped()) {
    {
      const std::scoped_lock lock(orders_mutex_);
      for (const std::string& id : feedback_taken_) {
        client_->FeedbackTaken(id);
        handed_on.erase(id);
      }
      for (const std::string& id : feedback_back_) handed_on.erase(id);
      feedback_taken_.clear();
      feedback_back_.clear();
    }
    sync::SyncResult result = client_->SyncOnce(clock_.Uptime());
    std::vector<Order> orders;
    base::Duration next = result.next;
    // Letters come again until they were taken. What is new waits for those the control thread
    // works on: should one of them have to come again, nothing may have overtaken it.
    const bool is_new = std::ranges::any_of(result.feedback, [&](const auto& feedback) {
      return !handed_on.contains(feedback.feedback_id);
    });
    if (handed_on.empty() && is_new) {
      for (const auto& feedback : result.feedback) handed_on.insert(feedback.feedback_id);
      Order order;
      order.feedback = std::move(result.feedback);
      orders.push_back(std::move(order));
    } else if (is_new) {
      next = std::min(next, clock_.Uptime() + kSecond);
    }
    if (result.desired) {
      const bool installs = result.desired->action == protocol::DesiredAction::kInstall;
      std::string running;
      {
        const std::scoped_lock lock(status_mutex_);
        running = bundle_->bundle;
      }
      if (!installs || IsSettled(result.desired->deployment_id) ||
          result.desired->target->bundle == running) {
        wanted.reset();
      } else if (!wanted || wanted->deployment_id != result.desired->deployment_id) {
        wanted = result.desired;
        tries = 0;
      }
      Order order;
      order.desired = std::move(result.desired);
      orders.push_back(std::move(order));
    }
    if (wanted) {
      const std::string file =
          base::JoinPath(layout_.downloads, wanted->target->archive_sha256 + ".tar.zst");
      Status fetched = fs_.CreateDirectories(layout_.downloads);
      if (fetched.ok()) fetched = client_->Download(*wanted->target, file);
      // Whatever came back may have been said by something in between; only after many tries in a
      // row is it given up.
      if (!fetched.ok() && ++tries < kDownloadTries) {
        logger_.Warning("download, later again: " + fetched.error().message);
        next = std::min(next, clock_.Uptime() + tries * kDownloadRetry);
      } else {
        tries = 0;
        Order order;
        order.desired = std::exchange(wanted, std::nullopt);
        if (fetched.ok()) {
          order.archive = file;
        } else {
          order.failed = fetched.error();
        }
        orders.push_back(std::move(order));
      }
    }
    if (!orders.empty()) {
      const std::scoped_lock lock(orders_mutex_);
      std::move(orders.begin(), orders.end(), std::back_inserter(orders_));
    }
    client_->WaitUntil(next);
  }
}

}  // namespace agent
