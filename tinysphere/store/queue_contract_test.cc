// What every Queue promises, on every Database.

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "base/text.h"
#include "base/trace.h"
#include "tests/support/databases.h"
#include "tests/support/fake_clock.h"
#include "tinysphere/store/database_queue.h"
#include "tinysphere/store/queue.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::store {
namespace {

using base::Error;
using base::ErrorCode;
using std::chrono::hours;
using std::chrono::seconds;

constexpr base::Duration kLease = seconds(60);

class QueueContract : public testing::TestWithParam<tests::DatabaseKind> {
 protected:
  void SetUp() override {
    place_ = GetParam().make();
    if (!place_) GTEST_SKIP() << GetParam().why_not;
    auto opened = place_->Open();
    ASSERT_TRUE(opened.ok()) << opened.error().message;
    database_ = std::move(opened).value();
    const auto migrated = Migrate(*database_, Migrations(), tests::FakeClock::kStart);
    ASSERT_TRUE(migrated.ok()) << migrated.error().message;
    queue_ = std::make_unique<DatabaseQueue>(*database_);
  }

  void Enqueue(const std::string& key, base::Time due = {}) {
    const base::Status status = database_->Write([&](Transaction& transaction) {
      return queue_->Enqueue(transaction,
                             {.kind = "unpack", .key = key, .payload = "{}", .due = due});
    });
    ASSERT_TRUE(status.ok()) << status.error().message;
  }
  std::optional<Job> Claim() {
    auto job = queue_->Claim("unpack", clock_.Now(), kLease);
    EXPECT_TRUE(job.ok());
    return job.value();
  }
  base::Status Complete(const Job& job) {
    return database_->Write(
        [&](Transaction& transaction) { return queue_->Complete(transaction, job); });
  }
  void Fail(const Job& job, const std::string& reason, Failing failing = Failing::kAgain) {
    ASSERT_TRUE(queue_->Fail(job, reason, failing, clock_.Now()).ok());
  }

  tests::FakeClock clock_;
  std::unique_ptr<tests::DatabasePlace> place_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Queue> queue_;
};

TEST_P(QueueContract, HandsOutTheOldestFirstAndOnlyOnce) {
  Enqueue("a");
  Enqueue("b");
  EXPECT_EQ(Claim()->key, "a");
  EXPECT_EQ(Claim()->key, "b");
  EXPECT_EQ(Claim(), std::nullopt);
}

TEST_P(QueueContract, TakesTheSameJobOnce) {
  Enqueue("a");
  Enqueue("a");
  const Job job = *Claim();
  EXPECT_EQ(Claim(), std::nullopt);
  ASSERT_TRUE(Complete(job).ok());
  Enqueue("a");  // Done before: it is the same job.
  EXPECT_EQ(Claim(), std::nullopt);
}

TEST_P(QueueContract, ForgetsWhatWasDoneLongAgoAndNothingElse) {
  Enqueue("a");
  Enqueue("b");
  ASSERT_TRUE(Complete(*Claim()).ok());
  ASSERT_TRUE(queue_->ForgetDone(clock_.Now()).ok());
  Enqueue("a");  // Done just now: it is the same job.
  EXPECT_EQ(Claim()->key, "b");
  EXPECT_EQ(Claim(), std::nullopt);
  clock_.Advance(kLease + seconds(1));
  ASSERT_TRUE(queue_->ForgetDone(clock_.Now()).ok());
  Enqueue("a");
  EXPECT_EQ(Claim()->key, "b");  // Its lease ran out; it was never done.
  EXPECT_EQ(Claim()->key, "a");
}

TEST_P(QueueContract, AJobKeepsTheTraceOfTheRequestItCameOf) {
  const base::TraceScope scope("4bf92f3577b34da6a3ce929d0e0e4736");
  Enqueue("a");
  EXPECT_EQ(Claim()->trace, "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST_P(QueueContract, ExistsOnlyIfTheFactDoes) {
  const base::Status status = database_->Write([&](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(queue_->Enqueue(transaction, {.kind = "unpack", .key = "a"}));
    return Error{ErrorCode::kUnavailable, "the fact was not stored"};
  });
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(Claim(), std::nullopt);
}

TEST_P(QueueContract, HandsOutSomeAtOnce) {
  for (const char* key : {"a", "b", "c"}) Enqueue(key);
  const auto two = queue_->ClaimSome("unpack", clock_.Now(), kLease, 2);
  ASSERT_TRUE(two.ok());
  ASSERT_EQ(two->size(), 2u);
  EXPECT_EQ((*two)[0].key, "a");
  EXPECT_EQ((*two)[1].key, "b");
  const auto rest = queue_->ClaimSome("unpack", clock_.Now(), kLease, 2);
  ASSERT_TRUE(rest.ok());
  ASSERT_EQ(rest->size(), 1u);
  EXPECT_EQ((*rest)[0].key, "c");
  for (const Job& job : *two) EXPECT_TRUE(Complete(job).ok());
}

// The worker may have died of any of them; the next time it dies, it is of the one it has.
TEST_P(QueueContract, HandsOutAloneWhatWasTriedBefore) {
  for (const char* key : {"a", "b", "c"}) Enqueue(key);
  ASSERT_EQ(queue_->ClaimSome("unpack", clock_.Now(), kLease, 2)->size(), 2u);
  clock_.Advance(kLease + seconds(1));
  for (const char* key : {"a", "b"}) {
    const auto alone = queue_->ClaimSome("unpack", clock_.Now(), kLease, 3);
    ASSERT_TRUE(alone.ok());
    ASSERT_EQ(alone->size(), 1u);
    EXPECT_EQ((*alone)[0].key, key);
    EXPECT_EQ((*alone)[0].attempts, 2);
  }
  const auto last = queue_->ClaimSome("unpack", clock_.Now(), kLease, 3);
  ASSERT_EQ(last->size(), 1u);
  EXPECT_EQ((*last)[0].key, "c");
}

TEST_P(QueueContract, WaitsUntilAJobIsDue) {
  Enqueue("a", clock_.Now() + seconds(10));
  EXPECT_EQ(Claim(), std::nullopt);
  clock_.Advance(seconds(10));
  EXPECT_EQ(Claim()->key, "a");
}

TEST_P(QueueContract, KeepsKindsApart) {
  Enqueue("a");
  EXPECT_EQ(queue_->Claim("report", clock_.Now(), kLease).value(), std::nullopt);
}

TEST_P(QueueContract, GivesAJobToAnotherOnceTheLeaseRanOut) {
  Enqueue("a");
  const Job dead = *Claim();
  clock_.Advance(kLease);
  const Job taken_over = *Claim();
  EXPECT_EQ(taken_over.attempts, 2);
  const base::Status late = Complete(dead);
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, ErrorCode::kConflict);
  Fail(dead, "late as well");  // Changes nothing.
  EXPECT_TRUE(Complete(taken_over).ok());
}

// Pauses: 5 s after the first failure, 10 s after the second, doubling.
TEST_P(QueueContract, TriesAgainWithGrowingPauses) {
  Enqueue("a");
  Fail(*Claim(), "disk busy");
  clock_.Advance(base::Duration(4'999));
  EXPECT_EQ(Claim(), std::nullopt);
  clock_.Advance(base::Duration(1));
  const Job second = *Claim();
  EXPECT_EQ(second.error, "disk busy");
  Fail(second, "still busy");
  clock_.Advance(base::Duration(9'999));
  EXPECT_EQ(Claim(), std::nullopt);
  clock_.Advance(base::Duration(1));
  EXPECT_EQ(Claim()->attempts, 3);
}

TEST_P(QueueContract, SetsAPoisonedJobAsideWithItsReason) {
  Enqueue("poison");
  Enqueue("fine");
  for (int attempt = 0; attempt < kJobAttemptsMax; ++attempt) {
    const Job poison = *Claim();
    ASSERT_EQ(poison.key, "poison");
    Fail(poison, "manifest: sha256 differs");
    if (attempt == 0) {  // While it pauses, others go on.
      ASSERT_TRUE(Complete(*Claim()).ok());
    }
    clock_.Advance(hours(1));
  }
  EXPECT_EQ(Claim(), std::nullopt);
  const auto aside = queue_->SetAside(10).value();
  ASSERT_EQ(aside.size(), 1u);
  EXPECT_EQ(aside[0].key, "poison");
  EXPECT_EQ(aside[0].error, "manifest: sha256 differs");
  EXPECT_EQ(queue_->Count().value().set_aside, 1);
}

TEST_P(QueueContract, SetsAHopelessJobAsideAtOnce) {
  Enqueue("a");
  Fail(*Claim(), "path outside", Failing::kForGood);
  EXPECT_EQ(queue_->SetAside(10).value().size(), 1u);
}

// 5 s after the first failure, a minute after each other, and far more failures than attempts.
TEST_P(QueueContract, NeverSetsAsideWhatWaitsForAStore) {
  EXPECT_EQ(FailingOf(ErrorCode::kUnavailable), Failing::kPassing);
  EXPECT_EQ(FailingOf(ErrorCode::kExhausted), Failing::kPassing);
  EXPECT_EQ(FailingOf(ErrorCode::kInternal), Failing::kAgain);
  EXPECT_EQ(FailingOf(ErrorCode::kCorrupt), Failing::kForGood);
  Enqueue("a");
  Fail(*Claim(), "the disk is full", Failing::kPassing);
  clock_.Advance(seconds(5));
  for (int i = 0; i < 5 * kJobAttemptsMax; ++i) {
    const std::optional<Job> job = Claim();
    ASSERT_TRUE(job.has_value()) << i;
    EXPECT_EQ(job->attempts, 2);
    Fail(*job, "the disk is full", Failing::kPassing);
    clock_.Advance(seconds(59));
    EXPECT_EQ(Claim(), std::nullopt);
    clock_.Advance(seconds(1));
  }
  EXPECT_EQ(queue_->Count().value().set_aside, 0);
  EXPECT_TRUE(Complete(*Claim()).ok());
}

// Seven attempts were used up by what may be its fault; the last is given back however often.
TEST_P(QueueContract, GivesBackTheLastAttemptAsWell) {
  Enqueue("a");
  for (int attempt = 1; attempt < kJobAttemptsMax; ++attempt) {
    Fail(*Claim(), "a bug of ours");
    clock_.Advance(hours(1));
  }
  for (int i = 0; i < 3; ++i) {
    const std::optional<Job> job = Claim();
    ASSERT_TRUE(job.has_value());
    EXPECT_EQ(job->attempts, kJobAttemptsMax);
    Fail(*job, "the store is away", Failing::kPassing);
    clock_.Advance(hours(1));
  }
  Fail(*Claim(), "a bug of ours");
  EXPECT_EQ(queue_->Count().value().set_aside, 1);
}

TEST_P(QueueContract, SetsAsideWhatKillsItsWorkerEveryTime) {
  Enqueue("a");
  for (int attempt = 0; attempt < kJobAttemptsMax; ++attempt) {
    ASSERT_TRUE(Claim().has_value());
    clock_.Advance(kLease);
  }
  EXPECT_EQ(Claim(), std::nullopt);
  EXPECT_EQ(queue_->SetAside(10).value().size(), 1u);
}

TEST_P(QueueContract, DrivesAgainWhatWasSetAside) {
  Enqueue("a");
  Fail(*Claim(), "a bug of ours", Failing::kForGood);
  const std::int64_t job_id = queue_->SetAside(10).value().front().job_id;
  ASSERT_TRUE(queue_->Redrive(job_id, clock_.Now()).ok());
  const Job job = *Claim();
  EXPECT_EQ(job.attempts, 1);
  EXPECT_TRUE(Complete(job).ok());
  const base::Status again = queue_->Redrive(job_id, clock_.Now());
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().code, ErrorCode::kNotFound);
}

TEST_P(QueueContract, CountsWhatIsLeft) {
  Enqueue("a");
  Enqueue("b");
  EXPECT_EQ(queue_->Count().value().waiting, 2);
  ASSERT_TRUE(Complete(*Claim()).ok());
  EXPECT_EQ(queue_->Count().value().waiting, 1);
}

TEST_P(QueueContract, GivesEachJobToOneOfManyWorkers) {
  for (int i = 0; i < 40; ++i) Enqueue(base::StrCat("job-", i));
  std::mutex mutex;
  std::multiset<std::string> seen;
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i) {
    workers.emplace_back([&] {
      while (auto job = queue_->Claim("unpack", clock_.Now(), kLease).value()) {
        ASSERT_TRUE(Complete(*job).ok());
        const std::lock_guard lock(mutex);
        seen.insert(job->key);
      }
    });
  }
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(seen.size(), 40u);
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), 40u);
}

INSTANTIATE_TEST_SUITE_P(All, QueueContract, testing::ValuesIn(tests::DatabaseKinds()),
                         [](const auto& parameter) { return parameter.param.name; });

}  // namespace
}  // namespace tinysphere::store
