// What every Database promises. A new one joins by one line in the INSTANTIATE below.

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <thread>

#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/platform/sqlite/sqlite_database.h"
#include "tinysphere/store/database.h"

namespace tinysphere::store {
namespace {

using base::Error;
using base::ErrorCode;

struct Implementation {
  std::string name;
  // Opens the database that lives in this folder, again and again the same one.
  std::function<base::Result<std::unique_ptr<Database>>(const std::string& folder)> open;
};

class DatabaseContract : public testing::TestWithParam<Implementation> {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "database_" + base::RandomHex(6);
    std::filesystem::create_directories(folder_);
    Open();
    ASSERT_TRUE(database_
                    ->Execute("CREATE TABLE samples (sample_id TEXT PRIMARY KEY, "
                              "label TEXT, score DOUBLE PRECISION, row BLOB, count BIGINT)")
                    .ok());
  }
  void TearDown() override {
    database_.reset();
    std::filesystem::remove_all(folder_);
  }
  void Open() {
    database_.reset();
    auto opened = GetParam().open(folder_);
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    database_ = std::move(opened).value();
  }
  void Insert(const std::string& sample_id, std::int64_t count) {
    const auto done = database_->Execute("INSERT INTO samples (sample_id, count) VALUES ($1, $2)",
                                         {sample_id, count});
    ASSERT_TRUE(done.ok()) << done.error().message;
  }
  std::int64_t Count() {
    return database_->QueryOne("SELECT COUNT(*) AS n FROM samples").value()->Int("n");
  }

  std::string folder_;
  std::unique_ptr<Database> database_;
};

TEST_P(DatabaseContract, GivesBackEveryTypeAsItWasBound) {
  const base::Bytes blob = {0, 255, 7};
  ASSERT_TRUE(database_
                  ->Execute("INSERT INTO samples VALUES ($1, $2, $3, $4, $5)",
                            {"s-1", std::string("zero \0 inside", 13), 0.1, blob, INT64_MIN})
                  .ok());
  const Row row = database_->QueryOne("SELECT * FROM samples").value().value();
  EXPECT_EQ(row.Text("sample_id"), "s-1");
  EXPECT_EQ(row.Text("label"), std::string("zero \0 inside", 13));
  EXPECT_EQ(row.Double("score"), 0.1);
  EXPECT_EQ(row.Blob("row"), blob);
  EXPECT_EQ(row.Int("count"), INT64_MIN);
}

TEST_P(DatabaseContract, TellsNullFromNothing) {
  ASSERT_TRUE(database_
                  ->Execute("INSERT INTO samples VALUES ($1, $2, $3, $4, $5)",
                            {"s-1", std::nullopt, std::optional<double>(), base::Bytes(), 0})
                  .ok());
  const Row row = database_->QueryOne("SELECT * FROM samples").value().value();
  EXPECT_TRUE(row.IsNull("label"));
  EXPECT_EQ(row.Text("label"), "");
  EXPECT_EQ(row.OptionalText("label"), std::nullopt);
  EXPECT_EQ(row.OptionalDouble("score"), std::nullopt);
  EXPECT_FALSE(row.IsNull("row"));
  EXPECT_EQ(row.OptionalInt("count"), 0);
}

TEST_P(DatabaseContract, BindsParametersByNumberWhereverTheyStand) {
  const Row row =
      database_->QueryOne("SELECT $2 AS a, $1 AS b, $2 AS c", {"one", "two"}).value().value();
  EXPECT_EQ(row.Text("a"), "two");
  EXPECT_EQ(row.Text("b"), "one");
  EXPECT_EQ(row.Text("c"), "two");
}

TEST_P(DatabaseContract, TakesTextAsTextWhateverItHolds) {
  const std::string text = "'; DROP TABLE samples; --";
  ASSERT_TRUE(database_->Execute("INSERT INTO samples (sample_id) VALUES ($1)", {text}).ok());
  EXPECT_EQ(database_->QueryOne("SELECT sample_id FROM samples").value()->Text("sample_id"), text);
}

TEST_P(DatabaseContract, KeepsTimesToTheMillisecond) {
  const base::Time time{base::Duration(1'795'176'000'123)};
  ASSERT_TRUE(
      database_->Execute("INSERT INTO samples (sample_id, count) VALUES ('s', $1)", {time}).ok());
  EXPECT_EQ(database_->QueryOne("SELECT count FROM samples").value()->Time("count"), time);
}

TEST_P(DatabaseContract, SaysHowManyRowsChanged) {
  Insert("s-1", 1);
  Insert("s-2", 1);
  EXPECT_EQ(database_->Execute("UPDATE samples SET count = 2 WHERE count = $1", {1}).value(), 2);
  EXPECT_EQ(database_->Execute("UPDATE samples SET count = 2 WHERE count = $1", {9}).value(), 0);
  EXPECT_EQ(database_
                ->Execute("INSERT INTO samples (sample_id) VALUES ('s-1') "
                          "ON CONFLICT (sample_id) DO NOTHING")
                .value(),
            0);
}

TEST_P(DatabaseContract, CallsADoubleKeyAConflict) {
  Insert("s-1", 1);
  const auto again = database_->Execute("INSERT INTO samples (sample_id) VALUES ('s-1')");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kConflict);
}

TEST_P(DatabaseContract, ReportsAStatementThatIsWrong) {
  EXPECT_FALSE(database_->Execute("INSERT INTO nowhere VALUES (1)").ok());
  EXPECT_FALSE(database_->Query("SELEKT 1").ok());
}

TEST_P(DatabaseContract, UndoesAWorkThatReturnsAnError) {
  const base::Status status = database_->Write([](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(transaction.Execute("INSERT INTO samples (sample_id) VALUES ('s-1')"));
    return Error{ErrorCode::kUnavailable, "changed my mind"};
  });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "changed my mind");
  EXPECT_EQ(Count(), 0);
}

TEST_P(DatabaseContract, SeesItsOwnChangesInsideAWork) {
  const auto counted = database_->Write([](Transaction& transaction) -> base::Result<std::int64_t> {
    RETURN_IF_ERROR(transaction.Execute("INSERT INTO samples (sample_id) VALUES ('s-1')"));
    ASSIGN_OR_RETURN(const auto row, transaction.QueryOne("SELECT COUNT(*) AS n FROM samples"));
    return row->Int("n");
  });
  EXPECT_EQ(counted.value(), 1);
}

TEST_P(DatabaseContract, ReadsOneSnapshotWhileOthersWrite) {
  Insert("s-1", 1);
  std::int64_t before = 0;
  std::int64_t after = 0;
  const base::Status status = database_->Read([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const auto first, transaction.QueryOne("SELECT COUNT(*) AS n FROM samples"));
    before = first->Int("n");
    std::thread([&] { Insert("s-2", 2); }).join();
    ASSIGN_OR_RETURN(const auto second, transaction.QueryOne("SELECT COUNT(*) AS n FROM samples"));
    after = second->Int("n");
    return {};
  });
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(before, 1);
  EXPECT_EQ(after, 1);
  EXPECT_EQ(Count(), 2);
}

TEST_P(DatabaseContract, RefusesAWriteInsideARead) {
  const base::Status status = database_->Read([](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(transaction.Execute("INSERT INTO samples (sample_id) VALUES ('s-1')"));
    return {};
  });
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Count(), 0);
}

// 8 threads x 50 increments; each reads and writes, so a lost update would show.
TEST_P(DatabaseContract, LosesNoUpdateOfManyWriters) {
  Insert("counter", 0);
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 50; ++j) {
        const base::Status status = database_->Write([](Transaction& transaction) -> base::Status {
          ASSIGN_OR_RETURN(const auto row, transaction.QueryOne("SELECT count FROM samples"));
          RETURN_IF_ERROR(
              transaction.Execute("UPDATE samples SET count = $1", {row->Int("count") + 1}));
          return {};
        });
        if (!status.ok()) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(database_->QueryOne("SELECT count FROM samples").value()->Int("count"), 400);
}

// Works that wait together share a commit; one that fails among them must not take others along.
TEST_P(DatabaseContract, UndoesOnlyTheWorkThatFailedAmongManyAtOnce) {
  std::vector<std::thread> threads;
  std::atomic<int> ok = 0;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&, i] {
      const base::Status status = database_->Write([&](Transaction& transaction) -> base::Status {
        RETURN_IF_ERROR(transaction.Execute("INSERT INTO samples (sample_id) VALUES ($1)",
                                            {base::StrCat("s-", i)}));
        if (i % 2 == 1) return Error{ErrorCode::kInvalidArgument, "odd"};
        return {};
      });
      if (status.ok()) ++ok;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ok, 8);
  EXPECT_EQ(Count(), 8);
}

TEST_P(DatabaseContract, KeepsWhatWasWrittenWhenOpenedAgain) {
  Insert("s-1", 1);
  Open();
  EXPECT_EQ(Count(), 1);
}

INSTANTIATE_TEST_SUITE_P(All, DatabaseContract,
                         testing::Values(Implementation{"Sqlite",
                                                        [](const std::string& folder) {
                                                          return sqlite::OpenDatabase(
                                                              {.path = folder + "/tinysphere.db",
                                                               .readers = 2});
                                                        }}),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace tinysphere::store
