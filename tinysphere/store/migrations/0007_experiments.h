// Experiments, runs and their figures, and the outbox that brings them to MLflow.

#pragma once

#include <string_view>

namespace tinysphere::store::migrations {

inline constexpr std::string_view kExperiments = "";

}  // namespace tinysphere::store::migrations
