// Counts what is taken from the heap, for the promise "allocates nothing once warm".
//
//   const std::uint64_t before = testing_support::Allocations();
//   detector.Observe(1.0);
//   EXPECT_EQ(testing_support::Allocations() - before, 0u);

#pragma once

#include <cstdint>

namespace testing_support {

// Calls of operator new in this program so far, by all threads.
std::uint64_t Allocations();

}  // namespace testing_support
