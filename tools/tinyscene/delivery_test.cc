#include "tools/tinyscene/delivery.h"

#include <gtest/gtest.h>

namespace tinyscene {
namespace {

class DeliveryTest : public testing::Test {
 protected:
  void Push(std::uint32_t number) { delivery_.Push({.number = number}, base::AsBytes("12345678")); }
  void Read() { delivery_.Wrote(delivery_.Pending().size()); }

  // "1 2x": shot 1 was delivered, shot 2 dropped.
  std::string Decided() {
    std::string out;
    for (const Shot& shot : delivery_.TakeDecided()) {
      if (!out.empty()) out += ' ';
      out += std::to_string(shot.number) + (shot.dropped ? "x" : "");
    }
    return out;
  }

  Delivery delivery_;
};

TEST_F(DeliveryTest, TellsAShotAsDeliveredWhenItsLastByteIsOut) {
  Push(1);
  delivery_.Wrote(7);
  EXPECT_EQ(Decided(), "");
  EXPECT_EQ(base::AsText(delivery_.Pending()), "8");
  delivery_.Wrote(1);
  EXPECT_EQ(Decided(), "1");
  EXPECT_TRUE(delivery_.idle());
}

TEST_F(DeliveryTest, HoldsTwoAndDropsTheOldest) {
  Push(1);
  Push(2);
  EXPECT_EQ(Decided(), "");
  Push(3);
  EXPECT_EQ(Decided(), "1x");
  Read();
  Read();
  EXPECT_EQ(Decided(), "2 3");
}

TEST_F(DeliveryTest, FinishesWhatItBeganAndDropsTheNextInstead) {
  Push(1);
  delivery_.Wrote(3);
  Push(2);
  Push(3);
  EXPECT_EQ(Decided(), "");  // 2 is lost, but 1 comes first and is not decided.
  Read();
  EXPECT_EQ(Decided(), "1 2x");
  Read();
  EXPECT_EQ(Decided(), "3");
}

TEST_F(DeliveryTest, LosesWhatTheReaderWhoWentDidNotGetWhole) {
  Push(1);
  Push(2);
  Read();
  delivery_.Wrote(3);
  delivery_.Abandon();
  EXPECT_EQ(Decided(), "1 2x");
}

}  // namespace
}  // namespace tinyscene
