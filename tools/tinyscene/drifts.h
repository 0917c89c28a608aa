// Drifts: what may be wrong with the world today, each as a strength from 0 (nothing) to 1.
//
//   strength  unit behind it                                              at 1
//   light     share of the linear light lost, with a warm cast            .9 lost, red x 1.25, blue
//   x .55 blur      defocus: radius of the disk a point becomes                 16 px of the
//   160x120 frame noise     sensor noise in linear light (read sd; shot variance)       sd .364;
//   .2406 x light rotation  the camera turned about its axis                            45 degrees
//   dirt      opacity of five soft blobs at fixed places on the lens      1 (opaque in the middle)
//   cast      colour cast, brightness of green kept                       red x 1.6, blue x .4
//   unseen    share of frames that show the class left out everywhere else (--unseen-class)
//
//   aged      sensor rows: one readout block, rows 2 and 3 of the array     gain .3, bias + 1 full
//   scale
//             (channels 16..31)
//
// In between the unit is proportional to the strength. A camera knows the first seven, a sensor
// array "aged" and "unseen".

#pragma once

#include <array>
#include <span>

namespace tinyscene {

enum class Kind { kCamera, kRows };

struct Drifts {
  double light = 0;
  double blur = 0;
  double noise = 0;
  double rotation = 0;
  double dirt = 0;
  double cast = 0;
  double aged = 0;

  friend bool operator==(const Drifts&, const Drifts&) = default;
};

struct NamedDrift {
  const char* name;
  double Drifts::* strength;
};

// In the order of the truth file's columns.
inline constexpr std::array<NamedDrift, 6> kCameraDrifts = {{{"light", &Drifts::light},
                                                             {"blur", &Drifts::blur},
                                                             {"noise", &Drifts::noise},
                                                             {"rotation", &Drifts::rotation},
                                                             {"dirt", &Drifts::dirt},
                                                             {"cast", &Drifts::cast}}};
inline constexpr std::array<NamedDrift, 1> kRowDrifts = {{{"aged", &Drifts::aged}}};

inline std::span<const NamedDrift> DriftsOf(Kind kind) {
  return kind == Kind::kCamera ? std::span<const NamedDrift>(kCameraDrifts)
                               : std::span<const NamedDrift>(kRowDrifts);
}

}  // namespace tinyscene
