#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>

#include "tests/support/databases.h"
#include "tests/support/fake_clock.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::store {
namespace {

using base::ErrorCode;

class MigrateTest : public testing::TestWithParam<tests::DatabaseKind> {
 protected:
  void SetUp() override {
    place_ = GetParam().make();
    if (!place_) GTEST_SKIP() << GetParam().why_not;
    auto opened = place_->Open();
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    database_ = std::move(opened).value();
  }
  base::Result<int> Run(std::span<const Migration> migrations) {
    return Migrate(*database_, migrations, tests::FakeClock::kStart);
  }

  std::unique_ptr<tests::DatabasePlace> place_;
  std::unique_ptr<Database> database_;
};

constexpr Migration kOne{.number = 1, .name = "one", .sql = "CREATE TABLE a (x BIGINT)"};
constexpr Migration kTwo{.number = 2,
                         .name = "two",
                         .sql = "CREATE TABLE b (x BIGINT);\nINSERT INTO b (x) VALUES (7);\n"};

TEST_P(MigrateTest, AppliesEachOnce) {
  EXPECT_EQ(Run(std::array{kOne}).value(), 1);
  EXPECT_EQ(Run(std::array{kOne, kTwo}).value(), 1);
  EXPECT_EQ(Run(std::array{kOne, kTwo}).value(), 0);
  EXPECT_EQ(database_->QueryOne("SELECT x FROM b").value()->Int("x"), 7);
}

TEST_P(MigrateTest, RefusesADatabaseMigratedByOtherText) {
  ASSERT_TRUE(Run(std::array{kOne}).ok());
  Migration changed = kOne;
  changed.sql = "CREATE TABLE a (y BIGINT)";
  const auto again = Run(std::array{changed});
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kCorrupt);
}

TEST_P(MigrateTest, RefusesADatabaseOfANewerProgram) {
  ASSERT_TRUE(Run(std::array{kOne, kTwo}).ok());
  const auto older = Run(std::array{kOne});
  ASSERT_FALSE(older.ok());
  EXPECT_EQ(older.error().code, ErrorCode::kUnsupported);
}

TEST_P(MigrateTest, LeavesNothingOfAMigrationThatFailsHalfway) {
  constexpr Migration kBroken{
      .number = 1, .name = "broken", .sql = "CREATE TABLE a (x BIGINT);\nCREATE NONSENSE;\n"};
  const auto broken = Run(std::array{kBroken});
  ASSERT_FALSE(broken.ok());
  EXPECT_NE(broken.error().message.find("migration 1 (broken)"), std::string::npos);
  EXPECT_EQ(Run(std::array{kOne}).value(), 1);  // The table a is not there yet.
}

TEST_P(MigrateTest, AppliesOurs) {
  const auto applied = Run(Migrations());
  ASSERT_TRUE(applied.ok()) << applied.error().message;
  const auto kept = database_->Write([](Transaction& transaction) -> base::Result<std::string> {
    RETURN_IF_ERROR(WriteSetting(transaction, "store_generation", "a"));
    RETURN_IF_ERROR(WriteSetting(transaction, "store_generation", "b"));
    ASSIGN_OR_RETURN(const auto value, ReadSetting(transaction, "store_generation"));
    return value.value_or("nothing");
  });
  EXPECT_EQ(kept.value(), "b");
}

TEST_P(MigrateTest, ADatabaseOfBeforeAdaptationsKeepsItsFactsAndTakesNewOnes) {
  ASSERT_EQ(Run(Migrations().first(2)).value(), 2);
  ASSERT_TRUE(database_
                  ->Execute("INSERT INTO verdicts (device_id, event_id, sample_id, label, "
                            "given_by, at, feedback_id) VALUES ('d', 'e', 's', '3', 'ann', 1, 'f')")
                  .ok());
  ASSERT_TRUE(database_
                  ->Execute("INSERT INTO devices (device_id, name, state, enrolled_at, "
                            "fingerprint) VALUES ('d', 'array', 'active', 1, 'x')")
                  .ok());
  ASSERT_TRUE(database_
                  ->Execute("INSERT INTO bundles (bundle, archive_sha256, bytes, object_key, "
                            "publisher, manifest, created_at) VALUES ('b', 'a', 1, 'k', 'p', "
                            "'{}', 1)")
                  .ok());
  EXPECT_EQ(Run(Migrations()).value(), static_cast<int>(Migrations().size()) - 2);
  const auto verdict = database_->QueryOne("SELECT label, is_current, opens_class FROM verdicts");
  EXPECT_EQ(verdict.value()->Text("label"), "3");
  EXPECT_EQ(verdict.value()->Int("is_current"), 1);
  EXPECT_EQ(verdict.value()->Int("opens_class"), 0);
  EXPECT_EQ(database_->QueryOne("SELECT awaits FROM devices").value()->Text("awaits"), "");
  EXPECT_EQ(database_->QueryOne("SELECT taught FROM bundles").value()->Text("taught"), "");
  // One step of a device, once.
  constexpr const char* kStep =
      "INSERT INTO transitions (device_id, sample_index, from_state, to_state, why, reported_at) "
      "VALUES ('d', 7, 'stable', 'suspect', 'alarm', 1) "
      "ON CONFLICT (device_id, sample_index, from_state, to_state) DO NOTHING";
  EXPECT_EQ(database_->Execute(kStep).value(), 1);
  EXPECT_EQ(database_->Execute(kStep).value(), 0);
}

// Programs that start at the same moment on one database: each migration is applied by one of them.
TEST_P(MigrateTest, AppliesEachOnceWhoeverElseDoesSoAtTheSameTime) {
  std::vector<std::unique_ptr<Database>> databases;
  for (int i = 0; i < 3; ++i) databases.push_back(place_->Open().value());
  std::atomic<int> applied = 0;
  std::vector<std::thread> programs;
  for (auto& database : databases) {
    programs.emplace_back([&] {
      const auto done = Migrate(*database, Migrations(), tests::FakeClock::kStart);
      ASSERT_TRUE(done.ok()) << done.error().message;
      applied += *done;
    });
  }
  for (std::thread& program : programs) program.join();
  EXPECT_EQ(applied, static_cast<int>(Migrations().size()));
}

INSTANTIATE_TEST_SUITE_P(All, MigrateTest, testing::ValuesIn(tests::DatabaseKinds()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace tinysphere::store
