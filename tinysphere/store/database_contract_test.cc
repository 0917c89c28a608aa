// What every Database promises. A new one joins by one line in tests/support/databases.cc.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/text.h"
#include "tests/support/databases.h"
#include "tinysphere/store/database.h"

namespace tinysphere::store {
namespace {

using base::Error;
using base::ErrorCode;

class DatabaseContract : public testing::TestWithParam<tests::DatabaseKind> {
 protected:
  void SetUp() override {
    place_ = GetParam().make();
    if (!place_) GTEST_SKIP() << GetParam().why_not;
    Open();
    const auto made = database_->Execute(
        "CREATE TABLE samples (sample_id TEXT PRIMARY KEY, "
        "label TEXT, score DOUBLE PRECISION, row BLOB, count BIGINT)");
    ASSERT_TRUE(made.ok()) << made.error().message;
  }
  void Open() {
    database_.reset();
    auto opened = place_->Open();
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

  std::unique_ptr<tests::DatabasePlace> place_;
  std::unique_ptr<Database> database_;
};

// What was heard on a channel, waited for.
class Ears {
 public:
  Database::Heard Heard() {
    return [this](const std::string& message) {
      const std::lock_guard lock(mutex_);
      heard_.push_back(message);
      changed_.notify_all();
    };
  }
  // All that was heard once there are `count`.
  std::vector<std::string> WaitFor(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(20), [&] { return heard_.size() >= count; });
    return heard_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> heard_;
};

TEST_P(DatabaseContract, GivesBackEveryTypeAsItWasBound) {
  const base::Bytes blob = {0, 255, 7};
  ASSERT_TRUE(database_
                  ->Execute("INSERT INTO samples VALUES ($1, $2, $3, $4, $5)",
                            {"s-1", "h\xc3\xa4lt \xf0\x9f\x8c\xbb\t\\N", 0.1, blob, INT64_MIN})
                  .ok());
  const Row row = database_->QueryOne("SELECT * FROM samples").value().value();
  EXPECT_EQ(row.Text("sample_id"), "s-1");
  EXPECT_EQ(row.Text("label"), "h\xc3\xa4lt \xf0\x9f\x8c\xbb\t\\N");
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

// One database would keep it and the other not.
TEST_P(DatabaseContract, RefusesTextThatIsNoText) {
  for (const std::string& text : {std::string("zero \0 inside", 13), std::string("\xff"),
                                  std::string("\xc0\xaf"), std::string("\xed\xa0\x80")}) {
    const auto kept = database_->Execute("INSERT INTO samples (sample_id) VALUES ($1)", {text});
    ASSERT_FALSE(kept.ok());
    EXPECT_EQ(kept.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(Count(), 0);
}

TEST_P(DatabaseContract, PutsAnIntegerIntoAColumnOfReals) {
  ASSERT_TRUE(
      database_->Execute("INSERT INTO samples (sample_id, score) VALUES ('s', $1)", {3}).ok());
  EXPECT_EQ(database_->QueryOne("SELECT score FROM samples WHERE score < $1", {4})
                .value()
                ->Double("score"),
            3.0);
}

// 0.1 + 0.2 is not 0.3, and neither is what is read back.
TEST_P(DatabaseContract, KeepsEveryBitOfAReal) {
  const double sum = 0.1 + 0.2;
  ASSERT_TRUE(
      database_->Execute("INSERT INTO samples (sample_id, score) VALUES ('s', $1)", {sum}).ok());
  EXPECT_EQ(database_->QueryOne("SELECT score FROM samples").value()->Double("score"), sum);
}

TEST_P(DatabaseContract, SumsIntegersToAnInteger) {
  Insert("s-1", 3);
  Insert("s-2", 4);
  const Row row = database_->QueryOne("SELECT SUM(count) AS total, AVG(count) AS mean FROM samples")
                      .value()
                      .value();
  EXPECT_EQ(row.Int("total"), 7);
  EXPECT_EQ(row.Double("mean"), 3.5);
}

TEST_P(DatabaseContract, OrdersTextByItsBytes) {
  for (const char* name : {"b", "B", "\xc3\xa4", "a-b", "ab"}) Insert(name, 1);
  const Rows rows = database_->Query("SELECT sample_id FROM samples ORDER BY sample_id").value();
  std::string order;
  for (const Row& row : rows) order += row.Text("sample_id") + " ";
  EXPECT_EQ(order, "B a-b ab b \xc3\xa4 ");
}

TEST_P(DatabaseContract, KeepsNothingOfAWorkThatLooksPastAFailedStatement) {
  Insert("s-1", 1);
  const base::Status status = database_->Write([](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(transaction.Execute("INSERT INTO samples (sample_id) VALUES ('s-2')"));
    const auto again = transaction.Execute("INSERT INTO samples (sample_id) VALUES ('s-1')");
    EXPECT_FALSE(again.ok());
    return again.ok() ? base::Status() : base::Status(again.error());
  });
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Count(), 1);
  Insert("s-3", 3);  // The next work is not harmed.
}

TEST_P(DatabaseContract, RunsAStatementForManyRows) {
  std::vector<Params> rows;
  for (int i = 0; i < 1000; ++i) rows.push_back({base::StrCat("s-", i), i});
  rows.push_back({"s-null", std::nullopt});
  const base::Status done = database_->Write([&](Transaction& transaction) {
    return transaction.ExecuteMany("INSERT INTO samples (sample_id, count) VALUES ($1, $2)", rows);
  });
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(Count(), 1001);
  // 0 + 1 + ... + 999
  EXPECT_EQ(database_->QueryOne("SELECT SUM(count) AS n FROM samples").value()->Int("n"), 499500);
  const base::Status again = database_->Write([&](Transaction& transaction) {
    return transaction.ExecuteMany("INSERT INTO samples (sample_id, count) VALUES ($1, $2)",
                                   {{"new", 1}, {"s-0", 1}, {"newer", 1}});
  });
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kConflict);
  EXPECT_EQ(Count(), 1001);
}

TEST_P(DatabaseContract, CopiesRowsInAsTheyAre) {
  const std::string text = "tab\t line\n back\\slash \\N \r\xc3\xa4";
  const base::Bytes blob = {0, 92, 10, 255};
  const base::Status done = database_->Write([&](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(transaction.Execute("INSERT INTO samples (sample_id) VALUES ('before')"));
    RETURN_IF_ERROR(
        transaction.CopyIn("samples", {"sample_id", "label", "score", "row", "count"},
                           {{"s-1", text, 0.1, blob, INT64_MIN}, {"s-2", std::nullopt, 3, {}, 7}}));
    RETURN_IF_ERROR(transaction.Execute("INSERT INTO samples (sample_id) VALUES ('after')"));
    return {};
  });
  ASSERT_TRUE(done.ok()) << done.error().message;
  EXPECT_EQ(Count(), 4);
  const Row one =
      database_->QueryOne("SELECT * FROM samples WHERE sample_id = 's-1'").value().value();
  EXPECT_EQ(one.Text("label"), text);
  EXPECT_EQ(one.Double("score"), 0.1);
  EXPECT_EQ(one.Blob("row"), blob);
  EXPECT_EQ(one.Int("count"), INT64_MIN);
  const Row two =
      database_->QueryOne("SELECT * FROM samples WHERE sample_id = 's-2'").value().value();
  EXPECT_TRUE(two.IsNull("label"));
  EXPECT_TRUE(two.IsNull("row"));
  EXPECT_EQ(two.Double("score"), 3.0);
}

TEST_P(DatabaseContract, CopiesNothingInWhereOneKeyIsThereAlready) {
  Insert("s-1", 1);
  const base::Status done = database_->Write([&](Transaction& transaction) {
    return transaction.CopyIn("samples", {"sample_id", "count"}, {{"s-2", 2}, {"s-1", 1}});
  });
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, ErrorCode::kConflict);
  EXPECT_EQ(Count(), 1);
}

TEST_P(DatabaseContract, CountsOnAboveTheKeysThatWereCopiedIn) {
  ASSERT_TRUE(
      database_->Execute("CREATE TABLE entries (entry_id INTEGER PRIMARY KEY, text TEXT)").ok());
  ASSERT_TRUE(database_->Execute("INSERT INTO entries (text) VALUES ('first')").ok());
  ASSERT_TRUE(database_
                  ->Write([&](Transaction& transaction) {
                    return transaction.CopyIn("entries", {"entry_id", "text"},
                                              {{41, "old"}, {7, "older"}});
                  })
                  .ok());
  ASSERT_TRUE(database_->Execute("INSERT INTO entries (text) VALUES ('next')").ok());
  EXPECT_EQ(
      database_->QueryOne("SELECT MAX(entry_id) AS entry_id FROM entries").value()->Int("entry_id"),
      42);
}

TEST_P(DatabaseContract, WritesBesideTheWriterAsDurably) {
  for (const Durability durability : {Durability::kFlushed, Durability::kSoon}) {
    const base::Status done = database_->WriteBeside(
        [&](Transaction& transaction) -> base::Status {
          RETURN_IF_ERROR(transaction.Execute("INSERT INTO samples (sample_id) VALUES ($1)",
                                              {base::StrCat("s-", static_cast<int>(durability))}));
          return {};
        },
        durability);
    ASSERT_TRUE(done.ok()) << done.error().message;
  }
  const base::Status undone = database_->WriteBeside([](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(transaction.Execute("DELETE FROM samples"));
    return Error{ErrorCode::kUnavailable, "changed my mind"};
  });
  EXPECT_FALSE(undone.ok());
  EXPECT_EQ(Count(), 2);
}

TEST_P(DatabaseContract, TellsListenersWhatWasCommittedAndNothingElse) {
  Ears ears;
  const auto listening = database_->Listen("jobs", ears.Heard());
  ASSERT_TRUE(listening.ok()) << listening.error().message;
  EXPECT_FALSE(database_
                   ->Write([](Transaction& transaction) -> base::Status {
                     RETURN_IF_ERROR(transaction.Notify("jobs", "undone"));
                     return Error{ErrorCode::kUnavailable, "changed my mind"};
                   })
                   .ok());
  EXPECT_TRUE(database_
                  ->Write([](Transaction& transaction) -> base::Status {
                    RETURN_IF_ERROR(transaction.Notify("other", "not for us"));
                    return transaction.Notify("jobs", "unpack\nwith a line");
                  })
                  .ok());
  EXPECT_EQ(ears.WaitFor(1), std::vector<std::string>{"unpack\nwith a line"});
}

INSTANTIATE_TEST_SUITE_P(All, DatabaseContract, testing::ValuesIn(tests::DatabaseKinds()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace tinysphere::store
