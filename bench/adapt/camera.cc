// Camera streams: drawn, packed as JPEG, decoded and answered by the example model, as on a device.

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/file_system.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/adapt/classes.h"
#include "bench/adapt/streams.h"
#include "tinylcm/model/engine.h"
#include "tinylcm/model/fit.h"
#include "tools/tinyscene/drawer.h"
#include "tools/tinyscene/export.h"

namespace bench::adapt {

namespace {

namespace model = tinylcm::model;
namespace source = tinylcm::source;
using base::StrCat;

constexpr std::uint64_t kFitPlace = 11;
constexpr std::size_t kFitPerClass = 80;
constexpr std::size_t kQuiet = 320;
constexpr std::size_t kChanged = 440;
constexpr std::size_t kScored = 250;
constexpr std::uint16_t kNovelDigit = 7;

std::string LabelName(int digit) { return std::to_string(digit); }

// What all deals share: the digits, the model, and the fitting frames as the model sees them.
struct Lab {
  std::optional<tinyscene::Digits> digits;
  base::Bytes model;
  source::ImageRule rule;
  model::FitData fit;

  static base::Result<std::unique_ptr<Lab>> Make() {
    auto& fs = base::SystemFileSystem();
    auto lab = std::make_unique<Lab>();
    ASSIGN_OR_RETURN(const base::Bytes csv, base::ReadFile(fs, TINYMLOPS_DIGITS, 1u << 20));
    ASSIGN_OR_RETURN(tinyscene::Digits digits, tinyscene::Digits::Parse(base::AsText(csv)));
    lab->digits.emplace(std::move(digits));
    ASSIGN_OR_RETURN(lab->model, base::ReadFile(fs, TINYMLOPS_CAMERA_MODEL, 16u << 20));
    ASSIGN_OR_RETURN(auto engine, model::OpenEngine(lab->model, {}));
    lab->rule.width = engine->width();
    lab->rule.height = engine->height();
    model::FitData& data = lab->fit;
    data.raw_count = engine->feature_count();
    data.picture_width = lab->rule.width;
    data.picture_height = lab->rule.height;
    data.picture_bytes =
        3 * static_cast<std::size_t>(lab->rule.width) * static_cast<std::size_t>(lab->rule.height);
    source::PictureMaker maker({.rule = lab->rule});
    const auto drawer = tinyscene::MakeDrawer(tinyscene::Kind::kCamera, kFitPlace, *lab->digits);
    std::vector<float> raw(data.raw_count);
    std::vector<std::uint8_t> picture;
    std::vector<std::uint8_t> turned;
    for (const tinyscene::Shot& shot : tinyscene::PlanExport(
             *lab->digits, {.pool = tinyscene::Pool::kT}, kFitPerClass, std::nullopt)) {
      ASSIGN_OR_RETURN(const base::ByteView jpeg, drawer->Draw(shot));
      source::Frame frame;
      frame.picture.assign(jpeg.begin(), jpeg.end());
      RETURN_IF_ERROR(maker.Make(frame.view(), picture));
      RETURN_IF_ERROR(engine->Infer(picture, raw));
      data.raw.insert(data.raw.end(), raw.begin(), raw.end());
      data.pictures.insert(data.pictures.end(), picture.begin(), picture.end());
      data.labels.push_back(static_cast<std::uint16_t>(shot.label));
      for (const bool clockwise : {false, true}) {
        model::TurnPicture(picture, lab->rule.width, lab->rule.height, clockwise, turned);
        RETURN_IF_ERROR(engine->Infer(turned, raw));
        std::vector<float>& all = data.turned_raw[clockwise ? 1 : 0];
        all.insert(all.end(), raw.begin(), raw.end());
      }
    }
    for (int digit = 0; digit < tinyscene::kClasses; ++digit) {
      data.label_names.push_back(LabelName(digit));
    }
    return lab;
  }

  static base::Result<const Lab*> The() {
    static std::mutex mutex;
    static std::unique_ptr<Lab> lab;
    const std::lock_guard lock(mutex);
    if (lab == nullptr) {
      ASSIGN_OR_RETURN(lab, Make());
    }
    return lab.get();
  }
};

// The data without one digit; classes behind it move up by one.
model::FitData Without(const model::FitData& all, std::uint16_t left_out) {
  model::FitData data = all;
  data.raw.clear();
  data.labels.clear();
  data.pictures.clear();
  for (auto& turned : data.turned_raw) turned.clear();
  const auto append = [](const auto& from, std::size_t row, std::size_t width, auto& to) {
    const auto first = from.begin() + static_cast<std::ptrdiff_t>(row * width);
    to.insert(to.end(), first, first + static_cast<std::ptrdiff_t>(width));
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all.labels[i] == left_out) continue;
    append(all.raw, i, all.raw_count, data.raw);
    append(all.pictures, i, all.picture_bytes, data.pictures);
    for (std::size_t way = 0; way < 2; ++way) {
      append(all.turned_raw[way], i, all.raw_count, data.turned_raw[way]);
    }
    const std::uint16_t label = all.labels[i];
    data.labels.push_back(label > left_out ? static_cast<std::uint16_t>(label - 1) : label);
  }
  data.label_names.erase(data.label_names.begin() + left_out);
  return data;
}

base::Result<std::shared_ptr<const model::ModelBundle>> FitBundle(const Lab& lab, bool nine,
                                                                  std::uint64_t seed) {
  static std::mutex mutex;
  static std::map<std::pair<bool, std::uint64_t>, std::shared_ptr<const model::ModelBundle>> made;
  {
    const std::lock_guard lock(mutex);
    const auto found = made.find({nine, seed});
    if (found != made.end()) return found->second;
  }
  model::FitOptions options;
  options.standardise = true;
  options.project = 64;
  options.seed = seed;
  ASSIGN_OR_RETURN(model::Fitted fitted,
                   model::Fit(nine ? Without(lab.fit, kNovelDigit) : lab.fit, options));
  fitted.bundle.image_rule = lab.rule;
  fitted.bundle.feature_model = lab.model;
  fitted.bundle.manifest.name = "digits-camera";
  fitted.bundle.manifest.version = "1.0.0";
  fitted.bundle.bundle = std::string(64, nine ? 'c' : 'd');
  auto bundle = std::make_shared<const model::ModelBundle>(std::move(fitted.bundle));
  const std::lock_guard lock(mutex);
  if (made.size() > 8) made.clear();
  made[{nine, seed}] = bundle;
  return std::shared_ptr<const model::ModelBundle>(bundle);
}

// The digits of pools A and B, dealt anew: half is streamed, half is scored.
struct Dealt {
  std::array<std::vector<std::uint32_t>, tinyscene::kClasses> streamed, scored;

  Dealt(const tinyscene::Digits& digits, base::Random& random) {
    for (int digit = 0; digit < tinyscene::kClasses; ++digit) {
      std::vector<std::uint32_t> ids = digits.Ids(tinyscene::Pool::kA, digit);
      const auto& others = digits.Ids(tinyscene::Pool::kB, digit);
      ids.insert(ids.end(), others.begin(), others.end());
      for (std::size_t i = ids.size(); i > 1; --i) std::swap(ids[i - 1], ids[random.Below(i)]);
      const auto at = static_cast<std::size_t>(digit);
      const auto middle = ids.begin() + static_cast<std::ptrdiff_t>(ids.size() / 2);
      streamed[at].assign(ids.begin(), middle);
      scored[at].assign(middle, ids.end());
    }
  }
};

}  // namespace

namespace {

// What many streams of a seed have in common is drawn once.
class Drawn {
 public:
  using Key = std::tuple<std::uint64_t, int, bool, bool>;  // Seed, order, nine classes, scored.

  const std::vector<Shown>* Find(const Key& key) {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(key);
    return found == kept_.end() ? nullptr : &found->second;
  }
  void Keep(const Key& key, const std::vector<Shown>& shown) {
    const std::lock_guard lock(mutex_);
    kept_.try_emplace(key, shown);
  }

 private:
  std::mutex mutex_;
  std::map<Key, std::vector<Shown>> kept_;  // Never shrinks: some megabytes a seed.
};

Drawn& TheDrawn() {
  static Drawn drawn;
  return drawn;
}

}  // namespace

base::Result<Deal> DealCamera(const CameraWorld& world, std::uint64_t seed) {
  ASSIGN_OR_RETURN(const Lab* lab, Lab::The());
  Deal deal;
  const bool nine = world.novel > 0.0;
  ASSIGN_OR_RETURN(deal.bundle, FitBundle(*lab, nine, seed));
  deal.names = deal.bundle->manifest.labels;
  if (nine) {
    deal.novel = static_cast<std::uint16_t>(deal.names.size());
    deal.names.push_back(LabelName(kNovelDigit));
  }
  // From a digit to its place among the names.
  const auto label_of = [&](std::uint16_t digit) -> std::uint16_t {
    if (!nine || digit < kNovelDigit) return digit;
    return digit == kNovelDigit ? *deal.novel : static_cast<std::uint16_t>(digit - 1);
  };
  base::Random random(seed);
  const Dealt dealt(*lab->digits, random);
  const auto drawer = tinyscene::MakeDrawer(tinyscene::Kind::kCamera, seed, *lab->digits);
  const auto draw = [&](std::size_t count, std::uint32_t first, bool is_scored, bool is_changed,
                        Order order, std::vector<Shown>& to) -> base::Status {
    const Drawn::Key key{seed, static_cast<int>(order), nine, is_scored};
    const bool is_shared = !is_changed;
    if (is_shared) {
      if (const std::vector<Shown>* kept = TheDrawn().Find(key)) {
        to = *kept;
        return {};
      }
    }
    const std::optional<std::uint16_t> novel =
        nine ? std::optional<std::uint16_t>(kNovelDigit) : std::nullopt;
    // The order of the classes hangs on what is drawn, not on how: the pair must be the same one.
    Classes classes(order, tinyscene::kClasses, novel, is_changed || is_scored ? world.novel : 0.0,
                    seed * 977 + (order == Order::kSpells ? first : 0));
    base::Random digits(seed * 31 + first);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint16_t digit = classes.Next();
      const auto& ids = (is_scored ? dealt.scored : dealt.streamed)[digit];
      tinyscene::Shot shot;
      shot.number = first + static_cast<std::uint32_t>(i);
      shot.digit = ids[digits.Below(ids.size())];
      shot.label = digit;
      if (is_changed) shot.drifts = world.drifts;
      if (is_changed && !is_scored && world.ramp > 0) {
        const double part = std::min(1.0, static_cast<double>(i + 1) / world.ramp);
        for (const tinyscene::NamedDrift& drift : tinyscene::kCameraDrifts) {
          shot.drifts.*drift.strength *= part;
        }
      }
      ASSIGN_OR_RETURN(const base::ByteView jpeg, drawer->Draw(shot));
      Shown& shown = to.emplace_back();
      shown.frame.picture.assign(jpeg.begin(), jpeg.end());
      shown.label = label_of(digit);
    }
    if (is_shared) TheDrawn().Keep(key, to);
    return {};
  };
  RETURN_IF_ERROR(draw(kQuiet, 1'000'000, false, false, Order::kMixed, deal.quiet));
  RETURN_IF_ERROR(draw(kChanged + world.ramp, 2'000'000, false, true, world.order, deal.changed));
  // Spells are how samples come; what is right is asked of all classes.
  const Order scored_order = world.order == Order::kTwoClasses ? world.order : Order::kMixed;
  RETURN_IF_ERROR(draw(kScored, 3'000'000, true, true, scored_order, deal.scored));
  RETURN_IF_ERROR(draw(kScored, 3'000'000, true, false, scored_order, deal.scored_quiet));
  if (world.ramp > 0) deal.force_after = world.ramp;
  return deal;
}

}  // namespace bench::adapt
