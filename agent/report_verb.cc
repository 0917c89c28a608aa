#include "agent/report_verb.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iostream>
#include <memory>
#include <string>

#include "agent/config.h"
#include "agent/layout.h"
#include "agent/verbs.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/text.h"
#include "tinylcm/pipeline/event_log.h"
#include "tinylcm/pipeline/state_log.h"

namespace agent {

namespace pipeline = tinylcm::pipeline;

using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;
using base::StrCat;

namespace {

constexpr std::size_t kChannelsTold = 8;
constexpr double kShareTold = 0.005;  // What would be shown as 0 % is not.
constexpr std::size_t kBarLength = 24;
constexpr std::size_t kStepsTold = 12;

struct Arguments {
  std::string config;
  std::string state;
  std::int64_t last = 5;
  bool json = false;
};

std::string Fixed(double value, int digits) {
  char text[400];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, digits);
  return {text, end.ptr};
}

std::string Percent(double share) { return Fixed(100.0 * share, 0) + " %"; }
std::string Sigma(double shift) { return (shift > 0.0 ? "+" : "") + Fixed(shift, 1) + " sigma"; }

std::string Padded(std::string text, std::size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

// Widths are of what every reader counts as one column; labels may be any UTF-8.
std::string Bar(double share) {
  const double filled = std::clamp(share, 0.0, 1.0) * static_cast<double>(kBarLength);
  return std::string(static_cast<std::size_t>(std::lround(filled)), '#');
}

void Line(const char* name, const std::string& text) {
  std::cout << "  " << Padded(name, 11) << text << '\n';
}

void Shares(const char* name, const std::string& what, double share, const std::string& also) {
  std::string text = StrCat(Padded(what, 18), Padded(Percent(share), 6), " ", Bar(share));
  if (!also.empty()) text = Padded(std::move(text), 18 + 7 + kBarLength) + "  " + also;
  Line(name, text);
}

// "class_mix" -> "class mix".
std::string Words(std::string name) {
  std::ranges::replace(name, '_', ' ');
  return name;
}

void Print(const pipeline::LoggedEvent& logged) {
  const protocol::DriftEvent& event = logged.event;
  std::cout << event.event_id << "  " << base::FormatTime(logged.at) << "  " << Words(event.kind)
            << '\n';
  Line("what", event.text);
  Line("noticed", StrCat("at sample ", event.sample_index,
                         logged.frame_number ? StrCat(", frame ", *logged.frame_number) : ""));
  std::string since = StrCat("sample ", event.change_point);
  if (const auto& interval = event.change_point_interval) {
    since += StrCat(" (", interval->first, " to ", interval->second, ")");
  }
  if (event.sample_index >= event.change_point) {
    since += StrCat(", ", event.sample_index - event.change_point, " before that");
  }
  Line("since", since);
  std::string severity = event.sigma ? Fixed(*event.sigma, 1) + " sigma" : "not known";
  if (event.accuracy_drop) {
    severity += "; accuracy lost, estimated: " + Percent(*event.accuracy_drop);
    if (const auto& interval = event.accuracy_drop_interval) {
      severity += StrCat(" (", Percent(interval->first), " to ", Percent(interval->second), ")");
    }
  } else {
    severity += "; accuracy lost: not known";
  }
  Line("severity", severity);
  std::string evidence = event.log10_e ? "10^" + Fixed(*event.log10_e, 1) : "not known";
  if (event.target_samples) {
    evidence += StrCat(", with one false alarm in ", *event.target_samples, " samples accepted");
  }
  Line("evidence", evidence);
  const char* name = "signals";
  for (const auto& signal : event.signals) {
    if (signal.share < kShareTold) continue;
    Shares(name, Words(signal.name), signal.share,
           signal.shift_sigma ? Sigma(*signal.shift_sigma) : "");
    name = "";
  }
  name = "classes";
  for (const auto& share : event.classes) {
    if (share.share < kShareTold) continue;
    Shares(name, share.label, share.share, "");
    name = "";
  }
  if (!event.channels.empty()) {
    std::string channels;
    for (std::size_t i = 0; i < std::min(event.channels.size(), kChannelsTold); ++i) {
      const auto& channel = event.channels[i];
      channels += StrCat(i == 0 ? "" : ", ", channel.name, " ", Sigma(channel.shift_sigma));
    }
    if (event.channels.size() > kChannelsTold) {
      channels += StrCat(" and ", event.channels.size() - kChannelsTold, " more");
    }
    Line("channels", channels);
  }
  if (!event.samples.empty()) {
    std::string samples;
    for (const std::string& id : event.samples) samples += (samples.empty() ? "" : ", ") + id;
    Line("samples", samples);
  }
  if (event.suppressed_since_last > 0) {
    Line("held back",
         StrCat(event.suppressed_since_last, " alarms while an earlier event was open"));
  }
}

// How the adaptation came to where it stands, the newest step last.
void Print(const pipeline::StateLog& log, std::size_t last) {
  std::cout << "state  " << Words(tinylcm::adapt::Name(log.state)) << ", serving " << log.served
            << (log.awaits ? ", waits for " + *log.awaits : "") << '\n';
  const std::size_t told = std::min(log.transitions.size(), last);
  for (std::size_t i = log.transitions.size() - told; i < log.transitions.size(); ++i) {
    const tinylcm::adapt::Transition& step = log.transitions[i];
    std::cout << "  " << Padded(StrCat(step.index), 11) << Words(tinylcm::adapt::Name(step.from))
              << " -> " << Words(tinylcm::adapt::Name(step.to)) << ": " << step.why << '\n';
  }
}

// The folder in which the device writes its events.
Result<std::string> FolderOf(const Arguments& given) {
  if (given.config.empty() == given.state.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "report: one of --config FILE and --state FOLDER is needed"};
  }
  if (!given.config.empty()) {
    ASSIGN_OR_RETURN(const Config config, ReadConfigOfDevice(Disk(), given.config));
    return Layout(config.data).lifecycle;
  }
  const auto state = Disk().Stat(given.state);
  if (!state.ok()) {
    return Error{ErrorCode::kInvalidArgument, "report: --state: " + state.error().message};
  }
  std::string folder = base::JoinPath(given.state, "lifecycle");
  const auto inside = Disk().Stat(folder);
  if (!inside.ok() || !inside->is_directory) {
    return Error{ErrorCode::kNotFound, "report: " + given.state + ": no device's state there"};
  }
  return folder;
}

base::Status Report(const Arguments& given) {
  if (given.last < 1) {
    return Error{ErrorCode::kInvalidArgument, "report: --last must be 1 or more"};
  }
  ASSIGN_OR_RETURN(const std::string folder, FolderOf(given));
  ASSIGN_OR_RETURN(const pipeline::EventLog log, pipeline::EventLog::Open(Disk(), folder));
  // Events are told also where the state cannot be read.
  const auto state = pipeline::ReadStateLog(Disk(), folder);
  if (!state.ok()) std::cerr << "report: the state is not told: " << state.error().message << '\n';
  const auto& events = log.events();
  const std::size_t told = std::min(events.size(), static_cast<std::size_t>(given.last));
  if (given.json) {
    Json list = Json::MakeArray();
    for (std::size_t i = 0; i < told; ++i) list.Append(ToJson(events[events.size() - 1 - i]));
    std::cout << Json::MakeObject({{"events", std::move(list)},
                                   {"kept", events.size()},
                                   {"state", state.ok() && *state ? ToJson(**state) : Json()}})
                     .WritePretty()
              << '\n';
    return {};
  }
  if (state.ok() && *state && !(*state)->transitions.empty()) {
    Print(**state, kStepsTold);
    std::cout << '\n';
  }
  if (events.empty()) {
    std::cout << "no drift event yet\n";
    return {};
  }
  for (std::size_t i = 0; i < told; ++i) {
    if (i > 0) std::cout << '\n';
    Print(events[events.size() - 1 - i]);
  }
  if (told < events.size()) {
    std::cout << "\n" << events.size() - told << " earlier ones are kept (--last)\n";
  }
  return {};
}

}  // namespace

void AddReport(base::CommandLine& line) {
  auto given = std::make_shared<Arguments>();
  base::Command& verb =
      line.Add("report", "The newest drift events: what changed, since when, how badly");
  verb.Text("--config", given->config, "The agent's configuration");
  verb.Text("--state", given->state, "The state folder of a device run by the library");
  verb.Int("--last", given->last, "How many, the newest first");
  verb.Flag("--json", given->json, "As JSON");
  verb.Action([given] {
    const base::Status done = Report(*given);
    return done.ok() ? base::kExitDone : base::Fail(kProgram, done.error());
  });
}

}  // namespace agent
