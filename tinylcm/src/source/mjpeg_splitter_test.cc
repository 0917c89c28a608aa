#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tinylcm/source/framer.h"

namespace tinylcm::source {
namespace {

using base::Bytes;

void Append(Bytes& to, const Bytes& from) { to.insert(to.end(), from.begin(), from.end()); }

// SOI, one APP0 segment of `header` bytes, a scan with the given entropy-coded bytes, EOI.
Bytes Jpeg(const Bytes& header, const Bytes& scan) {
  Bytes out = {0xff, 0xd8, 0xff, 0xe0};
  const std::size_t length = header.size() + 2;
  out.push_back(static_cast<std::uint8_t>(length >> 8));
  out.push_back(static_cast<std::uint8_t>(length & 0xff));
  Append(out, header);
  Append(out, {0xff, 0xda, 0x00, 0x03, 0x00});
  Append(out, scan);
  Append(out, {0xff, 0xd9});
  return out;
}

const Bytes kFirst = Jpeg({1, 2, 3}, {7, 7, 0xff, 0x00, 7, 0xff, 0xd3, 7});
// A thumbnail in its header, with a start and an end of its own.
const Bytes kSecond = Jpeg({0xff, 0xd8, 0xff, 0xd9, 0x00}, {8, 8});

struct Outcome {
  std::vector<Bytes> frames;
  std::vector<std::string> errors;
};

void Collect(MjpegSplitter& splitter, Outcome& outcome) {
  while (auto next = splitter.Next()) {
    if (next->ok()) {
      outcome.frames.push_back(next->value().picture);
    } else {
      outcome.errors.push_back(next->error().message);
    }
  }
}

// Feeds the stream in pieces of `piece` bytes.
Outcome Split(const Bytes& stream, std::size_t piece, MjpegSplitter::Options options = {}) {
  MjpegSplitter splitter(options);
  Outcome outcome;
  for (std::size_t i = 0; i < stream.size(); i += piece) {
    splitter.Take(base::ByteView(stream).subspan(i, std::min(piece, stream.size() - i)));
    Collect(splitter, outcome);
  }
  splitter.End();
  Collect(splitter, outcome);
  return outcome;
}

TEST(MjpegSplitter, GivesTheSameFramesHoweverTheStreamIsTorn) {
  Bytes stream = kFirst;
  Append(stream, kSecond);
  Append(stream, kFirst);
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    const Outcome outcome = Split(stream, piece);
    ASSERT_EQ(outcome.frames, (std::vector<Bytes>{kFirst, kSecond, kFirst})) << piece;
    ASSERT_TRUE(outcome.errors.empty()) << piece;
  }
}

TEST(MjpegSplitter, SkipsWhatLiesBetweenFramesAndCountsIt) {
  Bytes stream = {0x00, 0xff, 0x12};
  Append(stream, kFirst);
  Append(stream, {0xff, 0xff, 0x00});
  Append(stream, kSecond);
  MjpegSplitter splitter;
  splitter.Take(stream);
  Outcome outcome;
  Collect(splitter, outcome);
  EXPECT_EQ(outcome.frames, (std::vector<Bytes>{kFirst, kSecond}));
  EXPECT_EQ(splitter.garbage_bytes(), 6u);
}

TEST(MjpegSplitter, AFrameThatRunsIntoTheNextIsAnErrorAndTheNextIsWhole) {
  Bytes stream(kFirst.begin(), kFirst.end() - 4);  // Without its end.
  Append(stream, kSecond);
  for (std::size_t piece : {std::size_t{1}, std::size_t{5}, stream.size()}) {
    const Outcome outcome = Split(stream, piece);
    EXPECT_EQ(outcome.frames, std::vector<Bytes>{kSecond}) << piece;
    EXPECT_EQ(outcome.errors, std::vector<std::string>{"mjpeg: runs into the next frame"});
  }
}

TEST(MjpegSplitter, AFrameLargerThanTheLimitIsAnErrorAndTheNextIsWhole) {
  Bytes stream = Jpeg({1}, Bytes(500, 9));
  Append(stream, kFirst);
  for (std::size_t piece : {std::size_t{1}, std::size_t{64}, stream.size()}) {
    const Outcome outcome = Split(stream, piece, {.frame_bytes_max = 100});
    EXPECT_EQ(outcome.frames, std::vector<Bytes>{kFirst}) << piece;
    EXPECT_EQ(outcome.errors, std::vector<std::string>{"mjpeg: frame is larger than 100 bytes"})
        << piece;
  }
}

TEST(MjpegSplitter, NothingInsideATooLargeFrameIsTakenForOneHoweverTheStreamIsTorn) {
  // The end of the first comes one byte too late, of the second at the last place.
  const Bytes thumbnail = Jpeg({2}, {5, 5});
  Bytes stream = Jpeg(thumbnail, Bytes(80, 9));
  const std::size_t limit = stream.size() - 1;
  Append(stream, Jpeg(thumbnail, Bytes(79, 9)));
  const Bytes second(stream.begin() + static_cast<std::ptrdiff_t>(limit + 1), stream.end());
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    const Outcome outcome = Split(stream, piece, {.frame_bytes_max = limit});
    EXPECT_EQ(outcome.frames, std::vector<Bytes>{second}) << piece;
    EXPECT_EQ(outcome.errors.size(), 1u) << piece;
  }
}

TEST(MjpegSplitter, ATornHeaderIsAnErrorAndTheNextFrameIsWhole) {
  Bytes torn = kFirst;
  torn[4] = 0x00;  // The segment now says that it is 1 byte long.
  torn[5] = 0x01;
  Bytes stream = torn;
  Append(stream, kSecond);
  const Outcome outcome = Split(stream, 3);
  EXPECT_EQ(outcome.frames, std::vector<Bytes>{kSecond});
  EXPECT_EQ(outcome.errors, std::vector<std::string>{"mjpeg: torn header"});
}

TEST(MjpegSplitter, AFrameCutShortByTheEndOfTheStreamIsAnError) {
  for (std::size_t kept = 3; kept < kFirst.size(); ++kept) {
    const Outcome outcome =
        Split(Bytes(kFirst.begin(), kFirst.begin() + static_cast<std::ptrdiff_t>(kept)), 7);
    EXPECT_TRUE(outcome.frames.empty()) << kept;
    EXPECT_EQ(outcome.errors.size(), 1u) << kept;
  }
}

TEST(MjpegSplitter, StartsAfreshWhenTheCommandWasStartedAgain) {
  MjpegSplitter splitter;
  splitter.Take(base::ByteView(kFirst).first(9));
  Outcome outcome;
  Collect(splitter, outcome);
  splitter.Restart();
  splitter.Take(kSecond);
  Collect(splitter, outcome);
  EXPECT_EQ(outcome.frames, std::vector<Bytes>{kSecond});
  EXPECT_TRUE(outcome.errors.empty());
}

}  // namespace
}  // namespace tinylcm::source
