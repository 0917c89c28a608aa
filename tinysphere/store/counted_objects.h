// An object store that counts what is asked of another: operations by outcome, and how long they
// took.

#pragma once

#include <memory>

#include "tinysphere/store/object_store.h"
#include "tinysphere/telemetry/telemetry.h"

namespace tinysphere::store {

// `telemetry` must outlive it.
std::unique_ptr<ObjectStore> CountObjects(std::unique_ptr<ObjectStore> objects,
                                          telemetry::Telemetry& telemetry);

}  // namespace tinysphere::store
