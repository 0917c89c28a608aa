#include "agent/evaluate_verb.h"

#include <iostream>
#include <memory>
#include <string>

#include "agent/verbs.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/text.h"
#include "tinylcm/evaluation/detection.h"

namespace agent {

namespace evaluation = tinylcm::evaluation;

using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;
using base::StrCat;

namespace {

constexpr std::uint64_t kFileBytesMax = 256u << 20;
constexpr std::int64_t kSamplesMax = 1'000'000'000;  // A second or so for the dummies.

struct Arguments {
  std::string alarms;
  std::string changes;
  std::int64_t length = 0;
  std::int64_t horizon = 1000;
  std::int64_t early = 0;
  std::int64_t every = 0;
  bool json = false;
};

// "-" is standard input, as after a pipe from `detect`.
Result<std::string> ReadText(const std::string& path) {
  if (path != "-") {
    auto text = base::ReadTextFile(Disk(), path, kFileBytesMax);
    // What was given cannot be read, whatever the reason.
    if (!text.ok()) return Error{ErrorCode::kInvalidArgument, text.error().message};
    return text;
  }
  std::string text;
  for (std::string line; std::getline(std::cin, line);) text += line + '\n';
  return text;
}

// A list on the command line, or else a file.
Result<std::vector<evaluation::Change>> ChangesOf(const std::string& given) {
  if (given.find_first_not_of("0123456789.+-, ") == std::string::npos && given != "-") {
    auto listed = evaluation::ReadChanges(given);
    if (!listed.ok()) return listed.error().Within("--changes");
    return listed;
  }
  ASSIGN_OR_RETURN(const std::string text, ReadText(given));
  auto read = evaluation::ReadChanges(text);
  if (!read.ok()) return read.error().Within(given);
  return read;
}

Result<std::vector<evaluation::Judged>> Judge(const Arguments& given,
                                              const evaluation::Rules& rules) {
  for (const auto& [name, value, least] :
       {std::tuple{"--length", given.length, 1}, std::tuple{"--horizon", given.horizon, 1},
        std::tuple{"--early", given.early, 0}, std::tuple{"--every", given.every, 0}}) {
    if (value >= least && value <= kSamplesMax) continue;
    return Error{ErrorCode::kInvalidArgument,
                 StrCat(name, ": ", least, " to ", kSamplesMax, " samples")};
  }
  ASSIGN_OR_RETURN(const std::string text, ReadText(given.alarms));
  const auto alarms = evaluation::ReadAlarms(text);
  if (!alarms.ok()) return alarms.error().Within(given.alarms);
  ASSIGN_OR_RETURN(const auto changes, ChangesOf(given.changes));
  return evaluation::Compare(*alarms, changes, static_cast<std::uint64_t>(given.length), rules,
                             static_cast<std::uint64_t>(given.every));
}

int RunEvaluate(const Arguments& given) {
  const evaluation::Rules rules = {.horizon = static_cast<std::uint64_t>(given.horizon),
                                   .early = static_cast<std::uint64_t>(given.early)};
  const auto judged = Judge(given, rules);
  if (!judged.ok()) return base::Fail(kProgram, judged.error().Within("evaluate"));
  if (!given.json) {
    std::cout << evaluation::Table(*judged, rules);
    return base::kExitDone;
  }
  Json out = Json::MakeObject({{"horizon", rules.horizon}, {"early", rules.early}});
  for (const evaluation::Judged& one : *judged) out.Set(one.name, ToJson(one.detection));
  std::cout << out.WritePretty() << '\n';
  return base::kExitDone;
}

}  // namespace

void AddEvaluate(base::CommandLine& line) {
  auto given = std::make_shared<Arguments>();
  base::Command& evaluate =
      line.Add("evaluate", "Hold alarms against known changes, beside detectors that know nothing");
  evaluate
      .Text("--alarms", given->alarms,
            "File of alarms: an index a line, or what `detect --json` and `replay --events` print; "
            "- reads standard input")
      .Required();
  evaluate
      .Text("--changes", given->changes,
            "The true changes, as a list (1000,2000-2500) or a file of such; \"\": there is none")
      .Required();
  evaluate.Int("--length", given->length, "Samples of the stream").Required();
  evaluate.Int("--horizon", given->horizon,
               "Samples after a change in which an alarm still counts; what a miss is charged");
  evaluate.Int("--early", given->early, "Samples before a change in which an alarm counts already");
  evaluate.Int("--every", given->every,
               "Period of the dummy that alarms regularly; 0: as often as the detector");
  evaluate.Flag("--json", given->json, "As JSON");
  evaluate.Action([given] { return RunEvaluate(*given); });
}

}  // namespace agent
