// Serving: what answers a frame right now: a bundle, its inference engine, and the adaptation on
// top.
//
//   picture -> input hypothesis -> model -> processor -> feature transform -> nearest neighbours
//   row     -> input hypothesis ->          processor -> feature transform -> nearest neighbours
//                                                                            or a head
//
// Made and warmed up off the frame path, then swapped in whole (model/hot_swap.h); never changed.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/classify/classifier.h"
#include "tinylcm/drift/sample.h"
#include "tinylcm/feature/feature_model.h"
#include "tinylcm/feature/processor.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/model/signals.h"
#include "tinylcm/source/frame.h"
#include "tinylcm/source/image_rule.h"

namespace tinylcm::pipeline {

// One answered frame. Reused from frame to frame, so that nothing is allocated once warm.
struct Inference {
  // As the camera gave it, before the hypothesis; rows: empty. It lies in the frame or in the
  // Serving's memory: use it before the next Infer.
  std::span<const std::uint8_t> picture;
  std::vector<std::uint8_t> corrected;
  std::vector<float> raw;            // The model's output, or the row as it came.
  std::vector<float> corrected_row;  // What the processor was given instead, if a hypothesis says.
  std::vector<float> feature;        // What was classified.
  std::vector<float> channels;  // What a drift is explained by: a row's channels, standardised, or
                                // the picture's figures (feature/picture_figures.h).
  classify::Prediction prediction;
  std::vector<float> share;  // Of each class in the answer; adds up to 1.
  std::optional<std::uint32_t> frame_number;
  // Microseconds a stage: decode and resize; model; everything after it.
  double decode_us = 0.0;
  double model_us = 0.0;
  double classify_us = 0.0;
};

// The bundle's class that an answer counts for where opened classes do not exist (drift, accuracy).
std::uint16_t KnownClass(const classify::Prediction& prediction, const model::ModelBundle& bundle);

// kInvalidArgument, naming the row, unless it has `channels` numbers, all of them finite.
base::Status CheckRow(const source::Frame& frame, std::size_t channels);

// Not thread-safe: one thread owns it.
class Serving {
 public:
  struct Options {
    bool barcode = false;  // Read the frame number a test camera draws into the picture.
    // Counts up with every change that is served; 0 is the bundle alone.
    std::uint64_t revision = 0;
  };

  // `engine`: for images, made of bundle->feature_model; null for rows. kInvalidArgument where the
  // adaptation does not fit the bundle.
  static base::Result<std::unique_ptr<Serving>> Create(
      std::shared_ptr<const model::ModelBundle> bundle,
      std::unique_ptr<feature::FeatureModel> engine, adapt::Adaptation adaptation,
      const Options& options);

  // A bad frame (corrupt, of the wrong size) is an Error that names what was wrong; nothing of it
  // is kept. So is one whose numbers, or what the model makes of it, are not finite or lie
  // infinitely far from what is known: kInvalidArgument "row 12: a number beyond reach".
  base::Status Infer(const source::Frame& frame, Inference& out);

  // The part after decoding: `out.picture` or `out.raw` is filled already.
  base::Status InferDecoded(Inference& out);

  // The label-free signals of what Infer has just answered: everything of `sample` but its index
  // and its phase; its channels lie in `from`. Once for each, in their order: `stuck` compares with
  // the one before. A signal there is no ground for is not there; see signals(). What is watched
  // has the bundle's classes, so a sample of an opened class is ranked among those of the class
  // whose anchor lies nearest to it.
  void Measure(const Inference& from, drift::Sample& sample);
  // The signals every sample of this Serving has.
  drift::SignalMask signals() const { return signals_.mask(); }

  // The bundle alone: decoded picture (or nothing, for rows with `raw` filled) -> raw -> feature.
  base::Status Embed(std::span<const std::uint8_t> picture, std::vector<float>& raw,
                     std::span<float> feature);

  // Decodes as Infer does. REQUIRES: images.
  base::Status Decode(const source::PictureView& from, std::vector<std::uint8_t>& picture);

  // Accuracy on the bundle's canary: the anchors alone, and with the adaptation's memory.
  double CanaryAccuracy();

  const model::ModelBundle& bundle() const { return *bundle_; }
  const std::shared_ptr<const model::ModelBundle>& shared_bundle() const { return bundle_; }
  const adapt::Adaptation& adaptation() const { return adaptation_; }
  std::uint64_t revision() const { return options_.revision; }
  // The bundle's, then those people opened: what a prediction's label means.
  const std::vector<std::string>& labels() const { return labels_; }
  // REQUIRES: bundle().is_adaptable().
  classify::KnnClassifier& classifier() { return *classifier_.knn(); }
  std::size_t channel_count() const;

 private:
  Serving(std::shared_ptr<const model::ModelBundle> bundle,
          std::unique_ptr<feature::FeatureModel> engine, adapt::Adaptation adaptation,
          const Options& options, feature::Processor processor, classify::Classifier classifier,
          std::optional<adapt::PictureTransform> picture_transform,
          std::optional<adapt::RowTransform> row_transform);

  std::shared_ptr<const model::ModelBundle> bundle_;
  std::unique_ptr<feature::FeatureModel> engine_;
  adapt::Adaptation adaptation_;
  Options options_;
  feature::Processor processor_;
  classify::Classifier classifier_;
  std::optional<adapt::PictureTransform> picture_transform_;
  std::optional<adapt::RowTransform> row_transform_;
  std::vector<std::string> labels_;
  std::vector<float> canary_share_;
  source::PictureMaker picture_maker_;
  model::Signals signals_;
};

}  // namespace tinylcm::pipeline
