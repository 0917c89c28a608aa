#include "tinylcm/drift/drift_monitor.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::drift {
namespace {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::JsonReader;

constexpr char kFormat[] = "tinylcm-drift-monitor/1";
// Scores kept to place the change point. A rise that needs more to be proven has no clear
// beginning.
constexpr std::size_t kRecentScores = 512;
// A 95 % likelihood interval: half the chi-squared quantile at one degree of freedom.
constexpr double kIntervalDrop = 1.92;
// How much better, in log likelihood, a ramp must explain the scores than a step.
constexpr double kRampLead = 2.0;
// A class is said to carry the evidence from this share on.
constexpr std::size_t kNamesTold = 4;  // Of the channels, in the text.
constexpr double kMainShare = 0.5;

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

std::string Hex(std::uint64_t value) {
  char text[17];
  const auto end = std::to_chars(text, text + 16, value, 16);
  return {text, end.ptr};
}

template <typename T>
Json NumbersToJson(const std::vector<T>& numbers) {
  Json::Array array;
  array.reserve(numbers.size());
  for (const T number : numbers) {
    if constexpr (std::is_floating_point_v<T>) {
      array.emplace_back(static_cast<double>(number));
    } else {
      array.emplace_back(number);
    }
  }
  return Json(std::move(array));
}

// Reads an array of plain numbers. Not through a JsonReader each: there are thousands.
template <typename T>
std::vector<T> Numbers(JsonReader& reader, const char* key, std::size_t count_max) {
  std::vector<T> numbers;
  const Json* found = reader.json().is_object() ? reader.json().Find(key) : nullptr;
  if (found == nullptr || !found->is_array() || found->as_array().size() > count_max) {
    reader.Refuse(key, "must be an array, not too long");
    return numbers;
  }
  for (const Json& number : found->as_array()) {
    bool is_good = false;
    if constexpr (std::is_floating_point_v<T>) {
      is_good = number.is_number() &&
                std::abs(number.as_double()) <= static_cast<double>(std::numeric_limits<T>::max());
      if (is_good) numbers.push_back(static_cast<T>(number.as_double()));
    } else {
      is_good = number.is_int() && number.as_int() >= 0 && std::in_range<T>(number.as_int());
      if (is_good) numbers.push_back(static_cast<T>(number.as_int()));
    }
    if (!is_good) {
      reader.Refuse(key, "holds something that is no number in range");
      return numbers;
    }
  }
  return numbers;
}

std::uint64_t Count(JsonReader& reader, const char* key) {
  return static_cast<std::uint64_t>(reader.Int(key, {.min = 0}));
}

Json RankToJson(const ConformalRank::State& state) {
  Json reservoirs = Json::MakeArray();
  for (const std::vector<float>& reservoir : state.reservoirs) {
    reservoirs.Append(NumbersToJson(reservoir));
  }
  std::vector<std::uint16_t> labels;
  std::vector<float> values;
  for (const ConformalRank::State::Waiting& waiting : state.waiting) {
    labels.push_back(waiting.label);
    values.push_back(waiting.value);
  }
  return Json::MakeObject({{"reservoirs", std::move(reservoirs)},
                           {"seen", NumbersToJson(state.seen)},
                           {"waiting_labels", NumbersToJson(labels)},
                           {"waiting_values", NumbersToJson(values)},
                           {"random", Hex(state.random)}});
}

ConformalRank::State RankFromJson(JsonReader reader, const DriftMonitor::Options& options) {
  ConformalRank::State state;
  const Json* reservoirs = reader.json().is_object() ? reader.json().Find("reservoirs") : nullptr;
  if (reservoirs == nullptr || !reservoirs->is_array()) {
    reader.Refuse("reservoirs", "must be an array");
    return state;
  }
  for (JsonReader reservoir : reader.Array("reservoirs", options.classes)) {
    // Numbers wants a member; a bare array is wrapped for it.
    const Json wrapped = Json::MakeObject({{"values", reservoir.json()}});
    JsonReader inner(wrapped, "reservoir");
    state.reservoirs.push_back(Numbers<float>(inner, "values", options.reservoir));
    if (!inner.status().ok()) reader.Refuse("reservoirs", inner.status().error().message);
  }
  state.seen = Numbers<std::uint64_t>(reader, "seen", options.classes);
  const auto labels = Numbers<std::uint16_t>(reader, "waiting_labels", options.hold_back);
  const auto values = Numbers<float>(reader, "waiting_values", options.hold_back);
  if (labels.size() != values.size()) {
    reader.Refuse("waiting_values", "must be as many as waiting_labels");
    return state;
  }
  for (std::size_t i = 0; i < labels.size(); ++i) state.waiting.push_back({labels[i], values[i]});
  const std::string random = reader.String("random");
  const auto end = std::from_chars(random.data(), random.data() + random.size(), state.random, 16);
  if (random.empty() || end.ec != std::errc{} || end.ptr != random.data() + random.size()) {
    reader.Refuse("random", "must be 64 bits in hexadecimal");
  }
  return state;
}

Json ShiftToJson(const ChannelShift::State& state) {
  return Json::MakeObject({{"reference_count", state.reference_count},
                           {"reference_mean", NumbersToJson(state.reference_mean)},
                           {"reference_m2", NumbersToJson(state.reference_m2)},
                           {"spells", state.spells},
                           {"spell_rows", state.spell_rows},
                           {"spell_sum", NumbersToJson(state.spell_sum)},
                           {"spell_mean", NumbersToJson(state.spell_mean)},
                           {"spell_m2", NumbersToJson(state.spell_m2)},
                           {"recent_count", state.recent_count},
                           {"recent_sum", NumbersToJson(state.recent_sum)},
                           {"recent_squares", NumbersToJson(state.recent_squares)},
                           {"recent_clipped", NumbersToJson(state.recent_clipped)}});
}

ChannelShift::State ShiftFromJson(JsonReader reader, const DriftMonitor::Options& options) {
  ChannelShift::State state;
  state.reference_count = Count(reader, "reference_count");
  state.reference_mean = Numbers<double>(reader, "reference_mean", options.channels);
  state.reference_m2 = Numbers<double>(reader, "reference_m2", options.channels);
  state.spells = Count(reader, "spells");
  state.spell_rows = Count(reader, "spell_rows");
  state.spell_sum = Numbers<double>(reader, "spell_sum", options.channels);
  state.spell_mean = Numbers<double>(reader, "spell_mean", options.channels);
  state.spell_m2 = Numbers<double>(reader, "spell_m2", options.channels);
  state.recent_count = Count(reader, "recent_count");
  state.recent_sum = Numbers<double>(reader, "recent_sum", options.channels);
  state.recent_squares = Numbers<double>(reader, "recent_squares", options.channels);
  state.recent_clipped = Numbers<double>(reader, "recent_clipped", options.channels);
  return state;
}

std::string OneDecimal(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 1);
  return {text, end.ptr};
}

}  // namespace

base::Result<DriftMonitor> DriftMonitor::Create(const Options& options) {
  if (options.commission < 2 || options.commission > 1'000'000) {
    return Error{ErrorCode::kInvalidArgument, "drift monitor: commission must be 2 to 1000000"};
  }
  if (!options.labels.empty() && options.labels.size() != options.classes) {
    return Error{ErrorCode::kInvalidArgument, "drift monitor: labels must be one a class, or none"};
  }
  if (!options.channel_names.empty() && options.channel_names.size() != options.channels) {
    return Error{ErrorCode::kInvalidArgument,
                 "drift monitor: channel names must be one a channel, or none"};
  }
  if (!(options.k > 0.0)) {
    return Error{ErrorCode::kInvalidArgument, "drift monitor: k must be > 0"};
  }
  ASSIGN_OR_RETURN(ConformalRank rank,
                   ConformalRank::Create({.classes = options.classes,
                                          .reservoir = options.reservoir,
                                          .hold_back = options.hold_back,
                                          .seed = options.seed,
                                          .factory = options.factory_distances}));
  ASSIGN_OR_RETURN(Cusum cusum,
                   Cusum::Create({.k = options.k, .run_length = options.false_alarm_every}));
  ASSIGN_OR_RETURN(ChannelShift shift,
                   ChannelShift::Create({.channels = options.channels,
                                         .shift_sigma_min = options.channel_shift_min}));
  return DriftMonitor(options, std::move(rank), cusum, std::move(shift));
}

DriftMonitor::DriftMonitor(const Options& options, ConformalRank rank, Cusum cusum,
                           ChannelShift shift)
    : options_(options), rank_(std::move(rank)), cusum_(cusum), shift_(std::move(shift)) {
  state_.class_evidence.assign(options.classes, 0.0);
  recent_.resize(kRecentScores);
}

void DriftMonitor::BeginRun() {
  state_.run_first = 0;
  state_.run_count = 0;
  state_.run_scores = 0.0;
  std::ranges::fill(state_.class_evidence, 0.0);
}

DriftSignal DriftMonitor::Observe(const Sample& sample) {
  const std::uint64_t index = sample.index;
  const std::uint16_t predicted = sample.predicted;
  const float distance = sample.values[At(Signal::kAnchorDistance)];
  const std::span<const float> channels = sample.channels;
  CHECK(predicted < options_.classes);
  CHECK(sample.Has(Signal::kAnchorDistance));
  CHECK(channels.size() == options_.channels);

  if (state_.phase == Phase::kLearning) {
    // While nothing is known a rank says nothing; the value is only taken in.
    rank_.Observe(predicted, distance);
    shift_.Learn(channels);
    state_.learned += 1;
    if (state_.learned >= options_.commission) {
      rank_.Release();
      state_.phase = Phase::kWatching;
    }
    return DriftSignal::kLearning;
  }

  const bool is_open = state_.phase == Phase::kOpen;
  state_.score = is_open ? rank_.Score(predicted, distance) : rank_.Observe(predicted, distance);
  if (is_open) {
    state_.since_alarm += 1;
    if (state_.since_alarm > options_.explain) return DriftSignal::kWarning;
  }
  recent_[recent_next_] = {index, state_.score};
  recent_next_ = (recent_next_ + 1) % recent_.size();
  recent_count_ = std::min(recent_count_ + 1, recent_.size());

  if (state_.run_count == 0) state_.run_first = index;
  state_.run_count += 1;
  state_.run_scores += state_.score;
  state_.class_evidence[predicted] += std::max(0.0, state_.score - options_.k);
  shift_.Observe(channels);
  if (is_open) return DriftSignal::kWarning;

  if (cusum_.Observe(state_.score) == DriftSignal::kDrift) {
    // What has waited since before the change is thrown away with what came after it: a few good
    // samples lost are cheap, a drifted one in the reference hides the next drift.
    rank_.DiscardWaiting();
    state_.phase = Phase::kOpen;
    state_.alarm_index = index;
    state_.since_alarm = 0;
    return DriftSignal::kDrift;
  }
  if (cusum_.statistic() == 0.0) {
    // All quiet since the last time it was: these rows belong to the reference.
    shift_.Accept();
    BeginRun();
  }
  return DriftSignal::kSteady;
}

void DriftMonitor::Rebaseline() {
  rank_.Reset();
  cusum_.Reset();
  shift_.Reset();
  BeginRun();
  state_.phase = Phase::kLearning;
  state_.learned = 0;
  state_.score = 0.0;
  state_.since_alarm = 0;
  recent_next_ = 0;
  recent_count_ = 0;
}

void DriftMonitor::Resume() {
  if (state_.phase != Phase::kOpen) return;
  cusum_.Reset();
  shift_.Discard();
  BeginRun();
  state_.phase = Phase::kWatching;
  state_.since_alarm = 0;
  recent_next_ = 0;
  recent_count_ = 0;
}

std::optional<DriftExplanation> DriftMonitor::explanation() const {
  if (state_.phase != Phase::kOpen) return std::nullopt;
  DriftExplanation found;
  found.sample_index = state_.alarm_index;
  found.samples = state_.run_count;
  found.sigma = state_.run_scores / static_cast<double>(state_.run_count);

  // The change point is where a level of `rise` explains the scores best. For a
  // change before score t the log likelihood ratio is the sum from t on of rise (z - rise / 2), for
  // normal scores; summed from the end, one walk finds the best t.
  const double rise = std::max(found.sigma, 2.0 * options_.k);
  const auto nth = [this](std::size_t i) -> const Recent& {
    return recent_[(recent_next_ + recent_.size() - recent_count_ + i) % recent_.size()];
  };
  std::vector<double> likelihood(recent_count_);
  double sum = 0.0;
  for (std::size_t i = recent_count_; i-- > 0;) {
    sum += rise * (nth(i).score - 0.5 * rise);
    likelihood[i] = sum;
  }
  const auto best = std::ranges::max_element(likelihood);
  const auto first =
      std::ranges::find_if(likelihood, [&](double at) { return at >= *best - kIntervalDrop; });
  auto last = best;
  for (auto at = best; at != likelihood.end(); ++at) {
    if (*at >= *best - kIntervalDrop) last = at;
  }
  const auto change = static_cast<std::size_t>(best - likelihood.begin());
  found.change_index = nth(change).index;
  found.change_first = nth(static_cast<std::size_t>(first - likelihood.begin())).index;
  found.change_last = nth(static_cast<std::size_t>(last - likelihood.begin())).index;

  // Gradual: a ramp from somewhere to the alarm explains the scores better than a step. With n
  // scores z from there, a step of their mean explains (sum z)^2 / 2n, a ramp (sum i z)^2 / (2 sum
  // i^2).
  double best_step = 0.0;
  double best_ramp = 0.0;
  double scores = 0.0;
  double weighted = 0.0;
  for (std::size_t i = recent_count_; i-- > 0;) {
    scores += nth(i).score;
    weighted += scores;  // One step further back, every weight is one more.
    const double n = static_cast<double>(recent_count_ - i);
    if (scores > 0.0) best_step = std::max(best_step, scores * scores / (2.0 * n));
    if (weighted > 0.0) {
      const double squares = n * (n + 1.0) * (2.0 * n + 1.0) / 6.0;
      best_ramp = std::max(best_ramp, weighted * weighted / (2.0 * squares));
    }
  }
  found.signals = {{Signal::kAnchorDistance, 1.0, found.sigma}};
  found.kind = best_ramp > best_step + kRampLead ? DriftKind::kGradual : DriftKind::kAbrupt;

  const double evidence =
      std::accumulate(state_.class_evidence.begin(), state_.class_evidence.end(), 0.0);
  for (std::size_t label = 0; label < state_.class_evidence.size(); ++label) {
    if (state_.class_evidence[label] <= 0.0) continue;
    found.classes.push_back(
        {static_cast<std::uint16_t>(label), state_.class_evidence[label] / evidence});
  }
  std::ranges::stable_sort(found.classes,
                           [](const auto& a, const auto& b) { return a.share > b.share; });
  found.channels = shift_.Moved();

  found.text =
      base::StrCat("Distances to the known examples rose ", OneDecimal(found.sigma), " sigma ",
                   found.sample_index - found.change_index, " ", options_.samples_noun, " ago");
  if (!found.classes.empty() && found.classes[0].share >= kMainShare) {
    const std::uint16_t label = found.classes[0].label;
    found.text += base::StrCat(
        ", most in class ", options_.labels.empty() ? base::StrCat(label) : options_.labels[label]);
  } else {
    found.text += base::StrCat(", spread over ", found.classes.size(), " classes");
  }
  if (!found.channels.empty() && !options_.channel_names.empty()) {
    const std::size_t told = std::min(found.channels.size(), kNamesTold);
    for (std::size_t i = 0; i < told; ++i) {
      const MovedChannel& channel = found.channels[i];
      found.text += base::StrCat(i == 0 ? "; " : ", ", options_.channel_names[channel.index],
                                 channel.shift_sigma < 0 ? " fell " : " rose ",
                                 OneDecimal(std::abs(channel.shift_sigma)), " sigma");
    }
  } else if (!found.channels.empty()) {
    std::vector<std::uint32_t> indices;
    for (const MovedChannel& channel : found.channels) indices.push_back(channel.index);
    found.text += base::StrCat("; ", DescribeChannels(std::move(indices)), " moved");
  }
  found.text += ".";
  return found;
}

base::Json DriftMonitor::SaveState() const {
  std::vector<std::uint64_t> indices;
  std::vector<double> scores;
  for (std::size_t i = 0; i < recent_count_; ++i) {
    const Recent& recent =
        recent_[(recent_next_ + recent_.size() - recent_count_ + i) % recent_.size()];
    indices.push_back(recent.index);
    scores.push_back(recent.score);
  }
  return Json::MakeObject({{"format", kFormat},
                           {"phase", Name(state_.phase)},
                           {"learned", state_.learned},
                           {"score", state_.score},
                           {"run_first", state_.run_first},
                           {"run_count", state_.run_count},
                           {"run_scores", state_.run_scores},
                           {"class_evidence", NumbersToJson(state_.class_evidence)},
                           {"alarm_index", state_.alarm_index},
                           {"since_alarm", state_.since_alarm},
                           {"recent_indices", NumbersToJson(indices)},
                           {"recent_scores", NumbersToJson(scores)},
                           {"cusum", cusum_.SaveState()},
                           {"rank", RankToJson(rank_.state())},
                           {"shift", ShiftToJson(shift_.state())}});
}

base::Status DriftMonitor::RestoreState(const base::Json& state) {
  JsonReader reader(state, "drift monitor state");
  if (reader.String("format") != kFormat) reader.Refuse("format", "is not one this version reads");
  State restored;
  const std::string phase = reader.String("phase");
  if (phase == "learning") {
    restored.phase = Phase::kLearning;
  } else if (phase == "watching") {
    restored.phase = Phase::kWatching;
  } else if (phase == "open") {
    restored.phase = Phase::kOpen;
  } else {
    reader.Refuse("phase", "must be learning, watching or open");
  }
  restored.learned = Count(reader, "learned");
  restored.score = reader.Double("score");
  restored.run_first = Count(reader, "run_first");
  restored.run_count = Count(reader, "run_count");
  restored.run_scores = reader.Double("run_scores");
  restored.class_evidence = Numbers<double>(reader, "class_evidence", options_.classes);
  restored.alarm_index = Count(reader, "alarm_index");
  restored.since_alarm = Count(reader, "since_alarm");
  const auto indices = Numbers<std::uint64_t>(reader, "recent_indices", kRecentScores);
  const auto scores = Numbers<double>(reader, "recent_scores", kRecentScores);
  if (restored.class_evidence.size() != options_.classes) {
    reader.Refuse("class_evidence", "must be one a class");
  }
  if (indices.size() != scores.size()) {
    reader.Refuse("recent_scores", "must be as many as recent_indices");
  }
  if (restored.phase == Phase::kOpen && (scores.empty() || restored.run_count == 0)) {
    reader.Refuse("recent_scores", "must not be empty while a drift is open");
  }
  if (restored.phase == Phase::kLearning && restored.learned >= options_.commission) {
    reader.Refuse("learned", "is more than this monitor learns from");
  }
  const ConformalRank::State rank_state = RankFromJson(reader.Object("rank"), options_);
  const ChannelShift::State shift_state = ShiftFromJson(reader.Object("shift"), options_);
  const JsonReader cusum_state = reader.Object("cusum");
  RETURN_IF_ERROR(reader.status());

  // Tried on copies, so that a state that is refused half-way leaves nothing behind.
  Cusum cusum = cusum_;
  RETURN_IF_ERROR(cusum.RestoreState(cusum_state.json()));
  ChannelShift shift = shift_;
  RETURN_IF_ERROR(shift.Restore(shift_state));
  RETURN_IF_ERROR(rank_.Restore(rank_state));
  cusum_ = cusum;
  shift_ = std::move(shift);
  state_ = std::move(restored);
  for (std::size_t i = 0; i < scores.size(); ++i) recent_[i] = {indices[i], scores[i]};
  recent_count_ = scores.size();
  recent_next_ = scores.size() % recent_.size();
  return {};
}

}  // namespace tinylcm::drift
