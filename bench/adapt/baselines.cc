#include "bench/adapt/baselines.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "tinylcm/classify/knn_classifier.h"
#include "tinylcm/model/engine.h"
#include "tinylcm/pipeline/serving.h"

namespace bench::adapt {

namespace {

namespace classify = tinylcm::classify;
namespace pipeline = tinylcm::pipeline;

constexpr std::size_t kSlots = 200;
constexpr double kLeastSpread = 1e-6;

struct Features {
  std::size_t dims = 0;
  std::vector<float> values;
  std::size_t size() const { return values.size() / dims; }
  std::span<const float> row(std::size_t i) const {
    return std::span(values).subspan(i * dims, dims);
  }
};

base::Result<Features> Embed(pipeline::Serving& serving, std::span<const Shown> shown) {
  Features features;
  features.dims = serving.bundle().feature_count();
  std::vector<std::uint8_t> picture;
  std::vector<float> raw;
  std::vector<float> feature(features.dims);
  for (const Shown& one : shown) {
    if (serving.bundle().is_image) {
      RETURN_IF_ERROR(serving.Decode(one.frame.view(), picture));
    } else {
      raw = one.frame.row;
    }
    RETURN_IF_ERROR(serving.Embed(picture, raw, feature));
    features.values.insert(features.values.end(), feature.begin(), feature.end());
  }
  return features;
}

struct Moments {
  std::vector<double> mean, spread;
};
Moments MomentsOf(std::size_t dims, std::span<const float> values) {
  Moments moments{std::vector<double>(dims, 0.0), std::vector<double>(dims, 0.0)};
  const auto count = static_cast<double>(values.size() / dims);
  for (std::size_t i = 0; i < values.size(); ++i) {
    moments.mean[i % dims] += static_cast<double>(values[i]) / count;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double off = static_cast<double>(values[i]) - moments.mean[i % dims];
    moments.spread[i % dims] += off * off / count;
  }
  for (double& spread : moments.spread) spread = std::sqrt(spread);
  return moments;
}

void Count(bool is_right, const Shown& shown, const Deal& deal, Score& score) {
  const bool is_novel = deal.novel == shown.label;
  ++score.samples;
  score.right += is_right ? 1 : 0;
  score.novel_samples += is_novel ? 1 : 0;
  score.novel_right += is_novel && is_right ? 1 : 0;
}

Score Ask(classify::KnnClassifier& knn, const Features& features, std::span<const Shown> shown,
          const Deal& deal) {
  Score score;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    Count(knn.Classify(features.row(i)).nearest == shown[i].label, shown[i], deal, score);
  }
  return score;
}

base::Result<Score> SelfTrain(const tinylcm::model::ModelBundle& bundle, const Features& collected,
                              const Features& scored, const Deal& deal) {
  struct Slot {
    std::vector<float> feature;
    std::uint16_t label = 0;
  };
  std::deque<Slot> slots;
  const classify::Anchors& anchors = bundle.anchors;
  // Anchors stand class by class: every so many of them, so that all classes are there.
  const std::size_t taken = std::min(kSlots, anchors.size());
  for (std::size_t i = 0; i < taken; ++i) {
    const std::size_t at = i * anchors.size() / taken;
    const auto row = anchors.row(at);
    slots.push_back({{row.begin(), row.end()}, anchors.labels[at]});
  }
  const auto answer = [&](std::span<const float> feature) -> base::Result<std::uint16_t> {
    classify::Anchors memory;
    for (const Slot& slot : slots) memory.Add(slot.feature, slot.label);
    ASSIGN_OR_RETURN(classify::KnnClassifier knn,
                     classify::KnnClassifier::Create(bundle.ClassifierOptions(), memory));
    const std::uint16_t label = knn.Classify(feature).nearest;
    slots.push_back({{feature.begin(), feature.end()}, label});
    if (slots.size() > kSlots) slots.pop_front();
    return label;
  };
  for (std::size_t i = 0; i < collected.size(); ++i) {
    RETURN_IF_ERROR(answer(collected.row(i)));
  }
  Score score;
  for (std::size_t i = 0; i < scored.size(); ++i) {
    ASSIGN_OR_RETURN(const std::uint16_t label, answer(scored.row(i)));
    Count(label == deal.scored[i].label, deal.scored[i], deal, score);
  }
  return score;
}

}  // namespace

base::Result<Baselines> MeasureBaselines(const Deal& deal, bool all) {
  const auto& bundle = deal.bundle;
  std::unique_ptr<tinylcm::feature::FeatureModel> engine;
  if (bundle->is_image) {
    ASSIGN_OR_RETURN(engine,
                     tinylcm::model::OpenEngine(bundle->feature_model, bundle->engine_options()));
  }
  ASSIGN_OR_RETURN(const auto serving,
                   pipeline::Serving::Create(bundle, std::move(engine), {}, {}));
  classify::KnnClassifier& knn = serving->classifier();
  ASSIGN_OR_RETURN(const Features scored, Embed(*serving, deal.scored));
  ASSIGN_OR_RETURN(const Features quiet, Embed(*serving, deal.scored_quiet));
  Baselines measured;
  measured.nothing = Ask(knn, scored, deal.scored, deal);
  measured.before = Ask(knn, quiet, deal.scored_quiet, deal);
  if (!all) return measured;

  const std::size_t count = std::min<std::size_t>(deal.quarantine, deal.changed.size());
  ASSIGN_OR_RETURN(const Features collected, Embed(*serving, std::span(deal.changed).first(count)));
  const Moments stream = MomentsOf(collected.dims, collected.values);
  const Moments anchors = MomentsOf(collected.dims, bundle->anchors.vectors);
  Features aligned = scored;
  for (std::size_t i = 0; i < aligned.values.size(); ++i) {
    const std::size_t d = i % aligned.dims;
    const double spread = std::max(stream.spread[d], kLeastSpread);
    aligned.values[i] = static_cast<float>(
        (static_cast<double>(aligned.values[i]) - stream.mean[d]) / spread * anchors.spread[d] +
        anchors.mean[d]);
  }
  measured.blind = Ask(knn, aligned, deal.scored, deal);
  ASSIGN_OR_RETURN(measured.self_trained, SelfTrain(*bundle, collected, scored, deal));
  return measured;
}

}  // namespace bench::adapt
