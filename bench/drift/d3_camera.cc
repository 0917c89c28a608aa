// D3: a camera that goes wrong, in whole or in part: how many frames until the alarm?
//
// Digits on paper (tools/tinyscene), drawn, packed as JPEG, decoded, answered by the example model
// and a bundle fitted on training digits, watched with all signals a picture has: what a device
// does. Each drift is as strong as costs the model about 20 points of accuracy (found by bisection,
// stated in the conditions). A device is commissioned on 1,000 quiet frames in an order of its own,
// watches 200 more and then sees the drift in all frames, in three of ten, in one of ten. Quiet and
// drifted frames show the same kind of digits, which neither model nor bundle has seen.

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/drift/bars.h"
#include "tinylcm/drift/drift_monitor.h"
#include "tinylcm/model/engine.h"
#include "tinylcm/model/fit.h"
#include "tinylcm/pipeline/serving.h"
#include "tools/tinyscene/drawer.h"
#include "tools/tinyscene/export.h"

namespace bench::drift {

namespace {

using base::StrCat;
using tinylcm::drift::DriftMonitor;
using tinylcm::drift::DriftSignal;
using tinylcm::drift::Sample;
namespace feature = tinylcm::feature;
namespace model = tinylcm::model;
namespace pipeline = tinylcm::pipeline;
namespace source = tinylcm::source;

constexpr double kEvery = 1e4;
constexpr std::uint32_t kCommission = 1000;
constexpr std::size_t kCalm = 200;
constexpr std::size_t kHorizon = 1000;
constexpr std::size_t kFitPerClass = 80;
constexpr std::uint64_t kPlace = 1;  // Of the scene: paper, light, where the dirt sits.

struct Kind {
  const char* name;
  double tinyscene::Drifts::* strength;
};
constexpr Kind kKinds[] = {{"light", &tinyscene::Drifts::light},
                           {"dirt", &tinyscene::Drifts::dirt},
                           {"rotation", &tinyscene::Drifts::rotation},
                           {"blur", &tinyscene::Drifts::blur},
                           {"noise", &tinyscene::Drifts::noise}};

// One answered frame, for a monitor without channels.
struct Seen {
  Sample sample;
  int label = 0;
};

double AccuracyOf(const std::vector<Seen>& frames) {
  double right = 0.0;
  for (const Seen& frame : frames) right += frame.sample.predicted == frame.label ? 1.0 : 0.0;
  return right / static_cast<double>(frames.size());
}

class Scene {
 public:
  static base::Result<std::unique_ptr<Scene>> Create() {
    auto& fs = base::SystemFileSystem();
    std::unique_ptr<Scene> scene(new Scene);
    ASSIGN_OR_RETURN(const base::Bytes csv, base::ReadFile(fs, TINYMLOPS_DIGITS, 1u << 20));
    ASSIGN_OR_RETURN(tinyscene::Digits digits, tinyscene::Digits::Parse(base::AsText(csv)));
    scene->digits_.emplace(std::move(digits));
    ASSIGN_OR_RETURN(scene->model_, base::ReadFile(fs, TINYMLOPS_CAMERA_MODEL, 16u << 20));
    ASSIGN_OR_RETURN(auto engine, model::OpenEngine(scene->model_, {}));

    // As `tinylcm fit --images DIR --standardise --project 64` makes the example's bundle.
    source::ImageRule rule;
    rule.width = engine->width();
    rule.height = engine->height();
    model::FitData data;
    data.raw_count = engine->feature_count();
    data.picture_width = rule.width;
    data.picture_height = rule.height;
    data.picture_bytes =
        3 * static_cast<std::size_t>(rule.width) * static_cast<std::size_t>(rule.height);
    source::PictureMaker maker({.rule = rule});
    const auto drawer = tinyscene::MakeDrawer(tinyscene::Kind::kCamera, kPlace, *scene->digits_);
    std::vector<float> raw(data.raw_count);
    std::vector<std::uint8_t> picture;
    std::vector<std::uint8_t> turned;
    for (const tinyscene::Shot& shot : scene->Plan(tinyscene::Pool::kT, {}, 10 * kFitPerClass, 0)) {
      ASSIGN_OR_RETURN(const base::ByteView jpeg, drawer->Draw(shot));
      source::Frame frame;
      frame.picture.assign(jpeg.begin(), jpeg.end());
      RETURN_IF_ERROR(maker.Make(frame.view(), picture));
      RETURN_IF_ERROR(engine->Infer(picture, raw));
      data.raw.insert(data.raw.end(), raw.begin(), raw.end());
      data.pictures.insert(data.pictures.end(), picture.begin(), picture.end());
      data.labels.push_back(static_cast<std::uint16_t>(shot.label));
      for (const bool clockwise : {false, true}) {
        model::TurnPicture(picture, rule.width, rule.height, clockwise, turned);
        RETURN_IF_ERROR(engine->Infer(turned, raw));
        std::vector<float>& all = data.turned_raw[clockwise ? 1 : 0];
        all.insert(all.end(), raw.begin(), raw.end());
      }
    }
    for (int label = 0; label < tinyscene::kClasses; ++label) {
      data.label_names.push_back(std::to_string(label));
    }
    model::FitOptions options;
    options.standardise = true;
    options.project = 64;
    ASSIGN_OR_RETURN(model::Fitted fitted, model::Fit(data, options));
    fitted.bundle.image_rule = rule;
    scene->bundle_ = std::make_shared<const model::ModelBundle>(std::move(fitted.bundle));
    return scene;
  }

  // `count` shots with numbers of their own, the classes in turn.
  std::vector<tinyscene::Shot> Plan(tinyscene::Pool pool, const tinyscene::Drifts& drifts,
                                    std::size_t count, std::uint32_t first) const {
    std::vector<tinyscene::Shot> shots =
        tinyscene::PlanExport(*digits_, {.pool = pool, .drifts = drifts},
                              static_cast<std::uint32_t>((count + 9) / 10), std::nullopt);
    for (tinyscene::Shot& shot : shots) shot.number += first;
    return shots;
  }

  // Safe to call from several threads.
  base::Result<std::vector<Seen>> Answer(const std::vector<tinyscene::Shot>& shots) const {
    const auto drawer = tinyscene::MakeDrawer(tinyscene::Kind::kCamera, kPlace, *digits_);
    ASSIGN_OR_RETURN(auto engine, model::OpenEngine(model_, {}));
    ASSIGN_OR_RETURN(const auto serving,
                     pipeline::Serving::Create(bundle_, std::move(engine), {}, {}));
    pipeline::Inference inference;
    std::vector<Seen> seen;
    for (const tinyscene::Shot& shot : shots) {
      ASSIGN_OR_RETURN(const base::ByteView jpeg, drawer->Draw(shot));
      source::Frame frame;
      frame.index = shot.number;
      frame.picture.assign(jpeg.begin(), jpeg.end());
      RETURN_IF_ERROR(serving->Infer(frame, inference));
      Seen one{.sample = {}, .label = shot.label};
      serving->Measure(inference, one.sample);
      one.sample.channels = {};
      seen.push_back(one);
    }
    return seen;
  }

  const model::ModelBundle& bundle() const { return *bundle_; }

 private:
  Scene() = default;
  std::optional<tinyscene::Digits> digits_;
  base::Bytes model_;
  std::shared_ptr<const model::ModelBundle> bundle_;
};

// The strength that costs 20 points, by bisection; nullopt where even the greatest does not.
base::Result<std::optional<double>> Calibrate(const Scene& scene, const Kind& kind, double before,
                                              std::size_t frames) {
  double low = 0.0;
  double high = 1.0;
  std::optional<double> found;
  for (int step = 0; step < 7; ++step) {
    const double strength = step == 0 ? 1.0 : (low + high) / 2.0;
    tinyscene::Drifts drifts;
    drifts.*kind.strength = strength;
    ASSIGN_OR_RETURN(const std::vector<Seen> seen,
                     scene.Answer(scene.Plan(tinyscene::Pool::kB, drifts, frames, 3'000'000)));
    const bool is_enough = AccuracyOf(seen) <= before - 0.2;
    if (step == 0 && !is_enough) return found;
    (is_enough ? high : low) = strength;
    if (is_enough) found = strength;
  }
  return found;
}

struct Run {
  std::size_t delay = kHorizon;
  bool is_missed = true;
  bool was_early = false;  // An alarm before the drift: not counted.
};

std::vector<std::size_t> Shuffled(std::size_t count, base::Random& random) {
  std::vector<std::size_t> order(count);
  for (std::size_t i = 0; i < count; ++i) order[i] = i;
  for (std::size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random.Below(i)]);
  return order;
}

// A device of its own, commissioned and watching.
class Device {
 public:
  Device(const model::ModelBundle& bundle, tinylcm::drift::SignalMask signals, std::uint64_t seed)
      : monitor_(DriftMonitor::Create(
                     {.classes = static_cast<std::uint32_t>(bundle.manifest.labels.size()),
                      .signals = signals,
                      .false_alarm_every = kEvery,
                      .commission = kCommission,
                      .seed = seed,
                      .held_out = bundle.reference.held_out})
                     .value()) {}
  DriftSignal Observe(const Seen& seen) {
    Sample sample = seen.sample;
    sample.index = index_++;
    return monitor_.Observe(sample);
  }

 private:
  DriftMonitor monitor_;
  std::uint64_t index_ = 0;
};

// The frames stand in no order of time, so nothing can be stuck, and each class comes in turn.
tinylcm::drift::SignalMask SignalsOf(const model::ModelBundle& bundle) {
  return model::Signals(bundle).mask() & ~tinylcm::drift::Bit(tinylcm::drift::Signal::kStuck);
}

Run Watch(const Scene& scene, const std::vector<Seen>& quiet, const std::vector<Seen>& drifted,
          double part, std::uint64_t seed) {
  base::Random random(seed);
  const std::vector<std::size_t> order = Shuffled(quiet.size(), random);
  const std::vector<std::size_t> bad = Shuffled(drifted.size(), random);
  Device device(scene.bundle(), SignalsOf(scene.bundle()), seed);
  Run run;
  std::size_t next = 0;
  for (; next < kCommission + kCalm; ++next) {
    if (device.Observe(quiet[order[next]]) == DriftSignal::kDrift) run.was_early = true;
  }
  if (run.was_early) return run;
  std::size_t next_bad = 0;
  for (std::size_t i = 1; i <= kHorizon; ++i) {
    const bool is_bad = random.Uniform() < part;
    const Seen& seen =
        is_bad ? drifted[bad[next_bad++ % bad.size()]] : quiet[order[next++ % order.size()]];
    if (device.Observe(seen) != DriftSignal::kDrift) continue;
    run.delay = i;
    run.is_missed = false;
    break;
  }
  return run;
}

base::Status Measure(const Settings& settings, Table& table) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Scene> made, Scene::Create());
  const Scene& scene = *made;
  const std::size_t quiet_count = settings.quick ? 2200 : 5000;
  const std::size_t drifted_count = settings.quick ? 300 : 900;
  const std::size_t sweep_count = settings.quick ? 200 : 900;

  // Half of each pool of digits nobody has seen; drawn by several at once.
  std::vector<std::vector<Seen>> parts(4);
  std::vector<base::Status> failed(parts.size() + std::size(kKinds));
  ForEach(parts.size(), settings.threads, [&](std::size_t i) {
    const auto pool = i % 2 == 0 ? tinyscene::Pool::kA : tinyscene::Pool::kB;
    auto seen = scene.Answer(scene.Plan(pool, {}, quiet_count / parts.size(),
                                        static_cast<std::uint32_t>(1'000'000 + 100'000 * i)));
    if (!seen.ok()) {
      failed[i] = seen.error();
    } else {
      parts[i] = std::move(seen).value();
    }
  });
  std::vector<Seen> quiet;
  for (const auto& part : parts) quiet.insert(quiet.end(), part.begin(), part.end());
  const double before = AccuracyOf(parts[1]);

  struct Drift {
    std::optional<double> strength;
    double after = 0.0;
    std::vector<Seen> frames;
  };
  std::vector<Drift> drifts(std::size(kKinds));
  ForEach(drifts.size(), settings.threads, [&](std::size_t i) {
    const auto draw = [&]() -> base::Status {
      ASSIGN_OR_RETURN(drifts[i].strength, Calibrate(scene, kKinds[i], before, sweep_count));
      if (!drifts[i].strength) return {};
      tinyscene::Drifts drawn;
      drawn.*kKinds[i].strength = *drifts[i].strength;
      for (const auto pool : {tinyscene::Pool::kA, tinyscene::Pool::kB}) {
        ASSIGN_OR_RETURN(const std::vector<Seen> seen,
                         scene.Answer(scene.Plan(pool, drawn, drifted_count / 2, 2'000'000)));
        drifts[i].frames.insert(drifts[i].frames.end(), seen.begin(), seen.end());
      }
      drifts[i].after = AccuracyOf(drifts[i].frames);
      return {};
    };
    failed[parts.size() + i] = draw();
  });
  for (const base::Status& status : failed) RETURN_IF_ERROR(status);

  // Quiet: as many false alarms as were asked for?
  {
    const std::size_t devices = settings.Runs(40);
    std::vector<std::size_t> alarms(devices, 0);
    const std::size_t watched = quiet.size() - kCommission;
    ForEach(devices, settings.threads, [&](std::size_t i) {
      base::Random random(900 + i);
      const std::vector<std::size_t> order = Shuffled(quiet.size(), random);
      Device device(scene.bundle(), SignalsOf(scene.bundle()), 900 + i);
      for (const std::size_t at : order) {
        if (device.Observe(quiet[at]) != DriftSignal::kDrift) continue;
        ++alarms[i];
        break;
      }
    });
    double total = 0.0;
    for (const std::size_t count : alarms) total += static_cast<double>(count);
    // Each device stops at its first.
    const double expected =
        static_cast<double>(devices) * (1.0 - std::exp(-static_cast<double>(watched) / kEvery));
    table.Add({.name = "d3.quiet.alarms",
               .bar = "D3",
               .value = total,
               .unit = "alarms",
               .at_most = expected + 1.96 * std::sqrt(expected),
               .baseline = expected,
               .conditions = StrCat(devices, " devices watch ", watched,
                                    " quiet frames each, or until an alarm; baseline: expected of "
                                    "one every ",
                                    kEvery)});
  }

  struct Share {
    const char* name;
    double part;
    double median;
    double max;
  };
  constexpr double kNone = std::numeric_limits<double>::infinity();
  for (const Share& share : {Share{"all", 1.0, 7.0, 12.0}, Share{"three_of_ten", 0.3, 30.0, kNone},
                             Share{"one_of_ten", 0.1, 300.0, kNone}}) {
    for (std::size_t k = 0; k < drifts.size(); ++k) {
      const Drift& drift = drifts[k];
      if (!drift.strength) {
        table.Skip("D3", StrCat(kKinds[k].name, ": costs less than 20 points at full strength"));
        continue;
      }
      std::vector<Run> runs(settings.Runs(100));
      ForEach(runs.size(), settings.threads, [&](std::size_t i) {
        runs[i] = Watch(scene, quiet, drift.frames, share.part, 100 + i);
      });
      std::vector<double> delays;
      std::size_t missed = 0;
      double max_of_first = 0.0;
      for (const Run& run : runs) {
        if (run.was_early) continue;
        delays.push_back(static_cast<double>(run.delay));
        missed += run.is_missed ? 1 : 0;
        if (delays.size() <= 20) max_of_first = std::max(max_of_first, delays.back());
      }
      const Summary is = Summarise(delays);
      const std::string conditions =
          StrCat(kKinds[k].name, " ", base::FormatShort(*drift.strength), ", accuracy ",
                 base::FormatShort(before), " to ", base::FormatShort(drift.after), ", ",
                 share.part, " of the frames, ", delays.size(), " devices, ", missed,
                 " missed (charged ", kHorizon, "), largest ", is.max, ", every ", kEvery);
      table.Add({.name = StrCat("d3.", share.name, ".", kKinds[k].name, ".median"),
                 .bar = "D3",
                 .value = is.median,
                 .low = is.median_low,
                 .high = is.median_high,
                 .unit = "frames",
                 .at_most = share.median,
                 .conditions = conditions});
      if (share.max < kNone) {
        table.Add({.name = StrCat("d3.", share.name, ".", kKinds[k].name, ".max"),
                   .bar = "D3",
                   .value = max_of_first,
                   .unit = "frames",
                   .at_most = share.max,
                   .conditions = "largest of the first 20 devices; " + conditions});
      }
    }
  }
  return {};
}

}  // namespace

void CameraDigits(const Settings& settings, Table& table) {
  if (const base::Status status = Measure(settings, table); !status.ok()) {
    table.Skip("D3", status.error().message);
  }
}

}  // namespace bench::drift
