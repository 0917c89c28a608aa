#include "tinylcm/drift/evidence.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::drift {
namespace {

using base::Error;
using base::ErrorCode;

// Of a signal's weight, what goes to the bets on single classes.
constexpr float kClassPart = 0.3f;

constexpr double kWarningAt = 0.1;

// Of several signals, see RunLengthOver: from a limit of 100 on, and at one of 10.
constexpr double kSeveral = 0.88;
constexpr double kSeveralAtTen = 0.75;

// Beyond every limit. From here on the stakes stay as they are, and with them whose they are; they
// would only run into the ceiling and become alike.
constexpr double kEnough = kFortuneMax;

// Those of numbers without the bets on lasting shifts of less than one deviation. Those overshoot
// least: the others run 17 % longer to the same limit (one number, 1e3 and 1e4), so it is lowered,
// a little less, where all signals are numbers.
constexpr double kSpellLimit = 0.87;
BetWeights SpellWeights() {
  BetWeights weights = NumberWeights();
  float sum = 0.0f;
  for (std::size_t b = 0; b < kBets; ++b) {
    const Bet& bet = kAllBets[b];
    const bool is_shift = bet.kind == BetKind::kRise || bet.kind == BetKind::kFall;
    if (is_shift && bet.size < 1.0) weights[b] = 0.0f;
    sum += weights[b];
  }
  for (float& weight : weights) weight /= sum;
  return weights;
}

// What the limit is over for the run length, see the header. A signal that reaches the limit does
// so by bets of its own, and overshoots it as it would alone; so the alarm rates add up, each
// divided by the signal's own overshoot. The rest of the sum and the number of classes lessen that
// a little: kSeveral is below all that was measured (.89 to 1.0, bench/drift/scenarios.cc).
double RunLengthOver(const Evidence::Options& options, double limit) {
  double rate = 0.0;
  double signals = 0.0;
  for (std::size_t at = 0; at < kSignals; ++at) {
    const auto signal = static_cast<Signal>(at);
    if ((options.signals & Bit(signal)) == 0) continue;
    const bool in_classes = options.classes > 1 && IsWatchedPerClass(signal);
    const Game game = IsCategory(signal) ? (in_classes ? Game::kCategoryInClasses : Game::kCategory)
                                         : (in_classes ? Game::kNumberInClasses : Game::kNumber);
    rate += 1.0 / RunLengthOverLimit(game, limit);
    signals += 1.0;
  }
  const double over = signals / rate;
  if (signals == 1.0) return over;
  const double low = std::clamp(2.0 - std::log10(limit), 0.0, 1.0);
  return std::max(1.0, (kSeveral + low * (kSeveralAtTen - kSeveral)) * over);
}

}  // namespace

base::Result<Evidence> Evidence::Create(const Options& options) {
  if (options.classes == 0 || options.classes > 65'536) {
    return Error{ErrorCode::kInvalidArgument, "evidence: classes must be 1 to 65536"};
  }
  if (options.signals == 0 || (options.signals >> kSignals) != 0) {
    return Error{ErrorCode::kInvalidArgument, "evidence: signals: none, or one that is not known"};
  }
  // Written as "not good" rather than "bad" so that NaN is refused too.
  if (!(options.false_alarm_every >= kRunLengthMin && options.false_alarm_every <= kRunLengthMax)) {
    return Error{ErrorCode::kInvalidArgument,
                 "evidence: false_alarm_every must be 10 to 1e12 samples"};
  }
  return Evidence(options);
}

Evidence::Evidence(const Options& options)
    : options_(options),
      limit_(LimitForRunLength(options.false_alarm_every,
                               [&](double limit) { return RunLengthOver(options, limit); })),
      table_(&BetTable::Get()),
      number_weights_(NumberWeights()),
      category_weights_(CategoryWeights()) {
  for (std::size_t signal = 0; signal < kSignals; ++signal) {
    const auto name = static_cast<Signal>(signal);
    if ((options.signals & Bit(name)) == 0) continue;
    Watch watch;
    watch.signal = static_cast<std::uint8_t>(signal);
    watch.per_class = options.classes > 1 && IsWatchedPerClass(name);
    watch.category = IsCategory(name);
    watch.class_weight = watch.per_class ? kClassPart : 0.0f;
    watch.pooled_weight = 1.0f - watch.class_weight;
    if (watch.per_class) class_watches_ += 1;
    watches_.push_back(watch);
  }
  pooled_.resize(watches_.size());
  pooled_shape_.resize(watches_.size());
  pooled_sum_.resize(watches_.size());
  pooled_last_.resize(watches_.size());
  for (Watch& watch : watches_) {
    watch.pooled_weight /= static_cast<float>(watches_.size());
    watch.class_weight /= static_cast<float>(watches_.size());
  }
  if (class_watches_ > 0) {
    by_class_.resize(class_watches_ * options.classes);
    class_sum_.resize(class_watches_ * options.classes);
    class_last_.resize(options.classes);
    if ((options.signals & Bit(Signal::kQuantTree)) != 0) class_shape_.resize(options.classes);
  }
}

Evidence::Level Evidence::Observe(std::uint16_t predicted, std::span<const float, kSignals> u) {
  CHECK(predicted < options_.classes);
  samples_ += 1;
  if (level_.statistic >= kEnough) return level_;

  // The coin of this sample is shared by those who play now.
  std::size_t active = 0;
  for (const Watch& watch : watches_) active += !std::isnan(u[watch.signal]);
  if (active == 0) return level_;
  const float lent = static_cast<float>(watches_.size()) / static_cast<float>(active);

  float class_elapsed = 0.0f;
  if (class_watches_ > 0) {
    class_elapsed = static_cast<float>(samples_ - class_last_[predicted]);
    class_last_[predicted] = samples_;
  }

  double sum = 0.0;
  std::size_t of_class = predicted * class_watches_;
  for (std::size_t w = 0; w < watches_.size(); ++w) {
    const Watch& watch = watches_[w];
    const float rank = u[watch.signal];
    if (!std::isnan(rank)) {
      const auto elapsed = static_cast<float>(samples_ - pooled_last_[w]);
      pooled_last_[w] = samples_;
      const BetWeights& weights = watch.category ? category_weights_ : number_weights_;
      const Payment payment = Pay(*table_, rank, pooled_shape_[w]);
      // Where the bets on single classes do not count, those on all samples get their coins.
      const float to_all = watch.per_class && in_spells_ ? lent / (1.0f - kClassPart) : lent;
      pooled_sum_[w] = watch.pooled_weight * Play(payment, to_all, elapsed, weights, pooled_[w]);
      if (watch.per_class) {
        // A class's numbers have no shape of their own: those bets follow the whole stream's, which
        // is as fair (it was known before u came).
        const float owned =
            watch.class_weight *
            Play(watch.category ? Pay(*table_, rank, class_shape_[predicted]) : payment, lent,
                 class_elapsed, weights, by_class_[of_class]);
        // A class that does not play owns what it owned: only one term of its sum changes. What
        // rounding leaves is far below one coin.
        class_total_ += static_cast<double>(owned) - static_cast<double>(class_sum_[of_class]);
        class_sum_[of_class] = owned;
      }
    }
    sum += static_cast<double>(pooled_sum_[w]);
    of_class += watch.per_class;
  }
  if (!in_spells_) sum += class_total_;
  level_.statistic = sum;
  level_.warning = sum >= kWarningAt * limit_;
  level_.alarm = level_.alarm || sum >= limit_;
  return level_;
}

void Evidence::Arrange() {
  number_weights_ = in_spells_ ? SpellWeights() : NumberWeights();
  limit_ = LimitForRunLength(options_.false_alarm_every,
                             [this](double limit) { return RunLengthOver(options_, limit); });
  constexpr SignalMask kCategories = Bit(Signal::kQuantTree) | Bit(Signal::kClassMix);
  if (in_spells_ && (options_.signals & kCategories) == 0) limit_ *= kSpellLimit;
}

void Evidence::SetInSpells(bool in_spells) {
  if (in_spells == in_spells_) return;
  in_spells_ = in_spells;
  Arrange();
  Reset();
}

double Evidence::log10_evidence() const {
  const double evidence = level_.statistic / limit_ * options_.false_alarm_every;
  return evidence > 1.0 ? std::log10(evidence) : 0.0;
}

template <typename Visit>
void Evidence::ForAllStakes(const Visit& visit) const {
  std::size_t class_watch = 0;
  for (std::size_t w = 0; w < watches_.size(); ++w) {
    const Watch& watch = watches_[w];
    visit(watch, pooled_[w], watch.pooled_weight, samples_ - pooled_last_[w], false);
    if (!watch.per_class || in_spells_) continue;
    for (std::size_t label = 0; label < options_.classes; ++label) {
      visit(watch, by_class_[label * class_watches_ + class_watch], watch.class_weight,
            samples_ - class_last_[label], true);
    }
    class_watch += 1;
  }
}

Evidence::Shares Evidence::shares() const {
  Shares shares;
  double total = 0.0;
  ForAllStakes(
      [&](const Watch& watch, const Stakes& stakes, float weight, std::uint64_t, bool of_class) {
        for (std::size_t b = 0; b < kBets; ++b) {
          const Bet& bet = kAllBets[b];
          const double part =
              static_cast<double>(weight) * static_cast<double>(stakes.capital[b]) *
              static_cast<double>((watch.category ? category_weights_ : number_weights_)[b]);
          shares.signals[watch.signal] += part;
          shares.kinds[static_cast<std::size_t>(bet.kind)] += part;
          if (bet.fast) shares.fast += part;
          if (of_class) shares.per_class += part;
          total += part;
        }
      });
  if (!(total > 0.0)) return Shares{};
  for (double& share : shares.signals) share /= total;
  for (double& share : shares.kinds) share /= total;
  shares.fast /= total;
  shares.per_class /= total;
  return shares;
}

void Evidence::ClassShares(std::span<double> shares) const {
  CHECK(shares.size() == options_.classes);
  double total = 0.0;
  for (std::size_t label = 0; label < shares.size(); ++label) {
    shares[label] = 0.0;
    for (std::size_t watch = 0; watch < class_watches_; ++watch) {
      shares[label] += static_cast<double>(class_sum_[label * class_watches_ + watch]);
    }
    total += shares[label];
  }
  if (!(total > 0.0)) return;
  for (double& share : shares) share /= total;
}

std::uint64_t Evidence::wound_for() const {
  double most = 0.0;
  double age = 0.0;
  ForAllStakes(
      [&](const Watch& watch, const Stakes& stakes, float weight, std::uint64_t idle, bool) {
        for (std::size_t b = 0; b < kBets; ++b) {
          const double part =
              static_cast<double>(weight) * static_cast<double>(stakes.capital[b]) *
              static_cast<double>((watch.category ? category_weights_ : number_weights_)[b]);
          if (!(part > most)) continue;
          most = part;
          age = static_cast<double>(stakes.age[b]) / static_cast<double>(stakes.capital[b]) +
                static_cast<double>(idle);
        }
      });
  if (most == 0.0) return 0;
  // A coin lent for this very sample has the age 0.
  return static_cast<std::uint64_t>(std::clamp(age + 1.5, 1.0, static_cast<double>(samples_)));
}

void Evidence::Reset() {
  samples_ = 0;
  level_ = {};
  std::fill(pooled_.begin(), pooled_.end(), Stakes{});
  std::fill(pooled_shape_.begin(), pooled_shape_.end(), RecentShape{});
  std::fill(pooled_sum_.begin(), pooled_sum_.end(), 0.0f);
  std::fill(by_class_.begin(), by_class_.end(), Stakes{});
  std::fill(class_shape_.begin(), class_shape_.end(), RecentShape{});
  std::fill(class_sum_.begin(), class_sum_.end(), 0.0f);
  std::fill(pooled_last_.begin(), pooled_last_.end(), std::uint64_t{0});
  std::fill(class_last_.begin(), class_last_.end(), std::uint64_t{0});
  class_total_ = 0.0;
}

void Evidence::AddTo(OptionsDigest& digest) const {
  digest.Add(options_.classes).Add(options_.signals);
}

void Evidence::Write(StateWriter& writer) const {
  writer.Section("evidence");
  writer.Put(samples_);
  writer.Put(level_.statistic);
  writer.Put(level_.alarm);
  writer.Put(in_spells_);
  for (const Stakes& stakes : pooled_) stakes.Write(writer);
  for (const RecentShape& shape : pooled_shape_) shape.Write(writer);
  for (const Stakes& stakes : by_class_) stakes.Write(writer);
  for (const RecentShape& shape : class_shape_) shape.Write(writer);
  writer.Put(class_total_);
  writer.PutSpan(std::span<const float>(pooled_sum_));
  writer.PutSpan(std::span<const float>(class_sum_));
  writer.PutSpan(std::span<const std::uint64_t>(pooled_last_));
  writer.PutSpan(std::span<const std::uint64_t>(class_last_));
}

void Evidence::Read(StateReader& reader) {
  reader.Section("evidence");
  samples_ = reader.Get<std::uint64_t>();
  level_.statistic = reader.GetFinite<double>();
  level_.alarm = reader.Get<bool>();
  in_spells_ = reader.Get<bool>();
  Arrange();
  level_.warning = level_.statistic >= kWarningAt * limit_;
  for (Stakes& stakes : pooled_) stakes.Read(reader);
  for (RecentShape& shape : pooled_shape_) shape.Read(reader);
  for (Stakes& stakes : by_class_) stakes.Read(reader);
  for (RecentShape& shape : class_shape_) shape.Read(reader);
  class_total_ = reader.GetFinite<double>();
  reader.GetFiniteSpan(std::span<float>(pooled_sum_));
  reader.GetFiniteSpan(std::span<float>(class_sum_));
  for (const auto* sums : {&pooled_sum_, &class_sum_}) {
    for (const float sum : *sums) {
      if (sum < 0.0f) return reader.Refuse("a sum below zero");
    }
  }
  for (std::vector<std::uint64_t>* last : {&pooled_last_, &class_last_}) {
    reader.GetSpan(std::span<std::uint64_t>(*last));
    for (const std::uint64_t at : *last) {
      if (at > samples_) reader.Refuse("a signal or class was seen after the last sample");
    }
  }
}

}  // namespace tinylcm::drift
