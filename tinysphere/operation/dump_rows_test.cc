#include "tinysphere/operation/dump_rows.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "base/text.h"

namespace tinysphere::operation {
namespace {

using store::Params;
using store::Value;

store::Row MakeRow(Params values) {
  auto names = std::make_shared<std::vector<std::string>>();
  for (std::size_t i = 0; i < values.size(); ++i) names->push_back(base::StrCat("c", i));
  return {std::move(names), std::move(values)};
}

Value Through(const Value& value) {
  const auto read = ReadRow(WriteRow(MakeRow({value})), 1);
  EXPECT_TRUE(read.ok()) << WriteRow(MakeRow({value}));
  return read.ok() ? read->front() : Value();
}

TEST(DumpRows, EveryValueHasItsType) {
  EXPECT_EQ(WriteRow(MakeRow({41, "d-1", 0.1, base::Bytes{0, 1, 2}, std::nullopt})),
            R"([41,"d-1",{"d":"0.1"},{"b":"AAEC"},null])");
}

// Text of before it was checked: a zero byte, a byte that begins nothing, a character cut off at
// the end. "\xef\xbf\xbd" is U+FFFD.
TEST(DumpRows, TextThatNoDatabaseTakesIsRepaired) {
  Params row = {Value("caf\u00e9 \U0001f600"),
                Value(std::string("a\0b", 3)),
                Value("a\xff\u20ac"),
                Value("a\xe2\x82"),
                Value(7),
                Value()};
  EXPECT_EQ(RepairTexts(row), 3);
  const auto text = [&](std::size_t i) { return std::get<std::string>(row[i].data()); };
  EXPECT_EQ(text(0), "caf\u00e9 \U0001f600");
  EXPECT_EQ(text(1),
            "a\xef\xbf\xbd"
            "b");
  EXPECT_EQ(text(2), "a\xef\xbf\xbd\u20ac");
  EXPECT_EQ(text(3), "a\xef\xbf\xbd\xef\xbf\xbd");
  for (std::size_t i = 0; i < 4; ++i) EXPECT_TRUE(store::CheckText(text(i)).ok()) << i;
  EXPECT_EQ(RepairTexts(row), 0);
}

TEST(DumpRows, ComeBackAsTheyWent) {
  const std::vector<Value> values = {
      Value(),
      Value(std::numeric_limits<std::int64_t>::min()),
      Value(std::numeric_limits<std::int64_t>::max()),
      Value(""),
      Value("a \"quoted\"\nline, \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \x01"),
      Value("{\"d\":\"1\"}"),
      Value(base::Bytes{}),
      Value(base::Bytes{0xff, 0x00}),
      Value(std::string("no UTF-8: \xff")),
      Value(0.0),
      Value(1.0),
      Value(std::numeric_limits<double>::denorm_min()),
      Value(std::numeric_limits<double>::max()),
      Value(std::numeric_limits<double>::infinity()),
      Value(-std::numeric_limits<double>::infinity()),
  };
  for (const Value& value : values) EXPECT_EQ(Through(value).data(), value.data());
  EXPECT_TRUE(std::signbit(std::get<double>(Through(Value(-0.0)).data())));
  EXPECT_TRUE(std::isnan(
      std::get<double>(Through(Value(std::numeric_limits<double>::quiet_NaN())).data())));
}

TEST(DumpRows, AnyRealKeepsItsLastBit) {
  const unsigned seed = std::random_device()();
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937_64 random(seed);
  for (int i = 0; i < 10'000; ++i) {
    const double value = std::bit_cast<double>(random());
    if (std::isnan(value)) continue;
    ASSERT_EQ(std::get<double>(Through(Value(value)).data()), value) << "seed " << seed;
  }
}

TEST(DumpRows, WhatIsNoRowIsCorrupt) {
  for (const char* line :
       {"", "{}", "[1]", "[1,2,3]", "[1,{}]", "[1,{\"d\":1}]", "[1,{\"x\":\"1\"}]",
        "[1,{\"b\":\"?\"}]", "[1,1.5]", "[1,true]", "[1,[2]]"}) {
    EXPECT_FALSE(ReadRow(line, 2).ok()) << line;
  }
}

}  // namespace
}  // namespace tinysphere::operation
