#include "tinylcm/adapt/input_search.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/adapt/picture_hypotheses.h"

namespace tinylcm::adapt {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

Result<InputSearch> InputSearch::Begin(std::vector<InputHypothesis> hypotheses,
                                       InputSearch search) {
  if (hypotheses.empty() || !hypotheses.front().is_identity()) {
    return Error{ErrorCode::kInvalidArgument, "input search: identity must come first"};
  }
  // What was remembered under drift would make the drifted input look near.
  RETURN_IF_ERROR(search.knn_.SetMemory({}));
  RETURN_IF_ERROR(search.Try(std::move(hypotheses)));
  return search;
}

Result<InputSearch> InputSearch::Create(std::vector<InputHypothesis> hypotheses, PictureSize size,
                                        const classify::KnnClassifier& knn, EmbedPicture embed) {
  InputSearch search(knn);
  search.size_ = size;
  search.embed_picture_ = std::move(embed);
  search.picture_.resize(size.bytes());
  return Begin(std::move(hypotheses), std::move(search));
}

Result<InputSearch> InputSearch::Create(std::vector<InputHypothesis> hypotheses,
                                        std::size_t channels, const classify::KnnClassifier& knn,
                                        EmbedRow embed) {
  InputSearch search(knn);
  search.channels_ = channels;
  search.embed_row_ = std::move(embed);
  search.row_.resize(channels);
  return Begin(std::move(hypotheses), std::move(search));
}

Status InputSearch::Try(std::vector<InputHypothesis> hypotheses) {
  picture_transforms_.clear();
  row_transforms_.clear();
  for (const InputHypothesis& hypothesis : hypotheses) {
    if (embed_picture_) {
      ASSIGN_OR_RETURN(PictureTransform transform, PictureTransform::Create(hypothesis, size_));
      picture_transforms_.push_back(std::move(transform));
    } else {
      ASSIGN_OR_RETURN(RowTransform transform, RowTransform::Create(hypothesis, channels_));
      row_transforms_.push_back(std::move(transform));
    }
  }
  round_ = tried_.size();
  for (InputHypothesis& hypothesis : hypotheses) {
    tried_.push_back({.hypothesis = std::move(hypothesis), .features = {}});
  }
  fresh_.resize(hypotheses.size() * knn_.dims());
  return {};
}

template <typename EmbedOne>
Status InputSearch::Measure(std::optional<std::uint16_t> label, EmbedOne embed_one) {
  const std::size_t dims = knn_.dims();
  const std::size_t count = tried_.size() - round_;
  for (std::size_t h = 0; h < count; ++h) {
    RETURN_IF_ERROR(embed_one(h, std::span(fresh_).subspan(h * dims, dims)));
  }
  // Only now, so that a sample that fails half-way counts for none.
  for (std::size_t h = 0; h < count; ++h) {
    Tried& tried = tried_[round_ + h];
    const auto feature = std::span<const float>(fresh_).subspan(h * dims, dims);
    const classify::Prediction prediction = knn_.Classify(feature);
    tried.distance += static_cast<double>(prediction.anchor_distance);
    if (label && prediction.nearest == *label) ++tried.correct;
    tried.features.insert(tried.features.end(), feature.begin(), feature.end());
    ++tried.count;
  }
  if (label && round_ == 0) ++labelled_;
  return {};
}

Status InputSearch::Add(std::span<const std::uint8_t> picture, std::optional<std::uint16_t> label) {
  if (!embed_picture_ || picture.size() != size_.bytes()) {
    return Error{ErrorCode::kInvalidArgument, StrCat("input search: ", picture.size(), " bytes, ",
                                                     picture_.size(), " expected")};
  }
  return Measure(label, [&](std::size_t h, std::span<float> feature) {
    std::copy(picture.begin(), picture.end(), picture_.begin());
    picture_transforms_[h].Apply(picture_);
    return embed_picture_(picture_, feature);
  });
}

Status InputSearch::Add(std::span<const float> row, std::optional<std::uint16_t> label) {
  if (!embed_row_ || row.size() != channels_) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("input search: ", row.size(), " values, ", channels_, " expected")};
  }
  return Measure(label, [&](std::size_t h, std::span<float> feature) {
    std::copy(row.begin(), row.end(), row_.begin());
    row_transforms_[h].Apply(row_);
    return embed_row_(row_, feature);
  });
}

double InputSearch::distance(std::size_t h) const {
  CHECK(tried_[h].count > 0);
  return tried_[h].distance / static_cast<double>(tried_[h].count);
}

namespace {

// Below which share of identity's distance a hypothesis may be served.
double RatioMax(const InputHypothesis& hypothesis, const SearchRule& rule) {
  const bool is_repair =
      std::all_of(hypothesis.steps.begin(), hypothesis.steps.end(),
                  [](const InputStep& step) { return step.kind == StepKind::kRepair; });
  return static_cast<double>(is_repair ? rule.repair_ratio_max : rule.ratio_max);
}

}  // namespace

InputSearchResult InputSearch::Finish(const SearchRule& rule) const {
  InputSearchResult result;
  result.labelled = labelled_;
  result.judged = static_cast<std::size_t>(tried_.front().count);
  std::size_t single = 0;  // Identity, to begin with.
  std::size_t pair = tried_.size();
  for (std::size_t h = 0; h < tried_.size(); ++h) {
    result.scores.push_back({.name = tried_[h].hypothesis.name(),
                             .distance = distance(h),
                             .correct = tried_[h].correct});
    std::size_t& nearest = tried_[h].hypothesis.steps.size() > 1 ? pair : single;
    if (nearest == tried_.size() || distance(h) < distance(nearest)) nearest = h;
  }
  // The first of those that are as good as equal is the least invasive.
  const auto as_good = [&](std::size_t nearest) {
    const bool is_pair = nearest == pair;
    for (std::size_t h = 0; h < nearest; ++h) {
      if ((tried_[h].hypothesis.steps.size() > 1) == is_pair &&
          distance(h) <= static_cast<double>(rule.tie_ratio_max) * distance(nearest)) {
        return h;
      }
    }
    return nearest;
  };
  result.best = as_good(single);
  if (pair < tried_.size() &&
      distance(pair) <= static_cast<double>(rule.pair_ratio_max) * distance(single)) {
    result.best = as_good(pair);
  }
  const InputSearchResult::Score& identity = result.scores.front();
  const InputSearchResult::Score& best = result.scores[result.best];
  result.ratio = identity.distance > 0.0 ? best.distance / identity.distance : 1.0;
  const bool is_nearer =
      result.best != 0 && result.ratio <= RatioMax(tried_[result.best].hypothesis, rule);
  result.is_far = is_nearer && rule.usual_distance > 0.0 &&
                  best.distance > rule.usual_times_max * rule.usual_distance;
  const bool is_near = is_nearer && !result.is_far;
  result.is_vetoed = is_near && best.correct < identity.correct - rule.labels_lost_max;
  result.is_adopted = is_near && !result.is_vetoed;
  if (result.is_adopted) result.hypothesis = tried_[result.best].hypothesis;
  return result;
}

// ---- Stage 1 ----------------------------------------------------------------------------------

namespace {

// The search's answer, but that what is served stays where it is about as good: a correction made
// anew of other samples is a little different each time, and no better.
InputSearchResult Settle(const InputSearch& search, const InputHypothesis& served,
                         const SearchRule& rule) {
  InputSearchResult result = search.Finish(rule);
  if (!result.is_adopted || served.is_identity()) return result;
  for (std::size_t h = 1; h < search.size(); ++h) {
    if (search.hypothesis(h) != served) continue;
    const double ratio = search.distance(h) / search.distance(0);
    const InputSearchResult::Score& score = result.scores[h];
    if (ratio > RatioMax(served, rule) ||
        search.distance(h) >
            static_cast<double>(rule.served_ratio_max) * search.distance(result.best) ||
        score.correct < result.scores[0].correct - rule.labels_lost_max) {
      continue;
    }
    result.best = h;
    result.ratio = ratio;
    result.hypothesis = served;
    break;
  }
  return result;
}

// Which of `count` are measured: all that are labelled, and of the others evenly spread ones.
template <typename IsLabelled>
std::vector<std::size_t> Judged(std::size_t count, std::size_t judged_max, IsLabelled is_labelled) {
  std::vector<std::size_t> others;
  std::vector<std::size_t> judged;
  for (std::size_t i = 0; i < count; ++i) (is_labelled(i) ? judged : others).push_back(i);
  const std::size_t wanted = std::min(others.size(), judged_max);
  for (std::size_t i = 0; i < wanted; ++i) judged.push_back(others[i * others.size() / wanted]);
  std::sort(judged.begin(), judged.end());
  return judged;
}

class PictureSearch {
 public:
  PictureSearch(const PictureReference& reference, const PictureShelf& shelf,
                const SearchRule& rule)
      : reference_(reference),
        shelf_(shelf),
        rule_(rule),
        judged_(Judged(shelf.count, rule.judged_max,
                       [&](std::size_t i) { return shelf.label(i).has_value(); })) {}

  Result<InputSearchResult> Run(const classify::KnnClassifier& knn, EmbedPicture embed,
                                const InputHypothesis& served) {
    PictureStatistics all(reference_.size);
    for (std::size_t i = 0; i < shelf_.count; ++i) {
      if (Read(i)) all.Add(picture_);
    }
    if (all.count() == 0) {
      return Error{ErrorCode::kUnavailable, "input search: no picture can be read"};
    }
    ASSIGN_OR_RETURN(std::vector<InputHypothesis> singles, MakeHypotheses(reference_, all));
    const std::size_t single_count = singles.size();
    if (!served.is_identity()) singles.push_back(served);
    ASSIGN_OR_RETURN(InputSearch search, InputSearch::Create(std::move(singles), reference_.size,
                                                             knn, std::move(embed)));
    RETURN_IF_ERROR(AddAll(search));
    std::size_t best = 0;
    for (std::size_t h = 1; h < single_count; ++h) {
      if (search.distance(h) < search.distance(best)) best = h;
    }
    if (best == 0 ||
        search.distance(best) > static_cast<double>(rule_.pairs_from) * search.distance(0)) {
      return Settle(search, served, rule_);
    }
    const InputStep single = search.hypothesis(best).steps.front();
    ASSIGN_OR_RETURN(std::vector<InputHypothesis> pairs, PairsWith(single));
    const std::size_t first = search.size();
    RETURN_IF_ERROR(search.Try(std::move(pairs)));
    RETURN_IF_ERROR(AddAll(search));
    std::size_t pair = first;
    for (std::size_t h = first; h < search.size(); ++h) {
      if (search.distance(h) < search.distance(pair)) pair = h;
    }
    // A tone beside another step may be another one than by itself.
    if (search.distance(pair) < search.distance(best)) {
      const InputHypothesis found = search.hypothesis(pair);
      if (FamilyOf(found.steps.back().kind) == StepFamily::kTone) {
        ASSIGN_OR_RETURN(std::vector<InputHypothesis> others,
                         TonesAfter({found.steps.front()}, {}));
        std::erase(others, found);
        RETURN_IF_ERROR(search.Try(std::move(others)));
        RETURN_IF_ERROR(AddAll(search));
      }
    }
    return Settle(search, served, rule_);
  }

 private:
  bool Read(std::size_t i) {
    return shelf_.read(i, picture_).ok() && picture_.size() == reference_.size.bytes();
  }

  Status AddAll(InputSearch& search) {
    std::size_t added = 0;
    for (const std::size_t i : judged_) {
      if (!Read(i)) continue;
      RETURN_IF_ERROR(search.Add(std::span<const std::uint8_t>(picture_), shelf_.label(i)));
      ++added;
    }
    if (added > 0) return {};
    return Error{ErrorCode::kUnavailable, "input search: no picture can be read"};
  }

  // Each of `firsts`, then each tone (or only that of `kind`) estimated from what it leaves.
  Result<std::vector<InputHypothesis>> TonesAfter(const std::vector<InputStep>& firsts,
                                                  std::optional<StepKind> kind) {
    std::vector<PictureTransform> transforms;
    std::vector<PictureStatistics> statistics;
    for (const InputStep& first : firsts) {
      ASSIGN_OR_RETURN(PictureTransform transform,
                       PictureTransform::Create(InputHypothesis::Of(first), reference_.size));
      transforms.push_back(std::move(transform));
      statistics.emplace_back(reference_.size);
    }
    std::vector<std::uint8_t> corrected;
    for (const std::size_t i : judged_) {
      if (!Read(i)) continue;
      for (std::size_t f = 0; f < firsts.size(); ++f) {
        corrected = picture_;
        transforms[f].Apply(corrected);
        statistics[f].Add(corrected);
      }
    }
    std::vector<InputHypothesis> pairs;
    for (std::size_t f = 0; f < firsts.size(); ++f) {
      ASSIGN_OR_RETURN(std::vector<InputStep> tones, Tones(reference_, statistics[f]));
      for (InputStep& tone : tones) {
        if (!kind || tone.kind == *kind) pairs.push_back({.steps = {firsts[f], std::move(tone)}});
      }
    }
    return pairs;
  }

  // The single step with each of the other families.
  Result<std::vector<InputHypothesis>> PairsWith(const InputStep& single) {
    const StepFamily family = FamilyOf(single.kind);
    if (family == StepFamily::kTone) {
      std::vector<InputStep> firsts = Filters();
      for (InputStep& turn : Turns()) firsts.push_back(std::move(turn));
      return TonesAfter(firsts, single.kind);
    }
    ASSIGN_OR_RETURN(std::vector<InputHypothesis> pairs, TonesAfter({single}, {}));
    if (family == StepFamily::kTurn) {
      for (InputStep& filter : Filters()) pairs.push_back({.steps = {std::move(filter), single}});
    } else {
      for (InputStep& turn : Turns()) pairs.push_back({.steps = {single, std::move(turn)}});
    }
    return pairs;
  }

  const PictureReference& reference_;
  const PictureShelf& shelf_;
  const SearchRule& rule_;
  std::vector<std::size_t> judged_;
  std::vector<std::uint8_t> picture_;
};

}  // namespace

Result<InputSearchResult> SearchPictures(const PictureReference& reference,
                                         const PictureShelf& shelf,
                                         const classify::KnnClassifier& knn, EmbedPicture embed,
                                         const InputHypothesis& served, const SearchRule& rule) {
  return PictureSearch(reference, shelf, rule).Run(knn, std::move(embed), served);
}

Result<InputSearchResult> SearchRows(const RowReference& reference,
                                     std::span<const SearchedRow> rows,
                                     const classify::KnnClassifier& knn, EmbedRow embed,
                                     const InputHypothesis& served, const SearchRule& rule) {
  const std::size_t channels = reference.mean.size();
  RowStatistics statistics(channels);
  for (const SearchedRow& row : rows) {
    if (row.values.size() == channels) statistics.Add(row.values);
  }
  if (statistics.count() < kRowsNeeded) {
    return Error{ErrorCode::kUnavailable, StrCat("input search: ", statistics.count(), " rows, ",
                                                 kRowsNeeded, " are needed")};
  }
  ASSIGN_OR_RETURN(std::vector<InputHypothesis> hypotheses,
                   MakeRowHypotheses(reference, statistics));
  if (!served.is_identity()) hypotheses.push_back(served);
  ASSIGN_OR_RETURN(InputSearch search,
                   InputSearch::Create(std::move(hypotheses), channels, knn, std::move(embed)));
  for (const std::size_t i : Judged(rows.size(), rule.judged_max,
                                    [&](std::size_t row) { return rows[row].label.has_value(); })) {
    if (rows[i].values.size() != channels) continue;
    RETURN_IF_ERROR(search.Add(rows[i].values, rows[i].label));
  }
  return Settle(search, served, rule);
}

}  // namespace tinylcm::adapt
