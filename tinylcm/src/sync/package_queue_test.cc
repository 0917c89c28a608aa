#include "tinylcm/sync/package_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_file_system.h"

namespace tinylcm::sync {
namespace {

using base::Bytes;
using base::ErrorCode;
using base::StrCat;
using tests::FakeFileSystem;

constexpr char kDevice[] = "d-00112233445566778899aabbccddeeff";

class PackageQueueTest : public testing::Test {
 protected:
  void Open() { queue_ = TryOpen(fs_).value(); }
  base::Result<std::unique_ptr<PackageQueue>> TryOpen(FakeFileSystem& fs) {
    return PackageQueue::Open(fs, clock_, base::NullLogger(), options_);
  }
  // A package whose archive is its own id and then filler.
  static base::Result<protocol::PackageName> Add(PackageQueue& queue, const std::string& type,
                                                 std::size_t bytes = 100) {
    return queue.Add({.type = type}, [&](const protocol::PackageName& name) {
      Bytes archive = base::ToBytes(name.id());
      archive.resize(std::max(bytes, archive.size()), 7);
      return base::Result<Bytes>(archive);
    });
  }
  std::uint64_t Add(const std::string& type, std::size_t bytes = 100) {
    return Add(*queue_, type, bytes).value().seq;
  }
  std::vector<std::uint64_t> Seqs(QueueFolder folder = QueueFolder::kQueue) {
    std::vector<std::uint64_t> seqs;
    for (const QueuedPackage& package : queue_->In(folder)) seqs.push_back(package.name.seq);
    return seqs;
  }
  QueuedPackage First() { return queue_->Waiting().at(0); }
  void Reopen() {
    queue_.reset();
    Open();
  }
  using List = std::vector<std::uint64_t>;

  tests::FakeClock clock_;
  FakeFileSystem fs_;
  PackageQueue::Options options_{.folder = "queue", .device_id = kDevice};
  std::unique_ptr<PackageQueue> queue_;
};

TEST_F(PackageQueueTest, GivesReportsFirstThenInTheOrderTheyWereMade) {
  Open();
  Add("prediction_images");  // 1, class 4
  Add("drift_event");        // 2, class 2
  Add("metrics");            // 3, class 1
  Add("samples");            // 4, class 2
  EXPECT_EQ(Seqs(), (List{3, 2, 4, 1}));
}

TEST_F(PackageQueueTest, KeepsEverythingThroughAPowerCut) {
  Open();
  Add("metrics");
  Add("drift_event");
  const std::string epoch = queue_->epoch();
  queue_.reset();
  fs_.Crash();
  Open();
  EXPECT_EQ(Seqs(), (List{1, 2}));
  EXPECT_EQ(queue_->epoch(), epoch);
  EXPECT_EQ(queue_->counts().made, 2u);
  const QueuedPackage first = First();
  EXPECT_TRUE(base::AsText(queue_->ReadArchive(first).value()).starts_with(first.name.id()));
}

// The plug is pulled at every changing operation of three enqueues and an acknowledgement. What was
// promised (Add returned ok) must be there, whole, once; no seq is used twice and none is left out.
TEST_F(PackageQueueTest, LosesNothingAndDoublesNothingWhereverThePowerGoes) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    for (int cut = 0;; ++cut) {
      SCOPED_TRACE(StrCat("seed ", seed, " cut ", cut));
      FakeFileSystem fs;
      std::set<std::uint64_t> promised;
      bool was_cut = false;
      {
        fs.PowerOffAt(cut);
        auto queue = TryOpen(fs);
        if (queue.ok()) {
          for (int i = 0; i < 3; ++i) {
            const auto name = Add(**queue, "metrics");
            if (name.ok() && !fs.power_is_off()) promised.insert(name->seq);
          }
          for (const QueuedPackage& package : (*queue)->Waiting()) {
            if (package.name.seq == 1) static_cast<void>((*queue)->MarkAcked(package));
          }
        }
        was_cut = fs.power_is_off();
      }
      if (seed == 0) {
        fs.Crash();
      } else {
        fs.Crash(seed);
      }
      auto queue = TryOpen(fs);
      ASSERT_TRUE(queue.ok()) << queue.error().message;
      std::multiset<std::uint64_t> there;
      for (const QueueFolder folder : {QueueFolder::kQueue, QueueFolder::kAcked}) {
        for (const QueuedPackage& package : (*queue)->In(folder)) {
          there.insert(package.name.seq);
          EXPECT_TRUE((*queue)->ReadArchive(package).ok());
        }
      }
      for (const std::uint64_t seq : promised) EXPECT_EQ(there.count(seq), 1u) << seq;
      EXPECT_EQ((*queue)->counts().dead, 0u);  // Nothing torn was ever let in.
      const std::uint64_t next = Add(**queue, "metrics").value().seq;
      EXPECT_EQ(there.count(next), 0u);
      EXPECT_EQ(next, there.empty() ? 1u : *there.rbegin() + 1) << "a seq was left out";
      if (!was_cut) break;
    }
  }
}

TEST_F(PackageQueueTest, SetsAsideOneTornEntryAndLetsTheOthersFlow) {
  Open();
  for (int i = 0; i < 3; ++i) Add("metrics");
  queue_.reset();
  fs_.Truncate("queue/queue/1-00000002.tlp", 90);
  Open();
  EXPECT_EQ(Seqs(), (List{1, 3}));
  EXPECT_EQ(Seqs(QueueFolder::kDead), (List{2}));
  const std::vector<QueuedPackage> set_aside = queue_->TakeSetAside();
  ASSERT_EQ(set_aside.size(), 1u);
  EXPECT_NE(set_aside[0].reason.find("length"), std::string::npos) << set_aside[0].reason;
  EXPECT_EQ(queue_->counts().set_aside, 1u);
  EXPECT_TRUE(queue_->TakeSetAside().empty());
  Reopen();
  EXPECT_EQ(queue_->In(QueueFolder::kDead)[0].reason_code, "corrupt");
  EXPECT_EQ(queue_->counts().set_aside, 1u);
}

TEST_F(PackageQueueTest, NoticesEverySingleFlippedBit) {
  Open();
  Add("metrics", 120);
  const std::string path = "queue/queue/1-00000001.tlp";
  const std::uint64_t bytes = fs_.Stat(path).value().bytes;
  const Bytes whole = base::ReadFile(fs_, path, 10'000).value();
  for (std::uint64_t byte = 0; byte < bytes; ++byte) {
    // One bit of every byte; the archive's are found when it is read to be sent.
    FakeFileSystem fs;
    fs.Write(path, whole);
    fs.FlipBit(path, byte, static_cast<int>(byte % 8));
    const auto queue = TryOpen(fs).value();
    const auto waiting = queue->Waiting();
    if (!waiting.empty()) {
      EXPECT_EQ(queue->ReadArchive(waiting[0]).error().code, ErrorCode::kCorrupt) << byte;
    }
    EXPECT_TRUE(queue->Waiting().empty()) << byte;
    EXPECT_EQ(queue->TakeSetAside().size(), 1u) << byte;
    // The seq is known by the file's name, so it is not given again.
    EXPECT_EQ(Add(*queue, "metrics").value().seq, 2u) << byte;
  }
}

TEST_F(PackageQueueTest, KeepsAckedOnesAWhileAndThenForgetsThem) {
  Open();
  Add("metrics");
  ASSERT_TRUE(queue_->MarkAcked(First()).ok());
  EXPECT_TRUE(queue_->Waiting().empty());
  EXPECT_EQ(queue_->counts().acked, 1u);
  Reopen();
  EXPECT_EQ(Seqs(QueueFolder::kAcked), (List{1}));
  clock_.Advance(std::chrono::hours(7 * 24));
  queue_->Refresh();
  EXPECT_EQ(queue_->counts().acked, 1u);
  clock_.Advance(std::chrono::minutes(1));
  queue_->Refresh();
  EXPECT_EQ(queue_->counts().acked, 0u);
  Reopen();
  EXPECT_EQ(Add("metrics"), 2u);  // The seq goes on though no file shows it.
}

TEST_F(PackageQueueTest, KeepsTheReasonOfADeadOneAndTakesItBack) {
  Open();
  Add("metrics");
  ASSERT_TRUE(queue_->MarkDead(First(), "corrupt_manifest", "seq: missing").ok());
  Reopen();
  const QueuedPackage dead = queue_->In(QueueFolder::kDead).at(0);
  EXPECT_EQ(dead.reason_code, "corrupt_manifest");
  EXPECT_EQ(dead.reason, "seq: missing");
  EXPECT_EQ(dead.dead_at, tests::FakeClock::kStart);
  ASSERT_TRUE(queue_->Requeue(dead).ok());
  Reopen();
  EXPECT_EQ(Seqs(), (List{1}));
  EXPECT_FALSE(base::Exists(fs_, "queue/dead/1-00000001.json"));
}

TEST_F(PackageQueueTest, EvictsAckedThenTheLeastImportantAndOldestAndCountsThem) {
  options_.packages_max = 4;
  Open();
  Add("metrics");  // 1
  ASSERT_TRUE(queue_->MarkAcked(First()).ok());
  Add("prediction_images");  // 2
  Add("prediction_images");  // 3
  Add("drift_event");        // 4
  Add("drift_event");        // 5: the acked one goes, uncounted.
  EXPECT_EQ(queue_->counts().acked, 0u);
  EXPECT_EQ(queue_->counts().evicted_total(), 0u);
  Add("metrics");  // 6: the older picture goes.
  EXPECT_EQ(Seqs(), (List{6, 4, 5, 3}));
  Add("metrics");  // 7: the other one.
  Add("metrics");  // 8: the older event.
  EXPECT_EQ(Seqs(), (List{6, 7, 8, 5}));
  EXPECT_EQ(queue_->counts().evicted[4], 2u);
  EXPECT_EQ(queue_->counts().evicted[2], 1u);
  Reopen();
  EXPECT_EQ(queue_->counts().evicted_total(), 3u);
}

TEST_F(PackageQueueTest, TurnsAwayWhatIsLessImportantThanAllThatIsThereAndCountsIt) {
  options_.packages_max = 1;
  Open();
  Add("metrics");
  EXPECT_EQ(Add(*queue_, "prediction_images").error().code, ErrorCode::kExhausted);
  EXPECT_EQ(queue_->counts().evicted[4], 1u);
  EXPECT_EQ(Seqs(), (List{1}));
  EXPECT_EQ(Add("metrics"), 2u);  // What was turned away used no seq.
  EXPECT_EQ(Seqs(), (List{2}));   // The newer of two equals stays.
}

TEST_F(PackageQueueTest, EvictsDeadOnesLast) {
  options_.packages_max = 2;
  Open();
  Add("metrics");
  ASSERT_TRUE(queue_->MarkDead(First(), "x", "y").ok());
  Add("metrics");  // 2
  Add("metrics");  // 3: 2 goes, not the dead one.
  EXPECT_EQ(Seqs(QueueFolder::kDead), (List{1}));
  EXPECT_EQ(Seqs(), (List{3}));
}

TEST_F(PackageQueueTest, MakesRoomOnAFullDisk) {
  Open();
  Add("prediction_images", 2000);
  Add("prediction_images", 2000);
  // Room for the record's copies and half a package more.
  fs_.SetCapacity((std::uint64_t{1} << 40) - fs_.FreeBytes("").value() + 1000);
  Add("metrics", 1500);
  EXPECT_EQ(Seqs(), (List{3, 2}));
  EXPECT_EQ(queue_->counts().evicted[4], 1u);
}

TEST_F(PackageQueueTest, SaysSoWhenTheDiskIsFullAndGoesOnOnceThereIsRoom) {
  Open();
  Add("metrics");
  fs_.SetCapacity((std::uint64_t{1} << 40) - fs_.FreeBytes("").value());
  EXPECT_EQ(Add(*queue_, "prediction_images", 5000).error().code, ErrorCode::kExhausted);
  EXPECT_EQ(Seqs(), (List{1}));
  EXPECT_TRUE(fs_.List("queue/tmp").value().empty());
  fs_.SetCapacity(std::uint64_t{1} << 40);
  EXPECT_EQ(Add("prediction_images"), 2u);
}

TEST_F(PackageQueueTest, BelievesAFailedSyncAndMakesTheFileAnewOnce) {
  Open();
  int failures = 1;
  fs_.SetFault([&](FakeFileSystem::Operation operation,
                   const std::string& path) -> std::optional<base::Error> {
    if (operation != FakeFileSystem::Operation::kSync || failures == 0 ||
        path.find("/tmp/") == std::string::npos) {
      return std::nullopt;
    }
    --failures;
    return base::Error{ErrorCode::kUnavailable, "EIO"};
  });
  EXPECT_EQ(Add("metrics"), 1u);
  failures = 2;
  EXPECT_EQ(Add(*queue_, "metrics").error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(Add("metrics"), 2u);
}

TEST_F(PackageQueueTest, GoesOnWithANewEpochWhenItsRecordIsLost) {
  Open();
  Add("metrics");
  const std::string epoch = queue_->epoch();
  queue_.reset();
  for (const char* copy : {"queue/record.a", "queue/record.b"}) {
    if (base::Exists(fs_, copy)) fs_.FlipBit(copy, fs_.Stat(copy).value().bytes / 2, 0);
  }
  Open();
  EXPECT_NE(queue_->epoch(), epoch);
  EXPECT_EQ(Seqs(), (List{1}));
  EXPECT_EQ(Add("metrics"), 2u);
}

TEST_F(PackageQueueTest, ForksItsEpochAndGoesOnCounting) {
  Open();
  Add("metrics");
  const std::string epoch = queue_->epoch();
  ASSERT_TRUE(queue_->ForkEpoch().ok());
  EXPECT_NE(queue_->epoch(), epoch);
  Add("metrics");
  Reopen();
  EXPECT_EQ(Seqs(), (List{1, 2}));
  EXPECT_EQ(queue_->Waiting()[1].name.epoch, queue_->epoch());
}

TEST_F(PackageQueueTest, DropsAPackageWhoseSuccessorIsDurable) {
  Open();
  Add("metrics");
  const QueuedPackage old = First();
  ASSERT_TRUE(queue_
                  ->Add({.type = "metrics", .replaces = old.name.id()},
                        [](const protocol::PackageName&) { return base::Result<Bytes>(Bytes(10)); })
                  .ok());
  Reopen();  // The power went before Remove(old).
  EXPECT_EQ(Seqs(), (List{2}));
}

TEST_F(PackageQueueTest, IsListedVerifiedExportedAndRequeuedFromOutside) {
  Open();
  Add("metrics");
  Add("drift_event");
  Add("samples");
  ASSERT_TRUE(queue_->MarkAcked(First()).ok());
  ASSERT_TRUE(queue_->MarkDead(First(), "code", "why").ok());
  const QueueListing listing = ListQueue(fs_, "queue").value();
  EXPECT_EQ(listing.seq_last, 3u);
  EXPECT_EQ(listing.epoch, queue_->epoch());
  ASSERT_EQ(listing.packages.size(), 3u);
  for (const QueuedPackage& package : listing.packages) {
    EXPECT_TRUE(VerifyQueued(fs_, "queue", package).ok());
    if (package.folder != QueueFolder::kDead) continue;
    EXPECT_EQ(package.reason, "why");
    ASSERT_TRUE(ExportQueued(fs_, "queue", package, "out.tar.gz").ok());
    EXPECT_EQ(base::ReadFile(fs_, "out.tar.gz", 1000)->size(), package.bytes);
    ASSERT_TRUE(RequeueDead(fs_, "queue", package).ok());
  }
  queue_->Refresh();
  EXPECT_EQ(Seqs(), (List{2, 3}));
  EXPECT_EQ(queue_->counts().dead, 0u);
}

TEST_F(PackageQueueTest, HasNothingToListBeforeItWasOpened) {
  EXPECT_TRUE(ListQueue(fs_, "queue").value().packages.empty());
  EXPECT_FALSE(base::Exists(fs_, "queue"));
}

}  // namespace
}  // namespace tinylcm::sync
