// The sensor array of the demo, in one process: rows of real digits, features, neighbours and drift
// monitor together. One readout block of sixteen channels ages from one row to the next (gain 0.3,
// bias one full scale); the monitor notices and names the block.

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "tinylcm/classify/knn_classifier.h"
#include "tinylcm/drift/drift_monitor.h"
#include "tinylcm/feature/processor.h"

namespace {

using tinylcm::classify::Anchors;
using tinylcm::classify::KnnClassifier;
using tinylcm::drift::DriftMonitor;
using tinylcm::drift::DriftSignal;
using tinylcm::feature::Processor;

constexpr std::size_t kChannels = 64;
constexpr std::size_t kAgedFirst = 16;
constexpr std::size_t kAgedLast = 31;
constexpr std::size_t kAnchorsPerClass = 60;

struct Digits {
  std::vector<std::vector<float>> rows;  // Full scale 1.
  std::vector<std::uint16_t> labels;
};

const Digits& AllDigits() {
  static const Digits digits = [] {
    Digits read;
    const auto text =
        base::ReadTextFile(base::SystemFileSystem(), "examples/digits/digits.csv", 1u << 20);
    EXPECT_TRUE(text.ok()) << text.error().message;
    for (const std::string_view line : base::Split(base::Trim(*text), '\n')) {
      const auto cells = base::Split(line, ',');
      if (cells.size() != kChannels + 1 || !base::ParseInt(cells[0]).ok()) continue;
      std::vector<float> row;
      for (std::size_t i = 0; i < kChannels; ++i) {
        row.push_back(static_cast<float>(*base::ParseInt(cells[i])) / 16.0f);
      }
      read.rows.push_back(row);
      read.labels.push_back(static_cast<std::uint16_t>(*base::ParseInt(cells[kChannels])));
    }
    return read;
  }();
  return digits;
}

// Half of the digits fitted, the other half streamed in any order.
class SensorArray {
 public:
  explicit SensorArray(std::uint64_t seed) : random_(seed) {
    const Digits& digits = AllDigits();
    for (std::size_t id = 0; id < digits.rows.size(); ++id) order_.push_back(id);
    for (std::size_t i = order_.size() - 1; i > 0; --i) {
      std::swap(order_[i], order_[random_.Below(i + 1)]);
    }
    half_ = order_.size() / 2;
    std::vector<float> fit;
    for (std::size_t i = 0; i < half_; ++i) {
      const std::vector<float> row = Noisy(order_[i]);
      fit.insert(fit.end(), row.begin(), row.end());
    }
    processor_.emplace(
        Processor::Create(tinylcm::feature::FitStandardise(fit, kChannels).value()).value());
    Anchors anchors;
    std::vector<std::size_t> taken(10, 0);
    for (std::size_t i = 0; i < half_; ++i) {
      const std::uint16_t label = digits.labels[order_[i]];
      if (taken[label]++ >= kAnchorsPerClass) continue;
      processor_->Apply(std::span(fit).subspan(i * kChannels, kChannels), feature_);
      anchors.Add(feature_, label);
    }
    knn_.emplace(KnnClassifier::Create({.classes = 10}, anchors).value());
    monitor.emplace(
        DriftMonitor::Create({.classes = 10, .channels = kChannels, .seed = seed}).value());
  }

  DriftSignal Row(bool aged) {
    const std::size_t id = order_[half_ + random_.Below(order_.size() - half_)];
    std::vector<float> row = Noisy(id);
    if (aged) {
      for (std::size_t i = kAgedFirst; i <= kAgedLast; ++i) row[i] = 0.3f * row[i] + 1.0f;
    }
    processor_->Apply(row, feature_);
    const auto prediction = knn_->Classify(feature_);
    (aged ? aged_rows : rows) += 1;
    if (prediction.label == AllDigits().labels[id]) (aged ? aged_right : right) += 1;
    return monitor->Observe(tinylcm::drift::OneSignal(index_++, prediction.nearest,
                                                      tinylcm::drift::Signal::kAnchorDistance,
                                                      prediction.anchor_distance, feature_));
  }

  std::optional<DriftMonitor> monitor;
  int rows = 0, right = 0, aged_rows = 0, aged_right = 0;

 private:
  std::vector<float> Noisy(std::size_t id) {
    std::vector<float> row = AllDigits().rows[id];
    for (float& value : row) value += static_cast<float>(0.05 * random_.Normal());
    return row;
  }

  base::Random random_;
  std::vector<std::size_t> order_;
  std::size_t half_ = 0;
  std::optional<Processor> processor_;
  std::optional<KnnClassifier> knn_;
  std::vector<float> feature_ = std::vector<float>(kChannels);
  std::uint64_t index_ = 0;
};

TEST(SensorAgeing, IsNoticedWithinTwentyRowsAndTheBlockIsNamed) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    SensorArray array(seed);
    for (int i = 0; i < 1600; ++i) ASSERT_NE(array.Row(false), DriftSignal::kDrift) << "row " << i;
    int noticed = 0;
    while (noticed < 100) {
      noticed += 1;
      if (array.Row(true) == DriftSignal::kDrift) break;
    }
    EXPECT_LE(noticed, 20);
    ASSERT_EQ(array.monitor->phase(), DriftMonitor::Phase::kOpen);

    // The event is packaged some rows later; twenty more rows are enough.
    for (int i = 0; i < 20; ++i) array.Row(true);
    const auto found = array.monitor->explanation().value();
    int aged = 0;
    int others = 0;
    for (const auto& channel : found.channels) {
      const bool is_aged = channel.index >= kAgedFirst && channel.index <= kAgedLast;
      (is_aged ? aged : others) += 1;
    }
    std::printf(
        "seed %d: accuracy %.3f -> %.3f, noticed after %d, %d of 16 aged named, %d others\n",
        static_cast<int>(seed), static_cast<double>(array.right) / array.rows,
        static_cast<double>(array.aged_right) / array.aged_rows, noticed, aged, others);
    EXPECT_GE(aged, 14);
    EXPECT_LE(others, 2);
    EXPECT_NEAR(static_cast<double>(found.change_index), 1600.0, 5.0);
    EXPECT_NE(found.text.find("; channels 1"), std::string::npos) << found.text;
  }
}

TEST(SensorAgeing, DoesNotHappenToAnArrayLeftAlone) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    SCOPED_TRACE(seed);
    SensorArray array(seed);
    for (int i = 0; i < 5000; ++i) ASSERT_NE(array.Row(false), DriftSignal::kDrift) << "row " << i;
    EXPECT_GE(static_cast<double>(array.right) / array.rows, 0.92);
  }
}

}  // namespace
