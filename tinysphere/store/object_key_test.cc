#include "tinysphere/store/object_key.h"

#include <gtest/gtest.h>

#include "tinysphere/store/object_store.h"

namespace tinysphere::store {
namespace {

bool IsKey(const std::string& part) { return CheckObjectKey("images/" + part).ok(); }

TEST(ObjectKeyPart, OfAPlainTextIsTheText) {
  EXPECT_EQ(TextKeyPart("7"), "7");
  EXPECT_EQ(TextKeyPart("black-cat_2.0"), "black-cat_2.0");
}

TEST(ObjectKeyPart, OfAnyTextIsSafe) {
  EXPECT_EQ(TextKeyPart("../a b"), "=2E.=2Fa=20b");
  EXPECT_EQ(TextKeyPart("."), "=2E");
  EXPECT_EQ(TextKeyPart(""), "=");
  EXPECT_EQ(TextKeyPart("a=b"), "a=3Db");
  EXPECT_EQ(TextKeyPart("\xc3\xa4"), "=C3=A4");
  for (const char* text : {"..", ".", "", "/", "a/../b", "\xc3\xa4", "<script>", "' OR 1=1 --"}) {
    EXPECT_TRUE(IsKey(TextKeyPart(text))) << text;
  }
}

TEST(ObjectKeyPart, OfALongTextIsShortAndStillItsOwn) {
  const std::string one(128, '/');
  const std::string other = std::string(127, '/') + "a";
  EXPECT_LE(TextKeyPart(one).size(), 100u);
  EXPECT_TRUE(IsKey(TextKeyPart(one)));
  EXPECT_NE(TextKeyPart(one), TextKeyPart(other));
}

TEST(ObjectKeyPart, OfAnIdKeepsItReadable) { EXPECT_EQ(IdKeyPart("e:1.a-b"), "e=1.a-b"); }

TEST(ObjectKeyPart, OfADayIsInUtc) {
  EXPECT_EQ(DayKeyPart(*base::ParseTime("2026-11-20T23:59:59.999Z")), "20261120");
}

}  // namespace
}  // namespace tinysphere::store
