// D5: fewer false alarms and a shorter delay than river's ADWIN, on the same numbers?
//
// The mean distance to the nearest neighbours, as both see it: real digits in any order and in
// spells of two classes, and, where TINYMLOPS_DATA is, the prototype's vectors with noise about
// them. Twenty streams of 20,000 samples on which nothing happens, then twenty for each change, at
// sample 5,000 of 7,000. Ours is the drift monitor as it comes: a false alarm every 1,000,000
// samples, 1,000 of which commission it. Where river alarmed on quiet streams, ours is set to that
// run length too (matched).

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "bench/drift/bars.h"
#include "bench/drift/river.h"
#include "bench/drift/streams.h"
#include "bench/drift/watching.h"
#include "tinylcm/evaluation/detection.h"

namespace bench::drift {

namespace {

using base::StrCat;
using tinylcm::drift::DriftMonitor;
using tinylcm::drift::DriftSignal;
using tinylcm::drift::OneSignal;
using tinylcm::drift::Signal;
using tinylcm::evaluation::Detection;

constexpr std::size_t kStreams = 20;
constexpr std::uint64_t kQuiet = 20'000;
constexpr std::uint64_t kChange = 5'000;
constexpr std::uint64_t kEnd = 7'000;
constexpr double kEvery = 1e6;

struct Recorded {
  std::vector<std::uint16_t> predicted;
  std::vector<double> distances;
};
// Stream number i of this source; with a change from kChange on, "" is none.
using Record = std::function<Recorded(std::size_t i, const std::string& change)>;

struct Kind {
  std::string name;
  std::uint32_t classes = 0;
  std::vector<std::string> changes = {};
  Record record = {};
};

std::vector<std::uint64_t> OurAlarms(const Recorded& stream, std::uint32_t classes, double every,
                                     std::uint64_t seed) {
  DriftMonitor monitor = MakeMonitor(
      {.classes = classes, .signals = Bit(Signal::kAnchorDistance), .every = every, .seed = seed});
  std::vector<std::uint64_t> alarms;
  for (std::uint64_t i = 0; i < stream.distances.size(); ++i) {
    if (monitor.Observe(OneSignal(i, stream.predicted[i], Signal::kAnchorDistance,
                                  static_cast<float>(stream.distances[i]))) !=
        DriftSignal::kDrift) {
      continue;
    }
    alarms.push_back(i);
    monitor.Resume();  // As if somebody had said that nothing changed.
  }
  return alarms;
}

// ---- sources ------------------------------------------------------------------------------------

Kind DigitsKind(bool blocks) {
  using Change = Digits::Change;
  static const std::map<std::string, std::pair<Change, double>> kChanges = {
      {"noise", {Change::kNoise, 1.0}},
      {"dimming", {Change::kDimming, 1.0}},
      {"rotation", {Change::kRotation, 1.0}},
      {"rotation_30_percent", {Change::kRotation, 0.3}}};
  Kind kind = {.name = blocks ? "digits.blocks" : "digits.any_order", .classes = Digits::kClasses};
  for (const auto& [name, change] : kChanges) kind.changes.push_back(name);
  kind.record = [blocks](std::size_t number, const std::string& change) {
    const auto found = kChanges.find(change);
    const bool is_quiet = found == kChanges.end();
    Digits digits(80'000'000 + number, blocks);
    Recorded recorded;
    for (std::uint64_t i = 0; i < (is_quiet ? kQuiet : kEnd); ++i) {
      const auto& sample = is_quiet || i < kChange
                               ? digits.Next()
                               : digits.Next(found->second.first, found->second.second);
      recorded.predicted.push_back(sample.predicted);
      recorded.distances.push_back(static_cast<double>(sample.values[At(Signal::kAnchorDistance)]));
    }
    return recorded;
  };
  return kind;
}

// The prototype's 200 vectors of 256 numbers and their labels; nothing where they are not.
struct Vectors {
  std::vector<std::vector<float>> rows;
  std::vector<std::uint16_t> labels;
  std::vector<std::vector<float>> deviations;  // A class.
};

std::optional<Vectors> ReadVectors(const std::string& data) {
  constexpr std::size_t kRows = 200;
  constexpr std::size_t kColumns = 256;
  std::ifstream numbers(data + "/embeddings/knn_state_4c.npy", std::ios::binary);
  std::ifstream names(data + "/embeddings/knn_state_4c.csv");
  if (data.empty() || !numbers || !names) return std::nullopt;
  numbers.seekg(128);
  Vectors vectors;
  std::map<std::string, std::uint16_t> number_of;
  std::string line;
  std::getline(names, line);
  for (std::size_t i = 0; i < kRows; ++i) {
    std::vector<float> row(kColumns);
    numbers.read(reinterpret_cast<char*>(row.data()), kColumns * sizeof(float));
    vectors.rows.push_back(row);
    std::getline(names, line);
    const std::string label(base::Split(line, ',').at(1));
    vectors.labels.push_back(
        number_of.emplace(label, static_cast<std::uint16_t>(number_of.size())).first->second);
  }
  if (!numbers || !names) return std::nullopt;
  for (std::uint16_t label = 0; label < number_of.size(); ++label) {
    std::vector<float> deviation(kColumns, 0.0f);
    for (std::size_t j = 0; j < kColumns; ++j) {
      double sum = 0.0, squares = 0.0, count = 0.0;
      for (std::size_t i = 0; i < kRows; ++i) {
        if (vectors.labels[i] != label) continue;
        const auto value = static_cast<double>(vectors.rows[i][j]);
        sum += value;
        squares += value * value;
        count += 1.0;
      }
      deviation[j] =
          static_cast<float>(std::sqrt(std::max(0.0, squares / count - sum * sum / count / count)));
    }
    vectors.deviations.push_back(deviation);
  }
  return vectors;
}

// A stored vector, noise of .436 of its class's deviations about it, and the mean Euclidean
// distance to the five nearest.
Kind VectorsKind(const Vectors& vectors) {
  Kind kind = {.name = "vectors",
               .classes = static_cast<std::uint32_t>(vectors.deviations.size()),
               .changes = {"features_1_sigma", "distances_1_sigma"}};
  kind.record = [&vectors](std::size_t number, const std::string& change) {
    base::Random random(81'000'000 + number);
    Recorded recorded;
    std::vector<float> query(vectors.rows[0].size());
    for (std::uint64_t i = 0; i < (change.empty() ? kQuiet : kEnd); ++i) {
      const bool changed = !change.empty() && i >= kChange;
      const std::size_t row = random.Below(vectors.rows.size());
      const std::vector<float>& deviation = vectors.deviations[vectors.labels[row]];
      const float rise = changed && change == "features_1_sigma" ? 1.0f : 0.0f;
      for (std::size_t j = 0; j < query.size(); ++j) {
        query[j] = vectors.rows[row][j] +
                   deviation[j] * (rise + static_cast<float>(0.436 * random.Normal()));
      }
      std::vector<std::pair<float, std::uint16_t>> nearest;
      for (std::size_t k = 0; k < vectors.rows.size(); ++k) {
        float squares = 0.0f;
        for (std::size_t j = 0; j < query.size(); ++j) {
          const float apart = query[j] - vectors.rows[k][j];
          squares += apart * apart;
        }
        nearest.emplace_back(squares, vectors.labels[k]);
      }
      std::partial_sort(nearest.begin(), nearest.begin() + 5, nearest.end());
      double distance = 0.0;
      std::vector<int> votes(vectors.deviations.size(), 0);
      for (int k = 0; k < 5; ++k) {
        distance += std::sqrt(static_cast<double>(nearest[static_cast<std::size_t>(k)].first)) / 5;
        ++votes[nearest[static_cast<std::size_t>(k)].second];
      }
      // Its deviation on these streams is 7.3.
      if (changed && change == "distances_1_sigma") distance += 7.3;
      recorded.distances.push_back(distance);
      recorded.predicted.push_back(
          static_cast<std::uint16_t>(std::max_element(votes.begin(), votes.end()) - votes.begin()));
    }
    return recorded;
  };
  return kind;
}

// ---- the comparison -----------------------------------------------------------------------------

struct Judged {
  std::uint64_t false_alarms = 0;
  double charged_delay = 0.0;
  std::uint64_t caught = 0;
};

Judged Judge(const std::vector<std::vector<std::uint64_t>>& alarms, bool is_quiet) {
  Judged judged;
  for (const std::vector<std::uint64_t>& one : alarms) {
    std::vector<tinylcm::evaluation::Change> changes;
    if (!is_quiet) changes.push_back(tinylcm::evaluation::At(kChange));
    const Detection is = tinylcm::evaluation::Evaluate(one, changes, is_quiet ? kQuiet : kEnd,
                                                       {.horizon = kEnd - kChange})
                             .value();
    judged.false_alarms += is.false_alarms;
    judged.charged_delay += is.charged_delay.value_or(0.0) / static_cast<double>(alarms.size());
    judged.caught += is.caught;
  }
  return judged;
}

void Compare(const Settings& settings, const Kind& kind, Table& table) {
  const std::size_t count = settings.Runs(kStreams);
  std::vector<std::string> all = {""};
  all.insert(all.end(), kind.changes.begin(), kind.changes.end());
  double matched = 0.0;
  for (const std::string& change : all) {
    std::vector<Recorded> streams(count);
    ForEach(count, settings.threads, [&](std::size_t i) { streams[i] = kind.record(i, change); });
    std::vector<std::vector<double>> numbers;
    for (const Recorded& stream : streams) numbers.push_back(stream.distances);
    const auto river_alarms = RiverAdwinAlarms(settings, numbers);
    if (!river_alarms) return table.Skip("D5", kind.name + ": river is not there");
    const Judged river = Judge(*river_alarms, change.empty());
    const auto ours_at = [&](double every) {
      std::vector<std::vector<std::uint64_t>> alarms(count);
      ForEach(count, settings.threads, [&](std::size_t i) {
        alarms[i] = OurAlarms(streams[i], kind.classes, every, 1 + i);
      });
      return Judge(alarms, change.empty());
    };
    const Judged ours = ours_at(kEvery);
    if (change.empty()) {
      const double ten_thousands = static_cast<double>(count * kQuiet) / 1e4;
      const auto interval = tinylcm::evaluation::PoissonInterval(ours.false_alarms);
      const auto river_rate = static_cast<double>(river.false_alarms) / ten_thousands;
      if (river.false_alarms > 0) {
        matched = std::min(kEvery, 1e4 / river_rate);
      }
      table.Add({.name = StrCat("d5.", kind.name, ".false_alarms"),
                 .bar = "D5",
                 .value = static_cast<double>(ours.false_alarms) / ten_thousands,
                 .low = interval.low / ten_thousands,
                 .high = interval.high / ten_thousands,
                 .unit = "per 1e4",
                 .at_most = river_rate,
                 .baseline = std::max(river_rate, 1.0 / ten_thousands),
                 .conditions = StrCat(ours.false_alarms, " in ", count * kQuiet,
                                      " quiet samples; baseline: ADWIN of river 0.26.1, ",
                                      river.false_alarms)});
      continue;
    }
    const auto add = [&](const char* suffix, const Judged& is, double every) {
      table.Add({.name = StrCat("d5.", kind.name, ".", change, ".delay", suffix),
                 .bar = "D5",
                 .value = is.charged_delay,
                 .unit = "samples",
                 .at_most = river.charged_delay,
                 .baseline = std::max(river.charged_delay, 1.0),
                 .conditions =
                     StrCat("mean of ", count, " streams, ", is.caught, " caught, a miss charged ",
                            kEnd - kChange, "; a false alarm every ", std::round(every),
                            "; baseline: ADWIN, ", river.caught, " caught, ", river.false_alarms,
                            " alarms before the change")});
    };
    add("", ours, kEvery);
    if (matched > 0.0 && matched < kEvery) add(".matched", ours_at(matched), matched);
  }
}

}  // namespace

void BesideRiver(const Settings& settings, Table& table) {
  if (settings.river.empty()) return table.Skip("D5", "river is not there (bench/python.sh)");
  for (const bool blocks : {false, true}) Compare(settings, DigitsKind(blocks), table);
  const auto vectors = ReadVectors(settings.data);
  if (!vectors) {
    return table.Skip("D5", "vectors: TINYMLOPS_DATA does not name the prototype's");
  }
  Compare(settings, VectorsKind(*vectors), table);
}

}  // namespace bench::drift
