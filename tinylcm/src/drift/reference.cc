#include "tinylcm/drift/reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

using base::Error;
using base::ErrorCode;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
// A rank as a float is neither 0 nor 1, so that it has a normal score.
constexpr float kRankMin = 0x1p-24f;
constexpr float kRankMax = 1.0f - 0x1p-24f;
// In the side room, of a sample that had no such value. Larger than every key.
constexpr std::int64_t kAbsent = std::numeric_limits<std::int64_t>::max();

// Held-out values agree with the field when, over the classes both know, they differ by no more.
constexpr double kFillShiftMax = 0.3;   // In standard deviations.
constexpr double kFillSpreadMax = 1.5;  // As a ratio, either way.
constexpr std::uint32_t kAgreeSamplesMin = 20;

// A category: over how many samples spells are looked for, and how many independent looks
// commissioning must have had for it to be watched at all.
constexpr std::size_t kSpellMax = 128;
constexpr double kLooksMin = 20.0;
constexpr double kClassesSeenMin = 0.3;  // Of all classes.

// A whole number that orders as keys do, and from which the key can be had again.
std::int64_t OrderOf(const RankSketch::Key& key) {
  const auto bits = std::bit_cast<std::int32_t>(key.value + 0.0f);  // -0 becomes 0.
  const std::int32_t order = bits >= 0 ? bits : bits ^ 0x7fffffff;
  return (static_cast<std::int64_t>(order) << 24) | (std::int64_t{key.tie} << 8) | key.coins;
}

RankSketch::Key KeyOf(std::int64_t order) {
  const auto high = static_cast<std::int32_t>(order >> 24);
  return {std::bit_cast<float>(high >= 0 ? high : high ^ 0x7fffffff),
          static_cast<std::uint16_t>(order >> 8), static_cast<std::uint8_t>(order)};
}

// How many samples one look at a category is worth, 1 where they come in any order. Two samples a
// few steps apart are of the same kind more often than chance would have it while a spell lasts:
// the sum of that excess over all distances (the integrated autocorrelation time). 0: all were
// equal, so nobody knows how long a spell is. Only pairs that `may_compare` count.
template <typename MayCompare, typename Equal>
double SpellTime(const Whitening::Gathered& gathered, const MayCompare& may_compare,
                 const Equal& equal) {
  const std::size_t count = gathered.values.size();
  // How often two would be equal in an even shuffle: over all pairs.
  double pairs = 0.0;
  double alike = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    if (!gathered.Has(i)) continue;
    for (std::size_t j = i + 1; j < count; ++j) {
      if (!gathered.Has(j) || !may_compare(i, j)) continue;
      pairs += 1.0;
      alike += equal(i, j) ? 1.0 : 0.0;
    }
  }
  const double by_chance = pairs > 0.0 ? alike / pairs : 1.0;
  if (!(by_chance < 1.0)) return 0.0;

  double time = 1.0;
  const std::size_t spell_max = std::min(kSpellMax, count / 4);
  for (std::size_t lag = 1; lag <= spell_max; ++lag) {
    double compared = 0.0;
    double agreed = 0.0;
    for (std::size_t i = 0; i + lag < count; ++i) {
      if (!gathered.Has(i) || !gathered.Has(i + lag) || !may_compare(i, i + lag)) continue;
      compared += 1.0;
      agreed += equal(i, i + lag) ? 1.0 : 0.0;
    }
    if (compared < 10.0) continue;
    const double excess = (agreed / compared - by_chance) / (1.0 - by_chance);
    const double error = std::sqrt(by_chance / ((1.0 - by_chance) * compared));
    // In any order, or the spells have run out.
    if (excess < (lag == 1 ? 3.0 : 2.0) * error) break;
    time += 2.0 * excess;
  }
  return time;
}

// In the cycle, or not known.
bool IsPhase(float phase) { return phase == -1.0f || (phase >= 0.0f && phase < 1.0f); }

struct MeanAndSpread {
  double mean = 0.0;
  double sd = 0.0;
};

MeanAndSpread Of(std::span<const float> values) {
  MeanAndSpread of;
  for (const float value : values) of.mean += value;
  of.mean /= static_cast<double>(values.size());
  for (const float value : values) of.sd += (value - of.mean) * (value - of.mean);
  of.sd = std::sqrt(of.sd / static_cast<double>(values.size()));
  return of;
}

}  // namespace

base::Result<Reference> Reference::Create(const Options& options) {
  if (options.classes < 1 || options.classes > 65'535) {
    return Error{ErrorCode::kInvalidArgument, "reference: classes must be between 1 and 65535"};
  }
  if (options.signals == 0 || (options.signals >> kSignals) != 0) {
    return Error{ErrorCode::kInvalidArgument, "reference: signals must name at least one signal"};
  }
  if (options.hold_back > 1024) {
    return Error{ErrorCode::kInvalidArgument, "reference: hold_back must be at most 1024"};
  }
  if (options.commission < 1) {
    return Error{ErrorCode::kInvalidArgument, "reference: commission must be at least 1"};
  }
  if (!(options.false_alarm_every == 0.0 ||
        (options.false_alarm_every >= 10.0 && options.false_alarm_every <= 1e12))) {
    return Error{ErrorCode::kInvalidArgument,
                 "reference: false_alarm_every must be 0 or between 10 and 1e12"};
  }
  if (options.live_min >= RankSketch::kEdges) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("reference: live_min must be below ", RankSketch::kEdges)};
  }
  for (std::size_t signal = 0; signal < kSignals; ++signal) {
    const auto& of_classes = options.held_out[signal];
    const char* name = Name(static_cast<Signal>(signal));
    if (of_classes.size() > options.classes) {
      return Error{
          ErrorCode::kInvalidArgument,
          base::StrCat("reference: held_out ", name, ": more classes than ", options.classes)};
    }
    for (const std::vector<float>& values : of_classes) {
      const bool is_finite =
          std::ranges::all_of(values, [](float value) { return std::isfinite(value); });
      if (!is_finite || !std::ranges::is_sorted(values)) {
        return Error{
            ErrorCode::kInvalidArgument,
            base::StrCat("reference: held_out ", name, ": values must be finite and ascending")};
      }
    }
  }
  return Reference(options);
}

Reference::Reference(const Options& options) : options_(options), random_(options.seed) {
  gather_ = std::min(options.commission, kGatherMax);
  for (std::size_t signal = 0; signal < kSignals; ++signal) {
    if ((options.signals >> signal & 1u) == 0) continue;
    signals_.push_back(static_cast<Signal>(signal));
    sketch_at_.push_back(sketches_.size());
    const std::size_t classes = IsPooled(signals_.size() - 1) ? 1 : options.classes;
    sketches_.resize(sketches_.size() + classes);
  }
  const std::size_t slots = signals_.size();
  whitening_.assign(slots, Whitening(options.classes));
  spells_.assign(slots, Spells(options.classes));
  every_.assign(slots, 1);
  since_.assign(slots, 0);
  fill_.assign(sketches_.size() * options.live_min, 0.0f);
  has_fill_.assign(sketches_.size(), false);
  waiting_predicted_.assign(options.hold_back, 0);
  waiting_keys_.assign(options.hold_back * slots, kAbsent);
  gathered_values_.assign(gather_ * slots, 0.0f);
  gathered_phases_.assign(gather_, 0.0f);
  gathered_predicted_.assign(gather_, 0);
  gathered_has_.assign(gather_, 0);
  factory_.resize(slots);
  scores_.assign(gather_, 0.0f);
  scores_has_.assign(gather_, 0);
  for (std::size_t slot = 0; slot < slots; ++slot) {
    const auto& held_out = options.held_out[At(signals_[slot])];
    const bool has_some =
        std::ranges::any_of(held_out, [](const auto& values) { return values.size() > 1; });
    if (has_some && !IsCategory(signals_[slot]) && options.false_alarm_every > 0.0) {
      factory_[slot].emplace(options.classes, held_out);
    }
  }
}

std::size_t Reference::SlotOf(Signal signal) const {
  return static_cast<std::size_t>(std::ranges::find(signals_, signal) - signals_.begin());
}

std::size_t Reference::SketchAt(std::size_t slot, std::uint16_t predicted) const {
  return sketch_at_[slot] + (IsPooled(slot) ? 0u : predicted);
}

RankSketch::Key Reference::Draw(float value) {
  const std::uint64_t bits = random_.Next();
  return {value, static_cast<std::uint16_t>(bits), static_cast<std::uint8_t>(bits >> 16)};
}

void Reference::Rank(const Sample& sample, std::span<float, kSignals> u) {
  CHECK(sample.predicted < options_.classes);
  std::ranges::fill(u, kNaN);
  staged_.predicted = sample.predicted;
  staged_.phase = sample.phase >= 0.0f && sample.phase < 1.0f ? sample.phase : -1.0f;
  staged_.has = 0;
  staged_.keyed = 0;
  // Without its hour a value says nothing where the hour is known to matter.
  const bool is_timed = !options_.has_cycle || staged_.phase >= 0.0f;
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    if (!sample.Has(signals_[slot]) || !(is_timed || IsCategory(signals_[slot]))) continue;
    staged_.values[slot] = sample.values[At(signals_[slot])];
    staged_.has |= SignalMask{1} << slot;
  }
  if (stage_ == Stage::kTeaching || stage_ == Stage::kWatching) StageKeys(u);
}

void Reference::StageKeys(std::span<float, kSignals> u) {
  const bool is_watching = stage_ == Stage::kWatching;
  watched_ += is_watching ? 1u : 0u;
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    const SignalMask bit = SignalMask{1} << slot;
    if ((staged_.has & bit) == 0) {
      whitening_[slot].Skip();
      continue;
    }
    if (every_[slot] != 1) {
      since_[slot] += 1;
      if (every_[slot] == 0 || since_[slot] < every_[slot]) continue;
      since_[slot] = 0;
    }
    const float news =
        whitening_[slot].Whiten(staged_.predicted, staged_.values[slot], staged_.phase);
    const std::uint64_t bits = random_.Next();
    staged_.keys[slot] = {news, static_cast<std::uint16_t>(bits),
                          static_cast<std::uint8_t>(bits >> 16)};
    staged_.keyed |= bit;
    if (!is_watching) continue;
    const double draw = (static_cast<double>(bits >> 32) + 0.5) * 0x1p-32;
    double rank = RankOf(slot, draw);
    if (in_spells_ && !IsCategory(signals_[slot])) {
      const double score = NormalQuantile(rank);
      const double unsaid = spells_[slot].Remove(staged_.predicted, watched_, score);
      if (unsaid != score) rank = NormalProbability(unsaid);
    }
    u[At(signals_[slot])] = std::clamp(static_cast<float>(rank), kRankMin, kRankMax);
  }
}

// Those who wait are values like those of the sketch: in a wide gap they add to its weight, which
// the sketch knows; in a gap of weight 1 they are posts of their own.
double Reference::RankOf(std::size_t slot, double draw) {
  const RankSketch::Key& key = staged_.keys[slot];
  const std::size_t sketch_at = SketchAt(slot, staged_.predicted);
  const RankSketch& sketch = sketches_[sketch_at];
  RankSketch::Gap& gap = staged_.gaps[slot];
  gap = sketch.Find(key);
  std::uint32_t below = gap.below;
  std::uint32_t own = gap.weight + gap.held;
  std::uint32_t total = sketch.total() + sketch.held();
  if (gap.weight == 1 && gap.held > 0) {
    below += HeldBefore(slot, gap.at, OrderOf(key));
    own = 1;
  }
  if (has_fill_[sketch_at] && total <= options_.live_min) {
    const std::uint32_t missing = options_.live_min + 1 - total;
    const float* fill = fill_.data() + sketch_at * options_.live_min;
    for (std::uint32_t i = 0; i < missing; ++i) {
      const float other = fill[(2 * i + 1) * options_.live_min / (2 * missing)];
      below += other < key.value || (other == key.value && (i & 1u) == 0) ? 1u : 0u;
    }
    total += missing;
  }
  return (below + draw * own) / total;
}

// How many who wait in this gap of the staged sample's class come before `order`.
std::uint32_t Reference::HeldBefore(std::size_t slot, std::uint32_t gap, std::int64_t order) const {
  const RankSketch& sketch = sketches_[SketchAt(slot, staged_.predicted)];
  const auto edge = [&sketch](std::uint32_t at) { return sketch.edge(at).value; };
  std::uint32_t before = 0;
  for (std::uint32_t at = 0; at < options_.hold_back; ++at) {
    const std::int64_t other = waiting_keys_[slot * options_.hold_back + at];
    if (other >= order || !(IsPooled(slot) || waiting_predicted_[at] == staged_.predicted))
      continue;
    // Most are told by their value; those that equal a post are looked up.
    const RankSketch::Key key = KeyOf(other);
    const bool is_right_of = gap == 0 || edge(gap - 1) < key.value ||
                             (edge(gap - 1) == key.value && sketch.Find(key).at >= gap);
    before += is_right_of ? 1u : 0u;
  }
  return before;
}

void Reference::Take() {
  if (options_.has_cycle) FollowTurn();
  switch (stage_) {
    case Stage::kGathering:
    case Stage::kGatheringAgain:
      learned_ += 1;
      Gather();
      return;
    case Stage::kTurning:
      learned_ += 1;
      return;
    case Stage::kTeaching:
      learned_ += 1;
      Learn();
      Teach();
      if (learned_ >= options_.commission) stage_ = Stage::kWatching;
      return;
    case Stage::kWatching:
      Learn();
      Wait();
      return;
  }
}

void Reference::FollowTurn() {
  if (staged_.phase < 0.0f) {
    for (Whitening& whitening : whitening_) whitening.cycle().Interrupt();
    return;
  }
  if (stage_ != Stage::kGathering) {
    for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
      if (IsCategory(signals_[slot]) || (staged_.has >> slot & 1u) == 0) continue;
      whitening_[slot].cycle().Observe(
          staged_.phase, whitening_[slot].Standardise(staged_.predicted, staged_.values[slot]));
      if (!factory_[slot].has_value()) continue;
      Whitening& whitening = factory_[slot]->whitening();
      const float score = factory_[slot]->Score(staged_.predicted, staged_.values[slot]);
      if (std::isfinite(score)) {
        whitening.cycle().Observe(staged_.phase, whitening.Standardise(staged_.predicted, score));
      }
    }
  }
  if (last_phase_ >= 0.0f) {
    // A little back is a clock put right; anything else is on round.
    float step = staged_.phase - last_phase_;
    if (step < -0.25f) step += 1.0f;
    turned_ += step;
  }
  last_phase_ = staged_.phase;
  if (stage_ == Stage::kGathering) turned_ = 0.0f;
  if (turned_ < 1.0f) return;
  turned_ = 0.0f;
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    if (IsCategory(signals_[slot])) continue;
    whitening_[slot].cycle().Settle();
    whitening_[slot].UseCycle();
    if (!factory_[slot].has_value()) continue;
    factory_[slot]->whitening().cycle().Settle();
    factory_[slot]->whitening().UseCycle();
  }
  if (stage_ == Stage::kTurning) stage_ = Stage::kGatheringAgain;
}

Whitening::Gathered Reference::Gathered(std::size_t slot) const {
  return {.values = std::span(gathered_values_).subspan(slot * gather_, gathered_),
          .phases = std::span(gathered_phases_).first(gathered_),
          .predicted = std::span(gathered_predicted_).first(gathered_),
          .has = std::span(gathered_has_).first(gathered_),
          .bit = SignalMask{1} << slot};
}

// The gathered values as scores among the held-out ones; those of a class that has none are absent.
Whitening::Gathered Reference::GatheredScores(std::size_t slot) {
  Whitening::Gathered gathered = Gathered(slot);
  for (std::uint32_t i = 0; i < gathered_; ++i) {
    scores_[i] = gathered.Has(i) ? factory_[slot]->Score(gathered.predicted[i], gathered.values[i])
                                 : std::numeric_limits<float>::quiet_NaN();
    scores_has_[i] = std::isfinite(scores_[i]) ? 1u : 0u;
  }
  gathered.values = std::span(scores_).first(gathered_);
  gathered.has = std::span(scores_has_).first(gathered_);
  gathered.bit = 1;
  return gathered;
}

void Reference::Gather() {
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    gathered_values_[slot * gather_ + gathered_] =
        (staged_.has >> slot & 1u) != 0 ? staged_.values[slot] : 0.0f;
  }
  gathered_phases_[gathered_] = staged_.phase;
  gathered_predicted_[gathered_] = staged_.predicted;
  gathered_has_[gathered_] = staged_.has;
  gathered_ += 1;
  if (gathered_ < gather_) return;
  if (stage_ == Stage::kGathering) {
    for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
      whitening_[slot].SettleMoments(Gathered(slot));
      if (factory_[slot].has_value()) {
        factory_[slot]->whitening().SettleMoments(GatheredScores(slot));
      }
    }
    if (options_.has_cycle) {
      stage_ = Stage::kTurning;
      gathered_ = 0;
      return;
    }
  }
  Settle();
  gathered_ = 0;
  stage_ = learned_ >= options_.commission ? Stage::kWatching : Stage::kTeaching;
}

void Reference::Settle() {
  const double label_time = LabelTime();
  in_spells_ = label_time != 1.0;
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    whitening_[slot].SettleCorrelation(Gathered(slot), !IsCategory(signals_[slot]));
    every_[slot] = IsCategory(signals_[slot]) ? IndependentEvery(slot, label_time) : 1;
    since_[slot] = 0;
    PrepareFill(slot);
  }
  SettleFactory();
  for (std::uint32_t i = 0; i < gathered_; ++i) {
    const std::uint16_t predicted = gathered_predicted_[i];
    for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
      if ((gathered_has_[i] >> slot & 1u) == 0) {
        whitening_[slot].Skip();
        continue;
      }
      if (every_[slot] == 0 || i % every_[slot] != 0) continue;
      const float news = whitening_[slot].Whiten(predicted, gathered_values_[slot * gather_ + i],
                                                 gathered_phases_[i]);
      sketches_[SketchAt(slot, predicted)].Add(Draw(news));
    }
  }
}

// Of the predicted classes. Where only a few of them came (as many as if 3 in 10 came equally
// often), they are taken to come in spells so long that commissioning saw the inside of one.
double Reference::LabelTime() const {
  if (options_.classes == 1) return 1.0;
  Whitening::Gathered gathered = Gathered(0);
  double alike = 0.0;
  for (std::uint32_t label = 0; label < options_.classes; ++label) {
    const auto share = static_cast<double>(std::ranges::count(gathered.predicted, label)) /
                       static_cast<double>(gathered.predicted.size());
    alike += share * share;
  }
  if (1.0 / alike < kClassesSeenMin * options_.classes) return 0.0;
  gathered.bit = ~SignalMask{0};
  return SpellTime(
      gathered, [](std::size_t, std::size_t) { return true; },
      [&](std::size_t i, std::size_t j) { return gathered.predicted[i] == gathered.predicted[j]; });
}

void Reference::SettleFactory() {
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    if (!factory_[slot].has_value()) continue;
    FactoryWatch& factory = *factory_[slot];
    factory.whitening().SettleCorrelation(GatheredScores(slot), true);
    factory.Settle(FactoryRunLength(), in_spells_);
  }
}

// The watches' alarm rates add up, whatever the signals have to do with one another.
double Reference::FactoryRunLength() const {
  double watched = 0.0;
  for (const auto& factory : factory_) watched += factory.has_value() ? 1.0 : 0.0;
  return watched * options_.false_alarm_every / kFactoryShare;
}

std::uint32_t Reference::IndependentEvery(std::size_t slot, double label_time) const {
  const Whitening::Gathered gathered = Gathered(slot);
  const double time = IsPooled(slot) ? label_time
                                     : SpellTime(
                                           gathered,
                                           [&](std::size_t i, std::size_t j) {
                                             return gathered.predicted[i] == gathered.predicted[j];
                                           },
                                           [&](std::size_t i, std::size_t j) {
                                             return gathered.values[i] == gathered.values[j];
                                           });
  if (time == 0.0) return IsPooled(slot) ? 0 : 1;
  if (time == 1.0) return 1;
  const double every = std::ceil(2.0 * time);
  return static_cast<double>(gathered_) / every >= kLooksMin ? static_cast<std::uint32_t>(every)
                                                             : 0;
}

void Reference::PrepareFill(std::size_t slot) {
  const std::uint32_t size = options_.live_min;
  const auto& held_out = options_.held_out[At(signals_[slot])];
  const Whitening& whitening = whitening_[slot];
  double shift = 0.0;
  double weight = 0.0;
  bool agrees = true;
  for (std::size_t label = 0; label < held_out.size(); ++label) {
    const auto predicted = static_cast<std::uint16_t>(label);
    const Whitening::Moments& field = whitening.moments(predicted);
    if (held_out[label].empty() || field.samples < kAgreeSamplesMin) continue;
    const MeanAndSpread factory = Of(held_out[label]);
    shift += field.samples * std::abs(factory.mean - field.mean) / field.sd;
    weight += field.samples;
    const double ratio = factory.sd / field.sd;
    agrees = agrees && ratio < kFillSpreadMax && ratio > 1.0 / kFillSpreadMax;
  }
  agrees = agrees && (weight == 0.0 || shift / weight < kFillShiftMax);

  for (std::size_t label = 0; label < options_.classes; ++label) {
    if (IsPooled(slot) && label > 0) break;
    const std::size_t at = SketchAt(slot, static_cast<std::uint16_t>(label));
    has_fill_[at] = agrees && size > 0 && label < held_out.size() && !held_out[label].empty();
    if (!has_fill_[at]) continue;
    const std::vector<float>& values = held_out[label];
    const MeanAndSpread of = Of(values);
    for (std::uint32_t i = 0; i < size; ++i) {
      float value = values[(2 * i + 1) * values.size() / (2 * size)];
      if (!whitening.passes()) {
        const double z = of.sd > 0.0 ? (value - of.mean) / of.sd : 0.0;
        value = static_cast<float>(z) * whitening.spread_of_news(static_cast<std::uint16_t>(label));
      }
      fill_[at * size + i] = value;
    }
  }
}

// What was whitened in other units is forgotten: ranks begin anew, exact from the first value on.
void Reference::Learn() {
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    const SignalMask bit = SignalMask{1} << slot;
    if ((staged_.keyed & bit) == 0 || IsCategory(signals_[slot])) continue;
    if (in_spells_ && stage_ == Stage::kWatching) spells_[slot].Learn();
    const Whitening::Anew anew = whitening_[slot].Learn(staged_.predicted, staged_.values[slot]);
    if (anew == Whitening::Anew::kNothing) continue;
    const bool is_class = anew == Whitening::Anew::kClass;
    for (std::uint32_t label = 0; label < options_.classes; ++label) {
      if (is_class && label != staged_.predicted) continue;
      const std::size_t at = SketchAt(slot, static_cast<std::uint16_t>(label));
      sketches_[at].Clear();
      has_fill_[at] = false;
    }
    for (std::uint32_t at = 0; at < options_.hold_back; ++at) {
      if (is_class && waiting_predicted_[at] != staged_.predicted) continue;
      waiting_keys_[slot * options_.hold_back + at] = kAbsent;
    }
    staged_.keyed &= ~bit;
  }
  if (stage_ != Stage::kWatching) return;
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    if (!factory_[slot].has_value()) continue;
    if ((staged_.has >> slot & 1u) == 0) {
      factory_[slot]->Skip();
    } else {
      factory_[slot]->Observe(staged_.predicted, staged_.values[slot], staged_.phase);
    }
  }
}

void Reference::Teach() {
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    if ((staged_.keyed >> slot & 1u) == 0) continue;
    sketches_[SketchAt(slot, staged_.predicted)].Add(staged_.keys[slot]);
  }
}

void Reference::Wait() {
  if (options_.hold_back == 0) return Teach();
  // The oldest makes room, but joins only when the newcomer has found its gap: by joining it may
  // split or merge gaps.
  std::uint32_t at = waiting_first_ + waiting_count_;
  if (at >= options_.hold_back) at -= options_.hold_back;
  const bool is_full = waiting_count_ == options_.hold_back;
  const std::uint16_t oldest = waiting_predicted_[at];
  waiting_predicted_[at] = staged_.predicted;
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    std::int64_t& waiting = waiting_keys_[slot * options_.hold_back + at];
    const std::int64_t joins = is_full ? waiting : kAbsent;
    waiting = kAbsent;
    if ((staged_.keyed >> slot & 1u) != 0) {
      waiting = OrderOf(staged_.keys[slot]);
      sketches_[SketchAt(slot, staged_.predicted)].Hold(staged_.gaps[slot]);
    }
    if (joins != kAbsent) Join(slot, oldest, joins);
  }
  if (is_full) {
    waiting_first_ = waiting_first_ + 1 == options_.hold_back ? 0 : waiting_first_ + 1;
  } else {
    waiting_count_ += 1;
  }
}

void Reference::Join(std::size_t slot, std::uint16_t predicted, std::int64_t order) {
  RankSketch& sketch = sketches_[SketchAt(slot, predicted)];
  const RankSketch::Key key = KeyOf(order);
  const std::uint32_t post = sketch.Settle(key);
  if (post == RankSketch::kNoPost) return;
  // Others wait on either side of it.
  std::uint32_t left = 0;
  for (std::uint32_t at = 0; at < options_.hold_back; ++at) {
    const std::int64_t other = waiting_keys_[slot * options_.hold_back + at];
    if (other == kAbsent || !(IsPooled(slot) || waiting_predicted_[at] == predicted)) continue;
    left += sketch.Find(KeyOf(other)).at == post ? 1u : 0u;
  }
  sketch.SetHeld(post, left);
}

void Reference::Discard() {
  waiting_count_ = 0;
  waiting_first_ = 0;
  std::ranges::fill(waiting_keys_, kAbsent);
  for (RankSketch& sketch : sketches_) sketch.Release();
  turned_ = 0.0f;
  for (Whitening& whitening : whitening_) {
    whitening.Discard();
    whitening.cycle().Discard();
  }
  for (Spells& spells : spells_) spells.Discard();
  for (auto& factory : factory_) {
    if (!factory.has_value()) continue;
    factory->whitening().cycle().Discard();
    if (factory->alarms()) factory->Restart();
  }
}

void Reference::Interrupt() {
  for (Whitening& whitening : whitening_) whitening.Skip();
  for (auto& factory : factory_) {
    if (factory.has_value()) factory->Interrupt();
  }
  for (Spells& spells : spells_) spells.Interrupt();
  last_phase_ = -1.0f;
}

void Reference::Reset() {
  Discard();
  for (RankSketch& sketch : sketches_) sketch.Clear();
  for (Whitening& whitening : whitening_) whitening.Reset();
  for (auto& factory : factory_) {
    if (factory.has_value()) factory->Reset();
  }
  for (Spells& spells : spells_) spells.Reset();
  in_spells_ = false;
  std::ranges::fill(every_, 1u);
  std::ranges::fill(since_, 0u);
  has_fill_.assign(has_fill_.size(), false);
  gathered_ = 0;
  stage_ = Stage::kGathering;
  learned_ = 0;
  watched_ = 0;
  last_phase_ = -1.0f;
  staged_ = Staged{};
}

const Whitening::Moments& Reference::moments(Signal signal, std::uint16_t predicted) const {
  const std::size_t slot = SlotOf(signal);
  CHECK(slot < signals_.size() && predicted < options_.classes);
  return whitening_[slot].moments(predicted);
}

float Reference::phi(Signal signal) const {
  const std::size_t slot = SlotOf(signal);
  return slot < signals_.size() ? whitening_[slot].phi() : 0.0f;
}

std::uint32_t Reference::every(Signal signal) const {
  const std::size_t slot = SlotOf(signal);
  return slot < signals_.size() ? every_[slot] : 1;
}

bool Reference::watches_factory() const {
  return std::ranges::any_of(factory_, [](const auto& factory) { return factory.has_value(); });
}

const FactoryWatch* Reference::factory(Signal signal) const {
  const std::size_t slot = SlotOf(signal);
  return slot < signals_.size() && factory_[slot].has_value() ? &*factory_[slot] : nullptr;
}

Reference::FactoryLevel Reference::factory_level() const {
  FactoryLevel leading;
  double highest = -1.0;
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    if (!factory_[slot].has_value()) continue;
    const FactoryWatch::Level level = factory_[slot]->level();
    const double height = level.limit > 0.0 ? level.statistic / level.limit : 0.0;
    if (height <= highest) continue;
    highest = height;
    leading = {level, signals_[slot], factory_[slot]->alarms()};
  }
  return leading;
}

std::uint64_t Reference::live_samples(Signal signal, std::uint16_t predicted) const {
  const std::size_t slot = SlotOf(signal);
  if (slot == signals_.size()) return 0;
  const RankSketch& sketch = sketches_[SketchAt(slot, predicted)];
  return std::uint64_t{sketch.total()} - 1 + sketch.held();
}

void Reference::AddTo(OptionsDigest& digest) const {
  digest.Add(options_.classes).Add(options_.signals).Add(options_.hold_back);
  digest.Add(options_.commission).Add(options_.has_cycle).Add(options_.live_min);
  digest.Add(watches_factory());
  for (const auto& of_classes : options_.held_out) {
    digest.Add(static_cast<std::uint64_t>(of_classes.size()));
    for (const std::vector<float>& values : of_classes) digest.AddSpan(values);
  }
}

void Reference::Write(StateWriter& writer) const {
  writer.Section("reference");
  writer.Put(stage_);
  writer.Put(learned_);
  writer.Put(in_spells_);
  writer.Put(turned_);
  writer.Put(last_phase_);
  writer.Put(random_.state());
  for (const Whitening& whitening : whitening_) whitening.Write(writer);
  for (const auto& factory : factory_) {
    if (factory.has_value()) factory->Write(writer);
  }
  if (stage_ == Stage::kGathering || stage_ == Stage::kTurning ||
      stage_ == Stage::kGatheringAgain) {
    writer.Put(gathered_);
    for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
      writer.PutSpan(Gathered(slot).values);
    }
    if (options_.has_cycle) writer.PutSpan(std::span(gathered_phases_).first(gathered_));
    writer.PutSpan(std::span(gathered_predicted_).first(gathered_));
    for (std::uint32_t i = 0; i < gathered_; ++i) {
      writer.Put(static_cast<std::uint16_t>(gathered_has_[i]));
    }
    return;
  }
  writer.Put(watched_);
  for (std::size_t slot = 0; in_spells_ && slot < signals_.size(); ++slot) {
    if (!IsCategory(signals_[slot])) spells_[slot].Write(writer);
  }
  writer.PutSpan(every_);
  writer.PutSpan(since_);
  for (std::size_t at = 0; at < sketches_.size(); ++at) {
    sketches_[at].Write(writer);
    writer.Put(static_cast<bool>(has_fill_[at]));
    if (has_fill_[at] && sketches_[at].total() <= options_.live_min) {
      writer.PutSpan(std::span(fill_).subspan(at * options_.live_min, options_.live_min));
    }
  }
  writer.Put(waiting_count_);
  for (std::uint32_t place = 0; place < waiting_count_; ++place) {
    std::uint32_t at = waiting_first_ + place;
    if (at >= options_.hold_back) at -= options_.hold_back;
    writer.Put(waiting_predicted_[at]);
    SignalMask there = 0;
    for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
      if (waiting_keys_[slot * options_.hold_back + at] != kAbsent) there |= SignalMask{1} << slot;
    }
    writer.Put(static_cast<std::uint16_t>(there));
    for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
      const std::int64_t order = waiting_keys_[slot * options_.hold_back + at];
      if (order == kAbsent) continue;
      const RankSketch::Key key = KeyOf(order);
      writer.Put(key.value);
      writer.Put(key.tie);
      writer.Put(key.coins);
    }
  }
}

void Reference::Read(StateReader& reader) {
  Reset();
  const SignalMask all = (SignalMask{1} << signals_.size()) - 1;
  reader.Section("reference");
  stage_ = static_cast<Stage>(reader.GetUpTo(static_cast<std::uint8_t>(Stage::kWatching)));
  learned_ = reader.Get<std::uint64_t>();
  in_spells_ = reader.Get<bool>();
  turned_ = reader.GetFinite<float>();
  last_phase_ = reader.GetFinite<float>();
  if (!(std::abs(turned_) < 2.0f)) reader.Refuse("more of a turn than there is");
  if (!IsPhase(last_phase_)) reader.Refuse("a phase lies in [0, 1)");
  random_ = base::Random(reader.Get<std::uint64_t>());
  for (Whitening& whitening : whitening_) whitening.Read(reader);
  for (auto& factory : factory_) {
    if (factory.has_value()) factory->Read(reader, FactoryRunLength());
  }
  if (!reader.ok()) return;
  SignalMask numbers = 0;  // Bits of slots.
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    const bool turns = options_.has_cycle && !IsCategory(signals_[slot]);
    numbers |= IsCategory(signals_[slot]) ? 0 : SignalMask{1} << slot;
    const bool says_so = whitening_[slot].uses_cycle() ||
                         (factory_[slot].has_value() && factory_[slot]->whitening().uses_cycle());
    if (says_so && !turns) return reader.Refuse("a signal follows a cycle it does not have");
  }
  if (!options_.has_cycle && (stage_ == Stage::kTurning || stage_ == Stage::kGatheringAgain)) {
    return reader.Refuse("follows a cycle that is not configured");
  }
  if (stage_ != Stage::kTeaching && stage_ != Stage::kWatching) {
    gathered_ = reader.GetUpTo<std::uint32_t>(gather_ - 1);
    for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
      reader.GetFiniteSpan(std::span(gathered_values_).subspan(slot * gather_, gathered_));
    }
    if (options_.has_cycle) {
      const auto phases = std::span(gathered_phases_).first(gathered_);
      reader.GetFiniteSpan(phases);
      for (const float phase : phases) {
        if (!IsPhase(phase)) reader.Refuse("a phase lies in [0, 1)");
      }
    }
    reader.GetSpan(std::span(gathered_predicted_).first(gathered_));
    for (std::uint32_t i = 0; i < gathered_; ++i) {
      gathered_has_[i] = reader.GetUpTo(static_cast<std::uint16_t>(all));
      if (gathered_predicted_[i] >= options_.classes) reader.Refuse("a class is not one of ours");
      if (options_.has_cycle && gathered_phases_[i] < 0.0f && (gathered_has_[i] & numbers) != 0) {
        reader.Refuse("a number without its hour");
      }
    }
    return;
  }
  watched_ = reader.Get<std::uint32_t>();
  for (std::size_t slot = 0; in_spells_ && slot < signals_.size(); ++slot) {
    if (!IsCategory(signals_[slot])) spells_[slot].Read(reader);
  }
  reader.GetSpan(every_);
  reader.GetSpan(since_);
  for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
    if (!IsCategory(signals_[slot]) && every_[slot] != 1)
      reader.Refuse("skips what is no category");
  }
  for (std::size_t at = 0; at < sketches_.size(); ++at) {
    sketches_[at].Read(reader);
    const bool has_fill = reader.Get<bool>();
    if (!reader.ok()) return;
    has_fill_[at] = has_fill;
    if (has_fill && sketches_[at].total() <= options_.live_min) {
      reader.GetFiniteSpan(std::span(fill_).subspan(at * options_.live_min, options_.live_min));
    }
  }
  waiting_count_ = reader.GetUpTo<std::uint32_t>(options_.hold_back);
  for (std::uint32_t at = 0; at < waiting_count_; ++at) {
    waiting_predicted_[at] = reader.Get<std::uint16_t>();
    if (waiting_predicted_[at] >= options_.classes) reader.Refuse("a class is not one of ours");
    const SignalMask there = reader.GetUpTo(static_cast<std::uint16_t>(all));
    if (!reader.ok()) {
      waiting_count_ = 0;
      return;
    }
    for (std::size_t slot = 0; slot < signals_.size(); ++slot) {
      if ((there >> slot & 1u) == 0) continue;
      RankSketch::Key key;
      key.value = reader.GetFinite<float>();
      key.tie = reader.Get<std::uint16_t>();
      key.coins = reader.Get<std::uint8_t>();
      if (!reader.ok()) return;
      waiting_keys_[slot * options_.hold_back + at] = OrderOf(key);
      RankSketch& sketch = sketches_[SketchAt(slot, waiting_predicted_[at])];
      sketch.Hold(sketch.Find(key));
    }
  }
}

}  // namespace tinylcm::drift
