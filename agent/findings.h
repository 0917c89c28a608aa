// Findings: what `tinylcm doctor` makes of the facts it gathered. Pure: facts in, a judgement with
// one thing to do out; doctor.cc gathers and prints.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "agent/machine_facts.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace agent {

enum class Health {
  kOk,
  kWarning,  // The agent works; a person should know.
  kWrong,    // Something that was asked for does not work.
};
const char* Name(Health health);  // "ok", "warning", "wrong"

struct Finding {
  std::string check;  // "clock", "disk.free": the same word in every run.
  Health health = Health::kOk;
  std::string what;
  std::string advice;  // Empty where nothing is to be done.
};
base::Json ToJson(const Finding& finding);

// A clock that shows an earlier time was never set: this program is younger.
inline constexpr base::Time kOldestBelievable{std::chrono::milliseconds(1'767'225'600'000)};

Finding JudgeClock(base::Time now);
// `server`: what an answer that just came says the time is, of a statement or its Date header.
Finding JudgeClockAgainstServer(base::Time now, const std::optional<base::Time>& server);
Finding JudgeTimeService(const std::optional<bool>& is_synchronised);

// `written`: how a probe in the folder went. `wanted`: what queue and log may take, at most.
Finding JudgeFolder(const std::string& folder, const base::Status& written);
Finding JudgeFreeSpace(const std::string& folder, std::uint64_t free_bytes, std::uint64_t wanted);

// `needed`: a rough bound of what the agent and its model take.
Finding JudgeMemory(const std::optional<std::uint64_t>& available, std::uint64_t needed);
Finding JudgeHeat(const MachineFacts& facts);

// `found`: the library's path, or why it is not there. `is_needed`: the bundle's model is for it.
Finding JudgeRuntime(const std::string& name, const base::Result<std::string>& found,
                     bool is_needed);

// The program that a shell command begins with: "rpicam-vid" of "FOO=1 rpicam-vid -t 0"; "" where
// the command is more than one simple command and only a shell can tell.
std::string ProgramOf(std::string_view command);
Finding JudgeCommand(const std::string& program, const std::optional<std::string>& path);

// RFC 9110's one format of dates in headers: "Sun, 06 Nov 1994 08:49:37 GMT".
base::Result<base::Time> ParseHttpDate(std::string_view text);

}  // namespace agent
