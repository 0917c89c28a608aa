#include "agent/replay.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/random.h"
#include "base/text.h"
#include "protocol/drift_event.h"
#include "protocol/feedback.h"
#include "protocol/samples.h"
#include "tinylcm/model/archive.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/pipeline/lifecycle.h"
#include "tinylcm/source/folder_source.h"
#include "tinylcm/source/stream_source.h"

namespace agent {

namespace adapt = tinylcm::adapt;
namespace model = tinylcm::model;
namespace pipeline = tinylcm::pipeline;
namespace source = tinylcm::source;

using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

// Removed when done, however it ends.
class ScratchFolder {
 public:
  explicit ScratchFolder(base::FileSystem& fs)
      : fs_(fs), path_("/tmp/tinylcm-replay-" + base::RandomHex(8)) {}
  ~ScratchFolder() { static_cast<void>(base::RemoveTree(fs_, path_).ok()); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  base::FileSystem& fs_;
  std::string path_;
};

// What would be sent: drift events are kept, and the samples they ask about.
class Collector final : public pipeline::Outbox {
 public:
  Status Send(std::string_view type, const std::string&,
              std::vector<protocol::PackageFile> files) override {
    if (type != protocol::kTypeDriftEvent) return {};
    for (const protocol::PackageFile& file : files) {
      if (file.path == protocol::kDriftEventPath) {
        ASSIGN_OR_RETURN(protocol::DriftEvent event,
                         protocol::ParseDriftEvent(base::AsText(file.bytes)));
        events.push_back(std::move(event));
      } else if (file.path == protocol::kSamplesPath) {
        ASSIGN_OR_RETURN(asked, protocol::ParseSampleSet(base::AsText(file.bytes)));
        is_asked = true;
      }
    }
    return {};
  }

  std::vector<protocol::DriftEvent> events;
  protocol::SampleSet asked;
  bool is_asked = false;
};

std::string Csv(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + "\"";
}

Result<std::unique_ptr<source::Source>> OpenSource(const ReplayOptions& options,
                                                   base::FileSystem& fs, base::Clock& clock,
                                                   base::Logger& logger) {
  const int given = (options.rows.empty() ? 0 : 1) + (options.images.empty() ? 0 : 1) +
                    (options.mjpeg.empty() ? 0 : 1);
  if (given != 1) {
    return Error{ErrorCode::kInvalidArgument,
                 "replay: exactly one of --rows, --images and --mjpeg is asked"};
  }
  if (!options.images.empty()) {
    ASSIGN_OR_RETURN(std::unique_ptr<source::FolderSource> folder,
                     source::FolderSource::Open(fs, clock, options.images));
    return std::unique_ptr<source::Source>(std::move(folder));
  }
  source::StreamOptions stream;
  stream.kind = options.rows.empty() ? source::StreamOptions::Kind::kMjpeg
                                     : source::StreamOptions::Kind::kCsv;
  stream.path = options.rows.empty() ? options.mjpeg : options.rows;
  stream.rows.name = stream.path;
  stream.rows.label_column = options.label_column;
  ASSIGN_OR_RETURN(std::unique_ptr<source::StreamSource> opened,
                   source::OpenStream(stream, clock, logger));
  return std::unique_ptr<source::Source>(std::move(opened));
}

Result<model::ModelBundle> OpenBundle(const std::string& path, const std::string& scratch,
                                      base::FileSystem& fs) {
  ASSIGN_OR_RETURN(const base::FileInfo info, fs.Stat(path));
  if (info.is_directory) return model::LoadBundle(fs, path, {});
  const std::string folder = base::JoinPath(scratch, "bundle");
  ASSIGN_OR_RETURN(const model::ArchiveInfo archive,
                   model::UnpackArchive(fs, path, folder, nullptr, {}));
  return model::LoadBundle(fs, folder, {});
}

double Percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0.0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace

Result<Json> Replay(const ReplayOptions& options, base::FileSystem& fs, base::Clock& clock,
                    base::Logger& logger, const model::EngineOpener& open_engine) {
  ScratchFolder scratch(fs);
  RETURN_IF_ERROR(fs.CreateDirectories(scratch.path()));
  ASSIGN_OR_RETURN(model::ModelBundle loaded, OpenBundle(options.bundle, scratch.path(), fs));
  const auto bundle = std::make_shared<const model::ModelBundle>(std::move(loaded));
  ASSIGN_OR_RETURN(std::unique_ptr<source::Source> source, OpenSource(options, fs, clock, logger));

  Collector collector;
  base::Random ids(options.seed);
  pipeline::LifecycleOptions lifecycle_options;
  lifecycle_options.mode = options.mode;
  lifecycle_options.false_alarm_every = options.false_alarm_every;
  lifecycle_options.labels_per_event =
      options.labels_per_event == 0 ? 24 : options.labels_per_event;
  lifecycle_options.seed = options.seed;
  lifecycle_options.folder = base::JoinPath(scratch.path(), "lifecycle");
  pipeline::Lifecycle::Parts parts;
  parts.fs = &fs;
  parts.clock = &clock;
  parts.logger = &logger;
  parts.outbox = &collector;
  parts.open_engine = open_engine;
  parts.make_id = [&ids] {
    const std::uint64_t id = ids.Next();
    return base::HexEncode({reinterpret_cast<const std::uint8_t*>(&id), sizeof id});
  };
  ASSIGN_OR_RETURN(std::unique_ptr<pipeline::Lifecycle> lifecycle,
                   pipeline::Lifecycle::Open(lifecycle_options, parts, bundle));
  pipeline::FramePath path(lifecycle->TakeFirstStage(), lifecycle->first_index());
  lifecycle->Attach(path);

  std::unique_ptr<base::WritableFile> predictions;
  if (!options.predictions.empty()) {
    ASSIGN_OR_RETURN(predictions,
                     fs.Create(options.predictions, base::FileSystem::Mode::kTruncate));
    RETURN_IF_ERROR(predictions->Append(base::AsBytes("row,prediction,confidence,label\n")));
  }
  const std::vector<std::string>& names = bundle->manifest.labels;
  std::vector<std::string> truth;  // By inference index.
  std::vector<std::uint64_t> row_of;
  std::vector<double> durations;
  std::uint64_t rows = 0, skipped = 0, labelled = 0, correct = 0;
  std::size_t feedback_given = 0;
  while (true) {
    auto next = source->Next();
    if (next.ok() && !next->has_value()) {
      if (source->ended()) break;
      continue;
    }
    const std::uint64_t row = rows++;
    if (!next.ok()) {
      ++skipped;
      logger.Warning("skipped: " + next.error().message);
      continue;
    }
    const std::string label = (*next)->label;
    auto seen = path.Process(std::move(**next));
    if (!seen.ok()) {
      ++skipped;
      logger.Warning("skipped: " + seen.error().message);
      continue;
    }
    // What was answered is written before the label could be known.
    const std::uint16_t said = seen->prediction.label;
    const std::string answer = said < names.size() ? names[said] : "unknown";
    if (predictions != nullptr) {
      const std::string line =
          StrCat(row, ",", Csv(answer), ",", seen->prediction.confidence, ",", Csv(label), "\n");
      RETURN_IF_ERROR(predictions->Append(base::AsBytes(line)));
    }
    truth.push_back(label);
    row_of.push_back(row);
    durations.push_back(seen->total_us);
    if (!label.empty()) {
      ++labelled;
      if (label == answer) ++correct;
    }
    lifecycle->OnSeen(*seen);
    if (collector.is_asked) {
      collector.is_asked = false;
      if (options.labels_per_event > 0 && options.mode != adapt::Mode::kMonitoringOnly) {
        protocol::Feedback feedback;
        feedback.feedback_id = StrCat("f-", ++feedback_given);
        feedback.bundle = lifecycle->bundle().bundle;
        for (const protocol::SampleRecord& sample : collector.asked.samples) {
          if (sample.index < truth.size() && !truth[sample.index].empty()) {
            feedback.labels.push_back({sample.sample_id, truth[sample.index], 1.0, 1});
          }
        }
        RETURN_IF_ERROR(lifecycle->OnFeedback(feedback));
      }
    }
    if (rows % 256 == 0) lifecycle->Tick();
  }
  if (predictions != nullptr) RETURN_IF_ERROR(predictions->Close());

  if (!options.events.empty()) {
    std::string lines;
    for (const protocol::DriftEvent& event : collector.events) {
      lines += protocol::ToJson(event).Write() + "\n";
    }
    ASSIGN_OR_RETURN(const auto file, fs.Create(options.events, base::FileSystem::Mode::kTruncate));
    RETURN_IF_ERROR(file->Append(base::AsBytes(lines)));
    RETURN_IF_ERROR(file->Close());
  }

  const pipeline::LifecycleStatus status = lifecycle->status();
  Json alarms = Json::MakeArray();
  for (const pipeline::EventSummary& event : status.events) {
    Json classes = Json::MakeArray();
    Json severity;
    for (const protocol::DriftEvent& sent : collector.events) {
      if (sent.event_id != event.event_id) continue;
      severity = sent.sigma ? Json(*sent.sigma) : Json();
      for (const auto& share : sent.classes) classes.Append(share.label);
    }
    alarms.Append(Json::MakeObject({{"row", event.index < row_of.size() ? row_of[event.index] : 0},
                                    {"kind", event.kind},
                                    {"severity", severity},
                                    {"classes", std::move(classes)}}));
  }
  return Json::MakeObject(
      {{"rows", rows},
       {"skipped", skipped},
       {"accuracy", labelled == 0
                        ? Json()
                        : Json(static_cast<double>(correct) / static_cast<double>(labelled))},
       {"estimated_accuracy", Json()},
       {"alarms", std::move(alarms)},
       {"labels_used", status.labels_applied},
       {"adaptations", status.adaptations},
       {"rollbacks", status.rollbacks},
       {"escalations", status.escalations},
       {"us_per_row", Json::MakeObject({{"p50", Percentile(durations, 0.5)},
                                        {"p99", Percentile(durations, 0.99)}})}});
}

}  // namespace agent
