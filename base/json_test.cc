#include "base/json.h"

#include <gtest/gtest.h>

#include <limits>

namespace base {
namespace {

TEST(Json, WritesInTheOrderItWasBuilt) {
  const Json json = Json::MakeObject({{"b", 1},
                                      {"a", Json::Array{nullptr, true, "x\n\"\\\x01"}},
                                      {"c", 0.5},
                                      {"d", std::optional<int>()},
                                      {"e", Json::MakeObject()}});
  EXPECT_EQ(json.Write(), R"({"b":1,"a":[null,true,"x\n\"\\\u0001"],"c":0.5,"d":null,"e":{}})");
}

TEST(Json, ReadsBackWhatItWroteExactly) {
  Json json = Json::MakeObject({{"int", std::int64_t{INT64_MIN}},
                                {"whole double", 3.0},
                                {"third", 1.0 / 3.0},
                                {"tiny", std::numeric_limits<double>::denorm_min()},
                                {"large", 1.7976931348623157e308},
                                {"text", "é€😀"},
                                {"list", Json::Array{1, 2.5, Json::MakeArray()}}});
  EXPECT_EQ(Json::Parse(json.Write()).value(), json);
  EXPECT_EQ(Json::Parse(json.WritePretty()).value(), json);
}

TEST(Json, ReadsNumbersToTheLastBit) {
  // Boost.JSON 1.81 by itself is a unit in the last place off here.
  EXPECT_EQ(Json::Parse("0.1234567890123456789").value().as_double(), 0.1234567890123456789);
  EXPECT_EQ(Json::Parse("9007199254740993").value().as_int(), 9007199254740993);
}

TEST(Json, NeverWritesBrokenUtf8) {
  EXPECT_EQ(Json("a\xff\xc3(").Write(), "\"a\xef\xbf\xbd\xef\xbf\xbd(\"");
}

TEST(Json, RefusesMalformedText) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "[1,]",
                           "{\"a\":1,}",
                           "{'a':1}",
                           "[1] x",
                           "[1][2]",
                           "01",
                           "+1",
                           "1.",
                           ".5",
                           "NaN",
                           "Infinity",
                           "-",
                           "\"\t\"",
                           "\"\\x\"",
                           "\"\\ud800\"",
                           "\"\xff\"",
                           "\"\xc0\x80\"",
                           "\"\xed\xa0\x80\"",
                           "// c\n1",
                           "truE",
                           "nul",
                           "1e999",
                           "9223372036854775808"}) {
    const Result<Json> json = Json::Parse(text);
    ASSERT_FALSE(json.ok()) << text;
    EXPECT_EQ(json.error().code, ErrorCode::kCorrupt) << text;
  }
}

TEST(Json, RefusesAKeyThatAppearsTwice) {
  const Result<Json> json = Json::Parse(R"({"x":{"a":1,"b":2,"a":3}})");
  ASSERT_FALSE(json.ok());
  EXPECT_NE(json.error().message.find("twice"), std::string::npos) << json.error().message;
}

TEST(Json, RefusesWhatIsTooDeepOrTooLong) {
  EXPECT_TRUE(Json::Parse("[[[[]]]]", {.depth_max = 4}).ok());
  EXPECT_EQ(Json::Parse("[[[[]]]]", {.depth_max = 3}).error().code, ErrorCode::kExhausted);
  EXPECT_EQ(Json::Parse(std::string(100'000, '[')).error().code, ErrorCode::kExhausted);
  EXPECT_EQ(Json::Parse("[1, 2]", {.bytes_max = 5}).error().code, ErrorCode::kExhausted);
}

TEST(Json, SetReplacesAndAppendGrows) {
  Json json;
  json.Set("a", 1);
  json.Set("a", 2);
  json.Set("b", Json());
  json.as_object()[1].second.Append("x");
  EXPECT_EQ(json.Write(), R"({"a":2,"b":["x"]})");
}

struct Read {
  explicit Read(const char* text) : json(Json::Parse(text).value()), reader(json, "doc") {}
  std::string Reason() const { return reader.status().ok() ? "" : reader.status().error().message; }
  Json json;
  JsonReader reader;
};

TEST(JsonReader, NamesTheFieldThatIsWrong) {
  Read missing(R"({"files":[{"bytes":1},{}]})");
  for (JsonReader& file : missing.reader.Array("files")) file.Int("bytes");
  EXPECT_EQ(missing.Reason(), "doc: files[1].bytes: missing");

  Read nested(R"({"a":{"b":{"c":"x"}}})");
  nested.reader.Object("a").Object("b").Double("c");
  EXPECT_EQ(nested.Reason(), "doc: a.b.c: not a number");

  Read element(R"({"names":["x",1]})");
  element.reader.Strings("names");
  EXPECT_EQ(element.Reason(), "doc: names[1]: not a string");
}

TEST(JsonReader, RemembersTheFirstThingThatWasWrong) {
  Read read(R"({"a":"x"})");
  EXPECT_EQ(read.reader.Int("a"), 0);
  EXPECT_EQ(read.reader.String("b"), "");
  EXPECT_EQ(read.Reason(), "doc: a: not a whole number");
  EXPECT_EQ(read.reader.status().error().code, ErrorCode::kInvalidArgument);
}

TEST(JsonReader, ChecksRangesAndLengths) {
  Read range(R"({"a":11})");
  range.reader.Int("a", {.min = 0, .max = 10});
  EXPECT_EQ(range.Reason(), "doc: a: 11 is out of range");
  Read length(R"({"a":"12345"})");
  length.reader.String("a", {.bytes_max = 4});
  EXPECT_EQ(length.Reason(), "doc: a: longer than 4 bytes");
  Read count(R"({"a":[1,2,3]})");
  EXPECT_TRUE(count.reader.Array("a", 2).empty());
  EXPECT_FALSE(count.reader.status().ok());
}

TEST(JsonReader, TakesNullAndMissingForAbsentButNotAWrongType) {
  Read read(R"({"a":null,"c":"text"})");
  EXPECT_EQ(read.reader.OptionalInt("a"), std::nullopt);
  EXPECT_EQ(read.reader.OptionalInt("b"), std::nullopt);
  EXPECT_TRUE(read.reader.status().ok());
  EXPECT_EQ(read.reader.OptionalString("c"), "text");
  read.reader.OptionalInt("c");
  EXPECT_FALSE(read.reader.status().ok());
}

TEST(JsonReader, RefusesADocumentThatIsNoObject) {
  Read read("[1]");
  EXPECT_EQ(read.Reason(), "doc: not an object");
}

TEST(JsonReader, TakesAWholeNumberForADouble) {
  Read read(R"({"a":2})");
  EXPECT_EQ(read.reader.Double("a"), 2.0);
}

TEST(JsonDeathTest, StopsOnNaNAndOnAWrongType) {
  EXPECT_DEATH(Json(std::numeric_limits<double>::quiet_NaN()), "isfinite");
  EXPECT_DEATH(Json("x").as_int(), "is_int");
}

}  // namespace
}  // namespace base
