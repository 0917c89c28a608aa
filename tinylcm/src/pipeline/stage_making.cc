#include "tinylcm/src/pipeline/stage_making.h"

#include <utility>
#include <vector>

#include "tinylcm/feature/picture_figures.h"

namespace tinylcm::pipeline {

using base::Result;

Result<std::unique_ptr<Serving>> MakeServing(
    const model::EngineOpener& open_engine, const std::shared_ptr<const model::ModelBundle>& bundle,
    const adapt::Adaptation& adaptation, const Serving::Options& options) {
  std::unique_ptr<feature::FeatureModel> engine;
  if (bundle->is_image) {
    ASSIGN_OR_RETURN(engine, open_engine(bundle->feature_model, bundle->engine_options()));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Serving> serving,
                   Serving::Create(bundle, std::move(engine), adaptation, options));
  Inference warm;
  std::vector<std::uint8_t> grey;
  if (bundle->is_image) {
    grey.assign(static_cast<std::size_t>(bundle->image_rule.width) *
                    static_cast<std::size_t>(bundle->image_rule.height) * 3,
                128);
    warm.picture = grey;
  } else {
    warm.raw = bundle->processor.mean;
  }
  RETURN_IF_ERROR(serving->InferDecoded(warm));
  return serving;
}

Result<std::unique_ptr<drift::DriftMonitor>> MakeMonitor(const LifecycleOptions& wanted,
                                                         const model::ModelBundle& bundle,
                                                         drift::SignalMask signals) {
  drift::DriftMonitor::Options options;
  options.signals = signals;
  options.has_cycle = wanted.cycle.count() > 0;
  options.classes = static_cast<std::uint32_t>(bundle.manifest.labels.size());
  if (bundle.is_image) {
    options.channel_names.assign(feature::PictureFigureNames().begin(),
                                 feature::PictureFigureNames().end());
  } else if (bundle.manifest.input.window && bundle.config.channels.size() == bundle.raw_count()) {
    options.channel_names = bundle.config.channels;  // "x.mean" says more than a number.
  }
  options.channels =
      static_cast<std::uint32_t>(bundle.is_image ? feature::kPictureFigures : bundle.raw_count());
  options.samples_noun = bundle.is_image ? "frames" : "rows";
  options.false_alarm_every = wanted.false_alarm_every;
  options.commission = wanted.commission;
  options.hold_back = wanted.hold_back;
  options.alarm = wanted.alarm;
  options.seed = wanted.seed;
  options.held_out = bundle.reference.held_out;
  options.labels = bundle.manifest.labels;
  ASSIGN_OR_RETURN(drift::DriftMonitor monitor, drift::DriftMonitor::Create(options));
  return std::make_unique<drift::DriftMonitor>(std::move(monitor));
}

}  // namespace tinylcm::pipeline
