// D2: real sensors that age: an array of gas sensors, 36 months (TINYMLOPS_DATA, gas_drift).
//
// A bundle is fitted on 60 % of the rows of batches 1 and 2; a device is commissioned on 300 of the
// others, in an order of its own, watches 100 more of them and then gets a later batch, in any
// order. Watched with all signals a row has.

#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/drift/bars.h"
#include "tinylcm/drift/drift_monitor.h"
#include "tinylcm/model/fit.h"
#include "tinylcm/model/signals.h"
#include "tinylcm/pipeline/serving.h"

namespace bench::drift {

namespace {

using base::Error;
using base::ErrorCode;
using base::StrCat;
using tinylcm::drift::DriftMonitor;
using tinylcm::drift::DriftSignal;
using tinylcm::drift::Sample;
namespace model = tinylcm::model;
namespace pipeline = tinylcm::pipeline;

constexpr double kEvery = 1e4;
constexpr std::size_t kChannels = 128;
constexpr std::uint32_t kCommission = 300;
constexpr std::size_t kCalm = 100;
constexpr std::size_t kHorizon = 200;

struct Gas {
  std::vector<float> rows;  // [n, kChannels]
  std::vector<int> batch;
  std::vector<std::uint16_t> label;  // 0 to 5.

  std::vector<std::size_t> Of(int first, int last) const {
    std::vector<std::size_t> found;
    for (std::size_t i = 0; i < batch.size(); ++i) {
      if (batch[i] >= first && batch[i] <= last) found.push_back(i);
    }
    return found;
  }
};

base::Result<Gas> Read(const std::string& folder) {
  auto& fs = base::SystemFileSystem();
  ASSIGN_OR_RETURN(const base::Bytes npy,
                   base::ReadFile(fs, folder + "/gas_drift/features.npy", 64u << 20));
  ASSIGN_OR_RETURN(const base::Bytes csv,
                   base::ReadFile(fs, folder + "/gas_drift/meta.csv", 16u << 20));
  Gas gas;
  const std::string text(base::AsText(csv));
  for (std::size_t at = text.find('\n') + 1; at > 0 && at < text.size();
       at = text.find('\n', at) + 1) {
    int row = 0;
    int batch = 0;
    int label = 0;
    if (std::sscanf(text.c_str() + at, "%d,%d,%d", &row, &batch, &label) != 3) break;
    gas.batch.push_back(batch);
    gas.label.push_back(static_cast<std::uint16_t>(label - 1));
  }
  // Version 1 of the format: ten bytes, the last two the length of the header; then the numbers.
  const std::size_t bytes = gas.batch.size() * kChannels * sizeof(float);
  const std::size_t header = npy.size() < 10 ? 0 : 10u + npy[8] + 256u * npy[9];
  if (bytes == 0 || npy.size() != header + bytes) {
    return Error{ErrorCode::kCorrupt, "gas_drift: features.npy and meta.csv do not fit together"};
  }
  gas.rows.resize(gas.batch.size() * kChannels);
  std::memcpy(gas.rows.data(), npy.data() + header, bytes);
  return gas;
}

void Shuffle(std::vector<std::size_t>& values, base::Random& random) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[random.Below(i)]);
  }
}

// Every row of the file, answered and measured in the given order.
base::Result<std::vector<Sample>> Answer(const std::shared_ptr<const model::ModelBundle>& bundle,
                                         const Gas& gas) {
  ASSIGN_OR_RETURN(const auto serving, pipeline::Serving::Create(bundle, nullptr, {}, {}));
  pipeline::Inference inference;
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < gas.batch.size(); ++i) {
    tinylcm::source::Frame frame;
    frame.index = i;
    const auto first = gas.rows.begin() + static_cast<std::ptrdiff_t>(i * kChannels);
    frame.row.assign(first, first + static_cast<std::ptrdiff_t>(kChannels));
    RETURN_IF_ERROR(serving->Infer(frame, inference));
    serving->Measure(inference, samples.emplace_back());
    samples.back().channels = {};
  }
  return samples;
}

base::Status Measure(const Settings& settings, Table& table) {
  ASSIGN_OR_RETURN(const Gas gas, Read(settings.data));
  base::Random random(5);
  std::vector<std::size_t> early = gas.Of(1, 2);
  Shuffle(early, random);
  const std::size_t fitted_count = early.size() * 6 / 10;
  model::FitData data;
  data.raw_count = kChannels;
  for (std::size_t i = 0; i < fitted_count; ++i) {
    const auto first = gas.rows.begin() + static_cast<std::ptrdiff_t>(early[i] * kChannels);
    data.raw.insert(data.raw.end(), first, first + static_cast<std::ptrdiff_t>(kChannels));
    data.labels.push_back(gas.label[early[i]]);
  }
  for (int label = 1; label <= 6; ++label) data.label_names.push_back(std::to_string(label));
  model::FitOptions options;
  options.standardise = true;
  options.project = 64;
  options.anchors_per_class = 34;
  ASSIGN_OR_RETURN(model::Fitted fitted, model::Fit(data, options));
  fitted.bundle.manifest.input.channel_count = kChannels;
  const auto bundle = std::make_shared<const model::ModelBundle>(std::move(fitted.bundle));
  ASSIGN_OR_RETURN(const std::vector<Sample> samples, Answer(bundle, gas));
  // Rows stand in no order of time: nothing can be stuck.
  const tinylcm::drift::SignalMask signals =
      model::Signals(*bundle).mask() & ~tinylcm::drift::Bit(tinylcm::drift::Signal::kStuck);
  const std::vector<std::size_t> field(early.begin() + static_cast<std::ptrdiff_t>(fitted_count),
                                       early.end());
  const auto monitor = [&](std::uint64_t seed) {
    return DriftMonitor::Create({.classes = 6,
                                 .signals = signals,
                                 .false_alarm_every = kEvery,
                                 .commission = kCommission,
                                 .seed = seed,
                                 .held_out = bundle->reference.held_out})
        .value();
  };

  const std::size_t devices = settings.Runs(100);
  std::vector<double> alarms(devices, 0.0);
  ForEach(devices, settings.threads, [&](std::size_t i) {
    base::Random order(7000 + i);
    std::vector<std::size_t> rows = field;
    Shuffle(rows, order);
    DriftMonitor watch = monitor(7000 + i);
    for (std::size_t t = 0; t < rows.size() && alarms[i] == 0.0; ++t) {
      Sample sample = samples[rows[t]];
      sample.index = t;
      alarms[i] += watch.Observe(sample) == DriftSignal::kDrift ? 1.0 : 0.0;
    }
  });
  double total = 0.0;
  for (const double count : alarms) total += count;
  const double watched = static_cast<double>(field.size() - kCommission);
  const double expected = static_cast<double>(devices) * (1.0 - std::exp(-watched / kEvery));
  table.Add({.name = "d2.quiet.alarms",
             .bar = "D2",
             .value = total,
             .unit = "alarms",
             .at_most = std::floor(expected + 1.96 * std::sqrt(expected)) + 1.0,
             .baseline = expected,
             .conditions = StrCat(devices, " devices watch ", watched,
                                  " rows of batches 1 and 2 each that no fit has seen, in any "
                                  "order; at most: Poisson, 95 %; baseline: expected of one every ",
                                  kEvery)});

  for (const int batch : {3, 4, 5, 6, 8, 9}) {
    const std::vector<std::size_t> later = gas.Of(batch, batch);
    std::vector<double> delays(devices, 0.0);  // 0: an alarm came before the change.
    ForEach(devices, settings.threads, [&](std::size_t i) {
      base::Random order(8000 + i);
      std::vector<std::size_t> rows = field;
      std::vector<std::size_t> changed = later;
      Shuffle(rows, order);
      Shuffle(changed, order);
      rows.resize(kCommission + kCalm);
      const std::size_t quiet = rows.size();
      rows.insert(
          rows.end(), changed.begin(),
          changed.begin() + static_cast<std::ptrdiff_t>(std::min(kHorizon, changed.size())));
      DriftMonitor watch = monitor(8000 + i);
      delays[i] = static_cast<double>(kHorizon);
      for (std::size_t t = 0; t < rows.size(); ++t) {
        Sample sample = samples[rows[t]];
        sample.index = t;
        if (watch.Observe(sample) != DriftSignal::kDrift) continue;
        delays[i] = t < quiet ? 0.0 : static_cast<double>(t - quiet + 1);
        break;
      }
    });
    std::erase(delays, 0.0);
    double right = 0.0;
    for (const std::size_t row : later) {
      right += samples[row].predicted == gas.label[row] ? 1.0 : 0.0;
    }
    const Summary is = Summarise(delays);
    const std::string conditions =
        StrCat("batch ", batch, ", accuracy ",
               base::FormatShort(right / static_cast<double>(later.size())), ", ", delays.size(),
               " devices, commissioned on ", kCommission, " rows, every ", kEvery);
    table.Add({.name = StrCat("d2.batch", batch, ".median"),
               .bar = "D2",
               .value = is.median,
               .low = is.median_low,
               .high = is.median_high,
               .unit = "rows",
               .at_most = 10.0,
               .conditions = conditions});
    table.Add({.name = StrCat("d2.batch", batch, ".max"),
               .bar = "D2",
               .value = is.max,
               .unit = "rows",
               .at_most = 20.0,
               .conditions = conditions});
  }
  return {};
}

}  // namespace

void GasBatches(const Settings& settings, Table& table) {
  if (settings.data.empty()) return table.Skip("D2", "TINYMLOPS_DATA is not set");
  if (const base::Status status = Measure(settings, table); !status.ok()) {
    table.Skip("D2", status.error().message);
  }
}

}  // namespace bench::drift
