// How long going back from a trial takes in memory: from the decision until the next frame is
// answered by the champion, less what that frame takes anyway. The champion was made, warmed and
// prepared when the trial began (Lifecycle::MakeWayBack), so that one pointer is exchanged; beside
// it, making it only then.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "bench/figure.h"
#include "tinylcm/drift/drift_monitor.h"
#include "tinylcm/model/fit.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/src/pipeline/stage_making.h"

namespace {

namespace adapt = tinylcm::adapt;
namespace model = tinylcm::model;
namespace pipeline = tinylcm::pipeline;
using Wall = std::chrono::steady_clock;

constexpr std::uint64_t kSeed = 3;
constexpr std::size_t kChannels = 64;
constexpr std::uint16_t kClasses = 10;
constexpr int kTimes = 200;

std::vector<float> Row(base::Random& random, std::uint16_t label) {
  std::vector<float> row(kChannels);
  for (std::size_t i = 0; i < kChannels; ++i) {
    row[i] = static_cast<float>((i % kClasses == label ? 1.0 : 0.0) + 0.25 * random.Normal());
  }
  return row;
}

base::Result<std::shared_ptr<const model::ModelBundle>> MakeBundle(base::Random& random) {
  model::FitData data;
  data.raw_count = kChannels;
  for (std::uint16_t c = 0; c < kClasses; ++c) data.label_names.push_back(std::to_string(c));
  for (int i = 0; i < 1200; ++i) {
    const auto label = static_cast<std::uint16_t>(i % kClasses);
    const std::vector<float> row = Row(random, label);
    data.raw.insert(data.raw.end(), row.begin(), row.end());
    data.labels.push_back(label);
  }
  model::FitOptions options;
  options.standardise = true;
  options.anchors_per_class = 30;
  ASSIGN_OR_RETURN(auto fitted, model::Fit(data, options));
  model::ModelBundle bundle = std::move(fitted.bundle);
  bundle.manifest.name = "rows";
  bundle.manifest.input.kind = protocol::BundleInput::Kind::kRow;
  bundle.manifest.input.channel_count = static_cast<int>(kChannels);
  bundle.manifest.labels = data.label_names;
  bundle.bundle = std::string(64, '1');
  return std::make_shared<const model::ModelBundle>(std::move(bundle));
}

// What was learned from 200 samples.
adapt::Adaptation Learned(base::Random& random) {
  adapt::Adaptation learned;
  learned.bundle = std::string(64, '1');
  learned.challenger.memory = adapt::Memory::kPropagated;
  learned.memory.dims = kChannels;
  for (int i = 0; i < 200; ++i) {
    const auto label = static_cast<std::uint16_t>(i % kClasses);
    learned.memory.Add(Row(random, label), label);
    learned.entries.push_back({base::StrCat("s-", i), base::StrCat("s-", i), "f",
                               adapt::LabelOrigin::kPerson, static_cast<std::uint32_t>(i)});
  }
  return learned;
}

double Milliseconds(Wall::time_point since) {
  return std::chrono::duration<double, std::milli>(Wall::now() - since).count();
}

base::Status Measure() {
  base::Random random(kSeed);
  ASSIGN_OR_RETURN(const auto bundle, MakeBundle(random));
  const adapt::Adaptation champion = Learned(random), challenger = Learned(random);
  const auto make = [&](const adapt::Adaptation& adaptation,
                        std::uint64_t revision) -> base::Result<std::unique_ptr<pipeline::Stage>> {
    auto stage = std::make_unique<pipeline::Stage>();
    ASSIGN_OR_RETURN(stage->serving,
                     pipeline::MakeServing({}, bundle, adaptation, {.revision = revision}));
    return stage;
  };
  ASSIGN_OR_RETURN(auto first, make(challenger, 0));
  ASSIGN_OR_RETURN(first->monitor, pipeline::MakeMonitor({}, *bundle, first->serving->signals()));
  pipeline::FramePath path(std::move(first), 0);
  std::uint64_t revision = 0;
  const auto answer = [&](std::uint64_t expected) -> base::Status {
    tinylcm::source::Frame frame;
    frame.row = Row(random, static_cast<std::uint16_t>(random.Below(kClasses)));
    pipeline::Seen seen;
    RETURN_IF_ERROR(path.Answer(frame, seen));
    CHECK(seen.revision == expected);
    return {};
  };

  std::vector<double> prepared, made, usual;
  for (int i = 0; i < kTimes; ++i) {
    for (const bool is_prepared : {true, false}) {
      // On trial for some frames, and the one before it taken away.
      ASSIGN_OR_RETURN(auto trial, make(challenger, ++revision));
      path.Offer(std::move(trial));
      for (int frame = 0; frame < 5; ++frame) RETURN_IF_ERROR(answer(revision));
      path.Collect();
      auto began = Wall::now();
      RETURN_IF_ERROR(answer(revision));
      usual.push_back(Milliseconds(began));
      std::unique_ptr<pipeline::Stage> back;
      if (is_prepared) {
        ASSIGN_OR_RETURN(back, make(champion, ++revision));
        path.Prepare(*back);
      }
      began = Wall::now();
      if (!is_prepared) {
        ASSIGN_OR_RETURN(back, make(champion, ++revision));
      }
      path.Collect();
      path.Offer(std::move(back));
      RETURN_IF_ERROR(answer(revision));
      (is_prepared ? prepared : made).push_back(Milliseconds(began));
      path.Collect();
    }
  }
  const auto at = [](std::vector<double>& values, double share) {
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  };
  const double frame = at(usual, 0.5);
  const double worst = std::max(0.0, at(prepared, 0.99) - frame);
  const double anew = std::max(1e-6, at(made, 0.99) - frame);
  bench::Print(
      {.name = "adapt_quality.rollback_ms",
       .value = worst,
       .unit = "ms",
       .baseline = anew,
       .conditions = base::StrCat("99th percentile of ", kTimes, ", rows of ", kChannels,
                                  ", 300 anchors, memory of 200; median ",
                                  base::FormatShort(std::max(0.0, at(prepared, 0.5) - frame)),
                                  " ms; less the frame of ", base::FormatShort(frame),
                                  " ms; baseline: the champion made only then"),
       .target = "under 1",
       .met = worst < 1.0});
  return {};
}

}  // namespace

int main() {
  const base::Status measured = Measure();
  if (measured.ok()) return 0;
  std::fprintf(stderr, "rollback_benchmark: %s\n", measured.error().message.c_str());
  return 1;
}
