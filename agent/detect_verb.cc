#include "agent/detect_verb.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/verbs.h"
#include "base/json.h"
#include "base/text.h"
#include "tinylcm/drift/detectors/detector.h"

namespace agent {

namespace drift = tinylcm::drift;

using base::Error;
using base::ErrorCode;
using base::Fail;
using base::Json;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

struct Arguments {
  std::string detector;
  std::vector<std::string> options;
  double run_length = 0.0;
  bool list_options = false;
  bool json = false;
};

Error Wrong(const std::string& what) {
  return Error{ErrorCode::kInvalidArgument, StrCat("detect: ", what)};
}

// A number a line, or as many as the detector takes with commas between.
Status ReadRow(std::string_view text, std::uint64_t number, const drift::Detector& detector,
               std::vector<double>& row) {
  const std::vector<std::string_view> parts =
      detector.width() == 1 ? std::vector{text} : base::Split(text, ',');
  if (parts.size() != detector.width()) {
    return Wrong(
        StrCat("stdin:", number, ": ", parts.size(), " numbers, expected ", detector.width()));
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto value = base::ParseDouble(base::Trim(parts[i]));
    if (!value.ok()) {
      return Wrong(StrCat("stdin:", number, ": \"", parts[i], "\" is no finite number"));
    }
    if (const Status status = detector.Accepts(*value); !status.ok()) {
      return Wrong(StrCat("stdin:", number, ": ", parts[i], ": ", status.error().message));
    }
    row[i] = *value;
  }
  return {};
}

void Tell(const Arguments& given, std::uint64_t index, drift::DriftSignal signal,
          const drift::Detector& detector) {
  const bool is_drift = signal == drift::DriftSignal::kDrift;
  if (given.json && (is_drift || signal == drift::DriftSignal::kWarning)) {
    std::cout << Json::MakeObject({{"index", index},
                                   {"kind", is_drift ? "drift" : "warning"},
                                   {"statistic", detector.statistic()}})
                     .Write()
              << '\n';
  } else if (is_drift) {
    std::cout << index << '\n';
  }
}

Json Describe(const drift::DetectorKind& kind) {
  Json options = Json::MakeArray();
  for (const drift::DetectorOption& option : kind.options) {
    options.Append(Json::MakeObject({{"name", std::string(option.name)},
                                     {"usual", std::string(option.usual)},
                                     {"sets_limit", option.is_limit},
                                     {"meaning", std::string(option.meaning)}}));
  }
  return Json::MakeObject({{"name", std::string(kind.name)},
                           {"watches", std::string(kind.watches)},
                           {"takes", std::string(kind.takes)},
                           {"run_length_holds_for", std::string(kind.assumes)},
                           {"options", std::move(options)}});
}

int ListOptions(const Arguments& given) {
  Json all = Json::MakeArray();
  for (const drift::DetectorKind& kind : drift::DetectorKinds()) {
    if (!given.detector.empty() && kind.name != given.detector) continue;
    if (given.json) {
      all.Append(Describe(kind));
      continue;
    }
    std::cout << kind.name << ": watches " << kind.watches << "\n  a value is " << kind.takes
              << "\n  the run length holds for " << kind.assumes << '\n';
    for (const drift::DetectorOption& option : kind.options) {
      const std::string name = StrCat("  ", option.name, "=", option.usual);
      std::cout << name << std::string(name.size() < 30 ? 30 - name.size() : 1, ' ')
                << option.meaning << '\n';
    }
  }
  if (given.json) std::cout << all.WritePretty() << '\n';
  return base::kExitDone;
}

int RunDetect(const Arguments& given) {
  if (given.list_options) return ListOptions(given);
  if (given.detector.empty()) {
    return Fail(kProgram, Wrong("--detector is missing; --list-options shows which there are"));
  }
  drift::DetectorOptions options;
  for (const std::string& option : given.options) {
    const std::size_t equals = option.find('=');
    if (equals == std::string::npos) {
      return Fail(kProgram, Wrong(StrCat("--option ", option, ": key=value is asked")));
    }
    options.emplace_back(option.substr(0, equals), option.substr(equals + 1));
  }
  const drift::DetectorKind* kind = drift::FindDetectorKind(given.detector);
  const bool takes_rows =
      kind != nullptr &&
      std::ranges::any_of(kind->options, [](const drift::DetectorOption& option) {
        return option.name == "dimensions";
      });
  const bool is_width_told =
      std::ranges::any_of(options, [](const auto& option) { return option.first == "dimensions"; });

  std::unique_ptr<drift::Detector> detector;
  const auto make = [&]() -> Status {
    auto made = drift::MakeDetector(
        given.detector, options,
        given.run_length != 0 ? std::optional<double>(given.run_length) : std::nullopt);
    // An unknown name is wrong use, not an answer.
    if (!made.ok()) return Wrong(made.error().message);
    detector = std::move(made).value();
    return {};
  };
  // What is wrong with the options is said before the first number is asked for.
  if (!takes_rows || is_width_told) {
    if (const Status status = make(); !status.ok()) return Fail(kProgram, status.error());
  }
  std::vector<double> row;
  std::string line;
  std::uint64_t number = 0;
  std::uint64_t index = 0;
  while (std::getline(std::cin, line)) {
    ++number;
    const std::string_view text = base::Trim(line);
    if (text.empty()) continue;
    if (detector == nullptr) {
      // The first row says how many numbers one has.
      const auto commas = std::ranges::count(text, ',');
      if (commas > 0) options.emplace_back("dimensions", std::to_string(commas + 1));
      if (const Status status = make(); !status.ok()) return Fail(kProgram, status.error());
    }
    row.resize(detector->width());
    if (const Status status = ReadRow(text, number, *detector, row); !status.ok()) {
      std::cout.flush();
      return Fail(kProgram, status.error());
    }
    Tell(given, index, detector->ObserveRow(row), *detector);
    ++index;
  }
  std::cout.flush();
  return base::kExitDone;
}

}  // namespace

void AddDetect(base::CommandLine& line) {
  auto given = std::make_shared<Arguments>();
  base::Command& detect =
      line.Add("detect", "One detector over numbers on stdin; prints the index of each drift");
  std::vector<std::string> names;
  for (const std::string_view name : drift::DetectorNames()) names.emplace_back(name);
  detect.Text("--detector", given->detector, "Which one").OneOf(names);
  detect.Texts("--option", given->options, "key=value, may be given again");
  detect.Number("--run-length", given->run_length,
                "Mean number of values between false alarms; the limit is solved for it (10000 "
                "where no limit is given)");
  detect.Flag("--list-options", given->list_options,
              "Print what there is to set, of all or of --detector, and read nothing");
  detect.Flag("--json", given->json, "One JSON object a signal, each warning too");
  detect.Action([given] { return RunDetect(*given); });
}

}  // namespace agent
