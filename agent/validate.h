// Validate: whether an adaptation helped, by replaying it against what people said.
//
//   labelled sample ─┬─▶ base bundle (or champion) ─▶ answer before ─┐
//                    └─▶ bundle + adaptation ───────▶ answer after ──┴─▶ right or wrong, in pairs
//
// A sample that taught an adaptation would be answered from memory. So what was learned from it is
// left out when its own turn comes: what remains is what the adaptation knows about its like.
// Format: docs/formats/judgement.md.

#pragma once

#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "protocol/judgement.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/adapt/challenger.h"
#include "tinylcm/model/bundle.h"

namespace agent {

struct ValidateOptions {
  std::string bundle;      // The base: a folder or an archive.
  std::string adaptation;  // File.
  std::string champion;    // File; "": before is the bundle alone.
  std::string samples;     // File; pictures lie beside it.
  std::string scratch;     // A folder that is made, where an archive is unpacked, and removed.
};

// kInvalidArgument for what is not to be read or does not belong together; those of LoadBundle and
// of the engine.
base::Result<protocol::Judgement> Validate(const ValidateOptions& options, base::FileSystem& fs,
                                           const tinylcm::model::EngineOpener& open_engine);

// What a head of this adaptation rests on beside its memory, as the device that fits one sees it.
tinylcm::adapt::ClassMoments AnchorsOf(const tinylcm::model::ModelBundle& bundle,
                                       const tinylcm::adapt::Adaptation& adaptation);

// The adaptation without what this sample taught it: its own vector, those labelled after it, and a
// head fitted on the rest exactly as the device fits it. An alignment stays: it is an average over
// the whole quarantine. REQUIRES: `anchors` (AnchorsOf) where the adaptation has a head.
tinylcm::adapt::Adaptation WithoutSample(const tinylcm::adapt::Adaptation& adaptation,
                                         const std::string& sample_id,
                                         const tinylcm::adapt::ClassMoments* anchors);

// Whether the sample taught it anything.
bool WasTaughtBy(const tinylcm::adapt::Adaptation& adaptation, const std::string& sample_id);

// The judgement that the answers before and after allow.
protocol::Judgement Conclude(std::vector<protocol::Judgement::Sample> samples);

}  // namespace agent
