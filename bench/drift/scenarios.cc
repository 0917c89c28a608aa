#include "bench/drift/scenarios.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/text.h"
#include "tinylcm/drift/detectors/normal.h"

namespace bench_drift {

using tinylcm::drift::Bit;
using tinylcm::drift::IsCategory;
using tinylcm::drift::kSignals;
using tinylcm::drift::NormalProbability;
using tinylcm::drift::Signal;
using tinylcm::drift::SignalMask;

namespace {

float Rank(double z) {
  return static_cast<float>(std::clamp(NormalProbability(z), 0x1p-24, 1.0 - 0x1p-24));
}

}  // namespace

SignalMask Numbers(unsigned count) {
  SignalMask mask = 0;
  for (std::size_t signal = 0; signal < kSignals && count > 0; ++signal) {
    const auto name = static_cast<Signal>(signal);
    if (IsCategory(name)) continue;
    mask |= Bit(name);
    --count;
  }
  return mask;
}

RankStream::RankStream(const Quiet& quiet, std::uint64_t seed) : quiet_(quiet), random_(seed) {
  ranks_.u.fill(std::numeric_limits<float>::quiet_NaN());
  for (std::size_t signal = 0; signal < kSignals; ++signal) {
    if ((quiet.signals >> signal & 1u) != 0) signals_.push_back(static_cast<std::uint8_t>(signal));
  }
}

const Ranks& RankStream::Next(const Change& change) {
  const std::uint32_t classes = quiet_.classes;
  if (classes > 1) {
    const auto any = [&] { return static_cast<std::uint16_t>(random_.Below(classes)); };
    switch (quiet_.order) {
      case Order::kMixed:
        ranks_.predicted = any();
        break;
      case Order::kBlocks:
        if (samples_ % 100 == 0) block_ = {any(), any()};
        ranks_.predicted = block_[random_.Below(2)];
        break;
      case Order::kSkewed:
        ranks_.predicted = random_.Uniform() < 2.0 / 3.0 ? std::uint16_t{0} : any();
        break;
    }
  }
  ++samples_;

  const bool here = change.only_class < 0 || ranks_.predicted == change.only_class;
  const bool drifted = here && (change.part >= 1.0 || random_.Uniform() < change.part);
  // What the signals have in common, and the tie-breaker.
  const double common = quiet_.correlation > 0.0 ? random_.Normal() : 0.0;
  const double own_part = std::sqrt(1.0 - quiet_.correlation);
  const double common_part = std::sqrt(quiet_.correlation);
  const double tie = quiet_.levels > 0 ? random_.Uniform() : 0.0;
  bool first = true;
  for (const std::uint8_t signal : signals_) {
    const auto name = static_cast<Signal>(signal);
    if (name == Signal::kClassMix) {
      const double place = (ranks_.predicted + random_.Uniform()) / classes;
      ranks_.u[signal] = quiet_.order == Order::kMixed
                             ? static_cast<float>(std::min(place, 1.0 - 0x1p-24))
                             : static_cast<float>(std::min(random_.Uniform(), 1.0 - 0x1p-24));
      continue;
    }
    const bool moves = drifted && !IsCategory(name) && (first || change.all_signals);
    if (!moves && quiet_.correlation == 0.0 && quiet_.levels == 0) {
      ranks_.u[signal] = static_cast<float>(std::min(random_.Uniform(), 1.0 - 0x1p-24));
    } else {
      double z = common_part * common;
      if (own_part > 0.0) z += own_part * random_.Normal();
      if (moves) z = change.spread * z + change.shift;
      float u = Rank(z);
      if (quiet_.levels > 0) {
        const double level = std::floor(static_cast<double>(u) * quiet_.levels);
        u = static_cast<float>(std::min((level + tie) / quiet_.levels, 1.0 - 0x1p-24));
      }
      ranks_.u[signal] = u;
    }
    first = false;
  }
  return ranks_;
}

std::vector<Quiet> SeveralSignals() {
  std::vector<Quiet> all;
  const auto name = [](unsigned signals, double correlation, std::uint32_t classes) {
    return base::StrCat(std::to_string(signals), " signals, correlation ",
                        correlation == 0.0   ? "0"
                        : correlation == 1.0 ? "1"
                                             : ".8",
                        ", ", std::to_string(classes), classes == 1 ? " class" : " classes");
  };
  for (const unsigned signals : {2u, 4u, 9u}) {
    for (const double correlation : {0.0, 0.8, 1.0}) {
      for (const std::uint32_t classes : {1u, 10u}) {
        all.push_back({name(signals, correlation, classes), Numbers(signals), classes, correlation,
                       Order::kMixed, 0});
      }
    }
  }
  all.push_back({"4 signals, 10 classes in blocks", Numbers(4), 10, 0.8, Order::kBlocks, 0});
  all.push_back({"4 signals, 10 classes, one frequent", Numbers(4), 10, 0.0, Order::kSkewed, 0});
  all.push_back({"4 signals of 6 levels, 10 classes", Numbers(4), 10, 0.8, Order::kMixed, 6});
  all.push_back({"4 signals, 100 classes", Numbers(4), 100, 0.0, Order::kMixed, 0});
  const SignalMask everything = (SignalMask{1} << kSignals) - 1;
  all.push_back({"all 11 signals, 10 classes", everything, 10, 0.0, Order::kMixed, 0});
  all.push_back({"all 11 signals, correlation .8", everything, 10, 0.8, Order::kMixed, 0});
  const SignalMask categories = Bit(Signal::kQuantTree) | Bit(Signal::kClassMix);
  all.push_back({"two categories, 10 classes", categories, 10, 0.0, Order::kMixed, 0});
  all.push_back({"distance and class mix", Bit(Signal::kAnchorDistance) | Bit(Signal::kClassMix),
                 10, 0.0, Order::kMixed, 0});
  return all;
}

}  // namespace bench_drift
