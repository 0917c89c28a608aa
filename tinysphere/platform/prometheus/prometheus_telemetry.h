// Telemetry by prometheus-cpp (https://github.com/jupp0r/prometheus-cpp, 1.0.1).

#pragma once

#include <memory>

#include "tinysphere/telemetry/telemetry.h"

namespace tinysphere::prometheus {

std::unique_ptr<telemetry::Telemetry> MakeTelemetry();

}  // namespace tinysphere::prometheus
