#include "tinylcm/drift/state_block.h"

#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <vector>

#include "tests/support/allocations.h"

namespace tinylcm::drift {
namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kDigest = 0x0123456789abcdefu;

base::Bytes Block() {
  StateWriter writer;
  writer.Section("numbers");
  writer.Put(std::uint16_t{7});
  writer.Put(true);
  writer.Put(-1.5);
  writer.Section("row");
  writer.PutSpan(std::array{1.0f, 2.0f, 3.0f});
  return std::move(writer).Seal(kVersion, kDigest);
}

TEST(StateBlock, GivesBackWhatWasPutIn) {
  const base::Bytes block = Block();
  auto reader = StateReader::Open(block, kVersion, kDigest);
  ASSERT_TRUE(reader.ok()) << reader.error().message;
  reader->Section("numbers");
  EXPECT_EQ(reader->Get<std::uint16_t>(), 7);
  EXPECT_TRUE(reader->Get<bool>());
  EXPECT_EQ(reader->GetFinite<double>(), -1.5);
  reader->Section("row");
  std::array<float, 3> row{};
  reader->GetFiniteSpan(row);
  EXPECT_EQ(row, (std::array{1.0f, 2.0f, 3.0f}));
  EXPECT_TRUE(reader->AtEnd().ok());
}

TEST(StateBlock, ALargeOneIsMadeInOnePieceOfMemory) {
  const std::vector<float> channels(10 * 256, 1.0f);
  const std::uint64_t before = testing_support::Allocations();
  StateWriter writer;
  writer.Section("channels");
  for (int i = 0; i < 6; ++i) writer.PutSpan(channels);  // 61,440 bytes.
  const base::Bytes block = std::move(writer).Seal(kVersion, kDigest);
  EXPECT_EQ(testing_support::Allocations() - before, 1u);
  EXPECT_TRUE(StateReader::Open(block, kVersion, kDigest).ok());
}

TEST(StateBlock, IsRefusedWhenAnyBitOfItIsFlipped) {
  const base::Bytes good = Block();
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    base::Bytes broken = good;
    broken[bit / 8] ^= static_cast<std::uint8_t>(1u << (bit % 8));
    EXPECT_FALSE(StateReader::Open(broken, kVersion, kDigest).ok()) << "bit " << bit;
  }
}

TEST(StateBlock, IsRefusedWhereverItEndsTooEarlyOrTooLate) {
  const base::Bytes good = Block();
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(StateReader::Open(base::ByteView(good).first(size), kVersion, kDigest).ok())
        << size << " bytes";
  }
  base::Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(StateReader::Open(longer, kVersion, kDigest).ok());
}

TEST(StateBlock, SaysWhyItIsRefused) {
  const base::Bytes block = Block();
  EXPECT_EQ(StateReader::Open({}, kVersion, kDigest).error().message, "drift state: this is none");
  const base::Error version = StateReader::Open(block, kVersion + 1, kDigest).error();
  EXPECT_EQ(version.code, base::ErrorCode::kUnsupported);
  EXPECT_EQ(version.message, "drift state: is of version 3, this program reads 4");
  EXPECT_EQ(StateReader::Open(block, kVersion, kDigest + 1).error().code,
            base::ErrorCode::kInvalidArgument);
}

TEST(StateBlock, KeepsTheFirstThingThatWasWrong) {
  StateWriter writer;
  writer.Section("numbers");
  writer.Put(std::numeric_limits<double>::infinity());
  writer.Put(std::uint8_t{2});
  const base::Bytes block = std::move(writer).Seal(kVersion, kDigest);
  StateReader reader = StateReader::Open(block, kVersion, kDigest).value();
  reader.Section("numbers");
  EXPECT_EQ(reader.GetFinite<double>(), 0.0);
  EXPECT_FALSE(reader.Get<bool>());
  EXPECT_EQ(reader.Get<std::uint64_t>(), 0u);  // There is none.
  EXPECT_EQ(reader.AtEnd().error().message, "drift state: numbers: a number is not finite");
}

TEST(StateBlock, RefusesAPartThatIsNotTheOneExpectedAndWhatIsLeftOver) {
  const base::Bytes block = Block();
  StateReader reader = StateReader::Open(block, kVersion, kDigest).value();
  EXPECT_FALSE(reader.AtEnd().ok());
  StateReader other = StateReader::Open(block, kVersion, kDigest).value();
  other.Section("row");
  EXPECT_EQ(other.status().error().message, "drift state: row: is not where it should be");
}

}  // namespace
}  // namespace tinylcm::drift
