#include "tinylcm/monitor/exporter.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "tests/support/fake_file_system.h"

namespace tinylcm::monitor {
namespace {

MetricsSnapshot ABusyHour() {
  MetricsSnapshot snapshot;
  protocol::DeviceMetrics& metrics = snapshot.metrics;
  metrics.window_ms = 60'000;
  metrics.frames = 1000;
  metrics.skipped = 2;
  metrics.fps = 12.5;
  metrics.confidence_mean = 0.875;
  metrics.confidence_histogram = {1, 3};
  metrics.latency_ms_p50 = 5.0;
  metrics.latency_ms_p95 = 9.0;
  metrics.latency_ms_p99 = 12.0;
  metrics.stages = {{"model", 2.0, 3.0, 4.0, {}}};
  metrics.temperature_c = 61.5;
  metrics.throttled = false;
  metrics.drift_state = "stable";
  metrics.mode = "autonomous";
  metrics.model_name = "a \"quoted\", \\slashed\nname";
  snapshot.stages = {{"total", 5.5}, {"model", 2.25}};
  snapshot.answers = {{"cat", 990}, {"unknown", 10}};
  return snapshot;
}

// ---- Prometheus ---------------------------------------------------------------------------------

// What the text format 0.0.4 allows, and nothing else: every family is described before its
// samples, once; names and labels are well formed; no sample comes twice.
class StrictReader {
 public:
  explicit StrictReader(const std::string& text) {
    EXPECT_TRUE(text.ends_with("\n"));
    const std::string_view lines(text.data(), text.size() - 1);
    for (const std::string_view line : base::Split(lines, '\n')) {
      Line(std::string(line));
    }
    for (const auto& [name, type] : types_) EXPECT_TRUE(helped_.contains(name)) << name;
  }
  std::map<std::string, double> samples;

 private:
  static std::string TakeName(std::string_view& rest) {
    std::size_t end = 0;
    while (end < rest.size() && (std::isalnum(static_cast<unsigned char>(rest[end])) != 0 ||
                                 rest[end] == '_' || rest[end] == ':')) {
      ++end;
    }
    EXPECT_GT(end, 0u) << rest;
    EXPECT_FALSE(std::isdigit(static_cast<unsigned char>(rest[0])) != 0) << rest;
    std::string name(rest.substr(0, end));
    rest.remove_prefix(end);
    return name;
  }

  void Line(const std::string& line) {
    std::string_view rest = line;
    if (line.starts_with("# ")) {
      const auto words = base::Split(rest, ' ');
      ASSERT_GE(words.size(), 4u) << line;
      const std::string name(words[2]);
      if (words[1] == "HELP") {
        EXPECT_TRUE(helped_.insert(name).second) << "described twice: " << line;
        return;
      }
      ASSERT_EQ(words[1], "TYPE") << line;
      ASSERT_EQ(words.size(), 4u) << line;
      static const std::set<std::string_view> kTypes = {"counter", "gauge", "summary"};
      EXPECT_TRUE(kTypes.contains(words[3])) << line;
      EXPECT_TRUE(types_.emplace(name, words[3]).second) << "typed twice: " << line;
      family_ = name;
      return;
    }
    const std::string name = TakeName(rest);
    const bool is_of_family =
        name == family_ ||
        (types_[family_] == "summary" && (name == family_ + "_sum" || name == family_ + "_count"));
    EXPECT_TRUE(is_of_family) << line << " stands under " << family_;
    EXPECT_TRUE(types_[family_] != "counter" || name.ends_with("_total")) << line;
    if (rest.starts_with("{")) {
      do {
        rest.remove_prefix(1);  // { or ,
        TakeName(rest);
        ASSERT_TRUE(rest.starts_with("=\"")) << line;
        rest.remove_prefix(2);
        while (!rest.empty() && rest.front() != '"') {
          if (rest.front() == '\\') {
            rest.remove_prefix(1);
            ASSERT_TRUE(rest.starts_with("\\") || rest.starts_with("\"") || rest.starts_with("n"))
                << line;
          }
          rest.remove_prefix(1);
        }
        ASSERT_FALSE(rest.empty()) << line;
        rest.remove_prefix(1);
      } while (rest.starts_with(","));
      ASSERT_TRUE(rest.starts_with("}")) << line;
      rest.remove_prefix(1);
    }
    ASSERT_TRUE(rest.starts_with(" ")) << line;
    const auto value = base::ParseDouble(rest.substr(1));
    ASSERT_TRUE(value.ok()) << line;
    const std::string sample = line.substr(0, line.size() - rest.size());
    EXPECT_TRUE(samples.emplace(sample, *value).second) << "twice: " << line;
  }

  std::map<std::string, std::string> types_;
  std::set<std::string> helped_;
  std::string family_;
};

TEST(Prometheus, TheTextIsWellFormedAndSaysWhatIsKnown) {
  StrictReader read(WritePrometheus(ABusyHour()));
  EXPECT_EQ(read.samples["tinylcm_frames_total"], 1000);
  EXPECT_EQ(read.samples["tinylcm_answers_total{label=\"cat\"}"], 990);
  EXPECT_EQ(read.samples["tinylcm_frame_seconds{stage=\"total\",quantile=\"0.99\"}"], 0.012);
  EXPECT_EQ(read.samples["tinylcm_frame_seconds{stage=\"model\",quantile=\"0.5\"}"], 0.002);
  EXPECT_EQ(read.samples["tinylcm_frame_seconds_sum{stage=\"model\"}"], 2.25);
  EXPECT_EQ(read.samples["tinylcm_frame_seconds_count{stage=\"total\"}"], 1000);
  EXPECT_EQ(read.samples["tinylcm_window_confidence_answers{le=\"0.5\"}"], 1);
  EXPECT_EQ(read.samples["tinylcm_temperature_celsius"], 61.5);
  EXPECT_EQ(read.samples["tinylcm_throttled"], 0);
  EXPECT_EQ(read.samples["tinylcm_drift_state{state=\"stable\"}"], 1);
  EXPECT_EQ(read.samples["tinylcm_info{model_name=\"a \\\"quoted\\\", \\\\slashed\\nname\","
                         "model_version=\"\",model_family=\"\",bundle=\"\",mode=\"autonomous\"}"],
            1);
}

TEST(Prometheus, WhatIsNotKnownHasNoSample) {
  const std::string text = WritePrometheus({});
  StrictReader read(text);
  EXPECT_FALSE(read.samples.contains("tinylcm_temperature_celsius"));
  EXPECT_FALSE(read.samples.contains("tinylcm_accuracy_estimated"));
  EXPECT_EQ(text.find("quantile="), std::string::npos);
}

// ---- files --------------------------------------------------------------------------------------

TEST(JsonExporter, HoldsTheNewestFiguresWhole) {
  tests::FakeFileSystem fs;
  ASSERT_TRUE(fs.CreateDirectories("/m").ok());
  const auto exporter = MakeJsonExporter(fs, "/m/metrics.json");
  ASSERT_TRUE(exporter->Export({}).ok());
  ASSERT_TRUE(exporter->Export(ABusyHour()).ok());
  const std::string text = base::ReadTextFile(fs, "/m/metrics.json", 1u << 20).value();
  EXPECT_EQ(protocol::ParseDeviceMetrics(text).value(), ABusyHour().metrics);
  EXPECT_EQ(fs.List("/m").value().size(), 1u);
}

TEST(CsvExporter, AppendsALineUnderOneHeaderAndSetsATornOneApart) {
  tests::FakeFileSystem fs;
  ASSERT_TRUE(fs.CreateDirectories("/m").ok());
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(MakeCsvExporter(fs, "/m/metrics.csv")->Export(ABusyHour()).ok());
  }
  const auto info = fs.Stat("/m/metrics.csv").value();
  fs.Truncate("/m/metrics.csv", info.bytes - 10);  // A kill.
  ASSERT_TRUE(MakeCsvExporter(fs, "/m/metrics.csv")->Export(ABusyHour()).ok());
  const std::string text = base::ReadTextFile(fs, "/m/metrics.csv", 1u << 20).value();
  EXPECT_TRUE(text.starts_with("at,window_ms,frames,"));
  EXPECT_NE(text.find("1970-01-01T00:00:00.000Z,60000,1000,2,0,0,12.5,0.875,,,,,5,9,12,,,,61.5,0,"),
            std::string::npos)
      << text;
  // The whole lines still parse: the torn one ends by itself.
  EXPECT_EQ(text.find("1970", text.rfind("\n1970") + 2), std::string::npos);
}

TEST(CsvExporter, AFileThatIsFullOrOfAnotherVersionMakesRoom) {
  tests::FakeFileSystem fs;
  fs.Write("/m/metrics.csv", base::AsBytes("other,header\n1,2\n"));
  const auto exporter = MakeCsvExporter(fs, "/m/metrics.csv", 1);
  ASSERT_TRUE(exporter->Export(ABusyHour()).ok());
  EXPECT_EQ(base::ReadTextFile(fs, "/m/metrics.csv.1", 100).value(), "other,header\n1,2\n");
  ASSERT_TRUE(exporter->Export(ABusyHour()).ok());
  EXPECT_NE(base::ReadTextFile(fs, "/m/metrics.csv.1", 1u << 20).value().find("1000"),
            std::string::npos);
  EXPECT_EQ(fs.List("/m").value().size(), 2u);
}

TEST(CallbackExporter, IsGivenTheSnapshot) {
  std::uint64_t frames = 0;
  const auto exporter =
      MakeCallbackExporter([&](const MetricsSnapshot& s) { frames = s.metrics.frames; });
  ASSERT_TRUE(exporter->Export(ABusyHour()).ok());
  EXPECT_EQ(frames, 1000u);
}

}  // namespace
}  // namespace tinylcm::monitor
