#include "tinylcm/adapt/gate.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace tinylcm::adapt {

using base::FormatShort;
using base::StrCat;

namespace {

double Mean(double sum, std::uint32_t count) {
  return count == 0 ? 0.0 : sum / static_cast<double>(count);
}

std::string Figures(const Trial& trial) {
  return StrCat("over ", trial.count, " samples distance ",
                FormatShort(Mean(trial.challenger_distance, trial.count)),
                " (before: ", FormatShort(Mean(trial.champion_distance, trial.count)),
                "), confidence ", FormatShort(Mean(trial.challenger_confidence, trial.count)),
                " (before: ", FormatShort(Mean(trial.champion_confidence, trial.count)),
                "), the same answer for ", trial.agreed);
}

void Count(std::vector<std::uint32_t>& counts, std::uint16_t label) {
  if (counts.size() <= label) counts.resize(std::size_t{label} + 1, 0);
  ++counts[label];
}

}  // namespace

Gate EvidenceHolds(std::optional<double> log10_e, std::optional<double> target_samples) {
  if (!log10_e || !target_samples) return {true, "an alarm rule of the user's own"};
  const double asked = std::log10(std::max(1.0, *target_samples));
  // Half a digit: what is fused is averaged again at the alarm.
  return {*log10_e >= asked - 0.5,
          StrCat("evidence 10^", FormatShort(*log10_e), ", 10^", FormatShort(asked), " is asked")};
}

Gate AccuracyHolds(const AccuracyClaim& claim, double at_least) {
  const std::string asked = StrCat(FormatShort(100.0 * at_least), " %");
  if (!claim.is_known) {
    return {false, StrCat("how many answers are right is unknown; surely ", asked, " is asked")};
  }
  return {
      claim.low - claim.gap >= at_least,
      StrCat("about ", FormatShort(100.0 * claim.mean), " % of the answers are right, at least ",
             FormatShort(100.0 * claim.low), " %, if one may judge by inputs of which ",
             FormatShort(100.0 * claim.gap), " % are of a new kind; surely ", asked, " is asked")};
}

Gate InputHelps(const InputSearchResult& result) {
  const std::string share =
      StrCat(FormatShort(100.0 * result.ratio), " % of the distance as it comes");
  if (result.is_vetoed) return {false, StrCat("labels speak against it, at ", share)};
  if (!result.is_adopted) return {false, StrCat("no corrected input is clearly nearer: ", share)};
  return {true, StrCat(result.hypothesis.name(), ": ", share)};
}

Gate LabelsAgree(const JudgeFigures& figures) {
  if (figures.is_trusted) {
    return {true, StrCat(figures.correct, " of ", figures.labels, " labels right (",
                         figures.correct_before, " by the bundle alone)")};
  }
  return {false, figures.why.empty() ? "the labels contradict one another" : figures.why};
}

Gate CanaryHolds(const CanaryFigures& canary, const CanaryRule& rule) {
  const double loss = canary.before - canary.after;
  const double count = static_cast<double>(canary.count);
  // As few answers have changed as make the loss: the standard error is at least theirs.
  const double error = count > 0.0 ? std::sqrt(std::max(0.0, loss) * count) / count : 0.0;
  const bool is_chance = loss <= std::max(rule.loss_max, rule.errors * error);
  const bool is_outweighed = canary.labels_gain >= rule.outweighed_by * loss;
  return {loss <= rule.loss_never && (is_chance || is_outweighed),
          StrCat("canary accuracy ", FormatShort(canary.after), ", ", FormatShort(canary.before),
                 " before")};
}

double PairedLoss(const ProbationSample& sample) {
  const double less_sure = static_cast<double>(sample.champion_confidence) -
                           static_cast<double>(sample.challenger_confidence);
  const double farther = static_cast<double>(sample.challenger_distance) -
                         static_cast<double>(sample.champion_distance);
  if (!std::isfinite(less_sure) || !std::isfinite(farther)) return 0.0;
  // A memory alone moves no distance, and is sure of what it was told. Where it contradicts the
  // anchors, these are right with the chance they were calibrated to give.
  const bool is_moved = std::abs(farther) > 1e-6 * static_cast<double>(sample.champion_distance);
  if (!is_moved) {
    if (sample.champion_label == sample.challenger_label) return 0.0;
    return std::clamp(2.0 * static_cast<double>(sample.champion_confidence) - 1.0, -1.0, 1.0);
  }
  if ((less_sure > 0.0) != (farther > 0.0)) return 0.0;
  const double weight = sample.champion_label == sample.challenger_label ? 0.25 : 1.0;
  return weight * std::clamp(less_sure, -1.0, 1.0);
}

void Bets::Play(double gain) {
  constexpr double kEnough = 1e12;  // So that it stays a number; no rule asks for more.
  for (std::size_t i = 0; i < kStakes.size(); ++i) {
    wealth[i] = std::min(kEnough, wealth[i] * (1.0 + kStakes[i] * gain));
  }
}

double Bets::Wealth() const {
  double sum = 0.0;
  for (const double each : wealth) sum += each;
  return sum / static_cast<double>(wealth.size());
}

void Trial::Add(const ProbationSample& sample) {
  ++count;
  champion_distance += static_cast<double>(sample.champion_distance);
  champion_confidence += static_cast<double>(sample.champion_confidence);
  challenger_distance += static_cast<double>(sample.challenger_distance);
  challenger_confidence += static_cast<double>(sample.challenger_confidence);
  if (sample.champion_label == sample.challenger_label) ++agreed;
  Count(champion_classes, sample.champion_label);
  Count(challenger_classes, sample.challenger_label);
  const double loss = PairedLoss(sample);
  worse.Play(loss);
  better.Play(-loss);
}

double EffectiveClasses(const std::vector<std::uint32_t>& counts) {
  double total = 0.0;
  for (const std::uint32_t count : counts) total += static_cast<double>(count);
  if (total == 0.0) return 0.0;
  double entropy = 0.0;
  for (const std::uint32_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / total;
    entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

Gate BetsHold(const Trial& trial, const TrialRule& rule) {
  return {trial.worse.Wealth() < 1.0 / rule.alpha,
          StrCat("a bet that it is worse has won ", FormatShort(trial.worse.Wealth()),
                 " times its stake ", Figures(trial))};
}

Gate ClassesHold(const Trial& trial, const TrialRule& rule) {
  const double before = EffectiveClasses(trial.champion_classes);
  const double after = EffectiveClasses(trial.challenger_classes);
  const bool is_nearer = trial.challenger_distance <= 0.98 * trial.champion_distance;
  const bool is_collapsed =
      trial.count >= rule.looks_from && !is_nearer && after < rule.collapse_share * before;
  return {!is_collapsed, StrCat("the answers of ", trial.count, " samples are as mixed as ",
                                FormatShort(after), " classes, ", FormatShort(before), " before")};
}

Gate EndHolds(const Trial& trial, const TrialRule& rule) {
  const bool is_farther = trial.challenger_distance > rule.distance_max * trial.champion_distance;
  const bool is_less_sure =
      trial.challenger_confidence <
      trial.champion_confidence - rule.confidence_loss * static_cast<double>(trial.count);
  // Nor may it have lost to the bet that it is worse, five times the stake.
  const bool is_suspect = trial.worse.Wealth() >= rule.suspect_wealth;
  return {!(is_farther && is_less_sure) && !is_suspect, Figures(trial)};
}

Gate IsProven(const Trial& trial, const TrialRule& rule) {
  return {trial.count >= rule.looks_from && trial.better.Wealth() >= 1.0 / rule.alpha,
          Figures(trial)};
}

}  // namespace tinylcm::adapt
