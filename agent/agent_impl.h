// The agent's inside: what its four threads share, and which of them touches what.
//
//   opening.cc         folders, bundle, engine, source, sync: everything before the first frame
//   frame_thread.cc    source -> answer -> drift
//   control_thread.cc  labels, bundles, metrics: what the lifecycle decides
//   network_thread.cc  packages out, desired state in
//   main_thread.cc     the log of predictions, status, the signal to stop
//   reload.cc          a new configuration, and the server's wishes
//
// Threads meet only in what is named below: the rings of the frame thread, the orders, the status,
// atomics.

#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/agent.h"
#include "agent/config.h"
#include "agent/exports.h"
#include "agent/frame_loop.h"
#include "agent/layout.h"
#include "agent/log_writer.h"
#include "agent/verbs.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/logger.h"
#include "base/result.h"
#include "base/text.h"
#include "protocol/desired.h"
#include "protocol/update_report.h"
#include "tinylcm/datalog/datalog.h"
#include "tinylcm/location/location.h"
#include "tinylcm/model/slots.h"
#include "tinylcm/monitor/monitor.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/pipeline/lifecycle.h"
#include "tinylcm/source/frame.h"
#include "tinylcm/state/record.h"
#include "tinylcm/sync/enrol.h"
#include "tinylcm/sync/package_maker.h"
#include "tinylcm/sync/package_queue.h"
#include "tinylcm/sync/sync_client.h"
#include "tinylcm/sync/transport.h"

namespace agent {

namespace datalog = tinylcm::datalog;
namespace drift = tinylcm::drift;
namespace location = tinylcm::location;
namespace model = tinylcm::model;
namespace monitor = tinylcm::monitor;
namespace pipeline = tinylcm::pipeline;
namespace source = tinylcm::source;
namespace sync = tinylcm::sync;

using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;
using base::Status;
using base::StrCat;
using std::chrono::milliseconds;

inline constexpr std::uint64_t kHealthyFrames = 50;  // Then a start counts as one.
inline constexpr base::Duration kSecond{1'000};
inline constexpr base::Duration kHeapEvery{60'000};
inline constexpr base::Duration kPicturesRetry{60'000};
inline constexpr base::Duration kLastSend{5'000};  // What a clean stop gives the network.
inline constexpr base::Duration kDownloadRetry{5'000};
inline constexpr int kDownloadTries = 20;
inline constexpr std::size_t kDeploymentsKept = 32;

// What the network thread hands to the control thread.
struct Order {
  std::vector<protocol::Feedback> feedback;  // In this order.
  std::optional<protocol::Desired> desired;
  std::string archive;  // Downloaded, of desired->target.
  std::optional<Error> failed;
};

class Agent final : public pipeline::Outbox {
 public:
  Agent(const Config& config, const ConfigReader& reread, base::FileSystem& fs, base::Clock& clock,
        base::Logger& logger)
      : config_(config),
        reread_(reread),
        fs_(fs),
        clock_(clock),
        logger_(logger),
        layout_(config.data),
        newest_(config),
        live_(config),
        log_every_(config.datalog_every) {}

  Status Open();
  Status Run(Signals& signals);

  // pipeline::Outbox, on the control thread.
  Status Send(std::string_view type, const std::string& bundle,
              std::vector<protocol::PackageFile> files) override;

 private:
  Status OpenSlots();
  Status OpenSync(const base::Ed25519PublicKey** publisher);
  Result<std::unique_ptr<source::Source>> OpenSource();
  Result<model::ModelBundle> LoadBundle(const std::string& bundle);  // As this device runs it.
  model::DeviceTraits Traits() const {
    return {config_.model_family, config_.device_class, kVersion};
  }

  void FrameLoop();
  void ControlLoop();
  void NetworkLoop();

  Status OpenWishes();
  void Reload();      // Main thread: reads and judges the file.
  void TakeConfig();  // Control thread: takes over what was found good.
  void Wish(const protocol::Desired& desired);
  void ApplyMode();

  void Carry(Order order);
  void Install(const protocol::Desired& desired, const std::string& archive);
  void GoBack(const protocol::Desired& desired);
  void SwapTo(const std::string& bundle, const std::string& deployment_id);
  void ReportFailed(const protocol::Desired& desired, const Error& error);
  void ReportRunning(const std::string& deployment_id);
  bool IsSettled(const std::string& deployment_id);
  void Settle(const std::string& deployment_id);
  Status OpenDeployments();
  void SendUpdateReport(const protocol::UpdateReport& report);
  void SendMetrics();
  void SendSketches(base::Duration now);
  void TakeRollbackRequest();
  void SendRequested();
  Status OpenLog();
  void TakeLog();   // Main thread, often: empties the rings.
  void FlushLog();  // About once a second.
  void SendPictures();
  void Locate();
  // What neither the monitor nor the lifecycle knows. Any thread.
  void FillMetrics(protocol::DeviceMetrics& metrics);
  monitor::MetricsSnapshot LookAtMetrics();  // Main thread.
  void WriteStatus(bool is_running);

  const Config& config_;  // As at the start: what needs a restart is read here.
  const ConfigReader& reread_;
  base::FileSystem& fs_;
  base::Clock& clock_;
  base::Logger& logger_;
  Layout layout_;

  std::optional<base::Ed25519Key> key_;
  std::string device_id_;
  std::optional<sync::Enrolment> enrolment_;
  std::unique_ptr<sync::PackageQueue> queue_;
  std::unique_ptr<sync::PackageMaker> maker_;
  std::unique_ptr<sync::Transport> transport_;
  std::unique_ptr<sync::SyncClient> client_;
  std::optional<model::Slots> slots_;
  std::optional<tinylcm::state::TwoCopyRecord> deployments_;
  std::vector<std::string> settled_;  // Deployments that came to an end; under status_mutex_.
  std::unique_ptr<pipeline::Lifecycle> lifecycle_;
  std::unique_ptr<pipeline::FramePath> path_;
  std::unique_ptr<monitor::Monitor> monitor_;
  std::unique_ptr<source::Source> source_;

  // The main thread's.
  std::optional<LogWriter> log_;
  std::optional<Exports> exports_;
  std::unique_ptr<location::Locator> locator_;  // Null: nobody said where the device is.
  std::string log_error_;                       // As last logged.
  base::Duration next_pictures_{0};
  base::Duration no_pictures_before_{0};  // The last package of them could not be made.

  FrameRings rings_;
  std::mutex orders_mutex_;
  std::vector<Order> orders_;
  std::vector<std::string> feedback_taken_;  // Applied; and what could not be, to come again.
  std::vector<std::string> feedback_back_;
  bool is_rollback_put_off_ = false;                  // And it was said. Of the control thread.
  std::vector<protocol::Desired::Request> requests_;  // Not answered yet. The control thread's,
  std::vector<std::string> labels_;                   // ... as what the monitor calls answers.
  std::atomic<bool> stopping_{false};
  std::atomic<bool> source_ended_{false};
  std::atomic<bool> frames_done_{false};

  // A new configuration goes from the main to the control thread.
  Config newest_;                   // The main thread's: the last one found good.
  std::optional<Config> accepted_;  // Under orders_mutex_: not taken over yet.
  Config live_;                     // The control thread's: what can change while running.
  std::atomic<std::uint32_t> log_every_;
  struct ConfigStatus {
    std::string sha256;
    base::Time loaded_at{};
    std::string last_error;
  };
  ConfigStatus config_status_;  // Under status_mutex_.

  // The server's wishes, which outlive a restart.
  std::optional<tinylcm::state::TwoCopyRecord> wishes_;
  std::optional<tinylcm::adapt::Mode> wished_mode_;  // The control thread's.
  std::atomic<bool> mode_is_wished_{false};

  // The control thread's.
  std::uint64_t frames_here_ = 0;  // Since this start.
  std::uint64_t frames_at_metrics_ = 0;
  base::Duration next_metrics_{0};
  base::Duration sketches_at_{0};  // When they were sent last.
  bool is_healthy_ = false;

  // What status shows, written by the control thread.
  std::mutex status_mutex_;
  pipeline::LifecycleStatus status_;
  // The same mutex; written by the main thread.
  std::optional<location::Place> place_;
  std::uint64_t log_bytes_ = 0;
  std::uint64_t log_evicted_files_ = 0;
  std::shared_ptr<const model::ModelBundle> bundle_;
};

}  // namespace agent
