#include "base/bytes.h"

#include <gtest/gtest.h>

#include <array>
#include <utility>

namespace base {
namespace {

// RFC 4648 section 10.
constexpr std::array<std::pair<const char*, const char*>, 7> kBase64Vectors = {
    {{"", ""},
     {"f", "Zg=="},
     {"fo", "Zm8="},
     {"foo", "Zm9v"},
     {"foob", "Zm9vYg=="},
     {"fooba", "Zm9vYmE="},
     {"foobar", "Zm9vYmFy"}}};

TEST(Base64, WritesAndReadsTheVectorsOfTheRfc) {
  for (const auto& [plain, encoded] : kBase64Vectors) {
    EXPECT_EQ(Base64Encode(AsBytes(plain)), encoded);
    EXPECT_EQ(AsText(Base64Decode(encoded).value()), plain);
  }
}

TEST(Base64, RefusesWhatIsNotTheOneTextOfAValue) {
  // No padding, white space, a foreign letter, padding inside, bits that are not zero.
  for (const char* text : {"Zg", "Zm 9v", "Zm9v\n", "Zm9*", "Zg==Zg==", "Zh=="}) {
    EXPECT_FALSE(Base64Decode(text).ok()) << text;
  }
}

TEST(Base64Url, UsesItsOwnTwoLettersAndNoPadding) {
  const Bytes bytes = {0xfb, 0xff};  // 111110 111111 1111(00)
  EXPECT_EQ(Base64UrlEncode(bytes), "-_8");
  EXPECT_EQ(Base64UrlDecode("-_8").value(), bytes);
  EXPECT_FALSE(Base64UrlDecode("+/8").ok());
  EXPECT_FALSE(Base64UrlDecode("-_8=").ok());
}

TEST(Hex, GoesThereAndBack) {
  EXPECT_EQ(HexEncode(Bytes{0x00, 0x7f, 0xff}), "007fff");
  EXPECT_EQ(HexDecode("007FfF").value(), (Bytes{0x00, 0x7f, 0xff}));
  EXPECT_FALSE(HexDecode("0").ok());
  EXPECT_FALSE(HexDecode("0g").ok());
}

TEST(Crc32c, AgreesWithTheVectorsOfTheRfc) {
  // RFC 3720 B.4, whose bytes are little-endian.
  EXPECT_EQ(Crc32c(Bytes(32, 0x00)), 0x8a9136aau);
  EXPECT_EQ(Crc32c(Bytes(32, 0xff)), 0x62a8ab43u);
  EXPECT_EQ(Crc32c(AsBytes("123456789")), 0xe3069283u);
}

TEST(Crc32c, GoesOnFromAnEarlierCall) {
  const ByteView whole = AsBytes("The quick brown fox jumps over the lazy dog");
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) {
    EXPECT_EQ(Crc32c(whole.subspan(cut), Crc32c(whole.first(cut))), Crc32c(whole)) << cut;
  }
}

TEST(EqualInConstantTime, SaysWhetherAllBytesAreTheSame) {
  EXPECT_TRUE(EqualInConstantTime(AsBytes("abc"), AsBytes("abc")));
  EXPECT_FALSE(EqualInConstantTime(AsBytes("abc"), AsBytes("abd")));
  EXPECT_FALSE(EqualInConstantTime(AsBytes("abc"), AsBytes("ab")));
}

}  // namespace
}  // namespace base
