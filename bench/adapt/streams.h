// Streams: what a device sees before and after something changed, dealt anew by every seed.
//
// A deal is a little experiment: a bundle fitted on some of the data, quiet samples to get used to,
// changed samples to be adapted on, and samples that are only scored. No digit (or row of a file)
// is in two of these. What the change is stands in the stream's name.
//
//   camera   digits on paper (tools/tinyscene), JPEG, the example model; pools A and B are dealt
//            anew, pool T is fitted on; a seed is also a place: where the dirt sits
//   rows     the same digits as 64 channels with noise; some channels age
//   gas, elec2, weather   files of TINYMLOPS_DATA; nothing of ours was ever tuned on them

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/source/frame.h"
#include "tools/tinyscene/drifts.h"

namespace bench::adapt {

struct Shown {
  tinylcm::source::Frame frame;
  std::uint16_t label = 0;  // Of Deal::names.
};

struct Deal {
  std::shared_ptr<const tinylcm::model::ModelBundle> bundle;
  std::vector<std::string> names;      // Of all classes, those no bundle knows last.
  std::optional<std::uint16_t> novel;  // The class that no bundle knows.
  std::vector<Shown> quiet;            // Before the change.
  std::vector<Shown> changed;          // After it, in order.
  std::vector<Shown> scored;           // After it, never shown to the device.
  std::vector<Shown> scored_quiet;     // Like scored, as if nothing had changed.
  // How many of `changed` an experiment collects; fewer where a file holds no more.
  std::uint32_t quarantine = 300;
  // How many changed samples may pass before an alarm is made where none comes by itself.
  std::uint32_t force_after = 20;
};

struct Stream {
  std::string name;       // "camera.light"
  std::string what;       // In words.
  bool is_quiet = false;  // Nothing is wrong: the best that can be done is nothing.
  // Fails where the data are not there (kNotFound).
  std::function<base::Result<Deal>(std::uint64_t seed)> deal;
};

// Safe to deal from several threads. `data`: TINYMLOPS_DATA, may be empty.
std::vector<Stream> AllStreams(const std::string& data);

// ---- What the streams are made of --------------------------------------------------------------

// In which order classes come.
enum class Order {
  kMixed,
  kTwoClasses,  // Four of five samples are of two classes, drawn by the seed.
  kSpells,      // A hundred samples of two classes, then of two others.
};

struct CameraWorld {
  tinyscene::Drifts drifts = {};
  Order order = Order::kMixed;
  std::uint32_t ramp = 0;  // So many samples until the drift has its full strength.
  double novel = 0.0;      // Share of frames showing a class the bundle does not know (the 7).
};
base::Result<Deal> DealCamera(const CameraWorld& world, std::uint64_t seed);

enum class Ageing {
  kNone,
  kBlock,   // 16 channels side by side, gain .3 and 1 more.
  kSix,     // 6 channels by lot, gain .2 and .8 more.
  kStuck,   // 10 channels by lot stand still at a value of their own.
  kDead,    // 10 channels by lot read 0.
  kSwapped  // Every channel reads another one: nothing that a gain could undo.
};
struct RowsWorld {
  Ageing ageing = Ageing::kNone;
  Order order = Order::kMixed;
  std::uint32_t ramp = 0;
  double novel = 0.0;
};
base::Result<Deal> DealRows(const RowsWorld& world, std::uint64_t seed);

// batch 0: rows of batches 1 and 2 that nothing was fitted on.
base::Result<Deal> DealGas(const std::string& data, int batch, std::uint64_t seed);
// Tenth 2 to 10 of the file; fitted on the first.
base::Result<Deal> DealElec2(const std::string& data, int tenth, std::uint64_t seed);
// From the day on which the drift was injected; `natural`: the same days as they were.
base::Result<Deal> DealWeather(const std::string& data, bool natural, std::uint64_t seed);

// The strength of a drift that costs the example model 20 points: found by `adapt_quality
// --calibrate` on seeds 1001 to 1003, which nothing is reported on.
inline constexpr double kLight = 0.727;
inline constexpr double kDirt = 0.742;
inline constexpr double kRotation = 0.602;
inline constexpr double kBlur = 0.883;
inline constexpr double kNoise = 0.335;

}  // namespace bench::adapt
