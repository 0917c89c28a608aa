#include "bench/adapt/streams.h"

#include "base/text.h"

namespace bench::adapt {

namespace {

Stream Camera(std::string name, std::string what, const CameraWorld& world, bool is_quiet = false) {
  return {.name = "camera." + name,
          .what = std::move(what),
          .is_quiet = is_quiet,
          .deal = [world](std::uint64_t seed) { return DealCamera(world, seed); }};
}

Stream Rows(std::string name, std::string what, const RowsWorld& world, bool is_quiet = false) {
  return {.name = "rows." + name,
          .what = std::move(what),
          .is_quiet = is_quiet,
          .deal = [world](std::uint64_t seed) { return DealRows(world, seed); }};
}

}  // namespace

std::vector<Stream> AllStreams(const std::string& data) {
  using base::StrCat;
  std::vector<Stream> all;
  const Order two = Order::kTwoClasses;
  const Order spells = Order::kSpells;
  const tinyscene::Drifts light{.light = kLight};
  const tinyscene::Drifts dirt{.dirt = kDirt};
  const tinyscene::Drifts rotation{.rotation = kRotation};
  all.push_back(Camera("quiet", "nothing changes", {}, true));
  all.push_back(Camera("quiet_two", "nothing changes, two classes are 80 %", {.order = two}, true));
  all.push_back(
      Camera("quiet_spells", "nothing changes, classes in spells", {.order = spells}, true));
  all.push_back(Camera("light", StrCat("light ", kLight), {.drifts = light}));
  all.push_back(Camera("dirt", StrCat("lens dirt ", kDirt), {.drifts = dirt}));
  all.push_back(Camera("rotation", StrCat("turned, ", kRotation), {.drifts = rotation}));
  all.push_back(Camera("noise", StrCat("sensor noise ", kNoise), {.drifts = {.noise = kNoise}}));
  all.push_back(Camera("defocus", StrCat("defocus ", kBlur), {.drifts = {.blur = kBlur}}));
  all.push_back(Camera("light_dirt", "light .45 and dirt .8, the two together",
                       {.drifts = {.light = 0.45, .dirt = 0.8}}));
  all.push_back(Camera("light_rotation", "light .7 and turned by .5, the two together",
                       {.drifts = {.light = 0.7, .rotation = 0.5}}));
  all.push_back(
      Camera("light_two", "light, two classes are 80 %", {.drifts = light, .order = two}));
  all.push_back(
      Camera("rotation_two", "turned, two classes are 80 %", {.drifts = rotation, .order = two}));
  all.push_back(
      Camera("light_spells", "light, classes in spells", {.drifts = light, .order = spells}));
  all.push_back(
      Camera("dirt_gradual", "dirt that grows over 400 frames", {.drifts = dirt, .ramp = 400}));
  all.push_back(Camera("wrecked", "defocus 1 and noise 1: nothing to put right",
                       {.drifts = {.blur = 1.0, .noise = 1.0}}));
  all.push_back(Camera("unseen", "a fifth of the frames show a digit the bundle has never had",
                       {.novel = 0.2}));
  all.push_back(Rows("quiet", "nothing changes", {}, true));
  all.push_back(Rows("quiet_two", "nothing changes, two classes are 80 %", {.order = two}, true));
  all.push_back(
      Rows("quiet_spells", "nothing changes, classes in spells", {.order = spells}, true));
  all.push_back(Rows("block", "16 channels x .3 + 1", {.ageing = Ageing::kBlock}));
  all.push_back(Rows("six", "6 channels x .2 + .8", {.ageing = Ageing::kSix}));
  all.push_back(Rows("stuck", "10 channels stand still", {.ageing = Ageing::kStuck}));
  all.push_back(Rows("dead", "10 channels read 0", {.ageing = Ageing::kDead}));
  all.push_back(Rows("block_two", "16 channels x .3 + 1, two classes are 80 %",
                     {.ageing = Ageing::kBlock, .order = two}));
  all.push_back(Rows("block_spells", "16 channels x .3 + 1, classes in spells",
                     {.ageing = Ageing::kBlock, .order = spells}));
  all.push_back(Rows("block_gradual", "16 channels, worse and worse over 400 rows",
                     {.ageing = Ageing::kBlock, .ramp = 400}));
  all.push_back(Rows("swapped", "every channel reads another one", {.ageing = Ageing::kSwapped}));
  all.push_back(Rows("unseen", "a fifth of the rows are of a digit the bundle has never had",
                     {.novel = 0.2}));
  for (const int batch : {0, 3, 4, 5, 6, 8, 9}) {
    all.push_back(
        {.name = batch == 0 ? "gas.quiet" : StrCat("gas.batch", batch),
         .what =
             batch == 0 ? std::string("unused rows of batches 1 and 2") : StrCat("batch ", batch),
         .is_quiet = batch == 0,
         .deal = [data, batch](std::uint64_t seed) { return DealGas(data, batch, seed); }});
  }
  for (int tenth = 2; tenth <= 10; ++tenth) {
    all.push_back(
        {.name = StrCat("elec2.tenth", tenth),
         .what = StrCat("tenth ", tenth, " of the file, in its order"),
         .deal = [data, tenth](std::uint64_t seed) { return DealElec2(data, tenth, seed); }});
  }
  for (const bool natural : {true, false}) {
    all.push_back(
        {.name = natural ? "weather.quiet" : "weather.drift",
         .what = natural ? "the days from 12,000 on as they were"
                         : "the same days with the drift injected by the source",
         .is_quiet = natural,
         .deal = [data, natural](std::uint64_t seed) { return DealWeather(data, natural, seed); }});
  }
  return all;
}

}  // namespace bench::adapt
