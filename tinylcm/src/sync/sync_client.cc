#include "tinylcm/sync/sync_client.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "base/json.h"
#include "base/text.h"
#include "protocol/identifiers.h"
#include "protocol/package.h"

namespace tinylcm::sync {

using base::Duration;
using base::Error;
using base::ErrorCode;
using base::Json;
using base::JsonReader;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::size_t kOfferedAtOnce = 1000;
constexpr int kResyncsMax = 3;

std::string PackagePath(const QueuedPackage& package) {
  return "/api/v1/packages/" + package.name.id();
}

std::optional<std::uint64_t> UploadOffsetOf(const HttpAnswer& answer) {
  const std::string* text = answer.Header("upload-offset");
  if (text == nullptr) return std::nullopt;
  const Result<std::int64_t> offset = base::ParseInt(base::Trim(*text));
  if (!offset.ok() || *offset < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*offset);
}

UploadVerdict NoAnswer(std::string why, bool is_heard = false) {
  UploadVerdict verdict;
  verdict.why = std::move(why);
  verdict.is_heard = is_heard;
  return verdict;
}

// Appends an artifact to its .part file: from where it ended, or from the beginning where the
// server does not go on in the middle.
class PartSink final : public AnswerSink {
 public:
  PartSink(base::FileSystem& fs, std::string path, std::uint64_t have, std::uint64_t promised)
      : fs_(fs), path_(std::move(path)), have_(have), promised_(promised) {}

  Status Begin(int status, const Headers& headers) override {
    const bool goes_on = status == 206;
    const std::string from = StrCat("bytes ", have_, "-");
    const std::string total = StrCat("/", promised_);
    bool is_range = false;
    for (const auto& [name, value] : headers) {
      is_range |= name == "content-range" && value.starts_with(from) &&
                  (value.ends_with(total) || value.ends_with("/*"));
      // Found out before what we have is written over.
      if (name == "content-length" && !goes_on && base::Trim(value) != StrCat(promised_)) {
        return Error{ErrorCode::kUnavailable, "another length than promised"};
      }
    }
    if (goes_on && !is_range) return Error{ErrorCode::kUnavailable, "another range than asked for"};
    auto file = fs_.Create(
        path_, goes_on ? base::FileSystem::Mode::kAppend : base::FileSystem::Mode::kTruncate);
    if (!file.ok()) return disk_ = file.error();
    file_ = std::move(file).value();
    if (!goes_on) have_ = 0;
    return {};
  }
  Status Append(base::ByteView bytes) override {
    if (bytes.size() > promised_ - have_) {
      is_too_long_ = true;
      return Error{ErrorCode::kUnavailable, "longer than promised"};
    }
    const Status written = file_->Append(bytes);
    if (!written.ok()) return disk_ = written;
    have_ += bytes.size();
    return {};
  }
  // What the disk said.
  Status Finish() {
    if (disk_.ok() && file_ != nullptr) disk_ = file_->Sync();
    if (disk_.ok() && file_ != nullptr) disk_ = file_->Close();
    file_.reset();
    return disk_;
  }
  std::uint64_t have() const { return have_; }
  bool is_too_long() const { return is_too_long_; }

 private:
  base::FileSystem& fs_;
  std::string path_;
  std::uint64_t have_;
  std::uint64_t promised_;
  std::unique_ptr<base::WritableFile> file_;
  bool is_too_long_ = false;
  Status disk_;
};

}  // namespace

Json SyncClient::Saved::ToJson() const {
  return Json::MakeObject(
      {{"format", "tinylcm-sync-record/1"},
       {"store_generation", store_generation},
       {"desired_revision", desired_revision},
       {"decommissioned", decommissioned},
       {"requeued_since", requeued_since ? Json(base::FormatTime(*requeued_since)) : Json()}});
}

Result<SyncClient::Saved> SyncClient::Saved::Parse(base::ByteView bytes) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(base::AsText(bytes)));
  JsonReader reader(json, "sync record");
  Saved saved;
  saved.store_generation = reader.String("store_generation");
  saved.desired_revision = reader.Int("desired_revision");
  saved.decommissioned = reader.Bool("decommissioned");
  if (const auto since = reader.OptionalString("requeued_since")) {
    ASSIGN_OR_RETURN(saved.requeued_since, base::ParseTime(*since));
  }
  RETURN_IF_ERROR(reader.status());
  return saved;
}

SyncClient::SyncClient(base::FileSystem& fs, base::Clock& clock, base::Logger& logger,
                       Transport& transport, PackageQueue& queue, PackageMaker& maker,
                       const base::Ed25519Key& device_key, const Trust& trust,
                       state::TwoCopyRecord record, const Options& options)
    : fs_(fs),
      clock_(clock),
      logger_(logger),
      transport_(transport),
      queue_(queue),
      maker_(maker),
      client_(transport, device_key, base::Fingerprint(trust.server_key)),
      trust_(trust),
      options_(options),
      record_(std::move(record)),
      backoff_(options.backoff, options.seed),
      random_(options.seed + 1),
      poll_after_(std::chrono::seconds(60)) {}

Result<std::unique_ptr<SyncClient>> SyncClient::Open(
    base::FileSystem& fs, base::Clock& clock, base::Logger& logger, Transport& transport,
    PackageQueue& queue, PackageMaker& maker, const base::Ed25519Key& device_key,
    const Trust& trust, const std::string& state_path, const Options& options) {
  Result<state::TwoCopyRecord> record = state::TwoCopyRecord::Open(fs, state_path);
  if (!record.ok() && record.error().code == ErrorCode::kCorrupt) {
    // What is lost is a floor under revisions and the server's generation; both come again.
    logger.Error(StrCat("sync: ", record.error().message, "; begun anew"));
    RETURN_IF_ERROR(base::RemoveTree(fs, state_path + ".a"));
    RETURN_IF_ERROR(base::RemoveTree(fs, state_path + ".b"));
    record = state::TwoCopyRecord::Open(fs, state_path);
  }
  if (!record.ok()) return record.error().Within("sync");
  Saved saved;
  if (record->value()) {
    Result<Saved> parsed = Saved::Parse(*record->value());
    if (parsed.ok()) {
      saved = *parsed;
    } else {
      logger.Error(StrCat("sync: ", parsed.error().message, "; begun anew"));
    }
  }
  std::unique_ptr<SyncClient> client(new SyncClient(fs, clock, logger, transport, queue, maker,
                                                    device_key, trust, std::move(record).value(),
                                                    options));
  client->saved_ = saved;
  client->status_.decommissioned = saved.decommissioned;
  client->status_.desired_revision = saved.desired_revision;
  return client;
}

SyncResult SyncClient::SyncOnce(Duration now) {
  SyncResult result;
  {
    const std::lock_guard lock(mutex_);
    if (send_requested_) asked_for_send_ = poll_now_ = true;
    send_requested_ = false;
    if (new_pace_) {
      std::tie(options_.interval, options_.poll_most) = *std::exchange(new_pace_, std::nullopt);
      options_.poll_least = std::min(Options{}.poll_least, options_.poll_most);
      next_send_ = std::min(next_send_, now + options_.interval);
      next_poll_ = std::min(next_poll_, now + options_.poll_most);
    }
  }
  if (saved_.decommissioned || stopped_.load()) {
    result.next = now + std::chrono::hours(24);
    return result;
  }
  const auto finish = [&]() {
    result.feedback = FeedbackInOrder();
    if (not_before_ > now) {
      result.next = not_before_;
    } else if (asked_for_send_ || poll_now_) {
      result.next = now;
    } else {
      result.next = std::min(next_send_, next_poll_);
    }
    return result;
  };
  if (now < not_before_) return finish();

  queue_.Refresh();
  ReportSetAside();
  if ((asked_for_send_ || now >= next_send_) && !SendWaiting(now, result)) return finish();
  if ((poll_now_ || now >= next_poll_) && !Poll(now, result)) return finish();
  if (!FetchFeedback(now, result)) return finish();
  if (!new_generation_.empty() && !Offer(now, result)) return finish();
  return finish();
}

// False: no further contact now.
bool SyncClient::SendWaiting(Duration now, SyncResult& result) {
  Duration next = now + options_.interval;
  std::size_t tried = 0;
  int unheard = 0;
  bool more = false;
  for (const QueuedPackage& package : queue_.Waiting()) {
    if (stopped_.load()) return false;
    const std::string id = package.name.id();
    const auto held_back = held_back_.find(id);
    if (held_back != held_back_.end() && held_back->second > now) {
      next = std::min(next, held_back->second);
      continue;
    }
    if (tried++ >= options_.packages_a_round) {
      more = true;
      break;
    }
    const bool in_parts = package.bytes > options_.resumable_from || tries_.contains(id);
    const UploadVerdict verdict = Upload(package, in_parts);
    if (verdict.outcome != UploadOutcome::kNoAnswer) {
      Reached(result);
      tries_.erase(id);
      held_back_.erase(id);
      unheard = 0;
      NoteGeneration(verdict.statement->store_generation);
    }
    switch (verdict.outcome) {
      case UploadOutcome::kStored:
      case UploadOutcome::kDuplicate: {
        const bool is_new = verdict.outcome == UploadOutcome::kStored;
        (is_new ? result.sent : result.duplicates) += 1;
        const Status acked = queue_.MarkAcked(package);
        // It stays in the queue and is sent again: the server answers duplicate.
        if (!acked.ok()) {
          logger_.Error(StrCat("sync: ", acked.error().message));
          held_back_[id] = now + options_.backoff.most;
        }
        break;
      }
      case UploadOutcome::kConflict: {
        result.conflicts += 1;
        const Status made = Conflict(package);
        if (made.ok()) {
          more = true;
        } else {
          logger_.Error(StrCat("sync: ", id, ": ", made.error().message));
          held_back_[id] = now + options_.backoff.most;
          next = std::min(next, held_back_[id]);
        }
        break;
      }
      case UploadOutcome::kRefused: {
        result.refused += 1;
        const auto& error = verdict.statement->error;
        const std::string code = verdict.statement->code;
        const std::string message = error ? error->message : "";
        const Status dead = queue_.MarkDead(package, code, message);
        if (!dead.ok()) {
          logger_.Error(StrCat("sync: ", dead.error().message));
          held_back_[id] = now + options_.backoff.most;
        }
        // A refused report would be reported by a report that is refused, too.
        if (package.type != protocol::kTypeOperationalLogs) {
          Report("package_refused", Json::MakeObject({{"package_id", id},
                                                      {"type", package.type},
                                                      {"code", code},
                                                      {"message", message}}));
        }
        break;
      }
      case UploadOutcome::kHeld:
        result.held = true;
        Failed(now, verdict.why);
        return false;
      case UploadOutcome::kDecommissioned:
        Decommission();
        return false;
      case UploadOutcome::kNoAnswer: {
        if (stopped_.load()) return false;
        // A damaged entry has been set aside meanwhile; the rest flows.
        if (verdict.why.empty()) break;
        const int tries = ++tries_[id];
        // One package may be what the server stumbles over; two in a row are the server or the way
        // to it, and then the packages are not to blame.
        if (!verdict.is_heard || retry_after_ || ++unheard >= 2) {
          held_back_.clear();
          Failed(now, StrCat(id, ": ", verdict.why));
          return false;
        }
        Backoff own(options_.backoff, random_.Next());
        Duration wait{0};
        for (int i = 0; i < tries; ++i) wait = own.Next();
        held_back_[id] = now + wait;
        next = std::min(next, held_back_[id]);
        logger_.Warning(StrCat("sync: ", id, ": ", verdict.why, "; sent again later"));
        break;
      }
    }
  }
  asked_for_send_ = more;
  next_send_ = more ? now : next;
  ReportSetAside();
  return true;
}

UploadVerdict SyncClient::Upload(const QueuedPackage& package, bool in_parts) {
  const Result<QueuedArchive> archive = queue_.OpenArchive(package);
  // Gone or damaged; the queue has dealt with it.
  if (!archive.ok()) return NoAnswer("");
  return in_parts ? UploadInParts(package, *archive) : UploadWhole(package, *archive);
}

UploadVerdict SyncClient::UploadWhole(const QueuedPackage& package, const QueuedArchive& archive) {
  const FileBody body(*archive.file, archive.offset, archive.bytes);
  HttpRequest request;
  request.method = "PUT";
  request.path = PackagePath(package);
  request.headers = {{"content-type", "application/octet-stream"}};
  request.body = &body;
  request.timeout = std::chrono::minutes(10);
  const Result<SignedClient::Reply> reply = Ask(request);
  if (!reply.ok()) return NoAnswer(reply.error().message);
  return JudgeUpload(reply->answer, trust_.server_key,
                     {client_.device_id(), package.name.id(), package.sha256, reply->nonce});
}

UploadVerdict SyncClient::UploadInParts(const QueuedPackage& package,
                                        const QueuedArchive& archive) {
  const std::string text =
      Json::MakeObject({{"bytes", package.bytes}, {"sha256", package.sha256}}).Write();
  const MemoryBody description(base::AsBytes(text));
  HttpRequest create;
  create.method = "POST";
  create.path = PackagePath(package);
  create.headers = {{"content-type", "application/json"}};
  create.body = &description;
  const Result<SignedClient::Reply> created = Ask(create);
  if (!created.ok()) return NoAnswer(created.error().message);
  const auto judge = [&](const SignedClient::Reply& reply) {
    return JudgeUpload(reply.answer, trust_.server_key,
                       {client_.device_id(), package.name.id(), package.sha256, reply.nonce});
  };
  UploadVerdict verdict = judge(*created);
  if (verdict.outcome != UploadOutcome::kNoAnswer) return verdict;
  const int status = created->answer.status;
  if (status == 404 || status == 405 || status == 501) return UploadWhole(package, archive);
  std::optional<std::uint64_t> offset = UploadOffsetOf(created->answer);
  if (status != 201 || !offset || *offset > archive.bytes) return verdict;

  for (int resyncs = 0;;) {
    if (stopped_.load()) return NoAnswer("stopped");
    const std::uint64_t count = std::min(options_.part_bytes, archive.bytes - *offset);
    const bool is_last = *offset + count == archive.bytes;
    const FileBody part(*archive.file, archive.offset + *offset, count);
    HttpRequest append;
    append.method = "PATCH";
    append.path = PackagePath(package) + "/upload";
    append.headers = {{"content-type", "application/partial-upload"},
                      {"upload-offset", std::to_string(*offset)},
                      {"upload-complete", is_last ? "?1" : "?0"}};
    append.body = &part;
    append.timeout = std::chrono::minutes(10);
    const Result<SignedClient::Reply> reply = Ask(append);
    if (!reply.ok()) return NoAnswer(reply.error().message);
    verdict = judge(*reply);
    if (verdict.outcome != UploadOutcome::kNoAnswer) return verdict;
    const std::optional<std::uint64_t> arrived = UploadOffsetOf(reply->answer);
    const bool is_plausible = arrived && *arrived <= archive.bytes;
    if (reply->answer.status == 204 && is_plausible && *arrived > *offset) {
      offset = arrived;
    } else if (reply->answer.status == 409 && is_plausible && ++resyncs <= kResyncsMax) {
      offset = arrived;
    } else {
      return verdict;
    }
  }
}

Status SyncClient::Conflict(const QueuedPackage& package) {
  // One fork makes one new epoch, however many packages of the old one conflict.
  if (package.name.epoch == queue_.epoch()) {
    RETURN_IF_ERROR(queue_.ForkEpoch());
    Report("epoch_fork", Json::MakeObject({{"package_id", package.name.id()},
                                           {"old_epoch", package.name.epoch},
                                           {"new_epoch", queue_.epoch()}}));
  }
  RETURN_IF_ERROR(maker_.MakeAnew(package));
  return {};
}

bool SyncClient::Poll(Duration now, SyncResult& result) {
  HttpRequest request;
  request.method = "GET";
  request.path = StrCat("/api/v1/devices/", client_.device_id(), "/desired");
  if (!etag_.empty()) request.headers.emplace_back("if-none-match", etag_);
  const Result<SignedClient::Reply> reply = Ask(request);
  if (!reply.ok()) {
    Failed(now, reply.error().message);
    return false;
  }
  if (!NoteStanding(now, *reply, result)) return false;
  const HttpAnswer& answer = reply->answer;
  if (answer.status == 304 && !etag_.empty()) {
    if (const auto hint = PollAfterOf(answer)) poll_after_ = *hint;
    // A 304 is unsigned and changes nothing; but for it the way to the server is open.
    Reached(result);
  } else {
    const Result<protocol::Statement> statement = DocumentStatement(
        answer, trust_.server_key, protocol::StatementKind::kDesired, client_.device_id());
    if (answer.status != 200 || !statement.ok()) {
      Failed(now, StrCat("desired: HTTP ", answer.status, ", ",
                         statement.ok() ? "no document" : statement.error().message));
      return false;
    }
    Reached(result);
    const Result<protocol::Desired> desired = protocol::ParseDesired(answer.body);
    if (!desired.ok()) {
      // Signed, so it will not get better by asking again at once.
      logger_.Error(StrCat("sync: ", desired.error().message));
    } else if (statement->subject != desired->deployment_id) {
      logger_.Error("sync: desired: its statement is for another deployment");
    } else {
      const std::string& known =
          new_generation_.empty() ? saved_.store_generation : new_generation_;
      const bool is_old =
          statement->store_generation == known && desired->revision < saved_.desired_revision;
      NoteGeneration(statement->store_generation);
      if (is_old) {
        logger_.Warning(StrCat("sync: desired: revision ", desired->revision,
                               " is older than the last one, ignored"));
      } else {
        const std::string* etag = answer.Header("etag");
        etag_ = etag != nullptr && etag->size() <= 256 ? *etag : "";
        poll_after_ = std::chrono::seconds(std::min<std::int64_t>(desired->poll_after_s, 86'400));
        feedback_wanted_ = desired->feedback;
        if (saved_.desired_revision != desired->revision) {
          saved_.desired_revision = desired->revision;
          Save();
        }
        if (desired->requeue_dead_since) RequeueDeadSince(*desired->requeue_dead_since);
        result.desired = *desired;
        const std::lock_guard lock(mutex_);
        status_.desired_revision = desired->revision;
      }
    }
  }
  poll_now_ = false;
  const Duration wait = std::min(std::max(poll_after_, options_.poll_least), options_.poll_most);
  next_poll_ = now + Jittered(wait);
  return true;
}

bool SyncClient::FetchFeedback(Duration now, SyncResult& result) {
  // What the server no longer lists was acknowledged; forget that we took it.
  std::erase_if(feedback_taken_, [&](const std::string& id) {
    return std::find(feedback_wanted_.begin(), feedback_wanted_.end(), id) ==
           feedback_wanted_.end();
  });
  std::vector<std::string> done;
  bool go_on = true;
  for (const std::string& id : feedback_wanted_) {
    if (Fetched(id) != nullptr || feedback_taken_.contains(id)) continue;
    if (stopped_.load()) return false;
    HttpRequest request;
    request.method = "GET";
    request.path = StrCat("/api/v1/devices/", client_.device_id(), "/feedback/", id);
    const Result<SignedClient::Reply> reply = Ask(request);
    if (!reply.ok()) {
      Failed(now, reply.error().message);
      go_on = false;
      break;
    }
    if (!NoteStanding(now, *reply, result)) {
      go_on = false;
      break;
    }
    if (reply->answer.status == 404) {
      done.push_back(id);  // Taken back meanwhile; the next desired document says so.
      continue;
    }
    const Result<protocol::Statement> statement = DocumentStatement(
        reply->answer, trust_.server_key, protocol::StatementKind::kFeedback, client_.device_id());
    if (reply->answer.status != 200 || !statement.ok() || statement->subject != id) {
      Failed(now, StrCat("feedback ", id, ": HTTP ", reply->answer.status, ", ",
                         statement.ok() ? "not the one asked for" : statement.error().message));
      go_on = false;
      break;
    }
    Reached(result);
    const Result<protocol::Feedback> feedback = protocol::ParseFeedback(reply->answer.body);
    if (!feedback.ok() || feedback->feedback_id != id) {
      logger_.Error(StrCat("sync: feedback ", id, ": ",
                           feedback.ok() ? "says it is another" : feedback.error().message));
      feedback_taken_.insert(id);
      continue;
    }
    feedback_.push_back(*feedback);
  }
  for (const std::string& id : done) std::erase(feedback_wanted_, id);
  return go_on;
}

const protocol::Feedback* SyncClient::Fetched(const std::string& feedback_id) const {
  const auto found = std::ranges::find(feedback_, feedback_id, &protocol::Feedback::feedback_id);
  return found == feedback_.end() ? nullptr : &*found;
}

// A later letter may take back what an earlier one says, so none overtakes another.
std::vector<protocol::Feedback> SyncClient::FeedbackInOrder() const {
  std::vector<protocol::Feedback> ordered;
  // What the server no longer lists came before all that it does.
  for (const protocol::Feedback& feedback : feedback_) {
    if (std::ranges::find(feedback_wanted_, feedback.feedback_id) == feedback_wanted_.end()) {
      ordered.push_back(feedback);
    }
  }
  for (const std::string& id : feedback_wanted_) {
    if (feedback_taken_.contains(id)) continue;
    const protocol::Feedback* feedback = Fetched(id);
    if (feedback == nullptr) break;
    ordered.push_back(*feedback);
  }
  return ordered;
}

void SyncClient::FeedbackTaken(const std::string& feedback_id) {
  std::erase_if(feedback_, [&](const protocol::Feedback& feedback) {
    return feedback.feedback_id == feedback_id;
  });
  feedback_taken_.insert(feedback_id);
}

// The server was restored or imported: names what it once acknowledged and sends again what it no
// longer has. Its answer is unsigned; a forged one only costs a few duplicates.
bool SyncClient::Offer(Duration now, SyncResult& result) {
  const std::vector<QueuedPackage> acked = queue_.In(QueueFolder::kAcked);
  std::uint64_t again = 0;
  for (std::size_t begin = 0; begin < acked.size(); begin += kOfferedAtOnce) {
    const std::size_t end = std::min(begin + kOfferedAtOnce, acked.size());
    Json ids = Json::MakeArray();
    for (std::size_t i = begin; i < end; ++i) ids.Append(acked[i].name.id());
    const std::string text = Json::MakeObject({{"packages", std::move(ids)}}).Write();
    const MemoryBody body(base::AsBytes(text));
    HttpRequest request;
    request.method = "POST";
    request.path = "/api/v1/packages/offer";
    request.headers = {{"content-type", "application/json"}};
    request.body = &body;
    const Result<SignedClient::Reply> reply = Ask(request);
    if (!reply.ok()) {
      Failed(now, reply.error().message);
      return false;
    }
    if (!NoteStanding(now, *reply, result)) return false;
    const Result<Json> json = Json::Parse(reply->answer.body);
    std::vector<std::string> unknown;
    Status status = Error{ErrorCode::kUnavailable, "offer: no list came back"};
    if (reply->answer.status == 200 && json.ok()) {
      JsonReader reader(*json, "offer");
      unknown = reader.Strings("unknown", kOfferedAtOnce);
      status = reader.status();
    }
    if (!status.ok()) {
      Failed(now, status.error().message);
      return false;
    }
    for (std::size_t i = begin; i < end; ++i) {
      if (std::find(unknown.begin(), unknown.end(), acked[i].name.id()) == unknown.end()) continue;
      const Status requeued = queue_.Requeue(acked[i]);
      if (!requeued.ok()) {
        Failed(now, requeued.error().message);
        return false;
      }
      again += 1;
    }
  }
  logger_.Info(StrCat("sync: the server's store is another one now; ", again, " of ", acked.size(),
                      " acknowledged packages are sent again"));
  saved_.store_generation = new_generation_;
  new_generation_.clear();
  Save();
  if (again > 0) asked_for_send_ = true;
  return true;
}

void SyncClient::RequeueDeadSince(base::Time since) {
  if (saved_.requeued_since && since <= *saved_.requeued_since) return;
  std::uint64_t count = 0;
  for (const QueuedPackage& package : queue_.In(QueueFolder::kDead)) {
    if (package.reason_code == "corrupt" || package.dead_at < since) continue;
    const Status requeued = queue_.Requeue(package);
    if (requeued.ok()) {
      count += 1;
    } else {
      logger_.Error(StrCat("sync: ", requeued.error().message));
    }
  }
  logger_.Info(StrCat("sync: ", count, " refused packages are sent again"));
  saved_.requeued_since = since;
  Save();
  if (count > 0) asked_for_send_ = true;
}

Status SyncClient::Download(const protocol::Desired::Target& target, const std::string& path) {
  const std::string part = path + ".part";
  // Nothing that comes is signed but by its sha256: who answered otherwise, the server or something
  // on the way, cannot be known, so none of it is the last word.
  const auto later = [](const auto&... why) {
    return Error{ErrorCode::kUnavailable, StrCat("artifact: ", why...)};
  };
  const Result<base::FileInfo> info = fs_.Stat(part);
  std::uint64_t have = info.ok() ? info->bytes : 0;
  if (have > target.bytes) {
    RETURN_IF_ERROR(fs_.Remove(part));
    have = 0;
  }
  if (have < target.bytes) {
    PartSink sink(fs_, part, have, target.bytes);
    HttpRequest request;
    request.method = "GET";
    request.path = "/artifacts/" + target.archive_sha256;
    if (have > 0) request.headers.emplace_back("range", StrCat("bytes=", have, "-"));
    request.sink = &sink;
    request.timeout = std::chrono::hours(1);
    const Result<SignedClient::Reply> reply = Ask(request);
    if (const Status disk = sink.Finish(); !disk.ok()) {
      // Begun anew where there is a next time: nobody knows what of it is on the disk.
      static_cast<void>(base::RemoveTree(fs_, part));
      return disk.error().Within("artifact");
    }
    // 416, and more than promised: what we have is not a beginning of it.
    if (sink.is_too_long() || (reply.ok() && reply->answer.status == 416)) {
      RETURN_IF_ERROR(base::RemoveTree(fs_, part));
    }
    if (!reply.ok()) return later(reply.error().message);
    const int status = reply->answer.status;
    if (status != 200 && status != 206) return later("HTTP ", status);
    if (sink.have() < target.bytes) {
      return later(sink.have(), " of ", target.bytes, " bytes so far");
    }
  }
  ASSIGN_OR_RETURN(const auto file, fs_.Open(part));
  ASSIGN_OR_RETURN(const base::Sha256Digest sha256, base::Sha256OfFile(*file));
  if (base::HexEncode(sha256) != target.archive_sha256) {
    RETURN_IF_ERROR(fs_.Remove(part));
    return later("sha256 differs from what was promised; begun anew");
  }
  RETURN_IF_ERROR(fs_.Rename(part, path));
  return fs_.SyncDirectory(std::string(base::FolderOf(path)));
}

void SyncClient::Report(const std::string& kind, Json details) {
  details.Set("at", base::FormatTime(clock_.Now()));
  details.Set("kind", kind);
  const std::vector<protocol::PackageFile> files = {
      {"events.jsonl", "application/jsonl", base::ToBytes(details.Write() + "\n")}};
  const auto sent = maker_.Send(protocol::kTypeOperationalLogs, "", files);
  if (!sent.ok()) logger_.Warning(StrCat("sync: ", kind, ": ", sent.error().message));
}

void SyncClient::ReportSetAside() {
  for (const QueuedPackage& package : queue_.TakeSetAside()) {
    Report("package_set_aside",
           Json::MakeObject(
               {{"file", package.file}, {"seq", package.name.seq}, {"reason", package.reason}}));
  }
}

Result<SignedClient::Reply> SyncClient::Ask(const HttpRequest& request) {
  retry_after_.reset();
  Result<SignedClient::Reply> reply = client_.Do(request);
  if (reply.ok()) NoteHints(reply->answer);
  return reply;
}

// False where the server says, signed and in answer to this request, that it does not accept us.
bool SyncClient::NoteStanding(Duration now, const SignedClient::Reply& reply, SyncResult& result) {
  const std::optional<protocol::Statement> standing =
      StandingOf(reply.answer, trust_.server_key, client_.device_id(), reply.nonce);
  if (!standing) return true;
  Reached(result);
  if (standing->kind == protocol::StatementKind::kDecommissioned) {
    Decommission();
  } else {
    result.held = true;
    Failed(now, StrCat("held: ", standing->error ? standing->error->message : standing->code));
  }
  return false;
}

void SyncClient::Decommission() {
  logger_.Warning("sync: the server has decommissioned this device; inference goes on, sync ends");
  saved_.decommissioned = true;
  Save();
  const std::lock_guard lock(mutex_);
  status_.decommissioned = true;
}

void SyncClient::NoteGeneration(const std::string& generation) {
  if (generation.empty() || generation == saved_.store_generation) return;
  if (saved_.store_generation.empty()) {
    saved_.store_generation = generation;
    Save();
  } else if (new_generation_ != generation) {
    new_generation_ = generation;
  }
}

void SyncClient::NoteHints(const HttpAnswer& answer) {
  retry_after_ = RetryAfterOf(answer);
  const std::string etag = DesiredEtagOf(answer);
  if (!etag.empty() && etag != etag_hint_) {
    etag_hint_ = etag;
    if (etag != etag_) poll_now_ = true;
  }
}

void SyncClient::Reached(SyncResult& result) {
  result.reached = true;
  backoff_.Reset();
  const std::lock_guard lock(mutex_);
  status_.last_contact = clock_.Now();
  status_.last_error.clear();
  status_.held = false;
}

void SyncClient::Failed(Duration now, const std::string& why) {
  const Duration wait = backoff_.Next(retry_after_);
  not_before_ = now + wait;
  logger_.Warning(StrCat("sync: ", why, "; next try in ", wait.count(), " ms"));
  const std::lock_guard lock(mutex_);
  status_.last_error = why;
  status_.held = why.starts_with("held");
}

void SyncClient::Save() {
  const Status written = record_.Write(base::AsBytes(saved_.ToJson().Write()));
  if (!written.ok()) logger_.Error(StrCat("sync: ", written.error().message));
}

Duration SyncClient::Jittered(Duration wait) {
  return Duration(static_cast<std::int64_t>(
      std::llround(static_cast<double>(wait.count()) * random_.Uniform(0.5, 1.5))));
}

void SyncClient::SetPace(Duration interval, Duration poll_most) {
  {
    const std::lock_guard lock(mutex_);
    new_pace_ = {interval, poll_most};
  }
  wake_.notify_all();
}

void SyncClient::RequestSend() {
  const std::lock_guard lock(mutex_);
  send_requested_ = true;
  wake_.notify_all();
}

void SyncClient::WaitUntil(Duration uptime) {
  std::unique_lock lock(mutex_);
  while (!stopped_.load() && !send_requested_ && !new_pace_) {
    const Duration left = uptime - clock_.Uptime();
    if (left <= Duration(0)) return;
    wake_.wait_for(lock, left);
  }
}

void SyncClient::Stop() {
  stopped_.store(true);
  transport_.Cancel();
  const std::lock_guard lock(mutex_);
  wake_.notify_all();
}

SyncStatus SyncClient::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace tinylcm::sync
