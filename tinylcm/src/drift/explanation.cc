#include "tinylcm/drift/explanation.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::drift {
namespace {

using base::StrCat;

// A change point whose log likelihood lies this far below the best may still be the one. Half the
// 95 % quantile of chi-squared with one degree of freedom is 1.92.
constexpr double kIntervalDrop = 2.0;
// Bins of the histogram of ranks that a change of any shape is measured with.
constexpr std::size_t kBins = 8;
// What a model must be better by for each number it takes from the data (Akaike 1974).
constexpr double kCostOfNumber = 1.0;
// How much better, in log likelihood, a ramp must explain the scores than a step.
constexpr double kRampLead = 2.0;
// A change that explains less than this beyond the old normal has no shape to speak of.
constexpr double kGainToSpeakOf = 3.0;
// A class or signal is said to carry the evidence from this share on.
constexpr double kMainShare = 0.5;
constexpr double kAlsoShare = 0.15;
constexpr std::size_t kNamesTold = 4;  // Of the channels, in the text.
// A rank beyond this is far: one in a hundred where nothing changed.
constexpr double kFarScore = 2.326;

std::string OneDecimal(double value) {
  char text[400];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed, 1);
  return {text, end.ptr};
}

// The samples of one signal (of one class, or of all), oldest first.
struct Strip {
  std::vector<std::size_t> at;  // In the history.
  std::vector<double> ranks;
  std::vector<double> scores;
  std::size_t size() const { return at.size(); }
};

constexpr int kAllClasses = -1;

Strip CutStrip(const History& history, Signal signal, int label) {
  Strip strip;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (label != kAllClasses && history.predicted(i) != label) continue;
    const auto rank = history.rank(i, signal);
    if (!rank) continue;
    strip.at.push_back(i);
    strip.ranks.push_back(*rank);
    strip.scores.push_back(*history.score(i, signal));
  }
  return strip;
}

// A change before sample `best` of a strip; any from `first` to `last` may be the one.
struct Change {
  std::size_t best = 0;
  std::size_t first = 0;
  std::size_t last = 0;
  double gain = -std::numeric_limits<double>::infinity();  // Log likelihood, less the cost.
  double raw_gain = 0.0;                                   // Before it.
};

// Where a change whose samples gain `gains` each begins best: one walk from the end.
Change WalkBack(std::span<const double> gains) {
  Change found;
  std::vector<double> likelihood(gains.size());
  double sum = 0.0;
  for (std::size_t i = gains.size(); i-- > 0;) {
    sum += gains[i];
    likelihood[i] = sum;
    if (sum > found.gain) {
      found.gain = sum;
      found.best = i;
    }
  }
  found.raw_gain = found.gain;
  found.first = found.last = found.best;
  for (std::size_t i = 0; i < likelihood.size(); ++i) {
    if (likelihood[i] < found.gain - kIntervalDrop) continue;
    found.first = std::min(found.first, i);
    found.last = std::max(found.last, i);
  }
  return found;
}

// A new level. Its size is the mean of what followed, where it began follows from its size; from
// several beginnings, the best. Each sample gains m z - m^2 / 2.
Change ShiftOf(const Strip& strip) {
  Change found;
  std::vector<double> gains(strip.size());
  for (std::size_t length = 4; length < 2 * strip.size(); length *= 2) {
    std::size_t begin = strip.size() - std::min(length, strip.size());
    for (int round = 0; round < 6; ++round) {
      double mean = 0.0;
      for (std::size_t i = begin; i < strip.size(); ++i) mean += strip.scores[i];
      mean /= static_cast<double>(strip.size() - begin);
      for (std::size_t i = 0; i < strip.size(); ++i) {
        gains[i] = mean * (strip.scores[i] - 0.5 * mean);
      }
      Change change = WalkBack(gains);
      change.gain -= kCostOfNumber;
      const bool is_settled = change.best == begin;
      begin = change.best;
      if (change.gain > found.gain) found = change;
      if (is_settled) break;
    }
  }
  return found;
}

// A new normal of any shape, as a histogram of what followed, half a sample in each bin beforehand.
// Each sample gains the log of its bin's density.
Change ShapeOf(const Strip& strip) {
  Change found;
  std::vector<double> gains(strip.size());
  for (std::size_t length = 8; length < 2 * strip.size(); length *= 2) {
    std::size_t begin = strip.size() - std::min(length, strip.size());
    for (int round = 0; round < 6; ++round) {
      std::array<double, kBins> counts;
      counts.fill(0.5);
      const auto bin = [](double rank) {
        return std::min(kBins - 1, static_cast<std::size_t>(rank * static_cast<double>(kBins)));
      };
      for (std::size_t i = begin; i < strip.size(); ++i) counts[bin(strip.ranks[i])] += 1.0;
      const double all = static_cast<double>(strip.size() - begin) + 0.5 * kBins;
      for (double& count : counts) count = std::log(count / all * static_cast<double>(kBins));
      for (std::size_t i = 0; i < strip.size(); ++i) gains[i] = counts[bin(strip.ranks[i])];
      Change change = WalkBack(gains);
      change.gain -= kCostOfNumber * static_cast<double>(kBins - 1);
      const bool is_settled = change.best == begin;
      begin = change.best;
      if (change.gain > found.gain) found = change;
      if (is_settled) break;
    }
  }
  return found;
}

Change ChangeOf(const Strip& strip, Signal signal) {
  if (strip.size() == 0) return {};
  const Change shape = ShapeOf(strip);
  if (IsCategory(signal)) return shape;
  const Change shift = ShiftOf(strip);
  return shift.gain >= shape.gain ? shift : shape;
}

// Mean and the like of one signal since the change.
struct Since {
  std::size_t samples = 0;
  double score = 0.0;   // Mean.
  double effect = 0.0;  // Mean.
  // Log likelihood of the new mean, less what chance gives; 0 where there is none.
  double gain() const {
    return std::max(0.0, static_cast<double>(samples) * score * score / 2.0 - 1.0);
  }
};

Since Look(const History& history, Signal signal, int label, std::size_t begin) {
  Since since;
  std::size_t effects = 0;
  for (std::size_t i = begin; i < history.size(); ++i) {
    if (label != kAllClasses && history.predicted(i) != label) continue;
    if (const auto score = history.score(i, signal)) {
      since.samples += 1;
      since.score += *score;
    }
    if (const auto effect = history.effect(i, signal)) {
      effects += 1;
      since.effect += *effect;
    }
  }
  if (since.samples > 0) since.score /= static_cast<double>(since.samples);
  if (effects > 0) since.effect /= static_cast<double>(effects);
  return since;
}

// A ramp from somewhere to the end explains the scores better than a step. With n scores z from
// there, a step of their mean explains (sum z)^2 / 2n, a ramp (sum i z)^2 / (2 sum i^2).
bool IsRamp(const Strip& strip) {
  double best_step = 0.0;
  double best_ramp = 0.0;
  double scores = 0.0;
  double weighted = 0.0;
  for (std::size_t i = strip.size(); i-- > 0;) {
    scores += strip.scores[i];
    weighted += scores;  // One step further back, every weight is one more.
    const double n = static_cast<double>(strip.size() - i);
    best_step = std::max(best_step, scores * scores / (2.0 * n));
    const double squares = n * (n + 1.0) * (2.0 * n + 1.0) / 6.0;
    best_ramp = std::max(best_ramp, weighted * weighted / (2.0 * squares));
  }
  return best_ramp > best_step + kRampLead;
}

// A part of the samples lies far out, and the rest is as usual.
struct Part {
  double far = 0.0;    // Share of the samples.
  double rest = 0.0;   // Mean score of the others.
  double input = 0.0;  // The largest mean score, either way, that an input signal has in it.
  std::size_t samples = 0;
};

constexpr Signal kInputSignals[] = {Signal::kBrightness, Signal::kSharpness, Signal::kSaturation,
                                    Signal::kStuck, Signal::kRail};
constexpr Signal kPlaceSignals[] = {Signal::kAnchorDistance, Signal::kCentroidDistance};

Part LookForPart(const History& history, Signal signal, int label, std::size_t begin) {
  Part part;
  std::size_t far = 0;
  std::array<double, kSignals> sums{};
  for (std::size_t i = begin; i < history.size(); ++i) {
    if (label != kAllClasses && history.predicted(i) != label) continue;
    const auto score = history.score(i, signal);
    if (!score) continue;
    part.samples += 1;
    if (*score <= kFarScore) {
      part.rest += *score;
      continue;
    }
    far += 1;
    for (const Signal input : kInputSignals) {
      sums[At(input)] += history.score(i, input).value_or(0.0);
    }
  }
  if (part.samples == 0) return part;
  part.far = static_cast<double>(far) / static_cast<double>(part.samples);
  if (far < part.samples) part.rest /= static_cast<double>(part.samples - far);
  if (far > 0) {
    for (const double sum : sums) {
      part.input = std::max(part.input, std::abs(sum / static_cast<double>(far)));
    }
  }
  return part;
}

struct Words {
  const char* subject;
  const char* rose;
  const char* fell;
};

Words WordsOf(Signal signal) {
  switch (signal) {
    case Signal::kAnchorDistance:
      return {"distances to the known examples", "rose", "fell"};
    case Signal::kMargin:
      return {"the votes' margin", "rose", "fell"};
    case Signal::kEntropy:
      return {"the votes' disagreement", "rose", "fell"};
    case Signal::kCentroidDistance:
      return {"distances to the class centres", "rose", "fell"};
    case Signal::kQuantTree:
      return {"the places of the features within their class", "changed", "changed"};
    case Signal::kClassMix:
      return {"the mix of classes", "changed", "changed"};
    case Signal::kBrightness:
      return {"brightness", "rose", "fell"};
    case Signal::kSharpness:
      return {"sharpness", "rose", "fell"};
    case Signal::kSaturation:
      return {"colour saturation", "rose", "fell"};
    case Signal::kStuck:
      return {"the share of values that stand still", "rose", "fell"};
    case Signal::kRail:
      return {"the share of values at an end of their range", "rose", "fell"};
  }
  return {"a signal", "rose", "fell"};
}

std::string Moved(Signal signal, double sigma) {
  const Words words = WordsOf(signal);
  return StrCat(words.subject, " ", sigma < 0 ? words.fell : words.rose, " ",
                OneDecimal(std::abs(sigma)), " sigma");
}

std::string ClassName(std::uint16_t label, std::span<const std::string> labels) {
  return label < labels.size() ? labels[label] : StrCat(label);
}

// What was seen, in the order in which a person asks: what, how much, since when, where, of what
// kind.
std::string Tell(const DriftExplanation& found, const ExplanationInputs& inputs) {
  std::string text;
  if (found.signals.empty()) {
    text = "Something changed";
  } else {
    const auto& lead = found.signals.front();
    text = Moved(lead.signal, lead.shift_sigma.value_or(found.sigma));
    text[0] = static_cast<char>(text[0] >= 'a' && text[0] <= 'z' ? text[0] - 'a' + 'A' : text[0]);
  }
  const std::uint64_t ago = found.sample_index - std::min(found.sample_index, found.change_index);
  const std::uint64_t ago_first =
      found.sample_index - std::min(found.sample_index, found.change_first);
  const std::uint64_t ago_last =
      found.sample_index - std::min(found.sample_index, found.change_last);
  if (found.change_is_older) {
    text += StrCat(", beginning ", ago_first, " ", inputs.samples_noun, " ago or earlier");
  } else {
    text += StrCat(" ", ago, " ", inputs.samples_noun, " ago");
    if (ago_first != ago_last) text += StrCat(" (", ago_last, " to ", ago_first, ")");
  }
  if (!found.classes.empty() && found.classes[0].share >= kMainShare) {
    text += StrCat(", most in class ", ClassName(found.classes[0].label, inputs.labels));
  } else if (found.classes.size() > 1) {
    text += StrCat(", spread over ", found.classes.size(), " classes");
  }
  for (std::size_t i = 1; i < found.signals.size(); ++i) {
    const auto& also = found.signals[i];
    if (also.share < kAlsoShare || !also.shift_sigma) break;
    text += "; " + Moved(also.signal, *also.shift_sigma);
  }
  if (!found.stuck.empty()) {
    text += StrCat("; ", DescribeChannels(found.stuck),
                   found.stuck.size() == 1 ? " stands still" : " stand still");
  }
  if (!found.channels.empty() && !inputs.channel_names.empty()) {
    const std::size_t told = std::min(found.channels.size(), kNamesTold);
    for (std::size_t i = 0; i < told; ++i) {
      const MovedChannel& channel = found.channels[i];
      text +=
          StrCat(i == 0 ? "; " : ", ",
                 channel.index < inputs.channel_names.size() ? inputs.channel_names[channel.index]
                                                             : StrCat("channel ", channel.index),
                 channel.shift_sigma < 0 ? " fell " : " rose ",
                 OneDecimal(std::abs(channel.shift_sigma)), " sigma");
    }
  } else if (!found.channels.empty()) {
    std::vector<std::uint32_t> indices;
    for (const MovedChannel& channel : found.channels) indices.push_back(channel.index);
    text += StrCat("; ", DescribeChannels(std::move(indices)), " moved");
  }
  switch (found.kind) {
    case DriftKind::kGradual:
      text += "; it came by and by";
      break;
    case DriftKind::kClassMix:
      text += "; within a class all is as usual";
      break;
    case DriftKind::kUnseenClass:
      text +=
          "; a part lies far from all examples and the rest is as usual: perhaps something "
          "never seen";
      break;
    case DriftKind::kSensorFault:
      text += "; it looks like a fault of the sensor";
      break;
    case DriftKind::kNoise:
      text += "; values scatter more about the same means";
      break;
    case DriftKind::kAbrupt:
    case DriftKind::kUnknown:
      break;
  }
  return text + ".";
}

DriftKind KindOf(const DriftExplanation& found, const ExplanationInputs& inputs, Signal lead,
                 int scope, const Strip& strip, const Change& change, std::size_t begin) {
  const History& history = *inputs.history;
  if (!inputs.channels.stuck.empty()) return DriftKind::kSensorFault;
  if (lead == Signal::kStuck || lead == Signal::kRail) {
    if (Look(history, lead, scope, begin).score > 0.0) return DriftKind::kSensorFault;
  }
  if (change.raw_gain < kGainToSpeakOf) return DriftKind::kUnknown;

  const Since brightness = Look(history, Signal::kBrightness, scope, begin);
  const Since sharpness = Look(history, Signal::kSharpness, scope, begin);
  const bool is_grainy = sharpness.score > 1.0 && std::abs(brightness.score) < 0.5;
  const bool is_scattered =
      inputs.channels.spread_ratio.value_or(1.0) > 1.25 && inputs.channels.moved.size() <= 1;
  if (is_grainy || is_scattered) return DriftKind::kNoise;

  if (lead == Signal::kClassMix) {
    const bool is_usual_within = std::ranges::all_of(kPlaceSignals, [&](Signal signal) {
      return std::abs(Look(history, signal, kAllClasses, begin).score) < 0.5;
    });
    if (is_usual_within) return DriftKind::kClassMix;
  }

  // One class that drifted as a whole is no unseen one.
  const bool is_one_class = !found.classes.empty() && found.classes[0].share >= kMainShare;
  for (const Signal signal : kPlaceSignals) {
    const Part part =
        LookForPart(history, signal, is_one_class ? found.classes[0].label : kAllClasses, begin);
    if (part.samples >= 12 && part.far >= 0.08 && part.far <= 0.8 && std::abs(part.rest) < 0.5 &&
        part.input < 1.0) {
      return DriftKind::kUnseenClass;
    }
  }
  return !IsCategory(lead) && IsRamp(strip) ? DriftKind::kGradual : DriftKind::kAbrupt;
}

}  // namespace

const char* Name(DriftKind kind) {
  switch (kind) {
    case DriftKind::kAbrupt:
      return "abrupt";
    case DriftKind::kGradual:
      return "gradual";
    case DriftKind::kClassMix:
      return "class_mix";
    case DriftKind::kUnseenClass:
      return "unseen_class";
    case DriftKind::kSensorFault:
      return "sensor_fault";
    case DriftKind::kNoise:
      return "noise";
    case DriftKind::kUnknown:
      return "unknown";
  }
  return "unknown";
}

DriftExplanation Explain(const ExplanationInputs& inputs) {
  CHECK(inputs.history != nullptr);
  const History& history = *inputs.history;
  DriftExplanation found;
  found.sample_index = inputs.alarm_index;
  found.change_index = found.change_first = found.change_last = inputs.alarm_index;
  found.log10_e = inputs.log10_e;
  found.accuracy_drop = inputs.accuracy_drop;
  found.accuracy_drop_interval = inputs.accuracy_drop_interval;
  found.channels = inputs.channels.moved;
  found.stuck = inputs.channels.stuck;

  // The signals, by what the evidence says or, without it, by how well a change explains each.
  std::array<double, kSignals> shares{};
  double shares_sum = 0.0;
  for (std::size_t s = 0; s < kSignals; ++s) {
    const double share = inputs.signal_shares[s];
    if (share > 0.0 && std::isfinite(share)) shares_sum += shares[s] = share;
  }
  if (shares_sum <= 0.0) {
    for (std::size_t s = 0; s < kSignals; ++s) {
      const auto signal = static_cast<Signal>(s);
      if ((history.signals() & Bit(signal)) == 0) continue;
      const Change change = ChangeOf(CutStrip(history, signal, kAllClasses), signal);
      shares[s] = std::max(0.0, change.gain);
      shares_sum += shares[s];
    }
  }
  for (std::size_t s = 0; s < kSignals && shares_sum > 0.0; ++s) {
    if (shares[s] > 0.0) {
      found.signals.push_back({static_cast<Signal>(s), shares[s] / shares_sum});
    }
  }
  std::ranges::stable_sort(found.signals,
                           [](const auto& a, const auto& b) { return a.share > b.share; });
  if (found.signals.empty()) {
    found.text = Tell(found, inputs);
    return found;
  }
  const Signal lead = found.signals.front().signal;

  // When, and whether in all classes or in one: where a change is the better explanation, the
  // choice of the class paid for. The class mix has no class of its own.
  int scope = kAllClasses;
  Strip strip = CutStrip(history, lead, kAllClasses);
  Change change = ChangeOf(strip, lead);
  if (lead != Signal::kClassMix) {
    const double choice = std::log(static_cast<double>(history.classes()));
    for (std::uint32_t label = 0; label < history.classes(); ++label) {
      Strip of_class = CutStrip(history, lead, static_cast<int>(label));
      if (of_class.size() < 3) continue;
      Change in_class = ChangeOf(of_class, lead);
      in_class.gain -= choice;
      if (in_class.gain <= change.gain) continue;
      scope = static_cast<int>(label);
      strip = std::move(of_class);
      change = in_class;
    }
  }
  std::size_t begin = history.size();
  if (strip.size() > 0) {
    // The change lies after the last sample that had not changed and not after the first that had;
    // of a single class these may be far apart, and the middle is the best guess.
    const auto after_the_one_before = [&](std::size_t i) {
      return i == 0 ? history.index(0) : history.index(strip.at[i - 1]) + 1;
    };
    begin = strip.at[change.best];
    const std::uint64_t low = after_the_one_before(change.best);
    found.change_index = low + (history.index(begin) - low) / 2;
    found.change_first = after_the_one_before(change.first);
    found.change_last = history.index(strip.at[change.last]);
    found.change_is_older = change.first == 0;
  }

  for (auto& share : found.signals) {
    const Since since = Look(history, share.signal, scope, begin);
    if (!IsCategory(share.signal) && since.samples > 0) share.shift_sigma = since.effect;
    if (share.signal == lead) found.samples = since.samples;
  }
  // A normal number shifted by m gains m^2 / 2 a sample.
  found.sigma = found.signals.front().shift_sigma
                    ? std::abs(*found.signals.front().shift_sigma)
                    : std::sqrt(2.0 * std::max(0.0, change.raw_gain) /
                                static_cast<double>(std::max<std::uint64_t>(found.samples, 1)));

  // The classes, by how much the leading signals say of each since the change.
  std::vector<double> class_shares(history.classes(), 0.0);
  for (const auto& share : found.signals) {
    if (share.signal == Signal::kClassMix) continue;
    for (std::uint32_t label = 0; label < history.classes(); ++label) {
      class_shares[label] +=
          share.share * Look(history, share.signal, static_cast<int>(label), begin).gain();
    }
  }
  double class_sum = std::accumulate(class_shares.begin(), class_shares.end(), 0.0);
  if (class_sum <= 0.0 && inputs.class_shares.size() == class_shares.size()) {
    std::ranges::copy(inputs.class_shares, class_shares.begin());
    class_sum = std::accumulate(class_shares.begin(), class_shares.end(), 0.0);
  }
  for (std::size_t label = 0; label < class_shares.size() && class_sum > 0.0; ++label) {
    if (class_shares[label] <= 0.0) continue;
    found.classes.push_back({static_cast<std::uint16_t>(label), class_shares[label] / class_sum});
  }
  std::ranges::stable_sort(found.classes,
                           [](const auto& a, const auto& b) { return a.share > b.share; });

  found.kind = KindOf(found, inputs, lead, scope, strip, change, begin);
  found.text = Tell(found, inputs);
  return found;
}

}  // namespace tinylcm::drift
