// Rows streams: real digits as an array of 64 sensors with a little noise, some of which age.

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/adapt/classes.h"
#include "bench/adapt/streams.h"
#include "tinylcm/model/fit.h"

namespace bench::adapt {

namespace {

namespace model = tinylcm::model;
constexpr std::uint16_t kNovelDigit = 7;
std::string LabelName(int digit) { return std::to_string(digit); }

}  // namespace

namespace {

constexpr std::size_t kChannels = 64;
constexpr std::size_t kRowsQuiet = 320;
constexpr std::size_t kRowsChanged = 700;
constexpr std::size_t kRowsScored = 1200;
constexpr double kNoiseOfRows = 0.05;

// How a seed's array ages.
class AgedArray {
 public:
  AgedArray(Ageing ageing, std::uint64_t seed) : ageing_(ageing) {
    base::Random random(seed ^ 0xa9edu);
    // Corners of the digits are always empty; only channels that say something are drawn.
    std::vector<std::size_t> live;
    for (std::size_t i = 0; i < kChannels; ++i) {
      if (i % 8 != 0 && i % 8 != 7) live.push_back(i);
    }
    for (std::size_t i = live.size(); i > 1; --i) std::swap(live[i - 1], live[random.Below(i)]);
    gain_.fill(1.0f);
    offset_.fill(0.0f);
    for (std::size_t i = 0; i < kChannels; ++i) from_[i] = i;
    const auto change = [&](std::size_t count, float gain, float offset) {
      for (std::size_t i = 0; i < count; ++i) {
        gain_[live[i]] = gain;
        offset_[live[i]] = offset;
      }
    };
    switch (ageing) {
      case Ageing::kNone:
        break;
      case Ageing::kBlock:
        for (std::size_t i = 16; i < 32; ++i) {
          gain_[i] = 0.3f;
          offset_[i] = 1.0f;
        }
        break;
      case Ageing::kSix:
        change(6, 0.2f, 0.8f);
        break;
      case Ageing::kStuck:
        change(10, 0.0f, 0.0f);
        for (std::size_t i = 0; i < 10; ++i) {
          offset_[live[i]] = static_cast<float>(random.Uniform());
          is_silent_[live[i]] = true;
        }
        break;
      case Ageing::kDead:
        change(10, 0.0f, 0.0f);
        for (std::size_t i = 0; i < 10; ++i) is_silent_[live[i]] = true;
        break;
      case Ageing::kSwapped:
        for (std::size_t i = 0; i < kChannels; ++i) from_[i] = (i * 27 + 13) % kChannels;
        break;
    }
  }

  // `part` of the way from quiet (0) to aged (1).
  std::vector<float> Read(const std::array<float, kChannels>& clean, double part,
                          base::Random& random) const {
    std::vector<float> row(kChannels);
    std::array<float, kChannels> noisy;
    for (std::size_t i = 0; i < kChannels; ++i) {
      noisy[i] = clean[i] + static_cast<float>(kNoiseOfRows * random.Normal());
    }
    const auto share = static_cast<float>(part);
    for (std::size_t i = 0; i < kChannels; ++i) {
      const float aged = is_silent_[i] ? offset_[i] : noisy[from_[i]] * gain_[i] + offset_[i];
      row[i] = noisy[i] + share * (aged - noisy[i]);
    }
    return row;
  }

 private:
  Ageing ageing_;
  std::array<float, kChannels> gain_, offset_;
  std::array<bool, kChannels> is_silent_{};
  std::array<std::size_t, kChannels> from_{};
};

struct Digit {
  std::array<float, kChannels> channels{};
  std::uint16_t label = 0;
};

base::Result<std::vector<Digit>> ReadDigits() {
  ASSIGN_OR_RETURN(const std::string text,
                   base::ReadTextFile(base::SystemFileSystem(), TINYMLOPS_DIGITS, 1u << 20));
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

}  // namespace

base::Result<Deal> DealRows(const RowsWorld& world, std::uint64_t seed) {
  ASSIGN_OR_RETURN(std::vector<Digit> digits, ReadDigits());
  base::Random random(seed);
  for (std::size_t i = digits.size(); i > 1; --i) {
    std::swap(digits[i - 1], digits[random.Below(i)]);
  }
  // Half is fitted on, a quarter streamed, a quarter scored.
  const std::size_t half = digits.size() / 2;
  const std::size_t quarter = digits.size() * 3 / 4;
  const bool nine = world.novel > 0.0;
  const AgedArray quiet(Ageing::kNone, seed);
  const AgedArray aged(world.ageing, seed);

  Deal deal;
  const auto label_of = [&](std::uint16_t digit) -> std::uint16_t {
    if (!nine || digit < kNovelDigit) return digit;
    return digit == kNovelDigit ? std::uint16_t{9} : static_cast<std::uint16_t>(digit - 1);
  };
  model::FitData data;
  data.raw_count = kChannels;
  for (int digit = 0; digit < 10; ++digit) {
    if (!nine || digit != kNovelDigit) data.label_names.push_back(LabelName(digit));
  }
  std::array<std::vector<std::size_t>, 10> streamed, scored;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i >= half) {
      (i < quarter ? streamed : scored)[digits[i].label].push_back(i);
      continue;
    }
    if (nine && digits[i].label == kNovelDigit) continue;
    const std::vector<float> row = quiet.Read(digits[i].channels, 0.0, random);
    data.raw.insert(data.raw.end(), row.begin(), row.end());
    data.labels.push_back(label_of(digits[i].label));
  }
  model::FitOptions options;
  options.standardise = true;
  options.metric = tinylcm::classify::Metric::kEuclidean;
  options.anchors_per_class = 60;
  options.seed = seed;
  ASSIGN_OR_RETURN(model::Fitted fitted, model::Fit(data, options));
  fitted.bundle.manifest.name = "digits-rows";
  fitted.bundle.manifest.version = "1.0.0";
  fitted.bundle.manifest.input.kind = protocol::BundleInput::Kind::kRow;
  fitted.bundle.manifest.input.channel_count = static_cast<int>(kChannels);
  fitted.bundle.bundle = std::string(64, nine ? 'a' : 'b');
  deal.bundle = std::make_shared<const model::ModelBundle>(std::move(fitted.bundle));
  deal.names = deal.bundle->manifest.labels;
  if (nine) {
    deal.novel = static_cast<std::uint16_t>(deal.names.size());
    deal.names.push_back(LabelName(kNovelDigit));
  }
  const auto draw = [&](std::size_t count, std::uint64_t which, bool is_scored, bool is_changed,
                        Order order, std::vector<Shown>& to) {
    const std::optional<std::uint16_t> novel =
        nine ? std::optional<std::uint16_t>(kNovelDigit) : std::nullopt;
    Classes classes(order, 10, novel, is_changed || is_scored ? world.novel : 0.0,
                    seed * 977 + (order == Order::kSpells ? which : 0));
    base::Random draws(seed * 31 + which);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint16_t digit = classes.Next();
      const auto& ids = (is_scored ? scored : streamed)[digit];
      double part = is_changed ? 1.0 : 0.0;
      if (is_changed && !is_scored && world.ramp > 0) {
        part = std::min(1.0, static_cast<double>(i + 1) / world.ramp);
      }
      Shown& shown = to.emplace_back();
      shown.frame.row = aged.Read(digits[ids[draws.Below(ids.size())]].channels, part, draws);
      shown.label = label_of(digit);
    }
  };
  draw(kRowsQuiet, 1, false, false, Order::kMixed, deal.quiet);
  draw(kRowsChanged + world.ramp, 2, false, true, world.order, deal.changed);
  const Order scored_order = world.order == Order::kTwoClasses ? world.order : Order::kMixed;
  draw(kRowsScored, 3, true, true, scored_order, deal.scored);
  draw(kRowsScored, 3, true, false, scored_order, deal.scored_quiet);
  if (world.ramp > 0) deal.force_after = world.ramp;
  return deal;
}

}  // namespace bench::adapt
