#include "tinylcm/model/fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <span>
#include <utility>

#include "base/random.h"
#include "base/text.h"
#include "tinylcm/model/signals.h"

namespace tinylcm::model {

using base::Error;
using base::ErrorCode;
using base::StrCat;

namespace {

constexpr std::size_t kClassSamplesMin = 8;
constexpr int kDraws = 8;

void Shuffle(std::vector<std::size_t>& values, base::Random& random) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[random.Below(i)]);
  }
}

struct Split {
  std::vector<std::vector<std::size_t>> fit;  // A class.
  std::vector<std::size_t> held_out;
  std::vector<std::size_t> canary;
};

std::size_t Share(double fraction, std::size_t count) {
  return static_cast<std::size_t>(std::lround(fraction * static_cast<double>(count)));
}

base::Result<Split> Deal(const FitData& data, const FitOptions& options, base::Random& random) {
  std::vector<std::vector<std::size_t>> classes(data.label_names.size());
  for (std::size_t i = 0; i < data.size(); ++i) classes[data.labels[i]].push_back(i);
  Split split;
  for (std::size_t label = 0; label < classes.size(); ++label) {
    std::vector<std::size_t>& all = classes[label];
    if (all.empty() && options.classifier == classify::ClassifierKind::kSoftmax) {
      split.fit.emplace_back();  // The model knows the class all the same.
      continue;
    }
    if (all.size() < kClassSamplesMin) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("fit: class \"", data.label_names[label], "\" has ", all.size(),
                          " samples, at least ", kClassSamplesMin, " are needed")};
    }
    Shuffle(all, random);
    const std::size_t canary = Share(options.canary_fraction, all.size());
    const std::size_t held_out = std::min<std::size_t>(
        options.held_out_max, Share(options.held_out_fraction, all.size() - canary));
    const auto first = all.begin();
    const auto second = first + static_cast<std::ptrdiff_t>(canary);
    const auto third = second + static_cast<std::ptrdiff_t>(held_out);
    split.canary.insert(split.canary.end(), first, second);
    split.held_out.insert(split.held_out.end(), second, third);
    split.fit.emplace_back(third, all.end());
    if (split.fit.back().empty()) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("fit: class \"", data.label_names[label],
                          "\" has nothing left to fit on; lower the canary's or held-out share")};
    }
  }
  return split;
}

// Means and deviations a column, in plain double arithmetic and row order.
struct Moments {
  std::vector<float> mean;
  std::vector<float> sd;
};

template <typename T>
Moments MomentsOf(const std::vector<T>& values, std::size_t columns,
                  const std::vector<std::size_t>& rows) {
  std::vector<double> mean(columns, 0.0);
  std::vector<double> spread(columns, 0.0);
  const auto count = static_cast<double>(rows.size());
  for (const std::size_t row : rows) {
    for (std::size_t j = 0; j < columns; ++j) {
      mean[j] += static_cast<double>(values[row * columns + j]);
    }
  }
  for (double& value : mean) value /= count;
  for (const std::size_t row : rows) {
    for (std::size_t j = 0; j < columns; ++j) {
      const double difference = static_cast<double>(values[row * columns + j]) - mean[j];
      spread[j] += difference * difference;
    }
  }
  Moments moments;
  for (std::size_t j = 0; j < columns; ++j) {
    moments.mean.push_back(static_cast<float>(mean[j]));
    moments.sd.push_back(static_cast<float>(std::sqrt(spread[j] / count)));
  }
  return moments;
}

std::vector<std::size_t> Flatten(const std::vector<std::vector<std::size_t>>& parts) {
  std::vector<std::size_t> all;
  for (const auto& part : parts) all.insert(all.end(), part.begin(), part.end());
  std::sort(all.begin(), all.end());
  return all;
}

// Mean and deviation a channel of each class, [classes * columns]; of a class without rows, 0.
void LearnClassChannels(const FitData& data, const Split& split, Reference& reference) {
  for (const std::vector<std::size_t>& rows : split.fit) {
    Moments moments{std::vector<float>(data.raw_count, 0.0f),
                    std::vector<float>(data.raw_count, 0.0f)};
    if (!rows.empty()) {
      std::vector<std::size_t> in_order = rows;
      std::sort(in_order.begin(), in_order.end());
      moments = MomentsOf(data.raw, data.raw_count, in_order);
    }
    std::vector<float>& means = reference.class_channel_mean;
    std::vector<float>& deviations = reference.class_channel_sd;
    means.insert(means.end(), moments.mean.begin(), moments.mean.end());
    deviations.insert(deviations.end(), moments.sd.begin(), moments.sd.end());
  }
}

// In plain double arithmetic and row order.
std::vector<float> CovarianceOf(const FitData& data, const std::vector<float>& mean,
                                const std::vector<std::size_t>& rows) {
  const std::size_t columns = data.raw_count;
  std::vector<double> sums(columns * columns, 0.0);
  std::vector<double> off(columns);
  for (const std::size_t row : rows) {
    for (std::size_t j = 0; j < columns; ++j) {
      off[j] = static_cast<double>(data.raw[row * columns + j]) - static_cast<double>(mean[j]);
    }
    for (std::size_t i = 0; i < columns; ++i) {
      for (std::size_t j = 0; j <= i; ++j) sums[i * columns + j] += off[i] * off[j];
    }
  }
  std::vector<float> covariance(columns * columns);
  for (std::size_t i = 0; i < columns; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      covariance[i * columns + j] = covariance[j * columns + i] =
          static_cast<float>(sums[i * columns + j] / static_cast<double>(rows.size()));
    }
  }
  return covariance;
}

// Of each channel, the share of rows that have its commonest value exactly: 1 is a constant.
std::vector<float> ModeShareOf(const FitData& data, const std::vector<std::size_t>& rows) {
  std::vector<float> shares;
  std::vector<float> values(rows.size());
  for (std::size_t j = 0; j < data.raw_count; ++j) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      values[i] = data.raw[rows[i] * data.raw_count + j];
    std::sort(values.begin(), values.end());
    std::size_t most = 0;
    for (std::size_t first = 0, i = 0; i < values.size(); ++i) {
      if (values[i] != values[first]) first = i;
      most = std::max(most, i - first + 1);
    }
    shares.push_back(
        static_cast<float>(static_cast<double>(most) / static_cast<double>(values.size())));
  }
  return shares;
}

// The share of each colour's pixels that have each level, [3 * 256].
std::vector<float> HistogramOf(const FitData& data, const std::vector<std::size_t>& rows) {
  std::vector<std::uint64_t> counts(3 * 256, 0);
  for (const std::size_t row : rows) {
    const auto picture =
        std::span(data.pictures).subspan(row * data.picture_bytes, data.picture_bytes);
    for (std::size_t i = 0; i < picture.size(); ++i) ++counts[i % 3 * 256 + picture[i]];
  }
  const double pixels = static_cast<double>(rows.size()) * static_cast<double>(data.picture_bytes);
  std::vector<float> shares;
  for (const std::uint64_t count : counts) {
    shares.push_back(static_cast<float>(static_cast<double>(count) / (pixels / 3.0)));
  }
  return shares;
}

// Labelled features, as the classifier takes them.
class Features {
 public:
  Features(const FitData& data, feature::Processor& processor)
      : data_(data), dims_(processor.feature_count()), values_(data.size() * dims_) {
    for (std::size_t i = 0; i < data.size(); ++i) {
      processor.Apply(std::span(data.raw).subspan(i * data.raw_count, data.raw_count),
                      std::span(values_).subspan(i * dims_, dims_));
    }
  }
  std::size_t dims() const { return dims_; }
  const std::vector<float>& values() const { return values_; }
  std::span<const float> operator[](std::size_t i) const {
    return std::span(values_).subspan(i * dims_, dims_);
  }
  classify::Anchors Take(const std::vector<std::size_t>& rows) const {
    classify::Anchors anchors;
    anchors.dims = dims_;
    for (const std::size_t row : rows) anchors.Add((*this)[row], data_.labels[row]);
    return anchors;
  }

 private:
  const FitData& data_;
  std::size_t dims_;
  std::vector<float> values_;
};

template <typename Classifier>
double AccuracyOn(Classifier& classifier, const Features& features, const FitData& data,
                  const std::vector<std::size_t>& rows) {
  std::size_t right = 0;
  for (const std::size_t row : rows) {
    if (classifier.Classify(features[row]).nearest == data.labels[row]) ++right;
  }
  return rows.empty() ? 0.0 : static_cast<double>(right) / static_cast<double>(rows.size());
}

// Of a few draws, the one that classifies the held-out part best; the first among equals. A draw
// keeps a class's density, which distance-weighted votes live on; choosing centres does not.
base::Result<std::vector<std::size_t>> ChooseAnchors(
    const Split& split, const Features& features, const FitData& data, const FitOptions& options,
    const classify::KnnClassifier::Options& classifier_options, base::Random& random) {
  std::vector<std::size_t> best;
  double best_accuracy = -1.0;
  for (int draw = 0; draw < kDraws; ++draw) {
    std::vector<std::size_t> chosen;
    for (std::vector<std::size_t> rows : split.fit) {
      Shuffle(rows, random);
      rows.resize(std::min<std::size_t>(rows.size(), options.anchors_per_class));
      std::sort(rows.begin(), rows.end());
      chosen.insert(chosen.end(), rows.begin(), rows.end());
    }
    ASSIGN_OR_RETURN(classify::KnnClassifier classifier,
                     classify::KnnClassifier::Create(classifier_options, features.Take(chosen)));
    const double accuracy = AccuracyOn(classifier, features, data, split.held_out);
    if (accuracy > best_accuracy) {
      best_accuracy = accuracy;
      best = std::move(chosen);
    }
  }
  return best;
}

// What the processor of a bundle makes of the data, and what answers then.
struct Learned {
  Features features;
  classify::Classifier classifier;
};

// Draws the anchors and fits the head of `bundle`, whose processor is there.
base::Result<Learned> Learn(const FitData& data, const FitOptions& options, const Split& split,
                            base::Random& random, ModelBundle& bundle) {
  ASSIGN_OR_RETURN(feature::Processor processor, feature::Processor::Create(bundle.processor));
  Features features(data, processor);
  bundle.anchors = {};
  bundle.anchors.dims = features.dims();
  if (options.anchors_per_class > 0) {
    ASSIGN_OR_RETURN(
        const std::vector<std::size_t> rows,
        ChooseAnchors(split, features, data, options, bundle.ClassifierOptions(), random));
    bundle.anchors = features.Take(rows);
  }
  if (options.classifier == classify::ClassifierKind::kLinear) {
    const classify::Anchors known = features.Take(Flatten(split.fit));
    ASSIGN_OR_RETURN(bundle.head, classify::FitLinearHead(
                                      known.vectors, known.dims, known.labels,
                                      static_cast<std::uint32_t>(bundle.manifest.labels.size())));
  }
  ASSIGN_OR_RETURN(classify::Classifier classifier, bundle.MakeClassifier());
  return Learned{std::move(features), std::move(classifier)};
}

// How far confidence is from being right, in ten bins of confidence, weighted by their samples.
double CalibrationError(classify::Classifier& classifier, const Features& features,
                        const FitData& data, const std::vector<std::size_t>& rows) {
  constexpr std::size_t kBins = 10;
  std::array<double, kBins> confidence{};
  std::array<double, kBins> right{};
  for (const std::size_t row : rows) {
    const classify::Prediction prediction = classifier.Classify(features[row]);
    const auto bin = std::min<std::size_t>(
        kBins - 1, static_cast<std::size_t>(prediction.confidence * static_cast<float>(kBins)));
    confidence[bin] += static_cast<double>(prediction.confidence);
    right[bin] += prediction.nearest == data.labels[row] ? 1.0 : 0.0;
  }
  double error = 0.0;
  for (std::size_t bin = 0; bin < kBins; ++bin) error += std::abs(confidence[bin] - right[bin]);
  return rows.empty() ? 0.0 : error / static_cast<double>(rows.size());
}

constexpr std::size_t kCentroidAxes = 32;
constexpr std::size_t kQuantTreeBins = 16;
constexpr std::size_t kQuantTreeAxes = 16;
constexpr std::size_t kHeldOutMax = 64;  // Values a signal and class.

// `values`, ascending; of more than kHeldOutMax, so many, evenly spaced by rank.
std::vector<float> Thinned(std::vector<float> values) {
  std::sort(values.begin(), values.end());
  if (values.size() <= kHeldOutMax) return values;
  std::vector<float> thinned;
  for (std::size_t i = 0; i < kHeldOutMax; ++i) {
    thinned.push_back(values[(2 * i + 1) * values.size() / (2 * kHeldOutMax)]);
  }
  return thinned;
}

// What the signals rest on: centroids, bins and rails of the fitting part, and each signal of the
// held-out samples. `bundle` is complete but for these.
void LearnSignals(const FitData& data, const FitOptions& options, const Split& split,
                  const Features& features, classify::Classifier& classifier, ModelBundle& bundle) {
  const std::vector<std::size_t> fit_rows = Flatten(split.fit);
  const classify::Anchors known = features.Take(fit_rows);
  const std::size_t classes = data.label_names.size();
  Reference& reference = bundle.reference;
  reference.centroids =
      feature::FitCentroids(known.vectors, known.dims, known.labels, classes, kCentroidAxes);
  const auto raw_of_fit = [&](const std::vector<float>& raw) {
    std::vector<float> rows;
    for (const std::size_t row : fit_rows) {
      const auto first = raw.begin() + static_cast<std::ptrdiff_t>(row * data.raw_count);
      rows.insert(rows.end(), first, first + static_cast<std::ptrdiff_t>(data.raw_count));
    }
    return rows;
  };
  std::vector<std::vector<float>> turned;
  for (const std::vector<float>& raw : data.turned_raw) {
    if (!raw.empty()) turned.push_back(raw_of_fit(raw));
  }
  reference.ways =
      feature::FitWays(raw_of_fit(data.raw), data.raw_count, known.labels, classes, turned);
  base::Random random(options.seed);
  reference.quant_tree =
      feature::FitQuantTree(known.vectors, known.dims, kQuantTreeBins, kQuantTreeAxes, random);
  const auto raw_of = [&](std::size_t row) {
    return std::span(data.raw).subspan(row * data.raw_count, data.raw_count);
  };
  const bool is_image = data.picture_bytes != 0;
  if (!is_image) {
    Rails rails = FitRails(raw_of_fit(data.raw), data.raw_count);
    reference.rail_low = std::move(rails.low);
    reference.rail_high = std::move(rails.high);
  }

  Signals signals(bundle);
  drift::SignalMask wanted = signals.mask();
  // Of these the held-out part tells nothing: it stands in no order of time, and the classes are as
  // often in it as somebody collected them.
  wanted &= ~(drift::Bit(drift::Signal::kStuck) | drift::Bit(drift::Signal::kClassMix));
  std::array<std::vector<std::vector<float>>, drift::kSignals> values;
  std::vector<float> share(classes);
  std::vector<float> figures(is_image ? feature::kPictureFigures : 0);
  for (const std::size_t row : split.held_out) {
    if (is_image) {
      feature::MeasurePicture(
          std::span(data.pictures).subspan(row * data.picture_bytes, data.picture_bytes),
          data.picture_width, data.picture_height, figures);
    }
    const classify::Prediction prediction = classifier.Classify(features[row], share);
    drift::Sample sample;
    signals.Measure({.prediction = prediction,
                     .share = share,
                     .feature = features[row],
                     .raw = raw_of(row),
                     .figures = figures},
                    sample);
    for (std::size_t at = 0; at < drift::kSignals; ++at) {
      const auto signal = static_cast<drift::Signal>(at);
      if ((wanted & drift::Bit(signal)) == 0 || !sample.Has(signal)) continue;
      values[at].resize(classes);
      values[at][sample.predicted].push_back(sample.values[at]);
    }
  }
  for (std::size_t at = 0; at < drift::kSignals; ++at) {
    for (std::vector<float>& of_class : values[at]) of_class = Thinned(std::move(of_class));
  }
  // Older readers know them by this name, all of them.
  if (bundle.anchors.size() > 0) {
    values[drift::At(drift::Signal::kAnchorDistance)] = reference.rank;
  }
  reference.held_out = std::move(values);
}

// Symmetric, a scale an axis: the largest number of the axis is 127.
feature::ProcessorTensors Quantise(feature::ProcessorTensors tensors) {
  const std::size_t count = tensors.mean.size();
  const std::size_t dims = tensors.projection.size() / count;
  for (std::size_t axis = 0; axis < dims; ++axis) {
    const auto row = std::span(tensors.projection).subspan(axis * count, count);
    float largest = 0.0f;
    for (const float value : row) largest = std::max(largest, std::abs(value));
    const float scale = largest > 0.0f ? largest / 127.0f : 1.0f;
    tensors.projection_scale.push_back(scale);
    for (const float value : row) {
      tensors.projection_i8.push_back(static_cast<std::int8_t>(std::lround(value / scale)));
    }
  }
  tensors.projection.clear();
  return tensors;
}

// Every row looks like what a softmax gives.
bool AreProbabilities(const std::vector<float>& raw, std::size_t count) {
  for (std::size_t at = 0; at + count <= raw.size(); at += count) {
    double sum = 0.0;
    for (std::size_t j = 0; j < count; ++j) {
      if (raw[at + j] < -1e-3f || raw[at + j] > 1.001f) return false;
      sum += static_cast<double>(raw[at + j]);
    }
    // An int8 softmax rounds each number to a step of 1/256.
    if (std::abs(sum - 1.0) > 0.01 + static_cast<double>(count) / 512.0) return false;
  }
  return true;
}

base::Status CheckOptions(const FitData& data, const FitOptions& options) {
  const auto refuse = [](const std::string& reason) {
    return Error{ErrorCode::kInvalidArgument, "fit: " + reason};
  };
  if (data.label_names.size() < 2) return refuse("fewer than two classes");
  if (data.raw_count == 0 || data.raw.size() != data.size() * data.raw_count) {
    return refuse("rows of different lengths");
  }
  const bool is_knn = options.classifier == classify::ClassifierKind::kKnn;
  if (is_knn && options.anchors_per_class < 1) {
    return refuse("anchors per class must be at least 1");
  }
  if (options.classifier == classify::ClassifierKind::kSoftmax) {
    if (options.standardise || options.project != 0) {
      return refuse(
          "a softmax classifier takes the model's numbers as they are: no standardising "
          "and no projection");
    }
    RETURN_IF_ERROR(CheckOutputs(data.raw_count, data.label_names.size()));
  }
  if (options.processor) {
    if (options.standardise || options.project != 0) {
      return refuse("a processor that is given is taken as it is: no standardising, no projection");
    }
    if (options.processor->mean.size() != data.raw_count) {
      return refuse(StrCat("the processor takes ", options.processor->mean.size(),
                           " numbers, the model gives ", data.raw_count));
    }
  }
  if (options.is_projection_int8 && options.project == 0) {
    return refuse("an int8 projection without a projection");
  }
  if (options.k < 1 || options.k > classify::kNeighboursMax) {
    return refuse(StrCat("k must be 1 to ", classify::kNeighboursMax));
  }
  if (!(options.canary_fraction >= 0.0 && options.canary_fraction <= 0.5)) {
    return refuse("canary fraction must be 0 to 0.5");
  }
  if (!(options.held_out_fraction > 0.0 && options.held_out_fraction <= 0.8)) {
    return refuse("held-out fraction must be above 0, at most 0.8");
  }
  return {};
}

}  // namespace

void TurnPicture(std::span<const std::uint8_t> picture, int width, int height, bool clockwise,
                 std::vector<std::uint8_t>& turned) {
  CHECK(width > 0 && height > 0 &&
        picture.size() == 3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  turned.resize(picture.size());
  const int sine = clockwise ? -5 : 5;
  std::uint8_t* out = turned.data();
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      // Where the pixel came from, in 26ths of a pixel; its whole part and what is left.
      const int across = 2 * x + 1 - width;
      const int down = 2 * y + 1 - height;
      const int from_x = 12 * across - sine * down + 13 * (width - 1);
      const int from_y = sine * across + 12 * down + 13 * (height - 1);
      const auto whole = [](int value) { return value >= 0 ? value / 26 : -((25 - value) / 26); };
      const int left = whole(from_x);
      const int top = whole(from_y);
      const int right_part = from_x - 26 * left;
      const int bottom_part = from_y - 26 * top;
      const auto at = [&](int column, int row, int colour) {
        const int near_x = std::clamp(column, 0, width - 1);
        const int near_y = std::clamp(row, 0, height - 1);
        return static_cast<int>(
            picture[static_cast<std::size_t>((near_y * width + near_x) * 3 + colour)]);
      };
      for (int colour = 0; colour < 3; ++colour) {
        const int upper =
            (26 - right_part) * at(left, top, colour) + right_part * at(left + 1, top, colour);
        const int lower = (26 - right_part) * at(left, top + 1, colour) +
                          right_part * at(left + 1, top + 1, colour);
        *out++ = static_cast<std::uint8_t>(
            ((26 - bottom_part) * upper + bottom_part * lower + 338) / 676);
      }
    }
  }
}

base::Status CheckOutputs(std::size_t outputs, std::size_t labels) {
  if (outputs == labels) return {};
  return Error{ErrorCode::kInvalidArgument,
               StrCat("fit: the model gives ", outputs, " numbers, there are ", labels,
                      " labels; a softmax classifier needs one a number")};
}

base::Result<ModelBundle> FitNothing(const FitData& examples, const FitOptions& options) {
  const std::size_t classes = examples.label_names.size();
  RETURN_IF_ERROR(CheckOutputs(examples.raw_count, classes));
  if (options.standardise || options.project != 0) {
    return Error{ErrorCode::kInvalidArgument,
                 "fit: without data there is nothing to standardise or to project by"};
  }
  ModelBundle bundle;
  bundle.manifest.labels = examples.label_names;
  bundle.config.classifier = classify::ClassifierKind::kSoftmax;
  bundle.config.gives_logits = !AreProbabilities(examples.raw, examples.raw_count);
  bundle.config.seed = options.seed;
  bundle.processor.mean.assign(classes, 0.0f);
  bundle.processor.scale.assign(classes, 1.0f);
  bundle.anchors.dims = bundle.canary.dims = classes;
  bundle.reference.rank.resize(classes);
  ASSIGN_OR_RETURN(classify::Classifier classifier, bundle.MakeClassifier());
  Golden& golden = bundle.golden;
  golden.count = examples.raw.size() / classes;
  golden.raw = golden.features = examples.raw;
  golden.pictures = examples.pictures;
  for (std::size_t i = 0; i < golden.count; ++i) {
    golden.labels.push_back(
        classifier.Classify(std::span(examples.raw).subspan(i * classes, classes)).nearest);
  }
  return bundle;
}

base::Result<Fitted> Fit(const FitData& data, const FitOptions& options) {
  RETURN_IF_ERROR(CheckOptions(data, options));
  base::Random random(options.seed);
  ASSIGN_OR_RETURN(const Split split, Deal(data, options, random));
  const std::vector<std::size_t> fit_rows = Flatten(split.fit);

  Fitted fitted;
  ModelBundle& bundle = fitted.bundle;
  bundle.is_image = data.picture_bytes != 0;
  bundle.manifest.labels = data.label_names;
  bundle.config.classifier = options.classifier;
  bundle.config.gives_logits = options.classifier == classify::ClassifierKind::kSoftmax &&
                               !AreProbabilities(data.raw, data.raw_count);
  bundle.config.knn_scan = options.knn_scan;
  bundle.config.k = options.k;
  bundle.config.metric = options.metric;
  bundle.config.seed = options.seed;

  std::vector<float> fit_raw;
  fit_raw.reserve(fit_rows.size() * data.raw_count);
  for (const std::size_t row : fit_rows) {
    const auto begin = data.raw.begin() + static_cast<std::ptrdiff_t>(row * data.raw_count);
    fit_raw.insert(fit_raw.end(), begin, begin + static_cast<std::ptrdiff_t>(data.raw_count));
  }
  bundle.processor.mean.assign(data.raw_count, 0.0f);
  bundle.processor.scale.assign(data.raw_count, 1.0f);
  if (options.processor) bundle.processor = *options.processor;
  if (options.standardise) {
    ASSIGN_OR_RETURN(bundle.processor, feature::FitStandardise(fit_raw, data.raw_count));
  }
  if (options.project != 0) {
    ASSIGN_OR_RETURN(bundle.processor, feature::FitPca(bundle.processor, fit_raw, options.project));
  }
  if (options.is_projection_int8) {
    base::Random as_below = random;  // The float one draws the same anchors.
    const auto held_out = [&]() -> base::Result<double> {
      base::Random draws = as_below;
      ASSIGN_OR_RETURN(Learned learned, Learn(data, options, split, draws, bundle));
      return AccuracyOn(learned.classifier, learned.features, data, split.held_out);
    };
    ASSIGN_OR_RETURN(const double exact, held_out());
    bundle.processor = Quantise(std::move(bundle.processor));
    ASSIGN_OR_RETURN(const double rounded, held_out());
    if (rounded < exact - options.int8_cost_max) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("fit: an int8 projection gives a held-out accuracy of ",
                          base::FormatShort(rounded), ", a float one ", base::FormatShort(exact),
                          "; at most ", options.int8_cost_max, " less is allowed")};
    }
  }
  ASSIGN_OR_RETURN(Learned learned, Learn(data, options, split, random, bundle));
  const Features& features = learned.features;
  classify::Classifier& classifier = learned.classifier;

  // Held-out samples: how far the usual lies from the anchors, and what a vote is worth.
  bundle.reference.rank.resize(data.label_names.size());
  std::vector<classify::CalibrationPoint> points;
  for (const std::size_t row : split.held_out) {
    const classify::Prediction prediction = classifier.Classify(features[row]);
    bundle.reference.rank[prediction.nearest].push_back(prediction.anchor_distance);
    // Of a head's confidence the distance is no part.
    points.push_back({prediction.share, bundle.is_adaptable() ? prediction.mean_distance : 0.0f,
                      prediction.nearest == data.labels[row]});
  }
  for (std::vector<float>& rank : bundle.reference.rank) std::sort(rank.begin(), rank.end());
  if (points.size() >= 10) {
    ASSIGN_OR_RETURN(bundle.calibration, classify::FitCalibration(points));
  }
  classifier.SetCalibration(bundle.calibration);

  const Moments channels = MomentsOf(data.raw, data.raw_count, fit_rows);
  bundle.reference.channel_mean = channels.mean;
  bundle.reference.channel_sd = channels.sd;
  const Moments feature_moments = MomentsOf(features.values(), features.dims(), fit_rows);
  bundle.reference.feature_mean = feature_moments.mean;
  bundle.reference.feature_sd = feature_moments.sd;
  if (data.picture_bytes != 0) {
    const Moments image = MomentsOf(data.pictures, data.picture_bytes, fit_rows);
    bundle.reference.mean_image = image.mean;
    bundle.reference.sd_image = image.sd;
    bundle.reference.histogram = HistogramOf(data, fit_rows);
  } else {
    LearnClassChannels(data, split, bundle.reference);
    if (data.raw_count <= kCovarianceChannelsMax) {
      bundle.reference.channel_covariance =
          CovarianceOf(data, bundle.reference.channel_mean, fit_rows);
    }
    bundle.reference.channel_mode_share = ModeShareOf(data, fit_rows);
  }
  LearnSignals(data, options, split, features, classifier, bundle);
  bundle.canary = features.Take(split.canary);
  bundle.canary.dims = features.dims();

  // Golden inputs come from what was fitted on least: the canary, else the held-out part.
  const std::vector<std::size_t>& pool = split.canary.empty() ? split.held_out : split.canary;
  Golden& golden = bundle.golden;
  golden.count = std::min<std::size_t>(options.golden, pool.size());
  for (std::size_t i = 0; i < golden.count; ++i) {
    const std::size_t row = pool[i * pool.size() / golden.count];
    const auto raw = std::span(data.raw).subspan(row * data.raw_count, data.raw_count);
    golden.raw.insert(golden.raw.end(), raw.begin(), raw.end());
    const auto feature = features[row];
    golden.features.insert(golden.features.end(), feature.begin(), feature.end());
    golden.labels.push_back(classifier.Classify(feature).nearest);
    if (data.picture_bytes != 0) {
      const auto picture =
          std::span(data.pictures).subspan(row * data.picture_bytes, data.picture_bytes);
      golden.pictures.insert(golden.pictures.end(), picture.begin(), picture.end());
    }
  }
  if (data.picture_bytes == 0) golden.rows = golden.raw;

  FitReport& report = fitted.report;
  if (bundle.anchors.size() > 0) {
    ASSIGN_OR_RETURN(const std::vector<classify::LeftOut> left_out,
                     classify::LeaveOneOut(bundle.ClassifierOptions(), bundle.anchors));
    report.leave_one_out_accuracy = classify::Accuracy(left_out);
    for (const classify::LeftOut& one : left_out) {
      bundle.reference.left_out_label.push_back(one.prediction.nearest);
      bundle.reference.left_out_share.push_back(one.share);
    }
  }
  report.held_out_accuracy = AccuracyOn(classifier, features, data, split.held_out);
  report.canary_accuracy = AccuracyOn(classifier, features, data, split.canary);
  report.ece = CalibrationError(classifier, features, data, pool);
  report.samples = data.size();
  report.anchors = bundle.anchors.size();
  report.held_out = split.held_out.size();
  report.canary = split.canary.size();
  report.dims = features.dims();
  return fitted;
}

base::Json FitReport::Write() const {
  base::Json sizes = base::Json::MakeObject();
  for (const auto& [path, bytes] : files) sizes.Set(path, bytes);
  return base::Json::MakeObject({{"bundle", bundle},
                                 {"samples", samples},
                                 {"skipped", skipped},
                                 {"anchors", anchors},
                                 {"held_out", held_out},
                                 {"canary", canary},
                                 {"dims", dims},
                                 {"leave_one_out_accuracy", leave_one_out_accuracy},
                                 {"held_out_accuracy", held_out_accuracy},
                                 {"canary_accuracy", canary_accuracy},
                                 {"ece", ece},
                                 {"files", std::move(sizes)}});
}

std::string FitReport::Text() const {
  char line[256];
  std::string text =
      StrCat("bundle ", bundle, "\n", samples, " samples (", skipped, " skipped): ", anchors,
             " anchors of ", dims, " numbers, ", held_out, " held out, ", canary, " canary\n");
  if (samples == 0) {
    text = StrCat("bundle ", bundle, "\nno data: the model's ", dims,
                  " numbers answer as they are, nothing is calibrated\n");
  } else {
    std::snprintf(
        line, sizeof line,
        "accuracy: leave-one-out %.4f, held-out %.4f, canary %.4f; calibration error %.4f\n",
        leave_one_out_accuracy, held_out_accuracy, canary_accuracy, ece);
    text += line;
  }
  for (const auto& [path, bytes] : files) text += StrCat("  ", path, "  ", bytes, " bytes\n");
  return text;
}

}  // namespace tinylcm::model
