#include "agent/findings.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdlib>

#include "base/text.h"

namespace agent {

using base::Error;
using base::ErrorCode;
using base::StrCat;

namespace {

constexpr std::uint64_t kFreeLeast = 64ull << 20;
constexpr std::chrono::seconds kClockOff{120};
constexpr double kHot = 80.0;  // Degrees; a Raspberry Pi slows down there.

std::string Mebibytes(std::uint64_t bytes) { return StrCat(bytes >> 20, " MiB"); }

}  // namespace

const char* Name(Health health) {
  switch (health) {
    case Health::kOk:
      return "ok";
    case Health::kWarning:
      return "warning";
    case Health::kWrong:
      return "wrong";
  }
  return "";
}

base::Json ToJson(const Finding& finding) {
  return base::Json::MakeObject({{"check", finding.check},
                                 {"health", Name(finding.health)},
                                 {"what", finding.what},
                                 {"advice", finding.advice}});
}

Finding JudgeClock(base::Time now) {
  if (now >= kOldestBelievable) {
    return {"clock", Health::kOk, "the clock says " + base::FormatTime(now), ""};
  }
  return {"clock", Health::kWarning,
          StrCat("the clock says ", base::FormatTime(now), ", before this program was made"),
          "set it, or switch a time service on; only the times that people read depend on it"};
}

Finding JudgeClockAgainstServer(base::Time now, const std::optional<base::Time>& server) {
  if (!server) {
    return {"clock.server", Health::kWarning, "the server does not say what time it is",
            "look whether a proxy takes the Date header away"};
  }
  const auto off = std::chrono::duration_cast<std::chrono::seconds>(now - *server);
  if (off <= kClockOff && off >= -kClockOff) {
    return {"clock.server", Health::kOk,
            StrCat("within ", std::abs(off.count()), " s of the server's"), ""};
  }
  return {
      "clock.server", Health::kWarning,
      StrCat(std::abs(off.count()), " s ", off.count() > 0 ? "ahead of" : "behind",
             " the server's clock"),
      "set the clock of whichever is wrong; requests are signed without it, charts are not right"};
}

Finding JudgeTimeService(const std::optional<bool>& is_synchronised) {
  if (!is_synchronised) {
    return {"clock.synchronised", Health::kOk, "whether a time service runs is not known here", ""};
  }
  if (*is_synchronised) {
    return {"clock.synchronised", Health::kOk, "the kernel's clock is synchronised", ""};
  }
  return {"clock.synchronised", Health::kWarning, "no time service keeps the clock right",
          "timedatectl set-ntp true, where there is a network"};
}

Finding JudgeFolder(const std::string& folder, const base::Status& written) {
  if (written.ok()) return {"disk.writable", Health::kOk, folder + " can be written", ""};
  return {"disk.writable", Health::kWrong, StrCat(folder, ": ", written.error().message),
          "give the agent's user this folder, or free space on the disk"};
}

Finding JudgeFreeSpace(const std::string& folder, std::uint64_t free_bytes, std::uint64_t wanted) {
  const std::string what = StrCat(Mebibytes(free_bytes), " are free at ", folder);
  if (free_bytes < kFreeLeast) {
    return {"disk.free", Health::kWrong, "only " + what,
            "free some: packages and logs are dropped, the least important first"};
  }
  if (free_bytes < wanted) {
    return {"disk.free", Health::kWarning,
            StrCat(what, "; queue and log may take ", Mebibytes(wanted)),
            "free some, or lower sync.quota and datalog.bytes_max"};
  }
  return {"disk.free", Health::kOk, what, ""};
}

Finding JudgeMemory(const std::optional<std::uint64_t>& available, std::uint64_t needed) {
  if (!available) return {"memory", Health::kOk, "how much memory is free is not known here", ""};
  const std::string what = Mebibytes(*available) + " of memory are available";
  if (*available < needed) {
    return {"memory", Health::kWrong,
            StrCat("only ", what, ", about ", Mebibytes(needed), " are needed"),
            "end other programs, or take a smaller model"};
  }
  return {"memory", Health::kOk, what, ""};
}

Finding JudgeHeat(const MachineFacts& facts) {
  const std::string degrees =
      facts.temperature_c ? base::FormatShort(*facts.temperature_c) + " degrees" : "";
  if (facts.undervoltage.value_or(false)) {
    return {"power", Health::kWrong, "the supply's voltage is too low",
            "take a stronger power supply or a shorter cable: the machine slows down or stops"};
  }
  if (facts.throttled.value_or(false)) {
    return {"heat", Health::kWrong,
            StrCat("the processor is slowed down now", degrees.empty() ? "" : ", at ", degrees),
            "cool it, or answer fewer frames: latencies are not what they should be"};
  }
  if (facts.throttled_since_boot.value_or(false)) {
    return {"heat", Health::kWarning, "the processor was slowed down since it was started",
            "cool it, or look at its power supply"};
  }
  if (facts.temperature_c && *facts.temperature_c >= kHot) {
    return {"heat", Health::kWarning, StrCat("the processor has ", degrees),
            "cool it: it will soon slow down"};
  }
  if (!facts.temperature_c && !facts.throttled) {
    return {"heat", Health::kOk, "the machine does not say how hot it is", ""};
  }
  return {"heat", Health::kOk, StrCat("not slowed down", degrees.empty() ? "" : ", ", degrees), ""};
}

Finding JudgeRuntime(const std::string& name, const base::Result<std::string>& found,
                     bool is_needed) {
  const std::string check = "runtime." + name;
  if (found.ok()) {
    return {check, Health::kOk,
            StrCat(name, ": ", *found, is_needed ? ", which the bundle needs" : ""), ""};
  }
  if (!is_needed) {
    return {check, Health::kOk, name + " is not here and the bundle does not need it", ""};
  }
  const std::string script = name == "onnxruntime" ? "fetch-onnxruntime.sh" : "fetch-litert.sh";
  return {check, Health::kWrong, StrCat("the bundle needs ", name, ": ", found.error().message),
          StrCat("run tools/setup/", script, ", or name the library in ",
                 name == "onnxruntime" ? "TINYLCM_ONNXRUNTIME" : "TINYLCM_LITERT")};
}

std::string ProgramOf(std::string_view command) {
  if (command.find_first_of("|&;<>()$`\"'\\*?\n") != std::string_view::npos) {
    // What stands first is still told where it is a plain word.
    command = command.substr(0, command.find_first_of("|&;<>\n"));
    if (command.find_first_of("()$`\"'\\") < command.find(' ', command.find_first_not_of(' '))) {
      return "";
    }
  }
  for (const std::string_view word : base::Split(base::Trim(command), ' ')) {
    if (word.empty() || word.find('=') != std::string_view::npos) continue;  // NAME=value before it
    return std::string(word);
  }
  return "";
}

Finding JudgeCommand(const std::string& program, const std::optional<std::string>& path) {
  if (program.empty()) {
    return {"source.command", Health::kOk, "only a shell can tell whether source.command is there",
            "tinylcm doctor --camera tries it"};
  }
  if (path) return {"source.command", Health::kOk, StrCat(program, " is ", *path), ""};
  return {"source.command", Health::kWrong, program + " is not on this machine's search path",
          "install it (rpicam-vid: rpicam-apps; ffmpeg: ffmpeg), or mend source.command"};
}

base::Result<base::Time> ParseHttpDate(std::string_view text) {
  constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto refuse = [&] {
    return Error{ErrorCode::kInvalidArgument, StrCat("\"", text, "\" is no HTTP date")};
  };
  // "Sun, 06 Nov 1994 08:49:37 GMT"
  if (text.size() != 29 || !text.ends_with(" GMT")) return refuse();
  const auto month = std::ranges::find(kMonths, text.substr(8, 3));
  if (month == kMonths.end()) return refuse();
  const auto number = static_cast<int>(month - kMonths.begin()) + 1;
  auto time = base::ParseTime(StrCat(text.substr(12, 4), "-", number < 10 ? "0" : "", number, "-",
                                     text.substr(5, 2), "T", text.substr(17, 8), ".000Z"));
  if (!time.ok()) return refuse();
  return time;
}

}  // namespace agent
