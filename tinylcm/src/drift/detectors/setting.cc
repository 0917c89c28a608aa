#include "tinylcm/drift/detectors/setting.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinylcm/drift/detectors/run_length.h"
#include "tinylcm/src/drift/detectors/solved_limits.h"

namespace tinylcm::drift {
namespace {

// MakeDetector has refused what is malformed.
std::optional<std::string_view> Given(const DetectorOptions& options, std::string_view name) {
  for (const auto& [key, text] : options) {
    if (key == name) return text;
  }
  return std::nullopt;
}

double Number(const DetectorOptions& options, std::string_view name, double usual) {
  const auto text = Given(options, name);
  if (!text) return usual;
  const auto number = base::ParseDouble(*text);
  return number.ok() ? *number : usual;
}

bool IsTrue(const DetectorOptions& options, std::string_view name) {
  const auto text = Given(options, name);
  return text && (*text == "true" || *text == "True" || *text == "1");
}

// The option's value that the made detector's limit stands for.
base::Result<double> LimitOption(std::string_view name, const DetectorOptions& options,
                                 std::string_view option, const Detector& made, double run_length) {
  if (Given(options, option)) return Number(options, option, 0.0);
  if (name == "adwin") return std::exp(-made.limit());
  if (name == "eddm") return 1.0 - made.limit();
  if (name == "hddm_a") {
    HddmA::Options hddm;
    hddm.two_sided_test = IsTrue(options, "two_sided_test");
    hddm.restart = static_cast<std::uint64_t>(Number(options, "restart", std::floor(run_length)));
    return HddmAConfidence(hddm, Number(options, "error_rate", 0.1), run_length);
  }
  if (name == "hddm_w") {
    HddmW::Options hddm;
    hddm.two_sided_test = IsTrue(options, "two_sided_test");
    hddm.lambda_val = Number(options, "lambda_val", hddm.lambda_val);
    return HddmWConfidence(hddm, Number(options, "error_rate", 0.1), run_length);
  }
  return made.limit();
}

RunLengthEstimate Exactly(double run_length) {
  return {.mean = run_length, .low = run_length, .high = run_length};
}

// By an equation; nullopt where there is none.
std::optional<base::Result<RunLengthEstimate>> ByEquation(std::string_view name,
                                                          const DetectorOptions& options,
                                                          double limit) {
  const auto told = [](const base::Result<double>& run_length) -> base::Result<RunLengthEstimate> {
    if (!run_length.ok()) return run_length.error();
    return Exactly(*run_length);
  };
  const auto mode = Given(options, "mode");
  if (name == "cusum") {
    return told(CusumRunLength(
        {.k = Number(options, "k", 0.5), .h = limit, .two_sided = mode && *mode == "both"}));
  }
  if (name == "ewma") {
    return told(EwmaRunLength({.lambda = Number(options, "lambda", 0.1),
                               .limit = limit,
                               .two_sided = !mode || *mode == "both"}));
  }
  if (name == "page_hinkley" && Number(options, "alpha", 0.9999) == 1.0) {
    const double sd = Number(options, "sd", 1.0);
    PageHinkleyChart chart;
    chart.delta = Number(options, "delta", 0.005) / sd;
    chart.lambda = limit / sd;
    chart.alpha = 1.0;
    chart.min_instances = static_cast<std::uint64_t>(Number(options, "min_instances", 30.0));
    chart.two_sided = !mode || *mode == "both";
    const auto run_length = PageHinkleyRunLength(chart);
    // A limit beyond the equation's reach can still be tried.
    if (run_length.ok()) return run_length;
  }
  return std::nullopt;
}

// The quiet stream that DetectorKind::assumes names.
std::function<double(base::Random&)> QuietValues(std::string_view name,
                                                 const DetectorOptions& options) {
  if (name == "ddm" || name == "eddm" || name == "hddm_a" || name == "hddm_w") {
    const double rate = Number(options, "error_rate", 0.1);
    return [rate](base::Random& random) { return random.Uniform() < rate ? 1.0 : 0.0; };
  }
  if (name == "js_distribution") {
    const auto classes = static_cast<std::uint64_t>(Number(options, "classes", 10.0));
    return [classes](base::Random& random) { return static_cast<double>(random.Below(classes)); };
  }
  const double mean = Number(options, name == "knn_distance" ? "initial_reference_mean" : "mean",
                             name == "knn_distance" ? 10.0 : 0.0);
  const double sd = Number(options, name == "knn_distance" ? "initial_reference_std" : "sd", 1.0);
  return [mean, sd](base::Random& random) { return mean + sd * random.Normal(); };
}

}  // namespace

base::Result<DetectorSetting> Describe(std::string_view name, const DetectorOptions& options,
                                       std::optional<double> target, const MonteCarlo& work) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Detector> made, MakeDetector(name, options, target));
  const DetectorKind* kind = FindDetectorKind(name);
  DetectorSetting setting;
  for (const DetectorOption& option : kind->options) {
    if (option.is_limit && (setting.limit_name.empty() || Given(options, option.name))) {
      setting.limit_name = option.name;
      if (Given(options, option.name)) break;
    }
  }
  // The prototype's monitor has two numbers; what is solved is the second.
  if (name == "knn_distance" && !Given(options, setting.limit_name)) {
    setting.limit_name = "lambda_threshold";
  }
  ASSIGN_OR_RETURN(setting.limit, LimitOption(name, options, setting.limit_name, *made,
                                              target.value_or(kUsualRunLength)));
  if (auto exact = ByEquation(name, options, setting.limit)) {
    ASSIGN_OR_RETURN(setting.run_length, std::move(*exact));
    setting.is_exact = true;
    return setting;
  }
  const auto value = QuietValues(name, options);
  setting.run_length = EstimateRunLength(work, [&] {
    return [detector = made->Clone(), row = std::vector<double>(made->width()),
            &value](base::Random& random) mutable {
      for (double& number : row) number = value(random);
      return detector->ObserveRow(row) == DriftSignal::kDrift;
    };
  });
  return setting;
}

}  // namespace tinylcm::drift
