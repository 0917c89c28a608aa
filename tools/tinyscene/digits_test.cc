#include "tools/tinyscene/digits.h"

#include <gtest/gtest.h>

#include <set>

#include "base/crypto.h"
#include "base/file_system.h"
#include "base/text.h"

namespace tinyscene {
namespace {

constexpr char kFile[] = "examples/digits/digits.csv";

std::string Text() { return base::ReadTextFile(base::SystemFileSystem(), kFile, 1u << 20).value(); }

TEST(Digits, AreTheFileThatItsReadmeNames) {
  EXPECT_EQ(base::Sha256Hex(base::AsBytes(Text())),
            "6ebb3d2fee246a4e99363262ddf8a00a3c41bee6014c373ed9d9216ba7f651b8");
}

TEST(Digits, Are1797OfTenClasses) {
  const Digits digits = Digits::Parse(Text()).value();
  EXPECT_EQ(digits.count(), 1797u);
  EXPECT_EQ(digits.digit(0).label, 0);
  EXPECT_EQ(digits.digit(0).ink[2], 5);
}

TEST(Digits, BelongToOnePoolEach) {
  const Digits digits = Digits::Parse(Text()).value();
  std::set<std::uint32_t> seen;
  std::size_t sizes[3] = {};
  for (const Pool pool : {Pool::kT, Pool::kA, Pool::kB}) {
    for (int label = 0; label < kClasses; ++label) {
      for (const std::uint32_t id : digits.Ids(pool, label)) {
        EXPECT_TRUE(seen.insert(id).second) << id << " is in two pools";
        EXPECT_EQ(digits.pool_of(id), pool);
        EXPECT_EQ(digits.digit(id).label, label);
        ++sizes[static_cast<std::size_t>(pool)];
      }
    }
  }
  EXPECT_EQ(seen.size(), digits.count());
  // Ten classes of 174 to 183 digits: half of each, rounded down, then half of the rest.
  EXPECT_NEAR(static_cast<double>(sizes[0]), 1797 / 2.0, 10);
  EXPECT_NEAR(static_cast<double>(sizes[1]), 1797 / 4.0, 10);
  EXPECT_NEAR(static_cast<double>(sizes[2]), 1797 / 4.0, 10);
}

TEST(Digits, NameTheLineAndFieldThatAreWrong) {
  std::string line = "17";
  for (int i = 0; i < 64; ++i) line += ",0";
  const auto digits = Digits::Parse(line + "\n");
  ASSERT_FALSE(digits.ok());
  EXPECT_EQ(digits.error().message, "line 1: field 1: 17 is out of range");
  EXPECT_EQ(Digits::Parse("1,2\n").error().message, "line 1: 2 fields, expected 65");
}

TEST(Digits, RefuseAClassTooSmallToSplit) {
  EXPECT_EQ(Digits::Parse("").error().message, "class 0 has fewer than 4 digits");
}

TEST(Pool, IsCalledTOrAOrB) {
  EXPECT_EQ(ParsePool("B").value(), Pool::kB);
  EXPECT_EQ(ParsePool("t").error().message, "pool: \"t\" is not T, A or B");
}

}  // namespace
}  // namespace tinyscene
