// What only a database that is a server can do: go away and come back, be written by many programs.
// What every Database promises: store/database_contract_test.cc.

#include "tinysphere/platform/postgres/postgres_database.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/text.h"
#include "tests/support/postgres.h"

namespace tinysphere::postgres {
namespace {

using base::ErrorCode;
using store::Transaction;

class PostgresTest : public testing::Test {
 protected:
  void SetUp() override {
    server_ = tests::PostgresDatabase::Make();
    if (!server_) GTEST_SKIP() << tests::kNoPostgres;
    database_ = Open();
    ASSERT_TRUE(
        database_->Execute("CREATE TABLE counters (name TEXT PRIMARY KEY, count BIGINT)").ok());
    ASSERT_TRUE(database_->Execute("INSERT INTO counters VALUES ('a', 0)").ok());
  }
  std::unique_ptr<store::Database> Open() {
    auto opened = OpenDatabase({.url = server_->url()});
    EXPECT_TRUE(opened.ok()) << opened.error().message;
    return std::move(opened).value();
  }
  static base::Status CountUp(store::Database& database) {
    return database.Write([](Transaction& transaction) -> base::Status {
      ASSIGN_OR_RETURN(const auto row, transaction.QueryOne("SELECT count FROM counters"));
      RETURN_IF_ERROR(
          transaction.Execute("UPDATE counters SET count = $1", {row->Int("count") + 1}));
      return {};
    });
  }
  std::int64_t Count() {
    return database_->QueryOne("SELECT count FROM counters").value()->Int("count");
  }

  std::unique_ptr<tests::PostgresDatabase> server_;
  std::unique_ptr<store::Database> database_;
};

TEST_F(PostgresTest, GoesOnAfterTheServerEndedItsSessions) {
  ASSERT_TRUE(CountUp(*database_).ok());
  EXPECT_EQ(Count(), 1);
  server_->EndSessions();
  EXPECT_EQ(Count(), 1);  // Nobody noticed.
  server_->EndSessions();
  const base::Status written = CountUp(*database_);
  EXPECT_TRUE(written.ok()) << written.error().message;
  EXPECT_EQ(Count(), 2);
}

TEST_F(PostgresTest, FailsTheWorkDuringWhichTheServerWentAwayAndNoOther) {
  const base::Status status = database_->Write([&](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(transaction.Execute("UPDATE counters SET count = 100"));
    server_->EndSessions();
    RETURN_IF_ERROR(transaction.Execute("UPDATE counters SET count = 101"));
    return {};
  });
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Count(), 0);
  EXPECT_TRUE(CountUp(*database_).ok());
  EXPECT_EQ(Count(), 1);
}

TEST_F(PostgresTest, SaysWhereNoServerAnswers) {
  // Port 1 is nobody's; the password must not be told.
  const auto opened = OpenDatabase({.url = "postgresql://ann:secret@127.0.0.1:1/fleet"});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kUnavailable);
  EXPECT_NE(opened.error().message.find("127.0.0.1:1/fleet"), std::string::npos);
  EXPECT_EQ(opened.error().message.find("secret"), std::string::npos);
  EXPECT_EQ(opened.error().message.find('\n'), std::string::npos);
  const auto no_url = OpenDatabase({.url = "postgresql://ann:secret@127.0.0.1:x:y/"});
  ASSERT_FALSE(no_url.ok());
  EXPECT_EQ(no_url.error().message.find("secret"), std::string::npos);
}

// A session forgets its prepared texts beyond 1,000: never inside a transaction, on readers (whose
// transactions begin with a snapshot) as little as where a work failed before.
TEST_F(PostgresTest, GoesOnBeyondAsManyTextsAsASessionKeeps) {
  const auto ask = [](Transaction& transaction, int i) -> base::Status {
    ASSIGN_OR_RETURN(const auto row,
                     transaction.QueryOne(base::StrCat("SELECT ", i, " AS n FROM counters")));
    EXPECT_EQ(row->Int("n"), i);
    return {};
  };
  const auto ask_many = [&](Transaction& transaction) -> base::Status {
    for (int i = 0; i < 960; ++i) RETURN_IF_ERROR(ask(transaction, i));
    return {};
  };
  ASSERT_TRUE(database_->Read(ask_many).ok());
  for (int i = 1000; i < 1080; ++i) {
    const base::Status read =
        database_->Read([&](Transaction& transaction) { return ask(transaction, i); });
    ASSERT_TRUE(read.ok()) << i << ": " << read.error().message;
  }
  ASSERT_TRUE(database_->Write(ask_many).ok());
  for (int i = 1000; i < 1080; ++i) {
    const base::Status failed = database_->Write([&](Transaction& transaction) -> base::Status {
      RETURN_IF_ERROR(
          transaction.Execute(base::StrCat("INSERT INTO counters VALUES ('a', ", i, ")")));
      return {};
    });
    ASSERT_FALSE(failed.ok());
    ASSERT_EQ(failed.error().code, ErrorCode::kConflict) << i << ": " << failed.error().message;
    const base::Status done = CountUp(*database_);
    ASSERT_TRUE(done.ok()) << i << ": " << done.error().message;
  }
  EXPECT_EQ(Count(), 80);
}

// 4 programs x 2 threads x 25 increments that read before they write.
TEST_F(PostgresTest, LosesNoUpdateOfManyPrograms) {
  std::vector<std::unique_ptr<store::Database>> programs;
  for (int i = 0; i < 4; ++i) programs.push_back(Open());
  std::atomic<int> failures = 0;
  std::vector<std::thread> threads;
  for (auto& program : programs) {
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        for (int j = 0; j < 25; ++j) {
          if (!CountUp(*program).ok()) ++failures;
        }
      });
    }
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(Count(), 200);
}

TEST_F(PostgresTest, EndsAQueryThatTakesTooLong) {
  const auto impatient =
      OpenDatabase({.url = server_->url(), .read_max = base::Duration(50)}).value();
  const auto slept = impatient->Query("SELECT pg_sleep(60)");
  ASSERT_FALSE(slept.ok());
  EXPECT_EQ(slept.error().code, ErrorCode::kUnavailable);
}

// Two works beside the writer that want the same two rows in different order: the server ends one
// of them, and it is run again.
TEST_F(PostgresTest, RunsAWorkAgainThatStoodInAnothersWay) {
  ASSERT_TRUE(database_->Execute("INSERT INTO counters VALUES ('b', 0)").ok());
  std::atomic<int> holding = 0;
  const auto move = [&](const char* first, const char* second) {
    return database_->WriteBeside([&](Transaction& transaction) -> base::Status {
      constexpr std::string_view kAdd = "UPDATE counters SET count = count + 1 WHERE name = $1";
      RETURN_IF_ERROR(transaction.Execute(kAdd, {first}));
      // Both hold one row before either asks for the other; run again, nobody has to be waited for.
      ++holding;
      while (holding < 2) std::this_thread::yield();
      RETURN_IF_ERROR(transaction.Execute(kAdd, {second}));
      return {};
    });
  };
  base::Status other;
  std::thread thread([&] { other = move("b", "a"); });
  const base::Status one = move("a", "b");
  thread.join();
  EXPECT_TRUE(one.ok()) << one.error().message;
  EXPECT_TRUE(other.ok()) << other.error().message;
  EXPECT_EQ(database_->QueryOne("SELECT SUM(count) AS n FROM counters").value()->Int("n"), 4);
  EXPECT_GE(holding, 3);
}

TEST_F(PostgresTest, HearsWhatAnotherProgramSaysAndAgainAfterTheServerWasAway) {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> heard;
  const auto listening = database_->Listen("jobs", [&](const std::string& message) {
    const std::lock_guard lock(mutex);
    heard.push_back(message);
    changed.notify_all();
  });
  ASSERT_TRUE(listening.ok());
  const auto wait_for = [&](const std::string& message) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, std::chrono::seconds(30), [&] {
      return std::find(heard.begin(), heard.end(), message) != heard.end();
    });
  };
  const auto other = Open();
  const auto say = [&](const char* message) {
    return other->Write(
        [&](Transaction& transaction) { return transaction.Notify("jobs", message); });
  };
  ASSERT_TRUE(say("one").ok());
  EXPECT_TRUE(wait_for("one"));
  server_->EndSessions();
  EXPECT_TRUE(wait_for(""));  // Something may have been missed.
  ASSERT_TRUE(say("two").ok());
  EXPECT_TRUE(wait_for("two"));
}

}  // namespace
}  // namespace tinysphere::postgres
