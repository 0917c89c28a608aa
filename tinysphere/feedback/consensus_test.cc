#include "tinysphere/feedback/consensus.h"

#include <gtest/gtest.h>

#include <vector>

namespace tinysphere::feedback {
namespace {

base::Time At(int ms) { return base::Time(base::Duration(ms)); }

TEST(Consensus, OfNobodyIsNone) { EXPECT_EQ(Agree({}), std::nullopt); }

TEST(Consensus, OfOneIsTheirWord) {
  const std::vector<Word> words = {{"ann", "3", At(1)}};
  EXPECT_EQ(Agree(words), (Consensus{"3", "ann", At(1), 1.0, 1}));
}

TEST(Consensus, OfTwoWhoAgreeWeighsAsMuchAsOne) {
  const std::vector<Word> words = {{"ann", "3", At(1)}, {"ben", "3", At(2)}};
  EXPECT_EQ(Agree(words), (Consensus{"3", "ben", At(2), 1.0, 2}));
}

TEST(Consensus, OfTwoWhoDoNotIsTheNewestWordAtHalfTheWeight) {
  const std::vector<Word> words = {{"ann", "3", At(1)}, {"ben", "8", At(2)}};
  EXPECT_EQ(Agree(words), (Consensus{"8", "ben", At(2), 0.5, 2}));
}

TEST(Consensus, OfThreeIsWhatTwoSayWhoeverCameLast) {
  const std::vector<Word> words = {{"ann", "3", At(1)}, {"ben", "3", At(2)}, {"eve", "8", At(3)}};
  EXPECT_EQ(Agree(words), (Consensus{"3", "ben", At(2), 2.0 / 3.0, 3}));
}

}  // namespace
}  // namespace tinysphere::feedback
