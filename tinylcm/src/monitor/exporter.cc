#include "tinylcm/monitor/exporter.h"

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace tinylcm::monitor {

using base::FormatDouble;
using base::Status;
using base::StrCat;
using protocol::DeviceMetrics;

namespace {

// ---- JSON ---------------------------------------------------------------------------------------

class JsonExporter final : public Exporter {
 public:
  JsonExporter(base::FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}

  Status Export(const MetricsSnapshot& snapshot) override {
    const std::string text = protocol::ToJson(snapshot.metrics).WritePretty() + "\n";
    const std::string temporary = path_ + ".new";
    ASSIGN_OR_RETURN(const auto file,
                     fs_.Create(temporary, base::FileSystem::Mode::kTruncate, false));
    RETURN_IF_ERROR(file->Append(base::AsBytes(text)));
    RETURN_IF_ERROR(file->Close());
    return fs_.Rename(temporary, path_);
  }

 private:
  base::FileSystem& fs_;
  std::string path_;
};

// ---- CSV ----------------------------------------------------------------------------------------

struct Column {
  const char* name;
  std::string (*value)(const DeviceMetrics& metrics);
};

template <typename T>
std::string Optional(const std::optional<T>& value) {
  if (!value) return "";
  if constexpr (std::is_same_v<T, bool>) {
    return *value ? "1" : "0";
  } else if constexpr (std::is_floating_point_v<T>) {
    return FormatDouble(*value);
  } else {
    return std::to_string(*value);
  }
}

// RFC 4180.
std::string Quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted(1, '"');
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  quoted += '"';
  return quoted;
}

using M = DeviceMetrics;
constexpr std::array kColumns = {
    Column{"at", [](const M& m) { return base::FormatTime(m.at); }},
    Column{"window_ms", [](const M& m) { return std::to_string(m.window_ms); }},
    Column{"frames", [](const M& m) { return std::to_string(m.frames); }},
    Column{"skipped", [](const M& m) { return std::to_string(m.skipped); }},
    Column{"dropped", [](const M& m) { return std::to_string(m.dropped); }},
    Column{"log_dropped", [](const M& m) { return std::to_string(m.log_dropped); }},
    Column{"fps", [](const M& m) { return Optional(m.fps); }},
    Column{"confidence_mean", [](const M& m) { return Optional(m.confidence_mean); }},
    Column{"distance_mean", [](const M& m) { return Optional(m.distance_mean); }},
    Column{"accuracy_estimated", [](const M& m) { return Optional(m.accuracy_estimated); }},
    Column{"accuracy_low", [](const M& m) { return Optional(m.accuracy_low); }},
    Column{"accuracy_high", [](const M& m) { return Optional(m.accuracy_high); }},
    Column{"latency_ms_p50", [](const M& m) { return Optional(m.latency_ms_p50); }},
    Column{"latency_ms_p95", [](const M& m) { return Optional(m.latency_ms_p95); }},
    Column{"latency_ms_p99", [](const M& m) { return Optional(m.latency_ms_p99); }},
    Column{"cpu_percent", [](const M& m) { return Optional(m.cpu_percent); }},
    Column{"rss_bytes", [](const M& m) { return Optional(m.rss_bytes); }},
    Column{"pss_bytes", [](const M& m) { return Optional(m.pss_bytes); }},
    Column{"temperature_c", [](const M& m) { return Optional(m.temperature_c); }},
    Column{"throttled", [](const M& m) { return Optional(m.throttled); }},
    Column{"disk_free_bytes", [](const M& m) { return Optional(m.disk_free_bytes); }},
    Column{"link_up", [](const M& m) { return m.link ? Optional(m.link->up) : std::string(); }},
    Column{"queue_packages", [](const M& m) { return std::to_string(m.queue_packages); }},
    Column{"queue_bytes", [](const M& m) { return std::to_string(m.queue_bytes); }},
    Column{"drift_state", [](const M& m) { return Quoted(m.drift_state); }},
    Column{"mode", [](const M& m) { return Quoted(m.mode); }},
    Column{"model_name", [](const M& m) { return Quoted(m.model_name); }},
    Column{"model_version", [](const M& m) { return Quoted(m.model_version); }},
};

std::string CsvHeader() {
  std::string header;
  for (const Column& column : kColumns) header += StrCat(header.empty() ? "" : ",", column.name);
  header += '\n';
  return header;
}

std::string CsvLine(const DeviceMetrics& metrics) {
  std::string line;
  for (const Column& column : kColumns) {
    if (&column != &kColumns.front()) line += ',';
    line += column.value(metrics);
  }
  line += '\n';
  return line;
}

class CsvExporter final : public Exporter {
 public:
  CsvExporter(base::FileSystem& fs, std::string path, std::uint64_t bytes_max)
      : fs_(fs), path_(std::move(path)), bytes_max_(bytes_max) {}

  Status Export(const MetricsSnapshot& snapshot) override {
    const std::string header = CsvHeader();
    std::string text;
    const auto info = fs_.Stat(path_);
    if (info.ok() && info->bytes > 0) {
      ASSIGN_OR_RETURN(const auto file, fs_.Open(path_));
      base::Bytes begin(header.size());
      ASSIGN_OR_RETURN(const std::size_t read, file->ReadAt(0, begin));
      base::Bytes end(1);
      ASSIGN_OR_RETURN(const std::size_t last, file->ReadAt(file->size() - 1, end));
      if (info->bytes >= bytes_max_ || base::AsText(begin).substr(0, read) != header) {
        RETURN_IF_ERROR(fs_.Rename(path_, path_ + ".1"));
        text = header;
      } else if (last == 1 && end[0] != '\n') {
        text.assign(1, '\n');  // A kill tore the last line; it stays by itself.
      }
    } else {
      text = header;
    }
    text += CsvLine(snapshot.metrics);
    ASSIGN_OR_RETURN(const auto file, fs_.Create(path_, base::FileSystem::Mode::kAppend, false));
    RETURN_IF_ERROR(file->Append(base::AsBytes(text)));
    return file->Close();
  }

 private:
  base::FileSystem& fs_;
  std::string path_;
  std::uint64_t bytes_max_;
};

// ---- callback -----------------------------------------------------------------------------------

class CallbackExporter final : public Exporter {
 public:
  explicit CallbackExporter(std::function<void(const MetricsSnapshot&)> callback)
      : callback_(std::move(callback)) {}
  Status Export(const MetricsSnapshot& snapshot) override {
    callback_(snapshot);
    return {};
  }

 private:
  std::function<void(const MetricsSnapshot&)> callback_;
};

// ---- Prometheus ---------------------------------------------------------------------------------

using Labels = std::vector<std::pair<std::string_view, std::string>>;

class PrometheusText {
 public:
  // Samples of `name` (or name_sum and the like) follow, before the next family.
  void Family(std::string_view name, std::string_view type, std::string_view help) {
    text_ += StrCat("# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n");
  }

  void Sample(std::string_view name, const Labels& labels, double value) {
    text_ += name;
    if (!labels.empty()) {
      char separator = '{';
      for (const auto& [key, label] : labels) {
        text_ += separator;
        text_ += key;
        text_ += "=\"";
        Escape(label);
        text_ += '"';
        separator = ',';
      }
      text_ += '}';
    }
    text_ += StrCat(" ", FormatDouble(value), "\n");
  }

  void Counter(std::string_view name, std::string_view help, std::uint64_t value) {
    Family(name, "counter", help);
    Sample(name, {}, static_cast<double>(value));
  }

  template <typename T>
  void Gauge(std::string_view name, std::string_view help, const std::optional<T>& value) {
    if (!value) return;
    Family(name, "gauge", help);
    Sample(name, {}, static_cast<double>(*value));
  }

  std::string Take() { return std::move(text_); }

 private:
  void Escape(std::string_view label) {
    for (const char c : label) {
      if (c == '\n') {
        text_ += "\\n";
        continue;
      }
      if (c == '\\' || c == '"') text_ += '\\';
      text_ += c;
    }
  }

  std::string text_;
};

struct Quantiles {
  std::string_view stage;
  double p50, p95, p99;  // Milliseconds.
};

void WriteLatency(const MetricsSnapshot& snapshot, PrometheusText& text) {
  const DeviceMetrics& metrics = snapshot.metrics;
  constexpr std::string_view kName = "tinylcm_frame_seconds";
  std::vector<Quantiles> quantiles;
  if (metrics.latency_ms_p50 && metrics.latency_ms_p95 && metrics.latency_ms_p99) {
    quantiles.push_back(
        {"total", *metrics.latency_ms_p50, *metrics.latency_ms_p95, *metrics.latency_ms_p99});
  }
  for (const auto& stage : metrics.stages) {
    quantiles.push_back({stage.name, stage.p50_ms, stage.p95_ms, stage.p99_ms});
  }
  text.Family(kName, "summary",
              "What a frame took, by stage; quantiles of the current window, sum and count since "
              "the start.");
  for (const MetricsSnapshot::StageTotal& stage : snapshot.stages) {
    for (const Quantiles& found : quantiles) {
      if (found.stage != stage.name) continue;
      text.Sample(kName, {{"stage", stage.name}, {"quantile", "0.5"}}, found.p50 / 1000.0);
      text.Sample(kName, {{"stage", stage.name}, {"quantile", "0.95"}}, found.p95 / 1000.0);
      text.Sample(kName, {{"stage", stage.name}, {"quantile", "0.99"}}, found.p99 / 1000.0);
    }
    text.Sample("tinylcm_frame_seconds_sum", {{"stage", stage.name}}, stage.seconds);
    text.Sample("tinylcm_frame_seconds_count", {{"stage", stage.name}},
                static_cast<double>(metrics.frames));
  }
}

// A Prometheus histogram counts from below: "le".
void WriteConfidence(const DeviceMetrics& metrics, PrometheusText& text) {
  text.Gauge("tinylcm_confidence_mean", "Mean confidence of the window's answers.",
             metrics.confidence_mean);
  if (metrics.confidence_histogram.empty()) return;
  constexpr std::string_view kName = "tinylcm_window_confidence_answers";
  text.Family(kName, "gauge", "The window's answers by confidence; le is the bin's upper end.");
  const std::size_t bins = metrics.confidence_histogram.size();
  for (std::size_t i = 0; i < bins; ++i) {
    const double end = static_cast<double>(i + 1) / static_cast<double>(bins);
    text.Sample(kName, {{"le", base::FormatShort(end)}},
                static_cast<double>(metrics.confidence_histogram[i]));
  }
}

}  // namespace

std::unique_ptr<Exporter> MakeJsonExporter(base::FileSystem& fs, std::string path) {
  return std::make_unique<JsonExporter>(fs, std::move(path));
}

std::unique_ptr<Exporter> MakeCsvExporter(base::FileSystem& fs, std::string path,
                                          std::uint64_t bytes_max) {
  return std::make_unique<CsvExporter>(fs, std::move(path), bytes_max);
}

std::unique_ptr<Exporter> MakeCallbackExporter(
    std::function<void(const MetricsSnapshot& snapshot)> callback) {
  return std::make_unique<CallbackExporter>(std::move(callback));
}

std::string WritePrometheus(const MetricsSnapshot& snapshot) {
  const DeviceMetrics& metrics = snapshot.metrics;
  PrometheusText text;
  text.Family("tinylcm_info", "gauge", "What runs; always 1.");
  text.Sample("tinylcm_info",
              {{"model_name", metrics.model_name},
               {"model_version", metrics.model_version},
               {"model_family", metrics.model_family},
               {"bundle", metrics.bundle},
               {"mode", metrics.mode}},
              1.0);
  text.Family("tinylcm_drift_state", "gauge", "1 for the state the device is in.");
  text.Sample("tinylcm_drift_state", {{"state", metrics.drift_state}}, 1.0);
  text.Counter("tinylcm_frames_total", "Frames answered.", metrics.frames);
  text.Counter("tinylcm_frames_skipped_total", "Frames that were bad.", metrics.skipped);
  text.Counter("tinylcm_frames_dropped_total", "Frames lost because the reader was slower.",
               metrics.dropped);
  text.Counter("tinylcm_log_dropped_total", "Answers that were not logged.", metrics.log_dropped);
  if (!snapshot.answers.empty()) {
    text.Family("tinylcm_answers_total", "counter", "Answers by label.");
    for (const auto& answer : snapshot.answers) {
      text.Sample("tinylcm_answers_total", {{"label", answer.label}},
                  static_cast<double>(answer.count));
    }
  }
  WriteLatency(snapshot, text);
  WriteConfidence(metrics, text);
  text.Gauge("tinylcm_frames_per_second", "Over the current window.", metrics.fps);
  text.Gauge("tinylcm_distance_mean", "Mean distance to the anchors in the window.",
             metrics.distance_mean);
  text.Gauge("tinylcm_accuracy_estimated", "Without labels, over the last answers; absent: unknown.",
             metrics.accuracy_estimated);
  text.Gauge("tinylcm_accuracy_estimated_low", "Lower end of its 90 % interval.",
             metrics.accuracy_low);
  text.Gauge("tinylcm_accuracy_estimated_high", "Upper end of its 90 % interval.",
             metrics.accuracy_high);
  text.Gauge("tinylcm_resident_memory_bytes", "Resident set.", metrics.rss_bytes);
  text.Gauge("tinylcm_proportional_memory_bytes", "Proportional set.", metrics.pss_bytes);
  text.Gauge("tinylcm_cpu_percent", "Of one core, over the window.", metrics.cpu_percent);
  text.Gauge("tinylcm_temperature_celsius", "Of the hottest zone.", metrics.temperature_c);
  text.Gauge("tinylcm_throttled", "1 while the processor is slowed down.", metrics.throttled);
  text.Gauge("tinylcm_undervoltage", "1 while the supply is too weak.", metrics.undervoltage);
  text.Gauge("tinylcm_disk_free_bytes", "Where the data folder lies.", metrics.disk_free_bytes);
  text.Gauge("tinylcm_log_bytes", "What the log takes.", metrics.log_bytes);
  text.Counter("tinylcm_log_files_evicted_total", "Files of the log that made room.",
               metrics.log_evicted_files);
  if (metrics.link) {
    text.Gauge("tinylcm_link_up", "1 while an interface other than loopback is up.",
               metrics.link->up);
    text.Gauge("tinylcm_link_signal_dbm", "Of the wireless link.", metrics.link->signal_dbm);
    if (metrics.link->last_contact) {
      const auto ms = metrics.link->last_contact->time_since_epoch().count();
      text.Gauge("tinylcm_last_contact_timestamp_seconds", "When the server was last heard.",
                 std::optional(static_cast<double>(ms) / 1000.0));
    }
  }
  text.Gauge("tinylcm_queue_packages", "Packages that wait to be sent.",
             std::optional(metrics.queue_packages));
  text.Gauge("tinylcm_queue_bytes", "What they take.", std::optional(metrics.queue_bytes));
  text.Counter("tinylcm_packages_made_total", "Since the queue was made.", metrics.packages_made);
  text.Counter("tinylcm_packages_evicted_total", "Lost for want of room.",
               metrics.packages_evicted);
  text.Counter("tinylcm_packages_dead_total", "Refused or damaged.", metrics.packages_dead);
  return text.Take();
}

}  // namespace tinylcm::monitor
