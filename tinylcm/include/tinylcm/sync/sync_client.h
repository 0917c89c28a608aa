// SyncClient: everything a device says to its server and hears from it.
//
//   while (!stopping) {
//     SyncResult result = client.SyncOnce(clock.Uptime());
//     ... hand on result.desired and result.feedback ...
//     client.WaitUntil(result.next);
//   }
//
// Inference never waits for it and never needs it. Nothing that is unsigned is believed: a proxy's
// 413, a portal's 200 or a forged 410 is no answer, and what was being sent is sent again.

#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/random.h"
#include "base/result.h"
#include "protocol/desired.h"
#include "protocol/feedback.h"
#include "tinylcm/state/record.h"
#include "tinylcm/sync/answer.h"
#include "tinylcm/sync/backoff.h"
#include "tinylcm/sync/package_maker.h"
#include "tinylcm/sync/package_queue.h"
#include "tinylcm/sync/signed_client.h"

namespace tinylcm::sync {

struct SyncResult {
  std::optional<protocol::Desired> desired;  // A new one; each is given once.
  // Until FeedbackTaken(id); in the server's order, none before an earlier one has come.
  std::vector<protocol::Feedback> feedback;
  std::uint64_t sent = 0;        // Of this call: stored, and ...
  std::uint64_t duplicates = 0;  // ... held already,
  std::uint64_t refused = 0;     // ... refused for good,
  std::uint64_t conflicts = 0;   // ... and made anew under another name.
  bool reached = false;          // Something of what came back was signed, or a 304.
  bool held = false;             // The server does not accept us now.
  base::Duration next{0};        // Uptime at which to call again.
};

// What status shows.
struct SyncStatus {
  std::optional<base::Time> last_contact;
  std::string last_error;  // Empty while it goes well.
  bool held = false;
  bool decommissioned = false;
  std::uint64_t sent = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t refused = 0;
  std::uint64_t conflicts = 0;
  std::int64_t desired_revision = -1;
};

// SyncOnce, Download and FeedbackTaken belong to one thread; the rest may be called from any.
class SyncClient {
 public:
  struct Options {
    base::Duration interval = std::chrono::hours(1);  // Between uploads that nobody asked for.
    base::Duration poll_least = std::chrono::seconds(5);
    base::Duration poll_most = std::chrono::hours(24);  // A device's own wish, below the server's.
    Backoff::Options backoff{};
    std::uint64_t resumable_from = 1u << 20;  // Bytes; larger archives are sent in parts,
    std::uint64_t part_bytes = 1u << 20;      // ... of this size.
    std::size_t packages_a_round = 64;
    std::uint64_t seed = 1;  // Of the jitter; any random number.
  };

  // References must outlive it. `state_path`: where the two-copy record lies.
  static base::Result<std::unique_ptr<SyncClient>> Open(
      base::FileSystem& fs, base::Clock& clock, base::Logger& logger, Transport& transport,
      PackageQueue& queue, PackageMaker& maker, const base::Ed25519Key& device_key,
      const Trust& trust, const std::string& state_path, const Options& options);

  // Does all that is due. Blocks for as long as the network takes.
  SyncResult SyncOnce(base::Duration now);

  // A feedback document was applied, or its application is durable otherwise.
  void FeedbackTaken(const std::string& feedback_id);

  // Fetches an artifact to `path`, going on where an earlier try stopped (`path`.part). Whatever
  // came that is not what was promised, be it a 404: kUnavailable, to be tried again after a while.
  // Any other error is this machine's disk's.
  base::Status Download(const protocol::Desired::Target& target, const std::string& path);

  // Another interval and poll_most, from now on.
  void SetPace(base::Duration interval, base::Duration poll_most);
  // Send what waits now, and poll.
  void RequestSend();
  // Sleeps until then, RequestSend or Stop.
  void WaitUntil(base::Duration uptime);
  void Stop();
  bool is_stopped() const { return stopped_.load(); }

  SyncStatus status() const;

 private:
  struct Saved {
    std::string store_generation;
    std::int64_t desired_revision = -1;
    bool decommissioned = false;
    std::optional<base::Time> requeued_since;
    base::Json ToJson() const;
    static base::Result<Saved> Parse(base::ByteView bytes);
  };

  SyncClient(base::FileSystem& fs, base::Clock& clock, base::Logger& logger, Transport& transport,
             PackageQueue& queue, PackageMaker& maker, const base::Ed25519Key& device_key,
             const Trust& trust, state::TwoCopyRecord record, const Options& options);

  // One try at one package.
  UploadVerdict Upload(const QueuedPackage& package, bool in_parts);
  UploadVerdict UploadWhole(const QueuedPackage& package, const QueuedArchive& archive);
  UploadVerdict UploadInParts(const QueuedPackage& package, const QueuedArchive& archive);
  bool SendWaiting(base::Duration now, SyncResult& result);
  bool Poll(base::Duration now, SyncResult& result);
  bool FetchFeedback(base::Duration now, SyncResult& result);
  const protocol::Feedback* Fetched(const std::string& feedback_id) const;
  std::vector<protocol::Feedback> FeedbackInOrder() const;
  bool Offer(base::Duration now, SyncResult& result);
  base::Status Conflict(const QueuedPackage& package);
  void RequeueDeadSince(base::Time since);
  void Report(const std::string& kind, base::Json details);
  void ReportSetAside();

  base::Result<SignedClient::Reply> Ask(const HttpRequest& request);
  bool NoteStanding(base::Duration now, const SignedClient::Reply& reply, SyncResult& result);
  void Decommission();
  void Reached(SyncResult& result);
  void NoteGeneration(const std::string& generation);
  void NoteHints(const HttpAnswer& answer);
  void Failed(base::Duration now, const std::string& why);
  void Save();
  base::Duration Jittered(base::Duration wait);

  base::FileSystem& fs_;
  base::Clock& clock_;
  base::Logger& logger_;
  Transport& transport_;
  PackageQueue& queue_;
  PackageMaker& maker_;
  SignedClient client_;
  Trust trust_;
  Options options_;
  state::TwoCopyRecord record_;
  Saved saved_;
  Backoff backoff_;
  base::Random random_;

  base::Duration not_before_{0};  // Backoff: no contact before.
  base::Duration next_send_{0};
  base::Duration next_poll_{0};
  bool asked_for_send_ = true;  // What waited while we were off is sent at once.
  std::optional<base::Duration> retry_after_;
  std::string etag_;       // Of the desired document we have.
  std::string etag_hint_;  // What the last answer said it is now.
  bool poll_now_ = true;
  base::Duration poll_after_{0};
  std::string new_generation_;                       // To be offered to, then saved.
  std::map<std::string, int> tries_;                 // By package id: failed ones.
  std::map<std::string, base::Duration> held_back_;  // By package id: not before.
  std::vector<std::string> feedback_wanted_;         // In the server's order.
  std::vector<protocol::Feedback> feedback_;         // Fetched, not taken; as they came.
  std::set<std::string> feedback_taken_;

  std::atomic<bool> stopped_{false};
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool send_requested_ = false;
  std::optional<std::pair<base::Duration, base::Duration>> new_pace_;
  SyncStatus status_;
};

}  // namespace tinylcm::sync
