// A device made of seeded numbers, without files: a bundle of any size, an engine that gives one of
// a few outputs for each picture, and a source that never ends. For tests and benchmarks of what
// lies around the model.
//
//   EndlessSource ─ frame ─▶ FramePath( SeededBundle + SeededEngine ) ─▶ answers, all quiet

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "tinylcm/drift/drift_monitor.h"
#include "tinylcm/feature/picture_figures.h"
#include "tinylcm/feature/processor.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/pipeline/serving.h"
#include "tinylcm/source/frame.h"

namespace testing_support {

struct SeededShape {
  int side = 224;               // Of pictures; 0: rows.
  std::size_t raw = 1280;       // The model's numbers, or a row's.
  std::size_t dims = 256;       // After the projection; 0: none.
  std::uint32_t anchors = 200;  // Of all classes together.
  std::uint32_t classes = 4;
  std::uint64_t seed = 1;
};

inline std::vector<float> SeededNumbers(base::Random& random, std::size_t count) {
  std::vector<float> numbers(count);
  for (float& number : numbers) number = static_cast<float>(random.Normal());
  return numbers;
}

// What a sample of a class looks like: the class's own centre and some noise.
class SeededSamples {
 public:
  explicit SeededSamples(const SeededShape& shape) : shape_(shape), random_(shape.seed + 1) {
    base::Random centres(shape.seed);
    for (std::uint32_t label = 0; label < shape.classes; ++label) {
      centres_.push_back(SeededNumbers(centres, shape.raw));
    }
  }
  std::vector<float> Next(std::uint32_t label) {
    std::vector<float> sample = centres_[label];
    for (float& value : sample) value += 0.3f * static_cast<float>(random_.Normal());
    return sample;
  }

 private:
  SeededShape shape_;
  base::Random random_;
  std::vector<std::vector<float>> centres_;
};

inline std::shared_ptr<const tinylcm::model::ModelBundle> SeededBundle(const SeededShape& shape) {
  tinylcm::model::ModelBundle bundle;
  bundle.bundle = base::StrCat("seeded-", shape.seed);
  bundle.is_image = shape.side > 0;
  bundle.image_rule.width = bundle.image_rule.height = shape.side;
  for (std::uint32_t label = 0; label < shape.classes; ++label) {
    bundle.manifest.labels.push_back(base::StrCat("a label of more than fifteen letters ", label));
  }
  base::Random random(shape.seed + 2);
  bundle.processor.mean.assign(shape.raw, 0.1f);
  bundle.processor.scale.assign(shape.raw, 1.5f);
  if (shape.dims > 0) {
    bundle.processor.projection_mean.assign(shape.raw, 0.05f);
    bundle.processor.projection = SeededNumbers(random, shape.dims * shape.raw);
  }
  auto processor = tinylcm::feature::Processor::Create(bundle.processor).value();
  SeededSamples samples(shape);
  std::vector<float> feature(processor.feature_count());
  for (std::uint32_t i = 0; i < shape.anchors; ++i) {
    processor.Apply(samples.Next(i % shape.classes), feature);
    bundle.anchors.Add(feature, static_cast<std::uint16_t>(i % shape.classes));
  }
  return std::make_shared<const tinylcm::model::ModelBundle>(std::move(bundle));
}

// Gives one of 64 samples, a class after the other.
class SeededEngine final : public tinylcm::feature::FeatureModel {
 public:
  // `as_a_model`, if given, runs within every Infer: what a real one would do to the caches.
  explicit SeededEngine(const SeededShape& shape, std::function<void()> as_a_model = {})
      : shape_(shape), as_a_model_(std::move(as_a_model)) {
    SeededSamples samples(shape);
    for (std::uint32_t i = 0; i < 64; ++i) outputs_.push_back(samples.Next(i % shape.classes));
  }
  int width() const override { return shape_.side; }
  int height() const override { return shape_.side; }
  std::size_t feature_count() const override { return shape_.raw; }
  base::Status Infer(std::span<const std::uint8_t>, std::span<float> raw) override {
    if (as_a_model_) as_a_model_();
    std::ranges::copy(outputs_[next_++ % outputs_.size()], raw.begin());
    return {};
  }

 private:
  SeededShape shape_;
  std::function<void()> as_a_model_;
  std::vector<std::vector<float>> outputs_;
  std::size_t next_ = 0;
};

// The pipeline's first stage, watching for drift as the agent does.
inline std::unique_ptr<tinylcm::pipeline::Stage> SeededStage(
    const SeededShape& shape, std::unique_ptr<tinylcm::feature::FeatureModel> engine) {
  const auto bundle = SeededBundle(shape);
  auto stage = std::make_unique<tinylcm::pipeline::Stage>();
  stage->serving = tinylcm::pipeline::Serving::Create(bundle, std::move(engine), {}, {}).value();
  tinylcm::drift::DriftMonitor::Options drift;
  drift.classes = shape.classes;
  drift.signals = stage->serving->signals();
  drift.channels = static_cast<std::uint32_t>(stage->serving->channel_count());
  drift.false_alarm_every = 1e9;
  stage->monitor = std::make_unique<tinylcm::drift::DriftMonitor>(
      tinylcm::drift::DriftMonitor::Create(drift).value());
  return stage;
}

// Frames as a raw camera or a row sensor gives them, in buffers that came back; ends after `count`
// (0: never).
class EndlessSource final : public tinylcm::source::Source {
 public:
  explicit EndlessSource(const SeededShape& shape, std::uint64_t count = 0)
      : shape_(shape), count_(count) {
    SeededSamples samples(shape);
    base::Random random(shape.seed + 3);
    const auto bytes = static_cast<std::size_t>(3 * shape.side * shape.side);
    for (std::uint32_t i = 0; i < 64; ++i) {
      if (shape.side == 0) {
        rows_.push_back(samples.Next(i % shape.classes));
      } else if (i < 4) {
        pictures_.emplace_back(bytes);
        for (std::uint8_t& value : pictures_.back()) {
          value = static_cast<std::uint8_t>(random.Below(256));
        }
      }
    }
  }

  base::Result<std::optional<tinylcm::source::Frame>> Next() override {
    if (ended()) return std::optional<tinylcm::source::Frame>();
    std::optional<tinylcm::source::Frame> frame = std::move(spare_);
    spare_.reset();
    if (!frame) frame.emplace();
    frame->index = next_;
    frame->time = base::Time(base::Duration(static_cast<std::int64_t>(next_)));
    if (shape_.side == 0) {
      const std::vector<float>& row = rows_[next_ % rows_.size()];
      frame->row.assign(row.begin(), row.end());
    } else {
      const base::Bytes& picture = pictures_[next_ % pictures_.size()];
      // A buffer that came back still holds a picture; copying another is the reader's work.
      if (frame->picture.size() != picture.size()) frame->picture = picture;
      frame->format = tinylcm::source::PictureFormat::kRgb24;
      frame->width = frame->height = shape_.side;
    }
    ++next_;
    return frame;
  }
  void Recycle(tinylcm::source::Frame&& frame) override { spare_ = std::move(frame); }
  bool ended() const override { return count_ > 0 && next_ >= count_; }
  tinylcm::source::SourceCounters counters() const override { return {.frames = next_}; }

 private:
  SeededShape shape_;
  std::uint64_t count_;
  std::uint64_t next_ = 0;
  std::vector<std::vector<float>> rows_;
  std::vector<base::Bytes> pictures_;
  std::optional<tinylcm::source::Frame> spare_;
};

}  // namespace testing_support
