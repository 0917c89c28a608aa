// How much of a sensor array's accuracy do 24 labels bring back, in the worst case as well as on
// average, and is a quiet stream left alone?
//
// The array: real handwritten digits as 8x8 channels of full scale 1 and noise .05. The drift: one
// readout block of 16 channels ages, gain x 0.3 and bias + 1. A seed deals the digits into a half
// that is fitted on, a quarter whose aged rows fill the quarantine, and a quarter that is only
// scored; it also draws the noise, the clusters and the folds. Beside the rule: doing nothing.
//
//   rows_adapt [seeds] [labels] [anchors per class] [metric] [k]

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/figure.h"
#include "tinylcm/adapt/cluster.h"
#include "tinylcm/adapt/judge.h"
#include "tinylcm/classify/knn_classifier.h"
#include "tinylcm/feature/processor.h"

namespace {

using tinylcm::classify::Anchors;
using tinylcm::classify::KnnClassifier;
using tinylcm::classify::Metric;
namespace adapt = tinylcm::adapt;
namespace feature = tinylcm::feature;

constexpr std::size_t kChannels = 64;
constexpr std::uint32_t kClasses = 10;
constexpr std::uint32_t kQuarantine = 300;
constexpr int kScoredPasses = 3;  // Each scored digit with so many draws of the noise.

struct Digit {
  std::array<float, kChannels> channels{};
  std::uint16_t label = 0;
};

base::Result<std::vector<Digit>> ReadDigits(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadTextFile(base::SystemFileSystem(), path, 1u << 20));
  std::vector<Digit> digits;
  for (const std::string_view line : base::Split(text, '\n')) {
    const std::vector<std::string_view> fields = base::Split(base::Trim(line), ',');
    if (fields.size() != kChannels + 1) continue;
    Digit digit;
    for (std::size_t i = 0; i <= kChannels; ++i) {
      ASSIGN_OR_RETURN(const std::int64_t value, base::ParseInt(fields[i]));
      if (i < kChannels) digit.channels[i] = static_cast<float>(value) / 16.0f;
      if (i == kChannels) digit.label = static_cast<std::uint16_t>(value);
    }
    digits.push_back(digit);
  }
  return digits;
}

struct Settings {
  int seeds = 20;
  std::uint32_t labels = 24;
  std::size_t anchors_per_class = 60;
  Metric metric = Metric::kEuclidean;
  std::uint32_t k = 5;
};

enum class Stream { kAged, kQuiet, kAgedPriors, kQuietPriors };

struct Outcome {
  double before = 0.0;
  double nothing = 0.0;
  double after = 0.0;
  std::string served;
  std::vector<double> each;  // Accuracy under each challenger, made from all labels.
};

class Experiment {
 public:
  Experiment(const std::vector<Digit>& digits, const Settings& settings, std::uint64_t seed)
      : settings_(settings), random_(seed) {
    std::vector<Digit> dealt = digits;
    for (std::size_t i = dealt.size(); i > 1; --i) {
      std::swap(dealt[i - 1], dealt[static_cast<std::size_t>(random_.Below(i))]);
    }
    const std::size_t half = dealt.size() / 2;
    const std::size_t quarter = dealt.size() * 3 / 4;
    const auto at = [&](std::size_t i) { return dealt.begin() + static_cast<std::ptrdiff_t>(i); };
    fitted_.assign(dealt.begin(), at(half));
    quarantined_.assign(at(half), at(quarter));
    scored_.assign(at(quarter), dealt.end());
  }

  Outcome Run(Stream stream, std::uint64_t seed) {
    Fit();
    const bool aged = stream == Stream::kAged || stream == Stream::kAgedPriors;
    const bool priors = stream == Stream::kAgedPriors || stream == Stream::kQuietPriors;
    Outcome outcome;
    outcome.before = Accuracy(*knn_, {}, false, priors);
    outcome.nothing = Accuracy(*knn_, {}, aged, priors);

    std::vector<float> features;
    std::vector<std::uint16_t> truth;
    for (std::uint32_t i = 0; i < kQuarantine; ++i) {
      const Digit& digit = Draw(quarantined_, priors);
      Append(Read(digit, aged), features);
      truth.push_back(digit.label);
    }
    const adapt::Clustering clustering =
        adapt::Cluster(features, kChannels, {.clusters = settings_.labels, .seed = seed});
    std::vector<adapt::LabelledRow> labelled;
    for (const std::uint32_t row : clustering.medoids) labelled.push_back({row, truth[row]});
    const adapt::Judgement judgement =
        adapt::Judge(*knn_, features, labelled, {.seed = seed}).value();
    outcome.served = judgement.challenger.kind.name();
    CHECK(knn_->SetMemory(judgement.challenger.memory).ok());
    outcome.after = Accuracy(*knn_, judgement.challenger.transform, aged, priors);
    const adapt::ClassMoments moments = adapt::ClassMoments::Of(knn_->anchors(), kClasses);
    for (const adapt::ChallengerKind& kind : adapt::AllChallengers()) {
      const adapt::Challenger challenger =
          adapt::MakeChallenger(kind, features, moments, labelled, {});
      CHECK(knn_->SetMemory(challenger.memory).ok());
      outcome.each.push_back(Accuracy(*knn_, challenger.transform, aged, priors));
    }
    return outcome;
  }

 private:
  std::array<float, kChannels> Read(const Digit& digit, bool aged) {
    std::array<float, kChannels> row = digit.channels;
    for (std::size_t i = 0; i < kChannels; ++i) {
      row[i] += static_cast<float>(0.05 * random_.Normal());
      if (aged && i >= 16 && i < 32) row[i] = row[i] * 0.3f + 1.0f;
    }
    return row;
  }

  // With `priors`, four of five samples come from two of the classes.
  const Digit& Draw(const std::vector<Digit>& digits, bool priors) {
    const bool from_two = priors && random_.Uniform() < 0.8;
    while (true) {
      const Digit& digit = digits[static_cast<std::size_t>(random_.Below(digits.size()))];
      if (!from_two || digit.label == 3 || digit.label == 8) return digit;
    }
  }

  void Fit() {
    std::vector<float> rows;
    for (const Digit& digit : fitted_) {
      const std::array<float, kChannels> row = Read(digit, false);
      rows.insert(rows.end(), row.begin(), row.end());
    }
    processor_.emplace(
        feature::Processor::Create(feature::FitStandardise(rows, kChannels).value()).value());
    Anchors anchors;
    anchors.dims = kChannels;
    std::array<std::size_t, kClasses> taken{};
    std::vector<float> processed(kChannels);
    for (std::size_t i = 0; i < fitted_.size(); ++i) {
      if (taken[fitted_[i].label]++ >= settings_.anchors_per_class) continue;
      processor_->Apply(std::span(rows).subspan(i * kChannels, kChannels), processed);
      anchors.Add(processed, fitted_[i].label);
    }
    knn_.emplace(KnnClassifier::Create(
                     {.classes = kClasses, .k = settings_.k, .metric = settings_.metric}, anchors)
                     .value());
  }

  void Append(const std::array<float, kChannels>& row, std::vector<float>& features) {
    features.resize(features.size() + kChannels);
    processor_->Apply(row, std::span(features).last(kChannels));
  }

  double Accuracy(KnnClassifier& knn, const adapt::FeatureTransform& transform, bool aged,
                  bool priors) {
    int right = 0;
    int asked = 0;
    std::vector<float> processed(kChannels);
    const std::size_t count = scored_.size() * kScoredPasses;
    for (std::size_t i = 0; i < count; ++i) {
      const Digit& digit = priors ? Draw(scored_, true) : scored_[i % scored_.size()];
      processor_->Apply(Read(digit, aged), processed);
      transform.Apply(processed);
      right += knn.Classify(processed).nearest == digit.label ? 1 : 0;
      ++asked;
    }
    return static_cast<double>(right) / asked;
  }

  Settings settings_;
  base::Random random_;
  std::vector<Digit> fitted_;
  std::vector<Digit> quarantined_;
  std::vector<Digit> scored_;
  std::optional<feature::Processor> processor_;
  std::optional<KnnClassifier> knn_;
};

// The table goes to stderr; the figures by `figure` to stdout.
void Report(const char* name, const char* figure, Stream stream, const std::vector<Digit>& digits,
            const Settings& settings) {
  double before = 0.0, nothing = 0.0, after = 0.0, share = 0.0;
  double worst_before = 1.0, worst_share = 10.0, worst_nothing = 10.0, nothing_share = 0.0;
  double worst_change = 1.0, least_loss = 1.0;
  int harmed = 0;
  std::map<std::string, int> served;
  const std::vector<adapt::ChallengerKind>& kinds = adapt::AllChallengers();
  std::vector<double> each(kinds.size(), 0.0), each_worst(kinds.size(), 10.0);
  for (int seed = 1; seed <= settings.seeds; ++seed) {
    const auto number = static_cast<std::uint64_t>(seed);
    const Outcome outcome = Experiment(digits, settings, number).Run(stream, number);
    before += outcome.before / settings.seeds;
    nothing += outcome.nothing / settings.seeds;
    after += outcome.after / settings.seeds;
    share += outcome.after / outcome.before / settings.seeds;
    nothing_share += outcome.nothing / outcome.before / settings.seeds;
    worst_nothing = std::min(worst_nothing, outcome.nothing / outcome.before);
    worst_before = std::min(worst_before, outcome.before);
    worst_share = std::min(worst_share, outcome.after / outcome.before);
    worst_change = std::min(worst_change, outcome.after - outcome.nothing);
    least_loss = std::min(least_loss, outcome.before - outcome.nothing);
    harmed += outcome.after < outcome.nothing - 0.01 ? 1 : 0;
    ++served[outcome.served];
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      each[i] += outcome.each[i] / outcome.before / settings.seeds;
      each_worst[i] = std::min(each_worst[i], outcome.each[i] / outcome.before);
    }
  }
  std::fprintf(stderr,
               "%s: before %.3f (worst %.3f), nothing done %.3f (least loss %.3f), after %.3f\n",
               name, before, worst_before, nothing, least_loss, after);
  std::fprintf(
      stderr,
      "  share of before: mean %.3f worst %.3f; change from nothing: worst %+.3f; harmed %d "
      "of %d\n  served:",
      share, worst_share, worst_change, harmed, settings.seeds);
  for (const auto& [kind, count] : served) std::fprintf(stderr, " %s x%d", kind.c_str(), count);
  std::fprintf(stderr, "\n");
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    std::fprintf(stderr, "    %-24s mean %.3f worst %.3f\n", kinds[i].name().c_str(), each[i],
                 each_worst[i]);
  }
  // The question makes no sense on an array that could not read before.
  CHECK(worst_before > 0.75);
  const std::string start = base::StrCat("adapt_quality.rows", settings.labels, figure);
  const std::string conditions = base::StrCat("share of the accuracy before; ", name, ", ",
                                              settings.seeds, " seeds; baseline: nothing done");
  bench::Print({.name = start + "_mean",
                .value = share,
                .unit = "share",
                .better = "higher",
                .baseline = nothing_share,
                .conditions = conditions});
  bench::Print({.name = start + "_worst",
                .value = worst_share,
                .unit = "share",
                .better = "higher",
                .baseline = worst_nothing,
                .conditions = conditions});
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  if (argc > 1) settings.seeds = std::atoi(argv[1]);
  if (argc > 2) settings.labels = static_cast<std::uint32_t>(std::atoi(argv[2]));
  if (argc > 3) settings.anchors_per_class = static_cast<std::size_t>(std::atoi(argv[3]));
  if (argc > 4) settings.metric = tinylcm::classify::ParseMetric(argv[4]).value();
  if (argc > 5) settings.k = static_cast<std::uint32_t>(std::atoi(argv[5]));
  const base::Result<std::vector<Digit>> digits = ReadDigits(TINYMLOPS_DIGITS);
  if (!digits.ok()) {
    std::fprintf(stderr, "rows_adapt: %s\n", digits.error().message.c_str());
    return 2;
  }
  Report("aged", "", Stream::kAged, *digits, settings);
  Report("quiet", "_quiet", Stream::kQuiet, *digits, settings);
  Report("aged, two classes are 80 %", "_priors", Stream::kAgedPriors, *digits, settings);
  Report("quiet, two classes are 80 %", "_quiet_priors", Stream::kQuietPriors, *digits, settings);
  return 0;
}
