#include "tinylcm/drift/explanation.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/drift/evidence.h"

namespace tinylcm::drift {
namespace {

using base::StrCat;

// The change lies within the interval with this probability.
constexpr double kBelief = 0.95;
// How far a new level lies from the old one, before anything is seen.
constexpr double kLevelSd = 1.5;
// How likely a change is of each kind, before anything is seen: most come at once.
constexpr double kStepBelief = 0.6;
constexpr double kShapeBelief = 0.3;
constexpr double kRampBelief = 0.1;
// Samples that a change may take to come.
constexpr std::array<std::size_t, 5> kRampLengths = {16, 32, 64, 128, 256};
// How much better, in log likelihood, a ramp must explain the scores than a step, and a part of the
// samples than a shift of all.
constexpr double kRampLead = 2.0;
constexpr double kShapeLead = 1.0;
// A change that explains the history hardly better than none has no shape to speak of: whatever
// raised the alarm, it is not seen here. Of a category little is seen at first.
constexpr double kGainToSpeakOf = 1.0;
constexpr double kGainOfACategory = -2.0;
// Repeated values speak of a fault from this on: one sample in e^8 by chance.
constexpr double kGainOfAFault = 8.0;
// Within the classes all is as usual if no mean score since is larger, or is so by chance.
constexpr double kUsualWithin = 0.3;
// The figure of a picture that noise makes large (feature/picture_figures.h).
constexpr std::string_view kStepsOfAPicture = "sharpness";
// A class or signal is said to carry the evidence from this share on.
constexpr double kMainShare = 0.5;
constexpr double kAlsoShare = 0.15;
// What a signal says of the classes counts for so much where all its evidence is another's.
constexpr double kShareOfAny = 0.01;
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

// What a strip says of a change at an unknown time: how much better a change explains it than none
// (log Bayes factors: what the data make of a priori equal beliefs), and where it lies.
struct Change {
  double gain = -std::numeric_limits<double>::infinity();  // Of a change of any kind.
  double step = 0.0;                                       // Of a new level,
  double ramp = 0.0;                                       // of one reached by and by,
  double shape = 0.0;                                      // of another distribution.
  std::size_t begin = 0;  // In the strip: the sample that the change most likely came before.
  // Of the history's indices, the last unchanged one excluded.
  std::uint64_t middle = 0, low = 0, high = 0;
  bool is_older = false;
};

double LogMean(std::span<const double> logs) {
  const double top = *std::ranges::max_element(logs);
  double sum = 0.0;
  for (const double log : logs) sum += std::exp(log - top);
  return top + std::log(sum / static_cast<double>(logs.size()));
}

// For each sample, the log Bayes factor of a level that is reached within `length` samples from it
// on (1: at once) and is itself a normal number of sd kLevelSd, against none. With weights w
// (climbing to 1), A = sum w z and B = sum w^2 it is A^2 v / 2 (1 + B v) - log(1 + B v) / 2,
// v the level's variance.
std::vector<double> LevelFrom(std::span<const double> scores, std::size_t length) {
  constexpr double kVariance = kLevelSd * kLevelSd;
  const double step = 1.0 / static_cast<double>(length);
  std::vector<double> logs(scores.size());
  double weighted = 0.0;
  double squares = 0.0;
  double climbing = 0.0;  // Sum of the next `length` scores.
  for (std::size_t i = scores.size(); i-- > 0;) {
    climbing += scores[i];
    if (i + length < scores.size()) climbing -= scores[i + length];
    // One sample further back, each weight that is not 1 yet is one step more.
    weighted += step * climbing;
    const double last = std::min(1.0, step * static_cast<double>(scores.size() - i));
    squares += last * last;
    const double scale = 1.0 + squares * kVariance;
    logs[i] = 0.5 * weighted * weighted * kVariance / scale - 0.5 * std::log(scale);
  }
  return logs;
}

// The same for another distribution, as a histogram of the ranks that is learned from the end
// backwards (Dirichlet's: the order does not matter).
struct Bins {
  std::vector<double> edges;  // Upper, ascending; the last is 1.
  std::size_t Of(double rank) const {
    const auto edge = std::ranges::upper_bound(edges, rank);
    return std::min(static_cast<std::size_t>(edge - edges.begin()), edges.size() - 1);
  }
  double Usual(std::size_t bin) const { return edges[bin] - (bin == 0 ? 0.0 : edges[bin - 1]); }
};

// Numbers: fine at both ends, where a part of the samples goes that no longer belongs. Categories
// lie anywhere.
const Bins& BinsOf(Signal signal) {
  static const Bins numbers{{0.005, 0.02, 0.08, 0.25, 0.5, 0.75, 0.92, 0.98, 0.995, 1.0}};
  static const Bins categories = [] {
    Bins bins;
    for (int i = 1; i <= 12; ++i) bins.edges.push_back(i / 12.0);
    return bins;
  }();
  return IsCategory(signal) ? categories : numbers;
}

// Before anything is seen, a bin weighs a quarter of a sample and its share of two.
double BinPrior(const Bins& bins, std::size_t bin) { return 0.25 + 2.0 * bins.Usual(bin); }

std::vector<double> ShapeFrom(std::span<const double> ranks, const Bins& bins) {
  std::vector<double> counts(bins.edges.size());
  for (std::size_t bin = 0; bin < counts.size(); ++bin) counts[bin] = BinPrior(bins, bin);
  double all = std::accumulate(counts.begin(), counts.end(), 0.0);
  std::vector<double> logs(ranks.size());
  double sum = 0.0;
  for (std::size_t i = ranks.size(); i-- > 0;) {
    const std::size_t bin = bins.Of(ranks[i]);
    sum += std::log(counts[bin] / all / bins.Usual(bin));
    counts[bin] += 1.0;
    all += 1.0;
    logs[i] = sum;
  }
  return logs;
}

// A normal number shifted by m tells m^2 / 2 a sample (Kullback and Leibler's divergence): the m
// that tells as much as ranks like these do.
double ShiftAsEasyToSee(std::span<const double> ranks, const Bins& bins) {
  std::vector<double> counts(bins.edges.size());
  for (std::size_t bin = 0; bin < counts.size(); ++bin) counts[bin] = BinPrior(bins, bin);
  for (const double rank : ranks) counts[bins.Of(rank)] += 1.0;
  const double all = std::accumulate(counts.begin(), counts.end(), 0.0);
  double told = 0.0;
  for (std::size_t bin = 0; bin < counts.size(); ++bin) {
    const double share = counts[bin] / all;
    told += share * std::log(share / bins.Usual(bin));
  }
  return std::sqrt(2.0 * std::max(0.0, told));
}

Change ChangeOf(const History& history, const Strip& strip, Signal signal) {
  Change found;
  if (strip.size() == 0) return found;
  // A change is as likely between any two indices, so the longer a class was not seen the likelier
  // it came meanwhile.
  const auto low_of = [&](std::size_t i) {
    return i == 0 ? history.index(0) : history.index(strip.at[i - 1]) + 1;
  };
  const auto high_of = [&](std::size_t i) { return history.index(strip.at[i]); };
  const double span = static_cast<double>(high_of(strip.size() - 1) - history.index(0) + 1);
  std::vector<double> prior(strip.size());
  for (std::size_t i = 0; i < strip.size(); ++i) {
    prior[i] = std::log(static_cast<double>(high_of(i) - low_of(i) + 1) / span);
  }
  const auto total = [&](std::span<const double> logs) {
    std::vector<double> sums(logs.size());
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = logs[i] + prior[i];
    return LogMean(sums) + std::log(static_cast<double>(sums.size()));
  };

  std::vector<std::vector<double>> models = {ShapeFrom(strip.ranks, BinsOf(signal))};
  found.shape = total(models[0]);
  found.gain = found.shape;
  if (!IsCategory(signal)) {
    models.push_back(LevelFrom(strip.scores, 1));
    found.step = total(models[1]);
    std::vector<double> ramps;
    for (const std::size_t length : kRampLengths) {
      models.push_back(LevelFrom(strip.scores, length));
      ramps.push_back(total(models.back()));
    }
    found.ramp = LogMean(ramps);
    found.gain = LogMean(std::array{found.shape, found.step, found.ramp});
  }
  // Where it lies: over all kinds, each as far as it is believed in.
  std::vector<double> weights(strip.size());
  std::vector<double> column(models.size());
  for (std::size_t i = 0; i < strip.size(); ++i) {
    for (std::size_t m = 0; m < models.size(); ++m) {
      column[m] = models[m][i] +
                  std::log(m == 0   ? kShapeBelief
                           : m == 1 ? kStepBelief
                                    : kRampBelief / static_cast<double>(kRampLengths.size()));
    }
    weights[i] = LogMean(column) + prior[i];
  }
  const double top = *std::ranges::max_element(weights);
  double sum = 0.0;
  for (double& weight : weights) sum += weight = std::exp(weight - top);
  const auto at = [&](double part, std::size_t* sample) {
    double left = part * sum;
    std::size_t i = 0;
    while (i + 1 < weights.size() && left > weights[i]) left -= weights[i++];
    if (sample != nullptr) *sample = i;
    const double width = static_cast<double>(high_of(i) - low_of(i));
    return low_of(i) +
           static_cast<std::uint64_t>(std::lround(width * std::clamp(left / weights[i], 0.0, 1.0)));
  };
  std::size_t first = 0;
  found.low = at((1.0 - kBelief) / 2.0, &first);
  found.high = at((1.0 + kBelief) / 2.0, nullptr);
  found.middle = at(0.5, &found.begin);
  found.is_older = first == 0;
  return found;
}

// In all classes together or in one, whichever a change explains better; the choice of the class is
// paid for. Light and the mix of classes are no single class's.
struct Best {
  int scope = kAllClasses;
  Strip strip;
  Change change;
};

Best BestChange(const History& history, Signal signal) {
  Best best;
  best.strip = CutStrip(history, signal, kAllClasses);
  best.change = ChangeOf(history, best.strip, signal);
  if (!IsWatchedPerClass(signal)) return best;
  const double choice = std::log(static_cast<double>(history.classes()));
  for (std::uint32_t label = 0; label < history.classes(); ++label) {
    Strip of_class = CutStrip(history, signal, static_cast<int>(label));
    if (of_class.size() < 3) continue;
    Change in_class = ChangeOf(history, of_class, signal);
    in_class.gain -= choice;
    if (in_class.gain <= best.change.gain) continue;
    best = {static_cast<int>(label), std::move(of_class), in_class};
  }
  return best;
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

// A part of the samples lies far out, and the rest is as usual.
struct Part {
  double far = 0.0;    // Share of the samples that lies above ...
  double near = 0.0;   // ... and below.
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
    part.near += *score < -kFarScore ? 1.0 : 0.0;
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
  part.near /= static_cast<double>(part.samples);
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

Words WordsOf(Signal signal, bool is_picture) {
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
      return {"where the features of a class lie", "changed by", "changed by"};
    case Signal::kClassMix:
      return {"the mix of classes", "changed by", "changed by"};
    case Signal::kBrightness:
      return {"brightness", "rose", "fell"};
    case Signal::kSharpness:
      return {"the sharpness of edges", "rose", "fell"};
    case Signal::kSaturation:
      return {"the share of pixels at an end of their range", "rose", "fell"};
    case Signal::kStuck:
      return {is_picture ? "the share of frames that repeat the one before"
                         : "the share of values that repeat the ones before",
              "rose", "fell"};
    case Signal::kRail:
      return {is_picture ? "the darkest pixel against the mean"
                         : "the share of values at or beyond the ends of their range",
              "rose", "fell"};
  }
  return {"a signal", "rose", "fell"};
}

std::string Moved(Signal signal, double sigma, bool is_picture) {
  const Words words = WordsOf(signal, is_picture);
  return StrCat(words.subject, " ", sigma < 0 ? words.fell : words.rose, " ",
                OneDecimal(std::abs(sigma)), " sigma");
}

std::string ClassName(std::uint16_t label, std::span<const std::string> labels) {
  return label < labels.size() ? labels[label] : StrCat(label);
}

// What was seen, in the order in which a person asks: what, how much, since when, where, of what
// kind.
std::string Tell(const DriftExplanation& found, const ExplanationInputs& inputs) {
  const bool is_picture = (inputs.history->signals() & Bit(Signal::kBrightness)) != 0;
  std::string text;
  if (found.signals.empty()) {
    text = "Something changed";
  } else {
    const auto& lead = found.signals.front();
    text = Moved(lead.signal, lead.shift_sigma.value_or(found.sigma), is_picture);
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
    text += "; " + Moved(also.signal, *also.shift_sigma, is_picture);
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

// Noise: values scatter more about the same means. Of a picture, its steps from pixel to pixel grow
// and its light stays.
bool IsNoise(const ExplanationInputs& inputs, bool is_picture, const Since& brightness) {
  const ChannelFindings& channels = inputs.channels;
  if (is_picture) {
    return std::abs(brightness.score) < 1.0 &&
           std::ranges::any_of(
               channels.moved,
               [&](const MovedChannel& moved) {
                 return moved.index < inputs.channel_names.size() &&
                        inputs.channel_names[moved.index] == kStepsOfAPicture &&
                        moved.shift_sigma > 1.0;
               });
  }
  return channels.scattered > 0 && 10 * channels.scattered >= channels.looked_at &&
         4 * channels.moved.size() <= channels.scattered;
}

DriftKind KindOf(const DriftExplanation& found, const ExplanationInputs& inputs, Signal lead,
                 int scope, const Change& change, std::size_t begin) {
  const History& history = *inputs.history;
  const bool is_picture = (history.signals() & Bit(Signal::kBrightness)) != 0;
  if (!inputs.channels.stuck.empty()) return DriftKind::kSensorFault;
  const Since stuck = Look(history, Signal::kStuck, kAllClasses, begin);
  if (stuck.score > 1.0 && stuck.gain() > kGainOfAFault) return DriftKind::kSensorFault;
  if (IsNoise(inputs, is_picture, Look(history, Signal::kBrightness, scope, begin))) {
    return DriftKind::kNoise;
  }
  if (change.gain < (IsCategory(lead) ? kGainOfACategory : kGainToSpeakOf))
    return DriftKind::kUnknown;

  if (lead == Signal::kClassMix) {
    const bool is_usual_within = std::ranges::all_of(kPlaceSignals, [&](Signal signal) {
      const Since since = Look(history, signal, kAllClasses, begin);
      return std::abs(since.score) < kUsualWithin ||
             since.score * since.score * static_cast<double>(since.samples) < 4.0;
    });
    if (is_usual_within) return DriftKind::kClassMix;
  }

  // One class that drifted as a whole is no unseen one; neither is a shift of all.
  const bool is_one_class = !found.classes.empty() && found.classes[0].share >= kMainShare;
  const bool is_part =
      IsCategory(lead) || change.shape > std::max(change.step, change.ramp) + kShapeLead;
  for (const Signal signal : kPlaceSignals) {
    if (!is_part) break;
    const Part part =
        LookForPart(history, signal, is_one_class ? found.classes[0].label : kAllClasses, begin);
    if (part.samples >= 12 && part.far >= 0.06 && part.far <= 0.8 && part.near < 0.25 * part.far &&
        std::abs(part.rest) < 0.5 && part.input < 1.0) {
      return DriftKind::kUnseenClass;
    }
  }
  return change.ramp > change.step + kRampLead && change.ramp > change.shape ? DriftKind::kGradual
                                                                             : DriftKind::kAbrupt;
}

// The history holds nothing of it: what it compares with has changed along.
void TellSlowChange(const SlowChange& slow, const ExplanationInputs& inputs,
                    DriftExplanation& found) {
  const bool is_picture = (inputs.history->signals() & Bit(Signal::kBrightness)) != 0;
  found.kind = DriftKind::kGradual;
  found.sigma = std::abs(slow.shift_sigma);
  found.signals = {{slow.signal, 1.0, slow.shift_sigma}};
  found.change_index = found.change_first = std::min(slow.begin_index, inputs.alarm_index);
  found.change_is_older = true;
  found.samples = inputs.alarm_index - found.change_index + 1;
  found.text = StrCat("Compared with the first days here, ",
                      Moved(slow.signal, slow.shift_sigma, is_picture),
                      ", too slowly to be seen from one day to the next; it has added up for ",
                      found.samples, " ", inputs.samples_noun);
  if (!found.channels.empty() && inputs.channel_names.empty()) {
    std::vector<std::uint32_t> indices;
    for (const MovedChannel& channel : found.channels) indices.push_back(channel.index);
    found.text += StrCat("; ", DescribeChannels(std::move(indices)), " moved");
  }
  found.text += ".";
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
  found.channels = inputs.channels.moved;
  found.stuck = inputs.channels.stuck;

  if (inputs.slow) {
    TellSlowChange(*inputs.slow, inputs, found);
    return found;
  }

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
      shares[s] = std::max(0.0, BestChange(history, signal).change.gain);
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

  // When, and whether in all classes or in one.
  auto [scope, strip, change] = BestChange(history, lead);
  const std::size_t begin = strip.size() > 0 ? strip.at[change.begin] : history.size();
  if (strip.size() > 0) {
    found.change_index = change.middle;
    found.change_first = change.low;
    found.change_last = change.high;
    found.change_is_older = change.is_older;
  }

  for (auto& share : found.signals) {
    const Since since = Look(history, share.signal, scope, begin);
    if (!IsCategory(share.signal) && since.samples > 0) share.shift_sigma = since.effect;
    if (share.signal == lead) found.samples = since.samples;
  }
  found.sigma = found.signals.front().shift_sigma
                    ? std::abs(*found.signals.front().shift_sigma)
                    : ShiftAsEasyToSee(std::span(strip.ranks).subspan(change.begin), BinsOf(lead));

  // The classes, by how much the signals that know of classes say of each since the change; those
  // that carry the evidence most.
  std::vector<double> class_shares(history.classes(), 0.0);
  for (const auto& share : found.signals) {
    if (!IsWatchedPerClass(share.signal)) continue;
    for (std::uint32_t label = 0; label < history.classes(); ++label) {
      class_shares[label] += (kShareOfAny + share.share) *
                             Look(history, share.signal, static_cast<int>(label), begin).gain();
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

  found.kind = KindOf(found, inputs, lead, scope, change, begin);
  found.text = Tell(found, inputs);
  return found;
}

}  // namespace tinylcm::drift
