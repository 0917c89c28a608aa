#include "agent/run_length_verb.h"

#include <cmath>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/verbs.h"
#include "base/json.h"
#include "base/text.h"
#include "tinylcm/drift/detectors/setting.h"

namespace agent {

namespace drift = tinylcm::drift;

using base::Error;
using base::ErrorCode;
using base::Json;
using base::StrCat;

namespace {

struct Arguments {
  std::string detector;
  std::vector<std::string> options;
  double target = 0.0;
  std::int64_t seed = 1;
  std::int64_t runs = 1000;
  std::int64_t values = 20'000'000;
  bool json = false;
};

Error Wrong(const std::string& what) {
  return Error{ErrorCode::kInvalidArgument, StrCat("run-length: ", what)};
}

Json Number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

// "930.9", "10000", "1.2e+12": what a person reads.
std::string Round(double value) {
  if (!std::isfinite(value)) return "endless";
  if (value < 1e3) return base::FormatDouble(std::round(value * 10.0) / 10.0);
  if (value < 1e10) return std::to_string(std::llround(value));
  return base::FormatShort(value);
}

void Print(const Arguments& given, const drift::DetectorKind& kind,
           const drift::DetectorSetting& setting) {
  const drift::RunLengthEstimate& run = setting.run_length;
  if (given.json) {
    std::cout << Json::MakeObject({{"detector", given.detector},
                                   {"limit", Json::MakeObject({{"option", setting.limit_name},
                                                               {"value", setting.limit}})},
                                   {"target", given.target > 0 ? Json(given.target) : Json()},
                                   {"run_length", Json::MakeObject({{"mean", Number(run.mean)},
                                                                    {"low", Number(run.low)},
                                                                    {"high", Number(run.high)},
                                                                    {"exact", setting.is_exact},
                                                                    {"alarms", run.alarms},
                                                                    {"values", run.values}})},
                                   {"holds_for", std::string(kind.assumes)}})
                     .WritePretty()
              << '\n';
    return;
  }
  std::cout << given.detector << ": " << setting.limit_name << "=" << setting.limit << '\n';
  if (setting.is_exact && run.low == run.high) {
    std::cout << "run length: " << Round(run.mean) << " values between false alarms (exact)\n";
  } else if (setting.is_exact) {
    std::cout << "run length: " << Round(run.low) << " to " << Round(run.high)
              << " values between false alarms (bounds)\n";
  } else {
    std::cout << "run length: " << Round(run.mean) << " values between false alarms, 95 % from "
              << Round(run.low) << " to " << Round(run.high) << " (" << run.alarms << " alarms in "
              << run.values << " values)\n";
  }
  std::cout << "holds for:  " << kind.assumes << '\n';
}

int Run(const Arguments& given) {
  drift::DetectorOptions options;
  for (const std::string& option : given.options) {
    const std::size_t equals = option.find('=');
    if (equals == std::string::npos) {
      return base::Fail(kProgram, Wrong(StrCat("--option ", option, ": key=value is asked")));
    }
    options.emplace_back(option.substr(0, equals), option.substr(equals + 1));
  }
  if (given.runs < 10 || given.values < 1'000) {
    return base::Fail(kProgram, Wrong("--runs must be at least 10, --values at least 1000"));
  }
  const drift::MonteCarlo work{.seed = static_cast<std::uint64_t>(given.seed),
                               .runs = static_cast<std::uint64_t>(given.runs),
                               .values = static_cast<std::uint64_t>(given.values)};
  const auto setting =
      drift::Describe(given.detector, options,
                      given.target != 0 ? std::optional<double>(given.target) : std::nullopt, work);
  if (!setting.ok()) {
    const Error& error = setting.error();
    // An unknown name is wrong use, not an answer.
    if (error.code != ErrorCode::kUnsupported) return base::Fail(kProgram, Wrong(error.message));
    return base::Fail(kProgram, error.Within("run-length"));
  }
  Print(given, *drift::FindDetectorKind(given.detector), *setting);
  return base::kExitDone;
}

}  // namespace

void AddRunLength(base::CommandLine& line) {
  auto given = std::make_shared<Arguments>();
  base::Command& verb =
      line.Add("run-length",
               "How often a detector's setting alarms by chance, or the limit for a run length");
  std::vector<std::string> names;
  for (const std::string_view name : drift::DetectorNames()) names.emplace_back(name);
  verb.Text("--detector", given->detector, "Which one").Required().OneOf(names);
  verb.Texts("--option", given->options,
             "key=value, may be given again; `tinylcm detect --list-options` names them");
  verb.Number("--target", given->target,
              "Mean number of values between false alarms to solve the limit for");
  verb.Int("--seed", given->seed, "Where a run length is tried: same seed, same answer");
  verb.Int("--runs", given->runs, "Alarms waited for, at most");
  verb.Int("--values", given->values, "Values looked at, at most");
  verb.Flag("--json", given->json, "One JSON object");
  verb.Action([given] { return Run(*given); });
}

}  // namespace agent
