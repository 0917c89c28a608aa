#include "base/trace.h"

#include <gtest/gtest.h>

#include <thread>

namespace base {
namespace {

// The example of W3C Trace Context, 3.2.
constexpr const char* kExample = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

TEST(Trace, TakesTheIdOfATraceParent) {
  EXPECT_EQ(ParseTraceParent(kExample), "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST(Trace, ALaterVersionMayAppendFields) {
  EXPECT_EQ(ParseTraceParent("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-is-new"),
            "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_FALSE(ParseTraceParent(std::string(kExample) + "-what-is-new"));
}

TEST(Trace, WhatIsMalformedIsNone) {
  for (const char* wrong : {
           "",
           "00",
           "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",      // Too short.
           "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",   // Upper case.
           "00-00000000000000000000000000000000-00f067aa0ba902b7-01",   // No trace.
           "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",   // No parent.
           "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",   // No version.
           "00-4bf92f3577b34da6a3ce929d0e0e473\n-00f067aa0ba902b7-01",  // Not hex.
           "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
       }) {
    EXPECT_FALSE(ParseTraceParent(wrong)) << wrong;
  }
}

TEST(Trace, ScopesNestAndBelongToTheirThread) {
  EXPECT_EQ(CurrentTrace(), "");
  {
    const TraceScope outer("outer");
    {
      const TraceScope inner("inner");
      EXPECT_EQ(CurrentTrace(), "inner");
      std::string seen = "?";
      std::thread([&] { seen = CurrentTrace(); }).join();
      EXPECT_EQ(seen, "");
    }
    EXPECT_EQ(CurrentTrace(), "outer");
  }
  EXPECT_EQ(CurrentTrace(), "");
}

TEST(Trace, IdsAreFreshAndWellFormed) {
  const std::string id = MakeTraceId();
  EXPECT_NE(id, MakeTraceId());
  EXPECT_EQ(ParseTraceParent("00-" + id + "-00f067aa0ba902b7-00"), id);
}

}  // namespace
}  // namespace base
