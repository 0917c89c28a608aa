// How much longer does a frame take through TinyLCM than through the model alone?
//
// The agent's frame loop with the real model, processor, anchors, drift monitor and both rings,
// beside one invoke of the same BareLiteRt on the same raw picture. One model serves both, as there
// is one on a device: a second one would throw what TinyLCM reads out of the caches. The two take
// turns frame by frame, and the median of their differences is what TinyLCM adds.
//
//   frame_total_benchmark FOLDER      as bench_bundle made it

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "agent/frame_loop.h"
#include "base/check.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/text.h"
#include "bench/bare/bare_litert.h"
#include "bench/figure.h"
#include "tests/support/seeded_device.h"
#include "tinylcm/model/litert.h"

namespace {

namespace model = tinylcm::model;
namespace pipeline = tinylcm::pipeline;

constexpr int kWarm = 400;  // Commissions the drift monitor.
constexpr int kFrames = 600;

// The model both run.
class SharedModel final : public tinylcm::feature::FeatureModel {
 public:
  SharedModel(bench::BareLiteRt& bare, int side, std::size_t raw_count)
      : bare_(bare), side_(side), raw_count_(raw_count) {}
  int width() const override { return side_; }
  int height() const override { return side_; }
  std::size_t feature_count() const override { return raw_count_; }
  base::Status Infer(std::span<const std::uint8_t> picture, std::span<float> raw) override {
    const std::span<const std::uint8_t> bytes = bare_.Run(picture);
    CHECK(bytes.size() == raw.size_bytes() || bytes.size() == raw.size());
    if (bytes.size() == raw.size()) {
      std::ranges::copy(bytes, raw.begin());
    } else {
      std::memcpy(raw.data(), bytes.data(), bytes.size());
    }
    return {};
  }

 private:
  bench::BareLiteRt& bare_;
  int side_;
  std::size_t raw_count_;
};

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

base::Status Measure(const std::string& folder) {
  base::FileSystem& fs = base::SystemFileSystem();
  ASSIGN_OR_RETURN(model::ModelBundle loaded,
                   model::LoadBundle(fs, base::JoinPath(folder, "bundle"), {}));
  const auto bundle = std::make_shared<const model::ModelBundle>(std::move(loaded));
  ASSIGN_OR_RETURN(const std::string library, model::FindLiteRt());
  bench::BareLiteRt bare(library, base::JoinPath(folder, "bundle/model.tflite"));
  auto engine = std::make_unique<SharedModel>(bare, bundle->image_rule.width, bundle->raw_count());
  auto stage = std::make_unique<pipeline::Stage>();
  ASSIGN_OR_RETURN(stage->serving, pipeline::Serving::Create(bundle, std::move(engine), {}, {}));
  tinylcm::drift::DriftMonitor::Options drift;
  drift.classes = static_cast<std::uint32_t>(bundle->manifest.labels.size());
  drift.signals = stage->serving->signals();
  drift.channels = static_cast<std::uint32_t>(stage->serving->channel_count());
  ASSIGN_OR_RETURN(auto watching, tinylcm::drift::DriftMonitor::Create(drift));
  stage->monitor = std::make_unique<tinylcm::drift::DriftMonitor>(std::move(watching));
  pipeline::FramePath path(std::move(stage), 0);

  const testing_support::SeededShape shape{.side = bundle->image_rule.width};
  testing_support::EndlessSource source(shape);
  testing_support::EndlessSource same(shape);
  tinylcm::monitor::Monitor monitor(bundle->manifest.labels, base::Duration{0});
  agent::FrameRings rings;
  agent::FrameLoop loop({}, {.source = &source,
                             .path = &path,
                             .monitor = &monitor,
                             .rings = &rings,
                             .clock = &base::SystemClock(),
                             .logger = &base::NullLogger(),
                             .wants_frames = [] { return false; }});

  std::vector<double> alone, more;
  for (int i = 0; i < kWarm + kFrames; ++i) {
    ASSIGN_OR_RETURN(auto frame, same.Next());
    double ours = 0.0, theirs = 0.0;
    const auto answer = [&] {
      const double start = bench::CpuNanoseconds();
      CHECK(loop.Step());
      ours = bench::CpuNanoseconds() - start;
    };
    const auto run = [&] {
      const double start = bench::CpuNanoseconds();
      bare.Run(frame->picture);
      theirs = bench::CpuNanoseconds() - start;
    };
    // Whoever comes second finds the caches the other one left: they change places.
    if (i % 2 == 0) {
      answer();
      run();
    } else {
      run();
      answer();
    }
    same.Recycle(std::move(*frame));
    // As the other threads would, but not on the frame's time.
    rings.seen.Take([&](pipeline::Seen& seen) { rings.GiveBack(seen); });
    rings.records.Take([](const tinylcm::datalog::Record&) {});
    if (i < kWarm) continue;
    alone.push_back(theirs / 1e3);
    more.push_back((ours - theirs) / 1e3);
  }
  CHECK(path.drift_phase() == tinylcm::drift::DriftMonitor::Phase::kWatching ||
        path.drift_phase() == tinylcm::drift::DriftMonitor::Phase::kOpen);
  CHECK(monitor.counts().frames == kWarm + kFrames && monitor.counts().skipped == 0);
  bench::Print({.name = "frame_total",
                .value = 1.0 + Median(more) / Median(alone),
                .unit = "ratio",
                .baseline = 1.0,
                .conditions = base::StrCat(
                    "raw frames of ", shape.side, "x", shape.side, ", ", bundle->raw_count(),
                    " to ", bundle->feature_count(), " by int8, ", bundle->anchors.size(),
                    " anchors; median difference ", base::FormatShort(Median(more)), " us beside ",
                    base::FormatShort(Median(alone)), " us of bare LiteRT, ", kFrames,
                    " frames taking turns, one thread")});
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "frame_total_benchmark FOLDER\n");
    return 2;
  }
  const base::Status measured = Measure(argv[1]);
  if (!measured.ok()) {
    std::fprintf(stderr, "frame_total_benchmark: %s\n", measured.error().message.c_str());
    return 1;
  }
  return 0;
}
