#include "agent/replay.h"

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/random.h"
#include "base/text.h"
#include "protocol/drift_event.h"
#include "protocol/metrics.h"
#include "tinylcm/source/folder_source.h"
#include "tinylcm/source/stream_source.h"
#include "tinylcm/tinylcm.h"

namespace agent {

namespace adapt = tinylcm::adapt;
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

// What cannot be used for a run, said before it begins.
Status Check(const ReplayOptions& options) {
  if (!(options.false_alarm_every >= 10.0 && options.false_alarm_every <= 1e12)) {
    return Error{ErrorCode::kInvalidArgument, "replay: --false-alarm-every must be 10 to 1e12"};
  }
  if (options.labels_per_event < 0 || options.labels_per_event > 10'000) {
    return Error{ErrorCode::kInvalidArgument, "replay: --labels-per-event must be 0 to 10000"};
  }
  return {};
}

// Null where none is wanted.
Result<std::unique_ptr<base::WritableFile>> CreateWanted(base::FileSystem& fs,
                                                         const std::string& path,
                                                         const char* option) {
  if (path.empty()) return std::unique_ptr<base::WritableFile>();
  auto file = fs.Create(path, base::FileSystem::Mode::kTruncate);
  if (file.ok()) return file;
  return Error{ErrorCode::kInvalidArgument, StrCat("replay: ", option, ": ", file.error().message)};
}

// A stream nothing of which can be used is wrong input and no result: then the reason is given
// once. Warnings are therefore held back until something was of use.
class Skipping {
 public:
  explicit Skipping(base::Logger& logger) : logger_(logger) {}

  void Skip(const Error& error) {
    ++count_;
    if (is_of_use_) {
      Warn(error);
    } else if (!first_) {
      first_ = error;
    }
  }

  void Used() {
    if (std::exchange(is_of_use_, true) || !first_) return;
    Warn(*first_);
    if (count_ > 1) logger_.Warning(StrCat("skipped: ", count_ - 1, " more before the first row"));
  }

  std::uint64_t count() const { return count_; }

  // An Error where nothing was of use.
  Status Verdict() const {
    if (is_of_use_) return {};
    if (!first_) return Error{ErrorCode::kInvalidArgument, "replay: there is nothing to replay"};
    std::string said = "replay: " + first_->message;
    if (count_ > 1) said += StrCat("; nor could the ", count_ - 1, " after it be used");
    return Error{ErrorCode::kInvalidArgument, said};
  }

 private:
  void Warn(const Error& error) { logger_.Warning("skipped: " + error.message); }

  base::Logger& logger_;
  std::uint64_t count_ = 0;
  std::optional<Error> first_;
  bool is_of_use_ = false;
};

double Percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0.0;
  const auto at = static_cast<std::size_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

// The simulated operator: labels the samples that are asked for, and only those.
Status LabelWanted(tinylcm::Device& device, const tinylcm::WantedLabels& wanted,
                   const std::vector<std::string>& truth) {
  std::vector<tinylcm::SampleLabel> labels;
  for (const tinylcm::WantedSample& sample : wanted.samples) {
    if (sample.index < truth.size() && !truth[sample.index].empty()) {
      labels.push_back({sample.sample_id, truth[sample.index]});
    }
  }
  return device.ApplyLabels(labels);
}

}  // namespace

Result<Json> Replay(const ReplayOptions& options, base::FileSystem& fs, base::Clock& clock,
                    base::Logger& logger) {
  RETURN_IF_ERROR(Check(options));
  ScratchFolder scratch(fs);
  ASSIGN_OR_RETURN(std::unique_ptr<source::Source> source, OpenSource(options, fs, clock, logger));

  // One an alarm, as it was last explained; and those whose samples were asked about.
  std::vector<protocol::DriftEvent> alarms;
  std::vector<protocol::DriftEvent> asked;
  std::optional<tinylcm::WantedLabels> wanted;
  base::Random ids(options.seed);
  tinylcm::Device::Options given;
  given.bundle = options.bundle;
  given.state = scratch.path();
  given.mode = options.mode;
  given.false_alarm_every = options.false_alarm_every;
  if (options.labels_per_event > 0) {
    given.labels_per_event = static_cast<std::uint32_t>(options.labels_per_event);
  }
  given.seed = options.seed;
  given.on_drift = [&alarms](const protocol::DriftEvent& event) { alarms.push_back(event); };
  given.on_labels_wanted = [&wanted](const tinylcm::WantedLabels& samples) { wanted = samples; };
  given.fs = &fs;
  given.clock = &clock;
  given.logger = &logger;
  given.housekeeping_samples = 256;
  given.make_id = [&ids] {
    const std::uint64_t id = ids.Next();
    return base::HexEncode({reinterpret_cast<const std::uint8_t*>(&id), sizeof id});
  };
  ASSIGN_OR_RETURN(tinylcm::Device device, tinylcm::Device::Open(std::move(given)));

  ASSIGN_OR_RETURN(const std::unique_ptr<base::WritableFile> events,
                   CreateWanted(fs, options.events, "--events"));
  ASSIGN_OR_RETURN(const std::unique_ptr<base::WritableFile> predictions,
                   CreateWanted(fs, options.predictions, "--predictions"));
  if (predictions != nullptr) {
    RETURN_IF_ERROR(predictions->Append(base::AsBytes("row,prediction,confidence,label\n")));
  }
  std::vector<std::string> truth;  // By inference index.
  std::vector<std::uint64_t> row_of;
  std::vector<double> durations;
  std::uint64_t rows = 0, labelled = 0, correct = 0;
  Skipping skipping(logger);
  while (true) {
    auto next = source->Next();
    if (next.ok() && !next->has_value()) {
      if (source->ended()) break;
      continue;
    }
    const std::uint64_t row = rows++;
    if (!next.ok()) {
      skipping.Skip(next.error());
      continue;
    }
    const source::Frame& frame = **next;
    const auto answered = frame.row.empty() ? device.Process(frame.view(), frame.label)
                                            : device.Process(frame.row, frame.label);
    if (!answered.ok()) {
      skipping.Skip(answered.error());
      continue;
    }
    skipping.Used();
    if (!answered->has_value()) continue;  // A window is not full yet.
    // What was answered is written before the label could be known.
    const tinylcm::Answer& answer = **answered;
    const std::string said(answer.label);
    const std::string label(answer.truth);
    if (predictions != nullptr) {
      const std::string line =
          StrCat(row, ",", Csv(said), ",", answer.confidence, ",", Csv(label), "\n");
      RETURN_IF_ERROR(predictions->Append(base::AsBytes(line)));
    }
    truth.push_back(label);
    row_of.push_back(row);
    durations.push_back(answer.total_us);
    if (!label.empty()) {
      ++labelled;
      if (label == said) ++correct;
    }
    if (wanted) {
      if (const auto event = device.LastDrift()) asked.push_back(*event);
      if (options.labels_per_event > 0 && options.mode != adapt::Mode::kMonitoringOnly) {
        RETURN_IF_ERROR(LabelWanted(device, *wanted, truth));
      }
      wanted.reset();
    }
  }
  RETURN_IF_ERROR(skipping.Verdict());
  if (predictions != nullptr) RETURN_IF_ERROR(predictions->Close());

  // Each as it was explained when labels were asked; the last may not have come to that, and is
  // told as it is known by now.
  device.Save();
  if (const auto last = device.LastDrift()) asked.push_back(*last);
  for (protocol::DriftEvent& alarm : alarms) {
    const auto explained = std::find_if(asked.begin(), asked.end(), [&](const auto& event) {
      return event.event_id == alarm.event_id;
    });
    if (explained != asked.end()) alarm = *explained;
  }
  if (events != nullptr) {
    std::string lines;
    for (const protocol::DriftEvent& event : alarms) {
      lines += protocol::ToJson(event).Write() + "\n";
    }
    RETURN_IF_ERROR(events->Append(base::AsBytes(lines)));
    RETURN_IF_ERROR(events->Close());
  }

  Json said_alarms = Json::MakeArray();
  for (const protocol::DriftEvent& event : alarms) {
    Json classes = Json::MakeArray();
    for (const auto& share : event.classes) classes.Append(share.label);
    said_alarms.Append(Json::MakeObject(
        {{"row", event.sample_index < row_of.size() ? row_of[event.sample_index] : 0},
         {"kind", event.kind},
         {"severity", event.sigma ? Json(*event.sigma) : Json()},
         {"classes", std::move(classes)}}));
  }
  const tinylcm::DeviceStatus status = device.status();
  const std::optional<double> estimated = device.Metrics().accuracy_estimated;
  return Json::MakeObject(
      {{"rows", rows},
       {"skipped", skipping.count()},
       {"accuracy", labelled == 0
                        ? Json()
                        : Json(static_cast<double>(correct) / static_cast<double>(labelled))},
       {"estimated_accuracy", estimated ? Json(*estimated) : Json()},
       {"alarms", std::move(said_alarms)},
       {"labels_used", status.labels_applied},
       {"adaptations", status.adaptations},
       {"rollbacks", status.rollbacks},
       {"escalations", status.escalations},
       {"us_per_row", Json::MakeObject({{"p50", Percentile(durations, 0.5)},
                                        {"p99", Percentile(durations, 0.99)}})}});
}

}  // namespace agent
