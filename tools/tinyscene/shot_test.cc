#include "tools/tinyscene/shot.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/file_system.h"

namespace tinyscene {
namespace {

const Digits& TheDigits() {
  static const Digits digits =
      Digits::Parse(
          base::ReadTextFile(base::SystemFileSystem(), "examples/digits/digits.csv", 1u << 20)
              .value())
          .value();
  return digits;
}

TEST(ChooseShot, TakesDigitsOfThePoolAndEveryClassAboutAsOften) {
  std::array<int, kClasses> counts{};
  constexpr int kShots = 5000;
  for (std::uint32_t number = 0; number < kShots; ++number) {
    const Shot shot = ChooseShot(TheDigits(), 1, number, {.pool = Pool::kB}, {});
    EXPECT_EQ(TheDigits().pool_of(shot.digit), Pool::kB);
    EXPECT_EQ(TheDigits().digit(shot.digit).label, shot.label);
    ++counts[static_cast<std::size_t>(shot.label)];
  }
  // Expected 500 each with deviation sqrt(5000 * .1 * .9) = 21; five of them.
  for (const int count : counts) EXPECT_NEAR(count, 500, 106);
}

TEST(ChooseShot, ShowsTheClassLeftOutInTheShareAskedForOnly) {
  int shown = 0;
  for (std::uint32_t number = 0; number < 2000; ++number) {
    EXPECT_NE(ChooseShot(TheDigits(), 1, number, {}, 7).label, 7);
    shown += ChooseShot(TheDigits(), 1, number, {.unseen = .2}, 7).label == 7 ? 1 : 0;
  }
  EXPECT_NEAR(shown, 400, 90);  // Five deviations of sqrt(2000 * .2 * .8) = 18.
}

TEST(Truth, ReadsBackWhatItWrote) {
  const Shot frame{.number = 4'000'000'000u,
                   .digit = 3,
                   .label = 3,
                   .pool = Pool::kA,
                   .drifts = {.light = .5, .dirt = .85},
                   .dropped = true};
  const Shot row{.number = 17, .digit = 0, .label = 0, .pool = Pool::kB, .drifts = {.aged = .25}};
  EXPECT_EQ(TruthLine(Kind::kCamera, frame), "4000000000,3,3,A,0.5,0,0,0,0.85,0,1\n");
  EXPECT_EQ(TruthLine(Kind::kRows, row), "17,0,0,B,0.25,0\n");
  EXPECT_EQ(TruthHeader(Kind::kCamera),
            "frame,digit,label,pool,light,blur,noise,rotation,dirt,cast,dropped\n");
  for (const auto& [kind, shot] : {std::pair(Kind::kCamera, frame), std::pair(Kind::kRows, row)}) {
    const auto shots =
        ParseTruth(TruthHeader(kind) + TruthLine(kind, shot), kind, TheDigits()).value();
    ASSERT_EQ(shots.size(), 1u);
    EXPECT_EQ(shots[0], shot);
  }
}

TEST(Truth, NamesTheLineThatIsWrong) {
  const auto error = [](const std::string& line) {
    return ParseTruth(TruthHeader(Kind::kRows) + line, Kind::kRows, TheDigits()).error().message;
  };
  EXPECT_EQ(error("1,0,0,B,0,0\n1,0\n"), "line 3: 2 fields, expected 6");
  EXPECT_EQ(error("1,9999,0,A,0,0\n"), "line 2: digit: 9999 is not in 0..1796");
  EXPECT_EQ(error("1,0,5,A,0,0\n"), "line 2: label: digit 0 is a 0, not a 5");
  EXPECT_EQ(error("1,0,0,Q,0,0\n"), "line 2: pool: \"Q\" is not T, A or B");
  EXPECT_EQ(error("1,0,0,A,0,0\n"), "line 2: pool: digit 0 is of B, not of A");
  EXPECT_EQ(error("1,0,0,B,2,0\n"), "line 2: aged: 2 is not a strength from 0 to 1");
  EXPECT_EQ(ParseTruth("seq\n", Kind::kRows, TheDigits()).error().message,
            "line 1: expected seq,digit,label,pool,aged,dropped");
}

}  // namespace
}  // namespace tinyscene
