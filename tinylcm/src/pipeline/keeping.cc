#include "tinylcm/pipeline/keeping.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"

namespace tinylcm::pipeline {

using base::Bytes;
using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::uint64_t kAdapterBytesMax = 256u << 20;
constexpr char kDriftFile[] = "drift.bin";
constexpr std::uint64_t kDriftBytesMax = 16u << 20;

std::string FileOf(base::ByteView state) {
  return StrCat("adapter-", base::Sha256Hex(state).substr(0, 32), ".bin");
}

// Moves what cannot be read out of the way, so that the device goes on; a person may look at it.
void SetAside(base::FileSystem& fs, base::Logger& logger, const std::string& path,
              const Error& error) {
  logger.Error(StrCat(path, " is set aside: ", error.message));
  static_cast<void>(base::RemoveTree(fs, path + ".damaged").ok());
  static_cast<void>(fs.Rename(path, path + ".damaged").ok());
}

// Opens, or sets aside and opens anew. `paths`: what it stands on.
template <typename Open>
auto OpenOrSetAside(base::FileSystem& fs, base::Logger& logger,
                    std::initializer_list<std::string> paths, Open open) -> decltype(open()) {
  auto opened = open();
  if (opened.ok() || opened.error().code == ErrorCode::kExhausted) return opened;
  for (const std::string& path : paths) SetAside(fs, logger, path, opened.error());
  return open();
}

}  // namespace

Json ToJson(const LifecycleRecord& record) {
  Json events = Json::MakeArray();
  for (const EventSummary& event : record.events) events.Append(ToJson(event));
  Json feedback = Json::MakeArray();
  for (const std::string& id : record.feedback_done) feedback.Append(id);
  Json adapters = Json::MakeArray();
  for (const KeptAdapter& kept : record.adapters) {
    adapters.Append(Json::MakeObject({{"bundle", kept.bundle}, {"file", kept.file}}));
  }
  Json held = Json::MakeArray();
  for (const HeldReport& one : record.held_reports) {
    held.Append(
        Json::MakeObject({{"revision", one.revision}, {"report", protocol::ToJson(one.report)}}));
  }
  Json sent = Json::MakeArray();
  for (const SentSamples& one : record.sent_samples) {
    sent.Append(Json::MakeObject(
        {{"event_id", one.event_id}, {"samples", static_cast<std::int64_t>(one.samples)}}));
  }
  return Json::MakeObject({{"reserved_index", record.reserved_index},
                           {"revision", record.revision},
                           {"labels_applied", record.labels_applied},
                           {"adaptations", record.adaptations},
                           {"rollbacks", record.rollbacks},
                           {"escalations", record.escalations},
                           {"swap_gap_ms", record.swap_gap_ms},
                           {"feedback_done", std::move(feedback)},
                           {"ask_again", record.ask_again ? Json(*record.ask_again) : Json()},
                           {"event", record.event ? protocol::ToJson(*record.event) : Json()},
                           {"events", std::move(events)},
                           {"held_reports", std::move(held)},
                           {"sent_samples", std::move(sent)},
                           {"adapters", std::move(adapters)}});
}

Result<LifecycleRecord> ParseLifecycleRecord(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(text));
  base::JsonReader reader(json, "lifecycle");
  LifecycleRecord record;
  record.reserved_index = static_cast<std::uint64_t>(reader.Int("reserved_index", {.min = 0}));
  record.revision = static_cast<std::uint64_t>(reader.Int("revision", {.min = 0}));
  record.labels_applied = static_cast<std::uint64_t>(reader.Int("labels_applied", {.min = 0}));
  record.adaptations = static_cast<std::uint64_t>(reader.Int("adaptations", {.min = 0}));
  record.rollbacks = static_cast<std::uint64_t>(reader.Int("rollbacks", {.min = 0}));
  record.escalations = static_cast<std::uint64_t>(reader.Int("escalations", {.min = 0}));
  record.swap_gap_ms = reader.Double("swap_gap_ms");
  record.feedback_done = reader.Strings("feedback_done");
  record.ask_again = reader.OptionalString("ask_again");
  if (reader.Has("event")) {
    ASSIGN_OR_RETURN(record.event,
                     protocol::ParseDriftEvent(reader.Object("event").json().Write()));
  }
  for (base::JsonReader item : reader.Array("events")) {
    EventSummary event;
    event.event_id = item.String("event_id");
    event.index = static_cast<std::uint64_t>(item.Int("index", {.min = 0}));
    if (const auto frame = item.OptionalInt("frame", {.min = 0, .max = UINT32_MAX})) {
      event.frame_number = static_cast<std::uint32_t>(*frame);
    }
    event.kind = item.String("kind");
    event.text = item.String("text");
    for (base::JsonReader channel : item.Array("channels")) {
      event.channels.push_back(channel.AsInt());
    }
    record.events.push_back(std::move(event));
  }
  if (reader.Has("held_reports")) {
    for (base::JsonReader item : reader.Array("held_reports")) {
      const auto revision = static_cast<std::uint64_t>(item.Int("revision", {.min = 0}));
      ASSIGN_OR_RETURN(protocol::AdaptationReport report,
                       protocol::ParseAdaptationReport(item.Object("report").json().Write()));
      record.held_reports.push_back({revision, std::move(report)});
    }
  }
  if (reader.Has("sent_samples")) {
    for (base::JsonReader item : reader.Array("sent_samples")) {
      std::string event_id = item.String("event_id");
      const auto samples =
          static_cast<std::uint32_t>(item.Int("samples", {.min = 0, .max = 1'000'000}));
      record.sent_samples.push_back({std::move(event_id), samples});
    }
  }
  for (base::JsonReader item : reader.Array("adapters", 2)) {
    std::string bundle = item.String("bundle");
    record.adapters.push_back({std::move(bundle), item.String("file")});
  }
  RETURN_IF_ERROR(reader.status());
  return record;
}

Keeping::Keeping(base::FileSystem& fs, base::Logger& logger, std::string folder,
                 state::TwoCopyRecord record, state::SnapshotStore snapshots)
    : fs_(&fs),
      logger_(&logger),
      folder_(std::move(folder)),
      record_(std::move(record)),
      snapshots_(std::move(snapshots)) {}

Result<Keeping> Keeping::Open(base::FileSystem& fs, base::Logger& logger,
                              const std::string& folder) {
  const std::string record_path = base::JoinPath(folder, "lifecycle");
  const std::string snapshots_path = base::JoinPath(folder, "snapshots");
  ASSIGN_OR_RETURN(state::TwoCopyRecord record,
                   OpenOrSetAside(fs, logger, {record_path + ".a", record_path + ".b"},
                                  [&] { return state::TwoCopyRecord::Open(fs, record_path); }));
  ASSIGN_OR_RETURN(state::SnapshotStore snapshots,
                   OpenOrSetAside(fs, logger, {snapshots_path}, [&] {
                     return state::SnapshotStore::Open(fs, snapshots_path, {});
                   }));
  return Keeping(fs, logger, folder, std::move(record), std::move(snapshots));
}

Result<adapt::Quarantine> Keeping::OpenQuarantine(base::FileSystem& fs, base::Logger& logger,
                                                  const std::string& folder,
                                                  std::uint32_t samples_max) {
  const std::string path = base::JoinPath(folder, "quarantine");
  return OpenOrSetAside(fs, logger, {path}, [&] {
    return adapt::Quarantine::Open(fs, path, {.samples_max = samples_max});
  });
}

Status Keeping::Write(const LifecycleRecord& record) {
  const std::string text = ToJson(record).Write();
  RETURN_IF_ERROR(record_.Write(base::AsBytes(text)));
  RemoveUnnamed(record.adapters);
  return {};
}

Status Keeping::PrepareWayBack(LifecycleRecord record, base::ByteView state) {
  CHECK(!record.adapters.empty());
  const std::string file = FileOf(state);
  if (file != way_back_file_) {
    way_back_file_.clear();
    RETURN_IF_ERROR(WriteAdapter(file, state));
    way_back_file_ = file;
    way_back_bytes_.assign(state.begin(), state.end());
  }
  const std::vector<KeptAdapter> named = record.adapters;
  record.adapters.front().file = file;
  const std::string text = ToJson(record).Write();
  RETURN_IF_ERROR(record_.Prepare(base::AsBytes(text)));
  RemoveUnnamed(named);
  return {};
}

Status Keeping::TurnBack() {
  if (!record_.is_prepared()) return Error{ErrorCode::kNotFound, "no way back lies ready"};
  RETURN_IF_ERROR(record_.Turn());
  adapter_file_ = std::exchange(way_back_file_, {});
  adapter_bytes_ = std::exchange(way_back_bytes_, {});
  return {};
}

void Keeping::DropWayBack() {
  way_back_file_.clear();
  way_back_bytes_.clear();
}

// All adapter files but these and the one that lies ready.
void Keeping::RemoveUnnamed(const std::vector<KeptAdapter>& adapters) const {
  const auto files = fs_->List(folder_);
  if (!files.ok()) return;
  for (const base::FileInfo& file : *files) {
    if (!file.name.starts_with("adapter-") || file.name == way_back_file_) continue;
    const bool is_named =
        std::any_of(adapters.begin(), adapters.end(),
                    [&](const KeptAdapter& kept) { return kept.file == file.name; });
    if (!is_named) static_cast<void>(fs_->Remove(base::JoinPath(folder_, file.name)).ok());
  }
}

Status Keeping::WriteAdapter(const std::string& file, base::ByteView state) const {
  return base::WriteFileDurably(*fs_, base::JoinPath(folder_, file), state);
}

Result<std::string> Keeping::KeepAdapter(base::ByteView state) {
  if (!adapter_file_.empty() && std::ranges::equal(state, adapter_bytes_)) return adapter_file_;
  const std::string file = FileOf(state);
  RETURN_IF_ERROR(WriteAdapter(file, state));
  adapter_file_ = file;
  adapter_bytes_.assign(state.begin(), state.end());
  return file;
}

Result<Bytes> Keeping::ReadAdapter(const std::string& file) const {
  return base::ReadFile(*fs_, base::JoinPath(folder_, file), kAdapterBytesMax);
}

void Keeping::AdapterIs(const std::string& file, Bytes state) {
  adapter_file_ = file;
  adapter_bytes_ = std::move(state);
}

void Keeping::RestoreDrift(drift::DriftMonitor& monitor, std::uint64_t belongs_to) {
  const auto saved = base::ReadFile(*fs_, base::JoinPath(folder_, kDriftFile), kDriftBytesMax);
  if (saved.ok()) {
    const Status restored = monitor.RestoreState(*saved, belongs_to);
    if (!restored.ok()) {
      logger_->Warning("drift reference learned anew: " + restored.error().message);
    }
    return;
  }
  if (saved.error().code != ErrorCode::kNotFound) {
    logger_->Warning("drift reference learned anew: " + saved.error().message);
  }
  // What an earlier version left. Said once: it is gone then.
  const std::string old = base::JoinPath(folder_, "drift.json");
  if (fs_->Stat(old).ok()) {
    logger_->Warning(
        "drift reference learned anew: drift.json is of a version that watched one signal only");
    static_cast<void>(fs_->Remove(old).ok());
  }
}

Status Keeping::SaveDrift(base::ByteView state) {
  return base::WriteFileDurably(*fs_, base::JoinPath(folder_, kDriftFile), state);
}

}  // namespace tinylcm::pipeline
