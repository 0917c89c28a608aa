#include "tinysphere/http/block_pool.h"

#include <gtest/gtest.h>

namespace tinysphere::http {
namespace {

TEST(BlockPool, GivesTheBlockAgainThatCameBackLast) {
  BlockPool pool(2);
  Block one = pool.Take();
  const std::uint8_t* const data = one.data();
  one = Block();
  EXPECT_EQ(pool.idle(), 1u);
  EXPECT_EQ(pool.Take().data(), data);
}

TEST(BlockPool, KeepsFewWhileNobodyNeedsThem) {
  BlockPool pool(2);
  std::vector<Block> taken;
  for (int i = 0; i < 10; ++i) taken.push_back(pool.Take());
  taken.clear();
  EXPECT_EQ(pool.idle(), 2u);
}

TEST(BlockPool, BlocksLieOnPageBorders) {
  BlockPool pool(2);
  const Block block = pool.Take();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block.data()) % 4096, 0u);
  EXPECT_EQ(block.span().size(), BlockPool::kBlockBytes);
}

}  // namespace
}  // namespace tinysphere::http
