// Question: what a device collects after an alarm, what it makes of it, and what it asks a person.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/drift_event.h"
#include "protocol/package.h"
#include "tinylcm/accuracy/estimator.h"
#include "tinylcm/adapt/quarantine.h"
#include "tinylcm/drift/explanation.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/pipeline/serving.h"
#include "tinylcm/source/mask.h"

namespace tinylcm::pipeline {

// What a sample may be called: the bundle's classes, then those that people opened.
std::vector<std::string> LabelNames(const model::ModelBundle& bundle,
                                    const adapt::Quarantine& quarantine);
// "unknown" for a label beyond the names.
std::string LabelName(std::span<const std::string> names, std::uint16_t label);

// How far from the anchors samples answered as `label` usually lie: the median of the held-out
// ones, of all classes where that has none; 0 where nothing was held out.
float UsualDistance(const model::ModelBundle& bundle, std::uint16_t label);

// Takes an answered frame into the quarantine, as the bundle alone sees it: `bench`. Regions of
// `masks` are black in the picture that is kept.
base::Status AddToQuarantine(const Seen& seen, const std::vector<source::MaskRegion>& masks,
                             Serving& bench, adapt::Quarantine& quarantine);

// What is known of the open drift, into its event; all but the samples.
void Describe(const drift::DriftExplanation& explanation,
              const std::optional<accuracy::Drop>& accuracy_drop, const model::ModelBundle& bundle,
              protocol::DriftEvent& event);

struct QuestionOptions {
  std::uint32_t labels = 24;
  std::uint64_t seed = 1;
  bool send_images = false;  // Local consent.
};
// The files of a `drift_event` package that asks for labels, the most pressing first. event.samples
// become those asked for.
std::vector<protocol::PackageFile> MakeQuestion(const QuestionOptions& options,
                                                const model::ModelBundle& bundle,
                                                const adapt::Quarantine& quarantine,
                                                protocol::DriftEvent& event);

// The files of a `samples` package: `options.labels` more of the event's samples, none of them
// labelled or among event.samples, to which they are added. An empty set where the quarantine has
// gone on to another event, or has no more.
std::vector<protocol::PackageFile> MakeSamples(const QuestionOptions& options,
                                               const model::ModelBundle& bundle,
                                               const adapt::Quarantine& quarantine,
                                               protocol::DriftEvent& event);

}  // namespace tinylcm::pipeline
