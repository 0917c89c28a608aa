#include "tinylcm/state/record.h"

#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"

namespace tinylcm::state {
namespace {

using base::Bytes;
using base::ErrorCode;
using tests::FakeFileSystem;

Bytes Value(int number) { return base::ToBytes("value " + std::to_string(number)); }

TEST(TwoCopyRecord, HoldsNothingBeforeTheFirstWrite) {
  FakeFileSystem fs;
  const TwoCopyRecord record = TwoCopyRecord::Open(fs, "state/slots").value();
  EXPECT_EQ(record.value(), std::nullopt);
  EXPECT_EQ(record.generation(), 0u);
}

TEST(TwoCopyRecord, GivesBackTheLastValueAfterARestart) {
  FakeFileSystem fs;
  {
    TwoCopyRecord record = TwoCopyRecord::Open(fs, "state/slots").value();
    for (int i = 1; i <= 5; ++i) ASSERT_TRUE(record.Write(Value(i)).ok());
  }
  fs.Crash();
  const TwoCopyRecord record = TwoCopyRecord::Open(fs, "state/slots").value();
  EXPECT_EQ(record.value(), Value(5));
  EXPECT_EQ(record.generation(), 5u);
  EXPECT_EQ(record.damaged_copies(), 0);
}

TEST(TwoCopyRecord, KeepsAnEmptyValueApartFromNone) {
  FakeFileSystem fs;
  ASSERT_TRUE(TwoCopyRecord::Open(fs, "r").value().Write(Bytes{}).ok());
  EXPECT_EQ(TwoCopyRecord::Open(fs, "r").value().value(), Bytes{});
}

// The power is cut before each operation in turn, and the disk keeps a random part of what was not
// synced. What was acknowledged is there; what was being written is there whole or not at all.
TEST(TwoCopyRecord, SurvivesACrashAtEveryOperation) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    bool reached = true;
    for (int n = 0; reached; ++n) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", power off at " << n);
      FakeFileSystem fs;
      fs.PowerOffAt(n);
      int acknowledged = 0;
      base::Result<TwoCopyRecord> record = TwoCopyRecord::Open(fs, "state/slots");
      if (record.ok()) {
        for (int i = 1; i <= 4; ++i) {
          if (!record->Write(Value(i)).ok()) break;
          acknowledged = i;
        }
      }
      reached = fs.power_is_off();
      fs.Crash(seed);

      const base::Result<TwoCopyRecord> after = TwoCopyRecord::Open(fs, "state/slots");
      ASSERT_TRUE(after.ok()) << after.error().message;
      const std::optional<Bytes>& value = after->value();
      if (acknowledged == 0) {
        EXPECT_TRUE(value == std::nullopt || value == Value(1));
      } else {
        EXPECT_TRUE(value == Value(acknowledged) || value == Value(acknowledged + 1));
      }
      // And it can be written again.
      TwoCopyRecord again = TwoCopyRecord::Open(fs, "state/slots").value();
      ASSERT_TRUE(again.Write(Value(9)).ok());
      EXPECT_EQ(TwoCopyRecord::Open(fs, "state/slots").value().value(), Value(9));
    }
  }
}

TEST(TwoCopyRecord, BelievesASyncThatFailed) {
  FakeFileSystem fs;
  TwoCopyRecord record = TwoCopyRecord::Open(fs, "r").value();
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(record.Write(Value(i)).ok());

  bool fails = true;
  fs.SetFault(
      [&](FakeFileSystem::Operation operation, const std::string&) -> std::optional<base::Error> {
        if (operation != FakeFileSystem::Operation::kSync || !fails) return std::nullopt;
        fails = false;
        return base::Error{ErrorCode::kUnavailable, "sync: I/O error"};
      });
  EXPECT_FALSE(record.Write(Value(4)).ok());
  EXPECT_EQ(record.value(), Value(3));
  EXPECT_EQ(TwoCopyRecord::Open(fs, "r").value().value(), Value(3));

  // Made anew, not synced a second time; the generation that failed is not used again.
  EXPECT_TRUE(record.Write(Value(5)).ok());
  EXPECT_EQ(record.generation(), 5u);
  EXPECT_EQ(TwoCopyRecord::Open(fs, "r").value().value(), Value(5));
}

TEST(TwoCopyRecord, FallsBackToTheOlderCopyWhenABitFlips) {
  for (const std::uint64_t byte : {0u, 4u, 8u, 16u, 20u, 26u}) {
    FakeFileSystem fs;
    TwoCopyRecord record = TwoCopyRecord::Open(fs, "r").value();
    ASSERT_TRUE(record.Write(Value(1)).ok());  // r.a
    ASSERT_TRUE(record.Write(Value(2)).ok());  // r.b
    fs.FlipBit("r.b", byte, 3);
    const TwoCopyRecord after = TwoCopyRecord::Open(fs, "r").value();
    EXPECT_EQ(after.value(), Value(1)) << "byte " << byte;
    EXPECT_EQ(after.damaged_copies(), 1);
  }
}

TEST(TwoCopyRecord, IsCorruptWhenNoCopyIsWhole) {
  FakeFileSystem fs;
  ASSERT_TRUE(TwoCopyRecord::Open(fs, "r").value().Write(Value(1)).ok());
  fs.FlipBit("r.a", 21, 0);
  const base::Result<TwoCopyRecord> record = TwoCopyRecord::Open(fs, "r");
  ASSERT_FALSE(record.ok());
  EXPECT_EQ(record.error().code, ErrorCode::kCorrupt);
}

TEST(TwoCopyRecord, RefusesAValueThatIsTooLarge) {
  FakeFileSystem fs;
  TwoCopyRecord record = TwoCopyRecord::Open(fs, "r").value();
  const base::Status status = record.Write(Bytes(TwoCopyRecord::kBytesMax + 1));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
}

TEST(TwoCopyRecord, KeepsTheOldValueOnAFullDisk) {
  FakeFileSystem fs;
  TwoCopyRecord record = TwoCopyRecord::Open(fs, "r").value();
  ASSERT_TRUE(record.Write(Value(1)).ok());
  ASSERT_TRUE(record.Write(Value(2)).ok());
  fs.SetCapacity(40);  // Both copies of 31 bytes are there; a third of 31 does not fit whole.
  EXPECT_FALSE(record.Write(Value(3)).ok());
  EXPECT_EQ(TwoCopyRecord::Open(fs, "r").value().value(), Value(2));
}

TEST(TwoCopyRecord, APreparedValueHoldsByOneRename) {
  FakeFileSystem fs;
  TwoCopyRecord record = TwoCopyRecord::Open(fs, "r").value();
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(record.Write(Value(i)).ok());
  ASSERT_TRUE(record.Prepare(Value(4)).ok());
  EXPECT_EQ(record.value(), Value(3));
  // Not until it is turned, whatever a restart finds.
  EXPECT_EQ(TwoCopyRecord::Open(fs, "r").value().value(), Value(3));
  std::vector<FakeFileSystem::Operation> done;
  fs.SetFault([&](FakeFileSystem::Operation operation, const std::string&) {
    done.push_back(operation);
    return std::nullopt;
  });
  ASSERT_TRUE(record.Turn().ok());
  EXPECT_EQ(done, (std::vector{FakeFileSystem::Operation::kRename,
                               FakeFileSystem::Operation::kSyncDirectory}));
  EXPECT_EQ(record.value(), Value(4));
  fs.Crash();
  EXPECT_EQ(TwoCopyRecord::Open(fs, "r").value().value(), Value(4));
  ASSERT_TRUE(record.Write(Value(5)).ok());
  EXPECT_EQ(TwoCopyRecord::Open(fs, "r").value().value(), Value(5));
}

TEST(TwoCopyRecord, AWriteMakesWhatWasPreparedVoid) {
  FakeFileSystem fs;
  TwoCopyRecord record = TwoCopyRecord::Open(fs, "r").value();
  ASSERT_TRUE(record.Prepare(Value(1)).ok());
  ASSERT_TRUE(record.Write(Value(2)).ok());
  EXPECT_FALSE(record.is_prepared());
  ASSERT_TRUE(record.Write(Value(3)).ok());
  EXPECT_EQ(TwoCopyRecord::Open(fs, "r").value().value(), Value(3));
}

TEST(TwoCopyRecord, ATurnCutShortIsTheOldValueOrTheNewOne) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    bool reached = true;
    for (int n = 0; reached; ++n) {
      SCOPED_TRACE(testing::Message() << "seed " << seed << ", power off at " << n);
      FakeFileSystem fs;
      fs.PowerOffAt(n);
      // What the disk may say afterwards: the last that was acknowledged, or the one under way.
      base::Result<TwoCopyRecord> record = TwoCopyRecord::Open(fs, "state/slots");
      int acknowledged = 0, tried = 0;
      const auto step = [&](int value, base::Status status) {
        tried = value;
        if (status.ok()) acknowledged = value;
        return status.ok();
      };
      const bool went_on = record.ok() && step(1, record->Write(Value(1))) &&
                           record->Prepare(Value(2)).ok() && step(2, record->Turn()) &&
                           step(3, record->Write(Value(3))) && record->Prepare(Value(4)).ok() &&
                           record->Prepare(Value(5)).ok() && step(5, record->Turn());
      reached = fs.power_is_off();
      EXPECT_NE(went_on, reached);
      fs.Crash(seed);
      TwoCopyRecord after = TwoCopyRecord::Open(fs, "state/slots").value();
      const bool is_old = acknowledged == 0 ? !after.value() : after.value() == Value(acknowledged);
      EXPECT_TRUE(is_old || after.value() == Value(tried));
      ASSERT_TRUE(after.Write(Value(9)).ok());
      EXPECT_EQ(TwoCopyRecord::Open(fs, "state/slots").value().value(), Value(9));
    }
  }
}

}  // namespace
}  // namespace tinylcm::state
