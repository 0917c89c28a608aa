#include "tinylcm/pipeline/state_log.h"

#include <memory>
#include <utility>

#include "tinylcm/pipeline/keeping.h"
#include "tinylcm/state/record.h"

namespace tinylcm::pipeline {

using base::Json;
using base::Result;

namespace {

constexpr std::uint64_t kBytesMax = 256u << 20;

}  // namespace

Json ToJson(const adapt::Transition& transition) {
  return Json::MakeObject({{"index", transition.index},
                           {"from", adapt::Name(transition.from)},
                           {"to", adapt::Name(transition.to)},
                           {"why", transition.why}});
}

Json ToJson(const StateLog& log) {
  Json transitions = Json::MakeArray();
  for (const adapt::Transition& transition : log.transitions) {
    transitions.Append(ToJson(transition));
  }
  return Json::MakeObject({{"state", adapt::Name(log.state)},
                           {"awaits", log.awaits ? Json(*log.awaits) : Json()},
                           {"served", log.served},
                           {"transitions", std::move(transitions)}});
}

Result<std::optional<StateLog>> ReadStateLog(base::FileSystem& fs, const std::string& folder) {
  std::optional<StateLog> none;
  if (!base::Exists(fs, folder)) return none;
  ASSIGN_OR_RETURN(const state::TwoCopyRecord record,
                   state::TwoCopyRecord::Open(fs, base::JoinPath(folder, "lifecycle")));
  if (!record.value()) return none;
  ASSIGN_OR_RETURN(const LifecycleRecord kept, ParseLifecycleRecord(base::AsText(*record.value())));
  if (kept.adapters.empty()) return none;
  const KeptAdapter& adapter = kept.adapters.front();  // The bundle's that ran.
  ASSIGN_OR_RETURN(const base::Bytes bytes,
                   base::ReadFile(fs, base::JoinPath(folder, adapter.file), kBytesMax));
  adapt::Adaptation base;
  base.bundle = adapter.bundle;
  ASSIGN_OR_RETURN(
      adapt::MachineState state,
      adapt::ParseMachineState(bytes, std::make_shared<const adapt::Adaptation>(std::move(base))));
  StateLog log;
  log.state = state.state;
  log.awaits = state.awaits();
  log.served = state.served->name();
  log.transitions = std::move(state.log);
  return std::optional<StateLog>(std::move(log));
}

}  // namespace tinylcm::pipeline
