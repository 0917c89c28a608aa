// Stage making: a Serving and its drift monitor, warmed up off the frame path.

#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/drift/drift_monitor.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/model/engine.h"
#include "tinylcm/pipeline/lifecycle.h"
#include "tinylcm/pipeline/serving.h"

namespace tinylcm::pipeline {

// Has answered once when it returns: the first inference allocates. `open_engine` is asked for an
// engine where the bundle takes images.
base::Result<std::unique_ptr<Serving>> MakeServing(
    const model::EngineOpener& open_engine, const std::shared_ptr<const model::ModelBundle>& bundle,
    const adapt::Adaptation& adaptation, const Serving::Options& options);

// `signals`: of the Serving it is to watch.
base::Result<std::unique_ptr<drift::DriftMonitor>> MakeMonitor(const LifecycleOptions& options,
                                                               const model::ModelBundle& bundle,
                                                               drift::SignalMask signals);

}  // namespace tinylcm::pipeline
