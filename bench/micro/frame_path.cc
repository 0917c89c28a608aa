// What do the pieces of TinyLCM's own work on a frame cost, beyond decoding and the model?
//
// CPU time of this thread, the best of twenty slices. Each body checks that its answer is right.
// The baseline of the kernels is the plain loop.

#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/random.h"
#include "tinylcm/classify/knn_classifier.h"
#include "tinylcm/drift/cusum.h"
#include "tinylcm/drift/drift_monitor.h"
#include "tinylcm/feature/processor.h"

namespace {

using tinylcm::drift::DriftSignal;

double CpuNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1e9 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec);
}

// The best mean time of a call, in nanoseconds.
double Best(int calls, const std::function<void()>& call) {
  double best = 1e300;
  for (int slice = 0; slice < 20; ++slice) {
    const double start = CpuNanoseconds();
    for (int i = 0; i < calls; ++i) call();
    best = std::min(best, (CpuNanoseconds() - start) / calls);
  }
  return best;
}

void Print(const std::string& name, double value, const char* unit, double baseline) {
  std::printf("{\"name\":\"%s\",\"value\":%.3f,\"unit\":\"%s\",\"better\":\"lower\"", name.c_str(),
              value, unit);
  if (baseline > 0.0) std::printf(",\"baseline\":%.3f,\"ratio\":%.3f", baseline, value / baseline);
  std::printf(",\"conditions\":\"one thread, best of 20 slices\"}\n");
}

std::vector<float> Noise(base::Random& random, std::size_t count) {
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

void Knn(std::size_t count, const char* name) {
  base::Random random(1);
  tinylcm::classify::Anchors anchors;
  for (std::size_t i = 0; i < count; ++i) {
    anchors.Add(Noise(random, 256), static_cast<std::uint16_t>(i % 4));
  }
  auto knn = tinylcm::classify::KnnClassifier::Create({.classes = 4}, anchors).value();
  const std::vector<float> query(anchors.row(7).begin(), anchors.row(7).end());
  const double value = Best(2000, [&] { CHECK(knn.Classify(query).neighbours[0].anchor == 7); });
  std::vector<float> out(count);
  const double plain = Best(200, [&] {
    tinylcm::classify::plain::DotRows(query.data(), anchors.vectors.data(), count, 256, out.data());
    CHECK(std::ranges::max_element(out) - out.begin() == 7);
  });
  Print(name, value / 1e3, "us", plain / 1e3);
}

void Projection() {
  base::Random random(2);
  tinylcm::feature::ProcessorTensors tensors;
  tensors.mean.assign(1280, 0.0f);
  tensors.scale.assign(1280, 1.0f);
  tensors.projection.assign(256 * 1280, 0.0f);
  for (std::size_t axis = 0; axis < 256; ++axis) tensors.projection[axis * 1280 + axis] = 2.0f;
  auto processor = tinylcm::feature::Processor::Create(tensors).value();
  const std::vector<float> raw = Noise(random, 1280);
  std::vector<float> feature(256);
  const double value = Best(200, [&] {
    processor.Apply(raw, feature);
    CHECK(feature[255] == 2.0f * raw[255]);
  });
  const double plain = Best(50, [&] {
    tinylcm::classify::plain::DotRows(raw.data(), tensors.projection.data(), 256, 1280,
                                      feature.data());
    CHECK(feature[255] == 2.0f * raw[255]);
  });
  Print("project_1280x256", value / 1e3, "us", plain / 1e3);
}

void Detectors() {
  base::Random random(3);
  std::vector<double> values(1000);
  for (double& value : values) value = random.Normal();
  auto cusum = tinylcm::drift::Cusum::Create({.run_length = 1e9}).value();
  const double one = Best(20, [&] {
    for (const double value : values) CHECK(cusum.Observe(value) == DriftSignal::kSteady);
  });
  Print("detector_ns.cusum", one / 1000.0, "ns", 0.0);

  auto monitor = tinylcm::drift::DriftMonitor::Create(
                     {.classes = 10, .channels = 64, .false_alarm_every = 1e9})
                     .value();
  std::vector<float> row = Noise(random, 64);
  std::uint64_t index = 0;
  const auto feed = [&] {
    for (std::size_t i = 0; i < values.size(); ++i) {
      row[i % 64] = static_cast<float>(values[i]);
      // Drawn afresh, for a row of numbers that comes again and again is no field.
      CHECK(monitor.Observe(index++, static_cast<std::uint16_t>(i % 10),
                            static_cast<float>(random.Normal()), row) != DriftSignal::kDrift);
    }
  };
  for (int i = 0; i < 10; ++i) feed();
  Print("detector_ns.stack", Best(5, feed) / 1000.0, "ns", 0.0);
}

}  // namespace

int main() {
  Knn(200, "knn_200x256.f32");
  Knn(1000, "knn_1000x256.f32");
  Projection();
  Detectors();
  return 0;
}
