#include "tinylcm/drift/conformal_rank.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

base::Result<ConformalRank> ConformalRank::Create(const Options& options) {
  if (options.classes == 0 || options.classes > 65'535) {
    return Error{ErrorCode::kInvalidArgument, "conformal rank: classes must be 1 to 65535"};
  }
  if (options.reservoir == 0) {
    return Error{ErrorCode::kInvalidArgument, "conformal rank: reservoir must be at least 1"};
  }
  if (options.factory.size() > options.classes) {
    return Error{ErrorCode::kInvalidArgument, "conformal rank: factory values of unknown classes"};
  }
  for (const std::vector<float>& values : options.factory) {
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
      return Error{ErrorCode::kInvalidArgument, "conformal rank: a factory value is not finite"};
    }
  }
  return ConformalRank(options);
}

ConformalRank::ConformalRank(const Options& options)
    : options_(options),
      reservoirs_(options.classes),
      seen_(options.classes, 0),
      waiting_(options.hold_back),
      random_(options.seed) {
  for (std::vector<float>& reservoir : reservoirs_) reservoir.reserve(options.reservoir);
  for (std::vector<float>& values : options_.factory) std::sort(values.begin(), values.end());
}

double ConformalRank::Score(std::uint16_t label, float value) {
  CHECK(label < options_.classes);
  CHECK(std::isfinite(value));

  std::uint32_t below = 0;
  std::uint32_t equal = 0;
  const auto meet = [&](float other) {
    below += other < value ? 1u : 0u;
    equal += other == value ? 1u : 0u;
  };
  std::size_t others = reservoirs_[label].size();
  for (const float other : reservoirs_[label]) meet(other);
  for (std::size_t i = 0, at = waiting_first_; i < waiting_count_; ++i) {
    const State::Waiting& other = waiting_[at];
    at = at + 1 == waiting_.size() ? 0 : at + 1;
    if (other.label != label) continue;
    meet(other.value);
    others += 1;
  }
  if (others < options_.live_samples_min && label < options_.factory.size()) {
    // As many as are missing, evenly from the sorted ones, so that few stand for all.
    const std::vector<float>& factory = options_.factory[label];
    const std::size_t taken = std::min(factory.size(), options_.live_samples_min - others);
    for (std::size_t i = 0; i < taken; ++i)
      meet(factory[(2 * i + 1) * factory.size() / (2 * taken)]);
    others += taken;
  }

  // The newcomer's place among equals is drawn, himself included: then the rank is uniform exactly,
  // also for values that repeat.
  const double rank =
      (static_cast<double>(below) + random_.Uniform() * static_cast<double>(equal + 1)) /
      static_cast<double>(others + 1);
  return NormalQuantile(std::clamp(rank, 1e-15, 1.0 - 1e-15));
}

double ConformalRank::Observe(std::uint16_t label, float value) {
  const double score = Score(label, value);
  if (waiting_.empty()) {
    Join(label, value);
    return score;
  }
  if (waiting_count_ == waiting_.size()) {
    const State::Waiting& first = waiting_[waiting_first_];
    Join(first.label, first.value);
    waiting_first_ = (waiting_first_ + 1) % waiting_.size();
    waiting_count_ -= 1;
  }
  waiting_[(waiting_first_ + waiting_count_) % waiting_.size()] = {label, value};
  waiting_count_ += 1;
  return score;
}

void ConformalRank::Join(std::uint16_t label, float value) {
  std::vector<float>& reservoir = reservoirs_[label];
  seen_[label] += 1;
  if (reservoir.size() < options_.reservoir) {
    reservoir.push_back(value);
    return;
  }
  // Vitter's algorithm R: each value seen is in the reservoir with the same probability.
  const std::uint64_t place = random_.Below(seen_[label]);
  if (place < reservoir.size()) reservoir[static_cast<std::size_t>(place)] = value;
}

void ConformalRank::Release() {
  for (std::size_t i = 0; i < waiting_count_; ++i) {
    const State::Waiting& next = waiting_[(waiting_first_ + i) % waiting_.size()];
    Join(next.label, next.value);
  }
  DiscardWaiting();
}

void ConformalRank::DiscardWaiting() {
  waiting_first_ = 0;
  waiting_count_ = 0;
}

void ConformalRank::Reset() {
  for (std::vector<float>& reservoir : reservoirs_) reservoir.clear();
  std::ranges::fill(seen_, 0u);
  DiscardWaiting();
}

std::size_t ConformalRank::live_samples(std::uint16_t label) const {
  CHECK(label < options_.classes);
  std::size_t count = reservoirs_[label].size();
  for (std::size_t i = 0; i < waiting_count_; ++i) {
    count += waiting_[(waiting_first_ + i) % waiting_.size()].label == label ? 1u : 0u;
  }
  return count;
}

ConformalRank::State ConformalRank::state() const {
  State state{.reservoirs = reservoirs_, .seen = seen_, .waiting = {}, .random = random_.state()};
  for (std::size_t i = 0; i < waiting_count_; ++i) {
    state.waiting.push_back(waiting_[(waiting_first_ + i) % waiting_.size()]);
  }
  return state;
}

base::Status ConformalRank::Restore(const State& state) {
  const auto refuse = [](std::string_view what) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("conformal rank: restore: ", what)};
  };
  if (state.reservoirs.size() != options_.classes || state.seen.size() != options_.classes) {
    return refuse("another number of classes");
  }
  for (std::size_t label = 0; label < options_.classes; ++label) {
    const std::vector<float>& reservoir = state.reservoirs[label];
    if (reservoir.size() != std::min<std::uint64_t>(state.seen[label], options_.reservoir)) {
      return refuse("a reservoir of the wrong size");
    }
    if (!std::ranges::all_of(reservoir, [](float value) { return std::isfinite(value); })) {
      return refuse("a value is not finite");
    }
  }
  if (state.waiting.size() > options_.hold_back) return refuse("too many are waiting");
  for (const State::Waiting& waiting : state.waiting) {
    if (waiting.label >= options_.classes) return refuse("an unknown class is waiting");
    if (!std::isfinite(waiting.value)) return refuse("a value is not finite");
  }

  // Copied into what is reserved already, so that the frame path stays free of allocation.
  for (std::size_t label = 0; label < options_.classes; ++label) {
    reservoirs_[label].assign(state.reservoirs[label].begin(), state.reservoirs[label].end());
  }
  seen_ = state.seen;
  DiscardWaiting();
  std::ranges::copy(state.waiting, waiting_.begin());
  waiting_count_ = state.waiting.size();
  random_ = base::Random(state.random);
  return {};
}

}  // namespace tinylcm::drift
