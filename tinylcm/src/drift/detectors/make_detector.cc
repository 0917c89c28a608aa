// The zoo by name: what there is to set, and how a limit follows from a run length.

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <utility>

#include "base/text.h"
#include "tinylcm/drift/detectors/adwin.h"
#include "tinylcm/drift/detectors/cusum.h"
#include "tinylcm/drift/detectors/ddm.h"
#include "tinylcm/drift/detectors/detector.h"
#include "tinylcm/drift/detectors/ewma.h"
#include "tinylcm/drift/detectors/hddm.h"
#include "tinylcm/drift/detectors/js_distribution.h"
#include "tinylcm/drift/detectors/knn_distance.h"
#include "tinylcm/drift/detectors/kswin.h"
#include "tinylcm/drift/detectors/mmd_rff.h"
#include "tinylcm/drift/detectors/page_hinkley.h"
#include "tinylcm/drift/detectors/quanttree_ewma.h"
#include "tinylcm/drift/detectors/shiryaev_roberts.h"
#include "tinylcm/src/drift/detectors/solved_limits.h"

namespace tinylcm::drift {
namespace {

using base::Error;
using base::ErrorCode;
using base::StrCat;
using Made = base::Result<std::unique_ptr<Detector>>;

constexpr DetectorOption kAdwinOptions[] = {
    {"delta", "solved", "chance of a false alarm at a seam; river's usual one is 0.002", true},
    {"clock", "32", "values between two tests"},
    {"max_buckets", "5", "boxes of a size"},
    {"min_window_length", "5", "values on either side of a seam, at least"},
    {"grace_period", "10", "values before the first test"},
};
constexpr DetectorOption kCusumOptions[] = {
    {"h", "solved", "the limit, in standard deviations", true},
    {"k", "0.5", "allowance, in standard deviations: half the shift worth finding"},
    {"mean", "0", "what is usual"},
    {"sd", "1", "how far values usually lie from it"},
    {"mode", "up", "up, down or both"},
};
constexpr DetectorOption kDdmOptions[] = {
    {"drift_threshold", "solved", "in deviations of the best time; river's usual one is 3", true},
    {"warning_threshold", "solved", "the same for a warning; river's usual one is 2", true},
    {"warm_start", "30", "values before the first test"},
    {"restart", "run length", "begins anew after so many values without alarm; 0: never"},
    {"error_rate", "0.1", "of a quiet stream, for the run length"},
};
constexpr DetectorOption kEddmOptions[] = {
    {"beta", "solved", "drift below this share of the best distance; river's usual one is 0.9",
     true},
    {"alpha", "solved", "the same for a warning; river's usual one is 0.95", true},
    {"warm_start", "30", "errors before the first test"},
    {"restart", "run length", "begins anew after so many values without alarm; 0: never"},
    {"error_rate", "0.1", "of a quiet stream, for the run length"},
};
constexpr DetectorOption kEwmaOptions[] = {
    {"limit", "solved", "in the needle's standard deviations", true},
    {"lambda", "0.1", "weight of the newest value"},
    {"mean", "0", "what is usual"},
    {"sd", "1", "how far values usually lie from it"},
    {"mode", "both", "up, down or both"},
};
constexpr DetectorOption kHddmAOptions[] = {
    {"drift_confidence", "solved", "chance of a false alarm; river's usual one is 0.001", true},
    {"warning_confidence", "solved", "the same for a warning; river's usual one is 0.005", true},
    {"two_sided_test", "false", "whether a fall is drift too"},
    {"restart", "run length", "begins anew after so many values without alarm; 0: never"},
    {"error_rate", "0.1", "of a quiet stream, for the run length"},
};
constexpr DetectorOption kHddmWOptions[] = {
    {"drift_confidence", "solved", "chance of a false alarm; river's usual one is 0.001", true},
    {"warning_confidence", "solved", "the same for a warning; river's usual one is 0.005", true},
    {"lambda_val", "0.05", "weight of the newest value"},
    {"two_sided_test", "false", "whether a fall is drift too"},
    {"error_rate", "0.1", "of a quiet stream, for the run length"},
};
constexpr DetectorOption kJsOptions[] = {
    {"threshold", "solved", "the limit, in bits", true},
    {"classes", "10", "values are class numbers from 0 to one less"},
    {"reference_size", "500", "values that teach the usual mix"},
    {"window_size", "100", "latest values that are compared with it"},
};
constexpr DetectorOption kKnnOptions[] = {
    {"delta", "solved", "allowance, in units of the distance; the prototype's was 0.1", true},
    {"lambda_threshold", "solved", "the limit, in units of the distance; the prototype's was 5",
     true},
    {"k", "0.5", "allowance with a run length, in standard deviations"},
    {"warm_up_samples", "100", "distances that teach what is usual"},
    {"initial_reference_mean", "learned", "what is usual, where it is known"},
    {"initial_reference_std", "learned", "how far distances usually lie from it"},
};
constexpr DetectorOption kKswinOptions[] = {
    {"alpha", "solved", "drift at a p-value of at most this; river's usual one is 0.005", true},
    {"window_size", "100", "latest values that are kept"},
    {"stat_size", "30", "of these, how many are new"},
    {"seed", "none", "draws as Python's random.Random(seed) does"},
};
constexpr DetectorOption kMmdOptions[] = {
    {"threshold", "solved", "the limit, in units of what chance gives", true},
    {"dimensions", "1", "numbers a row"},
    {"features", "32", "random waves"},
    {"bandwidth", "1", "of the kernel, in standard deviations"},
    {"fast", "0.1", "weight of the newest row in the near past"},
    {"slow", "0.02", "the same in the farther past"},
    {"reference_size", "256", "rows that teach mean and spread"},
    {"seed", "1", "of the waves"},
};
constexpr DetectorOption kPageHinkleyOptions[] = {
    {"threshold", "solved", "the limit, in units of the values; river's usual one is 50", true},
    {"delta", "0.005", "allowance, in units of the values"},
    {"min_instances", "30", "values before the first test"},
    {"alpha", "0.9999", "how much of the walk is kept a step"},
    {"mode", "both", "up, down or both"},
    {"sd", "1", "how far values usually lie from their mean, for the run length"},
};
constexpr DetectorOption kQuantTreeOptions[] = {
    {"threshold", "solved", "the limit", true},
    {"dimensions", "1", "numbers a row"},
    {"bins", "16", "of the histogram"},
    {"lambda", "0.03", "weight of the newest row"},
    {"reference_size", "256", "rows that teach where the bins lie"},
    {"seed", "1", "of the cuts"},
};

constexpr DetectorOption kShiryaevOptions[] = {
    {"limit", "solved", "of the purse", true},
    {"mean", "0", "what is usual"},
    {"sd", "1", "how far values usually lie from it"},
    {"mode", "both", "up, down or both"},
};

constexpr DetectorKind kKinds[] = {
    {"adwin", "the mean, by a window that keeps what is of one time", "a number",
     "independent normal values of sd 1", kAdwinOptions},
    {"cusum", "a lasting change of the mean", "a standardised number",
     "independent normal values with the given mean and sd (exact)", kCusumOptions},
    {"ddm", "a rise of the error rate over its best", "0 or 1 (1: an error)",
     "independent errors at error_rate", kDdmOptions},
    {"eddm", "errors that come closer together", "0 or 1 (1: an error)",
     "independent errors at error_rate", kEddmOptions},
    {"ewma", "a small, lasting change of the mean", "a standardised number",
     "independent normal values with the given mean and sd (exact)", kEwmaOptions},
    {"hddm_a", "a sudden change of an error rate or of any mean in [0, 1]", "a number in [0, 1]",
     "independent errors at error_rate", kHddmAOptions},
    {"hddm_w", "a gradual change of an error rate or of any mean in [0, 1]", "a number in [0, 1]",
     "independent errors at error_rate", kHddmWOptions},
    {"js_distribution", "the mix of classes", "a class number",
     "independent, equally frequent classes", kJsOptions},
    {"knn_distance", "a rise of the mean distance to the nearest neighbours", "a distance",
     "independent normal values of any mean and spread (exact)", kKnnOptions},
    {"kswin", "the whole distribution of a number", "a number",
     "independent values of any continuous distribution", kKswinOptions},
    {"mmd_rff", "the whole distribution of a number or a row", "a number, or a row of numbers",
     "independent normal values of any mean and spread", kMmdOptions},
    {"page_hinkley", "a change of the mean", "a number",
     "independent normal values of the given sd", kPageHinkleyOptions},
    {"quanttree_ewma", "the whole distribution of a number or a row",
     "a number, or a row of numbers", "independent values of any continuous distribution",
     kQuantTreeOptions},
    {"shiryaev_roberts", "any lasting change, of whatever size", "a standardised number",
     "independent normal values with the given mean and sd", kShiryaevOptions},
};

// What a person typed, checked against what there is. Errors are sticky: ask once.
class Typed {
 public:
  Typed(const DetectorKind& kind, const DetectorOptions& options, std::optional<double> run_length)
      : kind_(kind), options_(options) {
    std::set<std::string_view> seen;
    for (const auto& [name, text] : options) {
      const auto known = std::find_if(kind.options.begin(), kind.options.end(),
                                      [&](const DetectorOption& o) { return o.name == name; });
      if (known == kind.options.end()) {
        std::string names;
        for (const DetectorOption& option : kind.options) {
          names += StrCat(names.empty() ? "" : ", ", option.name);
        }
        Refuse(StrCat("no option ", name, "; there are ", names));
        return;
      }
      if (!seen.insert(name).second) Refuse(StrCat(name, ": given twice"));
      if (known->is_limit) limit_ = name;
    }
    if (!limit_.empty() && run_length) {
      Refuse(StrCat("give either ", limit_, " or a run length: each sets the limit"));
    }
    if (run_length && !(*run_length >= 2.0 && *run_length <= 1e12)) {
      Refuse("run length must be from 2 to 1e12");
    }
    run_length_ = run_length.value_or(kUsualRunLength);
  }

  // Whether the limit follows from a run length.
  bool is_solved() const { return limit_.empty(); }
  double run_length() const { return run_length_; }

  bool Has(std::string_view name) const { return Find(name) != nullptr; }
  void Number(std::string_view name, double& out) {
    const std::string* text = Find(name);
    if (text == nullptr) return;
    const base::Result<double> number = base::ParseDouble(*text);
    if (number.ok()) {
      out = *number;
    } else {
      Refuse(StrCat(name, ": ", number.error().message));
    }
  }
  void Number(std::string_view name, std::optional<double>& out) {
    if (!Has(name)) return;
    double number = 0.0;
    Number(name, number);
    out = number;
  }
  template <typename Whole>
  void Count(std::string_view name, Whole& out) {
    const std::string* text = Find(name);
    if (text == nullptr) return;
    const base::Result<std::int64_t> number = base::ParseInt(*text);
    if (!number.ok() || *number < 0 || (sizeof(Whole) == 4 && *number > 0x7fffffff)) {
      Refuse(StrCat(name, ": \"", *text, "\" is no whole number from 0"));
    } else {
      out = static_cast<Whole>(*number);
    }
  }
  void Truth(std::string_view name, bool& out) {
    const std::string* text = Find(name);
    if (text == nullptr) return;
    if (*text == "true" || *text == "True" || *text == "1") {
      out = true;
    } else if (*text == "false" || *text == "False" || *text == "0") {
      out = false;
    } else {
      Refuse(StrCat(name, " must be true or false"));
    }
  }
  template <typename Mode>
  void Side(Mode& out) {
    const std::string* text = Find("mode");
    if (text == nullptr) return;
    if (*text == "up") {
      out = Mode::kUp;
    } else if (*text == "down") {
      out = Mode::kDown;
    } else if (*text == "both") {
      out = Mode::kBoth;
    } else {
      Refuse("mode must be up, down or both");
    }
  }
  void Refuse(std::string why) {
    if (status_.ok()) {
      status_ = Error{ErrorCode::kInvalidArgument, StrCat(kind_.name, ": ", why)};
    }
  }
  const base::Status& status() const { return status_; }
  // Takes the solved number, or the reason why there is none.
  void Solved(const base::Result<double>& solved, double& out) {
    if (solved.ok()) {
      out = *solved;
    } else if (solved.error().code == ErrorCode::kUnsupported) {
      // The first option of each kind is its limit.
      Refuse(StrCat(solved.error().message, ", or give ", kind_.options.front().name, " by hand"));
    } else {
      Refuse(solved.error().message);
    }
  }

 private:
  const std::string* Find(std::string_view name) const {
    for (const auto& [key, text] : options_) {
      if (key == name) return &text;
    }
    return nullptr;
  }

  const DetectorKind& kind_;
  const DetectorOptions& options_;
  std::string_view limit_;
  double run_length_ = kUsualRunLength;
  base::Status status_;
};

template <typename D>
Made Create(const Typed& typed, const typename D::Options& options) {
  RETURN_IF_ERROR(typed.status());
  ASSIGN_OR_RETURN(D detector, D::Create(options));
  return std::unique_ptr<Detector>(std::make_unique<D>(std::move(detector)));
}

// A limit that does no harm while the other options are checked before it is solved.
template <typename D>
void Check(Typed& typed, const typename D::Options& options) {
  if (!typed.status().ok()) return;
  const base::Result<D> made = D::Create(options);
  if (made.ok()) return;
  const std::string& message = made.error().message;
  typed.Refuse(message.substr(std::min(message.size(), message.find(": ") + 2)));
}

Made MakeAdwin(Typed typed) {
  Adwin::Options options;
  typed.Number("delta", options.delta);
  typed.Count("clock", options.clock);
  typed.Count("max_buckets", options.max_buckets);
  typed.Count("min_window_length", options.min_window_length);
  typed.Count("grace_period", options.grace_period);
  Check<Adwin>(typed, options);
  if (typed.is_solved() && typed.status().ok()) {
    typed.Solved(AdwinDelta(options, typed.run_length()), options.delta);
  }
  return Create<Adwin>(typed, options);
}

Made MakeCusum(Typed typed) {
  Cusum::Options options;
  typed.Number("h", options.h);
  typed.Number("k", options.k);
  typed.Number("mean", options.mean);
  typed.Number("sd", options.sd);
  typed.Side(options.side);
  if (typed.is_solved()) {
    options.run_length = typed.run_length();
  } else if (!(options.h > 0.0)) {
    typed.Refuse("h must be > 0");
  }
  return Create<Cusum>(typed, options);
}

double CheckErrorRate(Typed& typed) {
  double rate = 0.1;
  typed.Number("error_rate", rate);
  if (!(rate >= 0.001 && rate <= 0.999)) typed.Refuse("error_rate must be from 0.001 to 0.999");
  return rate;
}

// With a run length a detector that grows blind begins anew after as many values.
void SetRestart(Typed& typed, std::uint64_t& restart) {
  if (typed.is_solved()) restart = static_cast<std::uint64_t>(typed.run_length());
  typed.Count("restart", restart);
  if (typed.is_solved() && restart == 0) {
    typed.Refuse("restart must be > 0 with a run length: without it there is none");
  }
}

Made MakeDdm(Typed typed) {
  Ddm::Options options;
  typed.Number("drift_threshold", options.drift_threshold);
  typed.Number("warning_threshold", options.warning_threshold);
  typed.Count("warm_start", options.warm_start);
  SetRestart(typed, options.restart);
  const double rate = CheckErrorRate(typed);
  Check<Ddm>(typed, options);
  if (typed.is_solved() && typed.status().ok()) {
    typed.Solved(DdmThreshold(options, rate, typed.run_length()), options.drift_threshold);
    options.warning_threshold = options.drift_threshold * 2.0 / 3.0;
  }
  return Create<Ddm>(typed, options);
}

Made MakeEddm(Typed typed) {
  Eddm::Options options;
  typed.Number("beta", options.beta);
  typed.Number("alpha", options.alpha);
  typed.Count("warm_start", options.warm_start);
  SetRestart(typed, options.restart);
  const double rate = CheckErrorRate(typed);
  Check<Eddm>(typed, options);
  if (typed.is_solved() && typed.status().ok()) {
    typed.Solved(EddmBeta(options, rate, typed.run_length()), options.beta);
    options.alpha = (1.0 + options.beta) / 2.0;
  }
  return Create<Eddm>(typed, options);
}

Made MakeEwma(Typed typed) {
  Ewma::Options options;
  typed.Number("limit", options.limit);
  typed.Number("lambda", options.lambda);
  typed.Number("mean", options.mean);
  typed.Number("sd", options.sd);
  typed.Side(options.side);
  if (typed.is_solved()) {
    options.run_length = typed.run_length();
  } else if (!(options.limit > 0.0)) {
    typed.Refuse("limit must be > 0");
  }
  return Create<Ewma>(typed, options);
}

Made MakeHddmA(Typed typed) {
  HddmA::Options options;
  typed.Number("drift_confidence", options.drift_confidence);
  typed.Number("warning_confidence", options.warning_confidence);
  typed.Truth("two_sided_test", options.two_sided_test);
  SetRestart(typed, options.restart);
  const double rate = CheckErrorRate(typed);
  Check<HddmA>(typed, options);
  if (typed.is_solved() && typed.status().ok()) {
    typed.Solved(HddmAConfidence(options, rate, typed.run_length()), options.drift_confidence);
    options.warning_confidence = std::min(1.9999, 5.0 * options.drift_confidence);
  }
  return Create<HddmA>(typed, options);
}

Made MakeHddmW(Typed typed) {
  HddmW::Options options;
  typed.Number("drift_confidence", options.drift_confidence);
  typed.Number("warning_confidence", options.warning_confidence);
  typed.Number("lambda_val", options.lambda_val);
  typed.Truth("two_sided_test", options.two_sided_test);
  const double rate = CheckErrorRate(typed);
  Check<HddmW>(typed, options);
  if (typed.is_solved() && typed.status().ok()) {
    typed.Solved(HddmWConfidence(options, rate, typed.run_length()), options.drift_confidence);
    options.warning_confidence = std::min(0.9999, 5.0 * options.drift_confidence);
  }
  return Create<HddmW>(typed, options);
}

Made MakeJs(Typed typed) {
  JsDistribution::Options options;
  options.threshold = 1.0;
  typed.Number("threshold", options.threshold);
  typed.Count("classes", options.classes);
  typed.Count("reference_size", options.reference_size);
  typed.Count("window_size", options.window_size);
  Check<JsDistribution>(typed, options);
  if (typed.is_solved() && typed.status().ok()) {
    typed.Solved(JsThreshold(options, typed.run_length()), options.threshold);
  }
  return Create<JsDistribution>(typed, options);
}

Made MakeKnn(Typed typed) {
  KnnDistance::Options options;
  typed.Number("delta", options.delta);
  typed.Number("lambda_threshold", options.lambda_threshold);
  typed.Number("k", options.k);
  typed.Count("warm_up_samples", options.warm_up_samples);
  typed.Number("initial_reference_mean", options.reference_mean);
  typed.Number("initial_reference_std", options.reference_sd);
  if (typed.is_solved()) options.run_length = typed.run_length();
  return Create<KnnDistance>(typed, options);
}

Made MakeKswin(Typed typed) {
  Kswin::Options options;
  typed.Number("alpha", options.alpha);
  typed.Count("window_size", options.window_size);
  typed.Count("stat_size", options.stat_size);
  if (typed.Has("seed")) {
    std::uint64_t seed = 0;
    typed.Count("seed", seed);
    options.seed = seed;
  }
  Check<Kswin>(typed, options);
  if (typed.is_solved() && typed.status().ok()) {
    options.is_smooth = true;
    typed.Solved(KswinAlpha(options, typed.run_length()), options.alpha);
  }
  return Create<Kswin>(typed, options);
}

Made MakeMmd(Typed typed) {
  MmdRff::Options options;
  options.threshold = 1.0;
  typed.Number("threshold", options.threshold);
  typed.Count("dimensions", options.dimensions);
  typed.Count("features", options.features);
  typed.Number("bandwidth", options.bandwidth);
  typed.Number("fast", options.fast);
  typed.Number("slow", options.slow);
  typed.Count("reference_size", options.reference_size);
  typed.Count("seed", options.seed);
  Check<MmdRff>(typed, options);
  if (typed.is_solved() && typed.status().ok()) {
    typed.Solved(MmdThreshold(options, typed.run_length()), options.threshold);
  }
  return Create<MmdRff>(typed, options);
}

Made MakePageHinkley(Typed typed) {
  PageHinkley::Options options;
  double sd = 1.0;
  typed.Number("threshold", options.threshold);
  typed.Number("delta", options.delta);
  typed.Count("min_instances", options.min_instances);
  typed.Number("alpha", options.alpha);
  typed.Side(options.mode);
  typed.Number("sd", sd);
  if (!(sd > 0.0 && std::isfinite(sd))) typed.Refuse("sd must be > 0");
  Check<PageHinkley>(typed, options);
  if (typed.is_solved() && typed.status().ok()) {
    // In units of sd the walk is one of standard normal values. Left to us, delta is in them too.
    if (!typed.Has("delta")) options.delta *= sd;
    PageHinkley::Options standard = options;
    standard.delta = typed.Has("delta") ? options.delta / sd : PageHinkley::Options().delta;
    typed.Solved(PageHinkleyThreshold(standard, typed.run_length()), options.threshold);
    options.threshold *= sd;
  }
  return Create<PageHinkley>(typed, options);
}

Made MakeQuantTree(Typed typed) {
  QuantTreeEwma::Options options;
  options.threshold = 1.0;
  typed.Number("threshold", options.threshold);
  typed.Count("dimensions", options.dimensions);
  typed.Count("bins", options.bins);
  typed.Number("lambda", options.lambda);
  typed.Count("reference_size", options.reference_size);
  typed.Count("seed", options.seed);
  Check<QuantTreeEwma>(typed, options);
  if (typed.is_solved() && typed.status().ok()) {
    typed.Solved(QuantTreeThreshold(options, typed.run_length()), options.threshold);
  }
  return Create<QuantTreeEwma>(typed, options);
}

Made MakeShiryaev(Typed typed) {
  ShiryaevRoberts::Options options;
  typed.Number("limit", options.limit);
  typed.Number("mean", options.mean);
  typed.Number("sd", options.sd);
  typed.Side(options.side);
  if (typed.is_solved()) {
    options.run_length = typed.run_length();
  } else if (!(options.limit > 1.0)) {
    typed.Refuse("limit must be > 1");
  }
  return Create<ShiryaevRoberts>(typed, options);
}

constexpr std::pair<std::string_view, Made (*)(Typed)> kMakers[] = {
    {"adwin", MakeAdwin},
    {"cusum", MakeCusum},
    {"ddm", MakeDdm},
    {"eddm", MakeEddm},
    {"ewma", MakeEwma},
    {"hddm_a", MakeHddmA},
    {"hddm_w", MakeHddmW},
    {"js_distribution", MakeJs},
    {"knn_distance", MakeKnn},
    {"kswin", MakeKswin},
    {"mmd_rff", MakeMmd},
    {"page_hinkley", MakePageHinkley},
    {"quanttree_ewma", MakeQuantTree},
    {"shiryaev_roberts", MakeShiryaev},
};
static_assert(std::size(kMakers) == std::size(kKinds));

}  // namespace

std::span<const DetectorKind> DetectorKinds() { return kKinds; }

const DetectorKind* FindDetectorKind(std::string_view name) {
  for (const DetectorKind& kind : kKinds) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

bool HasLimit(std::string_view detector, const DetectorOptions& options) {
  const DetectorKind* kind = FindDetectorKind(detector);
  return kind != nullptr && std::ranges::any_of(options, [&](const auto& set) {
           return std::ranges::any_of(kind->options, [&](const DetectorOption& option) {
             return option.is_limit && option.name == set.first;
           });
         });
}

std::vector<std::string_view> DetectorNames() {
  std::vector<std::string_view> names;
  for (const DetectorKind& kind : kKinds) names.push_back(kind.name);
  return names;
}

base::Result<std::unique_ptr<Detector>> MakeDetector(std::string_view name,
                                                     const DetectorOptions& options,
                                                     std::optional<double> run_length) {
  const DetectorKind* kind = FindDetectorKind(name);
  for (const auto& [known, make] : kMakers) {
    if (kind == nullptr || known != name) continue;
    Typed typed(*kind, options, run_length);
    RETURN_IF_ERROR(typed.status());
    return make(std::move(typed));
  }
  return Error{ErrorCode::kNotFound, StrCat("no detector ", name)};
}

}  // namespace tinylcm::drift
