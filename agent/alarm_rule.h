// AlarmRule from a configuration: which detector of the zoo alarms instead of the evidence of all
// signals, as drift.detector says it, or the prototype's KNNDistanceMonitor.

#pragma once

#include <optional>
#include <string>

#include "agent/config.h"
#include "base/result.h"
#include "tinylcm/drift/drift_monitor.h"

namespace agent {

// Nothing where the evidence alarms. kInvalidArgument says what is wrong with drift.detector.
base::Result<std::optional<tinylcm::drift::AlarmRule>> AlarmRuleOf(const Config& config);

// What drift.false_alarm_every and drift.detector.run_length may be at most.
inline constexpr double kFalseAlarmEveryMax = 1e12;

// Samples between its false alarms: drift.detector.run_length, or else drift.false_alarm_every.
double FalseAlarmEvery(const Config& config);

// "delta 2 and lambda_threshold 10 alarm every 4 samples on average while nothing changes, where
// distances spread by 10.2; ...": so that a threshold taken over is not believed.
// `spread`: standard deviation of the distances, > 0.
std::string RunLengthSentence(const PrototypeDetector& detector, double spread);

}  // namespace agent
