#include "protocol/identifiers.h"

#include <gtest/gtest.h>

namespace protocol {
namespace {

constexpr char kDevice[] = "d-00112233445566778899aabbccddeeff";

TEST(DeviceId, IsTheBeginningOfTheKeysHash) {
  // SHA-256 of 32 zero bytes begins 66687aadf862bd776c8fc18b8e9f8e20.
  EXPECT_EQ(DeviceIdOf({}), "d-66687aadf862bd776c8fc18b8e9f8e20");
  EXPECT_TRUE(IsDeviceId(DeviceIdOf({})));
  EXPECT_FALSE(IsDeviceId("66687aadf862bd776c8fc18b8e9f8e20"));
  EXPECT_FALSE(IsDeviceId("d-66687AADF862BD776C8FC18B8E9F8E20"));
}

TEST(PackageName, GoesThroughItsId) {
  const PackageName name{kDevice, "0123456789abcdef", 42};
  EXPECT_EQ(name.id(), "d-00112233445566778899aabbccddeeff-0123456789abcdef-00000042");
  EXPECT_EQ(ParsePackageId(name.id()).value(), name);
  const PackageName late{kDevice, "0123456789abcdef", 123'456'789'012};
  EXPECT_EQ(ParsePackageId(late.id()).value(), late);
}

TEST(PackageName, HasOneTextOnly) {
  const std::string start = std::string(kDevice) + "-0123456789abcdef-";
  for (const char* seq : {"42", "000000042", "0000004x", "-0000042", "+0000042", ""}) {
    EXPECT_FALSE(ParsePackageId(start + seq).ok()) << seq;
  }
}

TEST(SafePath, StaysInside) {
  for (const char* path : {"a", "images/a-1_2.jpg", "a/b/c", "..a", "a..", "..."}) {
    EXPECT_TRUE(IsSafePath(path)) << path;
  }
  for (const char* path : {"", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", "a\\b",
                           "a b", "a\n", "\xc3\xa9", "C:a"}) {
    EXPECT_FALSE(IsSafePath(path)) << path;
  }
  EXPECT_TRUE(IsSafePath(std::string(200, 'a')));
  EXPECT_FALSE(IsSafePath(std::string(201, 'a')));
}

}  // namespace
}  // namespace protocol
