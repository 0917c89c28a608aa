#include "tinylcm/src/state/wire.h"

#include <gtest/gtest.h>

namespace tinylcm::state {
namespace {

TEST(Wire, GivesBackWhatWasWritten) {
  WireWriter writer;
  writer.U8(7);
  writer.U16(0x1234);
  writer.U32(0xdeadbeef);
  writer.U64(1ull << 60);
  writer.F32(-0.5f);
  writer.F64(0.1);
  writer.Text("field");
  writer.Floats(std::vector<float>{1.5f, -2.5f});
  writer.U16s(std::vector<std::uint16_t>{3, 65535});

  WireReader reader(writer.bytes());
  EXPECT_EQ(reader.U8(), 7);
  EXPECT_EQ(reader.U16(), 0x1234);
  EXPECT_EQ(reader.U32(), 0xdeadbeef);
  EXPECT_EQ(reader.U64(), 1ull << 60);
  EXPECT_EQ(reader.F32(), -0.5f);
  EXPECT_EQ(reader.F64(), 0.1);
  EXPECT_EQ(reader.Text(), "field");
  EXPECT_EQ(reader.Floats(), (std::vector<float>{1.5f, -2.5f}));
  EXPECT_EQ(reader.U16s(), (std::vector<std::uint16_t>{3, 65535}));
  EXPECT_TRUE(reader.ok());
  EXPECT_TRUE(reader.at_end());
}

TEST(Wire, WritesTheLowByteFirst) {
  WireWriter writer;
  writer.U32(0x01020304);
  EXPECT_EQ(writer.bytes(), (base::Bytes{4, 3, 2, 1}));
}

TEST(Wire, StaysWrongOnceItReadBeyondTheEnd) {
  const base::Bytes bytes = {1, 2, 3};
  WireReader reader(bytes);
  EXPECT_EQ(reader.U32(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.U8(), 0);
  EXPECT_FALSE(reader.ok());
}

TEST(Wire, RefusesACountThatItsBytesCannotHold) {
  // Four billion floats announced, none there: nothing is allocated for them.
  const base::Bytes bytes = {0xff, 0xff, 0xff, 0xff};
  WireReader reader(bytes);
  EXPECT_TRUE(reader.Floats().empty());
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace tinylcm::state
