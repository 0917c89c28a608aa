#include "tinylcm/drift/drift_monitor.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {

namespace {

using base::Error;
using base::ErrorCode;
using base::StrCat;

// Of the block's layout. 1 was JSON.
constexpr std::uint32_t kVersion = 2;
// How fast the level of quiet evidence is followed: 2 % a sample.
constexpr double kQuietStep = 1.02;
constexpr double kQuietFirst = 1.0;
// Quiet rows counted among those since the change, at most, as a share of the latter.
constexpr double kQuietRowsMax = 0.5;

// The rule's options; a detector that counts classes counts all of the monitor's.
base::Result<DetectorOptions> WithClasses(const AlarmRule& rule, std::uint32_t classes) {
  DetectorOptions options = rule.options;
  const DetectorKind* kind = FindDetectorKind(rule.detector);
  if (kind == nullptr ||
      std::ranges::find(kind->options, "classes", &DetectorOption::name) == kind->options.end()) {
    return options;
  }
  const auto given = std::ranges::find(options, "classes", &DetectorOptions::value_type::first);
  if (given == options.end()) {
    options.emplace_back("classes", StrCat(classes));
    return options;
  }
  // What is no number MakeDetector refuses.
  if (const auto count = base::ParseInt(given->second); count.ok() && *count < classes) {
    return Error{ErrorCode::kInvalidArgument, StrCat("drift monitor: the alarm rule counts ",
                                                     *count, " classes, and there are ", classes)};
  }
  return options;
}

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();

}  // namespace

base::Result<DriftMonitor> DriftMonitor::Create(const Options& options) {
  if (!options.labels.empty() && options.labels.size() != options.classes) {
    return Error{ErrorCode::kInvalidArgument, "drift monitor: labels must be one a class, or none"};
  }
  if (!options.channel_names.empty() && options.channel_names.size() != options.channels) {
    return Error{ErrorCode::kInvalidArgument,
                 "drift monitor: channel names must be one a channel, or none"};
  }
  // A rule that somebody chose decides alone.
  const double factory_every = options.alarm ? 0.0 : options.false_alarm_every;
  ASSIGN_OR_RETURN(Reference reference, Reference::Create({.classes = options.classes,
                                                           .signals = options.signals,
                                                           .hold_back = options.hold_back,
                                                           .commission = options.commission,
                                                           .has_cycle = options.has_cycle,
                                                           .seed = options.seed,
                                                           .held_out = options.held_out,
                                                           .false_alarm_every = factory_every}));
  // The rates of both add up to the one asked for.
  const double live_every = reference.watches_factory()
                                ? options.false_alarm_every / (1.0 - kFactoryShare)
                                : options.false_alarm_every;
  ASSIGN_OR_RETURN(Evidence evidence, Evidence::Create({.classes = options.classes,
                                                        .signals = options.signals,
                                                        .false_alarm_every = live_every}));
  ASSIGN_OR_RETURN(History history,
                   History::Create({.classes = options.classes, .signals = options.signals}));
  ASSIGN_OR_RETURN(ChannelShift shift,
                   ChannelShift::Create({.channels = options.channels,
                                         .shift_sigma_min = options.channel_shift_min}));
  Rule rule;
  if (options.alarm) {
    if ((options.signals & Bit(options.alarm->signal)) == 0) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("drift monitor: the alarm rule watches ", Name(options.alarm->signal),
                          ", which there is not")};
    }
    // A limit set by a person stands; otherwise it is solved for the run length.
    const bool has_limit = HasLimit(options.alarm->detector, options.alarm->options);
    rule.needs_rank = options.alarm->feed != Feed::kValue || !has_limit;
    ASSIGN_OR_RETURN(const DetectorOptions detector_options,
                     WithClasses(*options.alarm, options.classes));
    ASSIGN_OR_RETURN(
        rule.detector,
        MakeDetector(options.alarm->detector, detector_options,
                     has_limit ? std::nullopt : std::optional<double>(options.false_alarm_every)));
    if (rule.detector->width() != 1) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("drift monitor: ", options.alarm->detector,
                          " watches rows; an alarm rule watches one number")};
    }
  }
  return DriftMonitor(options, std::move(reference), std::move(evidence), std::move(history),
                      std::move(shift), std::move(rule));
}

DriftMonitor::DriftMonitor(const Options& options, Reference reference, Evidence evidence,
                           History history, ChannelShift shift, Rule rule)
    : options_(options),
      reference_(std::move(reference)),
      evidence_(std::move(evidence)),
      history_(std::move(history)),
      shift_(std::move(shift)),
      rule_(std::move(rule)) {
  options_.held_out = {};  // The reference has its own.
  state_.quiet_level = kQuietFirst;
  ranks_.fill(kNone);
}

Sample DriftMonitor::OnlyFinite(const Sample& sample, bool& has_channels) {
  Sample good = sample;
  good.has &= options_.signals;
  for (std::size_t i = 0; i < kSignals; ++i) {
    const SignalMask bit = Bit(static_cast<Signal>(i));
    // Not a number fails too.
    if ((good.has & bit) == 0 || std::abs(good.values[i]) <= kValueMax) continue;
    good.has &= ~bit;
    state_.not_finite += 1;
  }
  has_channels = true;
  for (const float value : sample.channels) has_channels &= std::abs(value) <= kValueMax;
  if (!has_channels) state_.not_finite += 1;
  return good;
}

bool DriftMonitor::Weigh(const Sample& sample) {
  evidence_.SetInSpells(reference_.in_spells());
  // Where another decides, full evidence begins anew: it would tell nothing any more.
  if (rule_.detector != nullptr && evidence_.level().alarm) evidence_.Reset();
  const bool is_proven = evidence_.Observe(sample.predicted, ranks_).alarm;
  if (rule_.detector == nullptr) return is_proven;
  const Signal signal = options_.alarm->signal;
  const float rank = ranks_[At(signal)];
  if (!sample.Has(signal) || (rule_.needs_rank && std::isnan(rank))) return false;
  double fed = static_cast<double>(rank);
  if (options_.alarm->feed == Feed::kScore) fed = NormalQuantile(fed);
  if (options_.alarm->feed == Feed::kValue) fed = static_cast<double>(sample.values[At(signal)]);
  if (!rule_.detector->Accepts(fed).ok()) {
    state_.not_finite += 1;
    return false;
  }
  const DriftSignal said = rule_.detector->Observe(fed);
  rule_.is_warning = said == DriftSignal::kWarning;
  return said == DriftSignal::kDrift;
}

void DriftMonitor::Remember(const Sample& sample) {
  std::array<float, kSignals> effects;
  for (std::size_t i = 0; i < kSignals; ++i) {
    effects[i] = kNone;
    const auto signal = static_cast<Signal>(i);
    if (std::isnan(ranks_[i]) || IsCategory(signal)) continue;
    const Whitening::Moments& usual = reference_.moments(signal, sample.predicted);
    if (usual.sd > 0.0f) effects[i] = (sample.values[i] - usual.mean) / usual.sd;
  }
  history_.Add(sample.index, sample.predicted, ranks_, effects);
}

DriftSignal DriftMonitor::Alarm(std::uint64_t index) {
  shift_.Alarm();
  state_.phase = Phase::kOpen;
  state_.alarm_index = index;
  state_.since_alarm = 0;
  return DriftSignal::kDrift;
}

DriftSignal DriftMonitor::Observe(const Sample& given) {
  CHECK(given.predicted < options_.classes);
  CHECK(given.channels.size() == options_.channels);
  bool has_channels = false;
  const Sample sample = OnlyFinite(given, has_channels);

  if (state_.phase == Phase::kLearning) {
    reference_.Rank(sample, ranks_);
    reference_.Take();
    if (has_channels) shift_.Learn(sample.channels);
    if (reference_.phase() == Reference::Phase::kWatching) state_.phase = Phase::kWatching;
    return DriftSignal::kLearning;
  }

  const bool is_open = state_.phase == Phase::kOpen;
  if (is_open) {
    state_.since_alarm += 1;
    if (state_.since_alarm > options_.explain) return DriftSignal::kWarning;
  }
  reference_.Rank(sample, ranks_);
  Remember(sample);
  if (has_channels) shift_.Observe(sample.channels);
  if (is_open) return DriftSignal::kWarning;

  if (Weigh(sample)) {
    // What has waited since before the change is thrown away with what came after it: a few good
    // samples lost are cheap, a drifted one in the reference hides the next drift.
    reference_.Discard();
    // Too many quiet rows beside those since the change would hide which channels moved.
    const double rows = static_cast<double>(shift_.recent_count());
    const double since = static_cast<double>(evidence_.wound_for());
    if (rows - since > kQuietRowsMax * rows) shift_.Discard();
    return Alarm(sample.index);
  }
  reference_.Take();
  if (const Reference::FactoryLevel factory = reference_.factory_level(); factory.alarm) {
    const std::uint64_t wound_for = factory.level.wound_for;
    state_.is_slow = true;
    state_.slow.signal = factory.signal;
    state_.slow.shift_sigma = factory.level.shift;
    state_.slow.begin_index = sample.index - std::min(sample.index, wound_for);
    reference_.Discard();
    return Alarm(sample.index);
  }
  // Half of all quiet samples are below the level; the rows before such a one were quiet too.
  const double statistic = evidence_.level().statistic;
  if (statistic <= state_.quiet_level) {
    shift_.Accept();
    state_.quiet_level /= kQuietStep;
  } else if (!evidence_.level().warning) {
    state_.quiet_level *= kQuietStep;
  }
  const bool is_warning = rule_.detector ? rule_.is_warning : evidence_.level().warning;
  return is_warning ? DriftSignal::kWarning : DriftSignal::kSteady;
}

const char* Name(DriftMonitor::Phase phase) {
  switch (phase) {
    case DriftMonitor::Phase::kLearning:
      return "learning";
    case DriftMonitor::Phase::kWatching:
      return "watching";
    case DriftMonitor::Phase::kOpen:
      return "open";
  }
  return "learning";
}

DriftMonitor::Standing DriftMonitor::standing() const {
  Standing standing{.phase = state_.phase,
                    .learned = learned(),
                    .commission = options_.commission,
                    .statistic = statistic(),
                    .limit = limit(),
                    .not_finite = state_.not_finite,
                    .signals = options_.signals};
  for (std::size_t i = 0; i < kSignals && state_.phase != Phase::kLearning; ++i) {
    const auto signal = static_cast<Signal>(i);
    const bool is_watched = (options_.signals & Bit(signal)) != 0;
    if (is_watched && IsCategory(signal) && reference_.every(signal) == 0) {
      standing.unwatched |= Bit(signal);
    }
    const FactoryWatch* factory = is_watched ? reference_.factory(signal) : nullptr;
    if (factory != nullptr && factory->field_differs()) standing.differs |= Bit(signal);
  }
  standing.is_rule_blind = rule_.detector != nullptr && rule_.needs_rank &&
                           (standing.unwatched & Bit(options_.alarm->signal)) != 0;
  return standing;
}

double DriftMonitor::statistic() const {
  return rule_.detector ? rule_.detector->statistic() : evidence_.level().statistic;
}

double DriftMonitor::limit() const {
  return rule_.detector ? rule_.detector->limit() : evidence_.limit();
}

void DriftMonitor::BeginAnew() {
  evidence_.Reset();
  history_.Clear();
  if (rule_.detector != nullptr) rule_.detector->Reset();
  rule_.is_warning = false;
  state_.quiet_level = kQuietFirst;
  state_.alarm_index = 0;
  state_.since_alarm = 0;
  state_.is_slow = false;
  state_.slow = {};
  ranks_.fill(kNone);
}

void DriftMonitor::Rebaseline() {
  BeginAnew();
  reference_.Reset();
  shift_.Reset();
  state_.phase = Phase::kLearning;
}

void DriftMonitor::Resume() {
  if (state_.phase != Phase::kOpen) return;
  BeginAnew();
  reference_.Interrupt();
  shift_.Discard();
  state_.phase = Phase::kWatching;
}

std::optional<DriftExplanation> DriftMonitor::explanation() const {
  if (state_.phase != Phase::kOpen) return std::nullopt;
  // The evidence stands as it was at the alarm.
  std::vector<double> class_shares(options_.classes);
  evidence_.ClassShares(class_shares);
  ExplanationInputs inputs;
  inputs.history = &history_;
  inputs.alarm_index = state_.alarm_index;
  inputs.signal_shares = evidence_.shares().signals;
  inputs.class_shares = class_shares;
  if (state_.is_slow) inputs.slow = state_.slow;
  inputs.channels = shift_.Findings();
  if (rule_.detector == nullptr && !state_.is_slow) inputs.log10_e = evidence_.log10_evidence();
  inputs.labels = options_.labels;
  inputs.channel_names = options_.channel_names;
  inputs.samples_noun = options_.samples_noun;
  return Explain(inputs);
}

// All that the numbers of a block stand for; not the seed, nor how often a false alarm may come:
// what was learned stays true, and limits are solved anew. (A rule's detector has its limit in it.)
std::uint64_t DriftMonitor::Digest(std::uint64_t belongs_to) const {
  OptionsDigest digest;
  digest.Add(belongs_to).Add(options_.channels).Add(options_.explain);
  reference_.AddTo(digest);
  evidence_.AddTo(digest);
  history_.AddTo(digest);
  shift_.AddTo(digest);
  digest.Add(rule_.detector != nullptr);
  if (rule_.detector != nullptr) {
    digest.AddText(options_.alarm->detector).Add(options_.alarm->signal).Add(options_.alarm->feed);
    rule_.detector->AddTo(digest);
  }
  return digest.value();
}

base::Bytes DriftMonitor::SaveState(std::uint64_t belongs_to) const {
  StateWriter writer;
  writer.Section("monitor");
  writer.Put(state_.phase);
  writer.Put(state_.not_finite);
  writer.Put(state_.quiet_level);
  writer.Put(state_.alarm_index);
  writer.Put(state_.since_alarm);
  writer.Put(state_.is_slow);
  writer.Put(state_.slow.signal);
  writer.Put(state_.slow.shift_sigma);
  writer.Put(state_.slow.begin_index);
  reference_.Write(writer);
  evidence_.Write(writer);
  history_.Write(writer);
  shift_.Write(writer);
  if (rule_.detector != nullptr) {
    writer.Section("alarm rule");
    writer.Put(rule_.is_warning);
    rule_.detector->Write(writer);
  }
  return std::move(writer).Seal(kVersion, Digest(belongs_to));
}

base::Status DriftMonitor::RestoreState(base::ByteView block, std::uint64_t belongs_to) {
  ASSIGN_OR_RETURN(StateReader reader, StateReader::Open(block, kVersion, Digest(belongs_to)));
  // Into a copy, so that a block that is refused half-way leaves nothing behind.
  DriftMonitor spare = *this;
  State& state = spare.state_;
  reader.Section("monitor");
  state.phase = reader.GetUpTo(Phase::kOpen);
  state.not_finite = reader.Get<std::uint64_t>();
  state.quiet_level = reader.GetFinite<double>();
  state.alarm_index = reader.Get<std::uint64_t>();
  state.since_alarm = reader.Get<std::uint64_t>();
  state.is_slow = reader.Get<bool>();
  state.slow.signal = reader.GetUpTo(static_cast<Signal>(kSignals - 1));
  state.slow.shift_sigma = reader.GetFinite<double>();
  state.slow.begin_index = reader.Get<std::uint64_t>();
  spare.reference_.Read(reader);
  spare.evidence_.Read(reader);
  spare.history_.Read(reader);
  spare.shift_.Read(reader);
  if (spare.rule_.detector != nullptr) {
    reader.Section("alarm rule");
    spare.rule_.is_warning = reader.Get<bool>();
    spare.rule_.detector->Read(reader);
  }
  if (!(state.quiet_level > 0.0)) reader.Refuse("the quiet level is not positive");
  const bool is_learning = spare.reference_.phase() == Reference::Phase::kLearning;
  if (is_learning != (state.phase == Phase::kLearning)) reader.Refuse("phases contradict");
  if (state.phase == Phase::kOpen && spare.history_.size() == 0) {
    reader.Refuse("a drift is open and nothing of it is known");
  }
  RETURN_IF_ERROR(reader.AtEnd());
  spare.ranks_.fill(kNone);
  *this = std::move(spare);
  return {};
}

}  // namespace tinylcm::drift
