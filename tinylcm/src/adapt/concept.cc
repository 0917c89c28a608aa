#include "tinylcm/adapt/concept.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/aligned.h"
#include "base/crypto.h"
#include "base/random.h"
#include "base/text.h"
#include "tinylcm/src/state/wire.h"

namespace tinylcm::adapt {

using base::Bytes;
using base::ByteView;
using base::Error;
using base::ErrorCode;
using base::FormatShort;
using base::Result;
using base::StrCat;
using state::WireReader;
using state::WireWriter;

namespace {

constexpr std::array<std::uint8_t, 4> kMagic = {'T', 'L', 'C', 'K'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kNearest = 3;
// A distance below it counts as this far: the logarithm of a sample seen twice is not minus
// infinity.
constexpr double kDistanceMin = 1e-6;

bool AllFinite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(),
                     [](float value) { return std::isfinite(value); });
}

// Rows as classify::MeasureRows wants them: padded, and of unit length for the cosine.
class Crowd {
 public:
  Crowd(classify::Metric metric, std::size_t dims, std::span<const float> rows)
      : metric_(metric),
        dims_(dims),
        stride_(classify::PaddedSize(dims)),
        count_(rows.size() / dims),
        rows_(stride_ * count_, 0.0f),
        query_(stride_, 0.0f),
        distances_(count_) {
    for (std::size_t i = 0; i < count_; ++i) {
      Put(rows.subspan(i * dims_, dims_), rows_.data() + i * stride_);
    }
  }

  // Mean distance of `row` to the nearest three; `left_out`: as if that one were not there.
  double Distance(std::span<const float> row, std::optional<std::size_t> left_out = std::nullopt) {
    Put(row, query_.data());
    classify::MeasureRows(metric_, query_.data(), rows_.data(), count_, stride_, distances_.data());
    if (left_out) distances_[*left_out] = std::numeric_limits<float>::infinity();
    std::partial_sort(distances_.begin(), distances_.begin() + kNearest, distances_.end());
    double sum = 0.0;
    for (std::size_t i = 0; i < kNearest; ++i) sum += static_cast<double>(distances_[i]);
    return sum / kNearest;
  }

 private:
  void Put(std::span<const float> row, float* out) const {
    std::copy(row.begin(), row.end(), out);
    if (metric_ != classify::Metric::kCosine) return;
    const double squares = classify::SumOfSquares(out, stride_);
    if (squares > 0.0) {
      classify::Scale(out, static_cast<float>(1.0 / std::sqrt(squares)), stride_, out);
    }
  }

  classify::Metric metric_;
  std::size_t dims_;
  std::size_t stride_;
  std::size_t count_;
  base::AlignedVector<float> rows_;
  base::AlignedVector<float> query_;
  std::vector<float> distances_;
};

std::size_t MembersOf(std::size_t dims) {
  const std::size_t fit = ConceptSketch::kBytesMax / (dims * sizeof(float));
  return std::clamp(fit, ConceptSketch::kMembersMin, ConceptSketch::kMembersMax);
}

// A random selection of `count` rows, in their order.
std::vector<float> Select(std::span<const float> rows, std::size_t dims, std::size_t count,
                          std::uint64_t seed) {
  std::size_t left = rows.size() / dims;
  std::size_t wanted = std::min(count, left);
  base::Random random(seed);
  std::vector<float> selected;
  selected.reserve(wanted * dims);
  for (std::size_t at = 0; wanted > 0; at += dims, --left) {
    if (random.Below(left) >= wanted) continue;
    const std::span<const float> row = rows.subspan(at, dims);
    selected.insert(selected.end(), row.begin(), row.end());
    --wanted;
  }
  return selected;
}

base::Status CheckRows(std::span<const float> rows, std::size_t dims, const char* what) {
  if (dims == 0 || rows.size() % dims != 0 || rows.size() / dims < ConceptSketch::kMembersMin) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("concept: ", dims == 0 ? 0 : rows.size() / dims, " ", what, ", at least ",
                        ConceptSketch::kMembersMin, " are needed")};
  }
  if (!AllFinite(rows)) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("concept: ", what, ": a number is not finite")};
  }
  return {};
}

// The rank of `distance` among `usual`, in (0, 1).
double Rank(double distance, const std::vector<float>& usual) {
  const float value = static_cast<float>(distance);
  const auto low = std::lower_bound(usual.begin(), usual.end(), value);
  const auto high = std::upper_bound(low, usual.end(), value);
  const double below = static_cast<double>(low - usual.begin());
  const double equal = static_cast<double>(high - low);
  return (below + 0.5 * equal + 0.5) / (static_cast<double>(usual.size()) + 1.0);
}

double NormalCdf(double z) { return 0.5 * std::erfc(-z / std::sqrt(2.0)); }

}  // namespace

Result<ConceptSketch> ConceptSketch::Of(std::span<const float> features, std::size_t dims,
                                        classify::Metric metric, std::uint64_t seed) {
  RETURN_IF_ERROR(CheckRows(features, dims, "samples"));
  ConceptSketch sketch;
  sketch.metric = metric;
  sketch.dims = dims;
  sketch.members = Select(features, dims, MembersOf(dims), seed);
  Crowd crowd(metric, dims, sketch.members);
  for (std::size_t i = 0; i < sketch.size(); ++i) {
    const std::span<const float> row =
        std::span<const float>(sketch.members).subspan(i * dims, dims);
    sketch.usual.push_back(static_cast<float>(crowd.Distance(row, i)));
  }
  std::sort(sketch.usual.begin(), sketch.usual.end());
  return sketch;
}

Result<ConceptSketch> ConceptSketch::OfBundle(const classify::Anchors& anchors,
                                              const classify::Anchors& canary,
                                              classify::Metric metric, std::uint64_t seed) {
  RETURN_IF_ERROR(CheckRows(anchors.vectors, anchors.dims, "anchors"));
  RETURN_IF_ERROR(CheckRows(canary.vectors, canary.dims, "samples of the canary"));
  if (anchors.dims != canary.dims) {
    return Error{ErrorCode::kInvalidArgument, "concept: anchors and canary differ in dimensions"};
  }
  ConceptSketch sketch;
  sketch.metric = metric;
  sketch.dims = anchors.dims;
  sketch.members = Select(anchors.vectors, anchors.dims, MembersOf(anchors.dims), seed);
  Crowd crowd(metric, sketch.dims, sketch.members);
  for (std::size_t i = 0; i < canary.size(); ++i) {
    sketch.usual.push_back(static_cast<float>(crowd.Distance(canary.row(i))));
  }
  std::sort(sketch.usual.begin(), sketch.usual.end());
  return sketch;
}

Recognition Recognise(std::span<const ConceptSketch* const> sketches,
                      std::span<const float> features, std::size_t dims,
                      const RecogniseRule& rule) {
  Recognition result;
  result.scores.resize(sketches.size());
  const std::size_t rows = dims == 0 ? 0 : features.size() / dims;
  if (rows < std::max<std::size_t>(2, rule.samples_min)) {
    result.why = StrCat(rows, " samples are too few to recognise anything by");
    return result;
  }
  if (features.size() != rows * dims || !AllFinite(features)) {
    result.why = "the samples are not whole";
    return result;
  }
  const double n = static_cast<double>(rows);
  std::vector<std::vector<double>> logs(sketches.size());
  std::optional<std::size_t> best, second;
  for (std::size_t s = 0; s < sketches.size(); ++s) {
    const ConceptSketch& sketch = *sketches[s];
    Recognition::Score& score = result.scores[s];
    if (sketch.dims != dims || sketch.size() < ConceptSketch::kMembersMin || sketch.usual.empty()) {
      score.distance = std::numeric_limits<double>::infinity();
      score.strange = std::numeric_limits<double>::infinity();
      continue;
    }
    Crowd crowd(sketch.metric, dims, sketch.members);
    double sum = 0.0, ranks = 0.0;
    for (std::size_t i = 0; i < rows; ++i) {
      const double distance = crowd.Distance(features.subspan(i * dims, dims));
      logs[s].push_back(std::log(std::max(distance, kDistanceMin)));
      sum += logs[s].back();
      ranks += Rank(distance, sketch.usual);
    }
    const double m = static_cast<double>(sketch.usual.size());
    score.distance = std::exp(sum / n);
    score.strange = (ranks / n - 0.5) / std::sqrt((1.0 / n + 1.0 / m) / 12.0);
    if (!best || score.distance < result.scores[*best].distance) {
      second = best;
      best = s;
    } else if (!second || score.distance < result.scores[*second].distance) {
      second = s;
    }
  }
  if (!best) {
    result.why = "nothing is known that they could be compared with";
    return result;
  }
  if (result.scores[*best].strange > rule.strange_max) {
    result.why = StrCat("unlike anything known: the nearest is ",
                        FormatShort(result.scores[*best].strange), " standard deviations off");
    return result;
  }
  result.sure = 1.0;
  if (second) {
    double mean = 0.0, squares = 0.0;
    for (std::size_t i = 0; i < rows; ++i) {
      const double nearer_by = logs[*second][i] - logs[*best][i];
      mean += nearer_by / n;
      squares += nearer_by * nearer_by / n;
    }
    const double error = std::sqrt(std::max(0.0, squares - mean * mean) / (n - 1.0));
    result.sure = error > 0.0 ? NormalCdf(mean / error) : mean > 0.0 ? 1.0 : 0.5;
  }
  if (result.sure < rule.sure_min) {
    result.why = StrCat("two that are known are as near as each other (", FormatShort(result.sure),
                        " sure)");
    return result;
  }
  result.which = best;
  result.why = StrCat("as it was before, ", FormatShort(result.scores[*best].strange),
                      " standard deviations off, ", FormatShort(result.sure), " sure");
  return result;
}

void ConceptCache::Learn(const std::string& event_id, ConceptSketch sketch, double distance_after,
                         std::shared_ptr<const Adaptation> adaptation) {
  CHECK(adaptation != nullptr);
  KnownConcept learned;
  learned.event_id = event_id;
  learned.adaptation_sha256 = base::Sha256Hex(Serialise(*adaptation));
  learned.last_met = ++meetings_;
  learned.distance_after = distance_after;
  learned.adaptation = std::move(adaptation);
  // Either's samples lie among the other's as among themselves: one stream, met twice.
  const auto is_same = [&](const KnownConcept& known) {
    if (known.event_id == event_id) return true;
    const auto lies_among = [](const ConceptSketch& one, const ConceptSketch& other) {
      const ConceptSketch* const only[] = {&other};
      RecogniseRule rule;
      rule.samples_min = ConceptSketch::kMembersMin;
      return adapt::Recognise(only, one.members, one.dims, rule).which.has_value();
    };
    return lies_among(sketch, known.sketch) && lies_among(known.sketch, sketch);
  };
  for (auto it = concepts_.begin(); it != concepts_.end();) {
    if (is_same(*it)) {
      learned.met = std::max(learned.met, it->event_id == event_id ? it->met : it->met + 1);
      it = concepts_.erase(it);
    } else {
      ++it;
    }
  }
  learned.sketch = std::move(sketch);
  if (concepts_.size() == kConceptsMax) {
    concepts_.erase(std::min_element(
        concepts_.begin(), concepts_.end(),
        [](const KnownConcept& a, const KnownConcept& b) { return a.last_met < b.last_met; }));
  }
  concepts_.push_back(std::move(learned));
}

ConceptCache::Answer ConceptCache::Recognise(const ConceptSketch* own,
                                             std::span<const float> features, std::size_t dims,
                                             const RecogniseRule& rule) const {
  std::vector<const ConceptSketch*> sketches;
  if (own != nullptr) sketches.push_back(own);
  const std::size_t first = sketches.size();
  for (const KnownConcept& known : concepts_) sketches.push_back(&known.sketch);
  Answer answer;
  answer.recognition = adapt::Recognise(sketches, features, dims, rule);
  if (!answer.recognition.which) return answer;
  const std::size_t which = *answer.recognition.which;
  answer.is_own = which < first;
  if (!answer.is_own) answer.found = &concepts_[which - first];
  return answer;
}

std::size_t ConceptCache::ForgetAdaptation(const std::string& adaptation_sha256) {
  return std::erase_if(concepts_, [&](const KnownConcept& known) {
    return known.adaptation_sha256 == adaptation_sha256;
  });
}

std::size_t ConceptCache::ForgetLabel(const std::string& sample_id) {
  return std::erase_if(concepts_, [&](const KnownConcept& known) {
    const auto& labels = known.adaptation->labels;
    return std::any_of(labels.begin(), labels.end(),
                       [&](const Label& label) { return label.sample_id == sample_id; });
  });
}

Bytes ConceptCache::Save() const {
  WireWriter writer;
  writer.Raw(kMagic);
  writer.U32(kVersion);
  writer.Text(bundle_);
  writer.U64(meetings_);
  writer.U32(static_cast<std::uint32_t>(concepts_.size()));
  for (const KnownConcept& known : concepts_) {
    writer.Text(known.event_id);
    writer.U64(known.met);
    writer.U64(known.last_met);
    writer.F64(known.distance_after);
    writer.U8(static_cast<std::uint8_t>(known.sketch.metric));
    writer.U32(static_cast<std::uint32_t>(known.sketch.dims));
    writer.Floats(known.sketch.members);
    writer.Floats(known.sketch.usual);
    writer.Blob(Serialise(*known.adaptation));
  }
  writer.U32(base::Crc32c(writer.bytes()));
  return writer.Take();
}

Result<ConceptCache> ConceptCache::Parse(const std::string& bundle, ByteView bytes) {
  const auto corrupt = [](std::string_view what) {
    return Error{ErrorCode::kCorrupt, StrCat("concepts: ", what)};
  };
  ASSIGN_OR_RETURN(auto framed, state::OpenFrame(bytes, kMagic, kVersion, kVersion, "concepts"));
  WireReader& reader = framed.reader;
  ConceptCache cache(reader.Text());
  cache.meetings_ = reader.U64();
  const std::uint32_t count = reader.Count(41);
  if (!reader.ok() || count > kConceptsMax) return corrupt("sizes do not fit together");
  if (cache.bundle_ != bundle) {
    return Error{ErrorCode::kInvalidArgument, "concepts: are another bundle's"};
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    KnownConcept known;
    known.event_id = reader.Text();
    known.met = reader.U64();
    known.last_met = reader.U64();
    known.distance_after = reader.F64();
    const std::uint8_t metric = reader.U8();
    known.sketch.metric = static_cast<classify::Metric>(metric);
    known.sketch.dims = reader.U32();
    known.sketch.members = reader.Floats();
    known.sketch.usual = reader.Floats();
    const ByteView adaptation = reader.Blob();
    const std::size_t dims = known.sketch.dims;
    if (!reader.ok()) return corrupt("cut short");
    if (metric > static_cast<std::uint8_t>(classify::Metric::kManhattan) || dims == 0 ||
        known.sketch.members.size() % dims != 0 ||
        known.sketch.size() < ConceptSketch::kMembersMin || !AllFinite(known.sketch.members) ||
        !AllFinite(known.sketch.usual) || !std::isfinite(known.distance_after) ||
        !std::is_sorted(known.sketch.usual.begin(), known.sketch.usual.end())) {
      return corrupt("sizes do not fit together");
    }
    ASSIGN_OR_RETURN(Adaptation parsed, ParseAdaptation(adaptation));
    known.adaptation_sha256 = base::Sha256Hex(adaptation);
    known.adaptation = std::make_shared<const Adaptation>(std::move(parsed));
    cache.concepts_.push_back(std::move(known));
  }
  if (!reader.ok() || !reader.at_end()) return corrupt("bytes left over");
  return cache;
}

}  // namespace tinylcm::adapt
