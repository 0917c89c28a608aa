#include "tinylcm/classify/instruction_set.h"

#include <gtest/gtest.h>

#include <string>

namespace tinylcm::classify {
namespace {

TEST(InstructionSet, IsTheBoardsVectorsAndNeverScalar) {
  const std::string set = InstructionSet();
  RecordProperty("instruction_set", set);
#if defined(__aarch64__)
  EXPECT_EQ(set.substr(0, 4), "NEON") << set;
#elif defined(__x86_64__)
  EXPECT_TRUE(set.substr(0, 3) == "AVX" || set.substr(0, 3) == "SSE" || set == "SSSE3") << set;
#endif
}

}  // namespace
}  // namespace tinylcm::classify
