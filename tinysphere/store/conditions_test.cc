#include "tinysphere/store/conditions.h"

#include <gtest/gtest.h>

namespace tinysphere::store {
namespace {

TEST(Conditions, AreThoseThatWereAskedForWithTheirParametersInOrder) {
  Conditions where;
  EXPECT_EQ(where.sql(), "");
  where.Add("(at, id) < (?, ?)", {std::int64_t{7}, "b"});
  where.AddIn("device_id", {"d-1", "d-2"});
  where.Add("state = ?", {"open"});
  const std::string last = where.Bind(std::int64_t{100});

  EXPECT_EQ(where.sql(), " WHERE (at, id) < ($1, $2) AND device_id IN ($3, $4) AND state = $5");
  EXPECT_EQ(last, "$6");
  EXPECT_EQ(where.params().size(), 6u);
}

TEST(Conditions, OneOfNoneIsNoRow) {
  Conditions where;
  where.AddIn("device_id", {});
  EXPECT_EQ(where.sql(), " WHERE 1 = 0");
  EXPECT_TRUE(where.params().empty());
}

}  // namespace
}  // namespace tinysphere::store
