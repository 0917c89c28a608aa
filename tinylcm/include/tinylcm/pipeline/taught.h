// Taught: what one device learned, made a bundle for others.
//
// Picture a cook's notes pinned to the printed recipe: the recipe stays as it was printed, and
// whoever gets it cooks by the notes from the first pot on. The notes are an adaptation, byte for
// byte as the device wrote it; the recipe is the bundle it learned on; both under one new manifest,
// which a publisher signs. For such a bundle "the bundle alone" means the bundle with its notes.
//
// Format: docs/formats/bundle.md, role `adaptation`.

#pragma once

#include <string>

#include "base/file_system.h"
#include "base/result.h"
#include "protocol/learned_model.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/pipeline/serving.h"

namespace tinylcm::pipeline {

// What is served with this bundle before anything was learned here: "none" for a usual one. It
// names `bundle` as the one it belongs to, not the parent it was learned on. kCorrupt where its
// bytes are damaged or it was learned on another bundle than `lineage.parent`.
base::Result<adapt::Adaptation> TaughtBy(const model::ModelBundle& bundle);

// Answers the golden inputs as the bundle says they must be answered with what it was taught;
// nothing to check for a usual bundle. kCorrupt names the first input that is off.
// REQUIRES: `serving` serves TaughtBy() its bundle.
base::Status CheckTaught(Serving& serving);

// What is said of an adaptation when it is sent to be kept and given to others. `sha256`: of its
// serialised bytes.
protocol::LearnedModel LearnedOn(const model::ModelBundle& bundle,
                                 const adapt::Adaptation& adaptation, const std::string& sha256);

struct TeachOptions {
  std::string base;        // A bundle's folder or archive: the one it was learned on.
  std::string adaptation;  // The file a device's package `model` brought.
  std::string version;     // Of the new bundle; another than the base's.
  std::string taught_by;   // The device; may be empty.
  std::string min_agent;   // The oldest agent that reads the role.
  std::string out;         // The new bundle's folder; must not be there.
};

// Writes the folder of the new bundle and returns its identity. Expected answers are made by
// serving the golden inputs, so a bundle of pictures needs its engine. Errors: kConflict (`out` is
// there), kInvalidArgument (an adaptation of another bundle, or of nothing; the base's version),
// those of LoadBundle and of the engine. On an error nothing is left at `out`.
base::Result<std::string> Teach(base::FileSystem& fs, const TeachOptions& options,
                                const model::EngineOpener& open_engine);

}  // namespace tinylcm::pipeline
