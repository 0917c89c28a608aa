#include "bench/adapt/experiment.h"

#include <algorithm>

#include "base/text.h"
#include "bench/adapt/baselines.h"
#include "bench/figure.h"

namespace bench::adapt {

namespace {

constexpr std::size_t kSettleMost = 520;

}  // namespace

base::Status GetUsed(Device& device, const Deal& deal) {
  for (const Shown& shown : deal.quiet) RETURN_IF_ERROR(device.Show(shown));
  return {};
}

base::Result<Collected> Collect(Device& device, const Deal& deal, std::uint32_t force_after,
                                std::size_t most) {
  Collected collected;
  const std::uint64_t alarms = device.alarms();
  while (collected.shown < most && !device.has_asked()) {
    const Shown& shown = deal.changed[collected.shown % deal.changed.size()];
    const bool force = collected.shown == force_after && device.alarms() == alarms;
    collected.was_forced = collected.was_forced || force;
    RETURN_IF_ERROR(device.Show(shown, force));
    ++collected.shown;
  }
  return collected;
}

base::Result<Outcome> Run(const Stream& stream, std::uint64_t seed, const Plan& plan) {
  const double begun = CpuNanoseconds();
  ASSIGN_OR_RETURN(const Deal deal, stream.deal(seed));
  Outcome outcome;
  outcome.seed = seed;
  ASSIGN_OR_RETURN(const Baselines baselines, MeasureBaselines(deal, plan.baselines));
  outcome.before = baselines.before.accuracy();
  outcome.nothing = baselines.nothing.accuracy();
  outcome.blind = baselines.blind.accuracy();
  outcome.self_trained = baselines.self_trained.accuracy();
  outcome.known_before = baselines.nothing.known();

  Device::Options options;
  options.labels = plan.labels == 0 ? 24 : plan.labels;
  options.quarantine = deal.quarantine;
  options.seed = seed;
  ASSIGN_OR_RETURN(const auto device, Device::Start(deal.bundle, deal.names, options));
  RETURN_IF_ERROR(GetUsed(*device, deal));
  const std::uint32_t force_after = deal.force_after;
  ASSIGN_OR_RETURN(const Collected collected,
                   Collect(*device, deal, stream.is_quiet ? 0 : force_after,
                           force_after + deal.quarantine + 250));
  outcome.alarm_was_forced = collected.was_forced;
  const auto unlabelled = device->status();
  outcome.state_unlabelled = device->state();
  outcome.served_unlabelled = unlabelled.adaptations;
  ASSIGN_OR_RETURN(const Score by_itself, device->Ask(deal.scored, deal.novel));
  outcome.unlabelled = by_itself.accuracy();

  Score last = by_itself;
  if (plan.labels > 0) {
    const protocol::Feedback feedback = device->Answers();
    outcome.labels = feedback.labels.size();
    if (outcome.labels > 0) RETURN_IF_ERROR(device->Tell(feedback));
    // Through probation, and until everything that is to be collected is. Nobody answers twice.
    for (std::size_t i = 0; i < kSettleMost; ++i) {
      if (i > options.probation + 10 && device->is_at_rest()) break;
      RETURN_IF_ERROR(device->Show(deal.changed[(collected.shown + i) % deal.changed.size()]));
    }
    ASSIGN_OR_RETURN(last, device->Ask(deal.scored, deal.novel));
  }
  outcome.after = last.accuracy();
  outcome.known_after = last.known();
  outcome.recall = last.recall();
  const auto status = device->status();
  outcome.input = status.hypothesis;
  outcome.challenger = status.challenger;
  outcome.state = device->state();
  outcome.rollbacks = status.rollbacks;
  for (const auto& step : status.transitions) {
    outcome.log += base::StrCat("      ", step.index, " ", tinylcm::adapt::Name(step.from), " -> ",
                                tinylcm::adapt::Name(step.to), ": ", step.why, "\n");
  }
  outcome.seconds = (CpuNanoseconds() - begun) / 1e9;
  return outcome;
}

}  // namespace bench::adapt
