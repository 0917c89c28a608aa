#include "agent/alarm_rule.h"

#include "base/text.h"
#include "tinylcm/drift/detectors/run_length.h"

namespace agent {

namespace drift = tinylcm::drift;

using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;

namespace {

Error Wrong(const std::string& what) {
  return Error{ErrorCode::kInvalidArgument, StrCat("drift.detector: ", what)};
}

Result<drift::AlarmRule> RuleOf(const DetectorConfig& given, double run_length) {
  drift::AlarmRule rule;
  rule.detector = given.name;
  rule.options = given.options;
  const std::optional<drift::Signal> signal = drift::ParseSignal(given.signal);
  if (!signal) return Wrong(StrCat("signal ", given.signal, ": there is no such signal"));
  rule.signal = *signal;
  if (drift::FindDetectorKind(given.name) == nullptr) {
    return Wrong(StrCat("name ", given.name, ": there is no such detector"));
  }
  if (given.name == "ddm" || given.name == "eddm") {
    return Wrong(StrCat(given.name, " watches errors, which a device does not know"));
  }
  if (given.name == "js_distribution" && *signal != drift::Signal::kClassMix) {
    return Wrong("js_distribution watches the signal class_mix");
  }
  // Before a limit for that many is sought.
  if (std::ranges::any_of(given.options, [](const auto& option) {
        return option.first == "dimensions" && option.second != "1";
      })) {
    return Wrong(StrCat(given.name, ": dimensions must be 1"));
  }
  // A limit a person set is meant for the values as they are; a solved one for scores.
  const bool has_limit = drift::HasLimit(given.name, given.options);
  if (has_limit || given.name == "js_distribution") {
    rule.feed = drift::Feed::kValue;
  } else if (given.name == "hddm_a" || given.name == "hddm_w") {
    rule.feed = drift::Feed::kRank;
  }
  const auto made = drift::MakeDetector(
      given.name, given.options,
      has_limit && !(given.run_length > 0.0) ? std::nullopt : std::optional(run_length));
  if (!made.ok()) return Wrong(made.error().message);
  return rule;
}

}  // namespace

Result<std::optional<drift::AlarmRule>> AlarmRuleOf(const Config& config) {
  if (config.detector) {
    ASSIGN_OR_RETURN(drift::AlarmRule rule, RuleOf(*config.detector, FalseAlarmEvery(config)));
    return std::optional(std::move(rule));
  }
  if (!config.prototype || config.prototype->detectors.empty()) {
    return std::optional<drift::AlarmRule>();
  }
  const PrototypeDetector& detector = config.prototype->detectors.front();
  drift::AlarmRule rule;
  rule.detector = "knn_distance";
  rule.options = {{"delta", base::FormatDouble(detector.delta)},
                  {"lambda_threshold", base::FormatDouble(detector.lambda_threshold)}};
  rule.signal = drift::Signal::kAnchorDistance;
  rule.feed = drift::Feed::kValue;
  return std::optional(std::move(rule));
}

double FalseAlarmEvery(const Config& config) {
  return config.detector && config.detector->run_length > 0.0 ? config.detector->run_length
                                                              : config.false_alarm_every;
}

std::string RunLengthSentence(const PrototypeDetector& detector, double spread) {
  const double k = detector.delta / spread;
  const double h = detector.lambda_threshold / spread;
  std::string often = "less than once in 1e10 samples";
  if (h <= 0.0) {
    often = "at nearly every sample";
  } else if (h <= 100.0) {
    const auto run_length = drift::CusumRunLength({.k = k, .h = h});
    if (run_length.ok() && *run_length < 1e10) {
      often = StrCat("every ", base::FormatShort(*run_length), " samples on average");
    }
  }
  return StrCat("delta ", base::FormatShort(detector.delta), " and lambda_threshold ",
                base::FormatShort(detector.lambda_threshold), " alarm ", often,
                " while nothing changes, where distances spread by ", base::FormatShort(spread),
                "; drift.detector {\"name\": \"knn_distance\"} without them alarms every "
                "drift.false_alarm_every");
}

}  // namespace agent
