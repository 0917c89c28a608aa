#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tinylcm/source/framer.h"

namespace tinylcm::source {
namespace {

struct Outcome {
  std::vector<std::string> frames;
  std::vector<std::string> errors;
};

void Collect(Framer& framer, Outcome& outcome) {
  while (auto next = framer.Next()) {
    if (next->ok()) {
      outcome.frames.emplace_back(base::AsText(next->value().picture));
      framer.Recycle(std::move(next->value()));
    } else {
      outcome.errors.push_back(next->error().message);
    }
  }
}

std::unique_ptr<RawFramer> Grey(int width, int height) {
  return RawFramer::Create({.format = PictureFormat::kGray8, .width = width, .height = height})
      .value();
}

TEST(RawFramer, GivesTheSameFramesHoweverTheStreamIsTorn) {
  const std::string stream = "abcdefghijklmnopqr";  // Three frames of 2x3.
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    const auto framer = Grey(2, 3);
    Outcome outcome;
    for (std::size_t i = 0; i < stream.size(); i += piece) {
      framer->Take(base::AsBytes(std::string_view(stream).substr(i, piece)));
      Collect(*framer, outcome);
    }
    framer->End();
    Collect(*framer, outcome);
    EXPECT_EQ(outcome.frames, (std::vector<std::string>{"abcdef", "ghijkl", "mnopqr"})) << piece;
    EXPECT_TRUE(outcome.errors.empty()) << piece;
  }
}

TEST(RawFramer, AFrameCutShortByTheEndOfTheStreamIsAnError) {
  const auto framer = Grey(2, 3);
  Outcome outcome;
  framer->Take(base::AsBytes("abcdefgh"));
  framer->End();
  Collect(*framer, outcome);
  EXPECT_EQ(outcome.frames, std::vector<std::string>{"abcdef"});
  EXPECT_EQ(outcome.errors,
            std::vector<std::string>{"raw frames: the last frame is cut short, 2 of 6 bytes"});
}

TEST(RawFramer, StartsAfreshWhenTheCommandWasStartedAgain) {
  const auto framer = Grey(2, 3);
  Outcome outcome;
  framer->Take(base::AsBytes("abcd"));
  framer->Restart();
  framer->Take(base::AsBytes("ghijkl"));
  Collect(*framer, outcome);
  EXPECT_EQ(outcome.frames, std::vector<std::string>{"ghijkl"});
}

TEST(RawFramer, KnowsHowManyBytesAPictureHas) {
  EXPECT_EQ(RawBytes(PictureFormat::kRgb24, 5, 3), 45u);
  EXPECT_EQ(RawBytes(PictureFormat::kBgr24, 5, 3), 45u);
  EXPECT_EQ(RawBytes(PictureFormat::kGray8, 5, 3), 15u);
  EXPECT_EQ(RawBytes(PictureFormat::kYuv420, 4, 2), 12u);
  EXPECT_EQ(RawBytes(PictureFormat::kYuv420, 5, 3), 15u + 2 * 3 * 2);  // Odd sides are rounded up.
}

TEST(RawFramer, RefusesASizeThatIsMissingOrTooLarge) {
  for (const auto& [width, height] : {std::pair{0, 10}, {10, -1}, {9000, 10}, {8000, 8000}}) {
    const auto framer = RawFramer::Create({.width = width, .height = height});
    ASSERT_FALSE(framer.ok());
    EXPECT_EQ(framer.error().code, base::ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(
      RawFramer::Create({.format = PictureFormat::kCompressed, .width = 2, .height = 2}).ok());
}

TEST(ParsePictureFormat, TakesItsOwnNamesAndNothingElse) {
  for (const auto format : {PictureFormat::kCompressed, PictureFormat::kRgb24,
                            PictureFormat::kBgr24, PictureFormat::kGray8, PictureFormat::kYuv420}) {
    EXPECT_EQ(ParsePictureFormat(Name(format)).value(), format);
  }
  EXPECT_FALSE(ParsePictureFormat("rgb").ok());
}

}  // namespace
}  // namespace tinylcm::source
